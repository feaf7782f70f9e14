/** How long a leader takes an execution for alive, and what brings one back that it gave up. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DEFAULT_LIMITS } from '../../../../src/core/contract/limits.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import { promiseWhole, snapshotWith } from '../promising.ts';
import type { Job } from '../../../../src/job/model.ts';
import { Cluster } from '../cluster.ts';
import { admitted, assignOf, committed, idOf, jobWith, stateOf } from '../fixtures.ts';

/** Node 0 is the machine under test and runs nothing; 1 and 2 keep the job, too; 7 runs it. */
const job = admitted(jobWith(), [0, 1, 2]);
const assign = assignOf(job, { node: 7 });
const { leaseLostMs, startTimeoutMs } = DEFAULT_LIMITS;

/** Node 0 keeps a job alone, so that nothing but the silence of its execution on 7 is in question. */
class Alone {
  readonly job;
  readonly assign;
  readonly cluster;

  constructor(executionTimeout = 0, meta: Job['Meta'] = {}) {
    const Timeouts = { ExecutionTimeout: executionTimeout, QueueTimeout: 3_600, TotalTimeout: 0 };
    this.job = admitted(jobWith({ Meta: meta }, { Timeouts }), [0]);
    this.assign = assignOf(this.job, { node: 7 });
    this.cluster = keeper(this.job, this.assign);
  }

  running(): void {
    running(this.cluster, this.assign);
  }

  renewing(seconds: number): void {
    renewing(this.cluster, seconds, this.assign);
  }

  announced(): number {
    return announced(this.cluster);
  }
}

function keeper(of = job, assigned = assign): Cluster {
  const cluster = new Cluster({ nodes: 1, program: () => [], profile: () => ({ engines: {} }) });
  cluster.message(0, 1, { type: 'activate', spec: of.spec, admission: of.admission });
  const values = [committed(of, assigned)];
  cluster.message(0, 1, { type: 'commit', job: of.spec.body.job, values });
  // A node was wanted until then.
  cluster.steps.length = 0;
  return cluster;
}

/** Node 0 leads, and knows that 7 runs the program. */
function leader(): Cluster {
  const cluster = keeper();
  running(cluster);
  return cluster;
}

function running(cluster: Cluster, of = assign): void {
  const state = stateOf(of, 7, { phase: 'running', sequence: 3 });
  cluster.message(0, 7, { type: 'states', states: [state] });
}

/** Keeper 1 says that the epoch stands. */
function promise(cluster: Cluster, of = job): void {
  const about = of.spec.body.job;
  const { grant } = cluster.messages('prepare').at(-1)?.message ?? assert.fail('a prepare');
  promiseWhole(
    cluster,
    { type: 'prepare', job: about, grant },
    1,
    snapshotWith(of, cluster.job(0).records),
  );
  assert.notEqual(cluster.job(0).leading, null);
}

/** How often nodes were asked to bid. */
const announced = (cluster: Cluster): number =>
  cluster.effects('gossip').filter(({ gossip }) => gossip.type === 'announce').length;

/** Now, and second by second. */
function renewing(cluster: Cluster, seconds: number, { body } = assign): void {
  const executions = [{ job: body.job, execution: body.execution }];
  for (let turn = 0; turn <= seconds; turn += 1) {
    if (turn > 0) cluster.advance(1_000);
    cluster.message(0, 7, { type: 'renew', executions });
  }
}

