/**
 * Executions on this node (protocol parts 5.5 to 5.7): take assignments that are certified and fresh,
 * write them down before they start, report what becomes of them until every keeper has it, renew
 * the lease, stop what should not run.
 */
import { freeNow, releaseHold } from './capacity.ts';
import { reconsider } from './bidder.ts';
import { busyRefusals, refusalsFor } from './eligibility.ts';
import { compareEpochs, majority } from './epoch.ts';
import type { ExecutionOrder, Phase, RunEvent } from './execution.ts';
import { after } from './ids.ts';
import type { ExecutionId, JobId, NodeId } from './ids.ts';
import { isTerminal } from './ledger.ts';
import type { StoredExecution } from './machine-types.ts';
import type { CertifiedValue, Message } from './messages.ts';
import { executionIdOf } from './place.ts';
import type { Refusal } from './refusals.ts';
import type { Certified, Epoch, Signed, StateBody } from './records.ts';
import type { Core, LocalExecution } from './state.ts';
import { note, observe, persist, refuse, seal, send, wallMs } from './state.ts';
import { checkActivation, checkCommitted, checkGrant, grantedEpoch } from './verify.ts';

const notBid: readonly Refusal[] = [{ code: 'expired' }];

type AssignMessage = Extract<Message, { type: 'assign' }>;

const timerOf = (execution: ExecutionId): string => `exec:${execution}`;

export function onAssign(core: Core, from: NodeId, message: AssignMessage): void {
  const { spec, admission, grant, assigns } = message;
  const { job } = spec.body;
  const close = core.closed.get(job);
  const verdict = checkActivation(core.suite, spec, admission, wallMs(core));
  if (verdict !== 'good') return refuse(core, from, verdict.code, verdict.fault);
  const body = admission.record.body;
  if (grant !== null) {
    const granted = checkGrant(core.suite, body, grant);
    if (granted !== 'good') return refuse(core, from, granted.code, granted.fault);
  }
  const epoch = grantedEpoch(body, grant);
  if (epoch.leader !== from) return refuse(core, from, 'wrong-signer', true);
  const seen = highestEpochSeen(core, job);
  if (seen !== null && compareEpochs(epoch, seen) < 0) {
    return refuse(core, from, 'outdated-epoch', false);
  }
  // Only what was bid for just now is taken up: an assignment that was delayed for minutes, or comes a
  // second time after its execution was forgotten, finds no hold.
  const held = releaseHold(core, job);
  const started: ExecutionId[] = [];
  for (const assign of assigns) {
    const { execution } = assign.record.body;
    if (core.executions.has(execution)) {
      adopt(core, execution, epoch);
      started.push(execution);
      continue;
    }
    if (close !== undefined) continue;
    const refusals = held ? take(core, from, message, assign, epoch) : notBid;
    if (refusals === null) started.push(execution);
    else send(core, from, { type: 'not-started', job, execution, refusals });
  }
  if (started.length > 0) send(core, from, { type: 'started', job, executions: started });
}

function highestEpochSeen(core: Core, job: JobId): Epoch | null {
  let highest: Epoch | null = core.kept.get(job)?.promised ?? null;
  for (const { stored, epoch } of core.executions.values()) {
    if (stored.order.job !== job) continue;
    if (highest === null || compareEpochs(epoch, highest) > 0) highest = epoch;
  }
  return highest;
}

