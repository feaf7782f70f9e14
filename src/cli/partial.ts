/**
 * A directory that appears complete or not at all: it is filled beside its place, in a directory that
 * only this user may enter, and renamed. One that an earlier try of the same thing left behind is
 * taken up again.
 *
 * The place may lie where others write, too (`/tmp`, a shared folder), so nothing there is believed:
 * both directories are held by descriptor, the name of the one that is filled cannot be known
 * before, and what belongs to somebody else is neither taken up nor replaced.
 */
import { constants } from 'node:fs';
import { lstat, mkdir, mkdtemp, open, readdir, rename, rmdir } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { ShoalError } from '../failures/shoal-error.ts';
import { openDirectory, pathOf } from '../lib/descriptor.ts';
import { removeTree } from '../lib/remove-tree.ts';
import { walkTree } from '../lib/walk-tree.ts';

const MARK = '.shoal-partial.json';
const MARK_MAX_BYTES = 1 << 20;
/** Nobody stops the looking. */
const NEVER = new AbortController().signal;

async function kindOf(path: string): Promise<'nothing' | 'empty' | 'something' | 'foreign'> {
  const found = await lstat(path).catch(() => null);
  if (found === null) return 'nothing';
  if (!isOwn(found.uid)) return 'foreign';
  if (!found.isDirectory()) return 'something';
  return (await readdir(path)).length === 0 ? 'empty' : 'something';
}

/** Windows knows no owners by number. */
const isOwn = (uid: number): boolean => uid === (process.geteuid?.() ?? uid);

/**
 * Looks at the place before anything is fetched.
 * @throws ShoalError `output-exists`; `path-unsafe` for a place that holds the working directory or
 * belongs to another user.
 */
export async function checkTarget(target: string, cwd: string, overwrite: boolean): Promise<void> {
  const kind = await kindOf(target);
  if (kind === 'foreign') throw unsafe(target, 'it belongs to another user');
  if (kind === 'something' && !overwrite)
    throw new ShoalError({ code: 'output-exists', path: target });
  const way = relative(target, cwd);
  if (kind !== 'nothing' && !/^\.\.(\/|$)/.test(way))
    throw unsafe(target, 'it holds the working directory; name a directory in it');
}

const unsafe = (path: string, why: string): ShoalError =>
  new ShoalError({ code: 'path-unsafe', path, why });

export interface Partial {
  /** The directory to fill: a path that leads to it whatever happens to its name. */
  readonly path: string;
  /** Puts `from`, which lies in it, in the place of the target, and removes the rest. */
  complete(from: string): Promise<void>;
  /** Lets go of it. What was fetched stays for another try unless it was completed; without any file it is removed. */
  close(): Promise<void>;
}

/** The directory to fill. `what` tells one content from another. @throws ShoalError `path-unsafe` */
export async function openPartial(target: string, what: string): Promise<Partial> {
  await mkdir(dirname(target), { recursive: true });
  const parent = await open(dirname(target), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const prefix = `.${basename(target)}.partial-`;
    const found = await takenUp(parent, prefix, what);
    const [name, directory] = found ?? (await made(parent, prefix, what, target));
    return partialOf({ parent, directory, name, target });
  } catch (error) {
    await parent.close();
    throw error;
  }
}

interface Opened {
  readonly parent: FileHandle;
  readonly directory: FileHandle;
  /** Of the directory, in its parent. */
  readonly name: string;
  readonly target: string;
}

function partialOf({ parent, directory, name, target }: Opened): Partial {
  const place = join(pathOf(parent), basename(target));
  return {
    path: pathOf(directory),
    async complete(from) {
      if ((await kindOf(place)) === 'foreign') throw unsafe(target, 'it belongs to another user');
      await removeTree(place);
      await rename(from, place);
      await emptyOut(directory, parent, name);
    },
    async close() {
      try {
        if (await holdsNothing(directory)) await emptyOut(directory, parent, name);
      } finally {
        await directory.close();
        await parent.close();
      }
    },
  };
}

/** Nothing but its mark and directories; nothing at all once it was completed. */
async function holdsNothing(directory: FileHandle): Promise<boolean> {
  for await (const { path, stat } of walkTree(`${pathOf(directory)}/.`, NEVER))
    if (!stat.isDirectory() && path().toString() !== MARK) return false;
  return true;
}

/** What an earlier try left of the same content; what it left of another is removed. */
async function takenUp(
  parent: FileHandle,
  prefix: string,
  what: string,
): Promise<readonly [string, FileHandle] | null> {
  for (const name of await readdir(pathOf(parent))) {
    if (!name.startsWith(prefix)) continue;
    const directory = await openDirectory(join(pathOf(parent), name)).catch(() => null);
    if (directory === null) continue;
    if (await isPrivate(directory)) {
      const mark = await markIn(directory);
      if (mark === what) return [name, directory];
      if (mark !== null) await emptyOut(directory, parent, name);
    }
    await directory.close();
  }
  return null;
}

async function isPrivate(directory: FileHandle): Promise<boolean> {
  const { mode, uid } = await directory.stat();
  return isOwn(uid) && (mode & 0o077) === 0;
}

async function markIn(directory: FileHandle): Promise<string | null> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(join(pathOf(directory), MARK), flags).catch(() => null);
  if (file === null) return null;
  try {
    const { size } = await file.stat();
    return size > MARK_MAX_BYTES ? null : await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

async function made(
  parent: FileHandle,
  prefix: string,
  what: string,
  target: string,
): Promise<readonly [string, FileHandle]> {
  const path = await mkdtemp(join(pathOf(parent), prefix));
  const directory = await openDirectory(path);
  // Whoever may rename in the directory above may have put another one there.
  if (!(await isPrivate(directory))) {
    await directory.close();
    throw unsafe(target, 'another user exchanges files beside it');
  }
  const file = await open(join(pathOf(directory), MARK), 'wx', 0o600);
  try {
    await file.writeFile(what);
  } finally {
    await file.close();
  }
  return [basename(path), directory];
}

/** By descriptor, so that it is this one that goes, whatever bears its name now. */
async function emptyOut(directory: FileHandle, parent: FileHandle, name: string): Promise<void> {
  for (const entry of await readdir(pathOf(directory), { encoding: 'buffer' }))
    await removeTree(Buffer.concat([Buffer.from(`${pathOf(directory)}/`), entry]));
  await rmdir(join(pathOf(parent), name)).catch(() => {});
}
