/** The tables of the durable store. Each row carries a hash of its place and its bytes. */
import { createHash } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import type { Table } from './row-codec.ts';

/** Raised whenever the rows, or what lies in them, take another form: older ones are not read. */
export const SCHEMA_VERSION = 3;

/** In the order in which they are restored; complete by the compiler. */
const TABLES: Readonly<Record<Table, true>> = {
  records: true,
  promises: true,
  accepted: true,
  executions: true,
  submissions: true,
  entrusted: true,
  shelved: true,
  counts: true,
};
export const tables = Object.keys(TABLES) as readonly Table[];

/**
 * What this store has answered for: whoever has forgotten one of these rows, or knows an older one, may vote
 * for a second value, admit a job twice or run one that is over.
 */
const BINDING: ReadonlySet<Table> = new Set([
  'records',
  'promises',
  'accepted',
  'submissions',
  'shelved',
]);
export const isBinding = (table: Table): boolean => BINDING.has(table);

/** Once its job is over such a row is there to be shown: it binds nobody, and no start reads it. */
export const isLeftWhenOver = (table: Table): boolean =>
  table === 'records' || table === 'submissions';

const rowTable = (table: Table): string => `
  CREATE TABLE IF NOT EXISTS ${table}(
    job TEXT NOT NULL, key TEXT NOT NULL, bytes BLOB NOT NULL, sha256 BLOB NOT NULL,
    PRIMARY KEY (job, key)
  ) STRICT;`;

/** The quarantine takes any types: what comes here is damaged. */
export function createTables(database: DatabaseSync): void {
  database.exec(`
    CREATE TABLE IF NOT EXISTS meta(
      one INTEGER PRIMARY KEY CHECK (one = 1),
      schema INTEGER NOT NULL, store TEXT NOT NULL, generation INTEGER NOT NULL,
      promised BLOB NOT NULL, sha256 BLOB NOT NULL
    ) STRICT;
    ${tables.map(rowTable).join('')}
    CREATE TABLE IF NOT EXISTS forfeits(job TEXT PRIMARY KEY) STRICT;
    CREATE TABLE IF NOT EXISTS quarantine(origin, job, key, bytes, sha256, why);
    CREATE TABLE IF NOT EXISTS kv(
      key TEXT NOT NULL UNIQUE, value TEXT NOT NULL, until INTEGER, sha256 BLOB NOT NULL
    ) STRICT;`);
}

/** Of a job that is forfeited: its place in the digest. */
export const forfeitHash = (job: string): Buffer => rowHash(['forfeits', job], new Uint8Array());

/** sha-256 over where a row is and what it holds, so that damage to either is noticed. */
export function rowHash(place: readonly string[], bytes: Uint8Array): Buffer {
  return createHash('sha256').update(JSON.stringify(place)).update(bytes).digest();
}
