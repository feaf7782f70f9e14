/**
 * The `wasm` engine: runs a WASI preview 1 module in a process of its own, under Node's permission
 * model, with nothing but its mounts. Prepares a run and cleans up after lost ones; the process
 * itself is `child.ts`, what happens inside it `runner.ts`. Needs no Docker and offers no network.
 */
import { access, constants, lstat, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ExecutionFailure } from '../../core/execution.ts';
import { asExecutionId } from '../../core/ids.ts';
import type { Engine, EngineOutcome, EngineRun, EngineStatus, Mount } from '../engine.ts';
import { runChild } from './child.ts';
import { cancelled, mountUnusable } from './failures.ts';
import { commandOf, findTools } from './launch.ts';
import type { Tools } from './launch.ts';
import { componentsOf, findModule, readParams } from './params.ts';
import type { Found } from './params.ts';
import { executionOf, findRunners } from './process-table.ts';
import { MEMORY_PAGES_MAX, PAGE_BYTES } from './wire.ts';
import type { RunnerMount, RunnerOrder } from './wire.ts';

export interface WasmEngineConfig {
  /** Absolute path of the Node.js program, 24 or newer. */
  readonly nodePath: string;
  /** Absolute path of `runner.ts`, or of its bundle (any other ending). */
  readonly runnerPath: string;
  /** Directory of this node in which every `scratchDir` lies; marks its runners in the process table. */
  readonly scratchRoot: string;
  /** Where `prlimit` and `setpriv` are looked for, e.g. `/usr/bin`. */
  readonly toolDirectories: readonly string[];
  /** Largest module, bytes. */
  readonly maxModuleBytes: number;
  /** CPU time of one execution, whole seconds ≥ 1. */
  readonly cpuSecondsMax: number;
  /** Linear memory where the task names none, and the most it gets; bytes ≤ 4 GiB. */
  readonly memoryBytesMax: number;
  /** What the process may hold besides the linear memory (Node itself, compiled code); bytes. */
  readonly memoryAllowanceBytes: number;
  /** Growth of writable mounts where the task names no disk, and the most it gets; bytes. */
  readonly diskBytesMax: number;
  /** Files and directories that one execution may create. */
  readonly filesMax: number;
  /** Descriptors that one execution may hold. */
  readonly openFilesMax: number;
  /** Milliseconds between two looks at memory and CPU time of a running program. */
  readonly pollMs: number;
}

/** `(module (func (export "_start")))`: what the engine runs to see that it works. */
const SELF_TEST = Buffer.from(
  '0061736d01000000' + '010401600000' + '03020100' + '070a01065f73746172740000' + '0a040102000b',
  'hex',
);
const SELF_TEST_MS = 8_000;
const SELF_TEST_PAGES = 16;

/** The part of a task that asks for something, 0 meaning nothing in particular. */
const shareOf = (wanted: number, max: number): number => (wanted > 0 ? Math.min(wanted, max) : max);

