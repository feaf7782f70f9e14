/**
 * Walks and measures trees that somebody else made and may be changing meanwhile: any depth, also
 * beyond PATH_MAX, any names, never through a link, with a few descriptors whatever the depth. The
 * way down is held by descriptor, the way up is `..`, and it is checked that it leads to where the
 * walk came from.
 */
import type { BigIntStats } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { identityOf, identityOfOpen, openDirectory, pathBelow, pathOf } from './descriptor.ts';
import { errorCode } from './durable-file.ts';

export interface Walked {
  /** `entry`: something in the tree. `closed`: a directory named before that this user may not read. */
  readonly what: 'entry' | 'closed';
  readonly stat: BigIntStats;
  /** 1 for what lies in the root itself. */
  readonly depth: number;
  /** A short path that works until the next one is asked for. */
  readonly at: Buffer;
  /** Its path below the root; may be longer than any call takes. */
  path(): Buffer;
}

/** As small as it can be: a tree may have millions of directories, side by side or inside each other. */
interface Level {
  readonly name: string;
  readonly identity: string;
  /** Names of the directories in it that are still to be entered. */
  readonly pending: string[];
}

/** A character for each byte: names need not be UTF-8, and this takes less than a buffer for each. */
const NAME = 'latin1';

/** What these say is no longer there, or something else is; the tree may be in use. */
const GONE: ReadonlySet<string | null> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP']);
const CLOSED: ReadonlySet<string | null> = new Set(['EACCES', 'EPERM']);

/**
 * Everything below the directory `root`, each directory before what is in it. Nothing when it is no
 * directory. What appears or vanishes meanwhile may or may not be seen.
 * @throws the signal's reason; the system's error when the disk does not answer.
 */
export async function* walkTree(root: string, signal: AbortSignal): AsyncGenerator<Walked> {
  const top = await entered(root);
  if (top === 'gone') return;
  if (top === 'closed') {
    const at = Buffer.from(root);
    const stat = await lstat(at, { bigint: true });
    yield { what: 'closed', stat, depth: 0, at, path: () => Buffer.alloc(0) };
    return;
  }
  const levels: Level[] = [];
  let here: FileHandle | null = null;
  try {
    levels.push({ name: '', identity: await identityOfOpen(top), pending: [] });
    here = await openDirectory(pathBelow(top, '.'));
    yield* entriesOf(here, levels, signal);
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const next = level.pending.pop();
      if (next === undefined) {
        levels.pop();
        if (levels.length === 0) return;
        here = await above(top, here, levels);
        continue;
      }
      signal.throwIfAborted();
      const at = pathBelow(here, Buffer.from(next, NAME));
      const below = await entered(at);
      if (below === 'closed') yield* closedAt(at, levels, next);
      if (typeof below === 'string') continue;
      await here.close();
      here = below;
      levels.push({ name: next, identity: await identityOfOpen(here), pending: [] });
      yield* entriesOf(here, levels, signal);
    }
  } finally {
    await top.close();
    await here?.close();
  }
}

async function* entriesOf(
  here: FileHandle,
  levels: readonly Level[],
  signal: AbortSignal,
): AsyncGenerator<Walked> {
  // Node's types do not know that names can be asked for as bytes here.
  const directory = await opendir(pathOf(here), { encoding: 'buffer' as BufferEncoding });
  for await (const entry of directory) {
    signal.throwIfAborted();
    const bytes = entry.name as unknown as Buffer;
    const name = bytes.toString(NAME);
    const at = pathBelow(here, bytes);
    const stat = await statOf(at);
    if (stat === 'gone') continue;
    if (stat === 'closed') {
      // Its names may be read, but not what they stand for.
      const itself = await here.stat({ bigint: true });
      yield { what: 'closed', stat: itself, depth: levels.length, at, path: pathIn(levels, name) };
      return;
    }
    if (stat.isDirectory()) levels.at(-1)?.pending.push(name);
    yield { what: 'entry', stat, depth: levels.length, at, path: pathIn(levels, name) };
  }
}

async function* closedAt(
  at: Buffer,
  levels: readonly Level[],
  name: string,
): AsyncGenerator<Walked> {
  const stat = await statOf(at);
  if (typeof stat === 'string') return;
  yield { what: 'closed', stat, depth: levels.length, at, path: pathIn(levels, name) };
}

/** Without the root's own name, which is empty. */
const pathIn =
  (levels: readonly Level[], name: string): (() => Buffer) =>
  () =>
    Buffer.from([...levels.slice(1).map((level) => level.name), name].join('/'), NAME);

type Missing = 'gone' | 'closed';

const statOf = (path: Buffer): Promise<BigIntStats | Missing> =>
  lstat(path, { bigint: true }).catch(missing);

const entered = (path: Buffer | string): Promise<FileHandle | Missing> =>
  openDirectory(path).catch(missing);

