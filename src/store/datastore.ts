/**
 * libp2p's key-value store (peer store, DHT, pins of Helia) on SQLite: no native module, and no
 * process abort when its file is damaged. Its content can be learned again, so it is written with
 * `synchronous = NORMAL`, and a damaged file is set aside.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { AbortOptions } from '@libp2p/interface';
import { BaseDatastore } from 'datastore-core';
import { Key } from 'interface-datastore';
import type { Batch, KeyQuery, Pair, Query } from 'interface-datastore';
import { NotFoundError, OpenFailedError } from 'interface-store';
import { closeSqlite, inTransaction, isDamage, openSqlite, setAside } from './sqlite.ts';

interface Connection {
  readonly database: DatabaseSync;
  readonly put: StatementSync;
  readonly get: StatementSync;
  readonly has: StatementSync;
  readonly remove: StatementSync;
  readonly pairs: StatementSync;
  readonly keys: StatementSync;
}

/** A page of a query; between pages other work of the process gets its turn. */
const PAGE_ROWS = 256;

/**
 * The base class of `datastore-core` filters, orders and cuts queries; this one finds what has a
 * prefix.
 */
export class SqliteDatastore extends BaseDatastore {
  readonly #path: string;
  #connection: Connection | null = null;

  /** Nothing is touched before `open`. */
  constructor(path: string) {
    super();
    this.#path = path;
  }

  /** Idempotent. @throws OpenFailedError. */
  open(): void {
    if (this.#connection !== null) return;
    try {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
      this.#connection = connect(this.#path);
    } catch (error) {
      throw new OpenFailedError(String(error));
    }
  }

  /** Idempotent; libp2p and Helia do not call it, their owner must. */
  close(): void {
    const connection = this.#connection;
    this.#connection = null;
    if (connection !== null) closeSqlite(connection.database);
  }

  get #open(): Connection {
    if (this.#connection === null) throw new OpenFailedError('the datastore is not open');
    return this.#connection;
  }

  override async put(key: Key, value: Uint8Array, options?: AbortOptions): Promise<Key> {
    options?.signal?.throwIfAborted();
    this.#open.put.run(key.toString(), value);
    return key;
  }

  override async get(key: Key, options?: AbortOptions): Promise<Uint8Array> {
    options?.signal?.throwIfAborted();
    const value = this.#open.get.get(key.toString())?.['value'];
    if (!(value instanceof Uint8Array)) throw new NotFoundError(`${key.toString()} is not here`);
    return value;
  }

  override async has(key: Key, options?: AbortOptions): Promise<boolean> {
    options?.signal?.throwIfAborted();
    return this.#open.has.get(key.toString()) !== undefined;
  }

  override async delete(key: Key, options?: AbortOptions): Promise<void> {
    options?.signal?.throwIfAborted();
    this.#open.remove.run(key.toString());
  }

  override batch(): Batch {
    let steps: ((connection: Connection) => void)[] = [];
    return {
      put: (key, value) => {
        steps.push(({ put }) => void put.run(key.toString(), value));
      },
      delete: (key) => {
        steps.push(({ remove }) => void remove.run(key.toString()));
      },
      commit: async (options) => {
        options?.signal?.throwIfAborted();
        const connection = this.#open;
        inTransaction(connection.database, () => {
          for (const step of steps) step(connection);
        });
        steps = [];
      },
    };
  }

  override async *_all(query: Query, options?: AbortOptions): AsyncGenerator<Pair> {
    for await (const { key, value } of this.#below(query.prefix, 'pairs', options)) {
      if (value instanceof Uint8Array) yield { key: new Key(String(key), false), value };
    }
  }

  override async *_allKeys(query: KeyQuery, options?: AbortOptions): AsyncGenerator<Key> {
    for await (const { key } of this.#below(query.prefix, 'keys', options)) {
      yield new Key(String(key), false);
    }
  }

  /** Page by page, so that a change or a close while a caller reads is no error of SQLite's. */
  async *#below(
    prefix: string | undefined,
    what: 'pairs' | 'keys',
    options?: AbortOptions,
  ): AsyncGenerator<Record<string, unknown>> {
    const start = prefix ?? '';
    let after = '';
    for (;;) {
      options?.signal?.throwIfAborted();
      const rows = this.#open[what].all(after, start, start, PAGE_ROWS);
      yield* rows;
      const last = rows.at(-1);
      if (last === undefined || rows.length < PAGE_ROWS) return;
      after = String(last['key']);
    }
  }
}

function connect(path: string): Connection {
  try {
    return prepare(path);
  } catch (error) {
    if (!isDamage(path, error)) throw error;
    setAside(path);
    return prepare(path);
  }
}

function prepare(path: string): Connection {
  const database = openSqlite(path, 'NORMAL');
  try {
    database.exec(
      `CREATE TABLE IF NOT EXISTS pairs(
         key TEXT PRIMARY KEY, value BLOB NOT NULL
       ) STRICT, WITHOUT ROWID`,
    );
    const below =
      'FROM pairs WHERE key > ? AND key >= ? AND key < ? || char(1114111) ORDER BY key LIMIT ?';
    return {
      database,
      put: database.prepare(
        'INSERT INTO pairs VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value',
      ),
      get: database.prepare('SELECT value FROM pairs WHERE key = ?'),
      has: database.prepare('SELECT 1 FROM pairs WHERE key = ?'),
      remove: database.prepare('DELETE FROM pairs WHERE key = ?'),
      pairs: database.prepare(`SELECT key, value ${below}`),
      keys: database.prepare(`SELECT key ${below}`),
    };
  } catch (error) {
    database.close();
    throw error;
  }
}
