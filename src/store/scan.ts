/**
 * Reading everything back: each row is hashed again, rows that do not match or cannot be decoded
 * are moved to the quarantine, the others become `Restored`.
 */
import { CARDS_MAX } from '../core/contract/limits.ts';
import type { DatabaseSync } from 'node:sqlite';
import { asJobId } from '../core/record/ids.ts';
import type { JobId } from '../core/record/ids.ts';
import type { Restored, StoredRecord } from '../core/contract/stored.ts';
import type { Slot } from '../core/record/records.ts';
import { nothingPromised, toggle } from './identity.ts';
import type { RowCodec, RowOf, Table } from './row-codec.ts';
import { forfeitHash, isBinding, isLeftWhenOver, rowHash, tables } from './schema.ts';

export interface DamagedRow {
  readonly table: Table;
  readonly job: string;
  readonly key: string;
  readonly why: 'hash' | 'form';
  /** Finds the row even when its key is what was damaged. */
  readonly rowid: number;
  /** As it lies with the row. */
  readonly sha256: unknown;
}

export interface Scan {
  readonly restored: Restored;
  readonly damaged: readonly DamagedRow[];
  /** The digest of what was found by the hashes that lie with the rows, to compare with the one that was kept. */
  readonly promised: Uint8Array;
}

interface Row<T extends Table> {
  readonly job: JobId;
  readonly key: string;
  readonly value: RowOf<T>;
}

type Found = { readonly [T in Table]: Row<T>[] };

/** At the start the rows of a job that is over are left where they are; what runs here is looked after. */
const NOT_SHELVED = 'WHERE job NOT IN (SELECT job FROM shelved)';

const whichRows = (table: Table, only: JobId | null): string => {
  if (only !== null) return 'WHERE job = ?';
  return isLeftWhenOver(table) ? NOT_SHELVED : '';
};

/**
 * @param only the rows of this job; of all that are not over when null.
 * @throws Error of SQLite when a page cannot be read.
 */
export function scan(database: DatabaseSync, codec: RowCodec, only: JobId | null = null): Scan {
  const found: Found = {
    records: [],
    promises: [],
    accepted: [],
    executions: [],
    submissions: [],
    entrusted: [],
    shelved: [],
    counts: [],
  };
  const damaged: DamagedRow[] = [];
  const promised = nothingPromised();
  for (const table of tables) {
    const order = table === 'shelved' ? 'rowid' : 'job, key';
    const rows = database.prepare(
      `SELECT rowid, job, key, bytes, sha256 FROM ${table} ${whichRows(table, only)} ORDER BY ${order}`,
    );
    for (const row of rows.iterate(...(only === null ? [] : [only]))) {
      const job = String(row['job']);
      const key = String(row['key']);
      // A damaged header can make another type of it, whatever the schema says.
      const bytes = row['bytes'] instanceof Uint8Array ? row['bytes'] : new Uint8Array();
      const { sha256 } = row;
      const hash = rowHash([table, job, key], bytes);
      if (isBinding(table)) toggle(promised, sha256);
      const value = isSame(sha256, hash) ? codec[table].decode(bytes) : 'hash';
      if (value === 'hash' || value === null) {
        const why = value ?? 'form';
        damaged.push({ table, job, key, why, rowid: Number(row['rowid']), sha256 });
      } else {
        // Each table's codec gives rows of that table.
        (found[table] as Row<Table>[]).push({ job: asJobId(job), key, value });
      }
    }
  }
  const cards = only === null ? cardsOf(database, codec) : new Map<string, Card>();
  const forfeits = forfeitsOf(database);
  for (const job of forfeits) toggle(promised, forfeitHash(job));
  return { restored: { ...restoredOf(found, cards), forfeits }, damaged, promised };
}

const forfeitsOf = (database: DatabaseSync): readonly JobId[] =>
  database
    .prepare('SELECT job FROM forfeits ORDER BY job')
    .all()
    .map(({ job }) => asJobId(String(job)));

type Card = NonNullable<Restored['shelved'][number]['card']>;

/** 0 for what has none. */
function versionOf(row: StoredRecord | undefined): number {
  const { record } = row ?? {};
  return record?.type === 'close' || record?.type === 'version' ? record.body.version : 0;
}

/** Spec and close of the newest jobs that are over; one that cannot be read is not listed. */
function cardsOf(database: DatabaseSync, codec: RowCodec): ReadonlyMap<string, Card> {
  const parts = new Map<string, Partial<Record<string, StoredRecord>>>();
  const rows = database.prepare(
    `SELECT job, key, bytes, sha256 FROM records WHERE (key = 'spec' OR key GLOB 'close/*' OR key GLOB 'version/*')
     AND job IN (SELECT job FROM shelved ORDER BY rowid DESC LIMIT ${CARDS_MAX})`,
  );
  for (const { job, key, bytes, sha256 } of rows.iterate()) {
    const place = [String(job), String(key)] as const;
    if (!(bytes instanceof Uint8Array)) continue;
    if (!isSame(sha256, rowHash(['records', ...place], bytes))) continue;
    const value = codec.records.decode(bytes);
    const [name = ''] = place[1].split('/');
    const known = parts.get(place[0]);
    // Of a job that had others before, the latest version.
    if (value !== null && versionOf(value) >= versionOf(known?.[name]))
      parts.set(place[0], { ...known, [name]: value });
  }
  const cards = new Map<string, Card>();
  for (const [job, { spec, close, version }] of parts)
    if (spec !== undefined && close !== undefined)
      cards.set(job, { spec, close, ...(version === undefined ? {} : { version }) });
  return cards;
}

const restoredOf = (
  found: Found,
  cards: ReadonlyMap<string, Card>,
): Omit<Restored, 'forfeits'> => ({
  records: found.records,
  promises: found.promises.map(({ job, value }) => ({ job, value })),
  accepted: found.accepted.map(({ job, key, value }) => ({ job, key: key as Slot, value })),
  executions: found.executions.map(({ value }) => value),
  submissions: found.submissions.map(({ value }) => value),
  entrusted: found.entrusted.map(({ value }) => value),
  shelved: found.shelved.map(({ job, value }) => ({ job, value, card: cards.get(job) ?? null })),
  counts: found.counts,
});

const isSame = (stored: unknown, hash: Buffer): boolean =>
  stored instanceof Uint8Array && hash.equals(stored);

/** Moves rows out of their tables; their bytes are kept for whoever wants to look. */
export function quarantine(database: DatabaseSync, rows: readonly DamagedRow[]): void {
  for (const { table, why, rowid } of rows) {
    database
      .prepare(
        `INSERT INTO quarantine(origin, job, key, bytes, sha256, why)
         SELECT ?, job, key, bytes, sha256, ? FROM ${table} WHERE rowid = ?`,
      )
      .run(table, why, rowid);
    database.prepare(`DELETE FROM ${table} WHERE rowid = ?`).run(rowid);
  }
}
