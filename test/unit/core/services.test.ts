/** The life of a service in a few machines: restarts, replacement, return, stop. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RunEvent } from '../../../src/core/record/execution.ts';
import { RESTART_MAX_MS, STEADY_MS } from '../../../src/core/contract/limits.ts';
import type { ExecutionId, JobId } from '../../../src/core/record/ids.ts';
import { Cluster, refusals } from './cluster.ts';
import type { ClusterOptions } from './cluster.ts';
import { at, idOf, jobWith, suiteOf } from './fixtures.ts';

const OUTPUT = { stdout: 'x', stdoutTruncated: false, stderr: '', stderrTruncated: false };
const USAGE = { cpuMs: 1, peakMemoryBytes: 1, wallMs: 1 };
const RUNNING: readonly RunEvent[] = [{ type: 'phase', phase: 'running' }];
const exits = (exitCode: number): RunEvent => ({
  type: 'ended',
  exitCode,
  result: null,
  output: OUTPUT,
  usage: USAGE,
});
const fails = (kind: 'spec' | 'node' | 'transient' | 'limit'): RunEvent => ({
  type: 'failed',
  failure: { code: `a-${kind}`, class: kind, message: `because of ${kind}` },
  output: null,
  usage: null,
});

class Service {
  readonly cluster: Cluster;

  constructor(options: Partial<ClusterOptions> = {}, count = 1) {
    this.cluster = new Cluster({ nodes: 5, program: () => RUNNING, ...options });
    this.cluster.submit(0, jobWith({ Type: 'service', Count: count }));
    this.cluster.until('it runs', () => this.runs().length >= count);
  }

  get job(): JobId {
    return this.runs()[0]?.job ?? assert.fail('it runs');
  }

  /** Every start of a program, in order. */
  runs() {
    return this.cluster.steps.flatMap(({ node, effects }) =>
      effects.flatMap((effect) => (effect.type === 'run' ? [{ node, ...effect.order }] : [])),
    );
  }

  /** The last one to begin. */
  get last() {
    return this.runs().at(-1) ?? assert.fail('it runs');
  }

  stopped(): readonly (readonly [number, ExecutionId])[] {
    return this.cluster.steps.flatMap(({ node, effects }) =>
      effects.flatMap((effect) =>
        effect.type === 'cancel-run' ? [[node, effect.execution] as const] : [],
      ),
    );
  }

  /** What its leader, or else another keeper, knows of an execution. */
  state(execution: ExecutionId) {
    for (const node of [0, 1, 2, 3, 4]) {
      if (this.cluster.machine(node) === undefined) continue;
      for (const { leading, records } of this.cluster.inspect(node).jobs) {
        const state = records.states.find(({ body }) => body.execution === execution);
        if (leading !== null && state !== undefined) return state.body;
      }
    }
    return assert.fail('its leader knows it');
  }

  /** Reports the end of its program, and waits for the next start. @returns how long it took */
  again(event: RunEvent): number {
    const { cluster, last } = this;
    const before = this.runs().length;
    const began = cluster.now;
    cluster.report(last.node, last.execution, [event]);
    cluster.until('it is started again', () => this.runs().length > before, 2 * RESTART_MAX_MS);
    return cluster.now - began;
  }
}

/** Who leads the first job of a cluster of five. */
const LEADER = 3;

const near = (ms: number, expected: number): void =>
  assert.ok(ms >= expected && ms <= expected + 200, `${ms}, not ${expected}`);

/** Nobody has to agree, and no time is lost on others. */
const ALONE = { nodes: 1 };
/** The leader runs nothing. */
const LED: Partial<ClusterOptions> = {
  profile: (node) => (node === 0 ? { engines: {} } : {}),
};