function missing(error: unknown): Missing {
  const code = errorCode(error);
  if (GONE.has(code)) return 'gone';
  if (CLOSED.has(code)) return 'closed';
  throw error;
}

/**
 * From `below`, which it closes, to the last of `levels`. Was a directory moved meanwhile, so that `..`
 * leads elsewhere, then down from the top by name; levels that are no longer there are given up.
 */
async function above(top: FileHandle, below: FileHandle, levels: Level[]): Promise<FileHandle> {
  const up = await entered(pathBelow(below, '..'));
  await below.close();
  if (typeof up !== 'string') {
    if ((await identityOfOpen(up)) === levels.at(-1)?.identity) return up;
    await up.close();
  }
  let here = await openDirectory(pathBelow(top, '.'));
  for (let depth = 1; depth < levels.length; depth += 1) {
    const level = levels[depth] as Level;
    const next = await entered(pathBelow(here, Buffer.from(level.name, NAME)));
    if (typeof next === 'string' || (await identityOfOpen(next)) !== level.identity) {
      if (typeof next !== 'string') await next.close();
      levels.length = depth;
      break;
    }
    await here.close();
    here = next;
  }
  return here;
}

/** What disks take that make an inode when it is needed (XFS, Btrfs); 256 on ext4. */
const INODE_BYTES = 512;

export interface MeasureLimits {
  /** Counting stops above these; what is counted then is more than allowed, not all there is. */
  readonly bytesMax: number;
  readonly entriesMax: number;
  readonly looks?: Looks;
}

export interface Measured {
  /**
   * Allocated on disk, directories included; a file with several names counts once. Each name counts
   * at least 512 bytes.
   */
  readonly bytes: number;
  /** Names in the tree, its root not included. */
  readonly entries: number;
  /** Directories that this user may not read: what is in them is not counted, and may be anything. */
  readonly closed: number;
}

/** What a file or directory takes of a disk however small it is: an empty one still takes an inode. */
export const ENTRY_BYTES = 4_096;

/**
 * What may still be looked at: one for each file, ten for each directory. To count takes time, and what
 * a program writes meanwhile nobody sees; so whoever watches one bounds what there is to count. Shared
 * by all trees of one look.
 */
export interface Looks {
  left: number;
}

export const LOOKS_UNBOUNDED: Looks = { left: Number.POSITIVE_INFINITY };

/** What it takes to enter a directory and to leave it again, in looks at a file. */
const DIRECTORY_LOOKS = 10;

/**
 * Bytes that a tree counts for where disk is rationed; stops counting above `enough`. Without end when
 * there was more than may be looked at.
 */
export async function chargedBytes(
  root: string,
  enough: number,
  looks: Looks,
  signal: AbortSignal,
): Promise<{ readonly bytes: number; readonly closed: number }> {
  const limits = { bytesMax: enough, entriesMax: Math.ceil(enough / ENTRY_BYTES), looks };
  const { bytes, entries, closed } = await measureTree(root, limits, signal);
  if (looks.left < 0) return { bytes: Number.POSITIVE_INFINITY, closed };
  return { bytes: Math.max(bytes, entries * ENTRY_BYTES), closed };
}

/**
 * What a file or tree takes up on disk; nothing when there is none. Follows no link. What vanishes
 * while it looks counts as nothing: the program may be running.
 * @throws as `walkTree`.
 */
export async function measureTree(
  root: string,
  limits: MeasureLimits,
  signal: AbortSignal,
): Promise<Measured> {
  const looks = limits.looks ?? LOOKS_UNBOUNDED;
  const linked = new Set<string>();
  const allocated = (stat: BigIntStats): number => {
    if (!stat.isDirectory() && stat.nlink > 1n) {
      const identity = identityOf(stat);
      if (linked.has(identity)) return 0;
      linked.add(identity);
    }
    return Number(stat.blocks) * 512;
  };
  // One that is empty takes something all the same, and so the limit bounds their number.
  const taken = (found: BigIntStats): number => Math.max(INODE_BYTES, allocated(found));
  const stat = await statOf(Buffer.from(root));
  if (stat === 'gone') return { bytes: 0, entries: 0, closed: 0 };
  if (stat === 'closed') return { bytes: 0, entries: 0, closed: 1 };
  let bytes = taken(stat);
  if (!stat.isDirectory()) return { bytes, entries: 0, closed: 0 };
  let entries = 0;
  let closed = 0;
  for await (const walked of walkTree(root, signal)) {
    if (walked.what === 'closed') closed += 1;
    else {
      entries += 1;
      looks.left -= walked.stat.isDirectory() ? DIRECTORY_LOOKS : 1;
      bytes += taken(walked.stat);
    }
    if (bytes > limits.bytesMax || entries > limits.entriesMax || looks.left < 0) break;
  }
  return { bytes, entries, closed };
}
