/**
 * Several results as one directory: what the programs printed is appended in the order of the
 * partitions, directories are laid over each other, and two files of one name are an error.
 */
import { createReadStream } from 'node:fs';
import { appendFile, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openUpOwn } from '../lib/descriptor.ts';
import { ShoalError } from '../failures/shoal-error.ts';

/** Every result has these at its root. */
const APPENDED: ReadonlySet<string> = new Set(['stdout', 'stderr', 'exitCode']);

export interface RawResult {
  /** Names the result in an error. */
  readonly name: string;
  readonly directory: string;
}

async function append(source: string, target: string): Promise<void> {
  for await (const chunk of createReadStream(source)) await appendFile(target, chunk as Buffer);
}

/**
 * Moves the files of `results` into `target`, which is made anew.
 * @throws ShoalError `result-conflict`; then nothing has been moved.
 */
export async function mergeResults(results: readonly RawResult[], target: string): Promise<void> {
  await rm(target, { recursive: true, force: true });
  const owners = new Map<string, string>();
  for (const result of results) await findConflicts(result, '', owners, results.length > 1);
  const [only, ...others] = results;
  if (only !== undefined && others.length === 0) return rename(only.directory, target);
  await mkdir(target, { recursive: true });
  for (const { directory } of results) await move(directory, target, results.length > 1);
}

async function findConflicts(
  { name, directory }: RawResult,
  path: string,
  owners: Map<string, string>,
  several: boolean,
): Promise<void> {
  for (const entry of await readdir(join(directory, path), { withFileTypes: true })) {
    const below = path === '' ? entry.name : `${path}/${entry.name}`;
    const kind = entry.isDirectory() ? 'directory' : 'file';
    const owner = owners.get(below);
    const isShared = kind === 'directory' || (several && path === '' && APPENDED.has(below));
    if (owner !== undefined && !(isShared && owner.startsWith(`${kind} `))) {
      throw new ShoalError({
        code: 'result-conflict',
        path: below,
        first: owner.slice(owner.indexOf(' ') + 1),
        second: name,
      });
    }
    owners.set(below, `${kind} ${name}`);
    if (kind === 'directory') await findConflicts({ name, directory }, below, owners, several);
  }
}

async function move(source: string, target: string, appends: boolean): Promise<void> {
  // What lies in a directory that is closed, even to its owner, can be moved all the same.
  await openUpOwn(source);
  const entries = (await readdir(source, { withFileTypes: true })).sort((a, b) =>
    a.name < b.name ? -1 : 1,
  );
  for (const entry of entries) {
    const from = join(source, entry.name);
    const to = join(target, entry.name);
    if (entry.isDirectory()) {
      await mkdir(to, { recursive: true });
      await move(from, to, false);
    } else if (appends && APPENDED.has(entry.name)) await append(from, to);
    else await rename(from, to);
  }
}
