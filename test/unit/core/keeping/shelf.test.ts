/** A job that is over is on disk only, is the same job to whoever asks, and never runs again. */
import { FIRST_CONFIG } from '../../../../src/core/record/chain.ts';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { createSuite } from '../../../../p2p/wire/suite.ts';
import { firstEpoch } from '../../../../src/core/record/ballot.ts';
import { asHlc, asMillis, asRequestId } from '../../../../src/core/record/ids.ts';
import type { JobId } from '../../../../src/core/record/ids.ts';
import type { JobInspection } from '../../../../src/core/contract/inspection.ts';
import type { StoredRecord } from '../../../../src/core/contract/stored.ts';
import type { Effect } from '../../../../src/core/contract/effect.ts';
import type { Input } from '../../../../src/core/contract/input.ts';
import type { Message } from '../../../../src/core/contract/messages.ts';
import { executionIdOf } from '../../../../src/core/record/execution-id.ts';
import type { Certified, Committed, Signed, Slot } from '../../../../src/core/record/records.ts';
import { jobIdOf } from '../../../../src/core/record/verify.ts';
import { createCrypto } from '../../../../src/store/crypto.ts';
import { ownerKey } from '../../../simulation/fast-suite.ts';
import { Cluster, DONE } from '../cluster.ts';
import type { ClusterOptions } from '../cluster.ts';
import {
  WALL,
  admitted,
  announcementOf,
  at,
  certify,
  closeOf,
  committed,
  decidedOf,
  grantOf,
  idOf,
  jobWith,
  nextSpec,
  storeOf,
  suiteOf,
} from '../fixtures.ts';

const request = asRequestId('q');
const token = 'a'.repeat(32);
const DAY = 24 * 3_600_000;

/** Three nodes ran a job to its end, and some time has passed. */
function closedJob({
  waitMs = 30_000,
  count = 1,
  ...options
}: Partial<ClusterOptions> & { waitMs?: number; count?: number } = {}) {
  const cluster = new Cluster({ nodes: 3, ...options });
  const ids = Array.from({ length: count }, (_, n) => {
    const reply = cluster.reply(cluster.submit(0, jobWith(), tokenOf(n)));
    assert.ok(reply?.type === 'receipt');
    return reply.job;
  });
  cluster.advance(5_000);
  const before = [0, 1, 2].map((node) => cluster.machine(node).inspect().jobs);
  cluster.advance(waitMs);
  return { cluster, ids, id: ids[0] ?? assert.fail(), before };
}

const tokenOf = (n: number): string => (n === 0 ? token : String(n).padStart(32, '0'));

/** Closed jobs of node 0 that are in memory. */
const inMemory = (cluster: Cluster): number => cluster.machine(0).sizes()['kept'] ?? 0;

const reads = (cluster: Cluster): number => cluster.effects('reload', 0).length;

/** What node 0 answers node 1. */
function ask(cluster: Cluster, query: Extract<Message, { type: 'find' }>['query']) {
  const before = cluster.messages('found').length;
  cluster.message(0, 1, { type: 'find', request, query });
  const found = cluster.messages('found').slice(before);
  assert.equal(found.length, 1);
  return found[0]?.message.answer ?? assert.fail();
}

/** What node 0 sent to `to` because of a message, reading included. */
function answers(cluster: Cluster, to: number, message: Message): readonly Message[] {
  const before = cluster.sent.length;
  cluster.message(0, to, message);
  return cluster.sent
    .slice(before)
    .filter((sent) => sent.from === idOf(0) && sent.to === idOf(to))
    .map((sent) => sent.message);
}

const runs = (cluster: Cluster): number => cluster.effects('run').length;

