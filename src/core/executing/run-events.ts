/** What the runner tells of an execution, as the states that this node signs. */
import { JOB_TYPES } from '../../job/types.ts';
import { workTaken } from '../mesh/welcome.ts';
import { note } from '../node/outbox.ts';
import { anew } from '../node/repeat.ts';
import type { With } from '../node/state.ts';
import { reconsider } from '../placing/bidder.ts';
import { rememberLocal } from '../placing/state.ts';
import { isInterruption } from '../record/execution.ts';
import type { ExecutionFailure, Phase, RunEvent } from '../record/execution.ts';
import type { ExecutionId } from '../record/ids.ts';
import { isTerminal } from '../record/ledger.ts';
import type { StateBody } from '../record/records.ts';
import { nextState, report, saveExecution } from './reporting.ts';
import { isPausing, pauseProgram, restartTimer } from './restarting.ts';
import { isResting, LEAVING, noteExecution } from './state.ts';
import type { LocalExecution } from './state.ts';

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
  if (event.type === 'phase' && event.phase === 'running') execution.runsSince ??= core.now;
  if (isResting(execution) && !execution.cancelling) return hasStopped(core, execution, event);
  if (event.type === 'cancelled' && goesOn(execution)) return;
  const again = isInterruption(execution.stored.order.jobType, event);
  if (again && isTerminal(before.phase)) return;
  if (again && !execution.cancelling) {
    // Told twice: it is being waited for.
    if (!isPausing(execution)) pauseProgram(core, execution, event);
    return;
  }
  core.timers.clear(restartTimer(id));
  // It came to an end just as it was stopped.
  const seen = again ? ({ type: 'cancelled', output: event.output } as const) : event;
  // Nobody told a node that leaves to end what it runs.
  const why = execution.cancelledFor ?? (core.draining ? LEAVING : null);
  const body = afterEvent(before, seen, why);
  // Phases only move forward: a resumed run that starts over reports nothing until it is further.
  if (PHASES[body.phase] <= PHASES[before.phase]) return;
  const state = nextState(core, execution.stored, body);
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

/** Its program was told to rest, and is over, whatever it says of that. */
function hasStopped(
  core: With<'mesh' | 'placing' | 'executing'>,
  execution: LocalExecution,
  event: RunEvent,
): void {
  if (event.type === 'phase') return;
  execution.isEnding = false;
  reconsider(core);
}

/** What was told to rest says that it stopped, when it goes on already. */
const goesOn = (execution: LocalExecution): boolean =>
  execution.stored.assign === null &&
  !JOB_TYPES[execution.stored.order.jobType].ends &&
  !execution.cancelling;

/** @param why it was told to stop; null when it was not */
function afterEvent(before: StateBody, event: RunEvent, why: ExecutionFailure | null): StateBody {
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
        ...(event.leftOut === undefined ? {} : { leftOut: event.leftOut }),
      };
    case 'failed':
      return {
        ...before,
        phase: 'failed',
        exitCode: null,
        failure: event.failure,
        output: event.output,
        usage: event.usage,
      };
    case 'cancelled':
      // How its program ended before it was started again is not why it ends now.
      return {
        ...before,
        phase: 'cancelled',
        retryMs: null,
        exitCode: null,
        failure: why,
        output: event.output,
      };
  }
}
