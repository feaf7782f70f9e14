/**
 * Ways to cut a network: into two sides, one node off, links one by one (swizzle-clog), two sides
 * joined by one bridge; each in both directions or in one. A partition ends by itself.
 */
import type { Random } from './random.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

type Link = readonly [from: SimNode, to: SimNode];

export interface Partitions {
  /** Begins one, of a kind and length drawn at random. */
  begin(): void;
}

export function createPartitions(world: World, random: Random): Partitions {
  const { nodes, network, queue } = world;

  const between = (left: readonly SimNode[], right: readonly SimNode[]): readonly Link[] => {
    const there = left.flatMap((from) => right.map((to): Link => [from, to]));
    if (random.chance(world.faults().asymmetricRate)) return there;
    return [...there, ...there.map(([from, to]): Link => [to, from])];
  };

  /** Tells the ends of cut (or restored) links, as a closed connection would; often nobody notices. */
  const hintAll = (links: readonly Link[], type: 'peer-connected' | 'peer-disconnected'): void => {
    for (const [from, to] of links) {
      if (type === 'peer-disconnected' && random.chance(world.faults().silentRate)) continue;
      if (world.neighbours(from).includes(to))
        queue.after(random.integer(0, 15_000), () => {
          // A connection outlives a cut that is over before anybody noticed.
          const linked =
            network.linked(from.index, to.index) && network.linked(to.index, from.index);
          if (type === 'peer-connected' || !linked) world.hint(type, from, to, 0);
        });
    }
  };

  const cutFor = (links: readonly Link[], ms: number): void => {
    for (const [from, to] of links) network.cut(from.index, to.index);
    hintAll(links, 'peer-disconnected');
    queue.after(ms, () => {
      for (const [from, to] of links) network.restore(from.index, to.index);
      hintAll(links, 'peer-connected');
    });
  };

  const split = (): readonly [SimNode[], SimNode[]] => {
    const order = random.shuffled(nodes);
    const size = random.integer(1, order.length - 1);
    return [order.slice(0, size), order.slice(size)];
  };

  const swizzle = (ms: number): void => {
    const chosen = random.shuffled(nodes).slice(0, random.integer(1, nodes.length));
    for (const node of chosen) {
      const others = nodes.filter((other) => other !== node);
      const start = random.integer(0, Math.floor(ms / 2));
      queue.after(start, () => {
        // The faults may have ended meanwhile.
        if (world.faults().partitionsPerMinute === 0) return;
        cutFor(between([node], others), random.integer(1_000, ms));
      });
    }
  };

  const begin = (): void => {
    if (nodes.length < 2) return;
    const plan = world.faults();
    const ms = random.integer(plan.partitionMinMs, plan.partitionMaxMs);
    const kind = random.pick(['split', 'isolate', 'swizzle', 'bridge'] as const);
    world.tell(`partition: ${kind} for ${ms} ms`, null, null);
    const [left, right] = split();
    if (kind === 'split') cutFor(between(left, right), ms);
    else if (kind === 'isolate') {
      const node = random.pick(nodes);
      cutFor(
        between(
          [node],
          nodes.filter((other) => other !== node),
        ),
        ms,
      );
    } else if (kind === 'swizzle') swizzle(ms);
    else cutFor(between(left, right.slice(1)), ms);
  };

  return { begin };
}
