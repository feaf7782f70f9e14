/** The end of executions: stopped when the proof says so, forgotten when their job is closed. */
import { JOB_TYPES } from '../../job/types.ts';
import { rememberDone } from './done.ts';
import { heardOf } from './lease.ts';
import type { JobId, NodeId } from '../record/ids.ts';
import { isTerminal } from '../record/ledger.ts';
import type { CertifiedValue, Message } from '../contract/messages.ts';
import type { StoredExecution } from '../contract/stored.ts';
import { executionTimer } from './reporting.ts';
import { note, persist, refuse, send } from '../node/outbox.ts';
import { dropExecution } from './state.ts';
import type { LocalExecution } from './state.ts';
import { checkCommitted, extended } from '../record/verify.ts';
import type { Node, With } from '../node/state.ts';

/** Stops an execution when the proof says that another result stands or the job is closed. */
export function onCancel(
  core: With<'executing'>,
  from: NodeId,
  message: Extract<Message, { type: 'cancel' }>,
): void {
  const execution = core.executing.executions.get(message.execution);
  if (execution === undefined) return;
  const { because } = message;
  const chain = heardOf(core, execution, message.configs);
  const verdict = checkCommitted(core.suite, chain, because);
  if (verdict !== 'good') return refuse(core, from, verdict.code, false);
  if (!justifies(because, execution.stored)) return refuse(core, from, 'contradiction', false);
  cancel(
    core,
    execution,
    because.record.type === 'close' ? 'job closed' : 'another result was accepted',
  );
}

function justifies(because: CertifiedValue, { order, state: { body: state } }: StoredExecution) {
  const { record } = because;
  if (record.type === 'config' || record.type === 'assign') return false;
  if (record.body.version !== state.version) return false;
  if (record.type === 'close') return true;
  // Where each node runs it, the result of another makes none pointless.
  if (!JOB_TYPES[order.jobType].counted) return false;
  return record.body.partition === state.partition && record.body.execution !== state.execution;
}

function cancel(core: Node, execution: LocalExecution, why: string): void {
  const { state, order, queued } = execution.stored;
  if (execution.cancelling || isTerminal(state.body.phase) || queued === true) return;
  execution.cancelling = true;
  note(core, 'execution.cancelled', { job: order.job, execution: order.execution, why });
  core.out.push({ type: 'cancel-run', execution: order.execution, why });
}

/** The job is closed: stop what still runs, forget what is over. */
export function endExecutions(core: With<'keeping' | 'executing'>, job: JobId): void {
  for (const [id, execution] of core.executing.executions) {
    if (execution.stored.order.job !== job) continue;
    const { stored } = execution;
    if (!isTerminal(stored.state.body.phase) && stored.queued !== true) {
      cancel(core, execution, 'job closed');
      continue;
    }
    dropExecution(core, id);
    core.timers.clear(executionTimer(id));
    persist(core, { table: 'executions', job, key: id, value: null });
    core.out.push({ type: 'forget-run', execution: id });
    if (stored.assign === null) rememberDone(core, stored.spec);
    if (!core.keeping.kept.has(job))
      persist(core, { table: 'promises', job, key: job, value: null });
  }
}

export function onClosed(
  core: With<'keeping' | 'executing'>,
  from: NodeId,
  message: Extract<Message, { type: 'closed' }>,
): boolean {
  const { job, close, configs = [] } = message;
  const execution = [...core.executing.executions.values()].find((e) => e.stored.order.job === job);
  const kept = core.keeping.kept.get(job);
  // Of a shelved job the end is known already.
  if (execution === undefined && kept === undefined) {
    // Nothing of it here; the sender may stop telling us.
    send(core, from, { type: 'closed-ack', job, version: close.record.body.version });
    return false;
  }
  const known = kept === undefined ? null : extended(core.suite, kept.ledger, configs);
  const chain = execution === undefined ? known : heardOf(core, execution, configs);
  if (chain === null) {
    refuse(core, from, 'bad-certificate', false);
    return false;
  }
  const verdict = checkCommitted(core.suite, chain, close);
  if (verdict !== 'good') {
    refuse(core, from, verdict.code, false);
    return false;
  }
  send(core, from, { type: 'closed-ack', job, version: close.record.body.version });
  return true;
}
