/** Only the node that the owner named in the spec admits the job: nobody else gives it keepers. */
import { firstConfiguration } from '../../../../src/core/record/chain.ts';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { firstEpoch } from '../../../../src/core/record/ballot.ts';
import { asRequestId } from '../../../../src/core/record/ids.ts';
import type { JobId } from '../../../../src/core/record/ids.ts';
import type { Effect } from '../../../../src/core/contract/effect.ts';
import type { Announcement, JobRecords } from '../../../../src/core/contract/messages.ts';
import type { Signed } from '../../../../src/core/record/records.ts';
import { Cluster, refusals } from '../cluster.ts';
import {
  admissionOf,
  announcementOf,
  assignOf,
  certify,
  closeOf,
  committed,
  idOf,
  jobWith,
  specOf,
  suiteOf,
} from '../fixtures.ts';
import type { Admitted } from '../fixtures.ts';

const SPONSOR = 1;
const MEMBER = 9;
const spec = specOf(jobWith(), { sponsor: idOf(SPONSOR) });
const { job } = spec.body;
const request = asRequestId('q');

/** The genuine spec, admitted by node number `by` to keepers that all signed. */
function admittedBy(by: number, keepers: readonly number[]): Admitted {
  const record = admissionOf(spec, keepers, {}, by);
  const epoch = firstEpoch(firstConfiguration(record.body));
  return { spec, admission: certify(record, 'admission', keepers, epoch), keepers, epoch };
}

const announcing = (of: Admitted, told: Signed<'spec'> | null = spec): Announcement =>
  announcementOf(of, { job, spec: told });

/** Node 0, connected to all that speak here. */
function node(): Cluster {
  const cluster = new Cluster({ nodes: 1, program: () => [] });
  for (const other of [SPONSOR, 2, 3, MEMBER])
    cluster.input(0, { type: 'peer-connected', node: idOf(other) });
  return cluster;
}

/** Refused as a contradiction, and nothing else done. */
function refusedAlone(effects: readonly Effect[], fault: boolean): void {
  assert.deepEqual(
    effects.map((effect) => effect.type === 'refuse' && [effect.code, effect.fault]),
    [['contradiction', fault]],
  );
}

function assertUnpromised(cluster: Cluster): void {
  assert.deepEqual(cluster.machine(0).inspect().holds, []);
  assert.deepEqual(cluster.messages('bid'), []);
}

describe('the admission of the sponsor that the owner named', () => {
  it('is by the node that the job was submitted through', () => {
    const cluster = new Cluster({ nodes: 3 });
    cluster.submit(2, jobWith());
    const { message } = cluster.messages('admit')[0] ?? assert.fail();
    assert.equal(message.spec.body.sponsor, idOf(2));
    assert.equal(message.admission.body.sponsor, idOf(2));
  });

  it('makes keepers, holds and answers (control)', () => {
    const cluster = node();
    const elsewhere = admittedBy(SPONSOR, [1, 2, 3]);
    cluster.message(0, 1, { type: 'invite', announcement: announcing(elsewhere) });
    assert.equal(cluster.machine(0).inspect().holds.length, 1);
    const { admission } = admittedBy(SPONSOR, [1, 0, 2]);
    cluster.message(0, SPONSOR, { type: 'admit', spec, admission: admission.record });
    assert.equal(cluster.messages('admitted').length, 1);
    cluster.message(0, SPONSOR, { type: 'activate', spec, admission });
    assert.equal(cluster.job(0).job, job);
  });
});

