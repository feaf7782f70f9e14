/**
 * A program that does not end by itself is kept running: whatever its end is, if only this node can cure it, it
 * is started again here after a pause. It stays one execution: its lease goes on, and its phase stays what it was.
 */
import { countedMs } from '../node/counted.ts';
import { anew } from '../node/repeat.ts';
import type { Node, With } from '../node/state.ts';
import type { ExecutionFailure, Interruption } from '../record/execution.ts';
import { after } from '../record/ids.ts';
import type { ExecutionId } from '../record/ids.ts';
import { isTerminal } from '../record/ledger.ts';
import { RESTART_FIRST_MS, RESTART_MAX_MS, STEADY_MS } from '../contract/limits.ts';
import type { StoredExecution } from '../contract/stored.ts';
import type { StateBody } from '../record/records.ts';
import { nextState, report, saveExecution } from './reporting.ts';
import { isResting, runOf } from './state.ts';
import type { LocalExecution } from './state.ts';

export const restartTimer = (execution: ExecutionId): string => `restart:${execution}`;

/** The pause before the next start, after so many ends in a row, milliseconds. */
const pauseMs = (inRow: number): number =>
  Math.min(RESTART_FIRST_MS * 2 ** Math.min(inRow - 1, 20), RESTART_MAX_MS);

/** Its program is over and will be started again. */
export const isPausing = ({ stored }: LocalExecution): boolean =>
  (stored.backoff?.until ?? null) !== null && !isTerminal(stored.state.body.phase);

/** What a program did last, as its state tells it. */
type LastRun = Pick<StateBody, 'exitCode' | 'failure' | 'output' | 'usage'>;

/** Writes down that the program is over and when it is started again: a node that is restarted meanwhile keeps to it. */
export function pauseProgram(core: Node, execution: LocalExecution, event: Interruption): void {
  pause(core, execution, {
    exitCode: event.type === 'ended' ? event.exitCode : null,
    failure: event.type === 'failed' ? event.failure : null,
    output: event.output,
    usage: event.usage,
  });
}

function pause(core: Node, execution: LocalExecution, last: LastRun): void {
  const { stored } = execution;
  const inRow = endsInRow(core, execution) + 1;
  const retryMs = pauseMs(inRow);
  const restarts = stored.order.restarts + 1;
  const state = nextState(core, stored, { restarts, retryMs, ...last });
  execution.runsSince = null;
  const order = { ...stored.order, restarts };
  const backoff = { inRow, until: countedMs(core) + retryMs };
  update(core, execution, { ...stored, order, state, backoff });
  core.timers.set(restartTimer(order.execution), after(core.now, retryMs));
}

/** Ends of its program one soon after the other, before the one at hand. */
function endsInRow(core: Node, { stored, runsSince }: LocalExecution): number {
  const ranMs = runsSince === null ? 0 : core.now - runsSince;
  return ranMs >= STEADY_MS ? 0 : (stored.backoff?.inRow ?? 0);
}

/**
 * Its node does not want the program to run for now. It stays this execution, with its place and its lease, and
 * nothing of it is to be committed anew when it goes on.
 * @param why told to everybody who looks
 */
export function rest(core: Node, execution: LocalExecution, why: ExecutionFailure): void {
  const { queued, ...stored } = execution.stored;
  const { execution: id } = stored.order;
  const isRunning = queued !== true && !isPausing(execution) && !isResting(execution);
  const state = nextState(core, execution.stored, { retryMs: 0, exitCode: null, failure: why });
  const backoff = { inRow: endsInRow(core, execution), until: null };
  execution.runsSince = null;
  execution.isEnding ||= isRunning;
  core.timers.clear(restartTimer(id));
  update(core, execution, { ...stored, state, backoff });
  if (isRunning) core.out.push({ type: 'cancel-run', execution: id, why: why.message });
}

/** It may go on: after a pause like any other, so that a node that comes to match again and again wears nothing out. */
export function goOn(core: Node, execution: LocalExecution): void {
  const { exitCode, failure, output, usage } = execution.stored.state.body;
  pause(core, execution, { exitCode, failure, output, usage });
}

/** After a start of this node, and when its leader says that its job goes on: the rest of the pause. */
export function resumePause(core: Node, { stored }: LocalExecution): void {
  const leftMs = (stored.backoff?.until ?? 0) - countedMs(core);
  const waitMs = Math.min(Math.max(0, leftMs), RESTART_MAX_MS);
  core.timers.set(restartTimer(stored.order.execution), after(core.now, waitMs));
}

/** The pause is over. */
export function tickRestart(core: With<'executing'>, id: ExecutionId): void {
  const execution = core.executing.executions.get(id);
  const { backoff } = execution?.stored ?? {};
  if (execution === undefined || backoff === undefined || !isPausing(execution)) return;
  const { doubtedUntil } = execution;
  if (doubtedUntil !== null && core.now < doubtedUntil)
    return core.timers.set(restartTimer(id), doubtedUntil);
  const { stored } = execution;
  const state = nextState(core, stored, { retryMs: null });
  update(core, execution, { ...stored, state, backoff: { ...backoff, until: null } });
  core.out.push(runOf(execution, false));
}

function update(core: Node, execution: LocalExecution, stored: StoredExecution): void {
  execution.stored = stored;
  execution.acked.clear();
  anew(core, execution.resend);
  saveExecution(core, stored);
  report(core, execution);
}
