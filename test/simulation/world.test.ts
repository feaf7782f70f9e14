/** The simulator's own parts, with a scripted machine in place of the core. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { wireHlc } from '../../p2p/wire/envelope.ts';
import type { ExecutionOrder, RunEvent } from '../../src/core/record/execution.ts';
import { asExecutionId, asHlc, asJobId, asNodeId } from '../../src/core/record/ids.ts';
import type { Signed } from '../../src/core/record/records.ts';
import type { NodeId } from '../../src/core/record/ids.ts';
import type { Effect } from '../../src/core/contract/effect.ts';
import type { Input } from '../../src/core/contract/input.ts';
import type { Machine } from '../../src/core/contract/machine.ts';
import type { StoreWrite } from '../../src/core/contract/stored.ts';
import { DEFAULT_LIMITS } from '../../src/core/contract/limits.ts';
import { createEventQueue } from './event-queue.ts';
import { createFastSuite, forge, hashText, nodeIdOf, nodeKey, ownerKey } from './fast-suite.ts';
import type { FaultPlan } from './faults.ts';
import { NO_FAULTS } from './faults.ts';
import type { Observer } from './observer.ts';
import { quietOptions } from './options.ts';
import { createRandom } from './random.ts';
import type { MachineFactory } from './sim-node.ts';
import { createSimRunner } from './sim-runner.ts';
import { createJobs } from './workload.ts';
import type { World } from './world.ts';
import { createWorld } from './world.ts';

const JOB = asJobId('j-00000000-0000-8000-8000-000000000000');

/** A machine that answers each input as told. */
function scripted(answer: (input: Input) => readonly Effect[]): MachineFactory {
  return () =>
    ({
      handle: (input) => answer(input),
      nextWake: () => null,
      inspect: () => assert.fail('a scripted machine is not inspected'),
      keeperNumbers: () => assert.fail('a scripted machine keeps no jobs'),
      onlyHere: () => [],
      sightings: () => [],
      load: () => ({ jobsKept: 0, executions: 0, jobsSetAside: 0 }),
      sizes: () => ({}),
    }) satisfies Machine;
}

function worldOf(
  nodes: number,
  plan: FaultPlan,
  create: MachineFactory,
  observers: readonly Observer[] = [],
): World {
  const world = createWorld(
    {
      nodes,
      plan,
      create,
      observers,
      owners: 1,
      limits: DEFAULT_LIMITS,
      unequal: false,
      freeze: true,
      forgetsAtRestart: [],
      tamper: null,
    },
    createRandom(1),
  );
  for (const node of world.nodes) world.startNode(node);
  return world;
}

const promiseWrite = (number: number, leader: NodeId): StoreWrite => ({
  table: 'promises',
  job: JOB,
  key: 'promise',
  value: { config: { major: 0, minor: 0 }, number, leader },
});

describe('event queue', () => {
  it('runs actions by time and, at one instant, in the order of adding', () => {
    const queue = createEventQueue();
    const seen: string[] = [];
    queue.after(5, () => seen.push('c'));
    queue.after(1, () => {
      seen.push('a');
      queue.after(0, () => seen.push('b'));
      queue.after(4, () => seen.push('d'));
    });
    for (const delay of [9, 7, 8, 6]) queue.after(delay, () => seen.push(String(delay)));
    queue.runUntil(100);
    assert.deepEqual(seen, ['a', 'b', 'c', 'd', '6', '7', '8', '9']);
    assert.equal(queue.now(), 100);
  });
});

describe('randomness', () => {
  it('is the same for the same seed and different for another seed or label', () => {
    const draw = (seed: number, label: string): readonly number[] => {
      const random = createRandom(seed).fork(label);
      return Array.from({ length: 5 }, () => random.integer(0, 1_000_000));
    };
    assert.deepEqual(draw(7, 'a'), draw(7, 'a'));
    assert.notDeepEqual(draw(7, 'a'), draw(8, 'a'));
    assert.notDeepEqual(draw(7, 'a'), draw(7, 'b'));
  });
});

