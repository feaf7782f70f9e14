/**
 * What becomes of an execution: the runner's events as signed states, told to the leader on the way
 * and to every keeper at the end, until W of them have it on disk.
 */
import { chainOf, currentOf } from '../record/chain.ts';
import { anew, isDue, said, seldom } from '../node/repeat.ts';
import { isQuorum, keeperNodes } from '../record/keeper-set.ts';
import { reconsider } from '../placing/bidder.ts';
import type { Phase, RunEvent } from '../record/execution.ts';
import type { ExecutionId, NodeId } from '../record/ids.ts';
import { isTerminal } from '../record/ledger.ts';
import type { StoredExecution } from '../contract/stored.ts';
import type { Message } from '../contract/messages.ts';
import type { StateBody } from '../record/records.ts';
import { note, persist, seal, send } from '../node/outbox.ts';
import { workTaken } from '../mesh/welcome.ts';
import { rememberLocal } from '../placing/state.ts';
import { noteExecution } from './state.ts';
import type { LocalExecution } from './state.ts';
import type { Node, With } from '../node/state.ts';

export const executionTimer = (execution: ExecutionId): string => `exec:${execution}`;

export function saveExecution(core: Node, stored: StoredExecution): void {
  const { job, execution } = stored.order;
  persist(core, { table: 'executions', job, key: execution, value: stored });
}

const PHASES: Readonly<Record<Phase, number>> = {
  received: 0,
  preparing: 1,
  starting: 2,
  running: 3,
  publishing: 4,
  completed: 5,
  failed: 5,
  cancelled: 5,
  lost: 5,
};

export function onRunEvent(
  core: With<'mesh' | 'placing' | 'executing'>,
  id: ExecutionId,
  event: RunEvent,
): void {
  const execution = core.executing.executions.get(id);
  if (execution === undefined) return;
  const before = execution.stored.state.body;
  const body = afterEvent(before, event);
  // Phases only move forward: a resumed run that starts over reports nothing until it is further.
  if (PHASES[body.phase] <= PHASES[before.phase]) return;
  const state = seal(core, 'state', { ...body, sequence: before.sequence + 1 });
  execution.stored = { ...execution.stored, state };
  noteExecution(core, execution);
  execution.acked.clear();
  anew(core, execution.resend);
  // Only the end must survive: a run that was under way is found again by the runner's own files.
  if (isTerminal(body.phase)) saveExecution(core, execution.stored);
  note(core, 'execution.phase', { job: body.job, execution: id, phase: body.phase });
  report(core, execution);
  if (!isTerminal(body.phase)) return;
  if (body.result !== null) rememberLocal(core, body.result.cid);
  if (body.phase === 'completed' && execution.stored.assign === null)
    workTaken(core, { owner: execution.stored.spec.body.owner, leader: execution.epoch.leader });
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
      return {
        ...before,
        phase: 'failed',
        failure: event.failure,
        output: event.output,
        usage: event.usage,
      };
    case 'cancelled':
      return { ...before, phase: 'cancelled', output: event.output };
  }
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
  const settled = ended && isQuorum(configuration, acked);
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
