/**
 * The `wasm` engine: runs a WASI preview 1 module in a process of its own, under Node's permission
 * model, with nothing but its mounts. Prepares a run and cleans up after lost ones; the process
 * itself is `child.ts`, what happens inside it `runner.ts`. Needs no Docker and offers no network.
 */
import { access, constants, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asExecutionId } from '../../core/ids.ts';
import type { Engine, EngineOutcome, EngineRun, EngineStatus } from '../engine.ts';
import { runChild } from './child.ts';
import { cancelled, runnerNotStarted } from './failures.ts';
import { commandOf, findTools } from './launch.ts';
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

export function createWasmEngine(config: WasmEngineConfig): Engine {
  const limits = { cpuSeconds: config.cpuSecondsMax, openFilesMax: config.openFilesMax };
  const running = new Set<number>();
  let tools: Promise<Tools> | null = null;
  let tested = false;

  const start: Start = async (order, files, { execution, timeoutMs }, onStarted, signal) => {
    const known = await (tools ??= findTools(config.toolDirectories, limits));
    const runnerPath = await realpath(config.runnerPath).catch(() => null);
    if (runnerPath === null) {
      const failure = runnerNotStarted(`${config.runnerPath} is not there`);
      return { type: 'failed', failure, usage: null };
    }
    const { file, args } = await commandOf({
      nodePath: config.nodePath,
      runnerPath,
      tools: known,
      readable: [
        ...new Set([order.module, ...order.imports, ...order.mounts.map(({ source }) => source)]),
      ],
      writable: order.mounts.filter(({ writable }) => writable).map(({ source }) => source),
      limits,
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
      const found = await (tools ??= findTools(config.toolDirectories, limits));
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
      return start(prepared.value, run, run.order, onStarted, signal);
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