describe('a leader', () => {
  it('hears the renewals of its executions while it asks whether it still leads', () => {
    const cluster = leader();
    renewing(cluster, 60);
    assert.equal(cluster.job(0).leading, null, 'the other keepers are away');
    promise(cluster);
    renewing(cluster, 5);
    assert.equal(announced(cluster), 0);
  });

  it('hears each of several executions of one job meanwhile', () => {
    const two = admitted(jobWith({ Count: 2 }), [0, 1, 2]);
    const assigns = [0, 1].map((partition) => assignOf(two, { node: 7, partition }));
    const [first = assert.fail(), second = assert.fail()] = assigns;
    const cluster = keeper(two, first);
    const { job: id } = first.body;
    cluster.message(0, 1, { type: 'commit', job: id, values: [committed(two, second)] });
    for (const of of assigns) running(cluster, of);
    cluster.steps.length = 0;
    const executions = assigns.map(({ body }) => ({ job: id, execution: body.execution }));
    const renew = (seconds: number): void => {
      for (let turn = 0; turn < seconds; turn += 1) {
        cluster.advance(1_000);
        cluster.message(0, 7, { type: 'renew', executions });
      }
    };
    renew(60);
    assert.equal(cluster.job(0).leading, null, 'the other keepers are away');
    promise(cluster, two);
    renew(5);
    assert.equal(announced(cluster), 0);
  });

  it('gives an execution its whole lease after a time in which it did not run itself', () => {
    const cluster = leader();
    cluster.now += 3 * leaseLostMs;
    cluster.input(0, { type: 'wake' });
    promise(cluster);
    cluster.advance(leaseLostMs - 1_000);
    assert.equal(announced(cluster), 0);
    promise(cluster);
    cluster.advance(2_000);
    assert.ok(announced(cluster) > 0, 'its silence counts while the leader listens');
  });

  it('wants no other node any more once an execution that it took for lost is heard again', () => {
    const alone = new Alone();
    alone.running();
    alone.cluster.until('it is lost', () => alone.announced() > 0, 2 * leaseLostMs);
    alone.renewing(0);
    const before = alone.announced();
    alone.renewing(60);
    assert.equal(alone.announced(), before);
    alone.cluster.advance(2 * leaseLostMs);
    assert.ok(alone.announced() > before, 'it can be lost again');
  });

  it('takes an execution back that said too late that it was begun', () => {
    const alone = new Alone();
    alone.cluster.until('it is missed', () => alone.announced() > 0, 2 * startTimeoutMs);
    const before = alone.announced();
    const executions = [alone.assign.body.execution];
    alone.cluster.message(0, 7, { type: 'started', job: alone.job.spec.body.job, executions });
    alone.renewing(60);
    assert.equal(alone.announced(), before);
  });

  it('does not take back what ran longer than it may, although it renews', () => {
    const alone = new Alone(5);
    alone.running();
    // Half an hour is left to a container for what its own limit does not count.
    alone.renewing(1_810);
    const before = alone.announced();
    assert.ok(before > 0, 'another node is wanted');
    alone.renewing(60);
    assert.ok(alone.announced() > before, 'and goes on being wanted');
  });
});

describe('a leader whose job waits for who is cut off', () => {
  const meta = { 'shoal/partition-policy': 'wait', 'shoal/lost-after': '5m' };
  const lostAfterMs = 300_000;

  it('gives nothing to another node before the time is over, whatever it sees of the first', () => {
    const alone = new Alone(0, meta);
    alone.renewing(10);
    alone.cluster.input(0, { type: 'unreachable', node: idOf(7) });
    alone.cluster.advance(lostAfterMs - 1_000);
    assert.equal(alone.announced(), 0);
    alone.cluster.advance(1_000);
    assert.ok(alone.announced() > 0);
  });

  it('waits as long for one that never said that it had begun, and calls it seldom', () => {
    const alone = new Alone(0, meta);
    alone.cluster.advance(lostAfterMs - 1_000);
    assert.equal(alone.announced(), 0);
    const calls = alone.cluster.messages('assign').filter(({ to }) => to === idOf(7)).length;
    assert.ok(calls >= 10 && calls <= 40, `called ${calls} times`);
    alone.cluster.advance(1_000);
    assert.ok(alone.announced() > 0);
  });

  it('begins to count anew when it did not run itself', () => {
    const alone = new Alone(0, meta);
    alone.renewing(0);
    alone.cluster.now += 2 * lostAfterMs;
    alone.cluster.input(0, { type: 'wake' });
    alone.cluster.advance(lostAfterMs - 1_000);
    assert.equal(alone.announced(), 0);
  });

  it('gives it to another node at once when the first one declines', () => {
    const alone = new Alone(0, meta);
    const { job: about, execution } = alone.assign.body;
    const refusals = [{ code: 'expired' }] as const;
    alone.cluster.message(0, 7, { type: 'not-started', job: about, execution, refusals });
    alone.cluster.advance(1_000);
    assert.ok(alone.announced() > 0);
  });
});

describe('a leader that took over', () => {
  it('gives executions that are under way a lease, not the time to begin', () => {
    const own = admitted(jobWith(), [1, 0, 2]);
    const about = own.spec.body.job;
    const cluster = keeper(own, assignOf(own, { node: 7 }));
    cluster.message(0, 1, { type: 'not-leading', jobs: [about] });
    cluster.until('it stands', () => cluster.messages('prepare').length > 0, 5_000);
    promise(cluster, own);
    assert.deepEqual(
      cluster.job(0).records.committed.map(({ record }) => slotOf(record)),
      ['assign/1/0/0'],
    );
    cluster.advance(2 * startTimeoutMs);
    assert.equal(announced(cluster), 0);
    cluster.advance(leaseLostMs);
    promise(cluster, own);
    cluster.advance(1_000);
    assert.ok(announced(cluster) > 0, 'it is lost');
  });
});
