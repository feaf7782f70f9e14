/**
 * The simulated mesh: one virtual clock, one queue, one seed; nodes, their network and their
 * clients. Performs the effects of the machines and tells its observers. Injects nothing by itself:
 * `chaos.ts` breaks things, `checkers.ts` watches, `run.ts` puts it all together.
 */
import type { NodeId, PublicKey, StoreId } from '../../src/core/ids.ts';
import type { JobId } from '../../src/core/ids.ts';
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

export function createWorld(options: WorldOptions, random: Random): World {
  const queue = createEventQueue();
  const observer = joinObservers(options.observers);
  const byId = new Map<NodeId, SimNode>();
  const nodes: SimNode[] = [];
  const owners = Array.from({ length: options.owners }, (_, index) => ownerKey(index));
  let plan = options.plan;
  let clients: Clients | null = null;
  const faults = (): FaultPlan => plan;
  const network = createNetwork({
    nodes: options.nodes,
    queue,
    random: random.fork('network'),
    faults,
    isUp: (index) => (nodes[index] as SimNode).up,
  });
  const replication = random.fork('replication');

  const send = (from: SimNode, to: NodeId, original: Message): void => {
    const message = options.tamper === null ? original : options.tamper(original);
    if (options.freeze) freezeDeep(message);
    observer.onSend(from, to, message);
    const target = byId.get(to);
    const input = { type: 'message', from: from.id, message } as const;
    if (target === undefined) return;
    if (target === from) {
      queue.after(0, () => target.deliver(input));
      return;
    }
    network.unicast(
      from.index,
      target.index,
      () => target.deliver(input),
      () => from.deliver({ type: 'unreachable', node: to }),
    );
  };

  /** Fetching works while one holder is up and reachable both ways. */
  const replicate = (node: SimNode, effect: Extract<Effect, { type: 'replicate' }>): void => {
    queue.after(replication.integer(100, 5_000), () => {
      const reachable = effect.holders.some((id) => {
        const holder = byId.get(id);
        return holder?.up === true && network.linked(node.index, holder.index) && network.linked(holder.index, node.index);
      });
      const done = reachable && !replication.chance(plan.replicateFailRate);
      node.deliver({ type: 'replicated', execution: effect.execution, cid: effect.cid, done });
    });
  };

  const perform = (node: SimNode, effect: Effect): void => {
    switch (effect.type) {
      case 'send':
        return send(node, effect.to, effect.message);
      case 'gossip': {
        const { gossip } = effect;
        if (options.freeze) freezeDeep(gossip);
        observer.onGossip(node, gossip);
        const input = { type: 'gossip', from: node.id, gossip } as const;
        return network.broadcast(node.index, (to) => (nodes[to] as SimNode).deliver(input));
      }
      case 'run':
        return runners[node.index]?.run(effect.order, effect.resume);
      case 'cancel-run':
        return runners[node.index]?.cancel(effect.execution);
      case 'forget-run':
        return runners[node.index]?.forget(effect.execution);
      case 'replicate':
        return replicate(node, effect);
      case 'reply': {
        const job = clients?.jobOf(effect.request) ?? null;
        queue.after(1, () => clients?.onReply(effect.request, effect.reply));
        return observer.onReply(node, job, effect.reply);
      }
      case 'persist':
      case 'refuse':
      case 'note':
        return undefined;
    }
  };

  const holes = new Set(
    random.fork('black holes').shuffled(Array.from({ length: options.nodes }, (_, index) => index))
      .slice(0, options.plan.blackHoles),
  );
  const runners = Array.from({ length: options.nodes }, (_, index) =>
    createSimRunner({
      queue,
      random: random.fork(`runner ${index}`),
      blackHole: holes.has(index),
      faults,
      // Events arrive as inputs of their own, never inside the effect that started the run.
      emit: (execution, event) =>
        queue.after(0, () => nodes[index]?.deliver({ type: 'run-event', execution, event })),
    }),
  );
  for (let index = 0; index < options.nodes; index += 1) {
    const owner = owners[index % owners.length] as PublicKey;
    const suite = createFastSuite({ node: nodeKey(index), owner, freeze: options.freeze });
    const id = nodeIdOf(nodeKey(index));
    const own = random.fork(`node ${index}`);
    const node = new SimNode({
      index, id, owner, suite, queue, observer, faults, perform,
      profile: profileOf(index, id),
      random: own,
      runner: runners[index] as ReturnType<typeof createSimRunner>,
      create: (store: StoreId, restored) =>
        options.create({ node: id, store, limits: options.limits }, suite, restored),
      forgetsAtRestart: options.forgetsAtRestart,
    });
    node.skewMs = own.integer(-plan.skewMs, plan.skewMs);
    node.rate = 1 + own.between(-plan.clockRate, plan.clockRate);
    nodes.push(node);
    byId.set(id, node);
  }

  const edges = connect(nodes, random.fork('topology'));
  const hints = random.fork('hints');
  const hint: World['hint'] = (type, one, other, delayMs) => {
    for (const [node, peer] of [[one, other], [other, one]] as const) {
      queue.after(delayMs, () => {
        if (type === 'peer-connected' && !peer.up) return;
        node.deliver({ type, node: peer.id });
      });
    }
  };

  const world: World = {
    queue, nodes, network, owners, observer, faults, hint,
    setFaults: (next) => {
      plan = next;
    },
    tell: (text, node, job) => observer.onWorld(text, node, job),
    neighbours: (node) => edges[node.index] as readonly SimNode[],
    startNode: (node) => {
      node.start();
      for (const peer of world.neighbours(node)) {
        if (peer.up) hint('peer-connected', node, peer, hints.integer(1, 1_000));
      }
    },
    crashNode: (node, loseDisk) => {
      node.crash(loseDisk);
      for (const peer of world.neighbours(node)) {
        if (hints.chance(plan.silentRate)) continue;
        if (peer.up) hint('peer-disconnected', node, peer, hints.integer(1, 200));
      }
    },
    everyMinute: (rate, own, action) => {
      const next = (): void => {
        const perMinute = rate(plan);
        // Switched off now: look again later, another phase may switch it on.
        if (perMinute <= 0) return queue.after(60_000, next);
        const wait = (-Math.log(1 - own.next()) * 60_000) / perMinute;
        return queue.after(wait, () => {
          if (rate(plan) > 0) action();
          next();
        });
      };
      next();
    },
    addClients: (jobs, own) => {
      clients = createClients(world, jobs, own);
      return clients;
    },
  };
  return world;
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
