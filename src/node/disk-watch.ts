/**
 * Watches the disk under a peer: how much room is left, and whether the data directory is still the
 * one that was opened. Reports changes only; what follows from them is the core's business (takes
 * nothing new) and the peer's (ends).
 */
import { stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { ShoalError } from '../failures/shoal-error.ts';
import { errorCode } from '../lib/durable-file.ts';
import type { Log } from '../lib/log.ts';

export interface DiskWatchOptions {
  readonly dataDir: string;
  /** Least room, bytes and share (0 … 1) of the file system: the smaller of both counts. */
  readonly margin: { readonly bytes: number; readonly share: number };
  readonly log: Log;
  /** Told when the disk has become full, and when it has room again. */
  readonly onFull: (full: boolean) => void;
  /** Told once when the data directory is not there any more; nothing is watched afterwards. */
  readonly onLost: (error: ShoalError) => void;
}

export interface DiskState {
  readonly full: boolean;
  readonly freeBytes: number;
  readonly marginBytes: number;
}

export interface DiskWatch {
  /** Looks once, then again and again. */
  start(): Promise<void>;
  state(): DiskState;
  /** A write failed for want of room, or what had failed is written. */
  wrote(failed: boolean): void;
  stop(): void;
}

/** A deleted directory is noticed within this, milliseconds; one look costs some microseconds. */
const LOOK_MS = 2_000;
/** It opens its door again only with some more room than the margin, so that it does not flap. */
const BACK_FACTOR = 1.25;
/** A file system may run out of files before it runs out of bytes. */
const FILES_MIN = 1_000;
/** Whoever removes one of these has taken the store, or its lock, from under the peer. */
const WATCHED = ['', 'store.db', 'store.db-wal', 'peer.lock'] as const;

export function createDiskWatch(options: DiskWatchOptions): DiskWatch {
  const { dataDir, margin, log } = options;
  const known = new Map<string, string>();
  let state: DiskState = { full: false, freeBytes: 0, marginBytes: 0 };
  let unwritten = false;
  let stopped = false;
  let timer: NodeJS.Timeout | null = null;

  function become(next: DiskState): void {
    const before = state.full;
    state = next;
    if (next.full === before) return;
    const { freeBytes, marginBytes } = next;
    if (next.full) log.warn({ freeBytes, marginBytes, dataDir }, 'disk.full');
    else log.info({ freeBytes, marginBytes, dataDir }, 'disk.has-room');
    options.onFull(next.full);
  }

  async function measure(): Promise<void> {
    const disk = await statfs(dataDir);
    const marginBytes = Math.min(margin.bytes, disk.blocks * disk.bsize * margin.share);
    const freeBytes = disk.bavail * disk.bsize;
    const factor = state.full ? BACK_FACTOR : 1;
    // Some file systems count no files: they tell 0 of 0.
    const filesMin = Math.min(FILES_MIN, disk.files * margin.share) * factor;
    const low = freeBytes < marginBytes * factor || (disk.files > 0 && disk.ffree < filesMin);
    become({ full: low || unwritten, freeBytes, marginBytes });
  }

  /** @returns what is gone; null when all is as it was. */
  async function missing(): Promise<string | null> {
    for (const name of WATCHED) {
      const now = await inodeOf(join(dataDir, name));
      const before = known.get(name);
      if (before !== undefined && now !== before) return join(dataDir, name);
      if (now !== null) known.set(name, now);
    }
    return null;
  }

  async function look(): Promise<void> {
    const gone = await missing();
    if (stopped) return;
    if (gone !== null) {
      stopped = true;
      const why = `${gone} was removed or replaced while the peer ran, so nothing it acknowledges would last`;
      options.onLost(
        new ShoalError({ code: 'store-unusable', path: join(dataDir, 'store.db'), why }),
      );
      return;
    }
    await measure();
  }

  async function again(): Promise<void> {
    try {
      await look();
    } catch (error) {
      log.warn({ error: String(error) }, 'disk.not-measured');
    }
    if (!stopped) timer = setTimeout(() => void again(), LOOK_MS).unref();
  }

  return {
    start: again,
    state: () => state,
    wrote(failed) {
      unwritten = failed;
      if (failed) become({ ...state, full: true });
      else
        measure().catch((error: unknown) =>
          log.warn({ error: String(error) }, 'disk.not-measured'),
        );
    },
    stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
    },
  };
}

/** What tells a file from another one of the same name; null when there is none. */
async function inodeOf(path: string): Promise<string | null> {
  try {
    const { dev, ino } = await stat(path);
    return `${dev}:${ino}`;
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
}
