/**
 * Files that the processes of a container hold open or mapped without a name: deleted, and yet on the
 * disk until the last of them lets go. No walk through a tree finds them. Reads `/proc` of this
 * machine; a node without the right to look into those processes counts none of their files.
 */
import { readFile, readdir, stat } from 'node:fs/promises';
import { errorCode } from '../../lib/durable-file.ts';
import type { Looks } from '../../lib/walk-tree.ts';

export interface OpenFilesOptions {
  /** Where the kernel tells of processes. */
  readonly proc: string;
  /** The first process of the container, as this machine numbers it; all others descend from it. */
  readonly init: number;
  /** Devices that lie on the disk; what is in memory counts as memory. */
  readonly devices: ReadonlySet<number>;
  /** Counting stops above it. */
  readonly enough: number;
  readonly looks: Looks;
  /** What was found out about these processes, from look to look. */
  readonly habits: Habits;
}

export interface Habits {
  /** Threads with open files of their own behind the numbers of another's were seen: all are looked at. */
  tablesApart: boolean;
  /** Looks in a row at which open files were on their way through a socket. */
  looksInFlight: number;
}

export const noHabits = (): Habits => ({ tablesApart: false, looksInFlight: 0 });

/** Threads of one process, and open files of each, that are compared with those of the first one. */
const THREADS_COMPARED = 32;
const FILES_COMPARED = 4;
/** Programs pass open files to each other, which takes a moment and not twenty seconds. */
const LOOKS_IN_FLIGHT_MAX = 10;

/** Characters of a list of maps that take as long to read as a look at a file. */
const MAPS_A_LOOK = 10_000;

/**
 * Allocated bytes of all of them together; without end when there is more than may be looked at.
 * @throws the signal's reason; an Error when open files stay where nobody can count them: sent through
 * a socket and not received.
 */
export async function deletedBytes(
  options: OpenFilesOptions,
  signal: AbortSignal,
): Promise<number> {
  const seen = new Set<string>();
  let bytes = 0;
  let inFlight = false;
  for await (const path of openFilesOf(options)) {
    signal.throwIfAborted();
    options.looks.left -= 1;
    if (options.looks.left < 0) return Number.POSITIVE_INFINITY;
    const found = await stat(path).catch(goneAs(null));
    if (found !== null && found.isSocket()) inFlight ||= await holdsFiles(path);
    if (found === null || !found.isFile() || found.nlink > 0) continue;
    const identity = `${found.dev}:${found.ino}`;
    if (!options.devices.has(found.dev) || seen.has(identity)) continue;
    seen.add(identity);
    bytes += found.blocks * 512;
    if (bytes > options.enough) break;
  }
  const { habits } = options;
  habits.looksInFlight = inFlight ? habits.looksInFlight + 1 : 0;
  if (habits.looksInFlight >= LOOKS_IN_FLIGHT_MAX)
    throw new Error('its processes keep open files in a socket, where they cannot be counted');
  return bytes;
}

/** True when open files were sent to a socket that are not received yet; older kernels do not say. */
const holdsFiles = async (socket: string): Promise<boolean> => {
  const facts = await readFile(socket.replace('/fd/', '/fdinfo/'), 'latin1').catch(goneAs(''));
  return /^scm_fds:\s*[1-9]/m.test(facts);
};

/** A path to each file that the processes hold; some of them several times. */
async function* openFilesOf({
  proc,
  init,
  looks,
  habits,
}: OpenFilesOptions): AsyncGenerator<string> {
  const pending = [init];
  for (let pid = pending.pop(); pid !== undefined; pid = pending.pop()) {
    const tasks = await namesIn(`${proc}/${pid}/task`);
    let shared = '';
    let first = '';
    for (const task of tasks) {
      const at = `${proc}/${pid}/task/${task}`;
      const children = await readFile(`${at}/children`, 'latin1').catch(goneAs(''));
      for (const child of children.split(' ')) if (child !== '') pending.push(Number(child));
      const names = await namesIn(`${at}/fd`);
      // Threads share one table, mostly; one that looks different is a table of its own.
      if (names.join() === shared && !habits.tablesApart) {
        if (Math.random() * tasks.length > THREADS_COMPARED) continue;
        if (!(await isApart(names, first, at))) continue;
        habits.tablesApart = true;
      }
      shared ||= names.join();
      first ||= at;
      for (const name of names) yield `${at}/fd/${name}`;
    }
    // All threads have the same, but one that has ended, as the first may, has none to show.
    for (const task of tasks) {
      const maps = await readFile(`${proc}/${task}/maps`, 'latin1').catch(goneAs(''));
      looks.left -= maps.length / MAPS_A_LOOK;
      for (const [, from, to] of maps.matchAll(DELETED))
        yield `${proc}/${task}/map_files/${from}-${to}`;
      if (maps !== '') break;
    }
  }
}

/**
 * True when two threads have different files behind the same number, and go on having them: it is not
 * one table that is changing. Looks at a few numbers, as no thread shares a table in secret for long.
 */
async function isApart(names: readonly string[], one: string, other: string): Promise<boolean> {
  for (let compared = 0; compared < FILES_COMPARED; compared += 1) {
    const name = names[Math.floor(Math.random() * names.length)];
    const pair = async (): Promise<string | null> => {
      const both = [one, other].map((at) => stat(`${at}/fd/${name}`).catch(goneAs(null)));
      const [a, b] = (await Promise.all(both)).map((found) => found && `${found.dev}:${found.ino}`);
      return a && b && a !== b ? `${a} ${b}` : null;
    };
    const before = await pair();
    if (before !== null && before === (await pair())) return true;
  }
  return false;
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