describe('a closed job', () => {
  it('leaves memory ten seconds after its end, and nothing of it is lost', () => {
    const { cluster, before } = closedJob();
    const { kept, shelf, 'ledger.committed': committedOf } = cluster.machine(0).sizes();
    assert.deepEqual([kept, shelf, committedOf], [0, 1, undefined]);
    assert.deepEqual(
      [0, 1, 2].map((node) => inOrder(cluster.inspect(node).jobs)),
      before.map(inOrder),
    );
  });

  it('is found by id, name and the beginning of its id, and listed without being read', () => {
    const { cluster, id, before } = closedJob();
    const list = ask(cluster, { type: 'jobs', namespace: null, limit: 10 });
    assert.ok(list.type === 'jobs');
    assert.deepEqual(
      list.jobs.map(({ job, state }) => [job, state]),
      [[id, 'Completed']],
    );
    const specs = ask(cluster, { type: 'specs', jobs: [id] });
    assert.ok(specs.type === 'specs' && specs.specs[0]?.body.job === id);
    assert.equal(reads(cluster), 0);
    const { owner } = before[0]?.[0]?.records.spec.body ?? assert.fail();
    for (const ref of [id, 'sum', id.slice(0, 12)]) {
      const answer = ask(cluster, { type: 'job', ref, namespace: 'default', from: 0, owner });
      assert.ok(answer.type === 'job', ref);
      assert.equal(answer.records.committed.length, 3);
    }
    assert.equal(reads(cluster), 1);
    const reply = cluster.reply(
      cluster.request(0, {
        type: 'query',
        query: { type: 'job', ref: 'sum', namespace: 'default', from: 0 },
      }),
    );
    assert.ok(reply?.type === 'answer', JSON.stringify(reply));
  });

  it('is read for somebody who asks without end no more often than for others', () => {
    const { cluster, ids } = closedJob({ count: 200, waitMs: 60_000 });
    assert.equal(inMemory(cluster), 0);
    cluster.lose = () => true;
    for (let turn = 0; turn < 10; turn += 1) {
      cluster.message(0, 1, { type: 'status-wanted', jobs: ids });
      for (const job of ids) cluster.message(0, 1, { type: 'commit', job, values: [] });
    }
    assert.ok(reads(cluster) <= 100, `${reads(cluster)} times`);
    assert.ok(inMemory(cluster) <= 128);
  });

  it('is waited for by 64 questions, and 256 such jobs are, while the disk is slow', () => {
    const { cluster, ids } = closedJob({ count: 300, waitMs: 60_000 });
    const handle = (input: Input): readonly Effect[] =>
      cluster.machine(0).handle(input, asMillis(cluster.now), asHlc(WALL + cluster.now));
    let asked = 0;
    const ask = (job: JobId): void => {
      // Nobody may ask for the disk more than a hundred times at once.
      const from = idOf(20 + Math.floor((asked += 1) / 50));
      const query = {
        type: 'job',
        ref: job,
        namespace: 'default',
        from: 0,
        owner: ownerKey(1),
      } as const;
      handle({ type: 'message', from, message: { type: 'find', request, query } });
    };
    const answered = (job: JobId): number =>
      handle({ type: 'reload', job, rows: null }).filter(
        (effect) => effect.type === 'send' && effect.message.type === 'found',
      ).length;
    const [first = assert.fail()] = ids;
    for (let n = 0; n < 100; n += 1) ask(first);
    assert.equal(answered(first), 64);
    const others = ids.slice(1);
    for (const job of others) ask(job);
    assert.equal(others.filter((job) => answered(job) > 0).length, 256);
  });

  it('is told to its keepers, all of it, and to nobody else', () => {
    const { cluster, id } = closedJob();
    for (const message of strangers(id)) {
      const told = answers(cluster, 9, message).filter(({ type }) => type === 'commit');
      assert.deepEqual(told, [], message.type);
    }
    const [commit] = answers(cluster, 1, { type: 'status-wanted', jobs: [id] });
    assert.ok(commit?.type === 'commit');
    assert.equal(commit.values.length, 3);
    cluster.advance(25_000);
    assert.equal(inMemory(cluster), 0);
  });

  it('leaves memory early when many end at once', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.lose = () => true;
    for (let n = 0; n < 200; n += 1) {
      const job = admitted(jobWith(), [1, 0, 2], { nonce: tokenOf(n) });
      cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
      const values = [committed(job, closeOf(job))];
      cluster.message(0, 1, { type: 'commit', job: job.spec.body.job, values });
    }
    assert.ok(inMemory(cluster) <= 128, `${inMemory(cluster)} are in memory`);
    assert.equal(cluster.machine(0).load().jobsKept, 200);
  });

  it('is not read at a start, and is the same after it', () => {
    const { cluster, id, before } = closedJob();
    cluster.crash(0);
    assert.deepEqual(cluster.store(0).restore().records, []);
    cluster.restart(0);
    cluster.advance(30_000);
    assert.equal(inMemory(cluster), 0);
    assert.deepEqual(inOrder(cluster.inspect(0).jobs), inOrder(before[0] ?? []));
    const list = ask(cluster, { type: 'jobs', namespace: null, limit: 10 });
    assert.deepEqual(list.type === 'jobs' && list.jobs.map(({ job, state }) => [job, state]), [
      [id, 'Completed'],
    ]);
  });
});

