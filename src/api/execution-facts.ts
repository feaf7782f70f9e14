/**
 * What the records of a job say about each of its executions, gathered in one place so that the
 * lists, the history and the results tell the same story. Pure; no JSON.
 */
import { JOB_TYPES } from '../job/types.ts';
import type { Phase } from '../core/record/execution.ts';
import type { JobRecords } from '../core/contract/messages.ts';
import type {
  AcceptBody,
  AssignBody,
  CloseBody,
  ReplacedFor,
  Signed,
  StateBody,
} from '../core/record/records.ts';

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

/** What the others know of an execution. */
interface Around {
  readonly close: CloseBody | null;
  readonly successor: Successor | null;
  readonly accepted: AcceptBody | null;
  readonly latestAttempt: number;
  /** Why another took its place, if one did. */
  readonly replaces: ReplacedFor;
  readonly totalTimeoutSeconds: number;
}

/** What the close of a job says that took longer than it may. */
const TOTAL_TIMEOUT = 'total-timeout';

/** The words of Bacalhau, and of an execution that has a time of its own: clients look for them. */
const timedOut = (seconds: number): string =>
  `Execution timed out after ${seconds}s, the TotalTimeout of its job`;

const REPLACED: Readonly<Record<ReplacedFor, Pick<Standing, 'phase' | 'why'>>> = {
  failed: { phase: 'failed', why: 'it failed' },
  lost: { phase: 'lost', why: 'nothing was heard of it' },
  missed: { phase: 'cancelled', why: 'its node did not begin it' },
  overdue: { phase: 'lost', why: 'it ran for longer than it may' },
  surplus: { phase: 'cancelled', why: 'an older replica was back' },
};

function standingOf(one: Gathered, around: Around): Standing {
  const { close, successor, accepted, latestAttempt } = around;
  const last = one.states.at(-1)?.body;
  const phase = last?.phase ?? (one.accept === null ? 'assigned' : 'completed');
  const own = last?.failure?.message ?? '';
  const isOther = accepted !== null && accepted.execution !== one.body.execution;
  const other = isOther ? `the result of ${accepted.execution} was accepted instead` : '';
  if (phase === 'completed') return { phase, wanted: false, why: other };
  if (isTerminalPhase(phase) && phase !== 'cancelled') return { phase, wanted: false, why: own };
  if (isOther) return { phase: 'cancelled', wanted: false, why: other };
  // What was before the end of the job, its end does not change.
  if (one.standsAs < latestAttempt) {
    const { phase: given, why } = REPLACED[around.replaces];
    const by = `attempt ${latestAttempt + 1}`;
    if (phase !== 'cancelled')
      return { phase: given, wanted: false, why: `${why}; ${by} replaced it` };
    const left = last?.failure?.code === 'draining';
    return {
      phase,
      wanted: false,
      why: left ? `${own}; ${by} replaced it` : `${by} took its place`,
    };
  }
  if (close?.code === TOTAL_TIMEOUT)
    return { phase: 'failed', wanted: false, why: timedOut(around.totalTimeoutSeconds) };
  if (close !== null)
    return { phase: 'cancelled', wanted: false, why: `the job is ${close.outcome}` };
  if (successor !== null && phase !== 'cancelled' && successor.rolls)
    return { phase, wanted: false, why: `version ${successor.version} takes its place` };
  if (successor !== null)
    return {
      phase: 'cancelled',
      wanted: false,
      why: `version ${successor.version} took its place`,
    };
  if (phase === 'cancelled') return { phase, wanted: false, why: own };
  return { phase, wanted: true, why: last === undefined ? '' : pausedWhy(last) };
}

/** The version that a job has now, when it is another one than the records'. */
export interface Successor {
  readonly version: number;
  /** It takes the place of this one replica by replica, and has not of all of them. */
  readonly rolls: boolean;
}

/**
 * Every execution of the job, by partition, attempt and id.
 * @param successor null: it is the version of the records
 */
export function executionFacts(
  records: JobRecords,
  successor: Successor | null = null,
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
  const replacing = new Map<string, AssignBody>();
  for (const { record } of records.committed)
    if (record.type === 'assign' && record.body.replaces !== null)
      replacing.set(`${record.body.partition}/${record.body.attempt}`, record.body);
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
    standing: standingOf(one, {
      close,
      successor,
      accepted: byPartition ? (accepted.get(one.body.partition) ?? null) : null,
      latestAttempt: byPartition ? (latest.get(one.body.partition) ?? 0) : 0,
      totalTimeoutSeconds: records.spec.body.spec.Task.Timeouts.TotalTimeout,
      replaces: replacing.get(`${one.body.partition}/${one.standsAs + 1}`)?.replaces ?? 'lost',
    }),
  }));
  const order = (a: ExecutionFacts, b: ExecutionFacts): number =>
    a.partition - b.partition || a.attempt - b.attempt || (a.id < b.id ? -1 : 1);
  return facts.sort(order);
}

/** `n-` and the last 8 characters of a peer id: the part in which two peer ids differ. */
export const shortNode = (node: string): string => `n-${node.slice(-8)}`;
