/**
 * Which nodes this one has reached itself: connected, or heard directly not long ago. Only the
 * connection (Noise) says who somebody is; everything else about a node, its existence included, is
 * what others say. Nothing that costs this node or its jobs anything rests on a node not reached.
 */
import type { NodeId } from '../record/ids.ts';
import type { With } from '../node/state.ts';

/** Heard directly within this: in a mesh of hundreds only a few are connected at a time. */
const HEARD_MS = 300_000;

/**
 * It can be asked for something now: connected, or heard directly within a lease, and not found dead.
 * This node itself always is.
 */
export const isNear = (core: With<'mesh'>, node: NodeId): boolean =>
  node === core.self ||
  (core.mesh.watches.get(node)?.dead !== true &&
    (core.mesh.connected.has(node) || heardWithin(core, node, core.config.limits.leaseLostMs)));

export const reached = (core: With<'mesh'>, node: NodeId): boolean =>
  core.mesh.connected.has(node) || heardWithin(core, node, HEARD_MS);

/** It said something to this node itself within so many milliseconds. */
export const heardWithin = (core: With<'mesh'>, node: NodeId, ms: number): boolean =>
  core.now - (core.mesh.heardAt.get(node) ?? -Infinity) < ms;

/** It said something to this node itself lately, so that it counts among the keepers that are there. */
export const heardLately = (core: With<'mesh'>, node: NodeId): boolean =>
  heardWithin(core, node, core.config.limits.leaderAloneMs);

/**
 * This node and all that were there in the last minutes, whatever became of them since.
 * @param missed members of earlier runs, not met in this one: when it is that old, they are gone
 */
export function reachedLately(core: With<'mesh'>, missed: readonly NodeId[]): ReadonlySet<NodeId> {
  const nodes = new Set([core.self, ...core.mesh.connected]);
  if (core.now - core.startedAt < HEARD_MS) for (const node of missed) nodes.add(node);
  for (const [node, at] of core.mesh.heardAt) if (core.now - at < HEARD_MS) nodes.add(node);
  return nodes;
}
