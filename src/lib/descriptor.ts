/**
 * Directories held by descriptor. A path is resolved anew by every call, so whoever may write above
 * its end decides where the call goes; what lies below a descriptor stays below it. Node has no
 * `openat`, but on Linux `/proc/self/fd/N/name` is the same. One name at a time is opened, and no
 * link is followed, so such a path is never longer than a name and never leads elsewhere.
 */
import { constants } from 'node:fs';
import type { BigIntStats, Stats } from 'node:fs';
import { chmod, mkdir, open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { errorCode } from './durable-file.ts';

/** Names an inode without opening it: needs no right to read it. Node does not export it; Linux only. */
const O_PATH = 0x20_0000;

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** The path of what the descriptor holds; following it is what opens it again. */
export const pathOf = (handle: FileHandle): string => `/proc/self/fd/${handle.fd}`;

/** A path for `name` in an open directory, good as long as the descriptor is. Names may be any bytes. */
export const pathBelow = (handle: FileHandle, name: Buffer | string): Buffer =>
  Buffer.concat([Buffer.from(`${pathOf(handle)}/`), Buffer.from(name as string)]);

/** Tells one file from all others, as long as it is open. Needs bigint: inodes have 64 bits. */
export const identityOf = (stat: Pick<BigIntStats, 'dev' | 'ino'>): string =>
  `${stat.dev}:${stat.ino}`;

export async function identityOfOpen(handle: FileHandle): Promise<string> {
  return identityOf(await handle.stat({ bigint: true }));
}

/**
 * Opens a directory to be read and changed, never through a link at its end. One that belongs to this
 * user but is closed even to it is opened up (0700 is added to its mode), so that nothing can be
 * hidden in it or kept from being removed.
 * @throws the system's error: ENOENT, ENOTDIR and ELOOP when no directory is there, EACCES when it
 * belongs to somebody else.
 */
export async function openDirectory(path: Buffer | string): Promise<FileHandle> {
  try {
    const handle = await open(path, DIRECTORY);
    if (isClosedToOwner(await handle.stat())) await chmodUp(handle);
    return handle;
  } catch (error) {
    if (errorCode(error) !== 'EACCES') throw error;
    await openUpOwn(path);
    return await open(path, DIRECTORY);
  }
}

/** Adds 0700 to the mode of a directory of this user; anything else stays as it is. */
export async function openUpOwn(path: Buffer | string): Promise<void> {
  const handle = await open(path, O_PATH | DIRECTORY);
  try {
    if (isClosedToOwner(await handle.stat())) await chmodUp(handle);
  } finally {
    await handle.close();
  }
}

const isClosedToOwner = ({ uid, mode }: Pick<Stats, 'uid' | 'mode'>): boolean =>
  (mode & 0o700) !== 0o700 && uid === process.geteuid?.();

/** By its path below /proc, because the descriptor of O_PATH cannot be used for it. */
async function chmodUp(handle: FileHandle): Promise<void> {
  await chmod(pathOf(handle), ((await handle.stat()).mode & 0o777) | 0o700);
}

/** What is made of the part of a path that is not there yet. */
export type Make = 'nothing' | 'directory' | 'file';

/**
 * Opens an absolute path name by name from the root, through no link at all, so that whoever may
 * write somewhere on the way cannot lead elsewhere. Neither reads nor changes what it finds; what is
 * missing is made when that is asked for, directories down to the last name.
 * @throws the system's error: ENOENT, or ENOTDIR or ELOOP when there is a link in it.
 */
export async function openWithoutLinks(path: string, make: Make): Promise<FileHandle> {
  const names = path.split('/').filter((name) => name !== '');
  let here = await open('/', O_PATH | DIRECTORY);
  for (const [at, name] of names.entries()) {
    const isLast = at === names.length - 1;
    try {
      const next = await openOrMake(pathBelow(here, name), isLast, make);
      await here.close();
      here = next;
    } catch (error) {
      await here.close();
      throw error;
    }
  }
  return here;
}

async function openOrMake(path: Buffer, isLast: boolean, make: Make): Promise<FileHandle> {
  const flags = O_PATH | constants.O_NOFOLLOW | (isLast ? 0 : constants.O_DIRECTORY);
  try {
    return await openNoLink(path, flags);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' || make === 'nothing') throw error;
    await (isLast && make === 'file' ? makeFile(path) : mkdir(path)).catch(unlessThere);
    return await openNoLink(path, flags);
  }
}

/** A link itself can be opened with O_PATH, which is not what anybody wants here. */
async function openNoLink(path: Buffer, flags: number): Promise<FileHandle> {
  const handle = await open(path, flags);
  if (!(await handle.stat()).isSymbolicLink()) return handle;
  await handle.close();
  throw Object.assign(new Error('ELOOP: a symbolic link'), { code: 'ELOOP' });
}

async function makeFile(path: Buffer): Promise<void> {
  const flags = constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | constants.O_WRONLY;
  await (await open(path, flags, 0o644)).close();
}

/** Somebody else may have made it just now; whether it will do is looked at anew. */
function unlessThere(error: unknown): void {
  if (errorCode(error) !== 'EEXIST') throw error;
}
