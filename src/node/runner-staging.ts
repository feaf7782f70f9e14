/**
 * Brings everything an execution needs into its directory: all inputs at the same time, and an empty
 * writable directory for each ResultPath.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionOrder } from '../core/execution.ts';
import type { Mount } from '../engines/engine.ts';
import { diskUsage, resultNameProblem } from '../storage/results.ts';
import { StorageError, sourceOf } from '../storage/source.ts';
import type { Source, Staged } from '../storage/source.ts';
import { openUp } from './runner-files.ts';
import type { ExecutionFacts, ExecutionFiles, Watched } from './runner-files.ts';

export interface StagingOptions {
  readonly order: ExecutionOrder;
  readonly files: ExecutionFiles;
  readonly sources: ReadonlyMap<string, Source>;
  /** Of all inputs together. */
  readonly inputMaxBytes: number;
  readonly signal: AbortSignal;
}

/** @throws StorageError; or the signal's reason when it aborts. */
export async function stage(options: StagingOptions): Promise<ExecutionFacts['prepared']> {
  const { order, files, signal } = options;
  checkNames(order);
  const inputs = await stageInputs(options);
  const outputs = await makeOutputs(order, files);
  signal.throwIfAborted();
  const mounts = [...inputs, ...outputs];
  return {
    mounts,
    watched: order.task.resources.diskBytes > 0 ? await watchedBy(mounts, files, signal) : [],
  };
}

function checkNames(order: ExecutionOrder): void {
  const seen = new Set<string>();
  for (const { Name } of order.task.ResultPaths) {
    const problem = seen.has(Name) ? 'is used twice' : resultNameProblem(Name);
    if (problem !== null) {
      throw new StorageError(
        'spec',
        'result-name-invalid',
        `The result path name ${JSON.stringify(Name)} ${problem}.`,
      );
    }
    seen.add(Name);
  }
}

async function stageInputs(options: StagingOptions): Promise<readonly Mount[]> {
  const { order, files, sources, inputMaxBytes } = options;
  // The first input that fails ends the others, and all are waited for, so nothing writes after this.
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const works = order.task.InputSources.map(async (input, index) => {
    try {
      signal.throwIfAborted();
      const source = sourceOf(sources, input.Source.Type);
      const destination = join(files.inputs, String(index));
      return await source.stage(input, { order, destination, maxBytes: inputMaxBytes, signal });
    } catch (error) {
      if (!failed.signal.aborted) failed.abort(error);
      throw error;
    }
  });
  const settled = await Promise.allSettled(works);
  options.signal.throwIfAborted();
  if (failed.signal.aborted) throw failed.signal.reason;
  const staged = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  checkTotal(staged, inputMaxBytes);
  const mounts = staged.flatMap((each) => each.mounts);
  for (const mount of mounts) if (isOwn(mount, files)) await openUp(mount.source, mount.writable);
  return mounts;
}

function checkTotal(staged: readonly Staged[], inputMaxBytes: number): void {
  const bytes = staged.reduce((sum, each) => sum + each.bytes, 0);
  if (bytes > inputMaxBytes) {
    throw new StorageError(
      'limit',
      'input-too-large',
      `The inputs hold ${bytes} bytes, more than the ${inputMaxBytes} allowed on this node.`,
    );
  }
}

async function makeOutputs(
  order: ExecutionOrder,
  files: ExecutionFiles,
): Promise<readonly Mount[]> {
  const mounts: Mount[] = [];
  for (const { Name, Path } of order.task.ResultPaths) {
    const source = join(files.outputs, Name);
    await mkdir(source);
    // The program may run as any user; the directory above is closed to everyone else.
    await openUp(source, true);
    mounts.push({ source, target: Path, writable: true });
  }
  return mounts;
}

/** Directories of the host that the operator opened are not counted: what lies there stays there. */
async function watchedBy(
  mounts: readonly Mount[],
  files: ExecutionFiles,
  signal: AbortSignal,
): Promise<Watched[]> {
  const copies = mounts
    .filter((mount) => mount.writable && isOwn(mount, files))
    .map((mount) => mount.source);
  const paths = [files.outputs, ...copies];
  return Promise.all(
    paths.map(async (path) => ({
      path,
      bytesBefore: await diskUsage(path, Number.POSITIVE_INFINITY, signal),
    })),
  );
}

const isOwn = (mount: Mount, files: ExecutionFiles): boolean =>
  mount.source.startsWith(`${files.inputs}/`);
