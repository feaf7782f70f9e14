/**
 * The peers that may be dialled, and when: what is remembered of each, how long to wait after a
 * failure, who goes first, and who is given up. Dials nothing; `discovery.ts` does.
 */
import type { Multiaddr } from '@multiformats/multiaddr';
import type { NodeId } from '../../src/core/record/ids.ts';
import type { DialProblem } from './dial-problem.ts';

const BACKOFF_FIRST_MS = 500;
/** A peer that comes back is found within a minute, however long it was away. */
const BACKOFF_MAX_MS = 60_000;
/** One that was here is more likely cut off than gone: for ten minutes it is dialled oftener. */
const BACKOFF_LOST_MS = 4_000;
const LOST_MS = 600_000;
/** Over this the dials are spread when one of the lost is back. */
const WAKE_MS = 500;
/** A connection that has not become a membership after this long is no member's. */
export const SETTLE_MS = 5_000;
/** A peer of another mesh is not tried again sooner. */
const FOREIGN_MS = 10_000;
const PARALLEL_DIALS = 8;
/**
 * While this node does not keep up with itself: each dial is some 50 ms of work at both ends, and many of
 * those that are begun at once then fail for being late, and are begun again.
 */
const STRAINED_DIALS = 2;
/** Beside those, for peers that we know: whoever tells of a thousand others must not have them wait. */
const FRIEND_DIALS = 2;
/** Strangers that nobody could reach are dropped after this many failures; bootstraps never. */
const STRANGER_TRIES = 12;
export const CANDIDATES_MAX = 1_000;
/** Up to so many known peers nobody is given up who was a member in this run: a cut may last hours. */
const FAITHFUL_MAX = CANDIDATES_MAX / 2;

export type Origin = 'bootstrap' | 'remembered' | 'exchange' | 'mdns' | 'manual';

export interface Candidate {
  readonly peer: NodeId;
  addresses: readonly Multiaddr[];
  readonly origin: Origin;
  /** Failures in a row. */
  attempts: number;
  nextAt: number;
  dialling: boolean;
  problem: DialProblem | null;
  /** When it last became a member; tells a connection that lasted from one that was turned away. */
  joinedAt: number;
  /** When a membership that had lasted ended; null while it lasts, and before. */
  lostAt: number | null;
}

export const newCandidate = (
  peer: NodeId,
  origin: Origin,
  addresses: readonly Multiaddr[],
  nextAt: number,
): Candidate => ({
  peer,
  origin,
  addresses,
  nextAt,
  attempts: 0,
  dialling: false,
  problem: null,
  joinedAt: -Infinity,
  lostAt: null,
});

/**
 * Joins are spread a little, so that a whole site that boots does not hit one seed in one instant. Of
 * two peers that hear of each other at once, the one with the smaller id dials first.
 */
export function firstDelayMs(origin: Origin, self: NodeId, peer: NodeId): number {
  if (origin === 'manual') return 0;
  if (origin === 'bootstrap' || self < peer) return Math.random() * 150;
  return 1_500 + Math.random() * 500;
}

/** Until the next dial: doubles from half a second to a minute, ± 25 %; less for who was here just now. */
export function pauseMs({ attempts, lostAt }: Candidate, now: number): number {
  const lost = lostAt !== null && now - lostAt < LOST_MS;
  const mostMs = lost ? BACKOFF_LOST_MS : BACKOFF_MAX_MS / 1.25;
  const base = Math.min(mostMs, BACKOFF_FIRST_MS * 2 ** Math.min(attempts - 1, 10));
  return base * (0.75 + Math.random() / 2);
}

/** A dial failed. */
export function failed(candidate: Candidate, problem: DialProblem, now: number): void {
  candidate.attempts += 1;
  candidate.problem = problem;
  candidate.nextAt = now + pauseMs(candidate, now);
}

/** It is kept out for so long. */
export function keptOut(candidate: Candidate, problem: DialProblem, ms: number, now: number): void {
  candidate.problem = problem;
  candidate.nextAt = now + ms;
}

/** A dial led to something: a member, or a peer that is none and has a problem of its own. */
export function reached(candidate: Candidate, problem: DialProblem | null, now: number): void {
  candidate.problem = problem;
  candidate.nextAt = now + BACKOFF_MAX_MS;
}

/** It is a member now. @returns whether it had been lost: then others that were may be back, too */
export function isBack(candidate: Candidate): boolean {
  const lost = candidate.lostAt !== null;
  candidate.lostAt = null;
  return lost;
}

/**
 * Its membership ended. A side that admits us no more says so only after the handshake, which looks like a
 * success: `turnedAway` is what that is called.
 */
export function parted(candidate: Candidate, turnedAway: DialProblem, now: number): void {
  const lasted = now - candidate.joinedAt >= SETTLE_MS;
  if (!lasted) return failed(candidate, turnedAway, now);
  candidate.attempts = 1;
  candidate.lostAt = now;
  candidate.nextAt = now + pauseMs(candidate, now);
}

/** It belongs to another mesh. */
export function isForeign(candidate: Candidate, problem: DialProblem, now: number): void {
  failed(candidate, problem, now);
  candidate.nextAt = Math.max(candidate.nextAt, now + FOREIGN_MS);
}

/** Named by the operator, or a member before in this run: not only somebody's word. */
const isFriend = ({ origin, joinedAt }: Candidate): boolean =>
  isNamed(origin) || joinedAt > -Infinity;

/** A member of an earlier run, or named by the operator, and not met in this run. */
export const isMissed = ({ origin, joinedAt, problem }: Candidate): boolean =>
  (isNamed(origin) || origin === 'remembered') &&
  joinedAt === -Infinity &&
  problem?.problem !== 'wrong-network';

/** Whether it can be reached is not known yet. */
export const isUntried = ({ attempts, problem }: Candidate): boolean =>
  attempts === 0 && problem === null;

const isNamed = (origin: Origin): boolean => origin === 'bootstrap' || origin === 'manual';

/** @param known how many candidates there are */
export function isGivenUp({ origin, attempts, lostAt }: Candidate, known: number): boolean {
  if (isNamed(origin) || attempts < STRANGER_TRIES) return false;
  return lostAt === null || known > FAITHFUL_MAX;
}

/**
 * Who is dialled now, in this order.
 * @param away those that are not connected
 * @param dialling dials under way
 * @param room connections that are wanted beside those
 * @param strained this node does not keep up with itself
 */
export function dueNow(
  away: readonly Candidate[],
  now: number,
  dialling: number,
  room: number,
  strained: boolean,
): readonly Candidate[] {
  const due = away
    .filter((one) => !one.dialling && one.nextAt <= now)
    .sort((a, b) => Number(isFriend(b)) - Number(isFriend(a)) || a.nextAt - b.nextAt);
  const chosen: Candidate[] = [];
  for (const candidate of due) {
    const most =
      (strained ? STRAINED_DIALS : PARALLEL_DIALS) + (isFriend(candidate) ? FRIEND_DIALS : 0);
    if (dialling + chosen.length >= most || chosen.length >= room) break;
    chosen.push(candidate);
  }
  return chosen;
}

/** Who comes back may have been cut off together with others: they are dialled now, not in their turn. */
export function wakeLost(candidates: Iterable<Candidate>, now: number): void {
  for (const one of candidates) {
    if (one.lostAt !== null) one.nextAt = Math.min(one.nextAt, now + Math.random() * WAKE_MS);
  }
}
