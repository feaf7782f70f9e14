/**
 * The `wasm` engine: runs a WASI preview 1 module in a process of its own, under Node's permission
 * model, with nothing but its mounts. Prepares a run and cleans up after lost ones; the process
 * itself is `child.ts`, what happens inside it `runner.ts`. Needs no Docker and offers no network.
 *
 * Three things differ from Bacalhau: a plain return is exit code 0 (there -1), result paths are
 * mounted at their Path (there at `/<Name>`), and there is no host module `wasi:http/requests`. CPU
 * shares are not enforced, CPU time is. A daemon that runs as root runs its runners as root too,
 * without any capability but that to open files: another user could not reach the data directory.
 */
import { access, constants, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asExecutionId } from '../../core/record/ids.ts';
import type { Engine, EngineOutcome, EngineRun, EngineStatus } from '../engine.ts';
import { runChild } from './child.ts';
import type { ChildRun } from './child.ts';
import { cancelled, runnerNotStarted } from './failures.ts';
import { commandOf, findTools, MARK } from './launch.ts';
import type { Tools } from './launch.ts';
import { commonOrder, prepare } from './prepare.ts';
import type { WasmEngineConfig } from './prepare.ts';
import { executionOf, findRunners } from './process-table.ts';
import { PAGE_BYTES } from './wire.ts';
import type { RunnerOrder } from './wire.ts';

/** `(module (func (export "_start")))`: what the engine runs to see that it works. */
const SELF_TEST_MODULE = Buffer.from(
  '0061736d01000000' + '010401600000' + '03020100' + '070a01065f73746172740000' + '0a040102000b',
  'hex',
);
const SELF_TEST = { execution: 'probe', timeoutMs: 8_000 };
const SELF_TEST_PAGES = 16;

type Start = (
  order: RunnerOrder,
  files: Pick<EngineRun, 'stdoutPath' | 'stderrPath' | 'outputMaxBytes' | 'scratchDir'>,
  task: { readonly execution: string; readonly timeoutMs: number },
  onStarted: () => void,
  signal: AbortSignal,
) => Promise<EngineOutcome>;

/** The state of one engine: what it found on this machine, and the runners it has started. */
interface State {
  readonly config: WasmEngineConfig;
  readonly running: Set<number>;
  tools: Promise<Tools> | null;
  tested: boolean;
}

export function createWasmEngine(config: WasmEngineConfig): Engine {
  const state: State = { config, running: new Set(), tools: null, tested: false };
  const start: Start = (...args) => startRunner(state, ...args);
  return {
    name: 'wasm',

    probe: async (signal) => {
      const tools = await toolsOf(state);
      const why = state.tested ? await unreadable(config) : await selfTest(config, start, signal);
      // A failure may come from a tool that was replaced: look again next time.
      if (why !== null) state.tools = null;
      state.tested = why === null;
      return statusOf(why, tools);
    },

    run: async (run, onStarted, signal) => {
      if (signal.aborted) return { type: 'failed', failure: cancelled(), usage: null };
      const prepared = await prepare(config, run);
      if (!prepared.ok) return { type: 'failed', failure: prepared.failure, usage: null };
      return start(prepared.value, run, run.order, onStarted, signal);
    },

    // A runner ends with its parent, so nothing can be taken up; should one have stayed behind all
    // the same, it must not write beside the new one.
    reattach: async (run) => {
      await killRunners(state, (execution) => execution === run.order.execution);
      return null;
    },

    // It writes to its mounts alone.
    diskBytes: () => Promise.resolve(0),
    remainsOf: (execution) => ({ type: 'process', commandLine: [MARK, execution] }),

    sweep: (keep) => killRunners(state, (execution) => !keep.has(asExecutionId(execution))),
  };
}

function toolsOf(state: State): Promise<Tools> {
  const { toolDirectories, cpuSecondsMax, openFilesMax } = state.config;
  state.tools ??= findTools(toolDirectories, { cpuSeconds: cpuSecondsMax, openFilesMax });
  return state.tools;
}

