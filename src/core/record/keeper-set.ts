/**
 * The keepers of a job as one set: who belongs to it, in which rank, and when enough of them agree.
 * Every question about a keeper set is asked here, so that a set that changes has one place to change.
 */
import type { NodeId } from './ids.ts';
import type { AdmissionBody } from './records.ts';

/** How many of `count` make a majority. */
export const majority = (count: number): number => Math.floor(count / 2) + 1;

/** W: how many keepers make a quorum of this set; for words. What decides is `isQuorum`. */
export const quorumSize = ({ keepers }: AdmissionBody): number => majority(keepers.length);

/** Whether a quorum of the set is among `nodes`; others among them do not count. */
export function isQuorum({ keepers }: AdmissionBody, nodes: Iterable<NodeId>): boolean {
  const there = new Set(nodes);
  return keepers.filter(({ node }) => there.has(node)).length >= majority(keepers.length);
}

export const isKeeper = ({ keepers }: AdmissionBody, node: NodeId): boolean =>
  keepers.some((keeper) => keeper.node === node);

/** The keepers in the order in which they lead when those before them are gone. */
export const keeperNodes = ({ keepers }: AdmissionBody): readonly NodeId[] =>
  keepers.map(({ node }) => node);

/** 0 for the keeper that leads first; −1 for a node that is no keeper. */
export const rankOf = ({ keepers }: AdmissionBody, node: NodeId): number =>
  keepers.findIndex((keeper) => keeper.node === node);
