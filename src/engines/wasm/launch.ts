/**
 * The command line of a runner process: Node's permission flags, and the small tools of the system
 * that wrap it where they exist. Starts only those tools, to see that they work.
 */
import { execFile } from 'node:child_process';
import { access, constants, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Marks a runner in the process table; followed by the execution id and its scratch directory. */
export const MARK = '--shoal-wasm-run';

const SHIM = '@bjorn3/browser_wasi_shim';
const TOOL_CHECK_MS = 5_000;
/** Our own objects; neither the program's memory nor its compiled code is in this heap. */
const HEAP_MIB = 48;
const YOUNG_HEAP_MIB = 4;
/** Elements, 8 bytes each: tables are memory that the program's own limit does not count. */
const TABLE_MAX = 1_000_000;

/** Absolute paths; null where the tool is missing or does not do what is needed. */
export interface Tools {
  /** util-linux: sets resource limits, then becomes the runner. */
  readonly prlimit: string | null;
  /** util-linux: makes the kernel end the runner with its parent, and drops privileges. */
  readonly setpriv: string | null;
}

export interface Limits {
  /** CPU time of one runner, whole seconds. */
  readonly cpuSeconds: number;
  /** Descriptors that a program may hold. */
  readonly openFilesMax: number;
}

export interface Launch {
  readonly nodePath: string;
  readonly runnerPath: string;
  readonly tools: Tools;
  /** Files and directories that the runner may read, apart from its own code. */
  readonly readable: readonly string[];
  readonly writable: readonly string[];
  readonly limits: Limits;
  /** What `sweep` finds it by. */
  readonly execution: string;
  readonly scratchDir: string;
}

/** Descriptors of the runner itself: pipes, event loop, modules being read. */
const OWN_DESCRIPTORS = 64;

function prlimitArguments({ cpuSeconds, openFilesMax }: Limits): readonly string[] {
  // Soft below hard: the soft limit ends the process by SIGXCPU, which tells the cause.
  const cpu = `--cpu=${cpuSeconds}:${cpuSeconds + 1}`;
  return [cpu, `--nofile=${openFilesMax + OWN_DESCRIPTORS}`, '--core=0', '--'];
}

function setprivArguments(): readonly string[] {
  const always = ['--pdeathsig', 'KILL', '--no-new-privs'];
  // Root keeps the right to open what the daemon could open (mounts of other users), and no other.
  const asRoot = ['--inh-caps=-all', '--bounding-set=-all,+dac_override'];
  return process.getuid?.() === 0 ? [...always, ...asRoot, '--'] : [...always, '--'];
}

/** Looks the tools up in `directories` and tries each with the very arguments that will be used. */
export async function findTools(directories: readonly string[], limits: Limits): Promise<Tools> {
  const [prlimit, setpriv] = await Promise.all([
    findTool(directories, 'prlimit', prlimitArguments(limits)),
    findTool(directories, 'setpriv', setprivArguments()),
  ]);
  return { prlimit, setpriv };
}

async function findTool(
  directories: readonly string[],
  name: string,
  args: readonly string[],
): Promise<string | null> {
  for (const directory of directories) {
    const path = join(directory, name);
    try {
      await access(path, constants.X_OK);
      await promisify(execFile)(path, [...args, path, '--version'], {
        timeout: TOOL_CHECK_MS,
        env: {},
      });
      return path;
    } catch {
      // Missing, too old, or without the right to do it: the next directory, or the fallback.
    }
  }
  return null;
}

/** The program and arguments of one runner. */
export async function commandOf(
  launch: Launch,
): Promise<{ file: string; args: readonly string[] }> {
  const { tools } = launch;
  const code = await codeOf(launch.runnerPath);
  const node = [
    launch.nodePath,
    '--permission',
    ...[...code, ...launch.readable].map((path) => `--allow-fs-read=${path}`),
    ...launch.writable.map((path) => `--allow-fs-write=${path}`),
    // Only the watcher of `runner.ts` is a thread, and only where the kernel does not watch.
    ...(tools.setpriv === null ? ['--allow-worker'] : []),
    `--max-old-space-size=${HEAP_MIB}`,
    `--max-semi-space-size=${YOUNG_HEAP_MIB}`,
    `--wasm-max-table-size=${TABLE_MAX}`,
    '--disallow-code-generation-from-strings',
    '--disable-sigusr1',
    '--no-addons',
    '--no-warnings',
    launch.runnerPath,
    MARK,
    launch.execution,
    launch.scratchDir,
  ];
  const setpriv = tools.setpriv === null ? [] : [tools.setpriv, ...setprivArguments()];
  const prlimit = tools.prlimit === null ? [] : [tools.prlimit, ...prlimitArguments(launch.limits)];
  const [file, ...args] = [...prlimit, ...setpriv, ...node];
  if (file === undefined) throw new Error('the command of a runner is never empty');
  return { file, args };
}

/** What Node reads to start the runner: one bundled file, or the sources and the shim. */
async function codeOf(runnerPath: string): Promise<readonly string[]> {
  if (!runnerPath.endsWith('.ts')) return [runnerPath];
  const shim = dirname(dirname(fileURLToPath(import.meta.resolve(SHIM))));
  return [dirname(runnerPath), await realpath(shim)];
}
