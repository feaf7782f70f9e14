/**
 * What a leader should do next about a job: a pure function from the ledger and the leader's own
 * observations to a plan. It is evaluated from scratch after every event (level-triggered), so a lost
 * message or a repeated one changes nothing but the moment.
 */
import { partitionsIn } from '../record/certificate.ts';
import type { Job } from '../../job/model.ts';
import type { ExecutionId, Millis, NodeId, RecordId } from '../record/ids.ts';
import { after } from '../record/ids.ts';
import { safetyOf } from './holders.ts';
import type { Around, Safety } from './holders.ts';
import { attemptsOf, isTerminal } from '../record/ledger.ts';
import type { Attempt, Ledger, Partition } from '../record/ledger.ts';
import type { Limits } from '../contract/limits.ts';
import type { Vacancy } from '../placing/ranking.ts';
import type { CloseOutcome, Signed } from '../record/records.ts';
import type { GivenUp, Replication } from './state.ts';

/** An execution that is over is told of within this. */
const OVERDUE_MS = 30_000;
/** To fetch inputs and images and to publish a result, which no timeout of the job limits. */
const MOVING_MS = 1_800_000;

/** What the leader has seen beside the ledger. */
export interface Observed {
  readonly now: Millis;
  /** Age of the job by this keeper's clock, milliseconds. */
  readonly ageMs: number;
  /** When this leadership began. */
  readonly since: Millis;
  readonly heard: ReadonlyMap<ExecutionId, Millis>;
  /** When this leader first saw each execution assigned. */
  readonly seenAt: ReadonlyMap<ExecutionId, Millis>;
  readonly givenUp: ReadonlyMap<ExecutionId, GivenUp>;
  readonly failedAt: ReadonlyMap<ExecutionId, Millis>;
  readonly replications: ReadonlyMap<ExecutionId, Replication>;
  readonly around: Around;
  readonly limits: Limits;
}

export interface Ending {
  readonly outcome: CloseOutcome;
  readonly code: string;
  readonly message: string;
  readonly evidence: readonly RecordId[];
}

export interface Plan {
  /** End the job now; nothing else matters then. */
  readonly close: Ending | null;
  /** Results to accept now. */
  readonly accepts: readonly Signed<'state'>[];
  /** Results that need a second copy first. */
  readonly replicate: readonly Signed<'state'>[];
  /** Executions that need a node now. */
  readonly vacancies: readonly Vacancy[];
  /** Executions that went unheard for too long. */
  readonly lost: readonly ExecutionId[];
  /** Executions that ran for longer than they may. */
  readonly overdue: readonly ExecutionId[];
  /** Failed executions seen for the first time. */
  readonly failed: readonly ExecutionId[];
  /** Every partition has an accepted result, or will have with `accepts`. */
  readonly complete: boolean;
  /** Look again at this moment, whatever happens. */
  readonly wakeAt: Millis | null;
}

export const partitionsOf = (ledger: Ledger): number => partitionsIn(ledger.spec.body);

interface Draft {
  readonly accepts: Signed<'state'>[];
  readonly replicate: Signed<'state'>[];
  readonly vacancies: Vacancy[];
  readonly lost: ExecutionId[];
  readonly overdue: ExecutionId[];
  readonly failed: ExecutionId[];
  open: number;
  close: Ending | null;
  wakeAt: Millis | null;
}

export function planJob(ledger: Ledger, observed: Observed): Plan {
  const draft: Draft = {
    accepts: [],
    replicate: [],
    vacancies: [],
    lost: [],
    overdue: [],
    failed: [],
    open: 0,
    close: stopEnding(ledger) ?? timeoutEnding(ledger, observed),
    wakeAt: null,
  };
  const total = ledger.spec.body.spec.Task.Timeouts.TotalTimeout * 1000;
  if (total > 0) wake(draft, after(observed.now, Math.max(0, total - observed.ageMs)));
  const partitions = partitionsOf(ledger);
  const limitMs = timeLimitOf(ledger.spec.body.spec);
  for (let index = 0; index < partitions && draft.close === null; index += 1) {
    planPartition(draft, ledger.partitions.get(index), index, observed, limitMs);
  }
  const { open, ...rest } = draft;
  return { ...rest, complete: draft.close === null && open === 0 };
}

function wake(draft: Draft, at: Millis): void {
  if (draft.wakeAt === null || at < draft.wakeAt) draft.wakeAt = at;
}

