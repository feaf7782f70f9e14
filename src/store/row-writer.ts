/**
 * Writing rows, and with each of them the digest of all that promises rest on: what a row was before is
 * taken out of it, what it is now goes in, in the same transaction.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { toggle } from './identity.ts';
import type { Table } from './row-codec.ts';
import { isBinding, isLeftWhenOver, rowHash, tables } from './schema.ts';

export interface RowWrite {
  readonly table: Table;
  readonly job: string;
  readonly key: string;
  /** null deletes; with the key `*` every row of the job in the table. */
  readonly bytes: Uint8Array | null;
}

interface Statements {
  readonly put: StatementSync;
  readonly remove: StatementSync;
  readonly hash: StatementSync;
  readonly removeAll: StatementSync;
  readonly hashes: StatementSync;
}

/** @returns a function that writes one row and keeps `digest` in step. @throws Error of SQLite. */
export function createRowWriter(
  database: DatabaseSync,
): (row: RowWrite, digest: Uint8Array) => void {
  const statements = new Map(tables.map((table) => [table, statementsOf(database, table)]));
  const shelved = database.prepare('SELECT 1 FROM shelved WHERE job = ?');

  const of = (table: Table): Statements => {
    const found = statements.get(table);
    if (found === undefined) throw new TypeError(`no table ${String(table)}`);
    return found;
  };
  const isOver = (job: string): boolean => shelved.get(job) !== undefined;

  /** Goes by what is on disk: the writes of a job's end come in any order. */
  const counts = (table: Table, job: string): boolean =>
    isBinding(table) && !(isLeftWhenOver(table) && isOver(job));

  function toggleAll(table: Table, job: string, digest: Uint8Array): void {
    for (const { sha256 } of of(table).hashes.iterate(job)) toggle(digest, sha256);
  }

  function put({ table, job, key, bytes }: RowWrite, digest: Uint8Array): void {
    const { put: insert, remove, removeAll, hash: hashAt } = of(table);
    const counted = counts(table, job);
    if (key === '*' && bytes === null) {
      if (counted) toggleAll(table, job, digest);
      removeAll.run(job);
      return;
    }
    if (counted) toggle(digest, hashAt.get(job, key)?.['sha256']);
    if (bytes === null) {
      remove.run(job, key);
      return;
    }
    const hash = rowHash([table, job, key], bytes);
    if (counted) toggle(digest, hash);
    insert.run(job, key, bytes, hash);
  }

  return (row, digest) => {
    if (row.table !== 'shelved') return put(row, digest);
    const before = isOver(row.job);
    put(row, digest);
    if (before === isOver(row.job)) return;
    // With its end the other rows of the job leave the digest; and would come back with it.
    for (const table of tables) if (isLeftWhenOver(table)) toggleAll(table, row.job, digest);
  };
}

function statementsOf(database: DatabaseSync, table: Table): Statements {
  return {
    put: database.prepare(
      `INSERT INTO ${table}(job, key, bytes, sha256) VALUES (?, ?, ?, ?)
       ON CONFLICT(job, key) DO UPDATE SET bytes = excluded.bytes, sha256 = excluded.sha256`,
    ),
    remove: database.prepare(`DELETE FROM ${table} WHERE job = ? AND key = ?`),
    hash: database.prepare(`SELECT sha256 FROM ${table} WHERE job = ? AND key = ?`),
    removeAll: database.prepare(`DELETE FROM ${table} WHERE job = ?`),
    hashes: database.prepare(`SELECT sha256 FROM ${table} WHERE job = ?`),
  };
}
