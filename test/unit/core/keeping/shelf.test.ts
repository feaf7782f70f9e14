/** A closed job in little memory is the same job: to its keepers, to whoever asks, and on disk. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { createSuite } from '../../../../p2p/wire/suite.ts';
import { firstEpoch } from '../../../../src/core/record/ballot.ts';
import { asHlc, asRequestId } from '../../../../src/core/record/ids.ts';
import type { StoredRecord } from '../../../../src/core/contract/stored.ts';
import type { Message } from '../../../../src/core/contract/messages.ts';
import { executionIdOf } from '../../../../src/core/placing/place.ts';
import type { Certified, Committed, Signed, Slot } from '../../../../src/core/record/records.ts';
import { jobIdOf } from '../../../../src/core/record/verify.ts';
import { createCrypto } from '../../../../src/store/crypto.ts';
import { Cluster, refusals } from '../cluster.ts';
import { WALL, closeOf, admitted, committed, idOf, jobWith, storeOf } from '../fixtures.ts';

const request = asRequestId('q');

/** Three nodes ran a job to its end, and some time has passed. */
function closedJob(waitMs = 30_000) {
  const cluster = new Cluster({ nodes: 3 });
  const reply = cluster.reply(cluster.submit(0, jobWith()));
  assert.ok(reply?.type === 'accepted');
  cluster.advance(5_000);
  const before = [0, 1, 2].map((node) => cluster.machine(node).inspect().jobs);
  cluster.advance(waitMs);
  return { cluster, id: reply.job, before };
}

/** Closed jobs of node 0 whose records lie open in memory. */
const open = (cluster: Cluster): number => cluster.machine(0).sizes()['warm'] ?? 0;

function ask(cluster: Cluster, query: Extract<Message, { type: 'find' }>['query']) {
  const effects = cluster.message(0, 1, { type: 'find', request, query });
  const [found] = effects.flatMap((e) => (e.type === 'send' ? [e.message] : []));
  assert.ok(found?.type === 'found');
  return found.answer;
}