describe('the program of a service', () => {
  it('is started again after each end of it, on its node, as the same execution', () => {
    const service = new Service(ALONE);
    const [first = assert.fail()] = service.runs();
    for (const [at, event] of [exits(0), exits(3), fails('transient'), fails('limit')].entries()) {
      service.again(event);
      const { node, execution, restarts } = service.last;
      assert.deepEqual([node, execution, restarts], [first.node, first.execution, at + 1]);
    }
    assert.equal(service.cluster.job(0).state, 'Running');
  });

  it('waits for a second, then for twice as long each time, up to five minutes', () => {
    const service = new Service(ALONE);
    const pauses = Array.from({ length: 11 }, () => service.again(exits(1)));
    for (const [at, ms] of pauses.entries()) near(ms, Math.min(1_000 * 2 ** at, RESTART_MAX_MS));
  });

  it('waits for a second again when it ran for ten minutes', () => {
    const service = new Service(ALONE);
    for (let times = 0; times < 4; times += 1) service.again(exits(1));
    service.cluster.advance(STEADY_MS);
    near(service.again(exits(1)), 1_000);
    service.cluster.advance(STEADY_MS - 10_000);
    near(service.again(exits(1)), 2_000);
  });

  it('keeps its phase; how often and why it was started again is told to the leader', () => {
    const service = new Service(ALONE);
    const { node, execution } = service.last;
    service.cluster.report(node, execution, [fails('limit')]);
    const paused = service.state(execution);
    assert.deepEqual(
      [paused.phase, paused.restarts, paused.retryMs, paused.failure?.code],
      ['running', 1, 1_000, 'a-limit'],
    );
    service.cluster.advance(1_000);
    const again = service.state(execution);
    assert.deepEqual([again.phase, again.restarts, again.retryMs], ['running', 1, null]);
    service.again(exits(7));
    const { exitCode, failure, output, restarts } = service.state(execution);
    assert.deepEqual([exitCode, failure, output?.stdout, restarts], [7, null, 'x', 2]);
  });

  it('is started again after the rest of its pause when its node was restarted meanwhile, once', () => {
    const service = new Service(ALONE);
    for (let times = 0; times < 5; times += 1) service.again(exits(1));
    const { cluster, last } = service;
    const before = service.runs().length;
    cluster.report(last.node, last.execution, [exits(1)]);
    cluster.advance(2_000);
    cluster.crash(last.node);
    cluster.restart(last.node);
    assert.equal(service.runs().length, before, 'it is not taken up');
    const began = cluster.now;
    cluster.until('it runs', () => service.runs().length > before);
    near(cluster.now - began, 30_000);
    assert.equal(service.last.restarts, 6);
    cluster.crash(last.node);
    cluster.restart(last.node);
    assert.equal(service.last.restarts, 6, 'a run is taken up, and no other begun');
  });

  it('is started again within a lease by a node that comes back and reaches nobody', () => {
    const service = new Service();
    const { node, execution } = service.last;
    const { cluster } = service;
    cluster.report(node, execution, [exits(1)]);
    cluster.crash(node);
    cutOff(service, node);
    cluster.advance(10_000);
    const runs = () => service.runs().filter((run) => run.node === node).length;
    const before = runs();
    cluster.restart(node);
    cluster.until('it runs', () => runs() > before, 21_000);
  });

  it('is started again though that failed here once', () => {
    let failures = 0;
    const suite: ClusterOptions['suite'] = (whole) => ({
      ...whole,
      seal(type, body, ...rest) {
        const isStart = type === 'state' && 'restarts' in body && body.restarts > 0;
        if (isStart && 'retryMs' in body && body.retryMs === null && (failures += 1) === 1)
          throw new Error('a defect');
        return whole.seal(type, body, ...rest);
      },
    });
    const service = new Service({ ...ALONE, suite });
    service.cluster.defectsExpected = true;
    service.again(exits(1));
    assert.ok(failures > 1);
  });

  it('is told of again with the lease until the leader has heard it', () => {
    const service = new Service(LED);
    const { cluster, last } = service;
    cluster.lose = ({ message }) => message.type === 'states';
    cluster.report(last.node, last.execution, [exits(7)]);
    // It is started again meanwhile, and nobody hears of that either.
    cluster.advance(2_000);
    assert.equal(service.state(last.execution).exitCode, null);
    cluster.lose = () => false;
    cluster.advance(6_000);
    assert.equal(service.state(last.execution).exitCode, 7);
    const told = cluster.messages('states').length;
    cluster.advance(60_000);
    assert.equal(cluster.messages('states').length, told, 'and no more');
  });

  it('never completes, whatever its node says', () => {
    const service = new Service(LED);
    const { cluster, last } = service;
    const { restarts: _, ...of } = service.state(last.execution);
    const body = { ...of, restarts: 0, sequence: of.sequence + 1, phase: 'completed' } as const;
    const state = suiteOf(last.node).seal('state', body, at(cluster.now), 'node');
    assert.deepEqual(refusals(cluster.message(0, last.node, { type: 'states', states: [state] })), [
      'contradiction',
    ]);
  });

  it('that ends twice in the word of its runner ended once', () => {
    const service = new Service(ALONE);
    const { node, execution } = service.last;
    service.cluster.report(node, execution, [exits(1), exits(1)]);
    service.cluster.advance(1_000);
    assert.equal(service.last.restarts, 1);
  });

  it('that cannot be right ends its job, as that of a batch job does', () => {
    const service = new Service(ALONE);
    const { node, execution } = service.last;
    service.cluster.report(node, execution, [fails('spec')]);
    service.cluster.until('it failed', () => service.cluster.job(0).state === 'Failed');
  });

  it('moves to another node when its own cannot run it', () => {
    const service = new Service();
    const { node, execution } = service.last;
    service.cluster.report(node, execution, [fails('node')]);
    service.cluster.until('it runs', () => service.last.execution !== execution);
    assert.notEqual(service.last.node, node);
    assert.equal(service.last.restarts, 0);
  });
});

