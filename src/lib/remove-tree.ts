/**
 * Removes trees that somebody else made: any depth, also beyond PATH_MAX, never through a link. A
 * directory in a directory is moved up into the root before it is emptied, so no path is ever longer
 * than two names and no way back up has to be found.
 */
import { randomBytes } from 'node:crypto';
import { lstat, opendir, rename, rmdir, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { openDirectory, openUpOwn, pathBelow, pathOf } from './descriptor.ts';
import { errorCode } from './durable-file.ts';

/** Everything else is gone; these belong to another user, or the disk does not let go of them. */
export class TreeRemainsError extends Error {
  override readonly name = 'TreeRemainsError';
  /** Entries that could not be removed; what is in them is not counted. */
  readonly left: number;
  constructor(root: Buffer | string, left: number, cause: unknown) {
    super(`${left} entries of ${root.toString()} could not be removed: ${String(cause)}`, {
      cause,
    });
    this.left = left;
  }
}

const PASSES_MAX = 3;

interface Removal {
  readonly root: FileHandle;
  /** Begins the names of what was moved into the root; nobody else knows it. */
  readonly prefix: string;
  moved: number;
  left: number;
  why: unknown;
}

/**
 * Removes the file or tree; nothing when there is none. Whoever may write to the directory that holds
 * `root` must be trusted, and nobody may be using the tree. Safe to call again.
 * @throws TreeRemainsError when something could not be removed, after all the rest was.
 */
export async function removeTree(root: Buffer | string): Promise<void> {
  for (let pass = 1; !(await removedAlone(root)); pass += 1) {
    // More than once, as some disks leave names out of a list that changes while it is read.
    const { left, why } = await removeOnce(root);
    if (pass === PASSES_MAX) {
      if (left === 0) return rmdir(root);
      throw new TreeRemainsError(root, left, why);
    }
  }
}

async function removeOnce(root: Buffer | string): Promise<Removal> {
  const handle = await openDirectory(root);
  const prefix = `.removed-${randomBytes(16).toString('hex')}-`;
  const removal: Removal = { root: handle, prefix, moved: 0, left: 0, why: null };
  try {
    await empty(removal, handle);
    for (let at = 0; at < removal.moved; at += 1) {
      const path = pathBelow(handle, `${prefix}${at}`);
      await attempt(removal, async () => {
        const directory = await openDirectory(path);
        try {
          await empty(removal, directory);
        } finally {
          await directory.close();
        }
        await rmdir(path);
      });
    }
    return removal;
  } finally {
    await handle.close();
  }
}

/** True when nothing is left to do: it was not there, an empty directory, or no directory. */
async function removedAlone(path: Buffer | string): Promise<boolean> {
  try {
    await rmdir(path);
    return true;
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT') return true;
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    if (code !== 'ENOTDIR') throw error;
  }
  await unlink(path);
  return true;
}

/** Removes what is in a directory, but moves the directories that are not empty into the root. */
async function empty(removal: Removal, directory: FileHandle): Promise<void> {
  // Node's types do not know that names can be asked for as bytes here.
  const names = await opendir(pathOf(directory), { encoding: 'buffer' as BufferEncoding });
  for await (const entry of names) {
    const name = entry.name as unknown as Buffer;
    // Such a one comes up again in the root's own list when it was moved while that is read.
    if (directory === removal.root && name.toString().startsWith(removal.prefix)) continue;
    const path = pathBelow(directory, name);
    await attempt(removal, async () => {
      if (!(await lstat(path)).isDirectory()) return unlink(path);
      try {
        await rmdir(path);
      } catch (error) {
        if (errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'EEXIST') throw error;
        // Moving a directory changes its `..`, so it must be writable itself.
        await openUpOwn(path);
        await rename(path, pathBelow(removal.root, `${removal.prefix}${removal.moved}`));
        removal.moved += 1;
      }
    });
  }
}

async function attempt(removal: Removal, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    removal.left += 1;
    removal.why ??= error;
  }
}
