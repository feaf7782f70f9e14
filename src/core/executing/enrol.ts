/**
 * Taking up, by this node's own decision, a job that every node that matches runs once. Its announcement proves
 * that it was admitted; nobody need agree, so it works in any part of a cut mesh. The leader is told until it
 * says that it heard it. What makes it once is the execution's id, which has no place and no attempt in it, and
 * that this node remembers what it has done.
 */
import { JOB_TYPES } from '../../job/types.ts';
import type { Announcement } from '../contract/messages.ts';
import type { StoredExecution } from '../contract/stored.ts';
import { isOver } from '../keeping/shelf.ts';
import { claimsOn, isNewcomer, roomFor, welcomeOwn } from '../mesh/welcome.ts';
import type { Asker } from '../mesh/welcome.ts';
import { shut } from '../node/door.ts';
import { note, observe, persist, refuse, seal, send, wallMs } from '../node/outbox.ts';
import { anew } from '../node/repeat.ts';
import type { Node, With } from '../node/state.ts';
import { busyRefusals, refusalsFor } from '../placing/eligibility.ts';
import { fits, takenBy } from '../placing/resources.ts';
import { compareEpochs } from '../record/ballot.ts';
import { chainOf, currentOf, rootsOf } from '../record/chain.ts';
import { executionIdOf } from '../record/execution-id.ts';
import { after } from '../record/ids.ts';
import type { ExecutionId } from '../record/ids.ts';
import { isQuorum, keeperNodes } from '../record/keeper-set.ts';
import { isTerminal } from '../record/ledger.ts';
import type { Refusal } from '../record/refusals.ts';
import type { Epoch, Signed } from '../record/records.ts';
import { grantedEpoch } from '../record/verify.ts';
import { addExecution, highestEpochSeen, orderOf, stateBody } from './executor.ts';
import { isDone, rememberDone } from './done.ts';
import { adopt, saveEpoch } from './lease.ts';
import { forgetEpoch } from './obeying.ts';
import { executionTimer, report, saveExecution } from './reporting.ts';
import { dropExecution } from './state.ts';
import type { LocalExecution } from './state.ts';

/**
 * Gossip of a job that was admitted longer ago than this is old, or the clocks are far apart: then only the
 * leader itself is believed that it still calls.
 */
const OLD_MS = 600_000;

/** 1 January 2020. */
const SINCE_MS = 1_577_836_800_000;
/** What the wire carries, less as many states as an execution may have after it. */
const SEQUENCE_MAX = 2_000_000_000;

/** After a time in which this node did not run, what it hears for so long may have waited for it. */
const DOUBT_MS = 2_000;

/** A job that called meanwhile may be over by now; if it is not, its leader calls again. */
export function doubtCalls(core: With<'executing'>): void {
  core.executing.doubtUntil = after(core.now, DOUBT_MS);
}

/** @param announcement proven; @param direct the leader itself sent it */
export function enrol(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  announcement: Announcement,
  spec: Signed<'spec'>,
  direct: boolean,
): void {
  const { job, version, round, leader } = announcement;
  const refusals = takeUp(core, announcement, spec, direct);
  if (refusals !== null) send(core, leader, { type: 'decline', job, version, round, refusals });
}

/**
 * What does not end may have been stopped long ago by the time somebody tells of it: unless its leader does so itself
 * it is enrolled for, and begins when the leader has answered, or is not heard for as long as a lease.
 * @returns why it is not taken up; null when it is, or when that is not to be told now
 */