/** A cut between one node and all others, in both directions. */
function cutOff({ cluster }: Service, node: number): void {
  const id = idOf(node);
  cluster.lose = ({ from, to }) => (from === id) !== (to === id);
}

describe('a replica whose node is away', () => {
  it('is replaced within 30 s, while the others go on', () => {
    const service = new Service(LED, 2);
    const { cluster } = service;
    const { node } = service.last;
    const began = cluster.now;
    cluster.crash(node);
    cluster.until('it is replaced', () => service.runs().length === 3, 30_000);
    assert.ok(cluster.now - began <= 30_000);
    assert.notEqual(service.last.node, node);
    assert.deepEqual(service.stopped(), []);
  });

  it('leaves what it told its leader alone with all who keep the job, also when they are started again', () => {
    const service = new Service(LED);
    const { cluster } = service;
    const { node, execution } = service.last;
    cluster.until('its leader knows', () => service.state(execution).phase === 'running');
    const known = service.state(execution);
    cluster.crash(node);
    cluster.until('it is replaced', () => service.runs().length === 2, 30_000);
    cluster.advance(5_000);
    const others = [0, 1, 2, 3, 4].filter((one) => one !== node);
    const told = () =>
      others.map(
        (one) =>
          cluster.job(one).records.states.find(({ body }) => body.execution === execution)?.body,
      );
    assert.deepEqual(
      told(),
      others.map(() => known),
    );
    for (const one of others) cluster.crash(one);
    for (const one of others) cluster.restart(one);
    assert.deepEqual(
      told(),
      others.map(() => known),
    );
  });

  it('is replaced as soon when its own node led: who leads next knows that it is dead', () => {
    const service = new Service({
      profile: (node) => (node === LEADER || node === 4 ? {} : { engines: {} }),
    });
    const { cluster } = service;
    assert.equal(service.last.node, LEADER);
    assert.ok(cluster.inspect(LEADER).jobs[0]?.leading);
    cutOff(service, LEADER);
    // Its death is known after some 12 s; then it has the time of a restart, and no whole lease.
    cluster.until('it is replaced', () => service.runs().length === 2, 25_000);
  });

  it('stays when it is back, and the one in its place is stopped', () => {
    const service = new Service(LED);
    const { cluster } = service;
    const old = awayAndReplaced(service);
    const young = service.last;
    cluster.lose = () => false;
    cluster.until('the surplus is stopped', () => service.stopped().length > 0, 30_000);
    cluster.advance(60_000);
    assert.deepEqual(service.stopped(), [[young.node, young.execution]]);
    assert.equal(service.runs().length, 2);
    assert.equal(service.state(old.execution).phase, 'running');
  });

  it('is asked how far it is by its leader that was started again meanwhile, as that knows of the end alone', () => {
    const service = new Service({ profile: (node) => (node === 1 ? {} : { engines: {} }) });
    const { cluster } = service;
    const known = () =>
      [0, 2, 3, 4].flatMap((node) =>
        cluster
          .inspect(node)
          .jobs.flatMap(({ leading, records }) =>
            leading === null ? [] : [{ node, phase: records.states[0]?.body.phase }],
          ),
      )[0];
    const { node } = known() ?? assert.fail('it is led by a node that does not run it');
    cluster.crash(node);
    cluster.restart(node);
    cluster.until('its leader knows that it runs', () => known()?.phase === 'running', 30_000);
    assert.equal(known()?.node, node);
  });

  it('is stopped when nobody hears how far it is, though the word of that is lost once', () => {
    // Its node keeps nothing of the job, and knows of it what it is told.
    const service = new Service({ ...LED, program: () => [], limits: { keepersMax: 1 } });
    const { cluster } = service;
    const old = awayAndReplaced(service);
    const isFirst = () => cluster.messages('cancel').length === 1;
    cluster.lose = ({ from, message }) =>
      message.type === 'cancel' ? isFirst() : message.type === 'states' && from === idOf(old.node);
    cluster.until('it is stopped', () => service.stopped().length > 0, 60_000);
    assert.deepEqual(service.stopped(), [[old.node, old.execution]]);
    assert.equal(cluster.messages('cancel').length, 2);
  });

  it('stays for every later leader, also when what stopped it once is shown to it again', () => {
    const service = new Service(LED);
    const { cluster } = service;
    const old = awayAndReplaced(service);
    const young = service.last;
    const [record] = cluster
      .job(0)
      .records.committed.filter(
        (value) =>
          value.record.type === 'assign' && value.record.body.execution === young.execution,
      );
    cluster.lose = () => false;
    cluster.until('the surplus is stopped', () => service.stopped().length > 0, 30_000);
    cluster.crash(0);
    cluster.advance(60_000);
    cluster.restart(old.node);
    cluster.message(old.node, 1, {
      type: 'cancel',
      job: service.job,
      execution: old.execution,
      because: record ?? assert.fail('it was replaced'),
    });
    cluster.advance(60_000);
    assert.deepEqual(service.stopped(), [[young.node, young.execution]]);
    assert.equal(service.last.execution, old.execution, 'taken up again by its node');
  });

  it('is stopped again by a later leader when its node has an older row of it, in which it runs', () => {
    const limits = { keepersMax: 1 };
    const all = [0, 1, 2, 3, 4];
    const keeperIn = ({ cluster }: Service) =>
      all.findIndex((at) => cluster.inspect(at).jobs[0]?.keeper === true);
    const keeper = keeperIn(new Service({ limits }));
    const service = new Service({
      limits,
      profile: (at) => (at === keeper ? { engines: {} } : {}),
    });
    const { cluster } = service;
    assert.equal(keeperIn(service), keeper);
    awayAndReplaced(service);
    const { node, execution } = service.last;
    cluster.until('it runs', () => service.state(execution).phase === 'running');
    const { job } = service;
    const value = cluster.store(node).get('executions', job, execution);
    assert.ok(value !== null);
    cluster.lose = () => false;
    cluster.until('the surplus is stopped', () => service.stopped().length > 0, 30_000);
    cluster.advance(10_000);
    cluster.crash(node);
    cluster.store(node).apply([{ table: 'executions', job, key: execution, value }]);
    cluster.crash(keeper);
    cluster.restart(keeper);
    cluster.advance(1_000);
    cluster.restart(node);
    const stopped = () => service.stopped().filter((one) => one[1] === execution);
    cluster.until('it is stopped again', () => stopped().length > 1, 30_000);
  });

  it('stays when it was cut off together with its leader, and others led and replaced it meanwhile', () => {
    for (const delayMs of [0, 700]) {
      const service = new Service();
      const { cluster } = service;
      const old = service.last;
      const leader = [0, 1, 2, 3, 4].find((node) => cluster.inspect(node).jobs[0]?.leading) ?? 0;
      const away = new Set([idOf(leader), idOf(old.node)]);
      cluster.lose = ({ from, to }) => away.has(from) !== away.has(to);
      cluster.until('it is replaced', () => service.last.execution !== old.execution, 60_000);
      const young = service.last;
      cluster.advance(5_000);
      // Its word of how far it is comes after the first sign that it lives.
      const healedAt = cluster.now;
      cluster.lose = ({ message }) => message.type === 'states' && cluster.now < healedAt + delayMs;
      cluster.until('the surplus is stopped', () => service.stopped().length > 0, 30_000);
      cluster.advance(60_000);
      assert.deepEqual(service.stopped(), [[young.node, young.execution]], `${delayMs} ms`);
    }
  });

  it('is stopped though the first word of it is lost', () => {
    const service = new Service(LED);
    const { cluster } = service;
    awayAndReplaced(service);
    const young = service.last;
    let lost = 0;
    cluster.lose = ({ message }) => message.type === 'cancel' && (lost += 1) === 1;
    cluster.until('the surplus is stopped', () => service.stopped().length > 0, 30_000);
    assert.ok(lost > 1);
    assert.deepEqual(service.stopped(), [[young.node, young.execution]]);
  });

  it('is not begun anew as what it was when its node has forgotten it', () => {
    const service = new Service({ ...LED, limits: { keepersMax: 1 } });
    const { cluster } = service;
    const old = awayAndReplaced(service);
    cluster.lose = () => false;
    cluster.until('the surplus is stopped', () => service.stopped().length > 0, 30_000);
    const again = cluster
      .messages('assign')
      .find(({ message }) => message.assigns.some(({ record }) => record.body.adopts !== null));
    const { message, from } = again ?? assert.fail('it was taken back');
    const leader = cluster.indexOf(from);
    // Another node of that name: its disk is new, and it holds something for the same job.
    const other = new Cluster({ nodes: 5, program: () => RUNNING, ...LED });
    other.lose = () => true;
    const announced = cluster
      .effects('gossip')
      .find(({ gossip }) => gossip.type === 'announce')?.gossip;
    assert.ok(announced?.type === 'announce');
    other.message(old.node, leader, { type: 'invite', announcement: announced.announcement });
    assert.equal(other.inspect(old.node).holds.length, 1);
    other.message(old.node, leader, message);
    assert.deepEqual(other.effects('run'), []);
    assert.deepEqual(other.effects('refuse'), [], "and that is nobody's fault");
  });

  it('is stopped when it is back and its program does not run', () => {
    const service = new Service(LED);
    const { cluster } = service;
    const old = service.last;
    // Long pauses: it is still waiting when it is back.
    for (let times = 0; times < 9; times += 1) service.again(exits(1));
    cluster.report(old.node, old.execution, [exits(1)]);
    cutOff(service, old.node);
    cluster.until('it is replaced', () => service.last.execution !== old.execution, 60_000);
    cluster.lose = () => false;
    cluster.advance(30_000);
    const told = cluster
      .messages('cancel')
      .filter(({ message }) => message.execution === old.execution);
    assert.ok(told.length > 0);
    assert.equal(cluster.inspect(old.node).executions.length, 1);
    assert.equal(cluster.inspect(old.node).executions[0]?.phase, 'cancelled');
    cluster.advance(2 * RESTART_MAX_MS);
    assert.equal(service.last.node !== old.node, true, 'it is not started again');
  });
});

