/**
 * Carries out a fault plan: crashes, pauses, partitions, clock jumps, replays, forgeries; and at the end
 * heals what it broke.
 */
import type { NodeId } from '../../src/core/record/ids.ts';
import { asHlc } from '../../src/core/record/ids.ts';
import type { Limits } from '../../src/core/contract/limits.ts';
import type { Message } from '../../src/core/contract/messages.ts';
import type { Facts } from './facts.ts';
import { createDisks } from './disks.ts';
import type { Disks } from './disks.ts';
import { createFastSuite, forge, nodeKey, ownerKey } from './fast-suite.ts';
import { healed } from './faults.ts';
import type { Observer } from './observer.ts';
import { createOrphans } from './orphans.ts';
import { createPartitions } from './partitions.ts';
import type { Random } from './random.ts';
import type { DiskFate, SimNode } from './sim-node.ts';
import { createStrangers } from './strangers.ts';
import type { World } from './world.ts';

export interface Chaos {
  readonly observer: Observer;
  /**
   * Begins to break things, as often as the world's present plan says.
   * @param isWaiting whether a client has no receipt yet
   */
  begin(world: World, facts: Facts, limits: Limits, isWaiting: () => boolean): void;
  /** Ends every fault and brings nodes back; some may stay dead where every job can do without. */
  heal(): void;
}

/** Stores that are copied to be put back some day. */
const COPIES_PER_MINUTE = 4;
/** Messages remembered for replays. */
const RECORDED_MAX = 200;

export function createChaos(random: Random): Chaos {
  const recorded: { from: SimNode; to: NodeId; message: Message }[] = [];
  let begun: Begun | null = null;
  return {
    observer: {
      onSend: (from, to, message) => {
        // Reservoir of old messages: later ones replace earlier ones at random.
        const plan = begun?.world.faults();
        if (plan === undefined || plan.replaysPerMinute + plan.strangersPerMinute === 0) return;
        const entry = { from: from as SimNode, to, message };
        if (recorded.length < RECORDED_MAX) recorded.push(entry);
        else if (random.chance(0.05)) recorded[random.integer(0, RECORDED_MAX - 1)] = entry;
      },
    },
    begin: (world, facts, { keepersMax, reseedAfterMs }, isWaiting) => {
      const disks = createDisks(world, facts, keepersMax, random);
      const clocks = random.fork('clocks at restarts');
      const spare = Math.floor((Math.min(keepersMax, world.nodes.length) - 1) / 2);
      const deadMax = (): number => (isWaiting() ? spare : world.nodes.length / 2);
      begun = {
        world,
        facts,
        random,
        clocks,
        recorded,
        disks,
        departed: new Set(),
        deadMax,
        over: false,
      };
      schedule(begun);
      orphan(begun, reseedAfterMs, isWaiting);
    },
    heal: () => {
      if (begun !== null) heal(begun);
    },
  };
}

interface Begun {
  readonly world: World;
  readonly facts: Facts;
  readonly random: Random;
  /** Decides about clocks at restarts. */
  readonly clocks: Random;
  readonly recorded: readonly {
    readonly from: SimNode;
    readonly to: NodeId;
    readonly message: Message;
  }[];
  readonly disks: Disks;
  /** Nodes that went for good. */
  readonly departed: Set<NodeId>;
  /**
   * Half of the mesh must stay; and while a job is still to be admitted, a majority of any keeper set: who
   * submits just after their death does not know of it, and the same token asks the same keepers for ever.
   */
  readonly deadMax: () => number;
  over: boolean;
}

