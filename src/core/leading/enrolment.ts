/**
 * Jobs that each node takes up by its own decision. Their nodes are not chosen: they enrol while they are
 * called, and each gets a partition of its own, in which its result is accepted like any other's. So what a
 * later leader counts is what was committed. Nothing is tried again: what a node failed, failed there. Pure.
 */
import { JOB_TYPES } from '../../job/types.ts';
import { after } from '../record/ids.ts';
import type { ExecutionId, Millis, NodeId } from '../record/ids.ts';
import type { Attempt, Ledger } from '../record/ledger.ts';
import { partitionsIn } from '../record/slot.ts';
import type { Declined } from '../placing/state.ts';
import type { Fate } from './fate.ts';
import { notEnough } from './queueing.ts';
import type { Ending } from './partition-plan.ts';

/** From the activation on: gossip that was lost is repeated within, and a node that is starting is there. */
const CALLED_MS = 10_000;
/**
 * A leader that takes over hears within the time of a lease of all that enrolled with the one before: so long
 * it waits for them, and calls again, unless the job has begun and is older than this: who comes then, is late.
 */
const CALLED_AGAIN_MS = 60_000;
/** A keeper may have been away while the job was admitted, or for long. */
const OLD_WALL_MS = 600_000;
/** Nodes that the end names, with the records of how they failed. */
const REASONS_MAX = 8;
const REASON_LENGTH_MAX = 200;

/** How the enrolment of a job stands. */
export interface Enrolment {
  /** The job does not end before: somebody may still enrol. */
  readonly until: Millis;
  /** Until then those are called who have not heard of it; null = not any more. */
  readonly calledUntil: Millis | null;
  /** Places are being given to nodes. */
  readonly isPlacing: boolean;
  /** The nodes that are there. */
  readonly available: () => number;
  /** Who told why it does not run the job. */
  readonly declines: ReadonlyMap<NodeId, Declined>;
}

/** What a keeper knows of the age of a job. */
export interface Age {
  readonly activatedAt: Millis;
  /** It was started again since, and cannot tell. */
  readonly isResumed: boolean;
  /** By the wall clock, which may be wrong, and by the sponsor's. */
  readonly wallMs: number;
}

/** @param since when this leader began to lead; null for the first one */
export function enrolmentOf(
  { spec, assigned }: Ledger,
  age: Age,
  since: Millis | null,
  leaseLostMs: number,
  seen: Pick<Enrolment, 'isPlacing' | 'available' | 'declines'>,
): Enrolment | null {
  if (JOB_TYPES[spec.body.spec.Type].counted) return null;
  const first = after(age.activatedAt, CALLED_MS);
  if (since === null) return { until: first, calledUntil: first, ...seen };
  const heard = after(since, leaseLostMs);
  const until = heard > first ? heard : first;
  // Of whom nobody has heard: it has not begun yet, however old it is. For what does not end nobody is late.
  const { ends } = JOB_TYPES[spec.body.spec.Type];
  const isLate = ends && assigned.size > 0 && isOld(age, since);
  return { until, calledUntil: isLate ? null : until, ...seen };
}

const isOld = ({ activatedAt, isResumed, wallMs }: Age, since: Millis): boolean =>
  isResumed || since - activatedAt > CALLED_AGAIN_MS || wallMs > OLD_WALL_MS;

/** Partitions that there is something to decide about: all of them, or those that nodes took by enrolling. */
export function partitionsOf({ spec, partitions }: Ledger): readonly number[] {
  if (!JOB_TYPES[spec.body.spec.Type].counted) return [...partitions.keys()].sort((a, b) => a - b);
  return Array.from({ length: partitionsIn(spec.body) }, (_, index) => index);
}

/** What nodes that enrolled told before anybody gave them a place. */
export function unplacedIn({ spec, states, assigned }: Ledger): Set<ExecutionId> {
  if (JOB_TYPES[spec.body.spec.Type].counted) return new Set();
  return new Set([...states.keys()].filter((execution) => !assigned.has(execution)));
}

/**
 * How a partition ended whose node enrolled: null while it goes on, or its result waits to be accepted.
 * @param fate as its leader sees it; who is lost may be heard again, until the job is closed
 */
export function enrolledEnd({ assign, state }: Attempt, fate: Fate): Ending | null {
  if (fate === 'live') return null;
  const name = `n-${assign.record.body.node.slice(-8)}`;
  const message = `${name}: ${state?.body.failure?.message ?? WHY[fate]}`;
  const evidence = state === null ? [] : [state.id];
  return { outcome: 'failed', code: 'nodes-failed', message, evidence };
}

const WHY: Readonly<Record<Exclude<Fate, 'live'>, string>> = {
  failed: 'it failed',
  lost: 'the node was lost',
  missed: 'the node left',
  overdue: 'it ran longer than it may',
  surplus: 'another stands in its place',
};

/** @param of what its partitions come to */
export function enrolmentEnd(
  { partitions, spec }: Ledger,
  { until, calledUntil, isPlacing, available, declines }: Enrolment,
  now: Millis,
  of: { readonly open: number; readonly endings: ReadonlyMap<number, Ending> },
): { readonly calling: boolean; readonly complete: boolean; readonly ending: Ending | null } {
  // Neighbours tell each other of what does not end: it is called out again only while nobody runs it.
  if (!JOB_TYPES[spec.body.spec.Type].ends)
    return { calling: now < until || partitions.size === 0, complete: false, ending: null };
  if (now < until) {
    const calling = calledUntil !== null && now < calledUntil;
    return { calling, complete: false, ending: null };
  }
  const over = { calling: false, complete: false, ending: null };
  if (of.open > 0 || isPlacing) return over;
  if (of.endings.size > 0) return { ...over, ending: failedEnding(of.endings, partitions.size) };
  if (partitions.size > 0) return { ...over, complete: true };
  const search = { requested: 1, available, declines };
  return { ...over, ending: notEnough(search, 'not-enough-nodes', 'No node took the job up.') };
}

function failedEnding(endings: ReadonlyMap<number, Ending>, enrolled: number): Ending {
  const failed = [...endings].sort(([a], [b]) => a - b).map(([, ending]) => ending);
  const named = failed.slice(0, REASONS_MAX);
  const reasons = named.map(({ message }) =>
    message.length > REASON_LENGTH_MAX ? `${message.slice(0, REASON_LENGTH_MAX)}…` : message,
  );
  const more = failed.length > REASONS_MAX ? `; and ${failed.length - REASONS_MAX} more` : '';
  const of = `${failed.length} of ${enrolled} ${enrolled === 1 ? 'node' : 'nodes'}`;
  return {
    outcome: 'failed',
    code: 'nodes-failed',
    message: `${of} did not complete it: ${reasons.join('; ')}${more}`.slice(0, 1000),
    evidence: named.flatMap(({ evidence }) => evidence),
  };
}
