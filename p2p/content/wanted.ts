/**
 * What of the arriving blocks is taken: what was asked for or hangs below it, when it is what its name
 * says, and as long as all of it is no more than was agreed. Decides only; `fetch.ts` receives and writes.
 */
import type { CID } from 'multiformats/cid';
import { matches } from './hashes.ts';
import { factsOf, mayHaveLinks, PENDING_MAX, tooMuch } from './dag.ts';

/**
 * Blocks that a tree may have for so many bytes: a file each, the shards of their directories, and the
 * blocks of large files. Each is a file of the disk, however small it is.
 */
const blocksMax = (maxBytes: number): number => 300_000 + maxBytes / 16_384;

/** Directory and file headers above the file bytes: a tenth, and room for small files. */
const overhead = (maxBytes: number): number => maxBytes / 10 + (64 << 20);

/** Says of each block from one holder why it is refused; null when it is taken, which happens once. */
export type Judge = (cid: CID, bytes: Uint8Array) => string | null;

/**
 * @param deep with everything below, else only these blocks.
 * @returns a judge that throws ShoalError `content-corrupt` for a block that is what its name says, and no tree.
 */
export function createJudge(wants: readonly CID[], deep: boolean): Judge {
  const expected = new Set(wants.map((cid) => cid.toString()));
  return (cid, bytes) => {
    // Or a holder could fill the disk with blocks that nobody asked for.
    if (!expected.delete(cid.toString())) return 'a block that was not asked for';
    if (!matches(cid, bytes)) return 'the bytes do not match the hash';
    if (deep && mayHaveLinks(cid)) {
      for (const link of factsOf(cid, bytes).links) expected.add(link.cid.toString());
      if (expected.size > PENDING_MAX) throw tooMuch(cid, 'more blocks than a tree may have');
    }
    return null;
  };
}

/** What came of one tree so far, in bytes; `total` is what its root claims, 0 until it is there. */
export interface Tally {
  received: number;
  blocks: number;
  total: number;
}

/**
 * Counts a block.
 * @returns the bytes that are too many, come or claimed; null while there is room.
 * @throws ShoalError `content-corrupt` for too many blocks.
 */
export function count(
  tally: Tally,
  agreed: { readonly root: CID; readonly maxBytes: number },
  cid: CID,
  bytes: Uint8Array,
): number | null {
  tally.received += bytes.byteLength;
  tally.blocks += 1;
  if (tally.blocks > blocksMax(agreed.maxBytes))
    throw tooMuch(agreed.root, 'more blocks than its bytes need');
  if (cid.equals(agreed.root)) {
    const facts = factsOf(cid, bytes);
    tally.total = facts.claimedBytes;
    if (facts.kind === 'file' && facts.claimedBytes > agreed.maxBytes) return facts.claimedBytes;
  }
  return tally.received > agreed.maxBytes + overhead(agreed.maxBytes) ? tally.received : null;
}