export function createWasmEngine(config: WasmEngineConfig): Engine {
  const running = new Set<number>();
  let tools: Promise<Tools> | null = null;
  let tested = false;

  const start = async (
    order: RunnerOrder,
    files: Pick<EngineRun, 'stdoutPath' | 'stderrPath' | 'outputMaxBytes' | 'scratchDir'>,
    execution: string,
    timeoutMs: number,
    onStarted: () => void,
    signal: AbortSignal,
  ): Promise<EngineOutcome> => {
    const known = await (tools ??= findTools(config.toolDirectories));
    const { file, args } = await commandOf({
      nodePath: config.nodePath,
      runnerPath: await realpath(config.runnerPath),
      tools: known,
      readable: [...new Set([order.module, ...order.imports, ...order.mounts.map(({ source }) => source)])],
      writable: order.mounts.filter(({ writable }) => writable).map(({ source }) => source),
      cpuSeconds: config.cpuSecondsMax,
      openFilesMax: config.openFilesMax,
      execution,
      scratchDir: files.scratchDir,
    });
    let own: number | null = null;
    const onPid = (pid: number | null): void => {
      if (own !== null) running.delete(own);
      if (pid !== null) running.add(pid);
      own = pid;
    };
    const run = {
      file,
      args,
      order: { ...order, watchParent: known.setpriv === null },
      stdoutPath: files.stdoutPath,
      stderrPath: files.stderrPath,
      outputMaxBytes: files.outputMaxBytes,
      timeoutMs,
      cpuSeconds: config.cpuSecondsMax,
      residentBytesMax: order.memoryPagesMax * PAGE_BYTES + config.memoryAllowanceBytes,
      pollMs: config.pollMs,
    };
    return runChild(run, onStarted, onPid, signal);
  };

  const kill = async (wanted: (execution: string) => boolean): Promise<readonly string[]> => {
    const removed: string[] = [];
    for (const { pid, execution } of await findRunners(config.scratchRoot)) {
      // What this process started itself ends by its own signal.
      if (running.has(pid) || !wanted(execution)) continue;
      // Looked at again, because the number may have gone to another process meanwhile.
      if ((await executionOf(pid, config.scratchRoot)) !== execution) continue;
      try {
        process.kill(pid, 'SIGKILL');
        removed.push(`wasm runner ${pid} of ${execution}`);
      } catch {
        // Gone meanwhile, or another user's.
      }
    }
    return removed;
  };

  return {
    name: 'wasm',

    probe: async (signal) => {
      const found = await (tools ??= findTools(config.toolDirectories));
      const why = tested ? await unreadable(config) : await selfTest(config, start, signal);
      // A failure may come from a tool that was replaced: look again next time.
      if (why !== null) tools = null;
      tested = why === null;
      return statusOf(why, found);
    },

    run: async (run, onStarted, signal) => {
      if (signal.aborted) return { type: 'failed', failure: cancelled(), usage: null };
      const prepared = await prepare(config, run);
      if (!prepared.ok) return { type: 'failed', failure: prepared.failure, usage: null };
      const { execution, timeoutMs } = run.order;
      return start(prepared.value, run, execution, timeoutMs, onStarted, signal);
    },

    // A runner ends with its parent, so nothing can be taken up; should one have stayed behind all
    // the same, it must not write beside the new one.
    reattach: async (run) => {
      await kill((execution) => execution === run.order.execution);
      return null;
    },

    sweep: (keep) => kill((execution) => !keep.has(asExecutionId(execution))),
  };
}

/** Everything the runner must know, with host paths checked. */
async function prepare(config: WasmEngineConfig, run: EngineRun): Promise<Found<RunnerOrder>> {
  const { task } = run.order;
  const params = readParams(task.Engine);
  if (!params.ok) return params;
  const mounts: RunnerMount[] = [];
  for (const mount of run.mounts) {
    const checked = await checkMount(mount);
    if (!checked.ok) return checked;
    mounts.push(checked.value);
  }
  const sources = mounts.map(({ source, target, writable }) => ({ source, target: target.join('/'), writable }));
  const modules: string[] = [];
  for (const target of [...params.value.importModules, params.value.entryModule]) {
    const module = await findModule(target, sources, config.maxModuleBytes);
    if (!module.ok) return module;
    modules.push(module.value);
  }
  const { memoryBytes, diskBytes } = task.resources;
  return {
    ok: true,
    value: {
      ...commonOrder(config),
      module: modules.at(-1) ?? '',
      imports: modules.slice(0, -1),
      entrypoint: params.value.entrypoint,
      args: ['', ...params.value.parameters],
      env: run.env,
      mounts,
      memoryPagesMax: pagesOf(shareOf(memoryBytes, config.memoryBytesMax)),
      diskBytes: shareOf(diskBytes, config.diskBytesMax),
    },
  };
}

const pagesOf = (bytes: number): number => Math.min(MEMORY_PAGES_MAX, Math.max(1, Math.floor(bytes / PAGE_BYTES)));

