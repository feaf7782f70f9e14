/**
 * Everything a leader decides about its job: a pure function from the ledger and the leader's own
 * observations to a plan, whose buckets `carry-out.ts` empties. It is evaluated from scratch after every
 * event (level-triggered), so a lost message or a repeated one changes nothing but the moment.
 */
import { stopAmong } from '../record/commands.ts';
import { acceptSlot, assignSlot, closeSlot, partitionsIn } from '../record/slot.ts';
import type { Job } from '../../job/model.ts';
import type { ExecutionId, Millis, RecordId } from '../record/ids.ts';
import { after } from '../record/ids.ts';
import { safetyOf } from './holders.ts';
import type { Around, Safety } from './holders.ts';
import { fateOf, replacedFor, watchAnew } from './fate.ts';
import type { Fate } from './fate.ts';
import { queueEnding } from './queueing.ts';
import type { Search } from './queueing.ts';
import { attemptsOf, isTerminal } from '../record/ledger.ts';
import type { Attempt, Ledger, Partition } from '../record/ledger.ts';
import type { Limits } from '../contract/limits.ts';
import type { Vacancy } from '../placing/ranking.ts';
import type {
  Certified,
  CloseOutcome,
  Epoch,
  ReplacedFor,
  Signed,
  Slot,
} from '../record/records.ts';
import type { Replication, Watched } from './state.ts';

/** An execution that is over is told of within this. */
const OVERDUE_MS = 30_000;
/** To fetch inputs and images and to publish a result, which no timeout of the job limits. */
const MOVING_MS = 1_800_000;

/** What the leader has seen beside the ledger. */
export interface Observed {
  readonly now: Millis;
  readonly epoch: Epoch;
  /** Age of the job by this keeper's clock, milliseconds. */
  readonly ageMs: number;
  readonly watch: ReadonlyMap<ExecutionId, Readonly<Watched>>;
  /** Executions told to stop. */
  readonly cancelled: ReadonlySet<ExecutionId>;
  readonly replications: ReadonlyMap<ExecutionId, Replication>;
  readonly around: Around;
  /** What came of looking for nodes; null while none is looked for. */
  readonly search: Search | null;
  /** Something is proposed for this slot, and not committed yet. */
  readonly isProposed: (slot: Slot) => boolean;
  readonly limits: Limits;
}

export interface Ending {
  readonly outcome: CloseOutcome;
  readonly code: string;
  readonly message: string;
  readonly evidence: readonly RecordId[];
}

export interface GivenUp {
  readonly execution: ExecutionId;
  readonly why: Exclude<ReplacedFor, 'failed'>;
}

interface Surplus {
  readonly assign: Certified<'assign'>;
  readonly because: Certified<'accept'>;
}

export interface Plan {
  /** End the job now; nothing else matters then. */
  readonly close: Ending | null;
  /** Attempts to watch from now on. */
  readonly begun: readonly Watched[];
  /** Executions that are not counted on any more. */
  readonly givenUp: readonly GivenUp[];
  /** Failed executions seen for the first time. */
  readonly failed: readonly ExecutionId[];
  /** Executions to stop, as another result of their partition was accepted. */
  readonly surplus: readonly Surplus[];
  /** Results to accept now. */
  readonly accepts: readonly Signed<'state'>[];
  /** Results that need a second copy first. */
  readonly copies: readonly Signed<'state'>[];
  /** Executions that need a node now. */
  readonly vacancies: readonly Vacancy[];
  /** Every partition has an accepted result, or will have with what is proposed. */
  readonly complete: boolean;
  /** Look again at this moment, whatever happens. */
  readonly wakeAt: Millis | null;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };
type Draft = Mutable<Omit<Plan, 'complete'>> & { open: number; readonly version: number };

export function planJob(ledger: Ledger, observed: Observed): Plan {
  const { version } = ledger.spec.body;
  const draft: Draft = {
    version,
    close: null,
    begun: [],
    givenUp: [],
    failed: [],
    surplus: [],
    accepts: [],
    copies: [],
    vacancies: [],
    open: 0,
    wakeAt: null,
  };
  // The end is decided; it only has to be committed.
  if (observed.isProposed(closeSlot(version))) return { ...draft, complete: false };
  draft.close = stopEnding(ledger) ?? timeoutEnding(ledger, observed);
  const { spec } = ledger.spec.body;
  const total = spec.Task.Timeouts.TotalTimeout * 1000;
  if (total > 0) wake(draft, after(observed.now, Math.max(0, total - observed.ageMs)));
  const partitions = partitionsIn(ledger.spec.body);
  const limitMs = timeLimitOf(spec);
  for (let index = 0; index < partitions && draft.close === null; index += 1)
    planPartition(draft, ledger.partitions.get(index), index, observed, limitMs);
  if (draft.close === null && draft.vacancies.length > 0 && observed.search !== null) {
    const verdict = queueEnding(spec, observed.search, observed.now);
    if (verdict.over) draft.close = verdict.ending;
    else if (verdict.lookAt !== null) wake(draft, verdict.lookAt);
  }
  const { open, version: _, ...rest } = draft;
  return { ...rest, complete: draft.close === null && open === 0 };
}

