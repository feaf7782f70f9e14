/**
 * What is to be done about one partition of a job: a pure function from its attempts and the leader's
 * observations. `plan.ts` puts the partitions together.
 */
import type { Job } from '../../job/model.ts';
import { partitionPolicyOf } from '../../job/partition-policy.ts';
import { JOB_TYPES } from '../../job/types.ts';
import type { ExecutionId, Millis, NodeId, RecordId } from '../record/ids.ts';
import { after } from '../record/ids.ts';
import { enrolledEnd } from './enrolment.ts';
import type { Enrolment } from './enrolment.ts';
import { exhaustedEnding, fatalEnding } from './endings.ts';
import type { Around } from './holders.ts';
import { failingIn } from './fate.ts';
import type { Search } from './queueing.ts';
import { attemptsOf, isTerminal } from '../record/ledger.ts';
import type { Attempt, Ledger } from '../record/ledger.ts';
import { acceptSlot, assignSlot } from '../record/slot.ts';
import { PREDECESSOR_MS } from '../contract/limits.ts';
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
import { planReplica } from './replica-plan.ts';
import type { Replication, Watched } from './state.ts';
import { resultSafety, viewOf, wake } from './view.ts';
import type { View } from './view.ts';

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
  /** Replicas that wait until others have gone over to this version; absent: none do. */
  readonly held?: ReadonlySet<number>;
  /** Of a job whose nodes decide for themselves; null of others. */
  readonly enrolment: Enrolment | null;
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

export interface Surplus {
  readonly assign: Certified<'assign'>;
  /** What stands instead of it. */
  readonly because: Certified<'accept'> | Certified<'assign'>;
}

/** An execution that was only thought lost goes on as a further attempt. */
export interface Adoption {
  readonly attempt: number;
  readonly replaces: ReplacedFor;
  readonly adopted: Signed<'assign'>;
}

/** What is to be done about one partition now. */
export interface PartitionPlan {
  /** It has no result that is accepted, or lies safely. */
  open: boolean;
  /** Its results lie on nodes that come and go: it is to be looked at whatever happens. */
  restless: boolean;
  /** The job ends with it. */
  ending: Ending | null;
  /** Attempts to watch from now on. */
  readonly begun: Watched[];
  /** Executions that are not counted on any more. */
  readonly givenUp: GivenUp[];
  /** Failed executions seen for the first time. */
  readonly failed: ExecutionId[];
  /** Executions to stop, as another result of the partition was accepted or another attempt stands. */
  readonly surplus: Surplus[];
  /** The execution to take back now. */
  adoption: Adoption | null;
  /** The result to accept now. */
  accept: Signed<'state'> | null;
  /** The result that needs a second copy first. */
  copy: Signed<'state'> | null;
  /** An execution that needs a node now. */
  vacancy: Vacancy | null;
  /** Nodes that failed it or lost it, once for each time. */
  failing: readonly NodeId[];
  /** Look again at this moment. */
  wakeAt: Millis | null;
}

export function planPartition(
  ledger: Ledger,
  index: number,
  observed: Observed,
  timeLimitMs: number,
): PartitionPlan {
  const draft: PartitionPlan = {
    open: false,
    restless: false,
    ending: null,
    begun: [],
    givenUp: [],
    failed: [],
    surplus: [],
    adoption: null,
    accept: null,
    copy: null,
    vacancy: null,
    failing: [],
    wakeAt: null,
  };
  const { counted, ends } = JOB_TYPES[ledger.spec.body.spec.Type];
  if (counted && !ends) planReplica(draft, ledger, index, observed);
  else if (!ends) planPlace(draft, ledger, index, observed);
  else planAttempts(draft, ledger, index, observed, timeLimitMs);
  return draft;
}

function planAttempts(
  draft: PartitionPlan,
  ledger: Ledger,
  index: number,
  observed: Observed,
  timeLimitMs: number,
): void {
  const { version } = ledger.spec.body;
  const partition = ledger.partitions.get(index);
  const attempts = attemptsOf(partition);
  draft.failing = partition === undefined ? [] : failingIn(partition, observed.watch);
  if (partition?.accept != null) return planSurplus(draft, attempts, partition.accept, observed);
  if (observed.enrolment !== null && isSecondPlace(ledger, attempts, index)) return;
  if (planResult(draft, attempts, acceptSlot(version, index), observed)) return;
  draft.open = true;
  const views = attempts.map((attempt, at) =>
    viewOf(draft, attempt, attempts[at + 1], ledger, observed, timeLimitMs),
  );
  if (observed.enrolment !== null) return planEnrolled(draft, views[0]);
  draft.failing = views
    .filter(({ attempt, fate }) => fate !== 'live' && attempt.state?.body.phase !== 'cancelled')
    .map(({ attempt }) => attempt.assign.record.body.node);
  for (const { attempt } of views) draft.ending ??= fatalEnding(attempt, index, true);
  if (draft.ending !== null || views.some(({ fate }) => fate === 'live')) return;
  const last = views.at(-1);
  const misses = views.filter(({ counts }) => counts === 'missed').length;
  // Who was only silent may come back: that it was lost counts once another took its place.
  const silent = last !== undefined && last.counts !== 'missed' && last.counts !== 'failed' ? 1 : 0;
  const failures = views.length - misses - silent;
  const { maxAttempts, maxMisses } = observed.limits;
  if (failures >= maxAttempts || misses > maxMisses) {
    draft.ending = exhaustedEnding(attempts, index, failures);
    return;
  }
  const [backoff, answer] = [backoffEnd(views, failures, observed), backBy(views, observed.now)];
  const notBefore = answer > backoff ? answer : backoff;
  if (notBefore > observed.now) return wake(draft, notBefore);
  const attempt = last === undefined ? 0 : last.attempt.assign.record.body.attempt + 1;
  if (observed.isProposed(assignSlot(version, index, attempt))) return;
  draft.vacancy = {
    partition: index,
    attempt,
    replaces: last === undefined || last.fate === 'live' ? null : last.fate,
    tried: new Set(attempts.map(({ assign }) => assign.record.body.node)),
  };
}

