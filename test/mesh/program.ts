/**
 * The program under test, as a directory of its own: what `dist/` holds when it is newer than the
 * sources, else a fresh build. A copy, so that a rebuild under way elsewhere does not pull files
 * from under running peers. Starts nothing.
 */
import { cp, mkdir, mkdtemp, readdir, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildAll } from '../../scripts/build.ts';

export const root = join(import.meta.dirname, '../..');

export interface Program {
  /** `scripts/shoal` of this copy. */
  readonly command: string;
  readonly directory: string;
  remove(): Promise<void>;
}

/** The newest change below a path, milliseconds; 0 when it is not there. */
async function newest(path: string): Promise<number> {
  const stats = await stat(path).catch(() => null);
  if (stats === null) return 0;
  if (!stats.isDirectory()) return stats.mtimeMs;
  const names = await readdir(path);
  return Math.max(0, ...(await Promise.all(names.map((name) => newest(join(path, name))))));
}

async function isFresh(): Promise<boolean> {
  const built = await Promise.all(
    ['shoal.js', 'wasm-runner.js'].map((name) => newest(join(root, 'dist', name))),
  );
  const sources = await Promise.all(
    ['src', 'p2p', 'package.json'].map((name) => newest(join(root, name))),
  );
  return Math.min(...built) > Math.max(...sources);
}

/** @param failpoints a build at whose named places tests may break it */
export async function createProgram(failpoints = false): Promise<Program> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-program-'));
  await mkdir(join(directory, 'scripts'));
  await cp(join(root, 'scripts/shoal'), join(directory, 'scripts/shoal'));
  await cp(join(root, 'package.json'), join(directory, 'package.json'));
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
  const dist = join(directory, 'dist');
  if (!failpoints && (await isFresh())) await cp(join(root, 'dist'), dist, { recursive: true });
  else await buildAll(dist, failpoints);
  return {
    command: join(directory, 'scripts/shoal'),
    directory,
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}
