/**
 * Everything a leader decides about its job: a pure function from the ledger and the leader's own
 * observations to a plan, whose buckets `carry-out.ts` empties. It is evaluated after every event
 * (level-triggered), so a lost message or a repeated one changes nothing but the moment. `outlook.ts` comes
 * to the same plan by looking only at partitions that something happened to.
 */
import { JOB_TYPES } from '../../job/types.ts';
import { stopAmong } from '../record/commands.ts';
import { closeSlot } from '../record/slot.ts';
import { enrolmentEnd, partitionsOf } from './enrolment.ts';
import { after } from '../record/ids.ts';
import type { ExecutionId, Millis } from '../record/ids.ts';
import { planPartition, timeLimitOf } from './partition-plan.ts';
import type {
  Adoption,
  Ending,
  GivenUp,
  Observed,
  PartitionPlan,
  Surplus,
} from './partition-plan.ts';
import { queueEnding } from './queueing.ts';
import type { Ledger } from '../record/ledger.ts';
import type { Vacancy } from '../placing/ranking.ts';
import type { Signed } from '../record/records.ts';
import type { Watched } from './state.ts';

export interface Plan {
  /** End the job now; nothing else matters then. */
  close: Ending | null;
  readonly begun: Watched[];
  readonly givenUp: GivenUp[];
  readonly failed: ExecutionId[];
  readonly surplus: Surplus[];
  readonly adoptions: Adoption[];
  readonly accepts: Signed<'state'>[];
  readonly copies: Signed<'state'>[];
  /** By partition. */
  vacancies: ReadonlyMap<number, Vacancy>;
  /** Every partition has an accepted result, or will have with what is proposed. */
  complete: boolean;
  /** Nodes that decide for themselves are called: it is not too late to enrol. */
  calling: boolean;
  /** Look again at this moment, whatever happens. */
  wakeAt: Millis | null;
}

const NO_VACANCIES: ReadonlyMap<number, Vacancy> = new Map();

export const isEnding = ({ spec }: Ledger, { isProposed }: Observed): boolean =>
  isProposed(closeSlot(spec.body.version));

/** What is decided about the job as a whole, before its partitions are looked at. */
export function beginPlan(ledger: Ledger, observed: Observed): Plan {
  const plan: Plan = {
    close: null,
    begun: [],
    givenUp: [],
    failed: [],
    surplus: [],
    adoptions: [],
    accepts: [],
    copies: [],
    vacancies: NO_VACANCIES,
    complete: false,
    calling: false,
    wakeAt: null,
  };
  // The end is decided; it only has to be committed.
  if (isEnding(ledger, observed)) return plan;
  plan.close = stopEnding(ledger) ?? timeoutEnding(ledger, observed);
  const total = totalTimeoutOf(ledger) * 1000;
  if (total > 0) wake(plan, after(observed.now, Math.max(0, total - observed.ageMs)));
  return plan;
}

/** What is to be done about a partition now, once. */
export function addPartition(plan: Plan, partition: PartitionPlan): void {
  if (partition.begun.length > 0) plan.begun.push(...partition.begun);
  if (partition.givenUp.length > 0) plan.givenUp.push(...partition.givenUp);
  if (partition.failed.length > 0) plan.failed.push(...partition.failed);
  if (partition.surplus.length > 0) plan.surplus.push(...partition.surplus);
  if (partition.adoption !== null) plan.adoptions.push(partition.adoption);
  if (partition.accept !== null) plan.accepts.push(partition.accept);
  if (partition.copy !== null) plan.copies.push(partition.copy);
}

/** What remains to be decided when all partitions were looked at. */
export function endPlan(
  plan: Plan,
  ledger: Ledger,
  observed: Observed,
  of: {
    /** By partition. */
    readonly endings: ReadonlyMap<number, Ending>;
    readonly open: number;
    readonly vacancies: ReadonlyMap<number, Vacancy>;
    readonly wakeAt: Millis | null;
  },
): Plan {
  if (of.wakeAt !== null) wake(plan, of.wakeAt);
  if (observed.enrolment !== null) {
    const verdict = enrolmentEnd(ledger, observed.enrolment, observed.now, of);
    plan.calling = verdict.calling;
    plan.complete = verdict.complete;
    plan.close = verdict.ending;
    if (observed.now < observed.enrolment.until) wake(plan, observed.enrolment.until);
    return plan;
  }
  plan.close ??= firstOf(of.endings);
  plan.vacancies = of.vacancies;
  if (plan.close === null && of.vacancies.size > 0 && observed.search !== null) {
    const verdict = queueEnding(ledger.spec.body.spec, observed.search, observed.now);
    if (verdict.over) plan.close = verdict.ending;
    else if (verdict.lookAt !== null) wake(plan, verdict.lookAt);
  }
  const { ends } = JOB_TYPES[ledger.spec.body.spec.Type];
  plan.complete = ends && plan.close === null && of.open === 0;
  return plan;
}

/** The plan from scratch: every partition is looked at. */
export function planJob(ledger: Ledger, observed: Observed): Plan {
  const plan = beginPlan(ledger, observed);
  if (plan.close !== null || isEnding(ledger, observed)) return plan;
  const limitMs = timeLimitOf(ledger.spec.body.spec);
  const vacancies = new Map<number, Vacancy>();
  const endings = new Map<number, Ending>();
  let open = 0;
  let wakeAt: Millis | null = null;
  for (const index of partitionsOf(ledger)) {
    const one = planPartition(ledger, index, observed, limitMs);
    addPartition(plan, one);
    if (one.open) open += 1;
    if (one.vacancy !== null) vacancies.set(index, one.vacancy);
    if (one.wakeAt !== null && (wakeAt === null || one.wakeAt < wakeAt)) wakeAt = one.wakeAt;
    if (one.ending === null) continue;
    endings.set(index, one.ending);
    if (observed.enrolment === null) break;
  }
  return endPlan(plan, ledger, observed, { endings, open, vacancies, wakeAt });
}

/** Of the lowest partition, as it is looked at first. */
function firstOf(endings: ReadonlyMap<number, Ending>): Ending | null {
  let lowest: number | null = null;
  for (const index of endings.keys()) if (lowest === null || index < lowest) lowest = index;
  return lowest === null ? null : (endings.get(lowest) ?? null);
}

function wake(plan: Plan, at: Millis): void {
  if (plan.wakeAt === null || at < plan.wakeAt) plan.wakeAt = at;
}

function stopEnding(ledger: Ledger): Ending | null {
  const stop = stopAmong(ledger.commands.values(), ledger.spec.body.version);
  if (stop === null) return null;
  const message = stop.body.reason === '' ? 'stopped by its owner' : stop.body.reason;
  return { outcome: 'stopped', code: 'stopped-by-owner', message, evidence: [stop.id] };
}

/** Seconds; 0 = none. What does not end by itself is not limited in time, as in Bacalhau. */
const totalTimeoutOf = ({ spec: { body } }: Ledger): number =>
  JOB_TYPES[body.spec.Type].ends ? body.spec.Task.Timeouts.TotalTimeout : 0;

function timeoutEnding(ledger: Ledger, observed: Observed): Ending | null {
  const seconds = totalTimeoutOf(ledger);
  if (seconds === 0 || observed.ageMs < seconds * 1000) return null;
  return {
    outcome: 'failed',
    code: 'total-timeout',
    message: `The job took longer than its TotalTimeout of ${seconds} s.`,
    evidence: [],
  };
}
