/** Jobs that every node which matches runs for as long as they go on: where they run, rest, come back and end. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RESTART_MAX_MS } from '../../../../src/core/contract/limits.ts';
import type { Profile } from '../../../../src/core/contract/profile.ts';
import type { RunEvent } from '../../../../src/core/record/execution.ts';
import type { ExecutionId, JobId } from '../../../../src/core/record/ids.ts';
import type { Job, JobType } from '../../../../src/job/model.ts';
import { profileOf } from '../../../simulation/profile.ts';
import { Cluster } from '../cluster.ts';
import type { ClusterOptions } from '../cluster.ts';
import { admitted, announcementOf, closeOf, committed, idOf, jobWith } from '../fixtures.ts';

const NODES = 5;
const RUNNING: readonly RunEvent[] = [{ type: 'phase', phase: 'running' }];
const exits: RunEvent = {
  type: 'ended',
  exitCode: 1,
  result: null,
  output: { stdout: 'x', stdoutTruncated: false, stderr: '', stderrTruncated: false },
  usage: { cpuMs: 1, peakMemoryBytes: 1, wallMs: 1 },
};
const fails = (kind: 'spec' | 'node' | 'transient' | 'limit'): RunEvent => ({
  type: 'failed',
  failure: { code: `a-${kind}`, class: kind, message: `because of ${kind}` },
  output: null,
  usage: null,
});
const daemon = (change: Partial<Omit<Job, 'Task'>> = {}): Job =>
  jobWith({ Type: 'daemon', Count: 0, ...change });
const inRoom = (value: string): Partial<Job> => ({
  Constraints: [{ Key: 'room', Operator: '=', Values: [value] }],
});

/** A mesh whose nodes carry a label that a test may change. */
class Mesh {
  readonly cluster: Cluster;
  readonly rooms: string[];

  constructor(options: Partial<ClusterOptions> = {}, rooms: readonly string[] = []) {
    this.rooms = Array.from({ length: NODES }, (_, node) => rooms[node] ?? 'a');
    const profile = (node: number) => ({ labels: { room: this.rooms[node] ?? '' } });
    this.cluster = new Cluster({ nodes: NODES, program: () => RUNNING, profile, ...options });
  }

  label(node: number, room: string): void {
    this.rooms[node] = room;
    this.profile(node, {});
  }

  profile(node: number, change: Partial<Profile>): void {
    const labels = { room: this.rooms[node] ?? '' };
    const profile = { ...profileOf(node, idOf(node)), labels, ...change };
    this.cluster.input(node, { type: 'profile', profile });
  }

  /** Starts of programs on a node, resumed ones left out. */
  starts(node: number) {
    return this.cluster.effects('run', node).filter(({ resume }) => !resume);
  }

  stops = (node: number): number => this.cluster.effects('cancel-run', node).length;

  all = (): readonly number[] =>
    Array.from({ length: NODES }, (_, node) => this.starts(node).length);

  execution(node: number): ExecutionId {
    return this.starts(node)[0]?.order.execution ?? assert.fail(`node ${node} runs it`);
  }

  get job(): JobId {
    return this.cluster.inspect(0).jobs[0]?.job ?? assert.fail('it is kept');
  }

  close(node = 0) {
    const { records } = this.cluster.job(node);
    for (const { record } of records.committed) if (record.type === 'close') return record.body;
    return null;
  }

  /** What the leader knows of the execution of a node. */
  state(node: number) {
    for (let keeper = 0; keeper < NODES; keeper += 1)
      for (const { leading, records } of this.cluster.inspect(keeper).jobs) {
        const state = records.states.find(({ body }) => body.node === idOf(node));
        if (leading !== null && state !== undefined) return state.body;
      }
    return assert.fail('its leader knows it');
  }

  stop(at = 0): void {
    this.cluster.request(at, { type: 'stop', job: this.job, reason: '' });
  }
}

const begun = (rooms: readonly string[] = [], options: Partial<ClusterOptions> = {}): Mesh => {
  const mesh = new Mesh(options, rooms);
  mesh.cluster.submit(0, daemon(inRoom('a')));
  mesh.cluster.advance(1_000);
  return mesh;
};

