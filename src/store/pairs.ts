/**
 * One table of keys and values in a SQLite file, each row with a checksum of its own: SQLite notices
 * a damaged page, but not a byte that changed inside a value. What can still be read of a damaged file
 * is carried over into a new one.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { StatementSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { inTransaction, openSqlite, setAside } from './sqlite.ts';

export interface Pairs {
  readonly database: DatabaseSync;
  readonly get: StatementSync;
  readonly remove: StatementSync;
  /** Rows of one page of a query: after which key, prefix twice, how many. */
  readonly page: StatementSync;
  put(key: string, value: Uint8Array): void;
}

/** Rows carried over; far more than a thousand peers and their pins. */
const SALVAGED_MAX = 200_000;

const checksum = (key: string, value: Uint8Array): number => crc32(value, crc32(key));

/** The value of a row, or null when it is not what was written. */
export function soundValue(row: Record<string, unknown>): Uint8Array | null {
  const { key, value, crc } = row;
  if (typeof key !== 'string' || !(value instanceof Uint8Array)) return null;
  return checksum(key, value) === crc ? value : null;
}

/** @param path `:memory:` for one that ends with the process. @throws Error of SQLite or the disk. */
export function openPairs(path: string): Pairs {
  if (path !== MEMORY) mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const database = openSqlite(path, 'NORMAL');
  try {
    const check = database.prepare('PRAGMA quick_check(1)').get();
    if (check?.['quick_check'] !== 'ok') throw new DamagedFile(path);
    return prepare(database);
  } catch (error) {
    database.close();
    throw error;
  }
}

export const MEMORY = ':memory:';

class DamagedFile extends Error {
  override readonly name = 'DamagedFile';
}

function prepare(database: DatabaseSync): Pairs {
  // Looked for first: creating takes the lock of a writer, and room on the disk.
  const there = database.prepare(`SELECT 1 FROM sqlite_master WHERE name = 'checked_pairs'`).get();
  if (there === undefined) {
    database.exec(
      `CREATE TABLE checked_pairs(
         key TEXT PRIMARY KEY, value BLOB NOT NULL, crc INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID`,
    );
  }
  const put = database.prepare(
    `INSERT INTO checked_pairs VALUES (?, ?, ?)
     ON CONFLICT(key) DO UPDATE SET value = excluded.value, crc = excluded.crc`,
  );
  return {
    database,
    get: database.prepare('SELECT key, value, crc FROM checked_pairs WHERE key = ?'),
    remove: database.prepare('DELETE FROM checked_pairs WHERE key = ?'),
    page: database.prepare(
      `SELECT key, value, crc FROM checked_pairs
       WHERE key > ? AND key >= ? AND key < ? || char(1114111) ORDER BY key LIMIT ?`,
    ),
    put: (key, value) => void put.run(key, value, checksum(key, value)),
  };
}

/**
 * Sets a file aside that cannot be used and begins a new one with what could be read of it.
 * @returns the new one, and where the old one is now.
 * @throws Error of SQLite or the disk, when there cannot be a new one either.
 */
export function renewPairs(path: string): { readonly pairs: Pairs; readonly aside: string } {
  const saved = salvage(path);
  const aside = setAside(path);
  const pairs = openPairs(path);
  inTransaction(pairs.database, () => {
    for (const [key, value] of saved) pairs.put(key, value);
  });
  return { pairs, aside };
}

/** From both ends, each up to the first thing that cannot be read. */
function salvage(path: string): ReadonlyMap<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(path, { readOnly: true });
  } catch {
    return found;
  }
  for (const direction of ['ASC', 'DESC']) {
    try {
      const rows = database.prepare(
        `SELECT key, value, crc FROM checked_pairs ORDER BY key ${direction} LIMIT ${SALVAGED_MAX}`,
      );
      for (const row of rows.iterate()) {
        const value = soundValue(row);
        if (value !== null) found.set(String(row['key']), value);
      }
    } catch {
      // Here it is damaged; the other end may reach further.
    }
  }
  database.close();
  return found;
}