function commonOrder(
  config: WasmEngineConfig,
): Pick<RunnerOrder, 'maxModuleBytes' | 'filesMax' | 'openFilesMax' | 'parentPid' | 'watchParent'> {
  return {
    maxModuleBytes: config.maxModuleBytes,
    filesMax: config.filesMax,
    openFilesMax: config.openFilesMax,
    parentPid: process.pid,
    watchParent: false,
  };
}

/** The permission model compares paths as they really are, so links above a mount are resolved here. */
async function checkMount(mount: Mount): Promise<Found<RunnerMount>> {
  const refuse = (why: string): Found<never> => {
    const failure: ExecutionFailure = mountUnusable(mount.target, why);
    return { ok: false, failure };
  };
  // An asterisk would widen Node's permission to everything that begins with what is before it.
  if (mount.source.includes('*')) return refuse('its path on this node has an asterisk');
  try {
    const source = join(await realpath(dirname(mount.source)), basename(mount.source));
    const stat = await lstat(source);
    if (!stat.isDirectory() && !stat.isFile()) return refuse('it is neither a file nor a directory');
    return { ok: true, value: { source, target: componentsOf(mount.target), writable: mount.writable } };
  } catch (error) {
    return refuse(error instanceof Error && 'code' in error ? String(error.code) : String(error));
  }
}

/** @returns what is not there any more; null when all is. */
async function unreadable(config: WasmEngineConfig): Promise<string | null> {
  for (const [path, mode] of [
    [config.nodePath, constants.X_OK],
    [config.runnerPath, constants.R_OK],
  ] as const) {
    const usable = await access(path, mode).then(() => true, () => false);
    if (!usable) return `${path} cannot be used`;
  }
  return null;
}

type Start = (
  order: RunnerOrder,
  files: Pick<EngineRun, 'stdoutPath' | 'stderrPath' | 'outputMaxBytes' | 'scratchDir'>,
  execution: string,
  timeoutMs: number,
  onStarted: () => void,
  signal: AbortSignal,
) => Promise<EngineOutcome>;

/** Runs an empty module through everything. @returns why that failed; null when it did not. */
async function selfTest(config: WasmEngineConfig, start: Start, signal: AbortSignal): Promise<string | null> {
  const missing = await unreadable(config);
  if (missing !== null) return missing;
  const scratchDir = await mkdtemp(join(config.scratchRoot, 'probe-')).catch(() => null);
  if (scratchDir === null) return `${config.scratchRoot} cannot be written`;
  try {
    const module = join(await realpath(scratchDir), 'empty.wasm');
    await writeFile(module, SELF_TEST);
    const order: RunnerOrder = {
      ...commonOrder(config),
      module,
      imports: [],
      entrypoint: '_start',
      args: [''],
      env: {},
      mounts: [],
      memoryPagesMax: SELF_TEST_PAGES,
      diskBytes: 0,
    };
    const [stdoutPath, stderrPath] = [join(scratchDir, 'stdout'), join(scratchDir, 'stderr')];
    const files = { stdoutPath, stderrPath, outputMaxBytes: PAGE_BYTES, scratchDir };
    const outcome = await start(order, files, 'probe', SELF_TEST_MS, () => {}, signal);
    return outcome.type === 'exited' ? null : outcome.failure.message;
  } finally {
    await rm(scratchDir, { recursive: true, force: true });
  }
}

function statusOf(why: string | null, tools: Tools): EngineStatus {
  if (why !== null) return { available: false, detail: `Wasm modules cannot run here: ${why}`, warnings: [] };
  const warnings: string[] = [];
  if (tools.prlimit === null) {
    warnings.push('prlimit was not found: CPU time is polled, so a program may exceed its limit a little.');
  }
  if (tools.setpriv === null) {
    warnings.push('setpriv was not found: a thread in each runner watches for the end of this process.');
  }
  if (process.getuid?.() === 0) {
    warnings.push('This node runs as root, and so do wasm runners, without capabilities but one. Use an own user.');
  }
  return { available: true, detail: 'WASI preview 1', warnings };
}
