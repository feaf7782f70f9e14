/**
 * What is to be done about one replica of a job that does not end: it is kept running. Its latest attempt is the
 * one that stands, for every leader alike. When a node that was thought lost is back with an earlier one, the
 * oldest that is well stays: the leader commits a further attempt that adopts it, and whatever stands no more
 * is stopped with that as the proof.
 */
import { partitionPolicyOf } from '../../job/partition-policy.ts';
import { RESTART_MAX_MS, STEADY_MS } from '../contract/limits.ts';
import type { Limits } from '../contract/limits.ts';
import { after } from '../record/ids.ts';
import type { Millis } from '../record/ids.ts';
import { attemptsOf } from '../record/ledger.ts';
import type { Attempt, Ledger } from '../record/ledger.ts';
import type { ReplacedFor } from '../record/records.ts';
import { assignSlot, attemptsMax } from '../record/slot.ts';
import { exhaustedEnding, fatalEnding } from './endings.ts';
import { replacedFor } from './fate.ts';
import type { Fate } from './fate.ts';
import type { Observed, PartitionPlan } from './partition-plan.ts';
import { viewOf, wake } from './view.ts';
import type { View } from './view.ts';

/** Another node runs it within 30 s of a loss, of which a whole lease may take 20, however many there were before. */
const LOST_PAUSE_MAX_MS = 5_000;
/**
 * A node that leaves had run it for so long at least; one that gives back at once what it takes could use up all
 * attempts of a service otherwise.
 */
const MOVED_MS = 60_000;
/** Attempts in a row of which one that comes back is not taken back: its node comes and goes. */
const FLAPPING = 4;
/** Renewals of its lease in which a node that is back tells how far its replica is: one may be lost. */
const TELLINGS = 2;

export function planReplica(
  draft: PartitionPlan,
  ledger: Ledger,
  index: number,
  observed: Observed,
): void {
  draft.open = true;
  const attempts = attemptsOf(ledger.partitions.get(index));
  const views = standing(attempts).map(([attempt, next]) =>
    viewOf(draft, attempt, next, ledger, observed, Number.POSITIVE_INFINITY),
  );
  for (const { attempt } of views) draft.ending ??= fatalEnding(attempt, index, false);
  if (draft.ending !== null) return;
  const last = views.at(-1);
  const inRow = troubles(attempts, last, observed.now);
  draft.failing = views
    .slice(-inRow)
    .filter(({ attempt, fate }) => fate !== 'live' && attempt.state?.body.phase !== 'cancelled')
    .map(({ attempt }) => attempt.assign.record.body.node);
  const exclusive = partitionPolicyOf(ledger.spec.body.spec) === 'exclusive';
  const living = views.filter((view) => view.fate === 'live' && !isStopping(view, observed));
  // What took the place of an exclusive one may have begun, so none of those before it stays.
  const losses = lossesIn(attempts, inRow);
  const eligible = exclusive ? living.filter((view) => view === last) : living;
  const stays = whoStays(eligible, last, losses, observed);
  const attempt = (attempts.at(-1)?.assign.record.body.attempt ?? -1) + 1;
  const isFull = attempt >= attemptsMax(ledger.spec.body);
  if (last !== undefined && stays === last) return stopOthers(draft, living, last, observed);
  if (isFull) {
    // It cannot be taken back, and is better than none.
    if (stays !== undefined) return;
    draft.ending = exhaustedEnding(attempts, index, attempt);
    return;
  }
  const isProposed = observed.isProposed(assignSlot(ledger.spec.body.version, index, attempt));
  if (stays !== undefined && last !== undefined) {
    const replaces = last.fate === 'live' ? 'surplus' : last.fate;
    const adopted = stays.attempt.assign.record;
    if (!isProposed) draft.adoption = { attempt, replaces, adopted };
    return;
  }
  const notBefore = last === undefined ? observed.now : pauseEnd(draft, last, losses, observed);
  if (notBefore > observed.now) return wake(draft, notBefore);
  // One of the version before runs in its place.
  if (isProposed || observed.held?.has(index) === true) return;
  draft.vacancy = {
    partition: index,
    attempt,
    replaces: last === undefined ? null : replacedAs(last.fate),
    tried: new Set(views.slice(-inRow).map((view) => view.attempt.assign.record.body.node)),
  };
}

/** The latest attempt of each execution, with what follows it; in the order of the attempts. */
function standing(
  attempts: readonly Attempt[],
): readonly (readonly [Attempt, Attempt | undefined])[] {
  const latest = new Map(
    attempts.map((attempt, at) => [attempt.assign.record.body.execution, at] as const),
  );
  return attempts.flatMap((attempt, at) =>
    latest.get(attempt.assign.record.body.execution) === at
      ? [[attempt, attempts[at + 1]] as const]
      : [],
  );
}

/** One that lives and was told to stop is as good as gone. */
const replacedAs = (fate: Fate): ReplacedFor => (fate === 'live' ? 'missed' : fate);

