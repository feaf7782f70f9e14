/**
 * Opening a store that may have been damaged, lost or put back from a backup: checks everything,
 * sets aside what is damaged and decides whether the store goes on under its id. What it found is
 * told in `problems`.
 */
import type { DatabaseSync } from 'node:sqlite';
import { ShoalError } from '../failures/shoal-error.ts';
import type { Restored } from '../core/contract/stored.ts';
import { asJobId } from '../core/record/ids.ts';
import type { JobId } from '../core/record/ids.ts';
import type { Generation } from './generation.ts';
import { newStoreId, readIdentity, renewalReason, toggle, writeIdentity } from './identity.ts';
import type { Identity, RenewalReason } from './identity.ts';
import type { RowCodec } from './row-codec.ts';
import { quarantine, scan } from './scan.ts';
import type { DamagedRow, Scan } from './scan.ts';
import { createTables, forfeitHash, isBinding, SCHEMA_VERSION } from './schema.ts';
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
  readonly code: 'row-damaged' | 'job-forfeited' | 'store-damaged' | 'store-lost' | RenewalReason;
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
      refuseOther(database, options.path);
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

/** Another version may have written rows that this one would take for damage. */
function refuseOther(database: DatabaseSync, path: string): void {
  const exists = database.prepare(`SELECT 1 FROM sqlite_master WHERE name = 'meta'`).get();
  const row = exists === undefined ? undefined : database.prepare('SELECT schema FROM meta').get();
  const schema = Number(row?.['schema'] ?? SCHEMA_VERSION);
  // There was none below 1: that is damage, which has its own way.
  if (schema === SCHEMA_VERSION || !(schema >= 1)) return;
  const age = schema > SCHEMA_VERSION ? 'a newer' : 'an older';
  const why = `${age} version of shoal has written it (schema ${schema}, this is ${SCHEMA_VERSION}); use that version, or another --data-dir`;
  throw new ShoalError({ code: 'store-unusable', path, why });
}

/** Sets damaged rows aside and decides under which id the store goes on, and what it has no say in. */
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
  const lost = typeof found === 'object' ? newForfeits(found, scanned) : [];
  const reason =
    found === 'absent' ? null : renewalReason(found, generation.found, lost !== 'unknown');

  if (typeof found === 'object' && reason === null && lost !== 'unknown') {
    const forfeits = [...restored.forfeits, ...lost];
    const identity = { ...found, promised: digestAfter(scanned, lost) };
    problems.push(...lost.map(forfeitProblem));
    try {
      inTransaction(database, () => {
        quarantine(database, damaged);
        for (const job of lost) database.prepare('INSERT INTO forfeits VALUES (?)').run(job);
        // Written again, though it may be as it was: a store that can be read but not written must not start to promise.
        writeIdentity(database)(identity);
      });
      anchor(generation, identity);
    } catch (error) {
      // Without room it promises nothing either, since each promise has to be written; it serves what
      // it has, and goes on when there is room.
      if (sqliteFault(error) !== 'full') throw error;
      return { database, identity: found, restored: { ...restored, forfeits }, problems };
    }
    return { database, identity, restored: { ...restored, forfeits }, problems };
  }
  if (reason !== null) problems.push({ code: reason, detail: RENEWALS[reason] });
  else if (known.length === 0 && counted > 0) problems.push(LOST);

  const renewed = inTransaction(database, () => {
    quarantine(database, damaged);
    // What was promised under the old id binds nobody under the new one.
    database.exec('DELETE FROM promises; DELETE FROM accepted; DELETE FROM forfeits;');
    const left = scan(database, options.codec);
    const before = typeof found === 'object' ? found.generation : 0;
    const identity: Identity = {
      store: newStoreId(random),
      generation: Math.max(before, counted) + 1,
      promised: left.promised,
    };
    writeIdentity(database)(identity);
    return { identity, restored: left.restored };
  });
  anchor(generation, renewed.identity);
  return { database, problems, ...renewed };
}

/** Of more jobs than these the disk is not to be trusted with the others either. */
const FORFEITS_MAX = 64;

/**
 * Jobs of which a row that promises rest on is damaged, and no other of their rows or of those of other jobs
 * is missing. `unknown`: it cannot be told what is missing.
 */
function newForfeits(
  { promised }: Identity,
  { restored, damaged, promised: there }: Scan,
): readonly JobId[] | 'unknown' {
  // The hashes that lie with the rows say which rows there were, those of damaged ones too.
  if (!Buffer.from(promised).equals(there)) return 'unknown';
  const jobs = new Set(damaged.filter(({ table }) => isBinding(table)).map(({ job }) => job));
  for (const job of restored.forfeits) jobs.delete(job);
  // Where the job's name itself was damaged no sound row has the same.
  const sound = new Set<string>(restored.records.map(({ job }) => job));
  const told = [...jobs].every((job) => sound.has(job));
  if (!told || jobs.size + restored.forfeits.length > FORFEITS_MAX) return 'unknown';
  return [...jobs].map(asJobId);
}

/** The digest once damaged rows have left and `lost` is written down. */
function digestAfter({ damaged, promised }: Scan, lost: readonly JobId[]): Uint8Array {
  const digest = promised.slice();
  for (const { table, sha256 } of damaged) if (isBinding(table)) toggle(digest, sha256);
  for (const job of lost) toggle(digest, forfeitHash(job));
  return digest;
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

const forfeitProblem = (job: JobId): StoreProblem => ({
  code: 'job-forfeited',
  detail: `this peer keeps job ${job} no longer, since records of it were damaged; other jobs go on`,
});

const LOST: StoreProblem = {
  code: 'store-lost',
  detail: 'there was a store here before and it is gone; a new one was begun',
};

const RENEWALS: Readonly<Record<RenewalReason, string>> = {
  'identity-damaged': 'the identity of the store was damaged; it goes on under a new one',
  'promises-damaged':
    'promises of this peer, or records that they rest on, are damaged, missing or outdated; the store has a new identity',
  'older-backup':
    'the store is older than its counter, as after a backup was put back; it has a new identity',
  'counter-unreadable':
    'the counter beside the store is missing or damaged; the store has a new identity',
  'disk-failed': 'the disk failed when the store was written last; the store has a new identity',
};