function wake(draft: Draft, at: Millis): void {
  if (draft.wakeAt === null || at < draft.wakeAt) draft.wakeAt = at;
}

function stopEnding(ledger: Ledger): Ending | null {
  const stop = stopAmong(ledger.commands.values());
  if (stop === null) return null;
  const message = stop.body.reason === '' ? 'stopped by its owner' : stop.body.reason;
  return { outcome: 'stopped', code: 'stopped-by-owner', message, evidence: [stop.id] };
}

function timeoutEnding(ledger: Ledger, observed: Observed): Ending | null {
  const seconds = ledger.spec.body.spec.Task.Timeouts.TotalTimeout;
  if (seconds === 0 || observed.ageMs < seconds * 1000) return null;
  return {
    outcome: 'failed',
    code: 'total-timeout',
    message: `The job took longer than its TotalTimeout of ${seconds} s.`,
    evidence: [],
  };
}

/** An attempt as it is seen now. */
interface View {
  readonly attempt: Attempt;
  readonly watched: Readonly<Watched>;
  readonly fate: Fate;
  /** As every leader counts it. */
  readonly counts: Fate;
}

function planPartition(
  draft: Draft,
  partition: Partition | undefined,
  index: number,
  observed: Observed,
  timeLimitMs: number,
): void {
  const attempts = attemptsOf(partition);
  if (partition?.accept != null) return planSurplus(draft, attempts, partition.accept, observed);
  if (planResult(draft, attempts, index, observed)) return;
  draft.open += 1;
  const views = attempts.map((attempt, at) =>
    viewOf(draft, attempt, attempts[at + 1], observed, timeLimitMs),
  );
  for (const { attempt } of views) draft.close ??= fatalEnding(attempt, index);
  if (draft.close !== null || views.some(({ fate }) => fate === 'live')) return;
  const last = views.at(-1);
  const misses = views.filter(({ counts }) => counts === 'missed').length;
  // Who was only silent may come back: that it was lost counts once another took its place.
  const silent = last !== undefined && last.counts !== 'missed' && last.counts !== 'failed' ? 1 : 0;
  const failures = views.length - misses - silent;
  const { maxAttempts, maxMisses } = observed.limits;
  if (failures >= maxAttempts || misses > maxMisses) {
    draft.close = exhaustedEnding(attempts, index, failures);
    return;
  }
  const notBefore = backoffEnd(views, failures, observed);
  if (notBefore > observed.now) return wake(draft, notBefore);
  const attempt = last === undefined ? 0 : last.attempt.assign.record.body.attempt + 1;
  if (observed.isProposed(assignSlot(draft.version, index, attempt))) return;
  draft.vacancies.push({
    partition: index,
    attempt,
    replaces: last === undefined || last.fate === 'live' ? null : last.fate,
    tried: new Set(attempts.map(({ assign }) => assign.record.body.node)),
  });
}

/** @returns whether one of the attempts has a result that is there: then no other is needed. */
function planResult(
  draft: Draft,
  attempts: readonly Attempt[],
  index: number,
  observed: Observed,
): boolean {
  const results = attempts.flatMap(({ state }) =>
    state?.body.phase === 'completed' ? [{ state, safety: resultSafety(state, observed) }] : [],
  );
  const proposed = observed.isProposed(acceptSlot(draft.version, index));
  const safe = results.find(({ safety }) => safety === 'safe');
  if (safe !== undefined) {
    if (!proposed) draft.accepts.push(safe.state);
    return true;
  }
  const single = results.find(({ safety }) => safety === 'single');
  if (single === undefined) return false;
  draft.open += 1;
  if (!proposed) draft.copies.push(single.state);
  return true;
}

function resultSafety({ body }: Signed<'state'>, { replications, around }: Observed): Safety {
  if (body.result === null) return 'safe';
  return safetyOf(body.node, replications.get(body.execution), around);
}

