/**
 * What a finished program left behind, put in the shape in which it is published: `stdout`,
 * `stderr`, `exitCode` and one entry per ResultPath. Runs only after the program and everything it
 * started is gone. Trusts nothing in the tree: never follows a symlink, drops special files, counts
 * before anything is imported.
 */
import { isUtf8 } from 'node:buffer';
import { constants } from 'node:fs';
import { link, lstat, mkdir, open, opendir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '../lib/durable-file.ts';
import { StorageError } from './source.ts';

export interface ResultLimits {
  readonly entriesMax: number;
  readonly depthMax: number;
  /** Bytes of all files together. */
  readonly bytesMax: number;
}

export interface CheckedTree {
  readonly entries: number;
  /** Sum of the file sizes; a file with several names counts once. */
  readonly bytes: number;
  /** What was removed, each with its reason. At most 100 are named. */
  readonly dropped: readonly string[];
}

export interface ResultParts {
  /** The directory to make. */
  readonly directory: string;
  readonly stdoutPath: string;
  readonly stderrPath: string;
  readonly exitCode: number;
  /** Where the program's ResultPaths are, one entry per name. */
  readonly outputsDirectory: string;
  readonly names: readonly string[];
}

const RESERVED = ['stdout', 'stderr', 'exitCode'];
const DROPPED_MAX = 100;

/** Why a ResultPath cannot have this name; null when it can. */
export function resultNameProblem(name: string): string | null {
  if (RESERVED.includes(name)) return `is the name of a file that every result has`;
  const isSegment = name !== '' && name !== '.' && name !== '..' && !/[/\\\0]/.test(name);
  return isSegment && Buffer.byteLength(name) <= 255 ? null : 'is not the name of a file';
}

/** Puts the parts together. May be called again after a crash in the middle; what was moved stays moved. */
export async function assembleResult(parts: ResultParts): Promise<void> {
  await mkdir(parts.directory, { recursive: true, mode: 0o700 });
  await linkOrEmpty(parts.stdoutPath, join(parts.directory, 'stdout'));
  await linkOrEmpty(parts.stderrPath, join(parts.directory, 'stderr'));
  await rm(join(parts.directory, 'exitCode'), { force: true });
  await writeFile(join(parts.directory, 'exitCode'), String(parts.exitCode));
  for (const name of parts.names) {
    try {
      await rename(join(parts.outputsDirectory, name), join(parts.directory, name));
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  }
}

async function linkOrEmpty(from: string, to: string): Promise<void> {
  await rm(to, { force: true });
  try {
    const found = await lstat(from);
    if (found.isFile()) await link(from, to);
    else await writeFile(to, '');
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    await writeFile(to, '');
  }
}

/**
 * Walks the tree, removes what cannot be published and counts the rest.
 * @throws StorageError class limit: `result-too-large`, `result-too-many-files`, `result-too-deep`.
 */
export async function checkResult(
  directory: string,
  limits: ResultLimits,
  signal: AbortSignal,
): Promise<CheckedTree> {
  const dropped: string[] = [];
  const linked = new Set<string>();
  let entries = 0;
  let bytes = 0;
  for await (const entry of walk(
    directory,
    { depthMax: limits.depthMax, skipClosed: false },
    signal,
  )) {
    entries += 1;
    if (entries > limits.entriesMax) throw tooMany(limits.entriesMax);
    if (entry.kind === 'other' || entry.problem !== null) {
      await rm(entry.absolute, { force: true, recursive: true });
      if (dropped.length < DROPPED_MAX)
        dropped.push(`${entry.path}: ${entry.problem ?? 'not a file, directory or symlink'}`);
      continue;
    }
    if (entry.kind !== 'file') continue;
    if (entry.inode !== null && linked.has(entry.inode)) continue;
    if (entry.inode !== null) linked.add(entry.inode);
    bytes += entry.bytes;
    if (bytes > limits.bytesMax) throw tooLarge(limits.bytesMax);
  }
  return { entries, bytes, dropped };
}

/**
 * Bytes that a tree or file takes up on disk (allocated blocks), not following symlinks. Stops counting
 * above `enough`. Files that vanish while it looks count as nothing: the program may be running. So
 * do directories that only the program may read.
 */
export async function diskUsage(
  root: string,
  enough: number,
  signal: AbortSignal,
): Promise<number> {
  const linked = new Set<string>();
  // The root counts too: it may be a single file.
  let bytes = (await look(Buffer.from(root), Buffer.alloc(0)))?.allocated ?? 0;
  for await (const entry of walk(
    root,
    { depthMax: Number.POSITIVE_INFINITY, skipClosed: true },
    signal,
  )) {
    if (entry.inode !== null && linked.has(entry.inode)) continue;
    if (entry.inode !== null) linked.add(entry.inode);
    bytes += entry.allocated;
    if (bytes > enough) return bytes;
  }
  return bytes;
}

interface Walked {
  /** Below the root. */
  readonly path: string;
  readonly absolute: Buffer;
  readonly kind: 'file' | 'directory' | 'symlink' | 'other';
  readonly bytes: number;
  readonly allocated: number;
  /** Names the inode of a file with several names; null for all others. */
  readonly inode: string | null;
  /** Why its name cannot be kept; null when it can. */
  readonly problem: string | null;
}

interface WalkOptions {
  readonly depthMax: number;
  /** Pass over directories that this node may not read, instead of failing. */
  readonly skipClosed: boolean;
}

/** Depth first. Names are bytes, because a program may make names that are not UTF-8. */
async function* walk(
  root: string,
  options: WalkOptions,
  signal: AbortSignal,
): AsyncGenerator<Walked> {
  const pending: { readonly path: Buffer; readonly depth: number }[] = [
    { path: Buffer.alloc(0), depth: 0 },
  ];
  const rootBytes = Buffer.from(root);
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    for await (const name of namesIn(joined(rootBytes, at.path), options.skipClosed)) {
      signal.throwIfAborted();
      const path = at.path.length === 0 ? name : joined(at.path, name);
      const entry = await look(rootBytes, path);
      if (entry === null) continue;
      yield entry;
      if (entry.kind !== 'directory' || entry.problem !== null) continue;
      if (at.depth + 1 > options.depthMax) throw tooDeep(options.depthMax, entry.path);
      pending.push({ path, depth: at.depth + 1 });
    }
  }
}

const joined = (directory: Buffer, name: Buffer): Buffer =>
  name.length === 0 ? directory : Buffer.concat([directory, Buffer.from('/'), name]);

/** Names in a directory, as they come; none when it is gone or something else took its place. */
async function* namesIn(path: Buffer, skipClosed: boolean): AsyncGenerator<Buffer> {
  try {
    const guard = await open(
      path,
      constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW,
    );
    await guard.close();
    // Node's types do not know that names can be asked for as bytes here.
    const directory = await opendir(path, { encoding: 'buffer' as BufferEncoding });
    for await (const entry of directory) yield entry.name as unknown as Buffer;
  } catch (error) {
    const gone = ['ENOENT', 'ELOOP', 'ENOTDIR', ...(skipClosed ? ['EACCES', 'EPERM'] : [])];
    if (!gone.includes(errorCode(error) ?? '')) throw error;
  }
}

async function look(root: Buffer, path: Buffer): Promise<Walked | null> {
  const absolute = joined(root, path);
  try {
    const found = await lstat(absolute);
    const kind = found.isFile()
      ? 'file'
      : found.isDirectory()
        ? 'directory'
        : found.isSymbolicLink()
          ? 'symlink'
          : 'other';
    return {
      path: path.toString(),
      absolute,
      kind,
      bytes: found.size,
      allocated: found.blocks * 512,
      inode: kind === 'file' && found.nlink > 1 ? `${found.dev}:${found.ino}` : null,
      problem: isUtf8(path) ? null : 'its name is not UTF-8',
    };
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

const tooMany = (max: number): StorageError =>
  new StorageError(
    'limit',
    'result-too-many-files',
    `The result has more than the ${max} files and directories allowed. Pack them into an archive.`,
  );
const tooLarge = (max: number): StorageError =>
  new StorageError(
    'limit',
    'result-too-large',
    `The result holds more than the ${max} bytes allowed on this node.`,
  );
const tooDeep = (max: number, path: string): StorageError =>
  new StorageError(
    'limit',
    'result-too-deep',
    `The result nests directories deeper than the ${max} levels allowed, at ${path.slice(0, 200)}.`,
  );