describe('what is finished stays finished', () => {
  for (const when of ['soon', 'after a restart of all']) {
    it(`when its keepers are asked to keep it again, ${when}`, () => {
      const { cluster, id, before } = closedJob();
      const { spec, admission } = before[0]?.[0]?.records ?? assert.fail();
      const ran = runs(cluster);
      if (when !== 'soon') for (const node of [0, 1, 2]) cluster.restart(node);
      for (const node of [0, 1, 2]) {
        cluster.message(node, 9, { type: 'admit', spec, admission: admission.record });
        cluster.message(node, 9, { type: 'activate', spec, admission });
      }
      cluster.advance(60_000);
      assert.equal(runs(cluster), ran);
      const closes = cluster.effects('note').filter(({ event }) => event === 'job.closed');
      assert.equal(closes.length, 3);
      assert.equal(cluster.job(0).job, id);
    });

    it(`when its token is submitted again after 300 others, ${when}`, () => {
      const { cluster, id } = closedJob({ count: 301, waitMs: 60_000 });
      if (when !== 'soon') for (const node of [0, 1, 2]) cluster.restart(node);
      cluster.advance(1_000);
      const ran = runs(cluster);
      const reply = cluster.reply(cluster.submit(0, jobWith(), token));
      assert.ok(reply?.type === 'receipt', JSON.stringify(reply));
      assert.deepEqual([reply.job, reply.again], [id, true]);
      cluster.advance(60_000);
      assert.equal(runs(cluster), ran);
    });
  }

  it('when its sponsor keeps nothing of it but the token', () => {
    const cluster = new Cluster({ nodes: 4, limits: { keepersMax: 3 } });
    const sponsor = 3;
    const first = cluster.reply(cluster.submit(sponsor, jobWith(), token));
    assert.ok(first?.type === 'receipt');
    cluster.advance(30_000);
    for (let n = 1; n <= 300; n += 1) cluster.submit(sponsor, jobWith(), tokenOf(n));
    cluster.advance(60_000);
    cluster.restart(sponsor);
    cluster.advance(10_000);
    const ran = runs(cluster);
    const again = cluster.submit(sponsor, jobWith(), token);
    cluster.advance(10_000);
    const reply = cluster.reply(again);
    assert.ok(reply?.type === 'receipt', JSON.stringify(reply));
    assert.equal(reply.job, first.job);
    assert.equal(reply.receipt.record.id, first.receipt.record.id);
    assert.equal(runs(cluster), ran);
  });

  it('when a keeper comes back that heard of no end, which then hears it', () => {
    const cluster = new Cluster({ nodes: 3, program: () => [{ type: 'phase', phase: 'running' }] });
    cluster.submit(0, jobWith());
    cluster.advance(1_000);
    const away = [0, 1, 2].find((node) => cluster.job(node).leading === null) ?? assert.fail();
    cluster.crash(away);
    for (const { order } of cluster.effects('run'))
      for (const node of [0, 1, 2]) if (node !== away) cluster.report(node, order.execution, DONE);
    cluster.advance(120_000);
    cluster.restart(away);
    cluster.advance(60_000);
    assert.equal(cluster.job(away).state, cluster.job((away + 1) % 3).state);
    assert.notEqual(cluster.job(away).state, 'Running');
  });

  it('when there are too many to keep their records: the id of the oldest is kept, on disk, too', () => {
    const { cluster, id } = closedJob({ count: 3, limits: { closedJobsMax: 2 } });
    const records = () =>
      new Set(
        cluster
          .store(0)
          .rows('records')
          .map(({ job }) => job),
      ).size;
    assert.equal(records(), 2);
    cluster.restart(0);
    const { spec, admission } =
      cluster.messages('activate').find(({ message }) => message.spec.body.job === id)?.message ??
      assert.fail();
    for (const message of [
      { type: 'admit', spec, admission: admission.record },
      { type: 'activate', spec, admission },
    ] as const)
      cluster.message(0, 1, message);
    cluster.advance(1_000);
    assert.equal(records(), 2);
    const reply = cluster.reply(cluster.submit(0, jobWith(), token));
    assert.equal(reply?.type === 'failed' && reply.problem.code, 'job-terminal');
  });

  it('when a keeper comes back after all others have forgotten how it ended', () => {
    const cluster = new Cluster({
      nodes: 3,
      limits: { closedJobsMax: 1 },
      program: () => [{ type: 'phase', phase: 'running' }],
    });
    cluster.submit(0, jobWith(), token);
    cluster.advance(1_000);
    const away = [0, 1, 2].find((node) => cluster.job(node).leading === null) ?? assert.fail();
    cluster.crash(away);
    const others = [0, 1, 2].filter((node) => node !== away);
    const end = () => {
      for (const { order } of cluster.effects('run'))
        for (const node of others) cluster.report(node, order.execution, DONE);
    };
    end();
    cluster.advance(60_000);
    const [other] = others;
    for (let n = 1; n <= 2; n += 1) {
      cluster.submit(other ?? 0, jobWith(), tokenOf(n));
      cluster.advance(1_000);
      end();
      cluster.advance(60_000);
    }
    cluster.restart(away);
    cluster.advance(60_000);
    assert.deepEqual(cluster.machine(away).inspect().jobs, []);
    const asked = cluster.messages('prepare').length;
    cluster.advance(120_000);
    assert.equal(cluster.messages('prepare').length, asked);
  });

  it('although one keeper says that it is over', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    const job = admitted(jobWith(), [1, 0, 2, 3, 4]);
    cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
    const over = { type: 'over', job: job.spec.body.job } as const;
    for (const node of [2, 2, 3]) cluster.message(0, node, over);
    assert.equal(inMemory(cluster), 1);
    cluster.message(0, 4, over);
    assert.equal(inMemory(cluster), 0);
  });

  it('when there is a proof of it and the results are to be had of nobody', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    const job = admitted(jobWith(), [1, 0, 2, 3, 4]);
    const { job: id } = job.spec.body;
    cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
    const over = { type: 'over', job: id } as const;
    const close = closeOf(job, { outcome: 'completed', code: 'completed' });
    cluster.message(0, 2, { type: 'closed', job: id, close: committed(job, close) });
    cluster.message(0, 2, over);
    cluster.advance(6_000);
    cluster.message(0, 2, over);
    assert.equal(inMemory(cluster), 1, 'another keeper may have them');
    cluster.advance(6_000);
    cluster.message(0, 2, over);
    assert.equal(inMemory(cluster), 0);
    assert.equal(cluster.store(0).rows('shelved')[0]?.value?.what, 'nothing');
  });

  it('until the day after which nobody would take it: then nothing is left of it', () => {
    const { cluster } = closedJob({ limits: { retentionMs: 60_000 } });
    cluster.advance(2 * DAY);
    for (const table of ['records', 'promises', 'accepted', 'submissions', 'shelved'] as const)
      assert.deepEqual(cluster.store(0).rows(table), [], table);
    const { shelf, cards } = cluster.machine(0).sizes();
    assert.deepEqual([shelf, cards], [0, 0]);
  });

  it('until then with what this keeper promised, and voted for as a further version', () => {
    const limits = { retentionMs: 60_000 };
    const cluster = new Cluster({ nodes: 1, program: () => [], limits });
    const job = admitted(jobWith(), [1, 0, 2]);
    const { job: id } = job.spec.body;
    const epoch = { ...job.epoch, number: 1, leader: idOf(2) };
    const spec = suiteOf(2).envelopeOf(nextSpec(job.spec, jobWith({ Count: 2 })));
    const sealed = { job: id, version: 2, spec, fallback: null, message: '' };
    const value = suiteOf(2).seal('version', sealed, at(5), 'node');
    const proposal = { epoch, values: [{ slot: 'version/2', value }] } as const;
    cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
    cluster.message(0, 2, { type: 'propose', job: id, ...proposal, states: [], commands: [] });
    const values = [committed(job, closeOf(job))];
    cluster.message(0, 1, { type: 'commit', job: id, values });
    cluster.advance(60_000);
    const rows = () =>
      (['promises', 'accepted'] as const).map((table) => cluster.store(0).rows(table).length);
    assert.deepEqual(rows(), [1, 1]);
    cluster.advance(2 * DAY);
    assert.deepEqual(rows(), [0, 0]);
  });

  it('with what this keeper promised, whoever calls it to the next version in a lower epoch', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    const job = admitted(jobWith({ Type: 'daemon', Count: 0 }), [1, 0, 2]);
    const { job: id } = job.spec.body;
    const [lower, epoch] = [2, 3].map((number) => ({ ...job.epoch, number, leader: idOf(2) }));
    assert.ok(lower !== undefined && epoch !== undefined);
    cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
    const nothing = { values: [], states: [], commands: [] };
    cluster.message(0, 2, { type: 'propose', job: id, epoch, ...nothing });
    const values = [committed(job, closeOf(job, { outcome: 'failed' }))];
    cluster.message(0, 1, { type: 'commit', job: id, values });
    cluster.advance(60_000);
    const promised = () =>
      cluster
        .store(0)
        .rows('promises')
        .map(({ value }) => value);
    assert.deepEqual(promised(), [epoch]);
    const spec = nextSpec(job.spec, jobWith({ Type: 'daemon', Count: 0 }, { Env: { V: '2' } }));
    const decided = decidedOf(job, spec);
    const grant = certify(grantOf(job, lower, 2), 'grant', [1, 2], lower);
    const called = { leader: idOf(2), spec: null, decided, grant };
    const announcement = announcementOf({ ...job, spec }, called);
    cluster.message(0, 2, { type: 'invite', announcement });
    assert.deepEqual(promised(), [epoch]);
  });

  it('when the disk cannot read it any more: it is asked of others, and does not run again here', () => {
    const { cluster, id, before } = closedJob();
    cluster.unreadable = (node, job) => node === 0 && job === id;
    const query = { type: 'job', ref: id, namespace: 'default', from: 0 } as const;
    const asked = cluster.request(0, { type: 'query', query });
    cluster.advance(5_000);
    assert.equal(cluster.reply(asked)?.type, 'answer');
    const { spec, admission } = before[0]?.[0]?.records ?? assert.fail();
    cluster.message(0, 9, { type: 'activate', spec, admission });
    assert.equal(inMemory(cluster), 0);
  });
});

