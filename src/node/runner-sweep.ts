/**
 * Removes what executions leave behind: directories past their time, and whatever engines still have
 * of executions that nobody goes on with. To be asked only once the core has started again what it
 * knows: what is not active then is nobody's, at once and not after some time, or a peer that is
 * restarted again and again would never remove anything.
 */
import { mkdir, readdir } from 'node:fs/promises';
import { asExecutionId } from '../core/ids.ts';
import type { ExecutionId } from '../core/ids.ts';
import type { Engine } from '../engines/engine.ts';
import type { Log } from '../lib/log.ts';
import { executionFiles, isExecutionDirectory } from './runner-files.ts';
import type { ExecutionFiles } from './runner-files.ts';

export interface SweepOptions {
  readonly executionsDir: string;
  readonly engines: ReadonlyMap<string, Engine>;
  readonly settings: { readonly logRetentionMs: number };
  /** Wall clock, milliseconds. */
  readonly now: () => number;
  readonly log: Log;
}

/** @returns a function that sweeps once; it asks which executions are active. */
export function createSweeper(
  options: SweepOptions,
): (active: () => ReadonlySet<ExecutionId>) => Promise<void> {
  return async (active) => {
    await mkdir(options.executionsDir, { recursive: true, mode: 0o700 });
    const present = (await readdir(options.executionsDir))
      .filter(isExecutionDirectory)
      .map(asExecutionId);
    // Asked after the list: an execution is active before its directory is there.
    const running = active();
    for (const execution of present.filter((each) => !running.has(each))) {
      try {
        await sweepOne(options, execution);
      } catch (error) {
        options.log.warn({ error, execution }, 'execution.sweep-failed');
      }
    }
    for (const engine of options.engines.values()) await sweepEngine(engine, active(), options.log);
  };
}

async function sweepOne(options: SweepOptions, execution: ExecutionId): Promise<void> {
  const files = executionFiles(options.executionsDir, execution);
  const forgotten = await files.read('forgotten');
  if (forgotten !== null) {
    if (options.now() - forgotten.at >= options.settings.logRetentionMs) await files.remove();
    return;
  }
  if ((await files.read('final')) !== null) return;
  options.log.warn({ execution }, 'execution.orphaned');
  await giveUp(files, options.now());
}

async function giveUp(files: ExecutionFiles, at: number): Promise<void> {
  await files.clear();
  await files.write('forgotten', { at });
}

async function sweepEngine(
  engine: Engine,
  keep: ReadonlySet<ExecutionId>,
  log: Log,
): Promise<void> {
  try {
    const removed = await engine.sweep(keep);
    if (removed.length > 0)
      log.info({ engine: engine.name, removed: removed.length }, 'engine.swept');
  } catch (error) {
    log.warn({ error, engine: engine.name }, 'engine.sweep-failed');
  }
}
