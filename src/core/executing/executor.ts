/**
 * Executions on this node: take assignments that are certified and fresh,
 * write them down before they start. What becomes of them is in `reporting.ts`, `lease.ts`, `ending.ts`.
 */
import { mayObey } from './obeying.ts';
import { hasLeft } from '../keeping/changing.ts';
import { partitionPolicyOf } from '../../job/partition-policy.ts';
import { JOB_TYPES } from '../../job/types.ts';
import { remember } from '../node/remember.ts';
import { toSay } from '../node/repeat.ts';
import { freeNow, releaseHold } from '../placing/capacity.ts';
import { shut } from '../node/door.ts';
import { busyRefusals, refusalsFor } from '../placing/eligibility.ts';
import { compareEpochs } from '../record/ballot.ts';
import type { ExecutionOrder, Phase } from '../record/execution.ts';
import { after } from '../record/ids.ts';
import type { ExecutionId, JobId, NodeId } from '../record/ids.ts';
import { adopt, isPassedOver, saveEpoch } from './lease.ts';
import type { StoredExecution } from '../contract/stored.ts';
import type { Message } from '../contract/messages.ts';
import { bidOn } from '../placing/bidder.ts';
import { executionIdOf } from '../record/execution-id.ts';
import { takenBy } from '../placing/resources.ts';
import type { Certified, Epoch, Signed, StateBody } from '../record/records.ts';
import { chainOf, rootsOf } from '../record/chain.ts';
import { endOf } from '../keeping/books.ts';
import type { Refusal } from '../record/refusals.ts';
import { hasPlace } from '../record/slot.ts';
import { saveExecution } from './reporting.ts';
import { note, observe, refuse, seal, send, wallMs } from '../node/outbox.ts';
import { noteExecution, runOf, versionHeard } from './state.ts';
import type { LocalExecution } from './state.ts';
import { newTenure, tickTenure } from './tenure.ts';
import { isProven, versionedOf } from '../record/versions.ts';
import { checkActivation, checkCommitted, checkGrant, grantedEpoch } from '../record/verify.ts';
import { holdUnused, holdUsed } from '../mesh/welcome.ts';
import type { With } from '../node/state.ts';

/** Executions this node remembers to have declined: those of the last minutes, while messages may repeat them. */
const DECLINED_MAX = 1_024;
const NOT_BID: readonly Refusal[] = [{ code: 'expired' }];

type AssignMessage = Extract<Message, { type: 'assign' }>;

export function onAssign(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  from: NodeId,
  message: AssignMessage,
): void {
  const { spec, grant, assigns } = message;
  const { job } = spec.body;
  const ended = endOf(core, job)?.close.record.body.version ?? 0;
  const close = ended >= spec.body.version || versionHeard(core, job) > spec.body.version;
  const verdict = checkActivation(core.suite, spec, message, wallMs(core));
  if (verdict !== 'good') return refuse(core, from, verdict.code, verdict.fault);
  // Of two specs that its owner signed for one version, one is it.
  if (!isProven(core.suite, message)) return refuse(core, from, 'bad-certificate', true);
  const chain = chainOf(message);
  if (grant !== null) {
    const granted = checkGrant(core.suite, chain, grant);
    if (granted !== 'good') return refuse(core, from, granted.code, granted.fault);
  }
  const epoch = grantedEpoch(chain, grant);
  if (epoch.leader !== from) return refuse(core, from, 'wrong-signer', true);
  if (!mayObey(core, job, epoch, message.configs))
    return refuse(core, from, 'outdated-epoch', false);
  const seen = highestEpochSeen(core, job);
  if (seen !== null && compareEpochs(epoch, seen) < 0) {
    return refuse(core, from, 'outdated-epoch', false);
  }
  const { executions, declined } = core.executing;
  const isNew = ({ record: { body } }: Certified<'assign'>): boolean =>
    !executions.has(body.execution) && declined.get(body.execution) !== job;
  // Only what was bid for just now is taken up: an assignment that was delayed for minutes, or comes a
  // second time after its execution was forgotten, finds no hold. What is known already uses none, and what is of
  // another version not the one of this.
  const isBid = core.placing.holds.get(job)?.version === spec.body.version;
  const held = isBid && assigns.some(isNew) ? releaseHold(core, job) : null;
  const started: ExecutionId[] = [];
  for (const assign of assigns) {
    const { execution } = assign.record.body;
    if (executions.has(execution)) {
      adopt(core, execution, epoch);
      standAs(core, message, assign);
      started.push(execution);
      continue;
    }
    if (close) continue;
    const refusals =
      held === null || !isNew(assign) ? NOT_BID : take(core, from, message, assign, epoch);
    if (refusals === null) {
      started.push(execution);
      continue;
    }
    remember(declined, execution, job, DECLINED_MAX);
    send(core, from, { type: 'not-started', job, execution, refusals });
  }
  if (started.length > 0) send(core, from, { type: 'started', job, executions: started });
  if (held === null) return;
  if (started.length === 0) return holdUnused(core, held);
  holdUsed(core, held);
  bidOn(core, held);
}

