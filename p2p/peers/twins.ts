/**
 * Two processes with the same key, as when a data directory was copied. To libp2p they are one peer
 * with two connections: what is meant for one reaches the other, and neither notices. Those who are
 * connected to both do: each process names itself in its hellos, and is told there which others have
 * spoken under its key. It is the word of a member and no proof, so it is said aloud and ends nobody.
 */
import type { NodeId } from '../../src/core/record/ids.ts';
import type { Log } from '../log.ts';
import { brief } from '../log.ts';

/** A process that has spoken under a key. */
export interface Voice {
  /** Random, one per process. */
  readonly process: string;
  /** Since it spoke last, milliseconds. */
  readonly agoMs: number;
}

export interface Twins {
  /** A hello under this key came from this process. */
  heard(peer: NodeId, process: string): void;
  /** All that have spoken under this key lately. */
  voicesOf(peer: NodeId): readonly Voice[];
  /** What a member says about this node's own key. */
  told(by: NodeId, voices: readonly Voice[]): void;
  /** Who said lately that another process uses this node's key. */
  witnesses(): readonly NodeId[];
}

/** Of one key; more are told of a liar at most. */
export const VOICES_MAX = 4;
const PEERS_MAX = 1_000;
/** Hellos come every 30 s to one neighbour or another. */
const REMEMBERED_MS = 600_000;
/** The clock of a member and the way here: an earlier process of this node may still have spoken then. */
const SLACK_MS = 2_000;
/** It is logged again after this. */
const REPEAT_MS = 300_000;

/** @param self names this process. */
export function createTwins(self: string, log: Log): Twins {
  const startedAt = performance.now();
  const voices = new Map<NodeId, Map<string, number>>();
  const tellers = new Map<NodeId, number>();
  let loggedAt = -Infinity;

  return {
    heard(peer, process) {
      if (process === '') return;
      const known = voices.get(peer) ?? new Map<string, number>();
      voices.delete(peer);
      voices.set(peer, known);
      known.delete(process);
      known.set(process, performance.now());
      trim(known, VOICES_MAX);
      trim(voices, PEERS_MAX);
    },
    voicesOf(peer) {
      const now = performance.now();
      return [...(voices.get(peer) ?? [])]
        .map(([process, at]) => ({ process, agoMs: Math.round(now - at) }))
        .filter(({ agoMs }) => agoMs < REMEMBERED_MS);
    },
    told(by, told) {
      const now = performance.now();
      // What spoke before this process began may be the one that ran before it.
      const other = told.find(
        ({ process, agoMs }) => process !== self && agoMs + SLACK_MS < now - startedAt,
      );
      if (other === undefined) return;
      tellers.delete(by);
      tellers.set(by, now);
      trim(tellers, PEERS_MAX);
      if (now - loggedAt < REPEAT_MS) return;
      loggedAt = now;
      const why =
        'another process uses the key of this peer, as after its data directory was copied: results and answers go to one or the other; stop one of them, and give it a data directory of its own';
      log.error({ toldBy: by, process: brief(other.process), why }, 'identity.copied');
    },
    witnesses() {
      const now = performance.now();
      return [...tellers].filter(([, at]) => now - at < REMEMBERED_MS).map(([peer]) => peer);
    },
  };
}

/** The oldest make room. */
function trim<K>(map: Map<K, unknown>, max: number): void {
  for (const oldest of map.keys()) {
    if (map.size <= max) return;
    map.delete(oldest);
  }
}
