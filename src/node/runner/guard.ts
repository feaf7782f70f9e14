/**
 * Watches a running program: its wall-clock budget, which counts from the moment the program itself
 * begins (pulling an image or fetching inputs is not run time), and the disk it fills. A watch that
 * cannot do its work ends the program too: what is not known does not count as nothing.
 */
import { TIMER_MAX_MS } from '../../lib/timer.ts';
import type { ExecutionFailure } from '../../core/record/execution.ts';
import { pause } from '../../lib/abort.ts';
import type { Log } from '../../lib/log.ts';

export interface Filled {
  /** Without end when there is more to look at than this node does. */
  readonly bytes: number;
  /** Directories that this node may not look into. */
  readonly closed: number;
}

export interface GuardOptions {
  /** 0 = none. */
  readonly timeoutMs: number;
  /** What the job may fill in all, > 0. */
  readonly diskBytes: number;
  /** What it fills now; need not count on above `enough`. */
  readonly measure: (enough: number, signal: AbortSignal) => Promise<Filled>;
  /** Longest time between two measurements, milliseconds. */
  readonly diskPollMs: number;
  readonly log: Log;
}

export interface Guard {
  /** Aborts when the program broke a limit. */
  readonly signal: AbortSignal;
  /** As `EngineRun.atOnce`. */
  readonly atOnce: AbortSignal;
  /** The limit it broke; null as long as there is none. */
  broken(): ExecutionFailure | null;
  /** The program runs since `elapsedMs` milliseconds. */
  begin(elapsedMs: number): void;
  /** The program is over: measures the disk once more and stops watching. */
  end(): Promise<void>;
}

/** The code of a failure by the time limit. */
export const TIMEOUT = 'execution-timeout';

/** Milliseconds between two looks at the disk, at least. */
const DISK_LEAST_MS = 200;
/** A program may close a directory for a moment, as those do that make a temporary one. */
const CLOSED_LOOKS_MAX = 10;
/** Bytes: what a program writes in a millisecond when its disk is fast. */
const WRITTEN_PER_MS = 1_000_000;

export function createGuard(options: GuardOptions): Guard {
  const stop = new AbortController();
  const limit = new AbortController();
  const atOnce = new AbortController();
  let broken: ExecutionFailure | null = null;
  let watching: Promise<void> = Promise.resolve();
  const report = (failure: ExecutionFailure): void => {
    broken ??= failure;
    limit.abort();
  };
  const reportDisk = (failure: ExecutionFailure): void => {
    // First, so that whoever listens to both does not begin to wait.
    atOnce.abort();
    report(failure);
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
  /** @returns what is in use; null when the program has to end. */
  const measure = async (signal: AbortSignal): Promise<Filled | null> => {
    try {
      const used = await options.measure(options.diskBytes, signal);
      if (used.bytes <= options.diskBytes) return used;
      reportDisk(diskFailure(options.diskBytes, used.bytes));
    } catch (error) {
      if (signal.aborted) return null;
      options.log.warn({ error }, 'execution.guard-failed');
      reportDisk(blindFailure(error));
    }
    return null;
  };
  const watchDisk = async (): Promise<void> => {
    // A short job with room for gigabytes is over before it can fill them: it costs no look.
    let waitMs = nextLookMs(options, 0, 0);
    let closedLooks = 0;
    while (await pause(waitMs, stop.signal)) {
      const before = performance.now();
      const used = await measure(stop.signal);
      if (used === null) return;
      closedLooks = used.closed > 0 ? closedLooks + 1 : 0;
      if (closedLooks >= CLOSED_LOOKS_MAX) return reportDisk(closedFailure());
      waitMs =
        closedLooks > 0
          ? Math.min(DISK_LEAST_MS, options.diskPollMs)
          : nextLookMs(options, used.bytes, performance.now() - before);
    }
  };
  return {
    signal: limit.signal,
    atOnce: atOnce.signal,
    broken: () => broken,
    begin(elapsedMs) {
      const watches = [watchDisk()];
      if (options.timeoutMs > 0) watches.push(watchTime(Math.max(0, elapsedMs)));
      watching = Promise.all(watches).then(() => {});
    },
    async end() {
      stop.abort();
      await watching;
      // A program that ends between two measurements is held to the same limit.
      if (broken === null) await measure(new AbortController().signal);
    },
  };
}

/**
 * Soon when little is left, later when there is much, so that no program gets far beyond its limit;
 * and never so often that looking takes more than a tenth of the time.
 */
function nextLookMs(options: GuardOptions, used: number, tookMs: number): number {
  const leftMs = (options.diskBytes - used) / WRITTEN_PER_MS;
  return Math.min(options.diskPollMs, Math.max(DISK_LEAST_MS, leftMs, 10 * tookMs));
}

const timeoutFailure = (timeoutMs: number): ExecutionFailure => ({
  code: TIMEOUT,
  class: 'limit',
  message: `Execution timed out after ${timeoutMs / 1_000}s. Raise Timeouts.ExecutionTimeout if the job needs longer.`,
});

const diskFailure = (diskBytes: number, used: number): ExecutionFailure => ({
  code: 'disk-limit-exceeded',
  class: 'limit',
  message: !Number.isFinite(used)
    ? 'The job has more files, directories or open files than this node counts while it runs (storage.diskLooksMax there; a directory counts as ten). Pack them into archives.'
    : `The job filled more than its ${diskBytes} bytes of disk: inputs, results, output and what it wrote elsewhere count. Raise Resources.Disk.`,
});

const closedFailure = (): ExecutionFailure => ({
  code: 'disk-closed',
  class: 'node',
  message:
    'The job keeps directories that this node may not read, so that what is in them cannot be counted. Make them readable for everybody (chmod a+rx), or let another node run it.',
});

/** It may be the program that has made its tree unreadable, or this node that is broken. */
const blindFailure = (error: unknown): ExecutionFailure => ({
  code: 'disk-not-measured',
  class: 'node',
  message:
    `The disk that the program fills could not be measured on this node, so it was stopped: ${error instanceof Error ? error.message : String(error)}`.slice(
      0,
      1_000,
    ),
});
