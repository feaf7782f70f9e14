/**
 * The simulated mesh: one virtual clock, one queue, one seed; nodes, their network and their
 * clients. Performs the effects of the machines and tells its observers. Injects nothing by itself:
 * `chaos.ts` breaks things, `checkers.ts` watches, `run.ts` puts it all together.
 */
import type { JobId, PublicKey, StoreId } from '../../src/core/record/ids.ts';
import type { EventQueue } from './event-queue.ts';
import { createEventQueue } from './event-queue.ts';
import { createFastSuite, nodeIdOf, nodeKey, ownerKey } from './fast-suite.ts';
import type { FaultPlan } from './faults.ts';
import { createHostile } from './hostile.ts';
import type { Network } from './network.ts';
import { createNetwork } from './network.ts';
import type { Observer } from './observer.ts';
import { joinObservers } from './observer.ts';
import type { Site, WorldOptions } from './perform.ts';
import { createPerformer } from './perform.ts';
import { profileOf, unequalProfileOf } from './profile.ts';
import type { Random } from './random.ts';
import type { DiskFate } from './sim-node.ts';
import { SimNode } from './sim-node.ts';
import { createSimRunner } from './sim-runner.ts';
import type { ClientJob, Clients } from './workload.ts';
import { createClients } from './workload.ts';

/** Up to this size every node is connected with every other; beyond, with this many. */
const FULL_MESH_MAX = 40;
const NEIGHBOURS = 10;

export interface World {
  readonly queue: EventQueue;
  readonly nodes: readonly SimNode[];
  readonly network: Network;
  readonly owners: readonly PublicKey[];
  readonly observer: Required<Observer>;
  /** Nodes that do not say what they should while there are faults. */
  readonly hostile: ReadonlySet<SimNode>;
  /** The faults of the present phase. */
  faults(): FaultPlan;
  setFaults(plan: FaultPlan): void;
  tell(text: string, node: SimNode | null, job: JobId | null): void;
  startNode(node: SimNode): void;
  crashNode(node: SimNode, fate: () => DiskFate): void;
  /** Tells two nodes that their connection came or went. */
  hint(
    type: 'peer-connected' | 'peer-disconnected',
    one: SimNode,
    other: SimNode,
    delayMs: number,
  ): void;
  neighbours(node: SimNode): readonly SimNode[];
  /** Runs `action` at random moments, as often per minute as the present plan says. */
  everyMinute(rate: (plan: FaultPlan) => number, random: Random, action: () => void): void;
  addClients(jobs: readonly ClientJob[], random: Random): Clients;
}

export function createWorld(options: WorldOptions, random: Random): World {
  const queue = createEventQueue();
  const nodes: SimNode[] = [];
  const network = createNetwork({
    nodes: options.nodes,
    queue,
    random: random.fork('network'),
    faults: () => site.plan,
    isUp: (index) => (nodes[index] as SimNode).up,
  });
  const site: Site = {
    options,
    random,
    queue,
    nodes,
    network,
    observer: joinObservers(options.observers),
    byId: new Map(),
    runners: [],
    owners: Array.from({ length: options.owners }, (_, index) => ownerKey(index)),
    hostile: null,
    plan: options.plan,
    clients: null,
  };
  addNodes(site);
  if (options.plan.hostileNodes > 0)
    site.hostile = createHostile(nodes, () => site.plan, random.fork('hostile'));
  const edges = connect(nodes, random.fork('topology'));
  const world: World = {
    queue,
    nodes,
    network,
    owners: site.owners,
    observer: site.observer,
    hostile: site.hostile?.nodes ?? new Set(),
    faults: () => site.plan,
    setFaults: (next) => {
      site.plan = next;
    },
    tell: (text, node, job) => site.observer.onWorld(text, node, job),
    neighbours: (node) => edges[node.index] as readonly SimNode[],
    ...createComings(site, edges),
    everyMinute: (rate, own, action) => repeat(site, rate, own, action),
    addClients: (jobs, own) => {
      site.clients = createClients(world, jobs, own);
      return site.clients;
    },
  };
  return world;
}

