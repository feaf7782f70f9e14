/**
 * What a defect may cost: the step in which it shows. Its effects and writes are dropped, and because
 * it may have changed the job at hand halfway, that job is forgotten and read anew from the disk: what
 * was not persisted did not happen. A job that does it again by itself is set aside: kept on disk,
 * shown with its reason, and not looked at any more until the next start.
 */
import { jobOfMessage } from './about.ts';
import { after } from '../record/ids.ts';
import { currentOf } from '../record/chain.ts';
import type { JobId, Millis, NodeId, RequestId } from '../record/ids.ts';
import { keeperNodes } from '../record/keeper-set.ts';
import { executionTimer } from '../executing/reporting.ts';
import { note, reply, send } from './outbox.ts';
import { remember } from './remember.ts';
import { dropExecution } from '../executing/state.ts';
import type { Node, With } from './state.ts';

/** A job that this node holds something of, and that could not be handled. */
export interface Trouble {
  /** How often it was not to be handled by itself, without a message of somebody else's. */
  readonly strikes: number;
  /** `reading`: what the disk says of it is on its way. `aside`: not looked at any more. */
  readonly state: 'reading' | 'back' | 'aside';
  readonly why: string;
  readonly at: Millis;
}

export interface Step {
  /** A constant name, for the log and the counter. */
  readonly where: string;
  /** Whose step it is; null when it is nobody's, or of several. */
  readonly job: JobId | null;
  /** Brought about by another node: it alone cannot have the job set aside. */
  readonly foreign: boolean;
}

/** Once may be chance, and what is on disk may be sound. */
const STRIKES_MAX = 2;
/** A strike this long ago has nothing to do with the next one. */
const STRIKE_MS = 3_600_000;
/** Jobs in trouble remembered. */
const TROUBLES_MAX = 10_000;

/** Runs one step; what it throws costs what this file says. */
export function contain(
  core: With<'asking' | 'keeping' | 'placing' | 'executing'>,
  step: Step,
  run: () => void,
): void {
  // What it added is dropped when it fails. No object: this is done with every input.
  const out = core.out.length;
  const writes = core.writes.length;
  const inbox = core.inbox.length;
  core.atHand = step.job;
  try {
    run();
  } catch (error) {
    undo(core, out, writes, inbox);
    const job = core.atHand;
    core.out.push({ type: 'defect', where: step.where, job, error: textOf(error) });
    if (job !== null && (step.where === 'restore' || holds(core, job)))
      dropJob(core, job, step, error);
    rewind(core);
  }
  core.atHand = null;
}

function undo(core: Node, out: number, writes: number, inbox: number): void {
  core.out.length = Math.min(core.out.length, out);
  core.writes.length = Math.min(core.writes.length, writes);
  core.inbox.length = Math.min(core.inbox.length, inbox);
}

/** True when a job is not to be spoken of: what the disk says is not here. */
export const isAside = (core: Node, job: JobId | null): boolean =>
  job !== null && core.troubles.size > 0 && (core.troubles.get(job)?.state ?? 'back') !== 'back';

/** The disk said what it has of the job. */
export function markBack(core: Node, job: JobId): void {
  const trouble = core.troubles.get(job);
  if (trouble !== undefined) core.troubles.set(job, { ...trouble, state: 'back' });
}

function dropJob(
  core: With<'asking' | 'keeping' | 'placing' | 'executing'>,
  job: JobId,
  step: Step,
  error: unknown,
): void {
  const before = core.troubles.get(job);
  const counted = before !== undefined && core.now - before.at < STRIKE_MS ? before.strikes : 0;
  const strikes = counted + (step.foreign ? 0 : 1);
  // What cannot be read back is not read again: the disk says the same the next time.
  const aside = strikes >= STRIKES_MAX || step.where === 'restore';
  const why = `${step.where}: ${error instanceof Error ? error.message : String(error)}`;
  const state = aside ? 'aside' : 'reading';
  const trouble: Trouble = { strikes, state, why: why.slice(0, 300), at: core.now };
  remember(core.troubles, job, trouble, TROUBLES_MAX);
  const others = aside ? followersOf(core, job) : [];
  const running = forgetJob(core, job);
  if (!aside) {
    core.out.push({ type: 'reload', job });
    return;
  }
  note(core, 'job.set-aside', { job, why: trouble.why });
  for (const node of others) send(core, node, { type: 'not-leading', jobs: [job] });
  for (const execution of running) {
    core.out.push({ type: 'cancel-run', execution, why: 'the job cannot be handled on this node' });
  }
}