/** @returns null when the execution is on disk and begins, else why not */
function take(
  core: Core,
  from: NodeId,
  message: AssignMessage,
  assign: Certified<'assign'>,
  epoch: Epoch,
): readonly Refusal[] | null {
  const { spec, admission } = message;
  const { body } = assign.record;
  const verdict = checkCommitted(core.suite, admission.record.body, assign);
  if (verdict !== 'good') {
    refuse(core, from, verdict.code, verdict.fault);
    return [{ code: 'expired' }];
  }
  if (body.node !== core.self || body.execution !== executionIdOf(core.suite, body)) {
    refuse(core, from, 'contradiction', true);
    return [{ code: 'expired' }];
  }
  if (core.profile === null || core.draining) return [{ code: 'draining' }];
  const wanted = spec.body.spec.Task.resources;
  const refusals = [...refusalsFor(core.profile, spec.body), ...busyRefusals(wanted, freeNow(core))];
  if (refusals.length > 0) return refusals;
  observe(core, assign.record.hlc);
  const order = orderOf(spec, assign, epoch, message.holders);
  const state = seal(core, 'state', stateBody(body, 0, 'accepted'));
  const stored: StoredExecution = { order, assign, admission, state };
  addExecution(core, stored, epoch);
  save(core, stored);
  if (epoch.number > 0) saveEpoch(core, body.job, epoch);
  note(core, 'execution.accepted', { job: body.job, execution: body.execution, attempt: body.attempt });
  core.out.push({ type: 'run', order, resume: false });
  return null;
}

function orderOf(
  spec: Signed<'spec'>,
  assign: Certified<'assign'>,
  epoch: Epoch,
  holders: readonly NodeId[],
): ExecutionOrder {
  const { body } = assign.record;
  const job = spec.body.spec;
  const { ExecutionTimeout, TotalTimeout } = job.Task.Timeouts;
  return {
    execution: body.execution,
    job: body.job,
    jobType: job.Type,
    jobName: job.Name,
    namespace: job.Namespace,
    version: body.version,
    partition: body.partition,
    partitionCount: job.Count,
    attempt: body.attempt,
    epoch: epoch.number,
    task: job.Task,
    holders,
    timeoutMs: (ExecutionTimeout > 0 ? ExecutionTimeout : TotalTimeout) * 1000,
  };
}

const stateBody = (
  of: Pick<StateBody, 'job' | 'version' | 'partition' | 'attempt' | 'execution' | 'node'>,
  sequence: number,
  phase: Phase,
): StateBody => ({
  job: of.job,
  version: of.version,
  partition: of.partition,
  attempt: of.attempt,
  execution: of.execution,
  node: of.node,
  sequence,
  phase,
  exitCode: null,
  result: null,
  failure: null,
  output: null,
  usage: null,
});

/** Puts an execution into memory; also used when it is read back from disk. */
export function addExecution(core: Core, stored: StoredExecution, epoch: Epoch): LocalExecution {
  const execution: LocalExecution = {
    stored,
    resources: stored.order.task.resources,
    epoch,
    leaderHeardAt: core.now,
    acked: new Set(),
    resendAt: core.now,
    resendMs: core.config.limits.resendMs,
    cancelling: false,
  };
  core.executions.set(stored.order.execution, execution);
  core.timers.set('renew', after(core.now, core.config.limits.leaseRenewMs));
  return execution;
}

function save(core: Core, stored: StoredExecution): void {
  const { job, execution } = stored.order;
  persist(core, { table: 'executions', job, key: execution, value: stored });
}

// — what the runner reports

const phases: Readonly<Record<Phase, number>> = {
  accepted: 0,
  preparing: 1,
  starting: 2,
  running: 3,
  publishing: 4,
  completed: 5,
  failed: 5,
  cancelled: 5,
  lost: 5,
};

export function onRunEvent(core: Core, id: ExecutionId, event: RunEvent): void {
  const execution = core.executions.get(id);
  if (execution === undefined) return;
  const before = execution.stored.state.body;
  const body = afterEvent(before, event);
  // Phases only move forward: a resumed run that starts over reports nothing until it is further.
  if (phases[body.phase] <= phases[before.phase]) return;
  const state = seal(core, 'state', { ...body, sequence: before.sequence + 1 });
  execution.stored = { ...execution.stored, state };
  execution.acked.clear();
  execution.resendMs = core.config.limits.resendMs;
  execution.resendAt = core.now;
  // Only `running` and the end must survive: from those a restart knows what to do.
  if (isTerminal(body.phase)) save(core, execution.stored);
  note(core, 'execution.phase', { job: body.job, execution: id, phase: body.phase });
  report(core, execution);
  if (!isTerminal(body.phase)) return;
  if (body.result !== null) core.local.add(body.result.cid);
  reconsider(core);
}

