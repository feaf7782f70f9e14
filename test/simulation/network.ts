/**
 * The simulated network: who can reach whom now, and how long it takes. Messages are shared, not
 * copied; loss, duplication, reordering and cuts are drawn from the fault plan. Says nothing about
 * whether a receiver is alive: the world decides that at delivery.
 */
import type { EventQueue } from './event-queue.ts';
import type { FaultPlan } from './faults.ts';
import type { Random } from './random.ts';

export interface NetworkContext {
  readonly nodes: number;
  readonly queue: EventQueue;
  readonly random: Random;
  faults(): FaultPlan;
  isUp(node: number): boolean;
}

export interface Network {
  /** Delivers (0, 1 or 2 times) after a delay; `undelivered` runs when the sender would notice. */
  unicast(from: number, to: number, deliver: () => void, undelivered: () => void): void;
  /** Delivers to every node that can be reached, relays included. */
  /** `share`: of those who can be reached so many are, drawn one by one. */
  broadcast(from: number, share: number, deliver: (to: number) => void): void;
  /** Cuts the one-way link; cuts are counted, each needs its own `restore`. */
  cut(from: number, to: number): void;
  restore(from: number, to: number): void;
  restoreAll(): void;
  linked(from: number, to: number): boolean;
  /** When the one-way link was last cut or restored; 0 = never. */
  changedAt(from: number, to: number): number;
  /** Number of one-way links cut now. */
  cuts(): number;
}

/** Above this size gossip is not relayed around a cut: finding the way would cost too much. */
const RELAY_MAX = 64;

export function createNetwork(context: NetworkContext): Network {
  const { nodes, queue, random } = context;
  let blocked: Uint8Array | null = null;
  let cutCount = 0;
  let restoredAt = 0;
  const changes = new Map<number, number>();

  const linked = (from: number, to: number): boolean =>
    blocked === null || blocked[from * nodes + to] === 0;

  const delay = (): number => {
    const plan = context.faults();
    if (random.chance(plan.slowRate)) return random.integer(plan.delayMs, plan.slowMaxMs);
    return plan.delayMs + Math.floor(random.next() * plan.jitterMs);
  };

  /** A refused connection comes back at once, a black hole after the dial's timeout or never. */
  const fail = (undelivered: () => void): void => {
    const silent = random.chance(context.faults().silentRate);
    if (!silent) queue.after(2 * delay(), undelivered);
    else if (random.chance(0.5)) queue.after(random.integer(10_000, 30_000), undelivered);
  };

  const unicast = (
    from: number,
    to: number,
    deliver: () => void,
    undelivered: () => void,
  ): void => {
    const plan = context.faults();
    if (!linked(from, to) || !context.isUp(to)) {
      fail(undelivered);
      return;
    }
    if (random.chance(plan.lossRate)) return;
    const arrive = (): void => {
      if (linked(from, to)) deliver();
    };
    queue.after(delay(), arrive);
    if (random.chance(plan.duplicateRate)) queue.after(delay() + random.integer(0, 5_000), arrive);
  };

  const reachable = (from: number): readonly number[] => {
    const everyone = Array.from({ length: nodes }, (_, index) => index);
    if (cutCount === 0) return everyone.filter((to) => to !== from && context.isUp(to));
    if (nodes > RELAY_MAX) {
      return everyone.filter((to) => to !== from && context.isUp(to) && linked(from, to));
    }
    const seen = new Set([from]);
    for (const hop of seen) {
      for (const to of everyone) {
        if (!seen.has(to) && context.isUp(to) && linked(hop, to)) seen.add(to);
      }
    }
    seen.delete(from);
    return [...seen];
  };

  const broadcast = (from: number, share: number, deliver: (to: number) => void): void => {
    const plan = context.faults();
    for (const to of reachable(from)) {
      if (share < 1 && !random.chance(share)) continue;
      if (random.chance(plan.gossipLossRate)) continue;
      // Two to three hops on the average.
      queue.after(delay() + Math.floor(random.next() * 2 * (plan.delayMs + plan.jitterMs)), () =>
        deliver(to),
      );
      if (random.chance(plan.duplicateRate / 4)) queue.after(2 * delay(), () => deliver(to));
    }
  };

  return {
    unicast,
    broadcast,
    linked,
    changedAt: (from, to) => Math.max(restoredAt, changes.get(from * nodes + to) ?? 0),
    cut: (from, to) => {
      blocked ??= new Uint8Array(nodes * nodes);
      const index = from * nodes + to;
      changes.set(index, queue.now());
      if (blocked[index] === 0) cutCount += 1;
      blocked[index] = (blocked[index] as number) + 1;
    },
    restore: (from, to) => {
      const index = from * nodes + to;
      if (blocked === null || blocked[index] === 0) return;
      blocked[index] = (blocked[index] as number) - 1;
      changes.set(index, queue.now());
      if (blocked[index] === 0) cutCount -= 1;
    },
    restoreAll: () => {
      restoredAt = queue.now();
      blocked = null;
      cutCount = 0;
    },
    cuts: () => cutCount,
  };
}
