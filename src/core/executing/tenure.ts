/**
 * The tenure of an execution of an exclusive job: the time for which its keepers let its program run. Without one
 * it neither begins nor goes on. A quorum of keepers gives it, each as long as it has voted for no later attempt:
 * so once a later one is committed there is no further tenure, and its node waits until what there was is over.
 */
import { partitionPolicyOf } from '../../job/partition-policy.ts';
import { PREDECESSOR_MS, TENURE_MS } from '../contract/limits.ts';
import type { Message } from '../contract/messages.ts';
import type { StoredExecution } from '../contract/stored.ts';
import { note, send, wallMs } from '../node/outbox.ts';
import type { Node, With } from '../node/state.ts';
import { chainOf, currentOf, sameConfig } from '../record/chain.ts';
import { after } from '../record/ids.ts';
import type { ExecutionId, NodeId } from '../record/ids.ts';
import { isQuorum, keeperNodes } from '../record/keeper-set.ts';
import { isTerminal } from '../record/ledger.ts';
import { cancel } from './ending.ts';
import type { ExecutionFailure } from '../record/execution.ts';
import { saveExecution } from './reporting.ts';
import { isPausing, resumePause } from './restarting.ts';
import { runOf, tenureTimer } from './state.ts';
import type { LocalExecution, Tenure } from './state.ts';

const CUT_OFF: ExecutionFailure = {
  code: 'cut-off',
  class: 'node',
  message: 'too few of its keepers could be reached in time',
};

/** Questions whose answers still count: those of the time of one tenure, and a few that came to nothing. */
const ASKED_MAX = 8;

/** Of an execution that this process has just heard of, or read back; null when its job is not exclusive. */
export function newTenure(core: Node, { spec, assign, unbegun }: StoredExecution): Tenure | null {
  if (partitionPolicyOf(spec.body.spec) !== 'exclusive' || assign === null) return null;
  const { replaces, version } = assign.record.body;
  // A first attempt may take the place of one of an earlier version. That one has failed its leader only says.
  const isFirst = replaces === null && version === 1;
  const mayMeet = unbegun === true && !isFirst;
  const from = mayMeet ? after(core.now, PREDECESSOR_MS) : core.now;
  return { from, until: core.now, asked: [], askAt: from, runs: false };
}

/**
 * Asks for the next one before this one is over; ends what has none. What never gets one stands in the way of others:
 * a later attempt is committed, or the keepers are out of reach.
 */
export function tickTenure(core: With<'mesh' | 'placing' | 'executing'>, id: ExecutionId): void {
  const execution = core.executing.executions.get(id);
  if (execution === undefined || execution.tenure === null || execution.cancelling) return;
  if (isTerminal(execution.stored.state.body.phase)) return;
  const { tenure } = execution;
  const overAt = tenure.runs ? tenure.until : after(tenure.from, core.config.limits.leaseLostMs);
  if (overAt <= core.now) {
    const { job } = execution.stored.order;
    note(core, 'execution.tenure-over', { job, execution: id });
    return cancel(core, execution, CUT_OFF);
  }
  if (tenure.askAt <= core.now) ask(core, execution, tenure);
  core.timers.set(tenureTimer(id), overAt < tenure.askAt ? overAt : tenure.askAt);
}

function ask(core: With<'executing'>, { stored }: LocalExecution, tenure: Tenure): void {
  const { job, execution } = stored.order;
  const configuration = currentOf(chainOf(stored));
  // Answers to the last process may still be under way: it is no number that it can have used.
  core.executing.turn = Math.max(core.executing.turn + 1, Math.floor(wallMs(core)));
  const { turn } = core.executing;
  tenure.asked.push({ turn, at: core.now, configuration, answers: new Set() });
  if (tenure.asked.length > ASKED_MAX) tenure.asked.shift();
  const { leaseRenewMs, resendMs } = core.config.limits;
  tenure.askAt = after(core.now, tenure.until > core.now ? leaseRenewMs : resendMs);
  const { config } = configuration;
  for (const node of keeperNodes(configuration))
    send(core, node, { type: 'tenure-wanted', job, execution, config, turn });
}

export function onTenure(
  core: With<'executing'>,
  from: NodeId,
  message: Extract<Message, { type: 'tenure' }>,
): void {
  const execution = core.executing.executions.get(message.execution);
  const asked = execution?.tenure?.asked.find(({ turn }) => turn === message.turn);
  if (execution?.tenure == null || asked === undefined || execution.cancelling) return;
  if (isTerminal(execution.stored.state.body.phase)) return;
  if (!sameConfig(message.config, asked.configuration.config)) return;
  if (!keeperNodes(asked.configuration).includes(from)) return;
  asked.answers.add(from);
  if (!isQuorum(asked.configuration, asked.answers)) return;
  // From when it was asked for: the keepers may have voted for another a moment after they answered.
  const until = after(asked.at, TENURE_MS);
  if (until > execution.tenure.until) extend(core, execution, execution.tenure, until);
}

function extend(
  core: Node,
  execution: LocalExecution,
  tenure: Tenure,
  until: Tenure['until'],
): void {
  if (until <= core.now) return;
  tenure.until = until;
  const { order } = execution.stored;
  core.timers.set(tenureTimer(order.execution), tenure.askAt < until ? tenure.askAt : until);
  if (tenure.runs) {
    core.out.push({ type: 'extend-run', execution: order.execution, until });
    return;
  }
  tenure.runs = true;
  const begins = execution.stored.unbegun === true;
  if (begins) {
    const { unbegun: _, ...stored } = execution.stored;
    execution.stored = stored;
    saveExecution(core, stored);
  }
  if (isPausing(execution)) resumePause(core, execution);
  else core.out.push(runOf(execution, !begins));
}
