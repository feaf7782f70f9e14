/**
 * Removes what executions leave behind: directories past their time, and whatever engines still have
 * of executions that nobody goes on with. To be asked only once the core has started again what it
 * knows: what is not active then is nobody's, at once and not after some time, or a peer that is
 * restarted again and again would never remove anything.
 */
import { lstat, mkdir, readdir } from 'node:fs/promises';
import { asExecutionId } from '../../core/record/ids.ts';
import type { ExecutionId } from '../../core/record/ids.ts';
import type { Engine } from '../../engines/engine.ts';
import type { Log } from '../../lib/log.ts';
import { executionFiles, isExecutionDirectory } from './files.ts';
import type { ExecutionFiles } from './files.ts';

export interface SweepOptions {
  readonly executionsDir: string;
  readonly engines: ReadonlyMap<string, Engine>;
  readonly settings: { readonly logRetentionMs: number; readonly logsMaxBytes: number };
  /** Counted time, milliseconds. */
  readonly now: () => number;
  readonly log: Log;
}

/** A finished execution whose logs are still here. */
interface Kept {
  readonly files: ExecutionFiles;
  readonly endedAt: number;
  readonly bytes: number;
}

/** @returns a function that sweeps once; it asks which executions are active. */
export function createSweeper(
  options: SweepOptions,
): (active: () => ReadonlySet<ExecutionId>) => Promise<void> {
  /** Only a process that died leaves working files of what is over: this one clears up at once. */
  let isFirst = true;
  return async (active) => {
    await mkdir(options.executionsDir, { recursive: true, mode: 0o700 });
    const present = (await readdir(options.executionsDir))
      .filter(isExecutionDirectory)
      .map(asExecutionId);
    // Asked after the list: an execution is active before its directory is there.
    const running = active();
    const kept: Kept[] = [];
    for (const execution of present.filter((each) => !running.has(each))) {
      try {
        if (isFirst) await clearOver(options, execution);
        await sweepOne(options, execution, kept);
      } catch (error) {
        options.log.warn({ error, execution }, 'execution.sweep-failed');
      }
    }
    isFirst = false;
    await trim(kept, options.settings.logsMaxBytes);
    for (const engine of options.engines.values()) await sweepEngine(engine, active(), options.log);
  };
}

/** It died between the last event, or the word that nobody needs it, and the clearing up. */
async function clearOver({ executionsDir }: SweepOptions, execution: ExecutionId): Promise<void> {
  const files = executionFiles(executionsDir, execution);
  const isOver = (await files.read('final')) ?? (await files.read('forgotten'));
  if (isOver !== null) await files.clear();
}

async function sweepOne(
  options: SweepOptions,
  execution: ExecutionId,
  kept: Kept[],
): Promise<void> {
  const files = executionFiles(options.executionsDir, execution);
  const forgotten = await files.read('forgotten');
  if (forgotten !== null) {
    const ageMs = options.now() - forgotten.at;
    if (ageMs >= options.settings.logRetentionMs) await files.remove();
    // What was counted may be lost: then its time begins anew.
    else if (ageMs < 0) await files.write('forgotten', { at: options.now() });
    else kept.push({ files, endedAt: forgotten.at, bytes: await logBytes(files) });
    return;
  }
  if ((await files.read('final')) !== null) return;
  options.log.warn({ execution }, 'execution.orphaned');
  await giveUp(files, options.now());
}

/**
 * The disk of a job is free for others once it is over, and its logs are not: together they have a
 * share of their own, of which the oldest give way.
 */
async function trim(kept: readonly Kept[], maxBytes: number): Promise<void> {
  let bytes = kept.reduce((sum, each) => sum + each.bytes, 0);
  for (const oldest of kept.toSorted((a, b) => a.endedAt - b.endedAt)) {
    if (bytes <= maxBytes) return;
    await oldest.files.remove();
    bytes -= oldest.bytes;
  }
}

async function logBytes(files: ExecutionFiles): Promise<number> {
  const sizes = [files.stdoutPath, files.stderrPath].map((path) =>
    lstat(path).then(
      ({ size }) => size,
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
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
