/**
 * What the records of a job say about each of its executions, gathered in one place so that the
 * lists, the history and the results tell the same story. Pure; no JSON.
 */
import { JOB_TYPES } from '../job/types.ts';
import type { Phase } from '../core/record/execution.ts';
import type { JobRecords } from '../core/contract/messages.ts';
import type { AcceptBody, CloseBody, Signed, StateBody } from '../core/record/records.ts';

export interface ExecutionFacts {
  readonly id: string;
  readonly node: string;
  readonly version: number;
  readonly partition: number;
  readonly attempt: number;
  /** The attempt that it goes on as, when it was thought lost and taken back; else its own. */
  readonly standsAs: number;
  /** null for ops and daemon jobs, whose nodes decide for themselves. */
  readonly assign: Signed<'assign'> | null;
  /** By rising sequence; may begin late or have gaps. */
  readonly states: readonly Signed<'state'>[];
  readonly accept: Signed<'accept'> | null;
  readonly standing: Standing;
}

/** How the job sees an execution; `phase` is what its node said last. */
export interface Standing {
  readonly phase: Phase | 'assigned';
  /** Nobody wants it to go on: it ended, was replaced, or the job is over. */
  readonly wanted: boolean;
  /** Why it is not wanted, or how it ended; '' while it goes on as planned. */
  readonly why: string;
}

const TERMINAL: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled', 'lost']);

export const isTerminalPhase = (phase: string): boolean => TERMINAL.has(phase);

/** The record that closed the job's present version, if any. */
export function closeOf(records: JobRecords): Signed<'close'> | null {
  for (const { record } of records.committed) if (record.type === 'close') return record;
  return null;
}

interface Gathered {
  assign: Signed<'assign'> | null;
  accept: Signed<'accept'> | null;
  states: Signed<'state'>[];
  standsAs: number;
  body: { execution: string; node: string; version: number; partition: number; attempt: number };
}

function gather(records: JobRecords): Map<string, Gathered> {
  const found = new Map<string, Gathered>();
  const at = (body: Gathered['body']): Gathered => {
    const known = found.get(body.execution);
    if (known !== undefined) return known;
    const { attempt: standsAs } = body;
    const fresh: Gathered = { assign: null, accept: null, states: [], standsAs, body };
    found.set(body.execution, fresh);
    return fresh;
  };
  for (const { record } of records.committed) {
    if (record.type === 'assign') noteAssign(at(record.body), record);
    if (record.type === 'accept') at(record.body).accept = record;
  }
  for (const state of records.states) at(state.body).states.push(state);
  for (const one of found.values()) one.states.sort((a, b) => a.body.sequence - b.body.sequence);
  return found;
}

/** Of one that was taken back its first assignment is shown, and the last one counts. */
function noteAssign(one: Gathered, record: Signed<'assign'>): void {
  one.standsAs = Math.max(one.standsAs, record.body.attempt);
  if (record.body.adopts !== null) return;
  one.assign = record;
  one.body = record.body;
}

/** Why the program of an execution that goes on does not run now; '' while it does, or has not begun. */
function pausedWhy({ retryMs, restarts, failure, exitCode }: StateBody): string {
  if (retryMs === null) return '';
  const end = failure?.message ?? `its program ended with exit code ${exitCode ?? 0}`;
  // It rests, for as long as that is so.
  if (retryMs === 0) return end;
  return `${end} (restart ${restarts} after ${retryMs / 1_000} s)`;
}

function standingOf(
  one: Gathered,
  close: CloseBody | null,
  successor: number | null,
  accepted: AcceptBody | null,
  latestAttempt: number,
): Standing {
  const last = one.states.at(-1)?.body;
  const phase = last?.phase ?? (one.accept === null ? 'assigned' : 'completed');
  if (phase === 'completed') {
    const mine = accepted === null || accepted.execution === one.body.execution;
    return {
      phase,
      wanted: false,
      why: mine ? '' : `the result of ${accepted.execution} was accepted instead`,
    };
  }
  if (isTerminalPhase(phase) && phase !== 'cancelled')
    return { phase, wanted: false, why: last?.failure?.message ?? '' };
  if (accepted !== null && accepted.execution !== one.body.execution) {
    return {
      phase: 'cancelled',
      wanted: false,
      why: `the result of ${accepted.execution} was accepted instead`,
    };
  }
  if (close !== null)
    return { phase: 'cancelled', wanted: false, why: `the job is ${close.outcome}` };
  if (successor !== null)
    return { phase: 'cancelled', wanted: false, why: `version ${successor} took its place` };
  // Its node ended it because it had heard of the one in its place.
  if (phase === 'cancelled') {
    const replaced = one.standsAs < latestAttempt;
    const why = last?.failure?.message ?? '';
    return {
      phase,
      wanted: false,
      why: replaced ? `attempt ${latestAttempt + 1} took its place` : why,
    };
  }
  if (one.standsAs < latestAttempt) {
    return {
      phase: 'lost',
      wanted: false,
      why: `nothing was heard of it; attempt ${latestAttempt + 1} replaced it`,
    };
  }
  return { phase, wanted: true, why: last === undefined ? '' : pausedWhy(last) };
}

/**
 * Every execution of the job, by partition, attempt and id.
 * @param successor the version that the job has now, when it is another one than the records'
 */
export function executionFacts(
  records: JobRecords,
  successor: number | null = null,
): readonly ExecutionFacts[] {
  const gathered = [...gather(records).values()];
  const close = closeOf(records)?.body ?? null;
  const byPartition = JOB_TYPES[records.spec.body.spec.Type].counted;
  const accepted = new Map<number, AcceptBody>();
  const latest = new Map<number, number>();
  for (const one of gathered) {
    if (one.accept !== null) accepted.set(one.body.partition, one.accept.body);
    if (one.assign !== null) {
      latest.set(one.body.partition, Math.max(latest.get(one.body.partition) ?? 0, one.standsAs));
    }
  }
  const facts = gathered.map((one) => ({
    id: one.body.execution,
    node: one.body.node,
    version: one.body.version,
    partition: one.body.partition,
    attempt: one.body.attempt,
    standsAs: one.standsAs,
    assign: one.assign,
    states: one.states,
    accept: one.accept,
    standing: standingOf(
      one,
      close,
      successor,
      byPartition ? (accepted.get(one.body.partition) ?? null) : null,
      byPartition ? (latest.get(one.body.partition) ?? 0) : 0,
    ),
  }));
  const order = (a: ExecutionFacts, b: ExecutionFacts): number =>
    a.partition - b.partition || a.attempt - b.attempt || (a.id < b.id ? -1 : 1);
  return facts.sort(order);
}

/** `n-` and the last 8 characters of a peer id: the part in which two peer ids differ. */
export const shortNode = (node: string): string => `n-${node.slice(-8)}`;
