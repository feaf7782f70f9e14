/**
 * Who has gone deaf to gossip, and what is tried. One reset of the gossip stream leaves two peers deaf
 * to each other for ever while their connection looks healthy: publishing then reaches nobody, without
 * an error. Every member subscribes to the adverts, so a member that is missing among the subscribers is
 * deaf. Gossipsub opens new streams when a peer is identified, so that is tried first: it disturbs
 * nothing else on the connection. If the peer stays deaf the connection is closed and dialled again,
 * which always heals it. Decides only; `gossip.ts` does it.
 */
import type { NodeId } from '../src/core/record/ids.ts';

/** How often is looked. */
export const WATCH_MS = 2_000;
/** A look that comes later than this says that this node stood still, and nothing about others. */
const LATE_MS = 1_000;
/** A fresh connection has so long to exchange subscriptions before anyone wonders. */
const FRESH_MS = 4_000;
/** Deaf for so long, although identified again: the connection is given up. */
export const DEAF_AFTER_MS = 5_000;
/** At most one hang-up per peer in this time. */
const HEAL_PAUSE_MS = 15_000;
/** The state outlives the gap of a redial; a peer that is gone for good is forgotten. */
const FORGET_MS = 60_000;

export interface Connected {
  readonly peer: NodeId;
  /** Milliseconds, on the same clock. */
  readonly since: number;
}

export interface ForTheDeaf {
  readonly identify: readonly NodeId[];
  readonly hangUp: readonly NodeId[];
  /** How many hear again. */
  readonly healed: number;
}

/** @param now monotonic, milliseconds. @returns what is called every {@link WATCH_MS} */
export function createDeafWatch(
  now: () => number,
): (members: readonly Connected[], hearing: ReadonlySet<string>) => ForTheDeaf {
  const deaf = new Map<NodeId, { since: number; hungUpAt: number }>();
  let lookedAt = now();
  /** Since then this node kept up: what was not exchanged before says nothing about others. */
  let awakeSince = lookedAt;

  return (members, hearing) => {
    const at = now();
    if (at - lookedAt > WATCH_MS + LATE_MS) {
      awakeSince = at;
      for (const state of deaf.values()) state.since = at;
    }
    lookedAt = at;
    const identify: NodeId[] = [];
    const hangUp: NodeId[] = [];
    let healed = 0;
    for (const { peer, since } of members) {
      const state = deaf.get(peer);
      if (hearing.has(peer)) {
        if (deaf.delete(peer)) healed += 1;
      } else if (state === undefined) {
        if (at - Math.max(awakeSince, since) < FRESH_MS) continue;
        deaf.set(peer, { since: at, hungUpAt: -HEAL_PAUSE_MS });
        identify.push(peer);
      } else if (at - state.since >= DEAF_AFTER_MS && at - state.hungUpAt >= HEAL_PAUSE_MS) {
        state.hungUpAt = at;
        hangUp.push(peer);
      }
    }
    const here = new Set(members.map(({ peer }) => peer));
    for (const [peer, state] of deaf) {
      if (!here.has(peer) && at - state.since > FORGET_MS) deaf.delete(peer);
    }
    return { identify, hangUp, healed };
  };
}
