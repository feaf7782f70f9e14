/**
 * What a block points to and what it says about files. Pure: bytes in, facts out. Reads raw, dag-pb
 * (UnixFS) and dag-cbor blocks; the bytes of others are kept and moved, but their links are unknown.
 */
import { DAG_PB, IDENTITY, IDENTITY_MAX_BYTES, RAW } from '../../src/job/cid.ts';
import * as dagCbor from '@ipld/dag-cbor';
import * as dagPb from '@ipld/dag-pb';
import { UnixFS } from 'ipfs-unixfs';
import { CID } from 'multiformats/cid';
import { ShoalError } from '../../src/failures/shoal-error.ts';
import { keptMode } from '../../src/lib/tree-modes.ts';
import { isVerifiable } from './hashes.ts';
import { brief, reasonOf } from '../log.ts';

const DAG_CBOR = 0x71;

export type BlockKind = 'file' | 'directory' | 'shard' | 'symlink' | 'other';

export interface BlockLink {
  readonly name: string;
  readonly cid: CID;
  /** Cumulative size that the parent claims, bytes. */
  readonly claimed: number;
}

export interface BlockFacts {
  readonly kind: BlockKind;
  readonly links: readonly BlockLink[];
  /** File bytes inside this very block; of a symlink what it holds. */
  readonly payload: Uint8Array;
  /** Permission bits that the block says, where they are kept and not those of any file or directory. */
  readonly mode?: number;
  /** Size of the whole file or, for directories, of everything below, as the block claims; bytes. */
  readonly claimedBytes: number;
  /** Hex digits that a shard puts before each name. */
  readonly namePrefix: number;
}

const NOTHING = new Uint8Array(0);

/**
 * Blocks that were named by the blocks of one DAG and not looked at yet. Each takes some 300 bytes of
 * memory while it waits, and a block of 4 MiB names a hundred thousand; a directory has no more entries,
 * and of a file there wait the links of one block for each of its few levels.
 */
export const PENDING_MAX = 200_000;
/** Links of one DAG that are followed or compared: 256 GB of a file in the smallest usual blocks. */
export const BLOCKS_MAX = 1_000_000;

export const tooMuch = (cid: CID, what: string): ShoalError =>
  new ShoalError({ code: 'content-corrupt', cid: cid.toString(), why: `it has ${what}` });

/** @throws ShoalError `content-corrupt` when the block is not what its codec says. */
export function factsOf(cid: CID, bytes: Uint8Array): BlockFacts {
  try {
    switch (cid.code) {
      case RAW:
        return leaf('file', bytes);
      case DAG_PB:
        return pbFacts(bytes);
      case DAG_CBOR:
        return { ...leaf('other', NOTHING), links: cborLinks(dagCbor.decode(bytes)) };
      default:
        return leaf('other', NOTHING);
    }
  } catch (error) {
    const why = `its block does not decode (${brief(reasonOf(error), 100)})`;
    throw new ShoalError({ code: 'content-corrupt', cid: cid.toString(), why }, { cause: error });
  }
}

/** Raw blocks have no links, whatever is in them: they need not be read to walk a DAG. */
export const mayHaveLinks = (cid: CID): boolean => cid.code === DAG_PB || cid.code === DAG_CBOR;

const leaf = (kind: BlockKind, payload: Uint8Array): BlockFacts => ({
  kind,
  links: [],
  payload,
  claimedBytes: payload.byteLength,
  namePrefix: 0,
});

function pbFacts(bytes: Uint8Array): BlockFacts {
  const node = dagPb.decode(bytes);
  const links = node.Links.map((link) => ({
    name: link.Name ?? '',
    cid: link.Hash,
    claimed: link.Tsize ?? 0,
  }));
  const below = links.reduce((sum, link) => sum + link.claimed, 0);
  if (node.Data === undefined) {
    return { kind: 'other', links, payload: NOTHING, claimedBytes: below, namePrefix: 0 };
  }
  const unixfs = UnixFS.unmarshal(node.Data);
  const mode = keptMode(unixfs.mode ?? 0, unixfs.isDirectory() ? 'directory' : 'file');
  const none = { payload: NOTHING, namePrefix: 0, ...(mode === null ? {} : { mode }) };
  const payload = unixfs.data ?? NOTHING;
  switch (unixfs.type) {
    case 'file':
    case 'raw':
      return { ...none, kind: 'file', links, payload, claimedBytes: Number(unixfs.fileSize()) };
    case 'directory':
      return { ...none, kind: 'directory', links, claimedBytes: below };
    case 'hamt-sharded-directory': {
      const namePrefix = Math.max(1, (Number(unixfs.fanout ?? 256n) - 1).toString(16).length);
      return { ...none, kind: 'shard', links, claimedBytes: below, namePrefix };
    }
    case 'symlink':
      return { ...none, kind: 'symlink', links: [], payload, claimedBytes: 0 };
    default:
      return { ...none, kind: 'other', links, claimedBytes: below };
  }
}

function cborLinks(value: unknown): BlockLink[] {
  const found: BlockLink[] = [];
  const pending: unknown[] = [value];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const cid = CID.asCID(next);
    if (cid !== null) found.push({ name: '', cid, claimed: 0 });
    else if (Array.isArray(next)) pending.push(...next);
    else if (typeof next === 'object' && next !== null && !ArrayBuffer.isView(next)) {
      pending.push(...Object.values(next));
    }
  }
  return found.reverse();
}

/** A tree or file, and where it lies. */
export interface ContentPlace {
  readonly root: CID;
  /** Below the root, `/`-separated; '' = the root itself. */
  readonly path: string;
}

/** As `parseCid`, with a path below the CID. @throws ShoalError `cid-invalid`. */
export function parsePlace(text: string): ContentPlace {
  const [root = '', ...names] = withoutScheme(text).replace(/\/+$/, '').split('/');
  return { root: parseCid(root), path: names.join('/') };
}

const withoutScheme = (text: string): string => text.trim().replace(/^(ipfs:\/\/|\/ipfs\/)/, '');

/**
 * Reads a CID as people write it, with or without `ipfs://` or `/ipfs/`; version 0 is turned into 1.
 * @throws ShoalError `cid-invalid`.
 */
export function parseCid(text: string): CID {
  const bad = (why: string, cause?: unknown): ShoalError =>
    new ShoalError({ code: 'cid-invalid', value: brief(text, 120), why }, { cause });
  const bare = withoutScheme(text);
  if (bare === '') throw bad('it is empty');
  if (bare.includes('/')) throw bad('a path after the CID is not part of it');
  let cid: CID;
  try {
    cid = CID.parse(bare).toV1();
  } catch (error) {
    throw bad(brief(reasonOf(error), 120), error);
  }
  const { code, digest } = cid.multihash;
  if (code === IDENTITY && digest.byteLength > IDENTITY_MAX_BYTES) {
    throw bad(
      `it carries ${digest.byteLength} bytes in itself; at most ${IDENTITY_MAX_BYTES} are allowed`,
    );
  }
  if (code !== IDENTITY && !isVerifiable(cid)) {
    throw bad(
      `its hash function 0x${code.toString(16)} is not supported; sha2-256 and sha2-512 are`,
    );
  }
  return cid;
}
