/**
 * A counter beside the store that rises with every commit, so that a store which was put back from
 * a backup is noticed: it is behind its counter. The counter is written after the commit and not
 * synced each time, so it may lag after a power cut, but it is never ahead of an honest store.
 */
import { closeSync, constants, fsyncSync, openSync, readSync, writeSync } from 'node:fs';

/**
 * `unreadable`: not there, or not what was written. `lost`: the store was given up after a disk
 * error.
 */
export type GenerationRead = number | 'unreadable' | 'lost';

export interface Generation {
  /** What it was when it was opened. */
  readonly found: GenerationRead;
  /** Survives the process at once, a power cut after the next `sync`. */
  set(value: number): void;
  /** The store's promises cannot be trusted any more; best effort. */
  markLost(): void;
  sync(): void;
  close(): void;
}

/** A number in as many digits as any safe integer has, so that each write covers the one before. */
const DIGITS = 16;
const LOST = 'lost'.padEnd(DIGITS);

/** @throws Error of the file system. */
export function openGeneration(path: string): Generation {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  const write = (text: string): void => {
    writeSync(file, `${text}\n`, 0, 'latin1');
  };
  return {
    found: read(file),
    set: (value) => write(String(value).padStart(DIGITS, '0')),
    markLost() {
      try {
        write(LOST);
        fsyncSync(file);
      } catch {
        // The disk has failed already; the counter then stays what it was.
      }
    },
    sync: () => fsyncSync(file),
    close: () => closeSync(file),
  };
}

function read(file: number): GenerationRead {
  const buffer = Buffer.alloc(DIGITS + 2);
  const length = readSync(file, buffer, 0, buffer.length, 0);
  const text = buffer.toString('latin1', 0, length);
  if (text === `${LOST}\n`) return 'lost';
  return /^\d{16}\n$/.test(text) ? Number(text) : 'unreadable';
}
