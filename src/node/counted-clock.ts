/**
 * Counts time over restarts without the wall clock, which may be set: by the monotonic clock while the
 * peer runs, and while it does not by the clock of the machine since its start. What passed while the
 * machine was off is not known, and not counted. What was counted is on disk once a minute.
 */
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import type { KeyValues } from '../store/key-values.ts';

export interface CountedClock {
  /** Counted time, whole milliseconds; never runs back but for what a crash loses, a minute at most. */
  readonly now: () => number;
  readonly stop: () => void;
}

/** The clocks of the machine. */
export interface MachineClocks {
  /** Of this process, milliseconds. */
  readonly monotonic: () => number;
  /** Names the start of the machine; '' when it is not known. */
  readonly boot: string;
  /** Since that start, milliseconds. */
  readonly uptime: () => number;
}

const KEY = 'clock/counted';
const SAVE_MS = 60_000;

interface Saved {
  readonly count: number;
  readonly boot: string;
  readonly uptime: number;
}

/** @param onProblem told when it cannot be written down; tried again a minute later */
export function createCountedClock(
  kv: Pick<KeyValues, 'get' | 'put'>,
  clocks: MachineClocks,
  onProblem: (error: unknown) => void,
): CountedClock {
  const before = countBefore(readSaved(kv.get(KEY)?.value ?? ''), clocks);
  const startedAt = clocks.monotonic();
  const now = (): number => Math.floor(before + clocks.monotonic() - startedAt);
  const save = (): void => {
    const saved: Saved = { count: now(), boot: clocks.boot, uptime: clocks.uptime() };
    try {
      kv.put(KEY, JSON.stringify(saved), null);
    } catch (error) {
      onProblem(error);
    }
  };
  save();
  const timer = setInterval(save, SAVE_MS);
  timer.unref();
  return {
    now,
    stop: () => {
      clearInterval(timer);
      save();
    },
  };
}

function countBefore(saved: Saved | null, { boot, uptime: sinceBoot }: MachineClocks): number {
  if (saved === null) return 0;
  const sameBoot = boot !== '' && saved.boot === boot;
  return saved.count + (sameBoot ? Math.max(0, sinceBoot() - saved.uptime) : 0);
}

function readSaved(text: string): Saved | null {
  try {
    const { count, boot, uptime: up } = JSON.parse(text) as Saved;
    const good = Number.isFinite(count) && count >= 0 && Number.isFinite(up);
    return good && typeof boot === 'string' ? { count, boot, uptime: up } : null;
  } catch {
    return null;
  }
}

export const machineClocks = (): MachineClocks => ({
  monotonic: () => performance.now(),
  boot: bootId(),
  uptime: () => uptime() * 1_000,
});

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}
