/** The end of executions: stopped when the proof says so, forgotten when their job is closed. */
import { JOB_TYPES } from '../../job/types.ts';
import { rememberDone } from './done.ts';
import { forgetEpoch, heardOf } from './obeying.ts';
import { chainOf } from '../record/chain.ts';
import type { ExecutionFailure } from '../record/execution.ts';
import { followEnd } from '../keeping/branches.ts';
import { outranks } from '../record/branch.ts';
import { slotOf } from '../record/slot.ts';
import type { JobId, NodeId } from '../record/ids.ts';
import { isTerminal } from '../record/ledger.ts';
import { fullPastMax } from '../record/past.ts';
import type { CertifiedValue, Message } from '../contract/messages.ts';
import { executionTimer } from './reporting.ts';
import { note, persist, refuse, send } from '../node/outbox.ts';
import { remember } from '../node/remember.ts';
import { isPausing, rest, restartTimer } from './restarting.ts';
import { onRunEvent } from './run-events.ts';
import { dropExecution, isResting, LEAVING, runOf, tenureTimer } from './state.ts';
import type { LocalExecution } from './state.ts';
import { branchOf, checkCommitted } from '../record/verify.ts';
import type { With } from '../node/state.ts';

/** As long as messages of the version before may be on their way. */
const VERSIONS_HEARD_MAX = 1_024;

/** Stops an execution when the proof says that another result stands or the job is closed. */
export function onCancel(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  from: NodeId,
  message: Extract<Message, { type: 'cancel' }>,
): void {
  const execution = core.executing.executions.get(message.execution);
  if (execution === undefined) return;
  const { because } = message;
  const chain = heardOf(core, execution, message.configs);
  const verdict = checkCommitted(core.suite, chain, because);
  if (verdict !== 'good') return refuse(core, from, verdict.code, false);
  if (!justifies(because, execution)) return refuse(core, from, 'contradiction', false);
  // What waits for room has not begun.
  if (execution.stored.queued === true && isForgotten(core, execution)) return;
  cancel(core, execution, WHY[because.record.type]);
}

const why = (code: string, message: string): ExecutionFailure => ({ code, class: 'node', message });

const WHY: Readonly<Record<CertifiedValue['record']['type'], ExecutionFailure>> = {
  close: why('job-closed', 'job closed'),
  accept: why('not-accepted', 'another result was accepted'),
  assign: why('replaced', 'another replica stands in its place'),
  version: why('version-replaced', 'another version of the job took its place'),
  config: why('kept-elsewhere', 'its job goes on with other keepers, who did not assign it'),
};

/** Its job was re-seeded, or those that re-seeded it have yielded: whoever keeps it now did not assign this. */
export const endPassedOver = (
  core: With<'mesh' | 'placing' | 'executing'>,
  execution: LocalExecution,
): void => cancel(core, execution, WHY.config);

function justifies(because: CertifiedValue, { stored }: LocalExecution): boolean {
  const { record } = because;
  const { version, partition, execution } = stored.state.body;
  if (record.type === 'version') return record.body.version > version;
  if (record.type === 'config' || record.body.version !== version) return false;
  if (record.type === 'close') return true;
  if (record.body.partition !== partition || record.body.execution === execution) return false;
  const { counted, ends } = JOB_TYPES[stored.order.jobType];
  // Where each node runs it, the result of another makes none pointless.
  if (!counted || stored.assign === null) return false;
  // Of what ends the first result counts, whichever attempt brings it.
  if (record.type === 'accept') return true;
  // It was begun again when the job was re-seeded, as nobody there knew of this one.
  if (slotOf(record) === slotOf(stored.assign.record))
    return outranks(because, stored.assign) === true;
  return !ends && record.body.attempt > stored.assign.record.body.attempt;
}

export function cancel(
  core: With<'mesh' | 'placing' | 'executing'>,
  execution: LocalExecution,
  why: ExecutionFailure,
): void {
  const { state, order, queued } = execution.stored;
  if (execution.cancelling || isTerminal(state.body.phase) || queued === true) return;
  execution.cancelling = true;
  execution.cancelledFor = why;
  const told = { job: order.job, execution: order.execution, why: why.message };
  note(core, 'execution.cancelled', told);
  // Nothing runs that could be ended.
  const isIdle = isResting(execution) && !execution.isEnding;
  if (isPausing(execution) || isIdle || execution.stored.unbegun === true) {
    const cancelled = { type: 'cancelled', output: state.body.output } as const;
    return onRunEvent(core, order.execution, cancelled);
  }
  // Begun by the process before this one, and not taken up: it may have ended, and is asked how.
  if (execution.tenure?.runs === false) core.out.push(runOf(execution, true));
  core.out.push({ type: 'cancel-run', execution: order.execution, why: why.message });
}

