/**
 * What the wall clocks of members show, by their hellos, compared with this node's own. No decision rests
 * on it: it is told to the operator. A member that lies moves the median of many no further than the next
 * honest one; of two only that counts in which both agree.
 */
import type { NodeId } from '../../src/core/record/ids.ts';

export interface ClockSkew {
  /** This node's clock against the median of the members, milliseconds; negative when it is behind. */
  readonly aheadMs: number;
  /** Members that told the time lately. */
  readonly peers: number;
}

export interface Clocks {
  /**
   * A member said what its wall clock shows.
   * @param from when that was at the earliest, and `to` at the latest, milliseconds of the monotonic clock
   */
  told(peer: NodeId, wallMs: number, from: number, to: number): void;
  /** null while nobody told the time. */
  skew(): ClockSkew | null;
}

const PEERS_MAX = 1_000;
/** Hellos come every 30 s from one neighbour or another. */
const REMEMBERED_MS = 600_000;
/** An answer that took longer says too little about when it was given. */
const SLOW_MS = 2_000;

export function createClocks(now: () => number, wall: () => number): Clocks {
  /** What each clock showed when this node's monotonic clock was 0: that does not change when this node's wall clock is set. */
  const zeros = new Map<NodeId, { readonly zero: number; readonly at: number }>();
  return {
    told(peer, wallMs, from, to) {
      if (to - from > SLOW_MS) return;
      zeros.delete(peer);
      zeros.set(peer, { zero: wallMs - (from + to) / 2, at: to });
      for (const oldest of zeros.keys()) {
        if (zeros.size <= PEERS_MAX) break;
        zeros.delete(oldest);
      }
    },
    skew() {
      const late = now() - REMEMBERED_MS;
      const own = wall() - now();
      const ahead = [...zeros.values()]
        .filter(({ at }) => at >= late)
        .map(({ zero }) => Math.round(own - zero));
      const aheadMs = median(ahead);
      return aheadMs === null ? null : { aheadMs, peers: ahead.length };
    },
  };
}

/** Of the two in the middle of an even number the one nearer to 0. */
function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const low = sorted[Math.floor((sorted.length - 1) / 2)];
  const high = sorted[Math.floor(sorted.length / 2)];
  if (low === undefined || high === undefined) return null;
  return Math.abs(low) <= Math.abs(high) ? low : high;
}
