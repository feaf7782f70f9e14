/**
 * What becomes of an execution is told to the leader on the way and to every keeper at the end, until W of
 * them have it on disk.
 */
import { JOB_TYPES } from '../../job/types.ts';
import { chainOf, currentOf } from '../record/chain.ts';
import { isDue, said, seldom } from '../node/repeat.ts';
import { isQuorum, keeperNodes } from '../record/keeper-set.ts';
import type { ExecutionId, NodeId } from '../record/ids.ts';
import { isTerminal } from '../record/ledger.ts';
import type { StoredExecution } from '../contract/stored.ts';
import type { Message } from '../contract/messages.ts';
import { persist, seal, send } from '../node/outbox.ts';
import { courseAfter } from '../record/course.ts';
import type { Signed, StateBody } from '../record/records.ts';
import { isResting } from './state.ts';
import type { LocalExecution } from './state.ts';
import type { Node, With } from '../node/state.ts';

export const executionTimer = (execution: ExecutionId): string => `exec:${execution}`;

/** The next state of an execution: the last one with what changed, and how it came there. */
export const nextState = (
  core: Node,
  { state }: StoredExecution,
  change: Partial<StateBody>,
): Signed<'state'> => {
  const { body } = state;
  const sequence = body.sequence + 1;
  return seal(core, 'state', { ...body, ...change, sequence, ...courseAfter(state) });
};

export function saveExecution(core: Node, stored: StoredExecution): void {
  const { job, execution } = stored.order;
  persist(core, { table: 'executions', job, key: execution, value: stored });
}

/**
 * A terminal state goes to every keeper until W have it; on the way there the leader is enough. After
 * that one of them is asked now and then whether the job is closed: who has it hears no more of it.
 */
export function report(core: Node, execution: LocalExecution): void {
  const { stored, acked, epoch, resend } = execution;
  const { state, order } = stored;
  const ended = isTerminal(state.body.phase);
  const configuration = currentOf(chainOf(stored));
  const keepers = keeperNodes(configuration);
  const settled = isSettled(execution);
  const targets = ended && !settled ? keepers : [epoch.leader];
  const open = new Set(targets.filter((node) => !acked.has(node)));
  if (settled) {
    open.add(keepers[execution.asked % keepers.length] ?? epoch.leader);
    execution.asked += 1;
    seldom(core, resend);
  }
  for (const node of open) send(core, node, { type: 'states', states: [state] });
  if (!ended && !isEnrolling(execution)) return;
  said(core, resend);
  core.timers.set(executionTimer(order.execution), resend.at);
}

/** How it ended is on disk at W keepers. */
const isSettled = ({ stored, acked }: LocalExecution): boolean =>
  isTerminal(stored.state.body.phase) && isQuorum(currentOf(chainOf(stored)), acked);

/**
 * A node that leaves stays for it: it runs, or its job has still to learn how it ended. A job that never ends by
 * itself is never closed, and leaves no result to be fetched: of that the end is enough.
 */
export const isPending = (execution: LocalExecution): boolean =>
  !isResting(execution) &&
  (JOB_TYPES[execution.stored.order.jobType].ends || !isSettled(execution));

/** It was taken up by this node's own decision, and its leader has not heard of that, or not of how it goes now. */
const isEnrolling = ({ stored, acked, epoch }: LocalExecution): boolean =>
  stored.assign === null && !acked.has(epoch.leader);

/** What has not arrived is told again, what has not, too: how it ended, or that this node enrolled. */
export function tickExecution(core: With<'executing'>, id: ExecutionId): void {
  const execution = core.executing.executions.get(id);
  if (execution === undefined) return;
  if (!isTerminal(execution.stored.state.body.phase) && !isEnrolling(execution)) return;
  if (isDue(core, execution.resend)) return report(core, execution);
  core.timers.set(executionTimer(id), execution.resend.at);
}

export function onStatesAck(
  core: With<'executing'>,
  from: NodeId,
  message: Extract<Message, { type: 'states-ack' }>,
): void {
  for (const { execution: id, sequence } of message.seen) {
    const execution = core.executing.executions.get(id);
    if (execution?.stored.state.body.sequence === sequence) execution.acked.add(from);
  }
}