/**
 * This node is leaving: what never ends by itself goes on elsewhere, at once, or rests where every node runs it;
 * what ends has its time to.
 */
export function moveEndless(core: With<'mesh' | 'placing' | 'executing'>): void {
  for (const execution of [...core.executing.live.values()]) {
    const { counted, ends } = JOB_TYPES[execution.stored.order.jobType];
    if (counted && !ends) cancel(core, execution, LEAVING);
    if (!counted && !ends && !execution.cancelling && !isResting(execution))
      rest(core, execution, LEAVING);
  }
}

/** The job is closed in this version: stop what still runs of it and those before, forget what is over. */
export function endExecutions(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  job: JobId,
  version: number,
): void {
  for (const execution of core.executing.executions.values()) {
    const { order } = execution.stored;
    if (order.job !== job || order.version > version) continue;
    if (!isForgotten(core, execution)) cancel(core, execution, WHY.close);
  }
}

/** @returns whether it was over, or had not begun, so that nothing of it is left here */
function isForgotten(
  core: With<'keeping' | 'executing'>,
  { stored: { order, spec, state, queued } }: LocalExecution,
): boolean {
  if (!isTerminal(state.body.phase) && queued !== true) return false;
  const { job, execution: id } = order;
  dropExecution(core, id);
  // Neighbours, and old messages, may tell of it for as long as its spec is good.
  const { counted, ends } = JOB_TYPES[order.jobType];
  if (!counted && !ends) rememberDone(core, spec);
  core.timers.clear(executionTimer(id));
  core.timers.clear(restartTimer(id));
  core.timers.clear(tenureTimer(id));
  persist(core, { table: 'executions', job, key: id, value: null });
  core.out.push({ type: 'forget-run', execution: id });
  forgetEpoch(core, job);
  return true;
}

/** Somebody says which version the job has: of those before nothing is to be told any more. */
export function onVersionHeard(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  from: NodeId,
  { job, version, configs }: Extract<Message, { type: 'version' }>,
): void {
  for (const execution of core.executing.executions.values()) {
    const { order } = execution.stored;
    if (order.job !== job || order.version >= version.record.body.version) continue;
    const verdict = checkCommitted(core.suite, heardOf(core, execution, configs), version);
    if (verdict !== 'good') return refuse(core, from, verdict.code, false);
    const { version: number } = version.record.body;
    remember(core.executing.versions, job, number, VERSIONS_HEARD_MAX);
    endBefore(core, execution, number);
  }
}

/** The same as this node knows it itself. */
export function endVersionsBefore(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  job: JobId,
  version: number,
): void {
  remember(core.executing.versions, job, version, VERSIONS_HEARD_MAX);
  for (const execution of core.executing.executions.values())
    if (execution.stored.order.job === job) endBefore(core, execution, version);
}

/** What is kept running gives way when its leader says so: those that take its place come first. */
function endBefore(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  execution: LocalExecution,
  version: number,
): void {
  const { order } = execution.stored;
  if (order.version >= version || isForgotten(core, execution)) return;
  const { counted, ends } = JOB_TYPES[order.jobType];
  const isRolled = counted && !ends && version - order.version <= fullPastMax(order.jobType);
  if (!isRolled) cancel(core, execution, WHY.version);
}

export function onClosed(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  from: NodeId,
  message: Extract<Message, { type: 'closed' }>,
): boolean {
  const { job, close, configs = [] } = message;
  const { version } = close.record.body;
  const execution = [...core.executing.executions.values()].find(
    ({ stored: { order } }) => order.job === job && order.version <= version,
  );
  const known = core.keeping.kept.get(job);
  const kept = known === undefined || known.ledger.spec.body.version > version ? undefined : known;
  const live = core.placing.live.get(job)?.announcement;
  const announced = live === undefined || live.version > version ? undefined : chainOf(live);
  const heard = kept?.ledger ?? announced ?? (execution && chainOf(execution.stored));
  // Of a shelved job the end is known already.
  if (heard === undefined) {
    // Nothing of it here; the sender may stop telling us.
    send(core, from, { type: 'closed-ack', job, version: close.record.body.version });
    return false;
  }
  // Whether that is a lower branch than the one that this node goes by: after an end nothing should have been decided.
  const chain = branchOf(core.suite, heard, configs);
  if (chain === null) {
    refuse(core, from, 'bad-certificate', false);
    return false;
  }
  const verdict = checkCommitted(core.suite, chain, close);
  if (verdict !== 'good') {
    refuse(core, from, verdict.code, false);
    return false;
  }
  if (kept !== undefined && !followEnd(core, from, kept, close, configs)) return false;
  send(core, from, { type: 'closed-ack', job, version: close.record.body.version });
  return true;
}
