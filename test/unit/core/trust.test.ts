/** What only the right sender may say. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asJobId, asPublicKey, asRequestId } from '../../../src/core/record/ids.ts';
import type { ExecutionId, JobId } from '../../../src/core/record/ids.ts';
import type { Input } from '../../../src/core/contract/input.ts';
import { snapshotWith } from './promising.ts';
import { FIRST_CONFIG } from '../../../src/core/record/chain.ts';
import { Cluster, DONE, refusals } from './cluster.ts';
import {
  WALL,
  admitted,
  advertOf,
  announcementOf,
  at,
  certify,
  grantOf,
  idOf,
  jobWith,
  stateOf,
  storeOf,
  suiteOf,
} from './fixtures.ts';
import { forge, nodeKey } from '../../simulation/fast-suite.ts';

/** Four nodes run one execution; the node that runs it is cut off. A stranger (9) speaks every second. */
function cutOff(
  says: (cluster: Cluster, leader: number, job: JobId, execution: ExecutionId) => void,
): Cluster {
  const cluster = new Cluster({ nodes: 4, program: () => DONE.slice(0, 1) });
  cluster.submit(0, jobWith());
  cluster.advance(12_000);
  const where = [0, 1, 2, 3].find((n) => cluster.effects('run', n).length > 0) ?? assert.fail();
  const leader =
    [0, 1, 2, 3].find((n) => cluster.machine(n).inspect().jobs[0]?.leading != null) ??
    assert.fail();
  assert.notEqual(where, leader);
  const { execution, job } = cluster.effects('run')[0]?.order ?? assert.fail();
  // Its process lives (pongs), but its lease is not renewed: only the lease can tell that it is lost.
  cluster.lose = ({ message, from }) =>
    from === idOf(where) && (message.type === 'renew' || message.type === 'states');
  for (let i = 0; i < 30; i += 1) {
    cluster.advance(1_000);
    says(cluster, leader, job, execution);
  }
  return cluster;
}

describe('a lost execution', () => {
  it('is replaced (control)', () => {
    assert.equal(cutOff(() => {}).effects('run').length, 2);
  });
  it('is not kept alive by a stranger that says `started`', () => {
    const c = cutOff((cluster, leader, job, execution) =>
      cluster.message(leader, 9, { type: 'started', job, executions: [execution] }),
    );
    assert.equal(c.effects('run').length, 2);
  });
  it('is not kept alive by a stranger that renews its lease', () => {
    const c = cutOff((cluster, leader, job, execution) =>
      cluster.message(leader, 9, { type: 'renew', executions: [{ job, execution }] }),
    );
    assert.equal(c.effects('run').length, 2);
  });
  it('is not kept alive by forged states', () => {
    const c = cutOff((cluster, leader) => {
      const assign = cluster.job(leader).records.committed[0]?.record;
      assert.ok(assign?.type === 'assign');
      const forged = forge(stateOf(assign, 9, { sequence: cluster.now }), nodeKey(3));
      assert.ok(
        refusals(cluster.message(leader, 9, { type: 'states', states: [forged] })).length === 1,
      );
    });
    assert.equal(c.effects('run').length, 2);
  });
});

describe('a submission', () => {
  it('is not ended by refusals of nodes that are no keepers', () => {
    const cluster = new Cluster({ nodes: 3 });
    cluster.lose = ({ message }) => message.type === 'admitted';
    const request = cluster.submit(0, jobWith());
    const { job } = cluster.messages('admit')[0]?.message.spec.body ?? assert.fail();
    for (const stranger of [7, 8, 9])
      cluster.message(0, stranger, { type: 'not-admitted', job, refusal: { code: 'draining' } });
    assert.equal(cluster.reply(request), null);
  });
});

describe('a stop', () => {
  it('is not confirmed by acknowledgements of nodes that are no keepers', () => {
    const cluster = new Cluster({ nodes: 3, program: () => [] });
    const r = cluster.reply(cluster.submit(0, jobWith()));
    assert.ok(r?.type === 'receipt');
    cluster.advance(500);
    cluster.lose = () => true;
    cluster.input(0, { type: 'stop', request: asRequestId('s'), job: r.job, reason: '' });
    const command = cluster.store(0).get('records', r.job, 'stopping')?.record.id ?? assert.fail();
    for (const n of [7, 8, 9]) cluster.message(0, n, { type: 'command-ack', job: r.job, command });
    assert.equal(cluster.reply('s'), null);
  });
  it('stops the job that was named, not another that a neighbour answers with', () => {
    const cluster = new Cluster({ nodes: 2, program: () => [] });
    const r = cluster.reply(cluster.submit(0, jobWith()));
    assert.ok(r?.type === 'receipt');
    cluster.advance(500);
    const keeper =
      [0, 1].find((n) => cluster.machine(n).inspect().jobs.length > 0) ?? assert.fail();
    const asker = 1 - keeper;
    // the neighbour answers for another job
    const other = cluster.job(keeper).records;
    const wrong = asJobId('j-12345678-0000-8000-8000-000000000000');
    cluster.lose = ({ message }) => message.type === 'find';
    cluster.input(asker, { type: 'stop', request: asRequestId('s2'), job: wrong, reason: '' });
    cluster.message(asker, keeper, {
      type: 'found',
      request: asRequestId('s2'),
      answer: { type: 'job', records: other, waiting: null, next: null },
    });
    cluster.advance(3_000);
    const reply = cluster.reply('s2');
    assert.ok(reply?.type === 'failed' && reply.problem.code === 'job-not-found');
    assert.equal(cluster.job(keeper).state, 'Running');
  });
});