/** Records have no order of their own. */
const inOrder = (jobs: readonly JobInspection[]) =>
  jobs
    .map(({ job, state, records: { committed: all, states } }) => ({
      job,
      state,
      ids: [...all.map(({ record }) => record.id), ...states.map(({ id }) => id)].sort(),
    }))
    .sort((a, b) => (a.job < b.job ? -1 : 1));

const strangers = (id: JobId): readonly Message[] => [
  { type: 'status-wanted', jobs: [id] },
  { type: 'job-wanted', job: id },
  { type: 'commit', job: id, values: [] },
  {
    type: 'propose',
    job: id,
    epoch: { config: { major: 0, minor: 0 }, number: 9, leader: idOf(9) },
    values: [],
    states: [],
    commands: [],
  },
  { type: 'voted', job: id, votes: [] },
  { type: 'started', job: id, executions: [] },
  { type: 'spec-wanted', job: id, version: 1 },
];

// — with real signatures

const crypto = createCrypto();
const seed = (text: string): Buffer => createHash('sha256').update(text).digest();
const suites = Array.from({ length: 5 }, (_, index) =>
  createSuite({ net: 'shoal', nodeSeed: seed(`node ${index}`), ownerSeed: seed('owner'), crypto }),
);
const [suite] = suites;

/** All records of a job of one partition that five keepers brought to its end. */
function records(): readonly StoredRecord[] {
  assert.ok(suite);
  const now = asHlc(WALL);
  const nonce = 'a'.repeat(32);
  const job = jobIdOf(suite, suite.owner, nonce);
  const nodes = suites.map((own) => own.nodeOf(probe(own).by));
  const [leader] = nodes;
  assert.ok(leader);
  const sponsored = { job, version: 1, sponsor: leader };
  const spec = suite.seal(
    'spec',
    { ...sponsored, owner: suite.owner, nonce, spec: jobWith(), notAfter: WALL + 1 },
    now,
    'owner',
  );
  const keepers = nodes.map((node, index) => ({ node, store: storeOf(index) }));
  const body = { ...sponsored, spec: spec.id, keepers };
  const epoch = firstEpoch({ ...body, config: FIRST_CONFIG, former: [] });
  const certify = <T extends Committed | 'admission'>(record: Signed<T>, slot: Slot) =>
    ({
      record,
      votes: suites.slice(0, 3).map((own, index) => {
        const vote = { job, of: record.id, slot, epoch, store: storeOf(index) };
        return own.seal('vote', vote, now, 'node');
      }),
    }) as Certified<T> as StoredRecord;
  const about = { job, version: 1, partition: 0, attempt: 0, node: leader };
  const execution = executionIdOf(suite, 'batch', about);
  const accept = { ...about, execution, exitCode: 0, result: null, holders: [] };
  const output = { stdout: 'x', stdoutTruncated: false, stderr: '', stderrTruncated: false };
  const usage = { cpuMs: 1, peakMemoryBytes: 1, wallMs: 1 };
  const state = {
    sequence: 4,
    phase: 'completed',
    restarts: 0,
    retryMs: null,
    failure: null,
    output,
    usage,
  } as const;
  const close = { outcome: 'completed', code: 'completed', message: '', evidence: [] } as const;
  const { holders: _, ...run } = accept;
  const assign = { ...about, replaces: null, adopts: null, execution, epoch };
  return [
    { record: spec, votes: [] },
    certify(suite.seal('admission', body, now, 'node'), 'admission'),
    certify(suite.seal('assign', assign, now, 'node'), 'assign/1/0/0'),
    certify(suite.seal('accept', accept, now, 'node'), 'accept/1/0'),
    certify(suite.seal('close', { job, version: 1, ...close }, now, 'node'), 'close/1'),
    { record: suite.seal('state', { ...run, ...state }, now, 'node'), votes: [] },
  ];
}

const probe = (own: (typeof suites)[number]): Signed<'vote'> =>
  own.seal(
    'vote',
    {
      job: jobIdOf(own, own.owner, 'a'.repeat(32)),
      of: 'a'.repeat(64) as never,
      slot: 'close/1',
      epoch: { config: { major: 0, minor: 0 }, number: 0, leader: own.nodeOf(own.owner) },
      store: storeOf(0),
    },
    asHlc(WALL),
    'node',
  );

describe('packed records', () => {
  it('are what they were, and hold on to no other memory', () => {
    assert.ok(suite);
    const all = records();
    const packed = suite.pack(all);
    assert.equal(packed.buffer.byteLength, packed.byteLength);
    const back = suite.unpack(packed);
    assert.deepEqual(back, all);
    const sound = (record: StoredRecord['record']): boolean =>
      record.type !== 'opaque' && suite?.verify(record) === true;
    assert.ok(back.every(({ record, votes }) => [record, ...votes].every(sound)));
  });

  it('of a job of one partition with five keepers take less than 10 KB', () => {
    assert.ok(suite);
    const { byteLength } = suite.pack(records());
    assert.ok(byteLength < 10_000, `${byteLength} bytes`);
  });
});
