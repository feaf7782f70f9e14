/**
 * One runner process from start to end: hands it the order, stores its output, watches its limits
 * and finds out how it ended. Knows nothing of jobs or mounts; `engine.ts` prepares those.
 */
import { TIMER_MAX_MS } from '../../lib/timer.ts';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Duplex } from 'node:stream';
import type { Readable } from 'node:stream';
import type { ExecutionFailure, Usage } from '../../core/record/execution.ts';
import type { EngineOutcome } from '../engine.ts';
import { createOutputPace } from '../output-pace.ts';
import {
  cancelled,
  cpuExceeded,
  failureOfRunner,
  killedFromOutside,
  memoryExceeded,
  outputUnwritable,
  runnerCrashed,
  runnerFull,
  runnerNotStarted,
  timedOut,
} from './failures.ts';
import { capture } from './output.ts';
import { usageOf } from './process-table.ts';
import type { ProcessUsage } from './process-table.ts';
import type { RunnerOrder, RunnerReport } from './wire.ts';
import { failpoint } from '../../lib/failpoint.ts';

export interface ChildRun {
  readonly file: string;
  readonly args: readonly string[];
  readonly order: RunnerOrder;
  readonly stdoutPath: string;
  readonly stderrPath: string;
  readonly outputMaxBytes: number;
  /** Wall clock, milliseconds; 0 = none. */
  readonly timeoutMs: number;
  /** Seconds of CPU time. */
  readonly cpuSeconds: number;
  /** Resident bytes of the whole process. */
  readonly residentBytesMax: number;
  /** Milliseconds between two looks at what it uses. */
  readonly pollMs: number;
}

/** What is known of a running child; the first reason to kill it is the one reported. */
interface Watch {
  killedFor: ExecutionFailure | null;
  report: RunnerReport | null;
  seen: ProcessUsage | null;
}

/** @param onPid called with the process id once there is one, and with null when it has ended. */
export async function runChild(
  run: ChildRun,
  onStarted: () => void,
  onPid: (pid: number | null) => void,
  signal: AbortSignal,
): Promise<EngineOutcome> {
  const startedAt = performance.now();
  const child = startChild(run);
  if (typeof child === 'string')
    return { type: 'failed', failure: runnerNotStarted(child), usage: null };
  const watch: Watch = { killedFor: null, report: null, seen: null };
  const kill = (reason: ExecutionFailure): void => {
    watch.killedFor ??= reason;
    child.kill('SIGKILL');
  };
  const ended = endOf(child);
  onPid(child.pid ?? null);
  failpoint('wasm.spawned');
  const stopWatching = watchLimits(child, run, watch, kill);
  const onAbort = (): void => kill(cancelled());
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  try {
    const talking = converse(child, run.order, watch, onStarted);
    const dropped = await storeOutput(child, run, kill);
    const end = await ended;
    await talking;
    const usage = usageAtEnd(watch, performance.now() - startedAt);
    return outcomeOf(end, watch, run, usage, dropped > 0);
  } finally {
    stopWatching();
    signal.removeEventListener('abort', onAbort);
    onPid(null);
  }
}