function stopEnding(ledger: Ledger): Ending | null {
  for (const command of ledger.commands.values()) {
    if (command.body.command !== 'stop') continue;
    const message = command.body.reason === '' ? 'stopped by its owner' : command.body.reason;
    return { outcome: 'stopped', code: 'stopped-by-owner', message, evidence: [command.id] };
  }
  return null;
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

function planPartition(
  draft: Draft,
  partition: Partition | undefined,
  index: number,
  observed: Observed,
  timeLimitMs: number,
): void {
  if (partition?.accept != null) return;
  const attempts = attemptsOf(partition);
  if (planResult(draft, attempts, observed)) return;
  draft.open += 1;
  const counts = { failed: 0, missed: 0, live: 0 };
  for (const attempt of attempts) {
    const fate = fateOf(attempt, observed, draft, timeLimitMs);
    // Who was only silent may come back: that it was lost counts once another took its place.
    if (fate !== 'lost') counts[fate] += 1;
    else if (attempt !== attempts.at(-1)) counts.failed += 1;
    draft.close ??= fatalEnding(attempt, index);
  }
  if (draft.close !== null || counts.live > 0) return;
  if (counts.failed >= observed.limits.maxAttempts || counts.missed > observed.limits.maxMisses) {
    draft.close = exhaustedEnding(attempts, index, counts.failed);
    return;
  }
  const notBefore = backoffEnd(attempts, counts.failed, observed);
  if (notBefore > observed.now) return wake(draft, notBefore);
  draft.vacancies.push({
    partition: index,
    attempt: (attempts.at(-1)?.assign.record.body.attempt ?? -1) + 1,
    tried: new Set(attempts.map((attempt) => attempt.assign.record.body.node)),
  });
}

/** @returns whether one of the attempts has a result that is there: then no other is needed. */
function planResult(draft: Draft, attempts: readonly Attempt[], observed: Observed): boolean {
  const results = attempts.flatMap(({ state }) =>
    state?.body.phase === 'completed' ? [{ state, safety: resultSafety(state, observed) }] : [],
  );
  const safe = results.find(({ safety }) => safety === 'safe');
  if (safe !== undefined) {
    draft.accepts.push(safe.state);
    return true;
  }
  const single = results.find(({ safety }) => safety === 'single');
  if (single === undefined) return false;
  draft.open += 1;
  draft.replicate.push(single.state);
  return true;
}

function resultSafety({ body }: Signed<'state'>, { replications, around }: Observed): Safety {
  if (body.result === null) return 'safe';
  return safetyOf(body.node, replications.get(body.execution), around);
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

/** What became of an attempt, as far as this leader can tell. */
function fateOf(
  attempt: Attempt,
  observed: Observed,
  draft: Draft,
  timeLimitMs: number,
): 'live' | 'failed' | 'lost' | 'missed' {
  const { execution } = attempt.assign.record.body;
  const phase = attempt.state?.body.phase ?? null;
  if (phase === 'failed') {
    if (!observed.failedAt.has(execution)) draft.failed.push(execution);
    return 'failed';
  }
  if (attempt.state !== null && phase === 'completed') {
    // Nobody has what it made. While its node is away it may come back with it.
    if (resultSafety(attempt.state, observed) === 'gone') {
      if (observed.givenUp.get(execution) !== 'lost') draft.lost.push(execution);
      return 'lost';
    }
    // Cancelled without a close or another result: its node is leaving. That is nobody's failure.
  } else if (phase !== null && isTerminal(phase)) return 'missed';
  const givenUp = observed.givenUp.get(execution);
  if (givenUp !== undefined) return givenUp === 'missed' ? 'missed' : 'lost';
  const silentAt = after(
    observed.heard.get(execution) ?? observed.since,
    observed.limits.leaseLostMs,
  );
  const overdueAt = after(observed.seenAt.get(execution) ?? observed.now, timeLimitMs);
  if (silentAt > observed.now && overdueAt > observed.now) {
    wake(draft, silentAt < overdueAt ? silentAt : overdueAt);
    return 'live';
  }
  (overdueAt > observed.now ? draft.lost : draft.overdue).push(execution);
  return 'lost';
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
function backoffEnd(attempts: readonly Attempt[], failures: number, observed: Observed): Millis {
  const last = attempts.findLast((attempt) => attempt.state?.body.phase === 'failed');
  if (last === undefined) return observed.now;
  const seen = observed.failedAt.get(last.assign.record.body.execution) ?? observed.now;
  return after(seen, observed.limits.retryBackoffMs * 2 ** Math.max(0, failures - 1));
}

/** How often each node failed or lost an execution of this job. */
export function failuresByNode(
  ledger: Ledger,
  givenUp: ReadonlyMap<ExecutionId, string>,
): Map<NodeId, number> {
  const failures = new Map<NodeId, number>();
  for (const partition of ledger.partitions.values()) {
    for (const { assign, state } of partition.attempts.values()) {
      const { node, execution } = assign.record.body;
      if (state?.body.phase !== 'failed' && !givenUp.has(execution)) continue;
      failures.set(node, (failures.get(node) ?? 0) + 1);
    }
  }
  return failures;
}