const executionOf = ({ attempt }: View) => attempt.assign.record.body.execution;

/** The attempt that an execution began as: the lower, the older. */
const ageOf = ({ attempt: { assign } }: View): number =>
  assign.record.body.adopts ?? assign.record.body.attempt;

/** It was told to stop, and may not have heard it yet. */
const isStopping = (view: View, { cancelled }: Observed): boolean =>
  cancelled.has(executionOf(view));

/** Its program runs, as its node said last. */
function isWell({ attempt: { state } }: View): boolean {
  return state !== null && state.body.phase === 'running' && state.body.retryMs === null;
}

/**
 * Of those that live: the oldest that is well, else the one that stands, else the oldest. What stands is not given up
 * for a younger one before it had time to say how far it is: a new leader may hear the younger first.
 */
function whoStays(
  living: readonly View[],
  last: View | undefined,
  losses: number,
  { now, limits }: Observed,
): View | undefined {
  const isAlive = last !== undefined && living.includes(last);
  if (isAlive && isWell(last) && losses >= FLAPPING) return last;
  const byAge = living.toSorted((a, b) => ageOf(a) - ageOf(b));
  const may = byAge.find((view) => isWell(view) || (view === last && toldBy(view, limits) > now));
  return may ?? (isAlive ? last : byAge[0]);
}

/** Once the one that stands has said so, and of each other how far it is is known, or does not come. */
function stopOthers(
  draft: PartitionPlan,
  living: readonly View[],
  last: View,
  { now, limits }: Observed,
): void {
  if (last.watched.startBy !== null) return;
  const because = last.attempt.assign;
  const own = toldBy(last, limits);
  for (const view of living) {
    if (view === last) continue;
    const told = toldBy(view, limits);
    const until = told > own ? told : own;
    if (until > now) wake(draft, until);
    else draft.surplus.push({ assign: view.attempt.assign, because });
  }
}

/**
 * Until when a node may be about to say how far its replica is, counted from when this leader saw that it lives; a moment
 * that is past when it has. What it said to another leader this one does not know, and that it lives is heard before
 * that it runs.
 */
function toldBy({ attempt: { state }, watched }: View, { leaseRenewMs }: Limits): Millis {
  const seenAt = watched.backAt ?? watched.firstAt;
  return state?.body.phase === 'running' ? seenAt : after(seenAt, TELLINGS * leaseRenewMs);
}

/**
 * The attempts up to the last one, each of which did not last: by the moments at which they were assigned, so that every
 * leader counts the same. What the last one did so far this leader has seen.
 */
function troubles(attempts: readonly Attempt[], last: View | undefined, now: Millis): number {
  if (last === undefined) return 0;
  const { firstAt, failedAt } = last.watched;
  if ((failedAt ?? now) - firstAt >= STEADY_MS) return 1;
  let count = 1;
  for (let at = attempts.length - 1; at > 0; at -= 1, count += 1) {
    const [began, before] = [attempts[at], attempts[at - 1]];
    if (began === undefined || before === undefined) break;
    if (began.assign.record.hlc - before.assign.record.hlc >= STEADY_MS) break;
  }
  return count;
}

/** Its node stopped it after a while, as it leaves: that says nothing of the next one. */
function hasMoved({ assign, state }: Attempt, next: Attempt): boolean {
  if (state?.body.phase !== 'cancelled' || replacedFor(next) !== 'missed') return false;
  return next.assign.record.hlc - assign.record.hlc >= MOVED_MS;
}

/** The same of the last one. */
function moves({ attempt: { state }, watched: { firstAt, failedAt } }: View, now: Millis): boolean {
  return state?.body.phase === 'cancelled' && (failedAt ?? now) - firstAt >= MOVED_MS;
}

/** Of the attempts in a row. */
function lossesIn(attempts: readonly Attempt[], inRow: number): number {
  const row = attempts.slice(attempts.length - inRow);
  return row.filter((attempt, at) => {
    const next = row[at + 1];
    return next === undefined || !hasMoved(attempt, next);
  }).length;
}

/** When the next attempt may start; a first loss is replaced at once, and so is what moves. */
function pauseEnd(draft: PartitionPlan, last: View, losses: number, observed: Observed): Millis {
  const { now, limits } = observed;
  if (moves(last, now)) return now;
  const { failedAt } = last.watched;
  if (failedAt === null && last.fate !== 'failed') draft.failed.push(executionOf(last));
  return after(failedAt ?? now, pauseMs(last.fate, losses, limits.retryBackoffMs));
}

function pauseMs(fate: Fate, losses: number, firstMs: number): number {
  if (fate !== 'failed' && losses <= 1) return 0;
  const mostMs = fate === 'lost' ? LOST_PAUSE_MAX_MS : RESTART_MAX_MS;
  return Math.min(firstMs * 2 ** Math.min(losses - 1, 20), mostMs);
}
