/**
 * The `noop` engine, for tests and benchmarks of everything around an engine: waits, prints one
 * line, exits. Runs no program and uses no file but the two output files.
 */
import { TIMER_MAX_MS } from '../../lib/timer.ts';
import { appendFile, writeFile } from 'node:fs/promises';
import type { ExecutionFailure } from '../../core/record/execution.ts';
import type { Json, SpecConfig } from '../../job/model.ts';
import type { Engine, EngineOutcome, EngineRun } from '../engine.ts';

interface NoopParams {
  /** How long it takes; ≥ 0, default 0. */
  readonly milliseconds: number;
  /** 0 … 255, default 0. */
  readonly exitCode: number;
  /** The message to fail with after that time; null = exit. */
  readonly fail: string | null;
  /** Class of that failure; default `spec`. */
  readonly failClass: ExecutionFailure['class'];
  /** So many times all of that happens; from then on it runs until it is stopped. null = each time. */
  readonly ends: number | null;
}

const FAIL_CLASSES: readonly ExecutionFailure['class'][] = ['spec', 'limit', 'node', 'transient'];

export function createNoopEngine(): Engine {
  return {
    name: 'noop',
    probe: () =>
      Promise.resolve({ available: true, detail: 'runs nothing, for tests', warnings: [] }),
    run: runNoop,
    // Nothing of a run outlives the process that waits.
    reattach: () => Promise.resolve(null),
    diskBytes: () => Promise.resolve(0),
    sweep: () => Promise.resolve([]),
  };
}

async function runNoop(
  run: EngineRun,
  onStarted: () => void,
  signal: AbortSignal,
): Promise<EngineOutcome> {
  const startedAt = performance.now();
  const failed = (
    code: string,
    kind: ExecutionFailure['class'],
    message: string,
  ): EngineOutcome => ({
    type: 'failed',
    failure: { code, class: kind, message },
    usage: {
      cpuMs: null,
      peakMemoryBytes: null,
      wallMs: Math.round(performance.now() - startedAt),
    },
  });
  const params = readParams(run.order.task.Engine);
  if (params === null) {
    return failed(
      'noop-params-invalid',
      'spec',
      'Engine.Params of noop: Milliseconds ≥ 0, ExitCode 0 to 255, Fail a text, FailClass spec, limit, node or transient, Ends a whole number ≥ 0; all optional.',
    );
  }
  const line = `noop ${run.order.execution} partition ${run.order.partition}\n`;
  const kept = Buffer.from(line).subarray(0, run.outputMaxBytes);
  await writeFile(run.stdoutPath, '', { mode: 0o600 });
  await writeFile(run.stderrPath, '', { mode: 0o600 });
  onStarted();
  await appendFile(run.stdoutPath, kept);
  const { timeoutMs, restarts } = run.order;
  const stays = params.ends !== null && restarts >= params.ends;
  const milliseconds = stays ? Number.POSITIVE_INFINITY : params.milliseconds;
  const tooLong = timeoutMs > 0 && milliseconds > timeoutMs;
  if (!(await wait(tooLong ? timeoutMs : milliseconds, signal))) {
    return failed('cancelled', 'transient', 'The execution was stopped on request.');
  }
  if (tooLong)
    return failed('execution-timeout', 'limit', `Execution timed out after ${timeoutMs / 1000}s.`);
  if (params.fail !== null)
    return failed('noop-failed', params.failClass, params.fail.slice(0, 1_000));
  return {
    type: 'exited',
    exitCode: params.exitCode,
    usage: { cpuMs: 0, peakMemoryBytes: 0, wallMs: Math.round(performance.now() - startedAt) },
    outputDropped: kept.length < Buffer.byteLength(line),
  };
}

/** null when a parameter is of the wrong kind or out of its range. */
function readParams(engine: SpecConfig): NoopParams | null {
  const { Milliseconds, ExitCode, Fail, FailClass, Ends } = engine.Params;
  const milliseconds = numberIn(Milliseconds, Number.MAX_SAFE_INTEGER);
  const exitCode = numberIn(ExitCode, 255);
  if (milliseconds === null || exitCode === null || !Number.isInteger(exitCode)) return null;
  const failClass = FAIL_CLASSES.find((one) => one === (FailClass ?? 'spec'));
  const times = numberIn(Ends, Number.MAX_SAFE_INTEGER);
  if (failClass === undefined || times === null || !Number.isInteger(times)) return null;
  const params = { milliseconds, exitCode, failClass, ends: Ends == null ? null : times };
  if (Fail === undefined || Fail === null) return { ...params, fail: null };
  return typeof Fail === 'string' ? { ...params, fail: Fail } : null;
}

function numberIn(value: Json | undefined, max: number): number | null {
  if (value === undefined || value === null) return 0;
  return typeof value === 'number' && value >= 0 && value <= max ? value : null;
}

/** @returns false when the signal came first. */
function wait(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(false);
    let left = milliseconds;
    let timer: NodeJS.Timeout;
    const onAbort = (): void => {
      clearTimeout(timer);
      resolve(false);
    };
    const next = (): void => {
      const part = Math.min(left, TIMER_MAX_MS);
      left -= part;
      timer = setTimeout(() => {
        if (left > 0) return next();
        signal.removeEventListener('abort', onAbort);
        resolve(true);
      }, part);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    next();
  });
}