/** @returns why it could not be started, where Node throws that (a command line too long, say). */
function startChild(run: ChildRun): ChildProcess | string {
  try {
    return spawn(run.file, run.args, {
      cwd: '/',
      env: {},
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

type End =
  | {
      readonly type: 'closed';
      readonly code: number | null;
      readonly signal: NodeJS.Signals | null;
    }
  | { readonly type: 'not-started'; readonly why: string };

function endOf(child: ChildProcess): Promise<End> {
  return new Promise((resolve) => {
    child.once('error', (error) => {
      if (child.pid === undefined) resolve({ type: 'not-started', why: error.message });
    });
    child.once('close', (code, signal) => resolve({ type: 'closed', code, signal }));
  });
}

/** Sends the order, then reads reports until the pipe closes. */
async function converse(
  child: ChildProcess,
  order: RunnerOrder,
  watch: Watch,
  onStarted: () => void,
): Promise<void> {
  const pipe = child.stdio[3];
  if (!(pipe instanceof Duplex)) return;
  // A runner that dies early resets the pipe; how it died is told by its end.
  pipe.on('error', () => {});
  const body = Buffer.from(JSON.stringify(order));
  const head = Buffer.alloc(4);
  head.writeUInt32LE(body.length);
  pipe.write(Buffer.concat([head, body]));
  try {
    for await (const line of createInterface({
      input: pipe,
      crlfDelay: Number.POSITIVE_INFINITY,
    })) {
      const report: RunnerReport = JSON.parse(line);
      if (report.type === 'started') onStarted();
      else watch.report = report;
    }
  } catch {
    // A last line cut off by a kill is no report.
  }
}

/** @returns bytes dropped of both streams. */
async function storeOutput(
  child: ChildProcess,
  run: ChildRun,
  kill: (reason: ExecutionFailure) => void,
): Promise<number> {
  const pace = createOutputPace();
  const store = async (stream: Readable | null, path: string): Promise<number> => {
    if (stream === null) return 0;
    try {
      return await capture(stream, path, run.outputMaxBytes, pace);
    } catch (error) {
      kill(outputUnwritable(error instanceof Error ? error.message : String(error)));
      stream.resume();
      return 0;
    }
  };
  const [stdout, stderr] = await Promise.all([
    store(child.stdout, run.stdoutPath),
    store(child.stderr, run.stderrPath),
  ]);
  return stdout + stderr;
}

/** @returns a function that ends the watch. */
function watchLimits(
  child: ChildProcess,
  run: ChildRun,
  watch: Watch,
  kill: (reason: ExecutionFailure) => void,
): () => void {
  const poll = setInterval(() => {
    const now = child.pid === undefined ? null : usageOf(child.pid);
    if (now === null) return;
    watch.seen = now;
    if (now.memoryBytes > run.residentBytesMax)
      kill(memoryExceeded(now.memoryBytes, run.residentBytesMax));
    // Also where the kernel counts: whichever notices first says the same.
    if (now.cpuMs >= run.cpuSeconds * 1000) kill(cpuExceeded(run.cpuSeconds));
  }, run.pollMs);
  // A longer one never comes: the limit of CPU time or that of the node's guard is before it.
  const timeout =
    run.timeoutMs > 0 && run.timeoutMs <= TIMER_MAX_MS
      ? setTimeout(() => kill(timedOut(run.timeoutMs)), run.timeoutMs)
      : null;
  return () => {
    clearInterval(poll);
    if (timeout !== null) clearTimeout(timeout);
  };
}

function usageAtEnd(watch: Watch, wallMs: number): Usage {
  const reported =
    watch.report === null || watch.report.type === 'started' ? null : watch.report.usage;
  return {
    cpuMs: reported?.cpuMs ?? watch.seen?.cpuMs ?? null,
    peakMemoryBytes: reported?.peakMemoryBytes ?? watch.seen?.peakMemoryBytes ?? null,
    wallMs: Math.round(wallMs),
  };
}

function outcomeOf(
  end: End,
  { killedFor, report }: Watch,
  run: ChildRun,
  usage: Usage,
  outputDropped: boolean,
): EngineOutcome {
  const failed = (failure: ExecutionFailure): EngineOutcome => ({ type: 'failed', failure, usage });
  // A program that ended by itself did so, even if a limit was reached in the same moment; but an
  // output that could not be stored is lost either way.
  const ownEnd = killedFor?.code === 'output-unwritable' ? null : report;
  if (ownEnd?.type === 'exited')
    return { type: 'exited', exitCode: ownEnd.exitCode, usage, outputDropped };
  if (killedFor !== null) return failed(killedFor);
  if (ownEnd?.type === 'failed') return failed(failureOfRunner(ownEnd.code, ownEnd.message));
  if (end.type === 'not-started') return failed(runnerNotStarted(end.why));
  if (end.signal === 'SIGXCPU') return failed(cpuExceeded(run.cpuSeconds));
  // So V8 ends when its heap is full.
  if (end.signal === 'SIGABRT') return failed(runnerFull());
  if (end.signal === 'SIGKILL') return failed(killedFromOutside());
  return failed(runnerCrashed(end.signal ?? `exit code ${end.code}`));
}
