/**
 * UnixFS trees as they are read: a depth-first walk with limits, and writing a tree to disk. Names in
 * a DAG come from strangers, so each is checked before it touches a path. Fetches nothing itself:
 * blocks come through a loader. Symlinks are made last of all, and only those that stay inside.
 */
import {
  TREE_DEPTH_MAX,
  TREE_ENTRIES_MAX,
  TREE_PATHS_MAX_BYTES,
  whyNameUnsafe,
  whyNotHere,
} from '../../src/lib/safe-path.ts';
import { removeTree } from '../../src/lib/remove-tree.ts';
import { givenMode, whyLinkLeaves } from '../../src/lib/tree-modes.ts';
import { randomBytes } from 'node:crypto';
import { chmod, lstat, mkdir, open, rename, symlink } from 'node:fs/promises';
import path from 'node:path';
import type { CID } from 'multiformats/cid';
import { ShoalError } from '../../src/failures/shoal-error.ts';
import type { ContentEntry, FetchOptions } from '../../src/lib/content.ts';
import { RAW } from '../../src/job/cid.ts';
import { factsOf, mayHaveLinks, PENDING_MAX, tooMuch } from './dag.ts';
import type { BlockFacts, BlockLink } from './dag.ts';
import { brief } from '../log.ts';

/** Children whose headers are asked for in one go. */
const BATCH = 256;
const READ_AHEAD = 4;
/**
 * Links that the directories of one tree may have: an entry or a shard each. Counted when a block is
 * opened, before a walk keeps them or follows one: blocks that name each other again and again stand for
 * more entries than could ever be counted.
 */
const LINKS_MAX = 2 * TREE_ENTRIES_MAX;
/** A shard is there for the entries in it, so of those that were opened so many may still have to come. */
const SHARDS_AHEAD_MAX = 1_000;
/** Blocks that a file may have whatever is in them, and bytes that each one beyond must bring on average. */
const FILE_BLOCKS_FREE = 100_000;
const FILE_BYTES_PER_BLOCK = 1_024;

/** Gives a block, from wherever it is. @throws ShoalError when it cannot be had. */
export interface Loader {
  load(cid: CID): Promise<Uint8Array>;
  /** Bytes of a block that is here already; null when it is not. Absent: nobody needs to know. */
  sizeHere?(cid: CID): Promise<number | null>;
  /** Makes these single blocks quick to load. */
  prefetch(cids: readonly CID[]): Promise<void>;
}

export interface TreeEntry extends ContentEntry {
  readonly cid: CID;
}

/** @throws ShoalError `path-unsafe`. */
export function checkName(name: string): void {
  const why = whyNameUnsafe(name);
  if (why !== null)
    throw new ShoalError({ code: 'path-unsafe', path: brief(JSON.stringify(name)), why });
}

const notFiles = (cid: CID): ShoalError =>
  new ShoalError({
    code: 'content-corrupt',
    cid: cid.toString(),
    why: 'it is not a UnixFS file or directory',
  });

/** What one walk has come across so far. */
interface Census {
  entries: number;
  links: number;
  shards: number;
  /** Entries of sharded directories. */
  sharded: number;
  pathBytes: number;
}

const createCensus = (): Census => ({
  entries: 0,
  links: 0,
  shards: 0,
  sharded: 0,
  pathBytes: 0,
});

const tooMany = (at: string): ShoalError =>
  new ShoalError({
    code: 'path-unsafe',
    path: at,
    why: `more than ${TREE_ENTRIES_MAX} entries`,
  });

/** @throws ShoalError `path-unsafe` for more than a tree may have. */
function countEntry(census: Census, at: string): void {
  census.entries += 1;
  census.pathBytes += Buffer.byteLength(at);
  if (census.entries > TREE_ENTRIES_MAX) throw tooMany(at);
  if (census.pathBytes <= TREE_PATHS_MAX_BYTES) return;
  const why = `more than ${TREE_PATHS_MAX_BYTES} bytes of paths`;
  throw new ShoalError({ code: 'path-unsafe', path: at, why });
}

/** The entries of one directory, through its shards. */
async function* children(
  facts: BlockFacts,
  loader: Loader,
  depth: number,
  census: Census,
): AsyncGenerator<BlockLink> {
  census.links += facts.links.length;
  if (census.links > LINKS_MAX) throw tooMany('…');
  if (facts.kind === 'directory') {
    yield* facts.links;
    return;
  }
  if (depth > TREE_DEPTH_MAX) throw tooDeep();
  census.shards += 1;
  if (census.shards > census.sharded + SHARDS_AHEAD_MAX) throw tooMany('…');
  const shards = facts.links.filter((link) => link.name.length === facts.namePrefix);
  if (shards.length > 0) await loader.prefetch(shards.map((link) => link.cid));
  for (const link of facts.links) {
    if (link.name.length > facts.namePrefix) {
      census.sharded += 1;
      yield { ...link, name: link.name.slice(facts.namePrefix) };
    } else {
      const shard = factsOf(link.cid, await loader.load(link.cid));
      yield* children(shard, loader, depth + 1, census);
    }
  }
}