function schedule(chaos: Begun): void {
  const { world, facts, recorded, random } = chaos;
  const every = (
    label: string,
    rate: Parameters<World['everyMinute']>[0],
    action: () => void,
  ): void => world.everyMinute(rate, random.fork(label), action);
  const partitions = createPartitions(world, random.fork('partitions'));

  every(
    'crashes',
    (plan) => plan.crashesPerMinute,
    () => crash(chaos, random.pick(world.nodes)),
  );
  every(
    'blackouts',
    (plan) => plan.blackoutsPerMinute,
    () => {
      world.tell('the whole mesh goes down', null, null);
      for (const node of world.nodes) crash(chaos, node);
    },
  );
  every(
    'pauses',
    (plan) => plan.pausesPerMinute,
    () => pause(chaos, random.pick(world.nodes)),
  );
  every(
    'partitions',
    (plan) => plan.partitionsPerMinute,
    () => partitions.begin(),
  );
  every(
    'clock jumps',
    (plan) => plan.skewJumpsPerMinute,
    () => setClock({ ...chaos, clocks: random }, random.pick(world.nodes)),
  );
  every(
    'replays',
    (plan) => plan.replaysPerMinute,
    () => replay(chaos),
  );
  every(
    'forgeries',
    (plan) => plan.forgeriesPerMinute,
    () => forgeStop(chaos),
  );
  every(
    'labels',
    (plan) => plan.labelsPerMinute,
    () => random.pick(world.nodes).relabel({ zone: `z${random.integer(0, 3)}` }),
  );
  every(
    'drains',
    (plan) => plan.drainsPerMinute,
    () => leave(chaos, random.pick(world.nodes)),
  );
  every(
    'full disks',
    (plan) => plan.fullDisksPerMinute,
    () => {
      const node = random.pick(world.nodes);
      const ms = random.integer(1_000, 30_000);
      world.tell(`the disk of ${node.id} is full for ${ms} ms`, node, null);
      node.fillDisk(ms);
    },
  );
  every(
    'failed syncs',
    (plan) => plan.failedSyncsPerMinute,
    () => failSync(chaos, random.pick(world.nodes)),
  );
  every(
    'copies of stores',
    (plan) => (plan.rollbackRate > 0 ? COPIES_PER_MINUTE : 0),
    () => chaos.disks.remember(random.pick(world.nodes)),
  );
  every(
    'departures',
    (plan) => plan.departuresPerMinute,
    () => depart(chaos, random.pick(world.nodes)),
  );
  const strangers = createStrangers(world, facts, recorded, random.fork('strangers'));
  every(
    'strangers',
    (plan) => plan.strangersPerMinute,
    () => strangers.speak(),
  );
}

function orphan(chaos: Begun, reseedAfterMs: number, isWaiting: () => boolean): void {
  const { world, facts, departed } = chaos;
  const orphans = createOrphans({
    world,
    facts,
    random: chaos.random.fork('keepers that go'),
    reseedAfterMs,
    departed,
    isWaiting,
    depart: (node) => goForGood(chaos, node),
    leave: (node, ms) => {
      if (node.up) end(chaos, node, () => 'kept', ms);
    },
  });
  world.everyMinute(
    (plan) => plan.orphansPerMinute,
    chaos.random.fork('orphans'),
    () => orphans.orphan(),
  );
  world.everyMinute(
    (plan) => plan.strandingsPerMinute,
    chaos.random.fork('strandings'),
    () => orphans.strand(),
  );
}

function setClock({ world, clocks }: Begun, node: SimNode): void {
  const { skewMs } = world.faults();
  node.skewMs = clocks.integer(-skewMs, skewMs);
  world.tell(`${node.id} has its wall clock set to ${node.skewMs} ms off`, node, null);
}

function crash(chaos: Begun, node: SimNode): void {
  if (!node.up) return;
  chaos.world.tell(`${node.id} crashes`, node, null);
  end(chaos, node, chaos.disks.fateOf);
}

/** The process ends, and is started again a while later. @param ms after so long; else as the plan says */
function end(
  chaos: Begun,
  node: SimNode,
  fate: (node: SimNode) => DiskFate,
  ms: number | null = null,
): void {
  const { world, random } = chaos;
  const plan = world.faults();
  world.crashNode(node, () => fate(node));
  world.queue.after(ms ?? random.integer(plan.restartMinMs, plan.restartMaxMs), () => {
    if (node.up || chaos.over || chaos.departed.has(node.id)) return;
    if (chaos.clocks.chance(plan.skewAtRestartRate)) setClock(chaos, node);
    world.tell(`${node.id} starts again`, node, null);
    world.startNode(node);
  });
}

/** Its next write fails, with which a process ends. */
function failSync(chaos: Begun, node: SimNode): void {
  if (!node.up) return;
  node.failNextSync(() => {
    chaos.world.tell(`${node.id} fails to write to its disk`, node, null);
    end(chaos, node, chaos.disks.failed);
  });
}

/** A node leaves in order: it gives its work up, ends a while later, and comes back. */
function leave(chaos: Begun, node: SimNode): void {
  const { world, random } = chaos;
  if (!node.up) return;
  const { incarnation } = node;
  world.tell(`${node.id} begins to leave`, node, null);
  node.deliver({ type: 'drain', on: true });
  world.queue.after(random.integer(1_000, 30_000), () => {
    if (!chaos.over && node.incarnation === incarnation) crash(chaos, node);
  });
}