async function startRunner(
  state: State,
  ...[order, files, task, onStarted, signal]: Parameters<Start>
): Promise<EngineOutcome> {
  const { config, running } = state;
  const tools = await toolsOf(state);
  const runnerPath = await realpath(config.runnerPath).catch(() => null);
  if (runnerPath === null) {
    const failure = runnerNotStarted(`${config.runnerPath} is not there`);
    return { type: 'failed', failure, usage: null };
  }
  const sources = order.mounts.map(({ source }) => source);
  const command = await commandOf({
    nodePath: config.nodePath,
    runnerPath,
    tools,
    readable: [...new Set([order.module, ...order.imports.map(({ path }) => path), ...sources])],
    writable: order.mounts.filter(({ writable }) => writable).map(({ source }) => source),
    limits: { cpuSeconds: config.cpuSecondsMax, openFilesMax: config.openFilesMax },
    execution: task.execution,
    scratchDir: files.scratchDir,
  });
  const run: ChildRun = {
    ...command,
    order: { ...order, watchParent: tools.setpriv === null },
    stdoutPath: files.stdoutPath,
    stderrPath: files.stderrPath,
    outputMaxBytes: files.outputMaxBytes,
    timeoutMs: task.timeoutMs,
    cpuSeconds: config.cpuSecondsMax,
    residentBytesMax: order.memoryPagesMax * PAGE_BYTES + config.memoryAllowanceBytes,
    pollMs: config.pollMs,
  };
  let own: number | null = null;
  const onPid = (pid: number | null): void => {
    if (own !== null) running.delete(own);
    if (pid !== null) running.add(pid);
    own = pid;
  };
  return runChild(run, onStarted, onPid, signal);
}

/** @returns what was killed, in words. */
async function killRunners(
  { config, running }: State,
  wanted: (execution: string) => boolean,
): Promise<readonly string[]> {
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
}

/** @returns what is not there any more; null when all is. */
async function unreadable(config: WasmEngineConfig): Promise<string | null> {
  for (const [path, mode] of [
    [config.nodePath, constants.X_OK],
    [config.runnerPath, constants.R_OK],
  ] as const) {
    const usable = await access(path, mode).then(
      () => true,
      () => false,
    );
    if (!usable) return `${path} cannot be used`;
  }
  return null;
}

/** Runs an empty module through everything. @returns why that failed; null when it did not. */
async function selfTest(
  config: WasmEngineConfig,
  start: Start,
  signal: AbortSignal,
): Promise<string | null> {
  const missing = await unreadable(config);
  if (missing !== null) return missing;
  const scratchDir = await mkdtemp(join(config.scratchRoot, 'probe-')).catch(() => null);
  if (scratchDir === null) return `${config.scratchRoot} cannot be written`;
  try {
    const module = join(await realpath(scratchDir), 'empty.wasm');
    await writeFile(module, SELF_TEST_MODULE);
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
    const outcome = await start(order, files, SELF_TEST, () => {}, signal);
    return outcome.type === 'exited' ? null : outcome.failure.message;
  } finally {
    await rm(scratchDir, { recursive: true, force: true });
  }
}

function statusOf(why: string | null, tools: Tools): EngineStatus {
  if (why !== null)
    return { available: false, detail: `Wasm modules cannot run here: ${why}`, warnings: [] };
  const warnings: string[] = [];
  if (tools.prlimit === null) {
    warnings.push(
      'prlimit was not found: CPU time is polled, so a program may exceed its limit a little.',
    );
  }
  if (tools.setpriv === null) {
    warnings.push(
      'setpriv was not found: a thread in each runner watches for the end of this process.',
    );
  }
  if (process.getuid?.() === 0) {
    warnings.push('This node runs as root, and so do wasm runners. Start it as a user of its own.');
  }
  return { available: true, detail: 'WASI preview 1', warnings };
}