describe('a member’s own admission of a job that somebody else sponsored', () => {
  const own = admittedBy(MEMBER, [MEMBER]);
  const withUs = admittedBy(MEMBER, [MEMBER, 0, 8]);

  it('gets no vote', () => {
    const admission = withUs.admission.record;
    refusedAlone(node().message(0, MEMBER, { type: 'admit', spec, admission }), true);
  });

  it('activates nothing, whoever certified it', () => {
    const cluster = node();
    const { admission } = withUs;
    refusedAlone(cluster.message(0, MEMBER, { type: 'activate', spec, admission }), true);
    assert.deepEqual(cluster.machine(0).inspect().jobs, []);
  });

  it('gets no hold and no bid by an invitation', () => {
    const cluster = node();
    const announcement = announcing(own);
    refusedAlone(cluster.message(0, MEMBER, { type: 'invite', announcement }), true);
    assertUnpromised(cluster);
  });

  it('gets none by gossip either, for which the neighbour that repeats it is not to blame', () => {
    const cluster = node();
    const gossip = { type: 'announce', announcement: announcing(own) } as const;
    refusedAlone(cluster.input(0, { type: 'gossip', from: idOf(2), gossip }), false);
    assertUnpromised(cluster);
  });

  it('gets none when its spec follows', () => {
    const cluster = node();
    cluster.message(0, MEMBER, { type: 'invite', announcement: announcing(own, null) });
    assert.equal(cluster.messages('spec-wanted').length, 1);
    assertUnpromised(cluster);
    refusedAlone(cluster.message(0, MEMBER, { type: 'spec', spec }), true);
    assertUnpromised(cluster);
  });

  it('gets none from a keeper of the job, which has the spec already', () => {
    const cluster = node();
    const { admission } = admittedBy(SPONSOR, [1, 0, 2]);
    cluster.message(0, SPONSOR, { type: 'activate', spec, admission });
    const announcement = announcing(own, null);
    refusedAlone(cluster.message(0, MEMBER, { type: 'invite', announcement }), true);
    assertUnpromised(cluster);
  });

  it('starts no second run, not even at a node that bid for the job', () => {
    const cluster = node();
    const truly = announcing(admittedBy(SPONSOR, [1, 2, 3]));
    cluster.message(0, 1, { type: 'invite', announcement: truly });
    const assigns = [committed(own, assignOf(own, { node: 0 }))];
    const rest = { spec, admission: own.admission, grant: null, holders: [] };
    refusedAlone(cluster.message(0, MEMBER, { type: 'assign', ...rest, assigns }), true);
    assert.deepEqual(cluster.effects('run'), []);
    assert.equal(cluster.machine(0).inspect().holds.length, 1);
  });

  const found = ({ admission }: Admitted, committedValues: JobRecords['committed'] = []) => ({
    type: 'found' as const,
    request,
    answer: {
      type: 'job' as const,
      records: {
        spec,
        admission,
        grant: null,
        commands: [],
        committed: committedValues,
        states: [],
      },
      waiting: null,
      next: null,
    },
  });
  const falseEnd = found(own, [committed(own, closeOf(own))]);

  it('ends no look-up with an end that never was', () => {
    const cluster = node();
    cluster.input(0, {
      type: 'query',
      request,
      query: { type: 'job', ref: job, namespace: 'default', from: 0 },
    });
    assert.deepEqual(refusals(cluster.message(0, MEMBER, falseEnd)), ['contradiction']);
    cluster.message(0, SPONSOR, found(admittedBy(SPONSOR, [1, 2, 3])));
    cluster.advance(3_000);
    const reply = cluster.reply(request);
    assert.ok(reply?.type === 'answer', JSON.stringify(reply));
    assert.deepEqual(reply.answer.records.committed, []);
  });

  it('takes no stop of the owner', () => {
    const cluster = node();
    cluster.input(0, { type: 'stop', request, job, reason: '' });
    cluster.message(0, MEMBER, found(own));
    cluster.message(0, SPONSOR, found(admittedBy(SPONSOR, [1, 2, 3])));
    cluster.advance(3_000);
    const told = cluster.messages('command').map(({ to }) => to);
    assert.ok(told.includes(idOf(1)));
    assert.ok(!told.includes(idOf(MEMBER)));
  });
});