function afterEvent(before: StateBody, event: RunEvent): StateBody {
  switch (event.type) {
    case 'phase':
      return { ...before, phase: event.phase };
    case 'ended':
      return {
        ...before,
        phase: 'completed',
        exitCode: event.exitCode,
        result: event.result,
        output: event.output,
        usage: event.usage,
      };
    case 'failed':
      return { ...before, phase: 'failed', failure: event.failure, output: event.output, usage: event.usage };
    case 'cancelled':
      return { ...before, phase: 'cancelled', output: event.output };
  }
}

/** A terminal state goes to every keeper until W have it; on the way there the leader is enough. */
function report(core: Core, execution: LocalExecution): void {
  const { stored, acked } = execution;
  const { state, admission, order } = stored;
  const ended = isTerminal(state.body.phase);
  const targets = ended
    ? admission.record.body.keepers.map(({ node }) => node)
    : [execution.epoch.leader];
  for (const node of targets) {
    if (!acked.has(node)) send(core, node, { type: 'states', states: [state] });
  }
  if (!ended) return;
  execution.resendAt = after(core.now, execution.resendMs);
  execution.resendMs = Math.min(2 * execution.resendMs, 16 * core.config.limits.resendMs);
  core.timers.set(timerOf(order.execution), execution.resendAt);
}

export function tickExecution(core: Core, id: ExecutionId): void {
  const execution = core.executions.get(id);
  if (execution === undefined || !isTerminal(execution.stored.state.body.phase)) return;
  // A spec that nobody may talk about any more has nobody left to report to.
  const { keepers } = execution.stored.admission.record.body;
  if (execution.resendAt > core.now) return core.timers.set(timerOf(id), execution.resendAt);
  if (execution.acked.size < majority(keepers.length)) return report(core, execution);
  // W have it on disk, but nobody closed the job yet: tell the leader now and then.
  execution.acked.clear();
  execution.resendMs = 16 * core.config.limits.resendMs;
  report(core, execution);
}

export function onStatesAck(
  core: Core,
  from: NodeId,
  message: Extract<Message, { type: 'states-ack' }>,
): void {
  for (const { execution: id, sequence } of message.seen) {
    const execution = core.executions.get(id);
    if (execution?.stored.state.body.sequence === sequence) execution.acked.add(from);
  }
}

// — the lease

/** One message per leader, whatever number of executions it covers. */
export function renewLeases(core: Core): void {
  const byLeader = new Map<NodeId, { job: JobId; execution: ExecutionId }[]>();
  for (const [id, execution] of core.executions) {
    if (isTerminal(execution.stored.state.body.phase)) continue;
    const leader = whomToTell(core, execution);
    const list = byLeader.get(leader) ?? [];
    list.push({ job: execution.stored.order.job, execution: id });
    byLeader.set(leader, list);
  }
  for (const [leader, executions] of byLeader) send(core, leader, { type: 'renew', executions });
  if (byLeader.size > 0) core.timers.set('renew', after(core.now, core.config.limits.leaseRenewMs));
}

/** The leader; when it has been silent for two leases, the keepers in turn: one of them knows who leads. */
function whomToTell(core: Core, execution: LocalExecution): NodeId {
  const { leaseRenewMs } = core.config.limits;
  const silent = core.now - execution.leaderHeardAt;
  const { keepers } = execution.stored.admission.record.body;
  if (silent < 2 * leaseRenewMs) return execution.epoch.leader;
  const turn = Math.floor(silent / leaseRenewMs) % keepers.length;
  return keepers[turn]?.node ?? execution.epoch.leader;
}

export function onRenewedReply(core: Core, executions: readonly ExecutionId[]): void {
  for (const id of executions) {
    const execution = core.executions.get(id);
    if (execution !== undefined) execution.leaderHeardAt = core.now;
  }
}