/** The node of its only replica is cut off until another one runs. @returns the one that is away */
function awayAndReplaced(service: Service) {
  const old = service.last;
  cutOff(service, old.node);
  service.cluster.until('it is replaced', () => service.last.execution !== old.execution, 60_000);
  return old;
}

describe('stopping a service', () => {
  const stop = (service: Service): void => {
    const { job } = service;
    service.cluster.request(0, { type: 'stop', job, reason: 'enough' });
  };

  it('ends all its replicas, and each that comes back later', () => {
    const service = new Service({}, 3);
    const { cluster } = service;
    const away = service.runs().find((run) => run.node !== 0) ?? assert.fail();
    cutOff(service, away.node);
    stop(service);
    cluster.advance(120_000);
    const here = service.runs().filter(({ node }) => node !== away.node);
    const sorted = (list: readonly ExecutionId[]) => [...list].sort();
    assert.deepEqual(
      sorted(service.stopped().map(([, execution]) => execution)),
      sorted(here.map(({ execution }) => execution)),
    );
    cluster.lose = () => false;
    cluster.until(
      'the one that was away is stopped',
      () => service.stopped().some(([node]) => node === away.node),
      10_000,
    );
    assert.equal(cluster.job(0).state, 'Stopped');
  });

  it('is told as what ended it, not how its program ended before', () => {
    for (const event of [exits(3), fails('limit')])
      for (const isPausing of [true, false]) {
        const service = new Service({ program: () => RUNNING });
        const { node, execution } = service.last;
        service.again(event);
        if (isPausing) service.cluster.report(node, execution, [event]);
        stop(service);
        const { body } =
          service.cluster
            .messages('states')
            .flatMap(({ message }) => message.states)
            .at(-1) ?? assert.fail('it is told');
        assert.deepEqual(
          [body.phase, body.exitCode, body.failure?.code, body.retryMs],
          ['cancelled', null, 'job-closed', null],
        );
      }
  });

  it('ends the pause of one that was about to be started again', () => {
    const service = new Service(ALONE);
    const { node, execution } = service.last;
    const { cluster } = service;
    for (let times = 0; times < 9; times += 1) service.again(exits(1));
    cluster.report(node, execution, [exits(1)]);
    const before = service.runs().length;
    stop(service);
    cluster.advance(2 * RESTART_MAX_MS);
    assert.equal(service.runs().length, before);
    assert.deepEqual(cluster.inspect(node).executions, [], 'it is over and forgotten');
    assert.deepEqual(service.stopped(), [], 'nothing ran that could be ended');
  });

  it('ends it for good, also for a node that is restarted before it can tell', () => {
    // The one keeper runs nothing, whichever it is.
    const runsOn = (node: number) => ({
      profile: (at: number) => (at === node ? {} : { engines: {} }),
    });
    const service = [1, 2]
      .map((node) => new Service({ ...runsOn(node), limits: { keepersMax: 1 } }))
      .find(({ cluster, last }) => !cluster.inspect(last.node).jobs.some(({ keeper }) => keeper));
    assert.ok(service);
    const { node, execution } = service.last;
    const { cluster } = service;
    for (let times = 0; times < 6; times += 1) service.again(exits(1));
    cluster.report(node, execution, [exits(1)]);
    cluster.lose = ({ from }) => from === idOf(node);
    stop(service);
    cutOff(service, node);
    const before = service.runs().length;
    cluster.crash(node);
    cluster.restart(node);
    assert.equal(cluster.inspect(node).executions[0]?.phase, 'cancelled');
    cluster.advance(RESTART_MAX_MS);
    assert.equal(service.runs().length, before);
  });

  it('is its end for a node that was off in the pause: it asks before it starts the program again', () => {
    const service = new Service({ profile: (at) => (at === 0 ? { engines: {} } : {}) });
    const { node, execution } = service.last;
    const { cluster } = service;
    cluster.report(node, execution, [exits(1)]);
    cluster.crash(node);
    stop(service);
    cluster.advance(RESTART_MAX_MS);
    const runs = () => service.runs().filter((run) => run.node === node).length;
    const before = runs();
    cluster.restart(node);
    cluster.advance(RESTART_MAX_MS);
    assert.equal(runs(), before);
    assert.deepEqual(cluster.inspect(node).executions, [], 'it is over and forgotten');
  });

  it('is its end, however its program ends at the same moment', () => {
    const service = new Service({ deaf: true });
    const { node, execution } = service.last;
    const { cluster } = service;
    stop(service);
    cluster.report(node, execution, [exits(0)]);
    cluster.advance(10_000);
    assert.equal(service.runs().length, 1);
    assert.deepEqual(cluster.inspect(node).executions, [], 'it is over and forgotten');
    assert.equal(cluster.job(0).state, 'Stopped');
  });
});

describe('a service that fits nowhere', () => {
  it('waits and says why', () => {
    const cluster = new Cluster({
      nodes: 2,
      program: () => RUNNING,
      profile: () => ({ engines: {} }),
    });
    cluster.submit(0, jobWith({ Type: 'service' }));
    cluster.advance(600_000);
    const { state, job } = cluster.job(0);
    assert.equal(state, 'Queued');
    const query = { type: 'job', ref: job, namespace: 'default', from: 0 } as const;
    const reply = cluster.reply(cluster.request(0, { type: 'query', query }));
    assert.ok(reply?.type === 'answer');
    assert.equal(reply.answer.waiting?.refusals[0]?.refusal.code, 'engine-missing');
  });
});

describe('a node that leaves', () => {
  it('does not wait for the end of a service whose replica it gave away', () => {
    const service = new Service();
    const { node, execution } = service.last;
    service.cluster.input(node, { type: 'drain', on: true });
    assert.deepEqual(service.stopped(), [[node, execution]]);
    service.cluster.until('it runs elsewhere', () => service.last.node !== node, 30_000);
    service.cluster.advance(5_000);
    assert.equal(service.cluster.machine(node).load().executions, 0);
  });
});