/** A node runs what does not end in a place of its own, for as long as the job goes on: it is only looked after. */
function planPlace(draft: PartitionPlan, ledger: Ledger, index: number, observed: Observed): void {
  const [attempt, ...others] = attemptsOf(ledger.partitions.get(index));
  if (attempt === undefined || isSecondPlace(ledger, [attempt, ...others], index)) return;
  draft.open = true;
  viewOf(draft, attempt, undefined, ledger, observed, Number.POSITIVE_INFINITY);
}

/** Another leader had given its node a place, too: the lower one counts. */
function isSecondPlace({ assigned }: Ledger, [first]: readonly Attempt[], index: number): boolean {
  const execution = first?.assign.record.body.execution;
  return execution !== undefined && assigned.get(execution)?.partition !== index;
}

/** A node that enrolled runs the job once: how that goes is all there is to a partition of its own. */
function planEnrolled(draft: PartitionPlan, view: View | undefined): void {
  draft.ending = view === undefined ? null : enrolledEnd(view.attempt, view.fate);
  draft.open = view !== undefined && draft.ending === null;
}

/** @returns whether one of the attempts has a result that is there: then no other is needed. */
function planResult(
  draft: PartitionPlan,
  attempts: readonly Attempt[],
  slot: Slot,
  observed: Observed,
): boolean {
  const results = attempts.flatMap(({ state }) =>
    state?.body.phase === 'completed' ? [{ state, safety: resultSafety(state, observed) }] : [],
  );
  draft.restless = results.some(({ state }) => state.body.result !== null);
  const proposed = observed.isProposed(slot);
  const safe = results.find(({ safety }) => safety === 'safe');
  if (safe !== undefined) {
    if (!proposed) draft.accept = safe.state;
    return true;
  }
  const single = results.find(({ safety }) => safety === 'single');
  // One that is proposed is accepted, though who has it is gone since: nothing else may be decided of it meanwhile.
  if (single === undefined && (!proposed || results.length === 0)) return false;
  draft.open = true;
  if (!proposed && single !== undefined) draft.copy = single.state;
  return true;
}

/**
 * An executor ends what runs too long. One that does not, while it renews its lease, is lost all the
 * same: after the job's own limit and the time for what does not count in it.
 */
export function timeLimitOf(job: Job): number {
  const { Type, Task } = job;
  const { Engine, InputSources, Publisher, Timeouts } = Task;
  if (Timeouts.ExecutionTimeout === 0 || !JOB_TYPES[Type].ends) return Number.POSITIVE_INFINITY;
  const moves = Engine.Type === 'docker' || InputSources.length > 0 || Publisher.Type !== '';
  const waitsMs = partitionPolicyOf(job) === 'exclusive' ? PREDECESSOR_MS : 0;
  return Timeouts.ExecutionTimeout * 1000 + waitsMs + (moves ? MOVING_MS : OVERDUE_MS);
}

/** After an accept the other attempts of its partition are to stop. */
function planSurplus(
  draft: PartitionPlan,
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

/**
 * Until when one that another leader gave up may still say that it runs: that leader may have been cut off from it,
 * and it has the time of a lease to find this one. What this leader gave up was silent for that long here.
 */
function backBy(views: readonly View[], now: Millis): Millis {
  let latest = now;
  for (const { attempt, watched } of views) {
    const phase = attempt.state?.body.phase ?? null;
    // As far as this leader knows nobody ever took it up.
    const isAbsent = watched.gaveUp === 'missed' && phase === null;
    if (isAbsent || (watched.gaveUp !== 'lost' && watched.gaveUp !== 'missed')) continue;
    if (!isTerminal(phase ?? 'received') && watched.silentAt > latest) latest = watched.silentAt;
  }
  return latest;
}

/** When the next attempt may start: back-off doubles with each failure; a lost node needs none. */
function backoffEnd(views: readonly View[], failures: number, { now, limits }: Observed): Millis {
  const last = views.findLast(({ fate }) => fate === 'failed');
  if (last === undefined) return now;
  const seen = last.watched.failedAt ?? now;
  return after(seen, limits.retryBackoffMs * 2 ** Math.max(0, failures - 1));
}
