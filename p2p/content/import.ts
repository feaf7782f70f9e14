/**
 * Files of this machine become UnixFS DAGs: walks a directory without following symlinks, drops what
 * is no file, and hands the rest to the importer of Helia. What a job wrote is not trusted: an entry
 * may have been swapped between looking and opening. Pins nothing.
 */
import { NAME_MAX_BYTES, TREE_DEPTH_MAX, TREE_ENTRIES_MAX } from '../../src/lib/safe-path.ts';
import { escapedName } from '../../src/lib/escaped-name.ts';
import { keptMode, whyLinkLeaves } from '../../src/lib/tree-modes.ts';
import { isUtf8 } from 'node:buffer';
import { constants } from 'node:fs';
import { lstat, open, readdir, readlink, realpath } from 'node:fs/promises';
import path from 'node:path';
import { unixfs } from '@helia/unixfs';
import { pipe } from 'it-pipe';
import type { CID } from 'multiformats/cid';
import { ShoalError } from '../../src/failures/shoal-error.ts';
import type { BlockFiles } from './blockstore.ts';

/** Chunk size of the importer's default profile, bytes; reads of the same size spare copies. */
const CHUNK = 1 << 20;
/** Asked for beyond the end of a file: that less comes says that it did not grow. */
const PROBE = 1_024;

export interface Imported {
  readonly cid: CID;
  readonly bytes: number;
  /** One sentence per entry that was left out. */
  readonly dropped: readonly string[];
}

interface Tally {
  bytes: number;
  entries: number;
  readonly dropped: string[];
}

interface Candidate {
  readonly path: string;
  readonly content?: AsyncIterable<Uint8Array>;
  readonly link?: string;
  readonly mode?: number;
}

/** @throws ShoalError `path-not-found`, `path-unsafe` (too many entries, too deep, no file). */
export async function importPath(
  source: string,
  blocks: BlockFiles,
  signal: AbortSignal,
): Promise<Imported> {
  // The caller named this path itself, so it may be a link; nothing below it is followed.
  const root = await realpath(source).catch((error: unknown) => {
    throw new ShoalError({ code: 'path-not-found', path: source }, { cause: error });
  });
  const info = await lstat(root);
  const tally: Tally = { bytes: 0, entries: 0, dropped: [] };
  if (info.isFile()) {
    const mode = keptMode(info.mode, 'file');
    const cid = await importBytes(fileBytes(root, tally, signal), blocks, mode);
    return { cid, bytes: tally.bytes, dropped: [] };
  }
  if (!info.isDirectory()) {
    throw new ShoalError({
      code: 'path-unsafe',
      path: source,
      why: 'it is neither a file nor a directory',
    });
  }
  const cid = await pipe(
    () => walkDirectory(root, '', 0, tally, signal),
    (entries) => unixfs({ blockstore: blocks }).addAll(entries, { wrapWithDirectory: true }),
    async (results) => {
      let last: CID | null = null;
      for await (const result of results) last = result.cid;
      return last;
    },
  );
  return { cid: cid ?? (await emptyDirectory(blocks)), bytes: tally.bytes, dropped: tally.dropped };
}

/**
 * One file of 1 MiB chunks, raw leaves, CIDv1: what `ipfs add --cid-version=1` of today makes.
 * @param mode permission bits that it says, as `keptMode` gives them.
 */
export async function importBytes(
  bytes: AsyncIterable<Uint8Array>,
  blocks: BlockFiles,
  mode: number | null,
): Promise<CID> {
  return unixfs({ blockstore: blocks }).addByteStream(bytes, mode === null ? {} : { mode });
}

const emptyDirectory = (blocks: BlockFiles): Promise<CID> =>
  unixfs({ blockstore: blocks }).addDirectory();

async function* walkDirectory(
  root: string,
  below: string,
  depth: number,
  tally: Tally,
  signal: AbortSignal,
): AsyncGenerator<Candidate> {
  const refuse = (why: string): ShoalError =>
    new ShoalError({ code: 'path-unsafe', path: path.join(root, below), why });
  if (depth > TREE_DEPTH_MAX)
    throw refuse(`more than ${TREE_DEPTH_MAX} directories inside each other`);
  const names = await readdir(path.join(root, below), { encoding: 'buffer' });
  names.sort(Buffer.compare);
  for (const raw of names) {
    signal.throwIfAborted();
    tally.entries += 1;
    if (tally.entries > TREE_ENTRIES_MAX) throw refuse(`more than ${TREE_ENTRIES_MAX} entries`);
    const name = raw.toString('utf8');
    const at = below === '' ? name : `${below}/${name}`;
    const drop = (why: string): void => {
      tally.dropped.push(`${at}: ${why}`);
    };
    // A DAG holds names as text.
    if (!isUtf8(raw)) {
      tally.dropped.push(`${escapedName(below, raw)}: its name is not UTF-8`);
      continue;
    }
    if (raw.byteLength > NAME_MAX_BYTES) {
      drop(`its name has more than ${NAME_MAX_BYTES} bytes`);
      continue;
    }
    const file = path.join(root, at);
    const info = await lstat(file);
    if (info.isDirectory()) {
      yield { path: at, ...modeOf(info.mode, 'directory') };
      yield* walkDirectory(root, at, depth + 1, tally, signal);
    } else if (info.isFile()) {
      yield { path: at, content: fileBytes(file, tally, signal), ...modeOf(info.mode, 'file') };
    } else if (info.isSymbolicLink()) {
      const link = await readlink(file);
      const why = whyLinkLeaves(at, link);
      if (why === null) yield { path: at, link };
      else drop(why);
    } else {
      drop('neither a file nor a directory');
    }
  }
}

function modeOf(mode: number, kind: 'file' | 'directory'): { readonly mode?: number } {
  const kept = keptMode(mode, kind);
  return kept === null ? {} : { mode: kept };
}

async function* fileBytes(
  file: string,
  tally: Tally,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  // O_NOFOLLOW and O_NONBLOCK: what was a file a moment ago may be a link or a pipe by now.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await open(file, flags);
  try {
    const info = await handle.stat();
    if (!info.isFile()) {
      throw new ShoalError({
        code: 'path-unsafe',
        path: file,
        why: 'it changed while it was read',
      });
    }
    for (let done = 0; ; ) {
      signal.throwIfAborted();
      // No larger than what is left: a mebibyte per small file would cost more than the file.
      const size = Math.min(CHUNK, Math.max(info.size - done, 0) + PROBE);
      const buffer = Buffer.allocUnsafe(size);
      const { bytesRead } = await handle.read(buffer, 0, size, null);
      if (bytesRead === 0) return;
      done += bytesRead;
      tally.bytes += bytesRead;
      yield buffer.subarray(0, bytesRead);
      if (bytesRead < size && done >= info.size) return;
    }
  } finally {
    await handle.close();
  }
}