export function highestEpochSeen(core: With<'keeping' | 'executing'>, job: JobId): Epoch | null {
  const kept = core.keeping.kept.get(job);
  let highest: Epoch | null = null;
  if (kept !== undefined) highest = hasLeft(kept) ? kept.seen : kept.promised;
  for (const { stored, epoch } of core.executing.executions.values()) {
    if (stored.order.job !== job) continue;
    if (highest === null || compareEpochs(epoch, highest) > 0) highest = epoch;
  }
  return highest;
}

/** @returns null when the execution is on disk and begins, else why not */
function take(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  from: NodeId,
  message: AssignMessage,
  assign: Certified<'assign'>,
  epoch: Epoch,
): readonly Refusal[] | null {
  const { spec } = message;
  const { body } = assign.record;
  const verdict = checkCommitted(core.suite, chainOf(message), assign);
  if (verdict !== 'good') {
    refuse(core, from, verdict.code, verdict.fault);
    return [{ code: 'expired' }];
  }
  // One that goes on as a further attempt is none to begin: it ended here, and was forgotten.
  if (body.adopts !== null) return NOT_BID;
  const here = body.node === core.self && hasPlace(spec, assign.record);
  if (!here || body.execution !== executionIdOf(core.suite, spec.body.spec.Type, body)) {
    refuse(core, from, 'contradiction', true);
    return [{ code: 'expired' }];
  }
  const closed = shut(core);
  if (core.profile === null || closed !== null) return [closed ?? { code: 'draining' }];
  const wanted = takenBy(spec.body.spec.Task, core.profile.overheads);
  const refusals = [
    ...refusalsFor(core.profile, spec.body),
    ...busyRefusals(wanted, freeNow(core)),
  ];
  if (refusals.length > 0) return refusals;
  observe(core, assign.record.hlc);
  const order = orderOf(spec, body, epoch, message.holders);
  const state = seal(core, 'state', stateBody(body, 0, 'received'));
  const exclusive = partitionPolicyOf(spec.body.spec) === 'exclusive';
  const stored: StoredExecution = {
    order,
    spec,
    ...rootsOf(message),
    ...versionedOf(message),
    assign,
    state,
    ...(exclusive ? { unbegun: true } : {}),
  };
  const execution = addExecution(core, stored, epoch);
  saveExecution(core, stored);
  if (epoch.number > 0) saveEpoch(core, body.job, epoch);
  note(core, 'execution.received', {
    job: body.job,
    execution: body.execution,
    attempt: body.attempt,
  });
  if (exclusive) tickTenure(core, body.execution);
  else core.out.push(runOf(execution, false));
  return null;
}

/**
 * An execution goes on as a further attempt: what stood before it stops it no more, whoever shows that
 * again, also after a restart. The same when keepers that re-seeded its job gave it to this node once more: by what it
 * stood as before, nobody that it obeys assigned it.
 */
function standAs(
  core: With<'executing'>,
  message: AssignMessage,
  assign: Certified<'assign'>,
): void {
  const { body } = assign.record;
  const execution = core.executing.executions.get(body.execution);
  if (execution === undefined || execution.stored.assign === null) return;
  const { stored } = execution;
  const isFurther =
    body.adopts === stored.order.attempt &&
    body.attempt > execution.stored.assign.record.body.attempt;
  if (!isFurther && !isPassedOver(execution)) return;
  if (!hasPlace(stored.spec, assign.record)) return;
  if (checkCommitted(core.suite, chainOf(message), assign) !== 'good') return;
  execution.stored = { ...stored, assign };
  saveExecution(core, execution.stored);
}

export function orderOf(
  spec: Signed<'spec'>,
  body: Pick<StateBody, 'job' | 'version' | 'partition' | 'attempt' | 'execution'>,
  epoch: Epoch,
  holders: readonly NodeId[],
): ExecutionOrder {
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
    restarts: 0,
    epoch: epoch.number,
    task: job.Task,
    holders,
    // Bacalhau limits neither in time.
    timeoutMs: JOB_TYPES[job.Type].ends
      ? (ExecutionTimeout > 0 ? ExecutionTimeout : TotalTimeout) * 1000
      : 0,
  };
}

export const stateBody = (
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
  restarts: 0,
  retryMs: null,
  exitCode: null,
  result: null,
  failure: null,
  output: null,
  usage: null,
});

/** Puts an execution into memory; also used when it is read back from disk. */
export function addExecution(
  core: With<'executing'>,
  stored: StoredExecution,
  epoch: Epoch,
): LocalExecution {
  const execution: LocalExecution = {
    stored,
    epoch,
    leaderHeardAt: core.now,
    hinted: null,
    left: new Set(),
    acked: new Set(),
    asked: 0,
    resend: toSay(core),
    cancelling: false,
    cancelledFor: null,
    doubtedUntil: null,
    runsSince: null,
    isEnding: false,
    tenure: newTenure(core, stored),
  };
  noteExecution(core, execution);
  core.timers.set('renew', after(core.now, core.config.limits.leaseRenewMs));
  return execution;
}