describe('a closed job', () => {
  it('is packed ten seconds after its end, and nothing of it is lost', () => {
    const { cluster, before } = closedJob();
    assert.equal(open(cluster), 0);
    const { sizes } = cluster.machine(0);
    assert.equal(sizes()['ledger.committed'], undefined);
    assert.deepEqual([sizes()['kept'], sizes()['open']], [1, 0], 'no round looks at it any more');
    assert.deepEqual(
      [0, 1, 2].map((node) => cluster.machine(node).inspect().jobs),
      before,
    );
  });

  it('is found by id, name and the beginning of its id, and listed, without being unpacked', () => {
    const { cluster, id, before } = closedJob();
    const { owner } = before[0]?.[0]?.records.spec.body ?? assert.fail();
    for (const ref of [id, 'sum', id.slice(0, 12)]) {
      const answer = ask(cluster, { type: 'job', ref, namespace: 'default', owner });
      assert.ok(answer.type === 'job', ref);
      assert.deepEqual(answer.records, before[0]?.[0]?.records);
    }
    const list = ask(cluster, { type: 'jobs', namespace: null, limit: 10 });
    assert.ok(list.type === 'jobs');
    assert.deepEqual(
      list.jobs.map(({ job, state }) => [job, state]),
      [[id, 'Completed']],
    );
    const specs = ask(cluster, { type: 'specs', jobs: [id] });
    assert.ok(specs.type === 'specs' && specs.specs[0]?.body.job === id);
    assert.equal(open(cluster), 0);
  });

  it('is unpacked for a keeper that asks without end no more often than for others', () => {
    let unpacked = 0;
    const cluster = new Cluster({
      nodes: 3,
      suite: (suite) => ({
        ...suite,
        unpack(packed) {
          unpacked += 1;
          return suite.unpack(packed);
        },
      }),
    });
    for (let nonce = 0; nonce < 200; nonce += 1)
      cluster.submit(0, jobWith(), String(nonce).padStart(32, '0'));
    cluster.advance(60_000);
    const jobs = cluster
      .machine(0)
      .inspect()
      .jobs.map(({ job }) => job);
    assert.equal(jobs.length, 200);
    unpacked = 0;
    cluster.lose = () => true;
    for (let turn = 0; turn < 10; turn += 1) {
      cluster.message(0, 1, { type: 'lead-check', jobs });
      for (const job of jobs) cluster.message(0, 1, { type: 'commit', job, values: [] });
    }
    // Each is unpacked from two pieces.
    assert.ok(unpacked <= 2 * 2 * 100, `${unpacked} times`);
  });

  it('is unpacked for its keepers, who get all of it, and for nobody else', () => {
    const { cluster, id } = closedJob();
    const stranger: readonly Message[] = [
      { type: 'lead-check', jobs: [id] },
      { type: 'job-wanted', job: id },
      { type: 'commit', job: id, values: [] },
      {
        type: 'propose',
        job: id,
        epoch: { config: 0, number: 9, leader: idOf(9) },
        values: [],
        states: [],
        commands: [],
      },
      { type: 'voted', job: id, votes: [] },
      { type: 'started', job: id, executions: [] },
      { type: 'spec-wanted', job: id, version: 1 },
    ];
    for (const message of stranger) cluster.message(0, 9, message);
    assert.equal(open(cluster), 0);
    const effects = cluster.message(0, 1, { type: 'lead-check', jobs: [id] });
    const commits = effects.flatMap((e) =>
      e.type === 'send' && e.message.type === 'commit' ? e.message.values : [],
    );
    assert.equal(commits.length, 3);
    assert.deepEqual(refusals(effects), []);
    assert.equal(open(cluster), 1);
    cluster.advance(25_000);
    assert.equal(open(cluster), 0);
  });

  it('is packed early when many end at once', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.lose = () => true;
    for (let n = 0; n < 200; n += 1) {
      const nonce = String(n).padStart(32, '0');
      const job = admitted(jobWith(), [1, 0, 2], { nonce });
      cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
      const values = [committed(job, closeOf(job))];
      cluster.message(0, 1, { type: 'commit', job: job.spec.body.job, values });
    }
    assert.ok(open(cluster) <= 128, `${open(cluster)} are open`);
    assert.equal(cluster.machine(0).load().jobsKept, 200);
  });

  it('leaves nothing on disk when it makes room, or when its time is over', () => {
    const cluster = new Cluster({ nodes: 1, limits: { closedJobsMax: 1, retentionMs: 300_000 } });
    const rows = () => cluster.store(0).restore().records.length;
    cluster.submit(0, jobWith());
    cluster.advance(60_000);
    const ofOne = rows();
    cluster.submit(0, jobWith(), 'c'.repeat(32));
    cluster.advance(60_000);
    assert.equal(rows(), ofOne);
    cluster.advance(300_000);
    assert.equal(rows(), 0);
    assert.equal(cluster.machine(0).load().jobsKept, 0);
  });

  it('is the same after a restart', () => {
    const { cluster, before } = closedJob();
    cluster.crash(0);
    cluster.restart(0);
    cluster.advance(30_000);
    assert.equal(open(cluster), 0);
    const records = (jobs: (typeof before)[number] | undefined) => {
      const { committed: all, states, spec } = jobs?.[0]?.records ?? assert.fail();
      return { all: [...all].sort((a, b) => (a.record.id < b.record.id ? -1 : 1)), states, spec };
    };
    assert.deepEqual(records(cluster.machine(0).inspect().jobs), records(before[0]));
  });
});

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
  const body = { ...sponsored, spec: spec.id, config: 0, keepers };
  const epoch = firstEpoch(body);
  const certify = <T extends Committed | 'admission'>(record: Signed<T>, slot: Slot) =>
    ({
      record,
      votes: suites.slice(0, 3).map((own, index) => {
        const vote = { job, of: record.id, slot, epoch, store: storeOf(index) };
        return own.seal('vote', vote, now, 'node');
      }),
    }) as Certified<T> as StoredRecord;
  const about = { job, version: 1, partition: 0, attempt: 0, node: leader };
  const execution = executionIdOf(suite, about);
  const accept = { ...about, execution, exitCode: 0, result: null, holders: [] };
  const output = { stdout: 'x', stdoutTruncated: false, stderr: '', stderrTruncated: false };
  const usage = { cpuMs: 1, peakMemoryBytes: 1, wallMs: 1 };
  const state = { sequence: 4, phase: 'completed', failure: null, output, usage } as const;
  const close = { outcome: 'completed', code: 'completed', message: '', evidence: [] } as const;
  const { holders: _, ...run } = accept;
  return [
    { record: spec, votes: [] },
    certify(suite.seal('admission', body, now, 'node'), 'admission'),
    certify(suite.seal('assign', { ...about, execution, epoch }, now, 'node'), 'assign/0/0'),
    certify(suite.seal('accept', accept, now, 'node'), 'accept/0'),
    certify(suite.seal('close', { job, version: 1, ...close }, now, 'node'), 'close'),
    { record: suite.seal('state', { ...run, ...state }, now, 'node'), votes: [] },
  ];
}

const probe = (own: (typeof suites)[number]): Signed<'vote'> =>
  own.seal(
    'vote',
    {
      job: jobIdOf(own, own.owner, 'a'.repeat(32)),
      of: 'a'.repeat(64) as never,
      slot: 'close',
      epoch: { config: 0, number: 0, leader: own.nodeOf(own.owner) },
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
    assert.ok(back.every(({ record, votes }) => [record, ...votes].every(suite.verify)));
  });

  it('of a job of one partition with five keepers take less than 10 KB', () => {
    assert.ok(suite);
    const { byteLength } = suite.pack(records());
    assert.ok(byteLength < 10_000, `${byteLength} bytes`);
  });
});