const tooDeep = (): ShoalError =>
  new ShoalError({
    code: 'path-unsafe',
    path: '…',
    why: `more than ${TREE_DEPTH_MAX} levels inside each other`,
  });

/**
 * Everything below a root, depth first, the root itself first with path ''.
 * @throws ShoalError `path-unsafe`, `content-corrupt`, and what the loader throws.
 */
export async function* walkTree(root: CID, loader: Loader): AsyncGenerator<TreeEntry> {
  const census = createCensus();
  const visit = async function* (
    cid: CID,
    at: string,
    claimed: number,
    depth: number,
  ): AsyncGenerator<TreeEntry> {
    countEntry(census, at);
    if (depth > TREE_DEPTH_MAX) throw tooDeep();
    // A raw block is a whole small file. Its parent says how large it is, as a hint until it is here.
    if (cid.code === RAW && at !== '') {
      yield { path: at, kind: 'file', bytes: (await loader.sizeHere?.(cid)) ?? claimed, cid };
      return;
    }
    const facts = factsOf(cid, await loader.load(cid));
    const mode = facts.mode === undefined ? {} : { mode: facts.mode };
    if (facts.kind === 'file') {
      yield { path: at, kind: 'file', bytes: facts.claimedBytes, cid, ...mode };
      return;
    }
    if (facts.kind === 'symlink') {
      const link = Buffer.from(facts.payload).toString();
      yield { path: at, kind: 'symlink', bytes: 0, cid, link };
      return;
    }
    if (facts.kind === 'other') throw notFiles(cid);
    yield { path: at, kind: 'directory', bytes: 0, cid, ...mode };
    const batch: BlockLink[] = [];
    const flush = async function* (): AsyncGenerator<TreeEntry> {
      const heads = batch.map((link) => link.cid).filter(mayHaveLinks);
      if (heads.length > 0) await loader.prefetch(heads);
      for (const link of batch.splice(0)) {
        yield* visit(
          link.cid,
          at === '' ? link.name : `${at}/${link.name}`,
          link.claimed,
          depth + 1,
        );
      }
    };
    for await (const link of children(facts, loader, 0, census)) {
      checkName(link.name);
      batch.push(link);
      if (batch.length >= BATCH) yield* flush();
    }
    yield* flush();
  };
  yield* visit(root, '', 0, 0);
}

/** The block that a path leads to. @throws ShoalError `path-not-found`. */
export async function resolvePath(root: CID, at: string, loader: Loader): Promise<CID> {
  let here = root;
  const census = createCensus();
  for (const name of at.split('/').filter((part) => part !== '')) {
    checkName(name);
    const facts = factsOf(here, await loader.load(here));
    let next: CID | null = null;
    if (facts.kind === 'directory' || facts.kind === 'shard') {
      for await (const link of children(facts, loader, 0, census))
        if (link.name === name) next = link.cid;
    }
    if (next === null)
      throw new ShoalError({ code: 'path-not-found', path: `${root.toString()}/${at}` });
    here = next;
  }
  return here;
}

/**
 * The bytes of one file, in order.
 * @throws ShoalError `content-corrupt` when it is no file, or has more blocks than its bytes need: blocks
 * without bytes that name each other again and again would be read for ever.
 */
export async function* readFileBytes(cid: CID, loader: Loader): AsyncGenerator<Uint8Array> {
  const stack: { cid: CID; depth: number }[] = [{ cid, depth: 0 }];
  const ahead = new Map<CID, Promise<Uint8Array>>();
  let blocks = 0;
  let bytes = 0;
  const load = (one: CID): Promise<Uint8Array> => {
    const pending = ahead.get(one) ?? loader.load(one);
    pending.catch(() => {});
    ahead.set(one, pending);
    return pending;
  };
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const pending = load(next.cid);
    for (let i = stack.length - 1; i >= 0 && ahead.size < READ_AHEAD; i -= 1) {
      const later = stack[i];
      if (later !== undefined) void load(later.cid);
    }
    const facts = factsOf(next.cid, await pending);
    ahead.delete(next.cid);
    if (facts.kind !== 'file') throw notFiles(cid);
    const depth = next.depth + 1;
    if (depth > TREE_DEPTH_MAX) throw tooDeep();
    bytes += facts.payload.byteLength;
    if (facts.payload.byteLength > 0) yield facts.payload;
    blocks += facts.links.length;
    if (
      blocks > FILE_BLOCKS_FREE + bytes / FILE_BYTES_PER_BLOCK ||
      stack.length + facts.links.length > PENDING_MAX
    )
      throw tooMuch(cid, 'more blocks than its bytes need');
    for (const link of facts.links.toReversed()) stack.push({ cid: link.cid, depth });
  }
}

