/**
 * What a finished program left behind, put in the shape in which it is published: `stdout`,
 * `stderr`, `exitCode` and one entry per ResultPath. Runs only after the program and everything it
 * started is gone. Trusts nothing in the tree: never follows a symlink, drops special files, counts
 * before anything is imported.
 */
import { isUtf8 } from 'node:buffer';
import type { BigIntStats } from 'node:fs';
import { chmod, link, lstat, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorCode } from '../lib/durable-file.ts';
import { escaped } from '../lib/escaped-name.ts';
import { removeTree } from '../lib/remove-tree.ts';
import { PATH_MAX_BYTES, TREE_PATHS_MAX_BYTES } from '../lib/safe-path.ts';
import { walkTree } from '../lib/walk-tree.ts';
import { StorageError } from './source.ts';

export interface ResultLimits {
  readonly entriesMax: number;
  readonly depthMax: number;
  /** Bytes of all files together. */
  readonly bytesMax: number;
}

export interface CheckedTree {
  readonly entries: number;
  /** Sum of the file sizes. A file counts for each of its names, as it is read and published for each. */
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
  readonly outputs: readonly NamedOutput[];
}

/** One ResultPath of the program. */
export interface NamedOutput {
  readonly name: string;
  /** Where it lies now. */
  readonly path: string;
}

const RESERVED = ['stdout', 'stderr', 'exitCode'];
const DROPPED_MAX = 100;

/** Why a ResultPath cannot have this name, which may be a path; null when it can. */
export function resultNameProblem(name: string): string | null {
  const [first = '', ...others] = name.split('/');
  if (RESERVED.includes(first)) return `is the name of a file that every result has`;
  const isSegment = (part: string): boolean =>
    part !== '' &&
    part !== '.' &&
    part !== '..' &&
    !/[\\\0]/.test(part) &&
    Buffer.byteLength(part) <= 255;
  return [first, ...others].every(isSegment) ? null : 'is not the name of a file';
}

/** Puts the parts together. May be called again after a crash in the middle; what was moved stays moved. */
export async function assembleResult(parts: ResultParts): Promise<void> {
  await mkdir(parts.directory, { recursive: true, mode: 0o700 });
  await Promise.all([
    linkOrEmpty(parts.stdoutPath, join(parts.directory, 'stdout')),
    linkOrEmpty(parts.stderrPath, join(parts.directory, 'stderr')),
    writeAnew(join(parts.directory, 'exitCode'), String(parts.exitCode)),
  ]);
  // As any file, whatever the umask here is: all results of the same bytes have the same name.
  for (const name of RESERVED) await chmod(join(parts.directory, name), 0o644);
  for (const { name, path } of parts.outputs) {
    try {
      await mkdir(dirname(join(parts.directory, name)), { recursive: true });
      await rename(path, join(parts.directory, name));
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  }
}

async function writeAnew(path: string, text: string): Promise<void> {
  await rm(path, { force: true });
  await writeFile(path, text);
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
 * @throws StorageError class limit: `result-too-large`, `result-too-many-files`, `result-too-deep`;
 * class node: `result-unreadable`.
 */
export async function checkResult(
  directory: string,
  limits: ResultLimits,
  signal: AbortSignal,
): Promise<CheckedTree> {
  const dropped: string[] = [];
  let entries = 0;
  let bytes = 0;
  let pathBytes = 0;
  for await (const walked of walkTree(directory, signal)) {
    const { stat, depth } = walked;
    const path = walked.path();
    if (walked.what === 'closed') throw unreadable(path);
    entries += 1;
    if (entries > limits.entriesMax) throw tooMany(limits.entriesMax);
    const problem = problemOf(path, stat);
    if (problem !== null) {
      await removeTree(walked.at);
      if (dropped.length < DROPPED_MAX) dropped.push(`${shown(path)}: ${problem}`);
      continue;
    }
    // A file in the last directory, too: whoever reads the tree counts the names of a path.
    if (depth > limits.depthMax) throw tooDeep(limits.depthMax, path);
    if (path.length > PATH_MAX_BYTES) throw tooLong(path);
    pathBytes += path.length;
    if (pathBytes > TREE_PATHS_MAX_BYTES) throw pathsTooLong();
    if (!stat.isFile()) continue;
    bytes += Number(stat.size);
    if (bytes > limits.bytesMax) throw tooLarge(limits.bytesMax);
  }
  return { entries, bytes, dropped };
}

/** Why an entry cannot be published; null when it can. */
function problemOf(path: Buffer, stat: BigIntStats): string | null {
  if (!isUtf8(path)) return 'its name is not UTF-8';
  const isKept = stat.isFile() || stat.isDirectory() || stat.isSymbolicLink();
  return isKept ? null : 'not a file, directory or symlink';
}

const shown = (path: Buffer): string => escaped(path).slice(0, 200);

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
const tooDeep = (max: number, path: Buffer): StorageError =>
  new StorageError(
    'limit',
    'result-too-deep',
    `The result nests directories deeper than the ${max} levels allowed, at ${shown(path)}.`,
  );
const tooLong = (path: Buffer): StorageError =>
  new StorageError(
    'limit',
    'result-too-deep',
    `The result has a path of more than ${PATH_MAX_BYTES} bytes, at ${shown(path)}.`,
  );
const pathsTooLong = (): StorageError =>
  new StorageError(
    'limit',
    'result-too-many-files',
    `The paths of the result take more than ${TREE_PATHS_MAX_BYTES} bytes together. Pack it into an archive.`,
  );
const unreadable = (path: Buffer): StorageError =>
  new StorageError(
    'node',
    'result-unreadable',
    `This node may not read a directory of the result, ${shown(path)}. It belongs to the user of the program.`,
  );