function addNodes(site: Site): void {
  const { options, random, queue, observer, nodes, owners } = site;
  const faults = (): FaultPlan => site.plan;
  const indices = Array.from({ length: options.nodes }, (_, index) => index);
  const holes = new Set(
    random.fork('black holes').shuffled(indices).slice(0, options.plan.blackHoles),
  );
  const deaf = new Set(random.fork('deaf').shuffled(indices).slice(0, options.plan.deafNodes));
  const perform = createPerformer(site);
  for (const index of indices) {
    const runner = createSimRunner({
      queue,
      faults,
      random: random.fork(`runner ${index}`),
      blackHole: holes.has(index),
      // Events arrive as inputs of their own, never inside the effect that started the run.
      emit: (execution, event) =>
        queue.after(0, () => nodes[index]?.deliver({ type: 'run-event', execution, event })),
    });
    const owner = owners[index % owners.length] as PublicKey;
    const suite = createFastSuite({ node: nodeKey(index), owner, freeze: options.freeze });
    const id = nodeIdOf(nodeKey(index));
    const own = random.fork(`node ${index}`);
    const node = new SimNode({
      index,
      id,
      owner,
      queue,
      observer,
      faults,
      perform,
      runner,
      profile: options.unequal
        ? unequalProfileOf(index, id, random.fork(`profile ${index}`))
        : profileOf(index, id),
      random: own,
      create: (store: StoreId, restored, countedMs) =>
        options.create({ node: id, store, limits: options.limits, countedMs }, suite, restored),
      forgetsAtRestart: options.forgetsAtRestart,
    });
    node.broken = holes.has(index);
    node.deaf = deaf.has(index);
    node.skewMs = own.integer(-site.plan.skewMs, site.plan.skewMs);
    node.rate = 1 + own.between(-site.plan.clockRate, site.plan.clockRate);
    nodes.push(node);
    site.byId.set(id, node);
    site.runners.push(runner);
  }
}

/** Starts and ends of processes, and what their neighbours notice of them. */
function createComings(
  site: Site,
  edges: readonly (readonly SimNode[])[],
): Pick<World, 'hint' | 'startNode' | 'crashNode'> {
  const random = site.random.fork('hints');
  const hint: World['hint'] = (type, one, other, delayMs) => {
    for (const [node, peer] of [
      [one, other],
      [other, one],
    ] as const) {
      site.queue.after(delayMs, () => {
        if (type === 'peer-connected' && !peer.up) return;
        node.deliver({ type, node: peer.id });
      });
    }
  };
  const neighbours = (node: SimNode): readonly SimNode[] => edges[node.index] as readonly SimNode[];
  return {
    hint,
    startNode: (node) => {
      if (node.up) return;
      node.start();
      for (const peer of neighbours(node)) {
        if (peer.up) hint('peer-connected', node, peer, random.integer(1, 1_000));
      }
    },
    crashNode: (node, fate) => {
      node.crash(fate);
      for (const peer of neighbours(node)) {
        if (peer.up && !random.chance(site.plan.silentRate)) {
          hint('peer-disconnected', node, peer, random.integer(1, 200));
        }
      }
    },
  };
}

/** Runs `action` at exponentially distributed moments while the present plan wants it. */
function repeat(
  site: Site,
  rate: (plan: FaultPlan) => number,
  random: Random,
  action: () => void,
): void {
  const next = (): void => {
    const perMinute = rate(site.plan);
    // Switched off now: look again later, another phase may switch it on.
    if (perMinute <= 0) return site.queue.after(60_000, next);
    const wait = (-Math.log(1 - random.next()) * 60_000) / perMinute;
    return site.queue.after(wait, () => {
      if (rate(site.plan) > 0) action();
      next();
    });
  };
  next();
}

function connect(nodes: readonly SimNode[], random: Random): readonly (readonly SimNode[])[] {
  if (nodes.length <= FULL_MESH_MAX) {
    return nodes.map((node) => nodes.filter((other) => other !== node));
  }
  const sets = nodes.map(() => new Set<SimNode>());
  const join = (one: number, other: number): void => {
    if (one === other) return;
    sets[one]?.add(nodes[other] as SimNode);
    sets[other]?.add(nodes[one] as SimNode);
  };
  for (let index = 0; index < nodes.length; index += 1) {
    join(index, (index + 1) % nodes.length);
    while ((sets[index]?.size ?? 0) < NEIGHBOURS / 2)
      join(index, random.integer(0, nodes.length - 1));
  }
  return sets.map((set) => [...set]);
}