describe('a leader', () => {
  it('does not step down because a stranger names a higher epoch', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.submit(0, jobWith());
    const { job } = cluster.job(0);
    cluster.message(0, 9, {
      type: 'outdated',
      job,
      promised: { config: { major: 0, minor: 0 }, number: 2 ** 53 - 1, leader: idOf(9) },
    });
    assert.notEqual(cluster.job(0).leading, null);
  });
  it('never counts beyond the numbers that a record can carry', () => {
    const cluster = new Cluster({ nodes: 1, program: () => DONE.slice(0, 1) });
    cluster.submit(0, jobWith());
    const { job } = cluster.job(0);
    cluster.message(0, 9, {
      type: 'outdated',
      job,
      promised: { config: { major: 0, minor: 0 }, number: 2 ** 53 - 1, leader: idOf(9) },
    });
    cluster.advance(60_000);
    assert.ok(Number.isSafeInteger(cluster.job(0).promised?.number));
  });
  it('follows a keeper that leaps again and again no further than time allows', () => {
    const kept = admitted(jobWith(), [1, 2, 0]);
    const cluster = new Cluster({ nodes: 1 });
    cluster.message(0, 1, { type: 'activate', spec: kept.spec, admission: kept.admission });
    const { job } = kept.spec.body;
    const nothing = { values: [], states: [], commands: [] };
    for (let number = 50_000; number < 2 ** 24; number += 50_000) {
      const epoch = { config: FIRST_CONFIG, number, leader: idOf(1) };
      cluster.message(0, 1, { type: 'propose', job, epoch, ...nothing });
      cluster.message(0, 2, { type: 'outdated', job, promised: epoch });
    }
    cluster.message(0, 1, { type: 'not-leading', jobs: [job] });
    cluster.advance(30_000);
    assert.ok((cluster.job(0).promised?.number ?? Infinity) <= 100_500);
  });
  it('follows no keeper to a number from which few are left, and is none the worse after a restart', () => {
    for (const number of [2 ** 53 - 1, 2 ** 31 - 1, 100_001]) {
      const kept = admitted(jobWith(), [1, 2, 0]);
      const cluster = new Cluster({ nodes: 1 });
      cluster.message(0, 1, { type: 'activate', spec: kept.spec, admission: kept.admission });
      const epoch = { config: { major: 0, minor: 0 }, number, leader: idOf(1) };
      const { job } = kept.spec.body;
      const grant = grantOf(kept, epoch, 1);
      assert.deepEqual(refusals(cluster.message(0, 1, { type: 'prepare', job, grant })), [
        'over-limit',
      ]);
      const values = { values: [], states: [], commands: [] };
      assert.deepEqual(
        refusals(cluster.message(0, 1, { type: 'propose', job, epoch, ...values })),
        ['over-limit'],
      );
      cluster.message(0, 1, { type: 'not-leading', jobs: [job] });
      cluster.advance(30_000);
      cluster.restart(0);
      cluster.advance(30_000);
      assert.ok((cluster.job(0).promised?.number ?? 0) < 1_000);
    }
  });
  it('comes to rest whatever a bid offers', () => {
    const cluster = new Cluster({ nodes: 1, profile: () => ({ engines: {} }) });
    cluster.submit(0, jobWith());
    const { job } = cluster.job(0);
    const none = { cpuMillis: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
    cluster.message(0, 9, {
      type: 'bid',
      job,
      version: 1,
      round: 0,
      free: none,
      capacity: none,
      executions: 0,
      running: 0,
      locality: 0,
    });
    cluster.advance(1_000);
    assert.equal(cluster.messages('assign').length, 0);
  });
  it('invites nobody whose advert was refused', () => {
    const cluster = new Cluster({ nodes: 1 });
    cluster.submit(
      0,
      jobWith({}, { resources: { cpuMillis: 1e9, memoryBytes: 1, diskBytes: 0, gpus: 0 } }),
    );
    const nothing = { cpuMillis: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
    const advert = forge(
      suiteOf(9).seal(
        'advert',
        {
          node: idOf(5),
          store: storeOf(5),
          sequence: 1,
          addresses: [],
          labels: {},
          engines: [],
          publishers: [],
          sources: [],
          capacity: nothing,
          free: nothing,
          running: 0,
          keeps: true,
          software: '',
          features: [],
        },
        at(0),
        'node',
      ),
      nodeKey(5),
    );
    const effects = cluster.message(0, 9, { type: 'advert', advert });
    assert.deepEqual(
      effects.map((e) => e.type),
      ['refuse'],
    );
  });
});

describe('a look-up', () => {
  it('by full id is not made ambiguous by a neighbour', () => {
    const cluster = new Cluster({ nodes: 3, program: () => [] });
    const r = cluster.reply(cluster.submit(0, jobWith()));
    assert.ok(r?.type === 'receipt');
    // a fourth view: machine that keeps nothing
    const asker = new Cluster({ nodes: 1 });
    asker.input(0, { type: 'peer-connected', node: idOf(7) });
    asker.input(0, { type: 'peer-connected', node: idOf(8) });
    asker.input(0, {
      type: 'query',
      request: asRequestId('q'),
      query: { type: 'job', ref: r.job, namespace: 'default', from: 0 },
    });
    asker.message(0, 8, {
      type: 'found',
      request: asRequestId('q'),
      answer: { type: 'ambiguous', jobs: [asJobId('j-x'), asJobId('j-y')] },
    });
    asker.message(0, 7, {
      type: 'found',
      request: asRequestId('q'),
      answer: { type: 'job', records: cluster.job(0).records, waiting: null, next: null },
    });
    asker.advance(3_000);
    const reply = asker.reply('q');
    assert.ok(reply?.type === 'answer');
  });
  it('counts each answer once', () => {
    const asker = new Cluster({ nodes: 1 });
    for (const n of [6, 7, 8]) asker.input(0, { type: 'peer-connected', node: idOf(n) });
    asker.input(0, {
      type: 'query',
      request: asRequestId('q'),
      query: { type: 'job', ref: 'j-123456', namespace: 'default', from: 0 },
    });
    for (let i = 0; i < 3; i += 1)
      asker.message(0, 8, { type: 'found', request: asRequestId('q'), answer: { type: 'none' } });
    assert.equal(asker.reply('q'), null);
  });
});

describe('a promise', () => {
  it('counts only for the epoch that was asked for', () => {
    // node 0 among keepers [1,0,2]; stands for leader after 1 is silent; 2 answers with a vote under another epoch
    const job = admitted(jobWith(), [1, 0, 2]);
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
    cluster.until('it stands', () => cluster.messages('prepare').length > 0, 60_000);
    const { grant } = cluster.messages('prepare')[0]?.message ?? assert.fail();
    const epoch = grant.body.epoch;
    const [vote] = certify(grant, 'grant', [2], { ...epoch, number: epoch.number + 5 }).votes;
    assert.ok(vote);
    const { digest } = snapshotWith(job);
    cluster.message(0, 2, { type: 'promise', job: job.spec.body.job, epoch, vote, digest });
    assert.equal(cluster.job(0).leading, null);
  });
});
describe('a hold', () => {
  it('is given back to its leader only', () => {
    const job = admitted(jobWith(), [1, 2, 3]);
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, {
      type: 'invite',
      announcement: announcementOf(job),
    });
    cluster.message(0, 9, { type: 'bid-closed', job: job.spec.body.job, version: 1 });
    assert.equal(cluster.machine(0).inspect().holds.length, 1);
  });
  it('is not taken by a false close', () => {
    const job = admitted(jobWith(), [1, 2, 3]);
    const id = job.spec.body.job;
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, {
      type: 'invite',
      announcement: announcementOf(job),
    });
    const close = suiteOf(9).seal(
      'close',
      { job: id, version: 1, outcome: 'failed', code: 'x', message: '', evidence: [] },
      at(1),
      'node',
    );
    const summary = {
      job: id,
      version: 1,
      name: 'sum',
      namespace: 'default',
      jobType: 'batch',
      engine: 'docker',
      state: 'Failed',
      count: 1,
      labels: {},
      createdAt: WALL,
      modifiedAt: WALL,
    } as const;
    cluster.input(0, {
      type: 'gossip',
      from: idOf(9),
      gossip: { type: 'closed', close: { record: close, votes: [] }, summary },
    });
    assert.equal(cluster.machine(0).inspect().holds.length, 1);
  });
});

describe('a record that is refused', () => {
  const advert = { ...advertOf(2), by: asPublicKey('0'.repeat(64)) };
  const faults = (input: Input): readonly boolean[] =>
    new Cluster({ nodes: 1 })
      .input(0, input)
      .flatMap((effect) => (effect.type === 'refuse' ? [effect.fault] : []));

  it('is held against the peer that sent it', () => {
    const message = { type: 'advert', advert } as const;
    assert.deepEqual(faults({ type: 'message', from: idOf(1), message }), [true]);
  });
  it('is not held against a neighbour that passed it on as gossip', () => {
    const gossip = { type: 'advert', advert } as const;
    assert.deepEqual(faults({ type: 'gossip', from: idOf(1), gossip }), [false]);
  });
});