/**
 * Writes a tree beside `destination` and renames it there, so that nobody sees half of it.
 * @throws ShoalError `path-unsafe` (exists, or a bad name), `content-too-large`, `content-corrupt`.
 */
export async function writeTree(
  root: CID,
  destination: string,
  loader: Loader,
  options: Pick<FetchOptions, 'maxBytes' | 'signal' | 'onWrite'>,
): Promise<{ readonly kind: 'file' | 'directory'; readonly bytes: number }> {
  if (await exists(destination)) {
    throw new ShoalError({ code: 'path-unsafe', path: destination, why: 'it exists already' });
  }
  const partial = path.join(
    path.dirname(destination),
    `.${path.basename(destination)}.${randomBytes(6).toString('hex')}.partial`,
  );
  const limit = {
    left: options.maxBytes,
    spend(bytes: number): void {
      options.signal.throwIfAborted();
      options.onWrite?.(bytes);
      limit.left -= bytes;
      if (limit.left >= 0) return;
      const { maxBytes } = options;
      const failure = {
        code: 'content-too-large',
        cid: root.toString(),
        bytes: maxBytes - limit.left,
        maxBytes,
      } as const;
      throw new ShoalError(failure);
    },
  };
  let kind: 'file' | 'directory' = 'file';
  const last: TreeEntry[] = [];
  try {
    for await (const entry of walkTree(root, loader)) {
      options.onWrite?.(null);
      checkHere(entry);
      const target = below(partial, entry);
      if (entry.kind === 'directory') {
        if (entry.path === '') kind = 'directory';
        await mkdir(target, { mode: 0o755 });
      } else if (entry.kind === 'file') {
        const mode = givenMode(entry.mode, 'file');
        await writeFile(target, mode, readFileBytes(entry.cid, loader), limit.spend);
      }
      if (entry.kind === 'symlink' || (entry.kind === 'directory' && entry.mode !== undefined))
        last.push(entry);
    }
    // Nothing is written through a link, nor into a directory that is closed already.
    for (const entry of last.reverse()) {
      const target = below(partial, entry);
      if (entry.kind === 'symlink') await symlink(entry.link ?? '', target);
      else await chmod(target, givenMode(entry.mode, 'directory'));
    }
    if (await exists(destination)) {
      throw new ShoalError({ code: 'path-unsafe', path: destination, why: 'it exists already' });
    }
    await rename(partial, destination);
  } catch (error) {
    await removeTree(partial);
    throw error;
  }
  return { kind, bytes: options.maxBytes - limit.left };
}

const below = (root: string, { path: at }: TreeEntry): string =>
  at === '' ? root : path.join(root, ...at.split('/'));

/** @throws ShoalError `path-unsafe` – it cannot be written on this machine, or is a link that leads out. */
function checkHere(entry: TreeEntry): void {
  const refuse = (why: string): never => {
    throw new ShoalError({ code: 'path-unsafe', path: entry.path || '/', why });
  };
  if (entry.kind === 'symlink' && entry.path === '')
    refuse('it is a symbolic link, not a file or directory');
  const why =
    whyNotHere(entry.path, process.platform) ??
    (entry.kind === 'symlink' ? whyLinkLeaves(entry.path, entry.link ?? '') : null);
  if (why !== null) refuse(why);
}

async function writeFile(
  target: string,
  mode: number,
  bytes: AsyncIterable<Uint8Array>,
  spend: (bytes: number) => void,
): Promise<void> {
  // Two entries of one name in a hostile directory meet here: `wx` refuses the second.
  const file = await open(target, 'wx', mode | 0o200);
  try {
    for await (const chunk of bytes) {
      spend(chunk.byteLength);
      await file.writeFile(chunk);
    }
    await file.chmod(mode);
  } finally {
    await file.close();
  }
}

async function exists(target: string): Promise<boolean> {
  try {
    await lstat(target);
    return true;
  } catch {
    return false;
  }
}
