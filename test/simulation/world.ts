/**
 * The simulated mesh: one virtual clock, one queue, one seed; nodes, their network and their
 * clients. Performs the effects of the machines and tells its observers. Injects nothing by itself:
 * `chaos.ts` breaks things, `checkers.ts` watches, `run.ts` puts it all together.
 */
import type { JobId, NodeId, PublicKey, StoreId } from '../../src/core/ids.ts';
import type { Effect, Limits, Profile } from '../../src/core/machine-types.ts';
import type { Message } from '../../src/core/messages.ts';
import type { EventQueue } from './event-queue.ts';
import { createEventQueue } from './event-queue.ts';
import { createFastSuite, freezeDeep, nodeIdOf, nodeKey, ownerKey } from './fast-suite.ts';
import type { FaultPlan } from './faults.ts';
import type { Network } from './network.ts';
import { createNetwork } from './network.ts';
import type { Observer } from './observer.ts';
import type { Random } from './random.ts';
import type { MachineFactory } from './sim-node.ts';
import { SimNode } from './sim-node.ts';
import type { SimRunner } from './sim-runner.ts';
import { createSimRunner } from './sim-runner.ts';
import type { Table } from './sim-store.ts';
import type { ClientJob, Clients } from './workload.ts';
import { createClients } from './workload.ts';

export interface WorldOptions {
  readonly nodes: number;
  readonly owners: number;
  readonly plan: FaultPlan;
  readonly limits: Limits;
  readonly create: MachineFactory;
  readonly observers: readonly Observer[];
  /** Freeze every record and message, to catch whoever changes one: costs time. */
  readonly freeze: boolean;
  readonly forgetsAtRestart: readonly Table[];
  /** A planted bug in transit: what is really sent in place of a message. */
  readonly tamper: ((message: Message) => Message) | null;
}

/** Up to this size every node is connected with every other; beyond, with this many. */
const FULL_MESH_MAX = 40;
const NEIGHBOURS = 10;

export interface World {
  readonly queue: EventQueue;
  readonly nodes: readonly SimNode[];
  readonly network: Network;
  readonly owners: readonly PublicKey[];
  readonly observer: Required<Observer>;
  /** The faults of the present phase. */
  faults(): FaultPlan;
  setFaults(plan: FaultPlan): void;
  tell(text: string, node: SimNode | null, job: JobId | null): void;
  startNode(node: SimNode): void;
  crashNode(node: SimNode, loseDisk: boolean): void;
  /** Tells two nodes that their connection came or went. */
  hint(type: 'peer-connected' | 'peer-disconnected', one: SimNode, other: SimNode, delayMs: number): void;
  neighbours(node: SimNode): readonly SimNode[];
  /** Runs `action` at random moments, as often per minute as the present plan says. */
  everyMinute(rate: (plan: FaultPlan) => number, random: Random, action: () => void): void;
  addClients(jobs: readonly ClientJob[], random: Random): Clients;
}

/** What the parts of a world share while it is being put together. */
interface Site {
  readonly options: WorldOptions;
  readonly random: Random;
  readonly queue: EventQueue;
  readonly observer: Required<Observer>;
  readonly nodes: SimNode[];
  readonly byId: Map<NodeId, SimNode>;
  readonly runners: SimRunner[];
  readonly network: Network;
  readonly owners: readonly PublicKey[];
  plan: FaultPlan;
  clients: Clients | null;
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
    options, random, queue, nodes, network,
    observer: joinObservers(options.observers),
    byId: new Map(),
    runners: [],
    owners: Array.from({ length: options.owners }, (_, index) => ownerKey(index)),
    plan: options.plan,
    clients: null,
  };
  addNodes(site);
  const edges = connect(nodes, random.fork('topology'));
  const world: World = {
    queue, nodes, network,
    owners: site.owners,
    observer: site.observer,
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
  const holes = new Set(random.fork('black holes').shuffled(indices).slice(0, options.plan.blackHoles));
  const perform = createPerformer(site);
  for (const index of indices) {
    const runner = createSimRunner({
      queue, faults,
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
      index, id, owner, queue, observer, faults, perform, runner,
      profile: profileOf(index, id),
      random: own,
      create: (store: StoreId, restored) =>
        options.create({ node: id, store, limits: options.limits }, suite, restored),
      forgetsAtRestart: options.forgetsAtRestart,
    });
    node.skewMs = own.integer(-site.plan.skewMs, site.plan.skewMs);
    node.rate = 1 + own.between(-site.plan.clockRate, site.plan.clockRate);
    nodes.push(node);
    site.byId.set(id, node);
    site.runners.push(runner);
  }
}

