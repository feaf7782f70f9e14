/**
 * Thinning bids: a node bids in a round when its lot is below t·4^round / N, with
 * t = 2·need + 12. So about t nodes answer the first announcement however large the mesh is.
 */
import type { JobId, NodeId } from '../record/ids.ts';
import type { Suite } from '../record/suite.ts';

export const targetBids = (need: number): number => 2 * need + 12;

/** @param members nodes in the mesh as this node sees it, itself included; ≥ 1 */
export function drawn(
  suite: Suite,
  lot: {
    readonly job: JobId;
    readonly version: number;
    readonly round: number;
    readonly need: number;
  },
  node: NodeId,
  members: number,
): boolean {
  const target = targetBids(lot.need) * 4 ** Math.min(lot.round, 20);
  if (members <= target) return true;
  // The lot is the same in every round, so a later round asks everybody of the earlier ones again.
  const hex = suite.hash(`bid|${lot.job}|${lot.version}|${node}`).slice(0, 12);
  return Number.parseInt(hex, 16) / 2 ** 48 < target / members;
}
