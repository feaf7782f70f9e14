/**
 * Opening a store that may have been damaged, lost or put back from a backup: checks everything,
 * sets aside what is damaged and decides whether the store goes on under its id. What it found is
 * told in `problems`.
 */
import type { DatabaseSync } from 'node:sqlite';
import { ShoalError } from '../failures/shoal-error.ts';
import type { Restored } from '../core/contract/stored.ts';
import type { Generation } from './generation.ts';
import {
  newStoreId,
  NOTHING_PROMISED,
  readIdentity,
  renewalReason,
  writeIdentity,
} from './identity.ts';
import type { Identity, RenewalReason } from './identity.ts';
import type { RowCodec } from './row-codec.ts';
import { quarantine, scan } from './scan.ts';
import type { DamagedRow, Scan } from './scan.ts';
import { createTables, isPromise, SCHEMA_VERSION } from './schema.ts';
import {
  inTransaction,
  isDamage,
  openSqlite,
  setAside,
  sqliteFault,
  storeUnusable,
} from './sqlite.ts';

/** What an operator should know after opening. `detail` is a sentence without a full stop. */
export interface StoreProblem {
  readonly code: 'row-damaged' | 'store-damaged' | 'store-lost' | RenewalReason;
  readonly detail: string;
}

export interface OpenOptions {
  readonly path: string;
  readonly generation: Generation;
  readonly codec: RowCodec;
  readonly random: (length: number) => Uint8Array;
}

export interface Checked {
  readonly database: DatabaseSync;
  readonly identity: Identity;
  readonly restored: Restored;
  readonly problems: readonly StoreProblem[];
}

/** @throws ShoalError `store-unusable`, Error of SQLite or of the file system. */
export function openChecked(options: OpenOptions): Checked {
  const { path } = options;
  const checked = tryOpen(options, []);
  if (checked !== 'damaged') return checked;
  const aside = setAside(path);
  const detail = `the store was damaged and is kept as ${aside}; a new one was begun`;
  const fresh = tryOpen(options, [{ code: 'store-damaged', detail }]);
  if (fresh === 'damaged') throw storeUnusable(path, new Error('a new file is damaged at once'));
  return fresh;
}

function tryOpen(options: OpenOptions, known: readonly StoreProblem[]): Checked | 'damaged' {
  const database = tryConnect(options.path);
  if (database === 'damaged') return database;
  try {
    const check = database.prepare('PRAGMA quick_check(1)').get();
    if (check?.['quick_check'] === 'ok') {
      refuseNewer(database, options.path);
      createTables(database);
      return settle(database, scan(database, options.codec), options, known);
    }
  } catch (error) {
    if (!isDamage(options.path, error)) {
      database.close();
      throw error;
    }
  }
  database.close();
  return 'damaged';
}

function tryConnect(path: string): DatabaseSync | 'damaged' {
  try {
    return openSqlite(path, 'FULL');
  } catch (error) {
    if (isDamage(path, error)) return 'damaged';
    throw error;
  }
}

/** A later version may have written rows that this one would take for damage. */
function refuseNewer(database: DatabaseSync, path: string): void {
  const exists = database.prepare(`SELECT 1 FROM sqlite_master WHERE name = 'meta'`).get();
  const row = exists === undefined ? undefined : database.prepare('SELECT schema FROM meta').get();
  if (Number(row?.['schema'] ?? 0) <= SCHEMA_VERSION) return;
  const why = 'a newer version of shoal has written it; use that version, or another --data-dir';
  throw new ShoalError({ code: 'store-unusable', path, why });
}

/** Sets damaged rows aside and decides under which id the store goes on. */
function settle(
  database: DatabaseSync,
  scanned: Scan,
  options: OpenOptions,
  known: readonly StoreProblem[],
): Checked {
  const { generation, random } = options;
  const { damaged, restored } = scanned;
  const found = readIdentity(database);
  const counted = typeof generation.found === 'number' ? generation.found : 0;
  const problems = [...known, ...damaged.map(rowProblem)];
  const reason =
    found === 'absent'
      ? null
      : renewalReason(found, generation.found, soundPromises(found, scanned));

  if (typeof found === 'object' && reason === null) {
    try {
      inTransaction(database, () => {
        quarantine(database, damaged);
        // Written again as it is: a store that can be read but not written must not start to promise.
        writeIdentity(database)(found);
      });
      anchor(generation, found);
    } catch (error) {
      // Without room it promises nothing either, since each promise has to be written; it serves what
      // it has, and goes on when there is room.
      if (sqliteFault(error) !== 'full') throw error;
    }
    return { database, identity: found, restored, problems };
  }
  if (reason !== null) problems.push({ code: reason, detail: RENEWALS[reason] });
  else if (known.length === 0 && counted > 0) problems.push(LOST);

  const before = typeof found === 'object' ? found.generation : 0;
  const identity: Identity = {
    store: newStoreId(random),
    generation: Math.max(before, counted) + 1,
    promised: NOTHING_PROMISED,
  };
  inTransaction(database, () => {
    quarantine(database, damaged);
    // They were given under the old id and bind nobody under the new one.
    database.exec('DELETE FROM promises; DELETE FROM accepted;');
    writeIdentity(database)(identity);
  });
  anchor(generation, identity);
  return { database, identity, restored: { ...restored, promises: [], accepted: [] }, problems };
}

function soundPromises(found: Identity | 'damaged', { damaged, promised }: Scan): boolean {
  // What was committed is in the records alone, and a job whose spec is gone is taken up as a new one:
  // who has forgotten either would vote for a second value of a slot.
  if (damaged.some(({ table }) => isPromise(table) || table === 'records')) return false;
  return found === 'damaged' || Buffer.from(found.promised).equals(promised);
}

/** From here on the counter and the store agree on disk. */
function anchor(generation: Generation, identity: Identity): void {
  generation.set(identity.generation);
  generation.sync();
}

function rowProblem({ table, job, key, why }: DamagedRow): StoreProblem {
  const what = why === 'hash' ? 'does not match its hash' : 'cannot be read';
  return { code: 'row-damaged', detail: `${table} ${job} ${key} ${what} and is in quarantine` };
}

const LOST: StoreProblem = {
  code: 'store-lost',
  detail: 'there was a store here before and it is gone; a new one was begun',
};

const RENEWALS: Readonly<Record<RenewalReason, string>> = {
  'identity-damaged': 'the identity of the store was damaged; it goes on under a new one',
  'promises-damaged':
    'promises of this keeper, or records it answers for, are damaged or missing; the store has a new identity',
  'older-backup':
    'the store is older than its counter, as after a backup was put back; it has a new identity',
  'counter-unreadable':
    'the counter beside the store is missing or damaged; the store has a new identity',
  'disk-failed': 'the disk failed when the store was written last; the store has a new identity',
};
