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
    (core.mesh.connected.has(node) ||
      core.now - (core.mesh.heardAt.get(node) ?? -Infinity) < core.config.limits.leaseLostMs));

export const reached = (core: With<'mesh'>, node: NodeId): boolean =>
  core.mesh.connected.has(node) || core.now - (core.mesh.heardAt.get(node) ?? -Infinity) < HEARD_MS;

/** It said something to this node itself lately, so that it counts among the keepers that are there. */
export const heardLately = (core: With<'mesh'>, node: NodeId): boolean =>
  core.now - (core.mesh.heardAt.get(node) ?? -Infinity) < core.config.limits.leaderAloneMs;