/** Who keeps the job and takes this node for its leader. */
function followersOf(core: With<'keeping'>, job: JobId): readonly NodeId[] {
  const kept = core.keeping.kept.get(job);
  if (kept === undefined || kept.seen.leader !== core.self || kept.ledger.close !== null) return [];
  return keeperNodes(currentOf(kept.ledger)).filter((node) => node !== core.self);
}

const holds = (core: With<'asking' | 'keeping' | 'placing' | 'executing'>, job: JobId): boolean =>
  core.keeping.kept.has(job) ||
  core.keeping.pending.has(job) ||
  core.keeping.submissions.has(job) ||
  core.asking.stops.has(job) ||
  core.placing.wishes.has(job) ||
  core.placing.holds.has(job) ||
  [...core.executing.executions.values()].some(({ stored }) => stored.order.job === job) ||
  [...core.executing.entrusted.values()].some((result) => result.job === job) ||
  core.troubles.has(job);

/** Everything in memory; the disk keeps what it has. @returns the executions it had here */
function forgetJob(core: With<'asking' | 'keeping' | 'placing' | 'executing'>, job: JobId) {
  const waiting: RequestId[] = [
    ...(core.keeping.submissions.get(job)?.waiting.map(({ request }) => request) ?? []),
    ...(core.asking.stops.get(job)?.waiting.map(({ request }) => request) ?? []),
  ];
  for (const request of waiting) replyDefect(core, request, `job ${job} could not be handled`);
  for (const map of [
    core.keeping.kept,
    core.keeping.pending,
    core.keeping.submissions,
    core.asking.stops,
  ])
    map.delete(job);
  for (const map of [core.placing.holds, core.placing.wishes, core.placing.awaitingSpec])
    map.delete(job);
  for (const [execution, result] of core.executing.entrusted)
    if (result.job === job) core.executing.entrusted.delete(execution);
  core.keeping.warm.delete(job);
  core.dirty.delete(job);
  for (const what of ['job', 'held', 'pending', 'submit', 'stop'])
    core.timers.clear(`${what}:${job}`);
  const own = [...core.executing.executions.values()].filter(
    ({ stored }) => stored.order.job === job,
  );
  const running = own.map(({ stored }) => stored.order.execution);
  for (const execution of running) {
    dropExecution(core, execution);
    core.timers.clear(executionTimer(execution));
  }
  const others = core.inbox.filter((message) => jobOfMessage(message) !== job);
  core.inbox.splice(0, core.inbox.length, ...others);
  return running;
}

export function replyDefect(core: Node, request: RequestId, what: string): void {
  reply(core, request, { type: 'failed', problem: { code: 'internal', what } });
}

/** What recurs must go on, whichever of it broke off. */
function rewind(core: With<'asking' | 'keeping' | 'placing' | 'executing'>): void {
  const { probeMs, leaseRenewMs, advertMinMs } = core.config.limits;
  core.timers.set('probe', after(core.now, probeMs));
  core.timers.set('leaders', after(core.now, probeMs));
  core.timers.set('renew', after(core.now, leaseRenewMs));
  core.timers.set('holds', after(core.now, probeMs));
  core.timers.set('advert', after(core.now, advertMinMs));
}

const textOf = (error: unknown): string =>
  (error instanceof Error ? (error.stack ?? error.message) : String(error)).slice(0, 4_000);