export function takeUp(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  announcement: Announcement,
  spec: Signed<'spec'>,
  direct: boolean,
): readonly Refusal[] | null {
  const { job, version, leader, grant, admission } = announcement;
  const { ends } = JOB_TYPES[spec.body.spec.Type];
  const place = { job, version, partition: 0, attempt: 0, node: core.self };
  const execution = executionIdOf(core.suite, spec.body.spec.Type, place);
  const epoch = grantedEpoch(chainOf(announcement), grant);
  if (core.executing.executions.has(execution)) return tellAgain(core, execution, epoch);
  if (isOver(core, job, version) || core.now < core.executing.doubtUntil) return null;
  if (ends && !direct && Math.abs(wallMs(core) - admission.record.hlc) > OLD_MS) return null;
  const seen = highestEpochSeen(core, job);
  if (seen !== null && compareEpochs(epoch, seen) < 0) {
    refuse(core, leader, 'outdated-epoch', false);
    return null;
  }
  // Its row was lost, or it is over, and whoever tells of it has not heard of that.
  if (isDone(core, spec.body)) return [{ code: 'expired' }];
  const { profile } = core;
  if (profile === null) return null;
  const lasting = refusalsFor(profile, spec.body);
  if (lasting.length > 0) return lasting;
  const closed = shut(core);
  if (closed !== null) return [closed];
  const wanted = takenBy(spec.body.spec.Task, profile.overheads);
  const asker = { owner: spec.body.owner, leader };
  const room = roomFor(core, asker, wanted, claimsOn(core));
  const isDoubted = !ends && !direct;
  const queued = isDoubted || !fits(wanted, room);
  forgetExpired(core);
  let welcome = welcomeOwn(core, asker, queued);
  if (welcome === 'full' && forgetEnded(core, asker)) welcome = welcomeOwn(core, asker, queued);
  if (welcome !== 'good') return busyRefusals(wanted, room);
  observe(core, admission.record.hlc);
  const about = { ...place, execution };
  const order = orderOf(spec, about, epoch, []);
  const state = seal(core, 'state', stateBody(about, ends ? 0 : firstSequence(core), 'received'));
  const stored: StoredExecution = {
    order,
    spec,
    ...rootsOf(announcement),
    ...(announcement.decided === undefined ? {} : { version: announcement.decided }),
    assign: null,
    state,
    ...(queued ? { queued: true } : {}),
  };
  const local = addExecution(core, stored, epoch);
  saveExecution(core, stored);
  if (ends) rememberDone(core, spec);
  if (epoch.number > 0) saveEpoch(core, job, epoch);
  note(core, 'execution.received', { job, execution, attempt: 0 });
  if (!queued) core.out.push({ type: 'run', order, resume: false });
  report(core, local);
  if (isDoubted) askKeepers(core, local);
  return null;
}

/**
 * A node that lost its store runs what does not end anew, as the same execution, and goes on in the numbers that it
 * gave its states before: seconds since 2020, more than there were states. A clock that is wrong costs that what is
 * shown of it is old.
 */
const firstSequence = (core: Node): number =>
  Math.min(Math.max(0, Math.floor((wallMs(core) - SINCE_MS) / 1_000)), SEQUENCE_MAX);

/** Whoever leads the job by now is among them, or they know him; and one of them knows when it is over. */
function askKeepers(core: With<'executing'>, execution: LocalExecution): void {
  execution.doubtedUntil = after(core.now, core.config.limits.leaseLostMs);
  const { job, execution: id } = execution.stored.order;
  for (const node of keeperNodes(currentOf(chainOf(execution.stored))))
    send(core, node, { type: 'renew', executions: [{ job, execution: id }] });
}

/** Whoever still calls may not have heard of it. */
function tellAgain(core: With<'keeping' | 'executing'>, id: ExecutionId, epoch: Epoch): null {
  adopt(core, id, epoch);
  const execution = core.executing.executions.get(id);
  if (execution === undefined || execution.acked.has(execution.epoch.leader)) return null;
  anew(core, execution.resend);
  report(core, execution);
  return null;
}

/** What ended and was never closed: once its spec has expired nobody can have it done again. */
function forgetExpired(core: With<'keeping' | 'executing'>): void {
  const wall = wallMs(core);
  for (const execution of core.executing.own.values())
    if (execution.stored.spec.body.notAfter < wall && hasEnded(execution)) forget(core, execution);
}

/**
 * Keepers may be gone for good, or made up, and never say that a job is over: what ended long ago holds no place
 * that somebody wants. First what its keepers know anyway, then the oldest. @returns whether there was any
 */
function forgetEnded(core: With<'mesh' | 'keeping' | 'executing'>, asker: Asker): boolean {
  const isNew = isNewcomer(core, asker);
  let found: { readonly execution: LocalExecution; readonly isKnown: boolean } | null = null;
  for (const execution of core.executing.own.values()) {
    const { stored, acked, epoch } = execution;
    if (!hasEnded(execution)) continue;
    if (isNew && !isNewcomer(core, { owner: stored.spec.body.owner, leader: epoch.leader }))
      continue;
    const isKnown = isQuorum(currentOf(chainOf(stored)), acked);
    const isOlder = stored.state.hlc < (found?.execution.stored.state.hlc ?? Infinity);
    if (found === null || isKnown === found.isKnown ? isOlder : isKnown)
      found = { execution, isKnown };
  }
  if (found !== null) forget(core, found.execution);
  return found !== null;
}

const hasEnded = ({ stored }: LocalExecution): boolean => isTerminal(stored.state.body.phase);

function forget(core: With<'keeping' | 'executing'>, { stored }: LocalExecution): void {
  const { job, execution: id, jobType } = stored.order;
  dropExecution(core, id);
  // What ends is named there since it began.
  if (!JOB_TYPES[jobType].ends) rememberDone(core, stored.spec);
  core.timers.clear(executionTimer(id));
  persist(core, { table: 'executions', job, key: id, value: null });
  forgetEpoch(core, job);
  core.out.push({ type: 'forget-run', execution: id });
}
