/**
 * The time that this node has counted, over its restarts: what lasts for days ends by it, and moments on
 * the disk are of it. The wall clock may be set; then nothing would be kept as long as it should.
 */
import type { Node } from './state.ts';

/** Whole milliseconds. Differences count; it means nothing to other nodes. */
export const countedMs = (core: Node): number =>
  Math.floor(core.config.countedMs + core.now - core.startedAt);
