/**
 * One peer per data directory. The lock itself is held by the operating system (SQLite's lock on a
 * file of its own), so it is gone the moment its process is, however that ended, and none can ever
 * be stale; the process id beside it is for people and messages only.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ShoalError } from '../core/failure.ts';
import { sqliteFault, storeUnusable } from './sqlite.ts';

export interface DataDirLock {
  /** Idempotent. */
  release(): void;
}

/** @throws ShoalError `data-dir-locked`, `store-unusable`. */
export function lockDataDir(dir: string): DataDirLock {
  const path = join(dir, 'peer.lock');
  const pidPath = join(dir, 'peer.pid');
  let lock: DatabaseSync | null = null;
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    lock = new DatabaseSync(path, { timeout: 0 });
    // Nothing is ever written to the database: the open transaction is the lock.
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE;');
    writePid(pidPath);
  } catch (error) {
    lock?.close();
    if (sqliteFault(error) !== 'busy') throw storeUnusable(path, error);
    throw new ShoalError(
      { code: 'data-dir-locked', path: dir, pid: readPid(pidPath) },
      { cause: error },
    );
  }
  const held = lock;
  return {
    release() {
      if (!held.isOpen) return;
      // After the directory was replaced it may be another peer's.
      if (readPid(pidPath) === process.pid) rmSync(pidPath, { force: true });
      held.close();
    },
  };
}

/** For people only: a disk without room for it does not keep a peer from starting. */
function writePid(path: string): void {
  try {
    writeFileSync(path, `${process.pid}\n`);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
  }
}

/** 0 when the holder has not written it yet. */
function readPid(path: string): number {
  try {
    return Number.parseInt(readFileSync(path, 'latin1'), 10) || 0;
  } catch {
    return 0;
  }
}
