/**
 * Watches a running program: its wall-clock budget, which counts from the moment the program itself
 * begins (pulling an image or fetching inputs is not run time), and the disk it fills.
 */
import type { ExecutionFailure } from '../core/execution.ts';
import { pause } from '../lib/abort.ts';
import type { Log } from '../lib/log.ts';
import type { Watched } from './runner-files.ts';
import { diskUsage } from '../storage/results.ts';

export interface GuardOptions {
  /** 0 = none. */
  readonly timeoutMs: number;
  /** 0 = none. */
  readonly diskBytes: number;
  readonly watched: readonly Watched[];
  readonly diskPollMs: number;
  readonly log: Log;
}

export interface Guard {
  /** Aborts when the program broke a limit. */
  readonly signal: AbortSignal;
  /** The limit it broke; null as long as there is none. */
  broken(): ExecutionFailure | null;
  /** The program runs since `elapsedMs` milliseconds. */
  begin(elapsedMs: number): void;
  /** The program is over: measures the disk once more and stops watching. */
  end(): Promise<void>;
}

/** The code of a failure by the time limit. */
export const TIMEOUT = 'execution-timeout';

/** Node's timers take no more; a longer budget is waited for in pieces. */
const TIMER_MAX_MS = 2_147_483_647;

export function createGuard(options: GuardOptions): Guard {
  const stop = new AbortController();
  const limit = new AbortController();
  let broken: ExecutionFailure | null = null;
  let watching: Promise<void> = Promise.resolve();
  const report = (failure: ExecutionFailure): void => {
    broken ??= failure;
    limit.abort();
  };
  const watchTime = async (elapsedMs: number): Promise<void> => {
    let left = options.timeoutMs - elapsedMs;
    while (left > 0) {
      const step = Math.min(left, TIMER_MAX_MS);
      if (!(await pause(step, stop.signal))) return;
      left -= step;
    }
    report(timeoutFailure(options.timeoutMs));
  };
  const watchDisk = async (): Promise<void> => {
    while (await pause(options.diskPollMs, stop.signal)) {
      if (await overDisk(options, stop.signal)) return report(diskFailure(options.diskBytes));
    }
  };
  const quietly = (work: Promise<void>): Promise<void> =>
    work.catch((error: unknown) => {
      if (!stop.signal.aborted) options.log.warn({ error }, 'execution.guard-failed');
    });
  return {
    signal: limit.signal,
    broken: () => broken,
    begin(elapsedMs) {
      const watches: Promise<void>[] = [];
      if (options.timeoutMs > 0) watches.push(quietly(watchTime(Math.max(0, elapsedMs))));
      if (options.diskBytes > 0) watches.push(quietly(watchDisk()));
      watching = Promise.all(watches).then(() => {});
    },
    async end() {
      stop.abort();
      await watching;
      // A program that ends between two measurements is held to the same limit.
      if (
        broken === null &&
        options.diskBytes > 0 &&
        (await overDisk(options, new AbortController().signal))
      ) {
        report(diskFailure(options.diskBytes));
      }
    },
  };
}

async function overDisk(options: GuardOptions, signal: AbortSignal): Promise<boolean> {
  let used = 0;
  for (const { path, bytesBefore } of options.watched) {
    used += Math.max(
      0,
      (await diskUsage(path, options.diskBytes + bytesBefore, signal)) - bytesBefore,
    );
  }
  return used > options.diskBytes;
}

const timeoutFailure = (timeoutMs: number): ExecutionFailure => ({
  code: TIMEOUT,
  class: 'limit',
  message: `Execution timed out after ${timeoutMs / 1_000}s. Raise Timeouts.ExecutionTimeout if the job needs longer.`,
});

const diskFailure = (diskBytes: number): ExecutionFailure => ({
  code: 'disk-limit-exceeded',
  class: 'limit',
  message: `The job wrote more than the ${diskBytes} bytes of disk it asked for. Raise Resources.Disk.`,
});