describe('fast suite', () => {
  const suite = createFastSuite({ node: nodeKey(1), owner: ownerKey(1), freeze: true });
  const grant = suite.seal(
    'grant',
    { job: JOB, epoch: { config: { major: 0, minor: 0 }, number: 1, leader: asNodeId('x') } },
    asHlc(1),
    'node',
  );

  it('verifies what it sealed and nothing that was changed or signed for another', () => {
    assert.equal(suite.verify(grant), true);
    assert.equal(suite.verify({ ...grant, hlc: asHlc(2) }), false);
    assert.equal(suite.verify({ ...grant, by: nodeKey(2) }), false);
    assert.equal(suite.verify(forge(grant, nodeKey(2))), false);
    assert.equal(suite.verify({ ...grant }), true);
  });

  it('signs the time that comes back from the wire, whatever a clock says', () => {
    const clocks = fc.double({ min: 1_700_000_000_000, max: 1_900_000_000_000, noNaN: true });
    fc.assert(
      fc.property(clocks, (clock) => {
        const { hlc } = suite.seal('grant', grant.body, asHlc(clock), 'node');
        assert.equal(hlc, wireHlc(hlc));
      }),
    );
  });

  it('freezes records, so that changing one throws', () => {
    assert.throws(() => Object.assign(grant.body, { job: 'other' }), TypeError);
  });

  it('hashes texts evenly: no bucket of 16 is far from its share', () => {
    const buckets = new Map<string, number>();
    for (let index = 0; index < 16_000; index += 1) {
      const digit = hashText(`j|${index}`)[0] ?? '';
      buckets.set(digit, (buckets.get(digit) ?? 0) + 1);
    }
    for (const [digit, count] of buckets)
      assert.ok(count > 850 && count < 1_150, `${digit}: ${count}`);
    assert.match(hashText('a'), /^[0-9a-f]{64}$/);
  });

  it('gives every key its own node', () => {
    const ids = new Set(Array.from({ length: 2_000 }, (_, index) => nodeIdOf(nodeKey(index))));
    assert.equal(ids.size, 2_000);
  });
});

describe('a simulated node', () => {
  /** On `peer-connected`: persists, then sends. */
  const careful = scripted((input) =>
    input.type === 'peer-connected'
      ? [
          { type: 'persist', writes: [promiseWrite(1, input.node)] },
          { type: 'send', to: input.node, message: { type: 'ping', nonce: 1 } },
        ]
      : [],
  );
  const slowDisk = { ...NO_FAULTS, fsyncMs: 1_000 };

  it('sends nothing from behind a barrier before the write is on disk', () => {
    const sent: number[] = [];
    const world = worldOf(2, slowDisk, careful, [{ onSend: () => sent.push(world.queue.now()) }]);
    const [node, peer] = world.nodes;
    assert.ok(node && peer);
    world.queue.runUntil(990);
    assert.deepEqual(sent, []);
    world.queue.runUntil(10_000);
    assert.ok(sent.length >= 2 && sent.every((at) => at >= 1_000), String(sent));
    assert.equal(node.store.get('promises', JOB, 'promise')?.number, 1);
  });

  it('loses what was not synced when it crashes, and never sends what waited for it', () => {
    const sent: string[] = [];
    const world = worldOf(2, slowDisk, careful, [{ onSend: (from) => sent.push(from.id) }]);
    const node = world.nodes[0];
    assert.ok(node);
    node.deliver({ type: 'peer-connected', node: asNodeId('n0001') });
    node.deliver({ type: 'peer-connected', node: asNodeId('n0002') });
    const { store } = node;
    node.crash(() => 'lost');
    world.queue.runUntil(10_000);
    assert.ok(!sent.includes(node.id));
    assert.notEqual(node.store.id, store.id);
    assert.equal(node.store.restore().promises.length, 0);
  });

  it('that is told to leave while it is stopped counts as leaving, and as another process no more', () => {
    const [node] = worldOf(
      1,
      NO_FAULTS,
      scripted(() => []),
    ).nodes;
    assert.ok(node);
    node.pause();
    node.deliver({ type: 'drain', on: true });
    assert.equal(node.leaving, true);
    node.crash(() => 'kept');
    node.start();
    assert.equal(node.leaving, false);
  });

  it('that starts on a full disk is told so, and when there is room again', () => {
    const told: (readonly [number, boolean])[] = [];
    const world = worldOf(
      1,
      NO_FAULTS,
      scripted((input) => {
        if (input.type === 'disk') told.push([world.queue.now(), input.full]);
        return [];
      }),
    );
    const node = world.nodes[0];
    assert.ok(node);
    node.fillDisk(5_000);
    world.queue.runUntil(1_000);
    node.crash(() => 'kept');
    node.start();
    world.queue.runUntil(2_000);
    node.fillDisk(8_000);
    world.queue.runUntil(20_000);
    assert.deepEqual(told, [
      [0, true],
      [1_000, true],
      [2_000, true],
      [10_000, false],
    ]);
  });

  it('handles nothing while it is stopped and everything afterwards', () => {
    const handled: string[] = [];
    const world = worldOf(
      1,
      NO_FAULTS,
      scripted((input) => {
        handled.push(input.type);
        return [];
      }),
    );
    const node = world.nodes[0];
    assert.ok(node);
    node.pause();
    node.deliver({ type: 'drain', on: true });
    assert.deepEqual(handled, ['profile']);
    world.queue.runUntil(5_000);
    node.resume();
    assert.deepEqual(handled, ['profile', 'drain']);
    assert.equal(node.now(), 5_000);
  });

  it('restarts when the machine throws, and says so', () => {
    const defects: string[] = [];
    const create = scripted((input) => {
      if (input.type === 'drain') throw new Error('boom');
      return [];
    });
    const world = worldOf(1, NO_FAULTS, create, [
      { onDefect: (_node, _input, error) => defects.push(String(error)) },
    ]);
    world.nodes[0]?.deliver({ type: 'drain', on: true });
    assert.deepEqual(defects, ['Error: boom']);
    assert.equal(world.nodes[0]?.up, false);
    world.queue.runUntil(5_000);
    assert.equal(world.nodes[0]?.up, true);
  });
});

