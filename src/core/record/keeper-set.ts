/**
 * The keepers of a job as one set: who belongs to it, in which rank, and when enough of them agree.
 * Every question about a keeper set is asked here, so that a set that changes has one place to change.
 *
 * A configuration may be joint: while keepers are replaced, a quorum is a majority of those that come
 * and of those that were, so it shares a keeper with every quorum before and after it.
 */
import type { NodeId } from './ids.ts';
import type { Configuration, Keeper } from './records.ts';

/** How many of `count` make a majority. */
export const majority = (count: number): number => Math.floor(count / 2) + 1;

/** W: how many keepers make a quorum of this set; for words. What decides is `isQuorum`. */
export const quorumSize = ({ keepers }: Configuration): number => majority(keepers.length);

/** Whether a quorum of the set is among `nodes`; others among them do not count. */
export function isQuorum({ keepers, former }: Configuration, nodes: Iterable<NodeId>): boolean {
  const there: ReadonlySet<NodeId> = nodes instanceof Set ? nodes : new Set(nodes);
  return isMajority(keepers, there) && (former.length === 0 || isMajority(former, there));
}

function isMajority(keepers: readonly Keeper[], there: ReadonlySet<NodeId>): boolean {
  let count = 0;
  for (const { node } of keepers) if (there.has(node)) count += 1;
  return count >= majority(keepers.length);
}

/** Everybody who has a say in it: those that come first, then those that go. */
export function members({ keepers, former }: Configuration): readonly Keeper[] {
  if (former.length === 0) return keepers;
  return [
    ...keepers,
    ...former.filter(({ node }) => keepers.every((other) => other.node !== node)),
  ];
}

export const isKeeper = (configuration: Configuration, node: NodeId): boolean =>
  rankOf(configuration, node) >= 0;

/** The keepers in the order in which they lead when those before them are gone. */
export const keeperNodes = (configuration: Configuration): readonly NodeId[] =>
  members(configuration).map(({ node }) => node);

/** 0 for the keeper that leads first; −1 for a node that is no keeper. */
export const rankOf = (configuration: Configuration, node: NodeId): number =>
  members(configuration).findIndex((keeper) => keeper.node === node);

/** Whether this very store of the node has a vote: the same peer with another one forgot its promises. */
export const hasVote = (configuration: Configuration, node: NodeId, store: string): boolean =>
  [configuration.keepers, configuration.former].some((set) =>
    set.some((keeper) => keeper.node === node && keeper.store === store),
  );
