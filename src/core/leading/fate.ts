/**
 * Whether an attempt lives: asked here by everybody who leads or looks on. What was committed counts for
 * all, for ever: how an execution ended, and why the next attempt took its place. What a leader has only
 * seen counts for itself, until it is proven wrong.
 */
import { after } from '../record/ids.ts';
import type { ExecutionId, NodeId } from '../record/ids.ts';
import { isTerminal } from '../record/ledger.ts';
import type { Attempt, Ledger, Partition } from '../record/ledger.ts';
import type { ReplacedFor } from '../record/records.ts';
import { sameEpoch } from '../record/ballot.ts';
import type { Observed } from './partition-plan.ts';
import { isWaitedFor, patienceOf } from './patience.ts';
import type { Watched } from './state.ts';

/** `live`: it may still bring a result. All others are why another attempt is wanted. */
export type Fate = 'live' | ReplacedFor;

/** Why its successor took its place, as it was committed; null while it has none. */
export const replacedFor = (next: Attempt | undefined): ReplacedFor | null =>
  next?.assign.record.body.replaces ?? null;

/**
 * @param next the attempt after it
 * @param watched what the leader has seen of it; undefined for who does not lead
 */
export function fateOf(
  { state }: Attempt,
  next: Attempt | undefined,
  watched: Watched | undefined,
): Fate {
  const phase = state?.body.phase ?? null;
  if (phase === 'failed') return 'failed';
  // Cancelled without a close or another result: its node is leaving. That is nobody's failure.
  if (phase !== null && phase !== 'completed' && isTerminal(phase)) return 'missed';
  return (watched === undefined ? replacedFor(next) : watched.gaveUp) ?? 'live';
}

/** A first look at an attempt. What another leader assigned may run for long: its node has the time of a lease to say so. */
export function watchAnew(
  attempt: Attempt,
  next: Attempt | undefined,
  ledger: Ledger,
  { now, epoch, limits }: Pick<Observed, 'now' | 'epoch' | 'limits'>,
): Watched {
  const patienceMs = patienceOf(ledger, limits);
  const { assign, state } = attempt;
  const replaced = replacedFor(next);
  const own = sameEpoch(assign.record.body.epoch, epoch);
  // What was adopted runs already; its node has to hear of it all the same.
  const awaited =
    state === null || (assign.record.body.adopts !== null && !isTerminal(state.body.phase));
  const startMs = own && !isWaitedFor(ledger) ? limits.startTimeoutMs : patienceMs;
  const startBy = after(now, startMs);
  return {
    assign,
    firstAt: now,
    silentAt: after(now, patienceMs),
    startBy: awaited && replaced === null ? startBy : null,
    sendAt: now,
    gaveUp: replaced === 'failed' ? null : replaced,
    backAt: null,
    failedAt: null,
  };
}

/** The attempts of a partition with what follows each, first to last. */
export function* lives(
  partition: Partition,
): Generator<{ readonly attempt: Attempt; readonly next: Attempt | undefined }, void, undefined> {
  for (const [number, attempt] of partition.attempts)
    yield { attempt, next: partition.attempts.get(number + 1) };
}

/**
 * The nodes that failed executions of a partition, or were given up with them, once for each.
 * @param watch what its leader has seen; null elsewhere
 */
export function failingIn(
  partition: Partition,
  watch: ReadonlyMap<ExecutionId, Watched> | null,
): readonly NodeId[] {
  const nodes: NodeId[] = [];
  for (const { attempt, next } of lives(partition)) {
    const { node, execution } = attempt.assign.record.body;
    const left = attempt.state?.body.phase === 'cancelled';
    if (!left && fateOf(attempt, next, watch?.get(execution)) !== 'live') nodes.push(node);
  }
  return nodes;
}

/** Whether this node failed an execution of this job, as every keeper can tell. */
export function hasFailed({ partitions }: Ledger, node: NodeId): boolean {
  for (const partition of partitions.values())
    if (failingIn(partition, null).includes(node)) return true;
  return false;
}