/** What happens when a node's effect is past every barrier before it. */
function createPerformer(site: Site): (node: SimNode, effect: Effect) => void {
  const { options, queue, observer, nodes, network } = site;
  const replication = site.random.fork('replication');
  return (node, effect) => {
    switch (effect.type) {
      case 'send':
        return send(site, node, effect.to, effect.message);
      case 'gossip': {
        const { gossip } = effect;
        if (options.freeze) freezeDeep(gossip);
        observer.onGossip(node, gossip);
        const input = { type: 'gossip', from: node.id, gossip } as const;
        return network.broadcast(node.index, (to) => (nodes[to] as SimNode).deliver(input));
      }
      case 'run':
        return site.runners[node.index]?.run(effect.order, effect.resume);
      case 'cancel-run':
        return site.runners[node.index]?.cancel(effect.execution);
      case 'forget-run':
        return site.runners[node.index]?.forget(effect.execution);
      case 'replicate':
        return replicate(site, node, effect, replication);
      case 'reply': {
        const job = site.clients?.jobOf(effect.request) ?? null;
        queue.after(1, () => site.clients?.onReply(effect.request, effect.reply));
        return observer.onReply(node, job, effect.reply);
      }
      case 'persist':
      case 'refuse':
      case 'note':
        return undefined;
    }
  };
}

function send(site: Site, from: SimNode, to: NodeId, original: Message): void {
  const { options, queue, observer, network } = site;
  const message = options.tamper === null ? original : options.tamper(original);
  if (options.freeze) freezeDeep(message);
  observer.onSend(from, to, message);
  const target = site.byId.get(to);
  const input = { type: 'message', from: from.id, message } as const;
  if (target === undefined) return;
  if (target === from) {
    queue.after(0, () => target.deliver(input));
    return;
  }
  const deliver = (): void => target.deliver(input);
  const undelivered = (): void => from.deliver({ type: 'unreachable', node: to });
  network.unicast(from.index, target.index, deliver, undelivered);
}

/** Fetching works while one holder is up and reachable both ways. */
function replicate(
  site: Site,
  node: SimNode,
  effect: Extract<Effect, { type: 'replicate' }>,
  random: Random,
): void {
  const { queue, network } = site;
  queue.after(random.integer(100, 5_000), () => {
    const reachable = effect.holders.some((id) => {
      const holder = site.byId.get(id);
      if (holder?.up !== true) return false;
      return network.linked(node.index, holder.index) && network.linked(holder.index, node.index);
    });
    const done = reachable && !random.chance(site.plan.replicateFailRate);
    node.deliver({ type: 'replicated', execution: effect.execution, cid: effect.cid, done });
  });
}

/** Starts and ends of processes, and what their neighbours notice of them. */
function createComings(
  site: Site,
  edges: readonly (readonly SimNode[])[],
): Pick<World, 'hint' | 'startNode' | 'crashNode'> {
  const random = site.random.fork('hints');
  const hint: World['hint'] = (type, one, other, delayMs) => {
    for (const [node, peer] of [[one, other], [other, one]] as const) {
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
    crashNode: (node, loseDisk) => {
      node.crash(loseDisk);
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
    while ((sets[index]?.size ?? 0) < NEIGHBOURS / 2) join(index, random.integer(0, nodes.length - 1));
  }
  return sets.map((set) => [...set]);
}

function profileOf(index: number, id: NodeId): Profile {
  return {
    labels: { zone: `z${index % 5}` },
    engines: { docker: { available: true, detail: 'simulated' } },
    publishers: ['ipfs'],
    sources: ['ipfs'],
    capacity: {
      cpuMillis: 4_000,
      memoryBytes: 8 * 1_073_741_824,
      diskBytes: 100 * 1_073_741_824,
      gpus: 0,
    },
    addresses: [`/ip4/10.${index >> 16}.${(index >> 8) & 255}.${index & 255}/tcp/1234/p2p/${id}`],
    software: 'shoal/simulated',
    networks: {
      None: { allowed: true, detail: '' },
      Default: { allowed: true, detail: '' },
      Host: { allowed: false, detail: 'not here' },
    },
    allowedPaths: [],
    allowedEnv: [],
    policy: {
      allowOwners: [],
      denyOwners: [],
      allowNamespaces: [],
      denyNamespaces: [],
      allowImages: [],
      draining: false,
    },
  };
}

const OBSERVED = [
  'onInput', 'onHandled', 'onEffect', 'onDurable', 'onSend', 'onGossip', 'onReply', 'onStart',
  'onCrash', 'onDefect', 'onWorld',
] as const satisfies readonly (keyof Observer)[];

/** One observer that calls them all, in order; the hooks that nobody has cost nothing. */
export function joinObservers(observers: readonly Observer[]): Required<Observer> {
  const joined: Partial<Record<keyof Observer, (...things: readonly never[]) => void>> = {};
  for (const hook of OBSERVED) {
    const all = observers.flatMap((observer) => {
      const method = observer[hook] as ((...things: readonly never[]) => void) | undefined;
      return method === undefined ? [] : [method.bind(observer)];
    });
    joined[hook] = (...things) => {
      for (const method of all) method(...things);
    };
  }
  return joined as unknown as Required<Observer>;
}
