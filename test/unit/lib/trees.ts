/** Trees that programs make to get out of sight: too deep for any path, or closed to others. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeTree } from '../../../src/lib/remove-tree.ts';

/** Makes `levels` directories inside each other with names of 200 bytes, and a file in the last one. */
export function makeDeep(root: string, levels: number, fileBytes: number): void {
  const before = process.cwd();
  const name = 'd'.repeat(200);
  process.chdir(root);
  try {
    for (let level = 0; level < levels; level += 1) {
      mkdirSync(name);
      process.chdir(name);
    }
    writeFileSync('bottom', Buffer.alloc(fileBytes, 1));
  } finally {
    process.chdir(before);
  }
}

export const isRoot = process.geteuid?.() === 0;

/** Does `work` as a user that owns nothing. Needs root. */
export async function asNobody<T>(work: () => Promise<T>): Promise<T> {
  process.seteuid?.(65_534);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
  }
}

/** A directory that is gone when the test is over, whatever is in it. */
export async function treePlace(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'shoal-tree-'));
  return { path, [Symbol.asyncDispose]: () => removeTree(path) };
}
