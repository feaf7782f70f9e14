/**
 * The plan of a job, kept up to date: only partitions that something happened to, or whose time has come, are
 * looked at again, and what all of them come to is kept as indexes. So an event costs the same in a job of ten
 * thousand partitions as in one of ten. What changes what is to be done about a partition says so with `outdate`.
 */
import { partitionsIn } from '../record/slot.ts';
import type { ExecutionId, NodeId } from '../record/ids.ts';
import type { Ledger } from '../record/ledger.ts';
import type { Vacancy } from '../placing/ranking.ts';
import type { KeptJob } from '../keeping/state.ts';
import { Timers } from '../node/timers.ts';
import { partitionsOf, unplacedIn } from './enrolment.ts';
import { planPartition, timeLimitOf } from './partition-plan.ts';
import type { Ending, Observed, PartitionPlan } from './partition-plan.ts';
import { addPartition, beginPlan, endPlan, isEnding } from './plan.ts';
import type { Plan } from './plan.ts';

export interface Outlook {
  /** Partitions to be looked at again. */
  readonly stale: Set<number>;
  /** Those that depend on which nodes are there: they are looked at each time. */
  readonly restless: Set<number>;
  readonly open: Set<number>;
  readonly vacancies: Map<number, Vacancy>;
  readonly endings: Map<number, Ending>;
  /** When each is to be looked at again, by its number. */
  readonly wakes: Timers;
  /** Nodes that failed or lost executions, once for each time, by partition; and how often each did. */
  readonly failing: Map<number, readonly NodeId[]>;
  readonly failures: Map<NodeId, number>;
  /** Executions of nodes that enrolled and have no place yet. */
  readonly unplaced: Set<ExecutionId>;
  /** No lower place is free. */
  nextPlace: number;
  /** Partitions looked at so far. */
  looks: number;
}

/** Of a job that nobody has looked at yet. */
export const createOutlook = (ledger: Ledger): Outlook => ({
  stale: new Set(partitionsOf(ledger)),
  restless: new Set(),
  open: new Set(),
  vacancies: new Map(),
  endings: new Map(),
  wakes: new Timers(),
  failing: new Map(),
  failures: new Map(),
  unplaced: unplacedIn(ledger),
  nextPlace: 0,
  looks: 0,
});

/** Something happened to an execution: its partition is looked at again. */
export const outdateExecution = (kept: KeptJob, execution: ExecutionId): void =>
  outdate(kept, kept.ledger.assigned.get(execution)?.partition ?? null);

/** A node enrolled: its leader gives it a place. */
export function enrolling({ lead }: KeptJob, execution: ExecutionId): void {
  if (lead?.stage === 'leader') lead.outlook.unplaced.add(execution);
}

/** Something happened to a partition: its leader looks at it again. */
export function outdate({ lead }: KeptJob, partition: number | null): void {
  if (partition !== null && lead?.stage === 'leader') lead.outlook.stale.add(partition);
}

/** The plan as `planJob` makes it, of the partitions that have to be looked at. */
export function replan(outlook: Outlook, ledger: Ledger, observed: Observed): Plan {
  const plan = beginPlan(ledger, observed);
  if (plan.close !== null || isEnding(ledger, observed)) return plan;
  const { stale, restless, wakes, open, vacancies } = outlook;
  wakes.begin(observed.now);
  for (let due = wakes.take(observed.now); due !== null; due = wakes.take(observed.now))
    stale.add(Number(due));
  for (const index of restless) stale.add(index);
  const limitMs = timeLimitOf(ledger.spec.body.spec);
  const partitions = partitionsIn(ledger.spec.body);
  for (const index of stale) {
    // Another keeper may have heard of an execution that the job has no place for.
    if (index >= partitions) continue;
    const one = planPartition(ledger, index, observed, limitMs);
    addPartition(plan, one);
    keep(outlook, index, one);
  }
  stale.clear();
  return endPlan(plan, ledger, observed, {
    endings: outlook.endings,
    open: open.size,
    vacancies,
    wakeAt: wakes.next(),
  });
}

function keep(outlook: Outlook, index: number, one: PartitionPlan): void {
  outlook.looks += 1;
  mark(outlook.restless, index, one.restless);
  mark(outlook.open, index, one.open);
  put(outlook.vacancies, index, one.vacancy);
  put(outlook.endings, index, one.ending);
  const key = String(index);
  outlook.wakes.clear(key);
  if (one.wakeAt !== null) outlook.wakes.set(key, one.wakeAt);
  count(outlook, outlook.failing.get(index) ?? [], -1);
  put(outlook.failing, index, one.failing.length > 0 ? one.failing : null);
  count(outlook, one.failing, 1);
}

function mark(set: Set<number>, index: number, isIn: boolean): void {
  if (isIn) set.add(index);
  else set.delete(index);
}

function put<T>(map: Map<number, T>, index: number, value: T | null): void {
  if (value === null) map.delete(index);
  else map.set(index, value);
}

function count({ failures }: Outlook, nodes: readonly NodeId[], by: number): void {
  for (const node of nodes) {
    const left = (failures.get(node) ?? 0) + by;
    if (left > 0) failures.set(node, left);
    else failures.delete(node);
  }
}