describe('a job for every node that goes on', () => {
  it('runs once on each that matches, in a place of its own, and comes to no end', () => {
    const mesh = begun(['a', 'a', 'b', 'a', 'a']);
    assert.deepEqual(mesh.all(), [1, 1, 0, 1, 1]);
    mesh.cluster.advance(3_600_000);
    assert.equal(mesh.close(), null);
    assert.equal(mesh.cluster.job(0).state, 'Running');
    assert.deepEqual(mesh.all(), [1, 1, 0, 1, 1]);
    const places = mesh.cluster
      .job(0)
      .records.committed.map(({ record }) => record.type === 'assign' && record.body.partition);
    assert.deepEqual(places.sort(), [0, 1, 2, 3]);
  });

  it('waits where no node matches, and tells why', () => {
    const mesh = begun(['b', 'b', 'b', 'b', 'b']);
    mesh.cluster.advance(600_000);
    assert.equal(mesh.close(), null);
    const request = mesh.cluster.request(0, {
      type: 'query',
      query: { type: 'job', ref: mesh.job, namespace: 'default', from: 0 },
    });
    const reply = mesh.cluster.reply(request);
    const answer = reply?.type === 'answer' ? reply.answer : null;
    assert.ok(answer?.type === 'job');
    assert.deepEqual(
      answer.waiting?.refusals.map(({ refusal, nodes }) => [refusal.code, nodes]),
      [['constraint', 5]],
    );
    mesh.label(3, 'a');
    mesh.cluster.advance(20_000);
    assert.deepEqual(mesh.all(), [0, 0, 0, 1, 0]);
  });

  it('runs on a node that comes an hour later, within seconds', () => {
    const mesh = new Mesh();
    mesh.cluster.crash(4);
    mesh.cluster.submit(0, daemon());
    mesh.cluster.advance(3_600_000);
    mesh.cluster.restart(4);
    mesh.cluster.advance(2_000);
    assert.deepEqual(mesh.all(), [1, 1, 1, 1, 1]);
  });

  it('is started again where its program ends, whatever the reason, later each time, and ends nowhere', () => {
    const mesh = begun();
    for (const [at, event] of [exits, fails('spec'), fails('node'), fails('limit')].entries()) {
      mesh.cluster.report(2, mesh.execution(2), [event]);
      mesh.cluster.advance(1_000 * 2 ** at - 100);
      assert.equal(mesh.starts(2).length, at + 1);
      mesh.cluster.advance(200);
      assert.equal(mesh.starts(2).length, at + 2);
    }
    assert.equal(mesh.state(2).restarts, 4);
    assert.deepEqual(mesh.all(), [1, 1, 5, 1, 1]);
    assert.equal(mesh.close(), null);
  });

  it('ends everywhere when its owner stops it, also on a node that was away then', () => {
    const mesh = begun();
    mesh.cluster.crash(3);
    mesh.stop();
    mesh.cluster.until('it is closed', () => mesh.close() !== null);
    assert.equal(mesh.close()?.outcome, 'stopped');
    assert.deepEqual([0, 1, 2, 4].map(mesh.stops), [1, 1, 1, 1]);
    mesh.cluster.restart(3);
    mesh.cluster.advance(10_000);
    assert.equal(mesh.stops(3), 1);
    mesh.cluster.advance(120_000);
    assert.deepEqual(mesh.all(), [1, 1, 1, 1, 1]);
  });

  it('is not begun again where it ran, though its keeper is gone and somebody tells of it long after its end', () => {
    const mesh = begun([], { limits: { keepersMax: 1 } });
    const { cluster } = mesh;
    const nodes = [0, 1, 2, 3, 4];
    const keeper = nodes.find((node) => cluster.inspect(node).jobs.some(({ leading }) => leading));
    assert.ok(keeper !== undefined, 'it has a keeper');
    const told = cluster.effects('gossip', keeper).find(({ gossip }) => gossip.type === 'announce');
    assert.ok(told?.gossip.type === 'announce');
    const { spec } = cluster.job(keeper).records;
    const announcement = { ...told.gossip.announcement, spec };
    cluster.request(keeper, { type: 'stop', job: cluster.job(keeper).job, reason: '' });
    const running = (): number => nodes.flatMap((node) => cluster.inspect(node).executions).length;
    cluster.until('it has ended everywhere', () => running() === 0);
    const others = nodes.filter((node) => node !== keeper);
    for (const node of nodes) cluster.crash(node);
    for (const node of others) cluster.restart(node);
    cluster.advance(30_000);
    const before = cluster.sent.length;
    for (const node of others) cluster.message(node, keeper, { type: 'invite', announcement });
    cluster.advance(120_000);
    assert.deepEqual(mesh.all(), [1, 1, 1, 1, 1]);
    const handedOn = cluster.sent.slice(before).filter(({ message }) => message.type === 'live');
    assert.deepEqual(handedOn, []);
  });

  it('is not begun again where it was stopped and forgotten for others, before its keepers heard of that', () => {
    const jobOf = (Type: JobType, n: number) =>
      admitted(jobWith({ Type, Count: 0 }), [1, 2, 3], { nonce: n.toString(16).padStart(32, '0') });
    const stopped = jobOf('daemon', 0);
    const { job } = stopped.spec.body;
    const cluster = new Cluster({
      nodes: 1,
      program: ({ jobType }) => (jobType === 'ops' ? [fails('spec')] : []),
    });
    const invite = (one: typeof stopped): unknown =>
      cluster.message(0, 1, { type: 'invite', announcement: announcementOf(one) });
    const runs = () => cluster.effects('run').filter(({ order }) => order.jobType === 'daemon');
    invite(stopped);
    const execution = runs()[0]?.order.execution ?? assert.fail();
    const because = committed(stopped, closeOf(stopped, { outcome: 'stopped' }));
    cluster.message(0, 1, { type: 'cancel', job, execution, because });
    for (let n = 1; n <= 2_048; n += 1) invite(jobOf('ops', n));
    assert.ok(cluster.inspect(0).executions.every((one) => one.execution !== execution));
    invite(stopped);
    assert.equal(runs().length, 1);
  });

  it('keeps the place of a node that is gone, and goes on there when it is back', () => {
    const mesh = begun();
    const execution = mesh.execution(2);
    mesh.cluster.crash(2);
    mesh.cluster.advance(600_000);
    mesh.cluster.restart(2);
    mesh.cluster.advance(5_000);
    const resumed = mesh.cluster.effects('run', 2).filter(({ resume }) => resume);
    assert.deepEqual(
      resumed.map(({ order }) => order.execution),
      [execution],
    );
    assert.equal(mesh.starts(2).length, 1);
    assert.equal(mesh.cluster.job(0).records.committed.length, NODES);
  });
});