describe('the simulated network', () => {
  const pinger = scripted((input) =>
    input.type === 'drain'
      ? [{ type: 'send', to: nodeIdOf(nodeKey(1)), message: { type: 'ping', nonce: 7 } }]
      : [],
  );
  const received = (
    plan: FaultPlan,
    times: number,
    cut: boolean,
  ): { pings: number; unreachable: number } => {
    let pings = 0;
    let unreachable = 0;
    const world = worldOf(3, plan, pinger, [
      {
        onInput: (_node, input) => {
          if (input.type === 'message') pings += 1;
          if (input.type === 'unreachable') unreachable += 1;
        },
      },
    ]);
    if (cut) world.network.cut(0, 1);
    for (let time = 0; time < times; time += 1)
      world.nodes[0]?.deliver({ type: 'drain', on: true });
    world.queue.runUntil(200_000);
    return { pings, unreachable };
  };

  it('delivers once without faults', () => {
    assert.deepEqual(received(NO_FAULTS, 10, false), { pings: 10, unreachable: 0 });
  });

  it('loses and duplicates about as often as the plan says', () => {
    const lossy = received({ ...NO_FAULTS, lossRate: 0.3 }, 1_000, false);
    assert.ok(lossy.pings > 640 && lossy.pings < 760, String(lossy.pings));
    const doubled = received({ ...NO_FAULTS, duplicateRate: 0.5 }, 1_000, false);
    assert.ok(doubled.pings > 1_430 && doubled.pings < 1_570, String(doubled.pings));
  });

  it('tells the sender about a cut link, or keeps silent when the plan is a black hole', () => {
    assert.deepEqual(received(NO_FAULTS, 10, true), { pings: 0, unreachable: 10 });
    const silent = received({ ...NO_FAULTS, silentRate: 1 }, 100, true);
    assert.ok(silent.pings === 0 && silent.unreachable < 80, String(silent.unreachable));
  });

  it('carries gossip around a cut link but not across a partition', () => {
    const heard = (cuts: readonly (readonly [number, number])[]): number => {
      let count = 0;
      const gossiper = scripted((input) =>
        input.type === 'drain'
          ? [{ type: 'gossip', gossip: { type: 'advert', advert: {} as Signed<'advert'> } }]
          : [],
      );
      const world = worldOf(3, NO_FAULTS, gossiper, [
        { onInput: (_node, input) => (count += input.type === 'gossip' ? 1 : 0) },
      ]);
      for (const [from, to] of cuts) world.network.cut(from, to);
      world.nodes[0]?.deliver({ type: 'drain', on: true });
      world.queue.runUntil(5_000);
      return count;
    };
    assert.equal(heard([]), 2);
    assert.equal(heard([[0, 1]]), 2);
    assert.equal(
      heard([
        [0, 1],
        [2, 1],
      ]),
      1,
    );
    assert.equal(
      heard([
        [0, 1],
        [0, 2],
      ]),
      0,
    );
  });
});

