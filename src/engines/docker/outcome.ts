/**
 * Reads the outcome of a run from how its container ended. Pure. The order of the questions
 * matters: our own kill, the kernel's for want of memory, and a kill by a stopping Docker engine
 * all look like exit code 137.
 */
import type { ExecutionFailure, ExecutionOrder, Usage } from '../../core/record/execution.ts';
import type { EngineOutcome } from '../engine.ts';
import { failureOf, initFailure } from './failures.ts';
import type { StopReason } from './stopper.ts';
import type { Ending } from './watch.ts';

export interface EndFacts {
  readonly order: ExecutionOrder;
  readonly ending: Ending;
  readonly stopped: StopReason | null;
  /** Nobody of this node saw all of the run. */
  readonly unwatched: boolean;
  readonly stderrHead: string;
  readonly outputDropped: boolean;
  readonly usage: Usage;
}

/**
 * SIGKILL, SIGTERM, and what Docker notes for a container that died with its machine. When the run
 * was not watched throughout these mean that the machine or Docker was restarted.
 */
const STOPPED_FROM_OUTSIDE: ReadonlySet<number> = new Set([137, 143, 255]);

export function outcomeOf(facts: EndFacts): EngineOutcome {
  const failure = failureOfEnd(facts);
  if (failure !== null) return { type: 'failed', failure, usage: facts.usage };
  return {
    type: 'exited',
    exitCode: facts.ending.state?.ExitCode ?? 0,
    usage: facts.usage,
    outputDropped: facts.outputDropped,
  };
}

function failureOfEnd(facts: EndFacts): ExecutionFailure | null {
  const { ending, stopped, order } = facts;
  if (stopped !== null) return stoppedFailure(stopped, order);
  if (ending.state === null) {
    const text =
      ending.type === 'gone'
        ? 'The container was removed by somebody else while it ran.'
        : 'Docker went away while the program ran and did not come back in time.';
    return failureOf('docker-lost', 'node', text);
  }
  const { ExitCode: exitCode } = ending.state;
  // A program whose helper was killed and that ended well all the same has coped with it.
  if (ending.outOfMemory && exitCode !== 0) return outOfMemory(order);
  const missed = ending.interrupted || facts.unwatched;
  if ((missed || ending.signalled) && STOPPED_FROM_OUTSIDE.has(exitCode)) {
    const text = `The container was stopped from outside (exit code ${exitCode}): Docker or the machine was restarted, or somebody stopped it.`;
    return failureOf('docker-lost', 'node', text);
  }
  return initFailure(exitCode, facts.stderrHead);
}

function stoppedFailure(reason: StopReason, order: ExecutionOrder): ExecutionFailure {
  switch (reason) {
    case 'cancelled':
      return cancelled();
    case 'execution-timeout': {
      const text = `Execution timed out after ${order.timeoutMs / 1000}s. Raise Timeouts.ExecutionTimeout if it needs more.`;
      return failureOf('execution-timeout', 'limit', text);
    }
    case 'output-not-written':
      return outputNotWritten();
  }
}

export const outputNotWritten = (): ExecutionFailure =>
  failureOf(
    'output-not-written',
    'node',
    'The output of the program could not be written on this node; its disk may be full.',
  );

export const cancelled = (): ExecutionFailure =>
  failureOf('cancelled', 'transient', 'The execution was stopped.');

function outOfMemory(order: ExecutionOrder): ExecutionFailure {
  const mebibytes = Math.round(order.task.resources.memoryBytes / (1024 * 1024));
  const text = `The program needed more than its ${mebibytes} MiB of memory. Raise Resources.Memory if it needs more.`;
  return failureOf('out-of-memory', 'limit', text);
}
