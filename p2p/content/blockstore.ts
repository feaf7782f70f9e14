/**
 * Blocks on disk: blockstore-fs with what it lacks. It hides every failure to open a file as "not
 * found", so a node out of file descriptors would deny having its own data; and it does not sync, so
 * a file may be damaged after a crash. Here such failures are thrown, the number of open files is
 * bounded, and each block is hashed when it is read, unless that was done a moment ago and its file has
 * not changed since. A damaged one is removed, and whoever listens may fetch it again. Knows nothing of
 * DAGs.
 */
import fs from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { FsBlockstore } from 'blockstore-fs';
import { NextToLast } from 'blockstore-fs/sharding';
import type { Blockstore, InputPair, Pair } from 'interface-blockstore';
import { NotFoundError } from 'interface-store';
import type { CID } from 'multiformats/cid';
import { createLimiter } from '../../src/lib/limiter.ts';
import { inlined, isVerifiable, matches } from './hashes.ts';
import type { Log } from '../log.ts';
import { failpoint } from '../../src/lib/failpoint.ts';

/** Files open at once; the usual limit per process is 1,024 and sockets need most of them. */
const OPEN_FILES = 64;
/** Blocks remembered as verified, about 100 bytes each; beyond that the memory starts anew. */
const VERIFIED_MAX = 500_000;
/**
 * A block is hashed again after this, milliseconds: a disk may change bytes without a trace. Reading it
 * from many places at once, or sending it just after it was written, costs no second hash.
 */
const TRUST_MS = 300_000;
/** Blocks are far smaller; a file that has grown beyond is damaged, and not read into memory for it. */
const READ_MAX = 64 << 20;
/** Ending of a block that is being written; one that this process does not write was left by a crash. */
const TEMPORARY = '.tmp';

/** The name of a block apart from its codec: the store is keyed by it. */
export type BlockKey = string;

export interface StoredBlock {
  readonly key: BlockKey;
  readonly bytes: number;
  /** Wall clock, milliseconds. */
  readonly modifiedAt: number;
}

