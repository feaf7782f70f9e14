/**
 * What the parts of a world share, and how the effects of its machines are carried out: messages into
 * the network, orders to the runner, answers to the clients.
 */
import type { NodeId, PublicKey } from '../../src/core/record/ids.ts';
import type { Effect } from '../../src/core/contract/effect.ts';
import type { Limits } from '../../src/core/contract/limits.ts';
import type { Message } from '../../src/core/contract/messages.ts';
import type { EventQueue } from './event-queue.ts';
import { freezeDeep } from './fast-suite.ts';
import type { FaultPlan } from './faults.ts';
import type { Hostile } from './hostile.ts';
import type { Network } from './network.ts';
import type { Observer } from './observer.ts';
import type { Random } from './random.ts';
import type { MachineFactory, SimNode } from './sim-node.ts';
import type { SimRunner } from './sim-runner.ts';
import type { Table } from './sim-store.ts';
import type { Clients } from './workload.ts';

export interface WorldOptions {
  readonly nodes: number;
  readonly owners: number;
  readonly plan: FaultPlan;
  readonly limits: Limits;
  /** Nodes differ in size and in what they can run. */
  readonly unequal: boolean;
  readonly create: MachineFactory;
  readonly observers: readonly Observer[];
  /** Freeze every record and message, to catch whoever changes one: costs time. */
  readonly freeze: boolean;
  readonly forgetsAtRestart: readonly Table[];
  /** A planted bug in transit: what is really sent in place of a message. */
  readonly tamper: ((message: Message) => Message) | null;
  /** Of the nodes that may hear an advert so many take it in, 0 to 1; all of them unless it is given. */
  readonly advertShare?: number;
}

/** What the parts of a world share while it is being put together. */
export interface Site {
  readonly options: WorldOptions;
  readonly random: Random;
  readonly queue: EventQueue;
  readonly observer: Required<Observer>;
  readonly nodes: SimNode[];
  readonly byId: Map<NodeId, SimNode>;
  readonly runners: SimRunner[];
  readonly network: Network;
  readonly owners: readonly PublicKey[];
  /** Nodes that do not say what they should. */
  hostile: Hostile | null;
  plan: FaultPlan;
  clients: Clients | null;
}

/** What happens when a node's effect is past every barrier before it. */
export function createPerformer(site: Site): (node: SimNode, effect: Effect) => void {
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
        const share = gossip.type === 'advert' ? (options.advertShare ?? 1) : 1;
        return network.broadcast(node.index, share, (to) => (nodes[to] as SimNode).hear(input));
      }
      case 'run':
        return site.runners[node.index]?.run(
          effect.order,
          effect.resume,
          effect.until === undefined ? null : leftMs(node, effect.until),
        );
      case 'extend-run':
        return site.runners[node.index]?.extend(effect.execution, leftMs(node, effect.until));
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
      case 'reload': {
        const rows = node.store.restoreJob(effect.job);
        return node.reload({ type: 'reload', job: effect.job, rows });
      }
      // A defect ends the node before its effects are performed.
      case 'defect':
      case 'persist':
      case 'refuse':
      case 'note':
        return undefined;
    }
  };
}

/** In the time of the world. */
const leftMs = (node: SimNode, until: number): number =>
  Math.ceil((until - node.now()) / node.rate);

function send(site: Site, from: SimNode, to: NodeId, original: Message): void {
  const { options, queue, observer } = site;
  const message = options.tamper === null ? original : options.tamper(original);
  if (options.freeze) freezeDeep(message);
  observer.onSend(from, to, message);
  const target = site.byId.get(to);
  if (target === undefined) return;
  if (target === from) {
    queue.after(0, () => target.deliver({ type: 'message', from: from.id, message }));
    return;
  }
  const said = site.hostile?.says(from, message) ?? [message];
  for (const one of said) carry(site, from, target, one);
  for (const one of site.hostile?.answers(target, message) ?? []) carry(site, target, from, one);
}

function carry({ network }: Site, from: SimNode, target: SimNode, message: Message): void {
  const deliver = (): void => target.deliver({ type: 'message', from: from.id, message });
  const undelivered = (): void => from.deliver({ type: 'unreachable', node: target.id });
  network.unicast(from.index, target.index, deliver, undelivered);
}

/** Fetching works while somebody who has it is up and reachable both ways. */
function replicate(
  site: Site,
  node: SimNode,
  effect: Extract<Effect, { type: 'replicate' }>,
  random: Random,
): void {
  const { queue, network, nodes } = site;
  queue.after(random.integer(100, 5_000), () => {
    const reachable = nodes.some((holder) => {
      if (!holder.up || !holder.store.blocks.has(effect.cid)) return false;
      return network.linked(node.index, holder.index) && network.linked(holder.index, node.index);
    });
    const fails = random.chance(site.plan.replicateFailRate);
    const outcome = reachable ? (fails ? 'refused' : 'made') : 'missing';
    node.deliver({ type: 'replicated', execution: effect.execution, cid: effect.cid, outcome });
  });
}