/** Looks at an attempt, and puts down what is new about it. */
function viewOf(
  draft: Draft,
  attempt: Attempt,
  next: Attempt | undefined,
  observed: Observed,
  timeLimitMs: number,
): View {
  const { execution } = attempt.assign.record.body;
  const known = observed.watch.get(execution);
  const { now, epoch, limits } = observed;
  const watched = known ?? watchAnew(attempt, next, epoch, now, limits);
  if (known === undefined) draft.begun.push(watched);
  let fate = fateOf(attempt, next, watched);
  if (fate === 'failed' && watched.failedAt === null) draft.failed.push(execution);
  const why = fate === 'live' ? givingUp(draft, attempt, watched, observed, timeLimitMs) : null;
  if (why !== null) {
    draft.givenUp.push({ execution, why });
    fate = why;
  }
  return { attempt, watched, fate, counts: replacedFor(next) ?? fate };
}

/** Why a living attempt is not counted on from now on; null when it is. */
function givingUp(
  draft: Draft,
  { state }: Attempt,
  { firstAt, silentAt, startBy }: Readonly<Watched>,
  observed: Observed,
  timeLimitMs: number,
): GivenUp['why'] | null {
  // Nobody has what it made. While its node is away it may come back with it.
  if (state?.body.phase === 'completed' && resultSafety(state, observed) === 'gone') return 'lost';
  if (startBy !== null && startBy <= observed.now) return 'missed';
  if (silentAt <= observed.now) return 'lost';
  const overdueAt = after(firstAt, timeLimitMs);
  if (overdueAt <= observed.now) return 'overdue';
  wake(draft, silentAt < overdueAt ? silentAt : overdueAt);
  if (startBy !== null) wake(draft, startBy);
  return null;
}

/**
 * An executor ends what runs too long. One that does not, while it renews its lease, is lost all the
 * same: after the job's own limit and the time for what does not count in it.
 */
function timeLimitOf({ Task }: Job): number {
  const { Engine, InputSources, Publisher, Timeouts } = Task;
  if (Timeouts.ExecutionTimeout === 0) return Number.POSITIVE_INFINITY;
  const moves = Engine.Type === 'docker' || InputSources.length > 0 || Publisher.Type !== '';
  return Timeouts.ExecutionTimeout * 1000 + (moves ? MOVING_MS : OVERDUE_MS);
}

/** After an accept the other attempts of its partition are to stop. */
function planSurplus(
  draft: Draft,
  attempts: readonly Attempt[],
  accept: Certified<'accept'>,
  { cancelled }: Observed,
): void {
  for (const attempt of attempts) {
    const { assign, state } = attempt;
    const { execution } = assign.record.body;
    if (execution === accept.record.body.execution) continue;
    if (state !== null && isTerminal(state.body.phase)) continue;
    if (!cancelled.has(execution)) draft.surplus.push({ assign, because: accept });
  }
}

/** A failure that no other node would mend: the spec is wrong, or the job ran into its own limit. */
function fatalEnding(attempt: Attempt, index: number): Ending | null {
  const state = attempt.state;
  const failure = state?.body.failure;
  if (state == null || failure == null || state.body.phase !== 'failed') return null;
  if (failure.class !== 'spec' && failure.class !== 'limit') return null;
  return {
    outcome: 'failed',
    code: failure.code,
    message: `Partition ${index}: ${failure.message}`.slice(0, 1000),
    evidence: [state.id],
  };
}

function exhaustedEnding(attempts: readonly Attempt[], index: number, failed: number): Ending {
  const last = attempts.findLast((attempt) => attempt.state?.body.failure != null)?.state ?? null;
  const why = last?.body.failure?.message ?? 'the node was lost or did not take it up';
  return {
    outcome: 'failed',
    code: 'attempts-exhausted',
    message: `Partition ${index} did not succeed in ${failed} attempts; the last one: ${why}`.slice(
      0,
      1000,
    ),
    evidence: last === null ? [] : [last.id],
  };
}

/** When the next attempt may start: back-off doubles with each failure; a lost node needs none. */
function backoffEnd(views: readonly View[], failures: number, { now, limits }: Observed): Millis {
  const last = views.findLast(({ fate }) => fate === 'failed');
  if (last === undefined) return now;
  const seen = last.watched.failedAt ?? now;
  return after(seen, limits.retryBackoffMs * 2 ** Math.max(0, failures - 1));
}
