/**
 * What peers have done wrong, and whom that keeps out for a while. A few faults are borne, because
 * honest programs have bugs and versions differ, and they are forgiven with time; who goes on is
 * disconnected and neither heard nor dialled until it has cooled, twice as long each time. Knows
 * identities, not addresses: many honest peers may share one. Closes nothing itself.
 */
import type { NodeId } from '../../src/core/record/ids.ts';
import type { Log } from '../log.ts';

/** What a peer can do that no honest one does, or hardly ever. */
export type PeerFault =
  /** A frame that is no message of this mesh, in bytes or in form. */
  | 'garbage'
  | 'frame-too-large'
  /** A frame that began and did not end in time, or more of them than one peer may have. */
  | 'unfinished-frame'
  /** Asked for blocks and did not read them. */
  | 'stalled-reader'
  /** Sent a block that is not what was asked for. */
  | 'bad-block'
  /** A record with a false signature, signer or certificate, from the peer itself. */
  | 'bad-record'
  /** Gossip that no honest node passes on. */
  | 'bad-gossip';

/**
 * Points of each fault. One that a machine in trouble may come to costs one; of gossip the ninth is
 * not even looked at any more, because gossipsub has stopped to listen, so eight must be enough.
 */
const POINTS: Readonly<Record<PeerFault, number>> = {
  garbage: 1,
  'frame-too-large': 2,
  'unfinished-frame': 1,
  'stalled-reader': 1,
  'bad-block': 1,
  'bad-record': 1,
  'bad-gossip': 4,
};
/** A fault in ten seconds is borne for ever: it costs less than the connection. */
const FORGIVEN_PER_MS = 1 / 10_000;
const COOLING_MAX_MS = 3_600_000;
/** How often somebody was sent away is forgotten when it behaved for so long. */
const OFFENCES_KEPT_MS = 6 * 3_600_000;
/** An identity costs nothing, so what is remembered of them must have an end. */
const PEERS_MAX = 1_024;

export interface StandingLimits {
  /** Points at which a peer is sent away. */
  readonly faultsMax: number;
  /** For the first time; doubles with each further one, to an hour at most. */
  readonly coolingMs: number;
}

interface Offender {
  points: number;
  /** When `points` was right. */
  at: number;
  offences: number;
  coolingUntil: number;
}

export interface Standing {
  /** Counts a fault; may send the peer away. */
  fault(peer: NodeId, fault: PeerFault): void;
  /** Milliseconds until the peer may come back; 0 = it may be here. */
  coolingMs(peer: NodeId): number;
  stats(): StandingStats;
}

export interface StandingStats {
  /** Peers kept out now. */
  readonly cooling: number;
  /** Peers of whom anything is remembered. */
  readonly known: number;
  /** Since the start, by kind. */
  readonly faults: Readonly<Record<PeerFault, number>>;
}

export function createStanding(deps: {
  readonly limits: StandingLimits;
  /** Monotonic, milliseconds. */
  readonly now: () => number;
  readonly log: Log;
  /** The peer is to be disconnected. */
  readonly onCooling: (peer: NodeId) => void;
}): Standing {
  const { limits, now } = deps;
  const peers = new Map<NodeId, Offender>();
  const faults = Object.fromEntries(Object.keys(POINTS).map((one) => [one, 0])) as Record<
    PeerFault,
    number
  >;

  const pointsOf = (one: Offender): number =>
    Math.max(0, one.points - (now() - one.at) * FORGIVEN_PER_MS);

  /** Of a full memory the one goes that is missed least: nobody who cools, and the fewest points. */
  function makeRoom(): void {
    let least: { peer: NodeId; worth: number } | null = null;
    for (const [peer, one] of peers) {
      const left = one.coolingUntil - now();
      const worth = left > 0 ? 1e9 + left : one.offences * limits.faultsMax + pointsOf(one);
      if (least === null || worth < least.worth) least = { peer, worth };
    }
    if (least !== null) peers.delete(least.peer);
  }

  function recordOf(peer: NodeId): Offender {
    let one = peers.get(peer);
    if (one === undefined) {
      if (peers.size >= PEERS_MAX) makeRoom();
      one = { points: 0, at: now(), offences: 0, coolingUntil: -Infinity };
      peers.set(peer, one);
    }
    if (now() - one.coolingUntil > OFFENCES_KEPT_MS) one.offences = 0;
    return one;
  }

  return {
    fault(peer, fault) {
      faults[fault] += 1;
      const one = recordOf(peer);
      if (one.coolingUntil > now()) return;
      one.points = pointsOf(one) + POINTS[fault];
      one.at = now();
      // A point of which only a part is forgiven still counts.
      if (Math.ceil(one.points) < limits.faultsMax) return;
      const ms = Math.min(COOLING_MAX_MS, limits.coolingMs * 2 ** Math.min(one.offences, 20));
      one.points = 0;
      one.offences += 1;
      one.coolingUntil = now() + ms;
      deps.log.warn({ peer, fault, coolingMs: ms }, 'peer.cooling');
      deps.onCooling(peer);
    },
    coolingMs: (peer) => Math.max(0, (peers.get(peer)?.coolingUntil ?? 0) - now()),
    stats() {
      let cooling = 0;
      for (const one of peers.values()) if (one.coolingUntil > now()) cooling += 1;
      return { cooling, known: peers.size, faults: { ...faults } };
    },
  };
}