describe('an admission', () => {
  it('is the same after a restart of its sponsor, to all that did not answer', () => {
    for (let seed = 0; seed < 30; seed += 1) {
      const cluster = new Cluster({ nodes: 7, program: () => [] });
      cluster.lose = ({ message }) => message.type === 'admit';
      cluster.submit(0, jobWith(), String(seed).padStart(32, '0'));
      const asked = () => cluster.messages('admit').filter(({ from }) => from === idOf(0));
      const before = asked();
      const keepers = before[0]?.message.admission.body.keepers ?? assert.fail('it asks');
      // As a keeper it would remember by what it voted for.
      if (keepers.some(({ node }) => node === idOf(0))) continue;
      cluster.crash(0);
      cluster.restart(0);
      cluster.advance(2_000);
      const again = asked().slice(before.length);
      assert.ok(again.length >= 5, 'they are asked again');
      assert.equal(new Set(asked().map(({ message }) => message.admission.id)).size, 1);
      return;
    }
    assert.fail('no sponsor that is no keeper');
  });

  it('names those that its sponsor sent away only when there are not enough others', () => {
    const away = [4, 5, 6, 7].map(idOf);
    for (let seed = 0; seed < 10; seed += 1) {
      const cluster = new Cluster({ nodes: 8, program: () => [] });
      for (const node of away)
        cluster.input(0, { type: 'peer-disconnected', node, sentAway: true });
      // Others pass on what they say of themselves.
      cluster.advance(60_000);
      cluster.submit(0, jobWith(), String(seed).padStart(32, '0'));
      const [asked] = cluster.messages('admit');
      const keepers = asked?.message.admission.body.keepers ?? assert.fail('it asks');
      assert.equal(keepers.length, 5);
      assert.equal(keepers.filter(({ node }) => away.includes(node)).length, 1);
    }
  });

  describe('that its keepers have no room for now', () => {
    /** Node 0 asks 1 and 2, whose disks have become full meanwhile. */
    function turnedDown(): { cluster: Cluster; job: JobId } {
      const cluster = new Cluster({ nodes: 3, program: () => [] });
      cluster.lose = ({ message }) => message.type === 'admit';
      const first = cluster.submit(0, jobWith());
      cluster.lose = () => false;
      for (const node of [1, 2]) cluster.input(node, { type: 'disk', full: true });
      cluster.until('it is answered', () => cluster.reply(first) !== null, 5_000);
      const reply = cluster.reply(first);
      assert.ok(reply?.type === 'failed' && reply.problem.code === 'not-admitted');
      const { job } = reply.problem;
      for (const node of [1, 2]) cluster.input(node, { type: 'disk', full: false });
      return { cluster, job };
    }
    const admissions = (cluster: Cluster): number =>
      new Set(cluster.messages('admit').map(({ message }) => message.admission.id)).size;

    it('is the same when it is submitted again, after a restart, too: one of them may have voted', () => {
      for (const restarts of [false, true]) {
        const { cluster } = turnedDown();
        if (restarts) cluster.restart(0);
        const again = cluster.submit(0, jobWith());
        cluster.until('it is admitted', () => cluster.reply(again)?.type === 'receipt', 5_000);
        assert.equal(admissions(cluster), 1);
      }
    });

    it('is asked for no more by its sponsor until then, after a restart neither', () => {
      const { cluster } = turnedDown();
      const asked = cluster.messages('admit').length;
      cluster.advance(8_000);
      cluster.restart(0);
      cluster.advance(120_000);
      assert.equal(cluster.messages('admit').length, asked);
    });

    it('goes on by itself once it was submitted again, after a restart, too', () => {
      const { cluster, job } = turnedDown();
      cluster.lose = ({ message }) => message.type === 'admit';
      cluster.submit(0, jobWith());
      cluster.restart(0);
      cluster.lose = () => false;
      const there = (): boolean =>
        cluster
          .machine(1)
          .inspect()
          .jobs.some((kept) => kept.job === job);
      cluster.until('it is admitted', there, 30_000);
      assert.equal(admissions(cluster), 1);
    });

    it('is kept for good once the others vote for it after all', () => {
      const { cluster, job } = turnedDown();
      const here = (): boolean =>
        cluster
          .machine(0)
          .inspect()
          .jobs.some((kept) => kept.job === job);
      // Its own keeper hands it on when nobody activates it.
      cluster.until('it is activated', here, 30_000);
      cluster.restart(0);
      assert.ok(here());
    });
  });

  it('of a job that is over at its keepers is answered so, and asked for no more', () => {
    const cluster = new Cluster({ nodes: 3 });
    cluster.lose = ({ message }) => message.type === 'admit' || message.type === 'admitted';
    const first = cluster.submit(0, jobWith());
    const { job } = cluster.messages('admit')[0]?.message.spec.body ?? assert.fail();
    for (const node of [1, 2]) {
      cluster.crash(node);
      const value = { until: 86_400_000, what: 'nothing' } as const;
      cluster.store(node).apply([{ table: 'shelved', job, key: 'shelved', value }]);
      cluster.restart(node);
    }
    cluster.lose = () => false;
    const problem = { code: 'job-terminal', job, state: 'over' } as const;
    cluster.until('it is answered', () => cluster.reply(first) !== null, 5_000);
    assert.deepEqual(cluster.reply(first), { type: 'failed', problem });
    const asked = (): number => cluster.messages('admit').length;
    const before = asked();
    assert.deepEqual(cluster.reply(cluster.submit(0, jobWith())), { type: 'failed', problem });
    cluster.advance(8_000);
    assert.equal(asked(), before);
  });

  it('counts no vote under another epoch, with which the certificate would prove nothing', () => {
    const cluster = new Cluster({ nodes: 3, program: () => [] });
    cluster.lose = ({ message }) => message.type === 'admitted';
    const asked = cluster.submit(0, jobWith());
    const votes = cluster.messages('admitted').filter(({ from }) => from !== idOf(0));
    assert.ok(votes.length >= 2);
    cluster.lose = () => false;
    const [first, second] = votes.map(({ from, message }) => ({ from, vote: message.vote }));
    assert.ok(first !== undefined && second !== undefined);
    const { body, hlc } = first.vote;
    const spoilt = { ...body, epoch: { ...body.epoch, number: 1 } };
    const node = cluster.indexOf(first.from);
    const vote = suiteOf(node).seal('vote', spoilt, hlc, 'node');
    cluster.message(0, node, { type: 'admitted', job: body.job, vote });
    assert.equal(cluster.messages('activate').length, 0);
    cluster.message(0, cluster.indexOf(second.from), {
      type: 'admitted',
      job: body.job,
      vote: second.vote,
    });
    const [activate] = cluster.messages('activate');
    const epochs = activate?.message.admission.votes.map(({ body: { epoch } }) => epoch.number);
    assert.deepEqual(new Set(epochs), new Set([0]));
    assert.equal(cluster.reply(asked)?.type, 'receipt');
  });
});
