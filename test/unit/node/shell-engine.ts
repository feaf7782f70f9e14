/**
 * An engine that runs `Params.Script` with /bin/sh: real processes, real files, no isolation. Its
 * programs outlive this process, and it finds them again, when it was made with `reattaches`.
 */
import { spawn } from 'node:child_process';
import { existsSync, openSync, readFileSync, closeSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { Engine, EngineOutcome, EngineRun } from '../../../src/engines/engine.ts';
import type { ExecutionId } from '../../../src/core/record/ids.ts';
import { pause } from '../../../src/lib/abort.ts';

export interface ShellEngine extends Engine {
  readonly runs: EngineRun[];
  readonly swept: ReadonlySet<ExecutionId>[];
}

export function createShellEngine(reattaches: boolean): ShellEngine {
  const runs: EngineRun[] = [];
  const swept: ReadonlySet<ExecutionId>[] = [];
  return {
    name: 'shell',
    runs,
    swept,
    probe: async () => ({ available: true, detail: '/bin/sh', warnings: [] }),
    async run(run, onStarted, signal) {
      runs.push(run);
      const began = performance.now();
      const pid = launch(run);
      onStarted();
      return await follow(run, pid, began, signal);
    },
    async reattach(run, onStarted, signal) {
      const note = join(run.scratchDir, 'pid');
      if (!reattaches || !existsSync(note)) return null;
      onStarted();
      return await follow(run, Number(readFileSync(note, 'utf8')), performance.now(), signal);
    },
    diskBytes: async () => 0,
    async sweep(keep) {
      swept.push(keep);
      return [];
    },
  };
}

function launch(run: EngineRun): number {
  const [stdout, stderr] = [openSync(run.stdoutPath, 'w'), openSync(run.stderrPath, 'w')];
  const script = `( ${String(run.order.task.Engine.Params['Script'])}\n); echo $? > "$SCRATCH/exit.new"; mv "$SCRATCH/exit.new" "$SCRATCH/exit"`;
  const mounts = Object.fromEntries(
    run.mounts.map(({ source, target }) => [`AT${target.replace(/\W/g, '_')}`, source]),
  );
  const child = spawn('/bin/sh', ['-c', script], {
    detached: true,
    stdio: ['ignore', stdout, stderr],
    env: { PATH: process.env['PATH'], SCRATCH: run.scratchDir, ...mounts, ...run.env },
  });
  child.unref();
  closeSync(stdout);
  closeSync(stderr);
  const pid = child.pid ?? 0;
  writeFileSync(join(run.scratchDir, 'pid'), String(pid));
  return pid;
}

async function follow(
  run: EngineRun,
  pid: number,
  began: number,
  signal: AbortSignal,
): Promise<EngineOutcome> {
  const exit = join(run.scratchDir, 'exit');
  while (!existsSync(exit) && (await pause(10, signal)));
  const usage = { cpuMs: null, peakMemoryBytes: null, wallMs: performance.now() - began };
  if (existsSync(exit)) {
    return {
      type: 'exited',
      exitCode: Number(readFileSync(exit, 'utf8')),
      usage,
      outputDropped: false,
    };
  }
  process.kill(-pid, 'SIGKILL');
  return {
    type: 'failed',
    failure: { code: 'cancelled', class: 'node', message: 'The program was stopped.' },
    usage,
  };
}
