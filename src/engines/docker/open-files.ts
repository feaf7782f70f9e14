/**
 * Files that the processes of a container hold open or mapped without a name: deleted, and yet on the
 * disk until the last of them lets go. No walk through a tree finds them. Reads `/proc` of this
 * machine; a node without the right to look into those processes counts none of their files.
 */
import { readFile, readdir, stat } from 'node:fs/promises';
import { errorCode } from '../../lib/durable-file.ts';
import type { Looks } from '../../lib/walk-tree.ts';

export interface OpenFilesOptions {
  /** The first process of the container, as this machine numbers it; all others descend from it. */
  readonly init: number;
  /** Devices that lie on the disk; what is in memory counts as memory. */
  readonly devices: ReadonlySet<number>;
  /** Counting stops above it. */
  readonly enough: number;
  readonly looks: Looks;
}

/** Characters of a list of maps that take as long to read as a look at a file. */
const MAPS_A_LOOK = 10_000;

/**
 * Allocated bytes of all of them together; without end when there is more than may be looked at.
 * @throws the signal's reason
 */
export async function deletedBytes(
  options: OpenFilesOptions,
  signal: AbortSignal,
): Promise<number> {
  const seen = new Set<string>();
  let bytes = 0;
  for await (const path of openFilesOf(options.init, options.looks)) {
    signal.throwIfAborted();
    options.looks.left -= 1;
    if (options.looks.left < 0) return Number.POSITIVE_INFINITY;
    const found = await stat(path).catch(goneAs(null));
    if (found === null || !found.isFile() || found.nlink > 0) continue;
    const identity = `${found.dev}:${found.ino}`;
    if (!options.devices.has(found.dev) || seen.has(identity)) continue;
    seen.add(identity);
    bytes += found.blocks * 512;
    if (bytes > options.enough) break;
  }
  return bytes;
}

/** A path to each file that the processes hold; some of them several times. */
async function* openFilesOf(init: number, looks: Looks): AsyncGenerator<string> {
  const pending = [init];
  for (let pid = pending.pop(); pid !== undefined; pid = pending.pop()) {
    const tasks = await namesIn(`/proc/${pid}/task`);
    let shared = '';
    for (const task of tasks) {
      const at = `/proc/${pid}/task/${task}`;
      const children = await readFile(`${at}/children`, 'latin1').catch(goneAs(''));
      for (const child of children.split(' ')) if (child !== '') pending.push(Number(child));
      const names = await namesIn(`${at}/fd`);
      // Threads share one table, mostly; one that looks different is a table of its own.
      if (names.join() === shared) continue;
      shared ||= names.join();
      for (const name of names) yield `${at}/fd/${name}`;
    }
    const maps = await readFile(`/proc/${pid}/maps`, 'latin1').catch(goneAs(''));
    looks.left -= maps.length / MAPS_A_LOOK;
    for (const [, from, to] of maps.matchAll(DELETED)) yield `/proc/${pid}/map_files/${from}-${to}`;
  }
}

/** A line of `maps`: the addresses without leading zeros, as `map_files` names them. */
const DELETED = /^0*([0-9a-f]+)-0*([0-9a-f]+) .*\(deleted\)$/gm;

const namesIn = (path: string): Promise<readonly string[]> => readdir(path).catch(goneAs([]));

/** Processes end while one looks, and some may not be looked into. */
const HIDDEN: ReadonlySet<string | null> = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);

function goneAs<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (HIDDEN.has(errorCode(error))) return value;
    throw error;
  };
}