export interface BlockFiles extends Blockstore {
  open(): Promise<void>;
  keyOf(cid: CID): BlockKey;
  /** The block in one piece, or null when it is not here. @throws when the disk fails. */
  read(cid: CID): Promise<Uint8Array | null>;
  /** Bytes of the block as its file has them, unread; null when it is not here. */
  size(cid: CID): Promise<number | null>;
  /** Stores bytes whose hash the caller has checked. */
  write(cid: CID, bytes: Uint8Array): Promise<void>;
  /** Every file, for garbage collection and for the size of the store. */
  files(): AsyncIterable<StoredBlock>;
  remove(key: BlockKey): Promise<void>;
  /** Told of every block that is put, stored or already there. */
  onPut(listener: (key: BlockKey) => void): void;
  /** Told of every block that was found damaged, and is not here any more. */
  onDamaged(listener: (cid: CID) => void): void;
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : '';

export function createBlockFiles(directory: string, log: Log): BlockFiles {
  const sharding = new NextToLast();
  const inner = new FsBlockstore(directory, { shardingStrategy: sharding });
  const verified = new Map<BlockKey, Trust>();
  const limited = createLimiter(OPEN_FILES);
  const listeners: ((key: BlockKey) => void)[] = [];
  const damageListeners: ((cid: CID) => void)[] = [];

  const keyOf = (cid: CID): BlockKey => sharding.encode(cid).file;
  const fileOf = (key: BlockKey): string => {
    const name = key.slice(0, key.indexOf('.'));
    return path.join(inner.path, name.slice(-2), key);
  };
  const trust = (key: BlockKey, file: FileState): void => {
    if (verified.size >= VERIFIED_MAX) verified.clear();
    verified.set(key, { ...file, at: performance.now() });
  };
  /** The file is the one whose bytes were hashed; that its disk has kept them is another matter. */
  const unchanged = (key: BlockKey, file: FileState): boolean => {
    const known = verified.get(key);
    return (
      known !== undefined && known.bytes === file.bytes && known.modifiedAt === file.modifiedAt
    );
  };
  const fresh = (key: BlockKey): boolean =>
    performance.now() - (verified.get(key)?.at ?? -Infinity) < TRUST_MS;

  const read = async (cid: CID): Promise<Uint8Array | null> =>
    inlined(cid) ?? (await readFile(cid));

  const readFile = (cid: CID): Promise<Uint8Array | null> =>
    limited(async () => {
      const key = keyOf(cid);
      const found = await readBlock(fileOf(key));
      if (found === null) return null;
      const { bytes, file } = found;
      if (fresh(key) && unchanged(key, file)) return bytes;
      if (isVerifiable(cid) && !matches(cid, bytes)) {
        // Cut short by a crash, or rotten: to everyone above it is missing, and is fetched again.
        log.warn({ cid: cid.toString(), bytes: bytes.byteLength }, 'blocks.damaged');
        verified.delete(key);
        await rm(fileOf(key), { force: true });
        for (const listener of damageListeners) listener(cid);
        return null;
      }
      trust(key, file);
      return bytes;
    });

  const write = async (cid: CID, bytes: Uint8Array): Promise<void> => {
    if (inlined(cid) !== null) return;
    const key = keyOf(cid);
    for (const listener of listeners) listener(key);
    const there = verified.has(key) ? await limited(() => stateOf(fileOf(key))) : null;
    if (there !== null && unchanged(key, there)) return;
    trust(key, await limited(() => writeAside(fileOf(key), bytes)));
  };

  const store: BlockFiles = {
    open: () => inner.open(),
    keyOf,
    read,
    size: async (cid) =>
      inlined(cid)?.byteLength ?? (await limited(() => stateOf(fileOf(keyOf(cid)))))?.bytes ?? null,
    write,
    async remove(key) {
      verified.delete(key);
      await rm(fileOf(key), { force: true });
    },
    onPut: (listener) => listeners.push(listener),
    onDamaged: (listener) => damageListeners.push(listener),
    files: () => listFiles(inner.path),
    async has(cid) {
      if (inlined(cid) !== null) return true;
      const key = keyOf(cid);
      const there = await limited(() => stateOf(fileOf(key)));
      if (there === null) return false;
      // Hashed once, and the file is still that one: whole DAGs are walked by this question.
      return unchanged(key, there) || (await read(cid)) !== null;
    },
    async put(cid, value) {
      await write(cid, await joined(value));
      return cid;
    },
    async *putMany(source: Iterable<InputPair> | AsyncIterable<InputPair>) {
      for await (const { cid, bytes } of source) {
        await write(cid, await joined(bytes));
        yield cid;
      }
    },
    async *get(cid) {
      const bytes = await read(cid);
      if (bytes === null) throw new NotFoundError(`no block ${cid.toString()}`);
      yield bytes;
    },
    async *getMany(source): AsyncGenerator<Pair> {
      for await (const cid of source)
        yield { cid, bytes: store.get(cid) as AsyncGenerator<Uint8Array> };
    },
    async delete(cid) {
      await store.remove(keyOf(cid));
    },
    async *deleteMany(source) {
      for await (const cid of source) {
        await store.remove(keyOf(cid));
        yield cid;
      }
    },
    getAll: () => inner.getAll(),
  };
  return store;
}

async function joined(
  value: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<Uint8Array> {
  if (value instanceof Uint8Array) return value;
  const parts: Uint8Array[] = [];
  for await (const part of value) parts.push(part);
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
}

const openFile = promisify(fs.open);
const writeFile = promisify(fs.write);
const closeFile = promisify(fs.close);
const readAt = promisify(fs.read);
const statFile = promisify(fs.fstat);
let temporaries = 0;
const underWay = new Set<string>();

/**
 * Writes beside the file and renames, so that no reader sees half a block. The same as blockstore-fs
 * in two thirds of the system calls: no directory is made before it turns out to be missing, and a
 * block is one write. Not synced: after a crash the hash tells.
 */
async function writeAside(file: string, bytes: Uint8Array): Promise<FileState> {
  temporaries += 1;
  const temporary = `${file}.${process.pid}-${temporaries}${TEMPORARY}`;
  underWay.add(temporary);
  try {
    const handle = await openTemporary(temporary);
    let state: FileState;
    try {
      for (let at = 0; at < bytes.byteLength; ) {
        at += (await writeFile(handle, bytes, at, bytes.byteLength - at, null)).bytesWritten;
      }
      state = stateIn(await statFile(handle));
    } finally {
      await closeFile(handle);
    }
    failpoint('block.written');
    await rename(temporary, file);
    failpoint('block.renamed');
    return state;
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    underWay.delete(temporary);
  }
}

async function openTemporary(temporary: string): Promise<number> {
  try {
    return await openFile(temporary, 'w');
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    await mkdir(path.dirname(temporary), { recursive: true });
    return await openFile(temporary, 'w');
  }
}

/** The bytes of a file and what it looked like; null when there is none. */
async function readBlock(
  file: string,
): Promise<{ readonly bytes: Uint8Array; readonly file: FileState } | null> {
  let handle: number;
  try {
    handle = await openFile(file, 'r');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
  try {
    const state = stateIn(await statFile(handle));
    const bytes = Buffer.allocUnsafeSlow(Math.min(state.bytes, READ_MAX));
    let at = 0;
    while (at < bytes.byteLength) {
      const { bytesRead } = await readAt(handle, bytes, at, bytes.byteLength - at, null);
      if (bytesRead === 0) break;
      at += bytesRead;
    }
    return { bytes: bytes.subarray(0, at), file: state };
  } finally {
    await closeFile(handle);
  }
}

/** What changes when a file is written to. */
interface FileState {
  readonly bytes: number;
  /** Wall clock, milliseconds with fractions. */
  readonly modifiedAt: number;
}

interface Trust extends FileState {
  /** When it was hashed last; monotonic, milliseconds. */
  readonly at: number;
}

const stateIn = ({ size, mtimeMs }: fs.Stats): FileState => ({ bytes: size, modifiedAt: mtimeMs });

async function stateOf(file: string): Promise<FileState | null> {
  try {
    return stateIn(await stat(file));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

async function* listFiles(root: string): AsyncGenerator<StoredBlock> {
  for (const shard of await readdir(root, { withFileTypes: true })) {
    if (!shard.isDirectory()) continue;
    for (const key of await readdir(path.join(root, shard.name))) {
      const file = path.join(root, shard.name, key);
      try {
        if (key.endsWith(TEMPORARY)) {
          if (!underWay.has(file)) await rm(file, { force: true });
          continue;
        }
        const info = await stat(file);
        if (key.endsWith('.data')) yield { key, bytes: info.size, modifiedAt: info.mtimeMs };
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw error;
      }
    }
  }
}
