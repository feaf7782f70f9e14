/**
 * Who a store is: its id, how often it has committed, and a digest of what it promised. Decides
 * whether a store that was found on disk may go on under its id. A keeper is a peer *and* its
 * store, so a store that may have forgotten something must not answer under its old id.
 */
import type { DatabaseSync } from 'node:sqlite';
import { asStoreId } from '../core/record/ids.ts';
import type { StoreId } from '../core/record/ids.ts';
import type { GenerationRead } from './generation.ts';
import { rowHash, SCHEMA_VERSION } from './schema.ts';

export interface Identity {
  readonly store: StoreId;
  /** Commits so far. */
  readonly generation: number;
  /**
   * The hashes of all rows that its promises rest on, combined by exclusive or: shows when one is
   * missing, or is older than it should be.
   */
  readonly promised: Uint8Array;
}

export type RenewalReason =
  | 'identity-damaged'
  | 'promises-damaged'
  | 'older-backup'
  | 'counter-unreadable'
  | 'disk-failed';

/** A digest of no rows. */
export const nothingPromised = (): Uint8Array => new Uint8Array(32);

/** Adds a row's hash to the digest, or takes it out again: both are the same. Changes `digest`. */
export function toggle(digest: Uint8Array, hash: unknown): void {
  // A hash that is none leaves the digest wrong, so that it is noticed.
  if (!(hash instanceof Uint8Array)) return;
  for (let at = 0; at < digest.length; at += 1) digest[at] = (digest[at] ?? 0) ^ (hash[at] ?? 0);
}

const identityHash = (identity: Identity): Buffer =>
  rowHash(['meta', identity.store, String(identity.generation)], identity.promised);

/** `absent`: a new file. `damaged`: there, but not what was written. */
export function readIdentity(database: DatabaseSync): Identity | 'absent' | 'damaged' {
  const row = database.prepare('SELECT store, generation, promised, sha256 FROM meta').get();
  if (row === undefined) return 'absent';
  const { store, generation, promised, sha256 } = row;
  if (typeof store !== 'string' || typeof generation !== 'number') return 'damaged';
  if (!(promised instanceof Uint8Array) || !(sha256 instanceof Uint8Array)) return 'damaged';
  const identity = { store: asStoreId(store), generation, promised };
  return identityHash(identity).equals(sha256) ? identity : 'damaged';
}

export function writeIdentity(database: DatabaseSync): (identity: Identity) => void {
  const statement = database.prepare(
    `INSERT OR REPLACE INTO meta(one, schema, store, generation, promised, sha256)
     VALUES (1, ?, ?, ?, ?, ?)`,
  );
  return (identity) => {
    const { store, generation, promised } = identity;
    statement.run(SCHEMA_VERSION, store, generation, promised, identityHash(identity));
  };
}

/** The id of a new store. `random`: gives that many random bytes. */
export const newStoreId = (random: (length: number) => Uint8Array): StoreId =>
  asStoreId(Buffer.from(random(16)).toString('hex'));

/**
 * @param promisesSound false when a row that promises rest on is missing, or it cannot be told which.
 * @returns null when the store may keep its id.
 */
export function renewalReason(
  identity: Identity | 'damaged',
  counter: GenerationRead,
  promisesSound: boolean,
): RenewalReason | null {
  if (identity === 'damaged') return 'identity-damaged';
  if (!promisesSound) return 'promises-damaged';
  if (counter === 'lost') return 'disk-failed';
  if (counter === 'unreadable') return 'counter-unreadable';
  // The counter may lag behind after a power cut, never the other way round.
  return counter > identity.generation ? 'older-backup' : null;
}
