/**
 * Removes what executions leave behind: directories past their time, and whatever engines still have
 * of executions that nobody goes on with. Patient with those: after a restart the core takes a moment
 * to start again what it knows, and until then everything that was not over is left alone.
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

/** An execution that is not over and that nobody took up for this long is given up. */
const ORPHAN_AFTER_MS = 30_000;

/** @returns a function that sweeps once; it is told which executions are active. */
export function createSweeper(
  options: SweepOptions,
): (active: ReadonlySet<ExecutionId>) => Promise<void> {
  /** Not over, not active: since when that is so. */
  const idleSince = new Map<ExecutionId, number>();
  return async (active) => {
    await mkdir(options.executionsDir, { recursive: true, mode: 0o700 });
    const keep = new Set(active);
    const present = (await readdir(options.executionsDir))
      .filter(isExecutionDirectory)
      .map(asExecutionId);
    for (const execution of present.filter((each) => !active.has(each))) {
      try {
        if (await sweepOne(options, execution, idleSince)) keep.add(execution);
      } catch (error) {
        options.log.warn({ error, execution }, 'execution.sweep-failed');
      }
    }
    for (const execution of idleSince.keys())
      if (!keep.has(execution) || active.has(execution)) idleSince.delete(execution);
    for (const engine of options.engines.values()) await sweepEngine(engine, keep, options.log);
  };
}

/** @returns true when it is not over and may still be taken up. */
async function sweepOne(
  options: SweepOptions,
  execution: ExecutionId,
  idleSince: Map<ExecutionId, number>,
): Promise<boolean> {
  const files = executionFiles(options.executionsDir, execution);
  const forgotten = await files.read('forgotten');
  if (forgotten !== null) {
    if (options.now() - forgotten.at >= options.settings.logRetentionMs) await files.remove();
    return false;
  }
  if ((await files.read('final')) !== null) return false;
  const since = idleSince.get(execution) ?? options.now();
  idleSince.set(execution, since);
  if (options.now() - since < ORPHAN_AFTER_MS) return true;
  options.log.warn({ execution }, 'execution.orphaned');
  await giveUp(files, options.now());
  return false;
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