export function onLeads(core: Core, from: NodeId, message: Extract<Message, { type: 'leads' }>): void {
  const { job, epoch, grant } = message;
  for (const [id, execution] of core.executions) {
    if (execution.stored.order.job !== job) continue;
    const admission = execution.stored.admission.record.body;
    if (grant !== null && checkGrant(core.suite, admission, grant) !== 'good') continue;
    // Without a proof it is a hint from a follower: ask that node's leader, obey nothing.
    const proven = grantedEpoch(admission, grant);
    const claimed = compareEpochs(proven, epoch) === 0 ? epoch : proven;
    const known = compareEpochs(claimed, execution.epoch);
    if (known > 0) adopt(core, id, claimed);
    if (known >= 0 && claimed.leader === from) {
      execution.leaderHeardAt = core.now;
      if (known > 0) report(core, execution);
    }
  }
}

function adopt(core: Core, id: ExecutionId, epoch: Epoch): void {
  const execution = core.executions.get(id);
  if (execution === undefined) return;
  execution.leaderHeardAt = core.now;
  if (compareEpochs(epoch, execution.epoch) <= 0) return;
  execution.epoch = epoch;
  saveEpoch(core, execution.stored.order.job, epoch);
}

/** What an executor obeys must not sink by a restart; a keeper has its promise for that. */
function saveEpoch(core: Core, job: JobId, epoch: Epoch): void {
  if (core.kept.has(job)) return;
  persist(core, { table: 'promises', job, key: job, value: epoch });
}

// — the end

/** Stops an execution when the proof says that another result stands or the job is closed. */
export function onCancel(core: Core, from: NodeId, message: Extract<Message, { type: 'cancel' }>): void {
  const execution = core.executions.get(message.execution);
  if (execution === undefined) return;
  const { because } = message;
  const admission = execution.stored.admission.record.body;
  const verdict = checkCommitted(core.suite, admission, because);
  if (verdict !== 'good') return refuse(core, from, verdict.code, verdict.fault);
  if (!justifies(because, execution.stored.state.body)) return refuse(core, from, 'contradiction', true);
  cancel(core, execution, because.record.type === 'close' ? 'job closed' : 'another result was accepted');
}

function justifies(because: CertifiedValue, state: StateBody): boolean {
  const { record } = because;
  if (record.type === 'close') return true;
  if (record.type === 'assign') return false;
  return record.body.partition === state.partition && record.body.execution !== state.execution;
}

function cancel(core: Core, execution: LocalExecution, why: string): void {
  const { state, order } = execution.stored;
  if (execution.cancelling || isTerminal(state.body.phase)) return;
  execution.cancelling = true;
  note(core, 'execution.cancelled', { job: order.job, execution: order.execution, why });
  core.out.push({ type: 'cancel-run', execution: order.execution, why });
}

/** The job is closed: stop what still runs, forget what is over. */
export function endExecutions(core: Core, job: JobId): void {
  for (const [id, execution] of core.executions) {
    if (execution.stored.order.job !== job) continue;
    if (!isTerminal(execution.stored.state.body.phase)) {
      cancel(core, execution, 'job closed');
      continue;
    }
    core.executions.delete(id);
    core.timers.clear(timerOf(id));
    persist(core, { table: 'executions', job, key: id, value: null });
    core.out.push({ type: 'forget-run', execution: id });
    if (!core.kept.has(job)) persist(core, { table: 'promises', job, key: job, value: null });
  }
}

export function onClosed(core: Core, from: NodeId, message: Extract<Message, { type: 'closed' }>): boolean {
  const { job, close } = message;
  const execution = [...core.executions.values()].find((e) => e.stored.order.job === job);
  const admission = execution?.stored.admission ?? core.kept.get(job)?.ledger.admission;
  if (admission === undefined) {
    // Nothing of it here; the sender may stop telling us.
    send(core, from, { type: 'commit-ack', job, slots: ['close'] });
    return false;
  }
  const verdict = checkCommitted(core.suite, admission.record.body, close);
  if (verdict !== 'good') {
    refuse(core, from, verdict.code, verdict.fault);
    return false;
  }
  send(core, from, { type: 'commit-ack', job, slots: ['close'] });
  return true;
}

