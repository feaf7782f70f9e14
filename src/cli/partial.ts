/**
 * A directory that appears complete or not at all: it is filled as `<name>.partial` and renamed. One
 * that an earlier try of the same thing left behind is taken up again.
 */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { ShoalError } from '../core/failure.ts';

const MARK = '.shoal-partial.json';

async function kindOf(path: string): Promise<'nothing' | 'empty' | 'something'> {
  const found = await stat(path).catch(() => null);
  if (found === null) return 'nothing';
  if (!found.isDirectory()) return 'something';
  return (await readdir(path)).length === 0 ? 'empty' : 'something';
}

/**
 * Looks at the place before anything is fetched.
 * @throws ShoalError `output-exists`; `path-unsafe` for a place that holds the working directory.
 */
export async function checkTarget(target: string, cwd: string, overwrite: boolean): Promise<void> {
  const kind = await kindOf(target);
  if (kind === 'something' && !overwrite)
    throw new ShoalError({ code: 'output-exists', path: target });
  const way = relative(target, cwd);
  if (kind !== 'nothing' && !/^\.\.(\/|$)/.test(way)) {
    throw new ShoalError({
      code: 'path-unsafe',
      path: target,
      why: 'it holds the working directory; name a directory in it',
    });
  }
}

/** The directory to fill. `what` tells one content from another. */
export async function openPartial(target: string, what: string): Promise<string> {
  const partial = `${target}.partial`;
  const mark = join(partial, MARK);
  const known = await readFile(mark, 'utf8').catch(() => null);
  if (known !== what) await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  await writeFile(mark, what);
  return partial;
}

/** Puts `from`, which lies in the partial directory, in the place of `target`, and removes the rest. */
export async function closePartial(partial: string, from: string, target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  await rm(target, { recursive: true, force: true });
  await rename(from, target);
  await rm(partial, { recursive: true, force: true });
}
