/**
 * How much of something each peer may cause: a bucket per peer that fills with time. What a peer does
 * not use it may use later, up to the bucket's size.
 */
import type { NodeId } from '../src/core/record/ids.ts';

/** Buckets kept; full ones carry no knowledge and go first. */
const BUCKETS_MAX = 1_024;

export interface RateLimits {
  readonly perSecond: number;
  readonly burst: number;
}

export interface Rate {
  /** @returns false when the peer has used what it may; then nothing is taken. */
  take(peer: NodeId, amount: number): boolean;
  readonly size: number;
}

/** `now`: monotonic, milliseconds. */
export function createRate(limits: RateLimits, now: () => number): Rate {
  const buckets = new Map<NodeId, { left: number; at: number }>();
  const leftIn = (bucket: { readonly left: number; readonly at: number }): number =>
    Math.min(limits.burst, bucket.left + ((now() - bucket.at) / 1_000) * limits.perSecond);

  /** The fullest goes: it is the one whose loss gives least away. */
  const makeRoom = (): void => {
    let fullest: { peer: NodeId; left: number } | null = null;
    for (const [peer, bucket] of buckets) {
      const left = leftIn(bucket);
      if (fullest === null || left > fullest.left) fullest = { peer, left };
      if (left >= limits.burst) break;
    }
    if (fullest !== null) buckets.delete(fullest.peer);
  };

  return {
    take(peer, amount) {
      let bucket = buckets.get(peer);
      if (bucket === undefined) {
        if (buckets.size >= BUCKETS_MAX) makeRoom();
        bucket = { left: limits.burst, at: now() };
        buckets.set(peer, bucket);
      }
      bucket.left = leftIn(bucket);
      bucket.at = now();
      if (bucket.left < amount) return false;
      bucket.left -= amount;
      return true;
    },
    get size() {
      return buckets.size;
    },
  };
}