/** It is gone for good, as far as every job can do without it. */
function depart(chaos: Begun, node: SimNode): void {
  const { world, departed, disks } = chaos;
  if (departed.has(node.id) || node.index < world.owners.length) return;
  if (departed.size + 1 > chaos.deadMax()) return;
  if (!disks.survive(new Set([...departed, node.id]))) return;
  goForGood(chaos, node);
}

function goForGood({ world, departed, disks }: Begun, node: SimNode): void {
  if (departed.has(node.id)) return;
  departed.add(node.id);
  disks.leave(node);
  world.tell(`${node.id} goes for good`, node, null);
  if (node.up) world.crashNode(node, () => 'kept');
}

function pause(chaos: Begun, node: SimNode): void {
  const { world, random } = chaos;
  if (!node.up || node.paused) return;
  const plan = world.faults();
  // Most pauses are short; a few take the whole range.
  const share = random.next() ** 3;
  const ms = Math.floor(plan.pauseMinMs + share * (plan.pauseMaxMs - plan.pauseMinMs));
  const { incarnation } = node;
  world.tell(`${node.id} is stopped for ${ms} ms`, node, null);
  node.pause();
  world.queue.after(ms, () => {
    if (node.incarnation === incarnation) node.resume();
  });
}

function replay(chaos: Begun): void {
  const { world, random, recorded } = chaos;
  if (recorded.length === 0) return;
  const { from, to, message } = random.pick(recorded);
  const target = world.nodes.find((node) => node.id === to);
  if (target === undefined) return;
  world.tell(`an old ${message.type} of ${from.id} reaches ${to} again`, target, null);
  target.deliver({ type: 'message', from: from.id, message });
}

/** A stop that the owner did not sign: with another key, or with no key that fits. */
function forgeStop(chaos: Begun): void {
  const { world, facts, random } = chaos;
  const jobs = [...facts.jobs.values()].filter((job) => job.spec !== null);
  if (jobs.length === 0) return;
  const { job, spec, admitted } = random.pick(jobs);
  const stranger = createFastSuite({
    node: nodeKey(60_000),
    owner: ownerKey(60_000),
    freeze: false,
  });
  const body = {
    job,
    sequence: random.integer(1, 3),
    command: 'stop' as const,
    reason: 'forged',
    notAfter: Number.MAX_SAFE_INTEGER,
  };
  const own = stranger.seal('command', body, asHlc(random.pick(world.nodes).wall()), 'owner');
  const command = random.chance(0.5) ? own : forge(own, spec?.owner ?? own.by);
  for (const { node: id } of admitted?.body.keepers ?? []) {
    const target = world.nodes.find((node) => node.id === id);
    world.tell(`a forged stop reaches ${id}`, target ?? null, job);
    target?.deliver({
      type: 'message',
      from: random.pick(world.nodes).id,
      message: { type: 'command', command },
    });
  }
}

/** Whoever began to leave takes nothing more: it comes back as another process. */
function restart(world: World, node: SimNode): void {
  world.crashNode(node, () => 'kept');
  world.startNode(node);
}

function heal(chaos: Begun): void {
  const { world, random } = chaos;
  const before = world.faults();
  const dead = new Set<NodeId>(chaos.departed);
  const deadMax = chaos.deadMax();
  for (const node of random.shuffled(world.nodes)) {
    // Clients need every owner's first node to talk to.
    if (node.index < world.owners.length || dead.size + 1 > deadMax) continue;
    if (dead.has(node.id)) continue;
    if (!random.chance(before.deadRate)) continue;
    dead.add(node.id);
    if (!chaos.disks.survive(dead)) dead.delete(node.id);
  }
  chaos.over = true;
  world.setFaults(healed(before));
  world.network.restoreAll();
  world.tell(`faults end; ${dead.size} nodes stay dead`, null, null);
  for (const node of world.nodes) {
    if (dead.has(node.id)) {
      if (node.up) world.crashNode(node, () => 'kept');
    } else if (!node.up) world.startNode(node);
    else if (node.leaving) restart(world, node);
    else node.resume();
  }
  for (const node of world.nodes) {
    for (const peer of world.neighbours(node)) {
      if (peer.index > node.index)
        world.hint('peer-connected', node, peer, random.integer(1, 2_000));
    }
  }
}