describe('a node that does not match such a job any more', () => {
  it('has it rest, tells its leader why, and goes on with the same execution when it matches again', () => {
    const mesh = begun();
    const execution = mesh.execution(2);
    mesh.label(2, 'b');
    assert.equal(mesh.stops(2), 1);
    assert.equal(mesh.state(2).retryMs, 0);
    assert.match(mesh.state(2).failure?.message ?? '', /does not match .*room = a/);
    mesh.cluster.advance(600_000);
    assert.equal(mesh.starts(2).length, 1);
    mesh.label(2, 'a');
    mesh.cluster.advance(1_500);
    const [, again] = mesh.starts(2);
    assert.deepEqual([again?.order.execution, again?.order.restarts], [execution, 1]);
    assert.equal(mesh.state(2).retryMs, null);
    assert.equal(mesh.cluster.job(0).records.committed.length, NODES);
  });

  it('starts it ever later when it comes to match again and again', () => {
    const mesh = begun();
    const pauses = Array.from({ length: 10 }, () => {
      mesh.label(2, 'b');
      const before = mesh.starts(2).length;
      mesh.label(2, 'a');
      const since = mesh.cluster.now;
      mesh.cluster.until('it runs', () => mesh.starts(2).length > before, 2 * RESTART_MAX_MS);
      return Math.round((mesh.cluster.now - since) / 1_000);
    });
    assert.deepEqual(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
  });

  it('has it rest over a restart, and under other labels goes on', () => {
    const mesh = begun();
    mesh.label(2, 'b');
    mesh.cluster.crash(2);
    mesh.cluster.restart(2);
    mesh.cluster.advance(60_000);
    assert.equal(mesh.cluster.effects('run', 2).length, 1);
    mesh.cluster.crash(2);
    mesh.rooms[2] = 'a';
    mesh.cluster.restart(2);
    mesh.cluster.advance(10_000);
    assert.equal(mesh.starts(2).length, 2);
  });

  it('waits with the next start until the program has stopped', () => {
    const mesh = begun([], { deaf: true });
    mesh.label(2, 'b');
    mesh.label(2, 'a');
    mesh.cluster.advance(120_000);
    assert.equal(mesh.starts(2).length, 1);
    const cancelled = { type: 'cancelled', output: null } as const;
    mesh.cluster.report(2, mesh.execution(2), [cancelled]);
    mesh.cluster.advance(35_000);
    assert.equal(mesh.starts(2).length, 2);
  });

  it('has room for others while it rests', () => {
    const mesh = begun();
    const reserved = () => mesh.cluster.inspect(2).reserved.memoryBytes;
    assert.ok(reserved() > 0);
    mesh.label(2, 'b');
    assert.equal(reserved(), 0);
  });

  it('goes on with what runs while its engine does not answer', () => {
    const mesh = begun();
    mesh.profile(2, { engines: {} });
    assert.equal(mesh.stops(2), 0);
  });

  it('ends what rests when the job is stopped', () => {
    const mesh = begun();
    mesh.label(2, 'b');
    mesh.stop();
    mesh.cluster.advance(5_000);
    const phases = mesh.cluster.inspect(2).executions.map(({ phase }) => phase);
    assert.deepEqual(phases, ['cancelled']);
    mesh.label(2, 'a');
    mesh.cluster.advance(60_000);
    assert.equal(mesh.starts(2).length, 1);
  });
});

describe('a node that leaves', () => {
  it('has such a job rest, does not wait for it, and goes on when it stays', () => {
    const mesh = begun();
    mesh.cluster.input(2, { type: 'drain', on: true });
    assert.equal(mesh.stops(2), 1);
    assert.equal(mesh.cluster.machine(2).load().executions, 0);
    mesh.cluster.advance(60_000);
    assert.equal(mesh.starts(2).length, 1);
    mesh.cluster.input(2, { type: 'drain', on: false });
    mesh.cluster.advance(1_500);
    assert.equal(mesh.starts(2).length, 2);
  });
});
