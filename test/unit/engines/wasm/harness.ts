/** What the tests of the wasm engine share: an engine in a temporary directory, and its runs. */
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { environmentOf } from '../../../../src/core/record/execution.ts';
import type { ExecutionOrder } from '../../../../src/core/record/execution.ts';
import { asExecutionId, asJobId } from '../../../../src/core/record/ids.ts';
import type { Engine, EngineOutcome, EngineRun, Mount } from '../../../../src/engines/engine.ts';
import { createWasmEngine } from '../../../../src/engines/wasm/engine.ts';
import type { WasmEngineConfig } from '../../../../src/engines/wasm/prepare.ts';
import type { Json, Resources } from '../../../../src/job/model.ts';

const REPOSITORY = join(import.meta.dirname, '../../../..');
export const FIXTURES = join(REPOSITORY, 'test/fixtures/wasm');
/** The runner as sources. */
export const RUNNER = join(REPOSITORY, 'src/engines/wasm/runner.ts');
export const WORD_COUNT = join(REPOSITORY, 'examples/word-count/word-count.wasm');
export const MIB = 1 << 20;

export function configIn(
  directory: string,
  changes: Partial<WasmEngineConfig> = {},
): WasmEngineConfig {
  return {
    nodePath: process.execPath,
    runnerPath: RUNNER,
    scratchRoot: directory,
    toolDirectories: ['/usr/bin', '/bin'],
    maxModuleBytes: 64 * MIB,
    cpuSecondsMax: 60,
    memoryAllowanceBytes: 96 * MIB,
    filesMax: 1_000,
    openFilesMax: 256,
    pollMs: 50,
    ...changes,
  };
}

export interface Program {
  /** A fixture's name without ending, or an absolute path. */
  readonly module: string;
  readonly params?: Readonly<Record<string, Json>>;
  readonly mounts?: readonly Mount[];
  readonly env?: Readonly<Record<string, string>>;
  readonly resources?: Partial<Resources>;
  readonly timeoutMs?: number;
  readonly outputMaxBytes?: number;
  readonly execution?: string;
}

export interface Ran {
  readonly outcome: EngineOutcome;
  readonly stdout: string;
  readonly stderr: string;
  readonly started: boolean;
}

export interface Bench {
  readonly directory: string;
  readonly engine: Engine;
  /** A new empty directory. */
  folder(name: string): string;
  runOf(program: Program): EngineRun;
  run(program: Program, signal?: AbortSignal): Promise<Ran>;
  remove(): void;
}

/** Bundles the runner as the build does. @returns its path. */
function bundleRunner(directory: string): string {
  const outfile = join(directory, 'wasm-runner.js');
  const options = { bundle: true, platform: 'node', format: 'esm' } as const;
  buildSync({ entryPoints: [RUNNER], outfile, logLevel: 'silent', ...options });
  return outfile;
}

/** An engine with the bundled runner, which starts faster than the sources. */
export function createBench(changes: Partial<WasmEngineConfig> = {}): Bench {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'shoal-wasm-')));
  return benchIn(directory, { runnerPath: bundleRunner(directory), ...changes });
}

export function benchIn(directory: string, changes: Partial<WasmEngineConfig> = {}): Bench {
  const engine = createWasmEngine(configIn(directory, changes));
  let runs = 0;
  const bench: Bench = {
    directory,
    engine,
    folder: (name) => {
      const path = join(directory, name);
      mkdirSync(path, { recursive: true });
      return path;
    },
    runOf: (program) => {
      runs += 1;
      const scratchDir = bench.folder(`scratch-${process.pid}-${runs}`);
      const order = orderOf(program, `e-${runs}`);
      const path = program.module.startsWith('/')
        ? program.module
        : join(FIXTURES, `${program.module}.wasm`);
      return {
        order,
        mounts: [
          { source: path, target: '/main.wasm', writable: false },
          ...(program.mounts ?? []),
        ],
        env: program.env ?? environmentOf(order),
        elapsedMs: 0,
        stdoutPath: join(scratchDir, 'stdout'),
        stderrPath: join(scratchDir, 'stderr'),
        outputMaxBytes: program.outputMaxBytes ?? MIB,
        diskBytes: program.resources?.diskBytes ?? 64 * MIB,
        fileMaxBytes: null,
        scratchDir,
        atOnce: new AbortController().signal,
      };
    },
    run: async (program, signal = new AbortController().signal) => {
      const run = bench.runOf(program);
      let started = false;
      const outcome = await engine.run(
        run,
        () => {
          started = true;
        },
        signal,
      );
      return { outcome, started, stdout: textIn(run.stdoutPath), stderr: textIn(run.stderrPath) };
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
  return bench;
}

/** Waits until `holds` does; fails with `what` after 10 s. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The failure of a run, or what it did instead. */
export function failureOf({ outcome }: Ran): { readonly code: string; readonly class: string } {
  if (outcome.type === 'exited') return { code: `exited ${outcome.exitCode}`, class: 'none' };
  return { code: outcome.failure.code, class: outcome.failure.class };
}

export function exitCodeOf({ outcome, stderr }: Ran): number | string {
  return outcome.type === 'exited' ? outcome.exitCode : `${outcome.failure.message} ${stderr}`;
}

function textIn(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function orderOf(program: Program, execution: string): ExecutionOrder {
  return {
    execution: asExecutionId(program.execution ?? execution),
    job: asJobId('j-1'),
    jobType: 'batch',
    jobName: 'test',
    namespace: 'default',
    version: 1,
    partition: 0,
    partitionCount: 1,
    attempt: 0,
    restarts: 0,
    epoch: 1,
    holders: [],
    timeoutMs: program.timeoutMs ?? 60_000,
    task: {
      Name: 'main',
      Engine: { Type: 'wasm', Params: { EntryModule: '/main.wasm', ...program.params } },
      Publisher: { Type: '', Params: {} },
      Env: {},
      Meta: {},
      InputSources: [],
      ResultPaths: [],
      ResourcesConfig: { CPU: '', Memory: '', Disk: '', GPU: '' },
      resources: {
        cpuMillis: 100,
        memoryBytes: 64 * MIB,
        diskBytes: 0,
        gpus: 0,
        ...program.resources,
      },
      Network: { Type: 'None', Domains: [], Ports: [] },
      Timeouts: { ExecutionTimeout: 0, QueueTimeout: 0, TotalTimeout: 0 },
    },
  };
}