describe('the simulated runner', () => {
  const order = (meta: Readonly<Record<string, string>>): ExecutionOrder => {
    const job = createJobs(
      { ...quietOptions(1, 1, 1).workload, owners: [ownerKey(0)] },
      NO_FAULTS,
      createRandom(1),
    )[0];
    assert.ok(job);
    return {
      execution: asExecutionId('e-1'),
      job: JOB,
      jobType: 'batch',
      jobName: 'j',
      namespace: 'default',
      version: 1,
      partition: 0,
      partitionCount: 1,
      attempt: 0,
      restarts: 0,
      epoch: 0,
      task: { ...job.spec.Task, Meta: meta },
      holders: [],
      timeoutMs: 0,
    };
  };
  const setUp = () => {
    const queue = createEventQueue();
    const events: string[] = [];
    const runner = createSimRunner({
      queue,
      random: createRandom(3),
      blackHole: false,
      faults: () => NO_FAULTS,
      emit: (_execution, event: RunEvent) =>
        events.push(event.type === 'phase' ? event.phase : event.type),
    });
    return { queue, events, runner };
  };

  it('reports every phase in order, then the end, once', () => {
    const { queue, events, runner } = setUp();
    runner.run(order({ 'sim-run-ms': '1000' }), false);
    runner.run(order({ 'sim-run-ms': '1000' }), false);
    queue.runUntil(60_000);
    assert.deepEqual(events, ['preparing', 'starting', 'running', 'publishing', 'ended']);
  });

  it('keeps a program running without its node and reports its end on resume', () => {
    const { queue, events, runner } = setUp();
    runner.run(order({ 'sim-run-ms': '10000' }), false);
    queue.runUntil(8_000);
    runner.detach(0);
    queue.runUntil(60_000);
    runner.attach(new Set([asExecutionId('e-1')]));
    runner.run(order({ 'sim-run-ms': '10000' }), true);
    queue.runUntil(70_000);
    assert.deepEqual(events, ['preparing', 'starting', 'running', 'publishing', 'ended']);
  });

  it('tells of a run that is over again when an older row of its node asks for it', () => {
    const { queue, events, runner } = setUp();
    runner.run(order({ 'sim-run-ms': '1000' }), false);
    queue.runUntil(60_000);
    runner.run(order({ 'sim-run-ms': '1000' }), false);
    assert.deepEqual(events.slice(-2), ['ended', 'ended']);
  });

  it('says so when the program died with its node', () => {
    const { queue, events, runner } = setUp();
    runner.run(order({ 'sim-run-ms': '10000' }), false);
    queue.runUntil(8_000);
    runner.detach(1);
    runner.attach(new Set([asExecutionId('e-1')]));
    runner.run(order({ 'sim-run-ms': '10000' }), true);
    assert.equal(events.at(-1), 'failed');
  });

  it('removes at start what no record explains', () => {
    const { queue, runner } = setUp();
    runner.run(order({}), false);
    queue.runUntil(100);
    runner.detach(0);
    runner.attach(new Set());
    assert.deepEqual(runner.runs(), []);
  });

  it('cancels, and says cancelled last', () => {
    const { queue, events, runner } = setUp();
    runner.run(order({ 'sim-run-ms': '100000' }), false);
    queue.runUntil(8_000);
    runner.cancel(asExecutionId('e-1'));
    queue.runUntil(200_000);
    assert.equal(events.at(-1), 'cancelled');
    assert.equal(
      runner.runs().some((run) => run.active),
      false,
    );
  });
});
