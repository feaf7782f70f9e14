/**
 * Small files that must survive a crash: written beside, synced, renamed. A reader sees the old
 * content or the new one, never a part.
 */
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { failpoint } from './failpoint.ts';

/** Replaces `path` with `text`; on return it is on disk. Mode 0600. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const draft = `${path}.new`;
  const file = await open(draft, 'w', 0o600);
  try {
    await file.writeFile(text);
    failpoint('file.written');
    await file.sync();
  } finally {
    await file.close();
  }
  failpoint('file.synced');
  await rename(draft, path);
  failpoint('file.renamed');
  await syncDirectory(dirname(path));
}

/** Makes the names in a directory durable. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** @returns null when there is no such file. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

/** `ENOENT`, `EACCES` …; null for errors that are not the system's. */
export function errorCode(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : null;
}
