/**
 * Where one input or result lies below another one (`/app`, `/app/build`), the upper one needs a place for it:
 * an engine that mounts makes none on what it mounts for reading, and makes it as root elsewhere. Only copies of
 * the execution's own are changed, and never through a link of them.
 */
import { lstat, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Mount } from '../../engines/engine.ts';
import { isWithin, targetPath } from '../../job/paths.ts';
import { StorageError } from '../../storage/source.ts';

/**
 * @param own the mounts that may be changed.
 * @throws StorageError class spec: `input-kind`, where a file is in the way.
 */
export async function makeMountPoints(own: readonly Mount[], all: readonly Mount[]): Promise<void> {
  for (const mount of all) {
    const upper = nearestAbove(mount, own);
    if (upper === null) continue;
    const below = pathBelow(mount, upper);
    const isDirectory = (await lstat(mount.source)).isDirectory();
    const why = await makePlace(upper.source, below.split('/'), isDirectory);
    if (why === null) continue;
    const message = `What belongs at ${mount.target} has no place in the input at ${upper.target}: ${why}.`;
    throw new StorageError('spec', 'input-kind', message);
  }
}

function nearestAbove(mount: Mount, own: readonly Mount[]): Mount | null {
  const path = targetPath(mount.target);
  let nearest: Mount | null = null;
  for (const other of own) {
    const above = targetPath(other.target);
    if (above === path || !isWithin(path, above)) continue;
    if (nearest === null || isWithin(above, targetPath(nearest.target))) nearest = other;
  }
  return nearest;
}

function pathBelow(mount: Mount, upper: Mount): string {
  const above = targetPath(upper.target);
  return targetPath(mount.target).slice(above === '/' ? 1 : above.length + 1);
}

/** @returns why it cannot be, in words that end a sentence. */
async function makePlace(
  root: string,
  names: readonly string[],
  isDirectory: boolean,
): Promise<string | null> {
  let path = root;
  for (const [at, name] of names.entries()) {
    path = join(path, name);
    const isLast = at === names.length - 1;
    const wanted = isLast && !isDirectory ? 'file' : 'directory';
    const found = await lstat(path).catch(() => null);
    // Where it leads is seen by whoever mounts, inside of the sandbox.
    if (found?.isSymbolicLink() === true) return null;
    if (found === null) await (wanted === 'file' ? writeFile(path, '') : mkdir(path));
    else if (found.isDirectory() !== (wanted === 'directory'))
      return `${names.slice(0, at + 1).join('/')} there is ${found.isDirectory() ? 'a directory' : 'a file'}`;
  }
  return null;
}
