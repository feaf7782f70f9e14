/**
 * Small durable facts of this node that are not the mesh's: idempotency tokens, pins, job summaries
 * heard from others. Values are text, mostly JSON; keys are `<kind>/<name>`.
 */
import type { DatabaseSync } from 'node:sqlite';
import { rowHash } from './schema.ts';

export interface KeyValue {
  readonly key: string;
  readonly value: string;
  /** Counted time (`node/counted-clock.ts`), milliseconds; null = kept until deleted. */
  readonly until: number | null;
}

/** Each call is one commit; use `putAll` for many. @throws ShoalError `store-unusable`. */
export interface KeyValues {
  /**
   * null when there is none, or when its row is damaged. Expired ones are returned until `expire`.
   */
  get(key: string): KeyValue | null;
  /** Replaces; the entry counts as the newest of its kind. */
  put(key: string, value: string, until: number | null): void;
  putAll(entries: readonly KeyValue[]): void;
  delete(key: string): void;
  /** In the order of writing, oldest first. */
  list(prefix: string): readonly KeyValue[];
  /** Deletes what expired before `now` (counted time, milliseconds). @returns how many. */
  expire(now: number): number;
  /** Deletes the oldest below a prefix until `max` are left. @returns how many. */
  trim(prefix: string, max: number): number;
}

const hashOf = ({ key, value, until }: KeyValue): Buffer =>
  rowHash(['kv', key, String(until)], Buffer.from(value));

/** Keys with a prefix, given twice, by the index: up to the last character there is. */
const BELOW = 'key >= ? AND key < ? || char(1114111)';

/** `commit` runs work in a transaction and words its errors. */
export function createKeyValues(
  database: DatabaseSync,
  commit: <T>(work: () => T) => T,
): KeyValues {
  const get = database.prepare('SELECT key, value, until, sha256 FROM kv WHERE key = ?');
  // A replaced row gets a new rowid, the highest so far, so rowids tell which was written last.
  const put = database.prepare(
    'INSERT OR REPLACE INTO kv(key, value, until, sha256) VALUES (?, ?, ?, ?)',
  );
  const remove = database.prepare('DELETE FROM kv WHERE key = ?');
  const list = database.prepare(
    `SELECT key, value, until, sha256 FROM kv WHERE ${BELOW} ORDER BY rowid`,
  );
  const expire = database.prepare('DELETE FROM kv WHERE until < ?');
  const trim = database.prepare(
    `DELETE FROM kv WHERE rowid IN (
       SELECT rowid FROM kv WHERE ${BELOW} ORDER BY rowid DESC LIMIT -1 OFFSET ?)`,
  );
  const putOne = (entry: KeyValue): void => {
    put.run(entry.key, entry.value, entry.until, hashOf(entry));
  };
  return {
    get: (key) => sound(get.get(key)),
    put: (key, value, until) => commit(() => putOne({ key, value, until })),
    putAll: (entries) => commit(() => entries.forEach(putOne)),
    delete: (key) => commit(() => void remove.run(key)),
    list: (prefix) => list.all(prefix, prefix).flatMap((row) => sound(row) ?? []),
    expire: (now) => commit(() => Number(expire.run(now).changes)),
    trim: (prefix, max) => commit(() => Number(trim.run(prefix, prefix, max).changes)),
  };
}

/** None of these facts is worth an alarm: a damaged one is as if it had never been written. */
function sound(row: Record<string, unknown> | undefined): KeyValue | null {
  if (row === undefined) return null;
  const { key, value, until, sha256 } = row;
  if (typeof key !== 'string' || typeof value !== 'string') return null;
  const entry = { key, value, until: typeof until === 'number' ? until : null };
  return sha256 instanceof Uint8Array && hashOf(entry).equals(sha256) ? entry : null;
}
