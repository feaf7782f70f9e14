/**
 * One peer per data directory. The lock itself is held by the operating system (SQLite's lock on a
 * file of its own), so it is gone the moment its process is, however that ended, and none can ever
 * be stale; the process id beside it is for people and messages only.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ShoalError } from '../failures/shoal-error.ts';
import { isDamage, setAside, sqliteFault, storeUnusable } from './sqlite.ts';

export interface DataDirLock {
  /** Idempotent. */
  release(): void;
}

/** Held until they are released: a database that nobody refers to is closed, and its lock with it. */
const taken = new Set<DatabaseSync>();

/** @throws ShoalError `data-dir-locked`, `store-unusable`. */
export function lockDataDir(dir: string): DataDirLock {
  const path = join(dir, 'peer.lock');
  const pidPath = join(dir, 'peer.pid');
  let lock: DatabaseSync;
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    lock = tryLock(path);
    writePid(pidPath);
  } catch (error) {
    if (sqliteFault(error) !== 'busy') throw storeUnusable(path, error);
    throw new ShoalError(
      { code: 'data-dir-locked', path: dir, pid: readPid(pidPath), bootstrap: '' },
      { cause: error },
    );
  }
  const held = lock;
  taken.add(held);
  return {
    release() {
      if (!held.isOpen) return;
      // After the directory was replaced it may be another peer's.
      if (readPid(pidPath) === process.pid) rmSync(pidPath, { force: true });
      held.close();
      taken.delete(held);
    },
  };
}

/** For people only: what keeps it from being written does not keep a peer from starting. */
function writePid(path: string): void {
  try {
    writeFileSync(path, `${process.pid}\n`);
  } catch {
    // The message of a second peer then names no process.
  }
}

/** The open transaction is the lock; nothing is ever written. @throws Error of SQLite. */
function takeLock(path: string): DatabaseSync {
  const lock = new DatabaseSync(path, { timeout: 0 });
  try {
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE;');
    return lock;
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** A file that nobody can lock is locked by nobody; who holds the old one all the same notices. */
function tryLock(path: string): DatabaseSync {
  try {
    return takeLock(path);
  } catch (error) {
    if (!isDamage(path, error)) throw error;
    setAside(path);
    return takeLock(path);
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
