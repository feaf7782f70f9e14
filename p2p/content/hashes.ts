/** What a block is checked by: the hash functions that this program knows, and blocks that are their own name. */
import { createHash } from 'node:crypto';
import type { CID } from 'multiformats/cid';
import { IDENTITY } from '../../src/job/cid.ts';

/** By multicodec. All blocks that this mesh makes are named by the first. */
const FUNCTIONS: ReadonlyMap<number, string> = new Map([
  [0x12, 'sha256'],
  [0x13, 'sha512'],
]);

export const isVerifiable = (cid: CID): boolean => FUNCTIONS.has(cid.multihash.code);

/** True when the bytes are what the CID says; false for a hash that is not known, too. */
export function matches(cid: CID, bytes: Uint8Array): boolean {
  const { code, digest } = cid.multihash;
  const name = FUNCTIONS.get(code);
  if (name === undefined) return code === IDENTITY && Buffer.compare(bytes, digest) === 0;
  return createHash(name).update(bytes).digest().equals(digest);
}

/** The block that a CID carries in itself; null when it is only the name of one. */
export const inlined = (cid: CID): Uint8Array | null =>
  cid.multihash.code === IDENTITY ? cid.multihash.digest : null;
