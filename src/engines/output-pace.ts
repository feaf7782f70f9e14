/**
 * How fast the output of a program is read. To take it in costs this node, and Docker, more processor
 * time than it costs the program to print it, and none of that is in the program's share. Who reads
 * slowly makes the program wait, so it is its own time that goes.
 */
import { setTimeout as delay } from 'node:timers/promises';

/** Bytes: takes about a tenth of a core. */
const PER_SECOND = 32_000_000;
/** Bytes that may come at any speed, so that only who prints without end is slowed down. */
const AT_ONCE = 256_000_000;

export interface OutputPace {
  /** Waits until so many bytes more may be read. */
  took(bytes: number): Promise<void>;
}

export interface PaceOptions {
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  readonly wait: (ms: number) => Promise<unknown>;
}

const REAL: PaceOptions = { now: () => performance.now(), wait: (ms) => delay(ms) };

/** One for each run. */
export function createOutputPace({ now, wait }: PaceOptions = REAL): OutputPace {
  let left = AT_ONCE;
  let at = now();
  return {
    async took(bytes) {
      const gained = ((now() - at) * PER_SECOND) / 1_000;
      at = now();
      left = Math.min(AT_ONCE, left + gained) - bytes;
      if (left < 0) await wait((-left * 1_000) / PER_SECOND);
    },
  };
}
