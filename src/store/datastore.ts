/**
 * libp2p's key-value store (peer store, DHT, pins of Helia) on SQLite: no native module, and no
 * process abort when its file is damaged. Its content can be learned again, so it never keeps a peer
 * from starting or from living: a file that cannot be used is set aside, at the start or while it is
 * used; where none can be had, and while the disk is full, what is put stays in memory.
 */
import type { AbortOptions } from '@libp2p/interface';
import { BaseDatastore } from 'datastore-core';
import { Key } from 'interface-datastore';
import type { Batch, KeyQuery, Pair, Query } from 'interface-datastore';
import { NotFoundError, OpenFailedError } from 'interface-store';
import { MEMORY, openPairs, renewPairs, soundValue } from './pairs.ts';
import type { Pairs } from './pairs.ts';
import { closeSqlite, inTransaction, isDamage, sqliteFault } from './sqlite.ts';

/** A page of a query; between pages other work of the process gets its turn. */
const PAGE_ROWS = 256;
/** Changes kept in memory while they cannot be written; the oldest make room. */
const UNWRITTEN_MAX = 10_000;

/** In the place of the value of a key that was deleted. */
const GONE = Symbol('gone');

/** What an operator should know; `why` is for the log. */
export type Trouble = (what: 'set-aside' | 'in-memory' | 'not-written', why: string) => void;

/**
 * The base class of `datastore-core` filters, orders and cuts queries; this one finds what has a
 * prefix.
 */
export class SqliteDatastore extends BaseDatastore {
  readonly #path: string;
  readonly #trouble: Trouble;
  #pairs: Pairs | null = null;
  /** Newer than the file. */
  readonly #unwritten = new Map<string, Uint8Array | typeof GONE>();

  /** Nothing is touched before `open`. */
  constructor(path: string, trouble: Trouble) {
    super();
    this.#path = path;
    this.#trouble = trouble;
  }

  /** Idempotent. Never fails for what is wrong with the file or its disk. */
  open(): void {
    if (this.#pairs !== null) return;
    try {
      this.#pairs = openPairs(this.#path);
    } catch (error) {
      const fault = sqliteFault(error);
      // A full disk does not make a file unusable, and who holds it holds the whole directory.
      this.#pairs = fault === 'full' || fault === 'busy' ? inMemory() : this.#renew(error);
      if (this.#pairs.database.location() === null) this.#trouble('in-memory', String(error));
    }
  }

  #renew(error: unknown): Pairs {
    try {
      const { pairs, aside } = renewPairs(this.#path);
      this.#trouble('set-aside', `${aside}: ${String(error)}`);
      return pairs;
    } catch {
      return inMemory();
    }
  }

  /** Idempotent; libp2p and Helia do not call it, their owner must. */
  close(): void {
    const pairs = this.#pairs;
    this.#pairs = null;
    if (pairs === null) return;
    try {
      closeSqlite(pairs.database);
    } catch {
      // Nothing here has to last.
    }
  }

  /** Runs `work`, on a new file when the old one turns out to be damaged. */
  #use<T>(work: (pairs: Pairs) => T): T {
    if (this.#pairs === null) throw new OpenFailedError('the datastore is not open');
    try {
      return work(this.#pairs);
    } catch (error) {
      const fault = sqliteFault(error);
      if (fault !== 'io' && !isDamage(this.#path, error)) throw error;
      this.close();
      this.#pairs = this.#renew(error);
      return work(this.#pairs);
    }
  }

  /** Writes these after what could not be written before, or remembers them. */
  #write(changes: ReadonlyMap<string, Uint8Array | typeof GONE>): void {
    const all = new Map([...this.#unwritten, ...changes]);
    try {
      this.#use((pairs) => {
        inTransaction(pairs.database, () => {
          for (const [key, value] of all) {
            if (value === GONE) pairs.remove.run(key);
            else pairs.put(key, value);
          }
        });
      });
      this.#unwritten.clear();
    } catch (error) {
      if (sqliteFault(error) === 'other') throw error;
      if (this.#unwritten.size === 0) this.#trouble('not-written', String(error));
      for (const [key, value] of changes) {
        this.#unwritten.delete(key);
        this.#unwritten.set(key, value);
      }
      for (const oldest of this.#unwritten.keys()) {
        if (this.#unwritten.size <= UNWRITTEN_MAX) break;
        this.#unwritten.delete(oldest);
      }
    }
  }

  #read(key: string): Uint8Array | null {
    const unwritten = this.#unwritten.get(key);
    if (unwritten !== undefined) return unwritten === GONE ? null : unwritten;
    const row = this.#use((pairs) => pairs.get.get(key));
    return row === undefined ? null : soundValue(row);
  }

  override async put(key: Key, value: Uint8Array, options?: AbortOptions): Promise<Key> {
    options?.signal?.throwIfAborted();
    this.#write(new Map([[key.toString(), value]]));
    return key;
  }

  override async get(key: Key, options?: AbortOptions): Promise<Uint8Array> {
    options?.signal?.throwIfAborted();
    const value = this.#read(key.toString());
    if (value === null) throw new NotFoundError(`${key.toString()} is not here`);
    return value;
  }

  override async has(key: Key, options?: AbortOptions): Promise<boolean> {
    options?.signal?.throwIfAborted();
    return this.#read(key.toString()) !== null;
  }

  override async delete(key: Key, options?: AbortOptions): Promise<void> {
    options?.signal?.throwIfAborted();
    this.#write(new Map([[key.toString(), GONE]]));
  }

  override batch(): Batch {
    const changes = new Map<string, Uint8Array | typeof GONE>();
    return {
      put: (key, value) => {
        changes.set(key.toString(), value);
      },
      delete: (key) => {
        changes.set(key.toString(), GONE);
      },
      commit: async (options) => {
        options?.signal?.throwIfAborted();
        this.#write(changes);
        changes.clear();
      },
    };
  }

  override async *_all(query: Query, options?: AbortOptions): AsyncGenerator<Pair> {
    for await (const [key, value] of this.#below(query.prefix, options))
      yield { key: new Key(key, false), value };
  }

  override async *_allKeys(query: KeyQuery, options?: AbortOptions): AsyncGenerator<Key> {
    for await (const [key] of this.#below(query.prefix, options)) yield new Key(key, false);
  }

  /** Page by page, so that a change or a close while a caller reads is no error of SQLite's. */
  async *#below(
    prefix: string | undefined,
    options?: AbortOptions,
  ): AsyncGenerator<readonly [string, Uint8Array]> {
    const start = prefix ?? '';
    let after = '';
    for (;;) {
      options?.signal?.throwIfAborted();
      const rows = this.#use((pairs) => pairs.page.all(after, start, start, PAGE_ROWS));
      for (const row of rows) {
        const key = String(row['key']);
        const value = soundValue(row);
        if (value !== null && !this.#unwritten.has(key)) yield [key, value];
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < PAGE_ROWS) break;
      after = String(last['key']);
    }
    for (const [key, value] of [...this.#unwritten])
      if (value !== GONE && key.startsWith(start)) yield [key, value];
  }
}

const inMemory = (): Pairs => openPairs(MEMORY);
