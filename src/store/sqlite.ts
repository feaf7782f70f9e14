/**
 * Opening SQLite files the way this project needs them, and telling its errors apart. Knows no
 * tables.
 */
import { accessSync, constants, existsSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ShoalError } from '../failures/shoal-error.ts';

/** Result codes of SQLite (https://sqlite.org/rescode.html). */
const SQLITE_PERM = 3;
const SQLITE_BUSY = 5;
const SQLITE_NOMEM = 7;
const SQLITE_READONLY = 8;
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;

export type SqliteFault =
  /** The file's content is not what SQLite wrote. */
  | 'damaged'
  /** No space: may work again later. */
  | 'full'
  /** The disk failed: what it says from now on cannot be trusted. */
  | 'io'
  /** Another process holds the file. */
  | 'busy'
  | 'other';

/** 0 when the error is not SQLite's. */
const resultCode = (error: unknown): number =>
  error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0;

/** The memory of the log could not grow: SQLite calls it an I/O error, and it is for want of room. */
const SQLITE_IOERR_SHMSIZE = 4_874;

export function sqliteFault(error: unknown): SqliteFault {
  if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_IOERR_SHMSIZE)
    return 'full';
  switch (resultCode(error)) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return 'damaged';
    case SQLITE_FULL:
      return 'full';
    case SQLITE_IOERR:
      return 'io';
    case SQLITE_BUSY:
      return 'busy';
    default:
      return 'other';
  }
}

/** The surroundings are at fault, and the file may be sound. */
const SURROUNDINGS: ReadonlySet<number> = new Set([
  SQLITE_PERM,
  SQLITE_BUSY,
  SQLITE_NOMEM,
  SQLITE_IOERR,
  SQLITE_FULL,
  SQLITE_CANTOPEN,
]);

/**
 * True when an error while opening means that the file is damaged. More than `damaged` above: where
 * the schema or a number was hit, SQLite complains of unknown columns, or Node of integers out of
 * range; where the header was, of a file that it may only read.
 */
export function isDamage(path: string, error: unknown): boolean {
  const code = resultCode(error);
  if (code === SQLITE_READONLY) return isWritable(path);
  if (code !== 0) return !SURROUNDINGS.has(code);
  return error instanceof Error && 'code' in error && error.code === 'ERR_OUT_OF_RANGE';
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    accessSync(dirname(path), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * FULL: a commit has reached the disk when it returns. NORMAL: the file is never torn, but the last
 * commits may be missing after a power cut.
 */
export type Durability = 'FULL' | 'NORMAL';

/** Opens or creates; one connection per process. @throws Error of SQLite. */
export function openSqlite(path: string, durability: Durability): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 5_000 });
  try {
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${durability};`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Writes the log back into the file, so that the file alone is complete, and closes. */
export function closeSqlite(database: DatabaseSync): void {
  if (!database.isOpen) return;
  try {
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  } finally {
    database.close();
  }
}

/** Runs `work` in one transaction; all of it or nothing. */
export function inTransaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    // A full disk or an I/O error may have rolled back already.
    if (database.isTransaction) rollBack(database);
    throw error;
  }
}

/** The error that made this necessary matters more than one of its own. */
function rollBack(database: DatabaseSync): void {
  try {
    database.exec('ROLLBACK');
  } catch {
    // SQLite drops what is not committed when the file is opened again.
  }
}

/** Renames a database with its companions. @returns the new path: `<path>.damaged-<n>`. */
export function setAside(path: string): string {
  let number = 1;
  while (existsSync(`${path}.damaged-${number}`)) number += 1;
  const aside = `${path}.damaged-${number}`;
  for (const suffix of ['', '-wal', '-shm']) {
    if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  }
  return aside;
}

const PLAIN_WHY: Readonly<Record<SqliteFault, string>> = {
  damaged: 'its content is damaged; start the peer again, it sets aside what it cannot read',
  full: 'the disk is full; free some space',
  io: 'the disk reports an error; look after it, then start the peer again: it gets a new store id',
  busy: 'another process uses it',
  other: 'it cannot be opened or written',
};

/** The user's view of an error of SQLite. */
export function storeUnusable(path: string, error: unknown): ShoalError {
  const detail = error instanceof Error ? error.message : String(error);
  const why = `${PLAIN_WHY[sqliteFault(error)]} (${detail})`;
  return new ShoalError({ code: 'store-unusable', path, why }, { cause: error });
}
