/**
 * Brings everything an execution needs into its directory: several inputs at the same time, and an empty
 * writable directory for each ResultPath.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionOrder } from '../../core/record/execution.ts';
import type { Mount } from '../../engines/engine.ts';
import type { InputSource } from '../../job/model.ts';
import { createLimiter } from '../../lib/limiter.ts';
import { chargedBytes } from '../../lib/walk-tree.ts';
import { resultNameProblem } from '../../storage/results.ts';
import type { NamedOutput } from '../../storage/results.ts';
import { StorageError, sourceOf } from '../../storage/source.ts';
import type { Source, Staged } from '../../storage/source.ts';
import { openUp } from './files.ts';
import { makeMountPoints } from './mount-points.ts';
import type { ExecutionFacts, ExecutionFiles } from './files.ts';

export interface StagingOptions {
  readonly order: ExecutionOrder;
  readonly files: ExecutionFiles;
  readonly sources: ReadonlyMap<string, Source>;
  /** Of all inputs together, as they are written. */
  readonly inputMaxBytes: number;
  readonly signal: AbortSignal;
}

/**
 * Inputs of one execution that are brought here at the same time: each that is not here asks every peer,
 * and a spec has room for a thousand.
 */
const SIDE_BY_SIDE = 8;

/** @throws StorageError; or the signal's reason when it aborts. */
export async function stage(options: StagingOptions): Promise<ExecutionFacts['prepared']> {
  const { order, files, signal } = options;
  checkNames(order);
  const inputs = await stageInputs(options);
  const outputs = await makeOutputs(order, files);
  signal.throwIfAborted();
  const own = inputs.filter((mount) => isOwn(mount, files));
  await makeMountPoints([...own, ...outputs], [...inputs, ...outputs]);
  // The program may run as any user; the directory above is closed to everyone else.
  for (const mount of [...own, ...outputs]) await openUp(mount.source, mount.writable);
  // Measured once: what nobody can write to stays as it is, and what is there already is no fault of the program.
  const looks = { left: Number.MAX_SAFE_INTEGER };
  const measured = (mount: Mount): ReturnType<typeof chargedBytes> =>
    chargedBytes(mount.source, Number.POSITIVE_INFINITY, looks, signal);
  const writable = own.filter((mount) => mount.writable);
  for (const mount of writable) await measured(mount);
  const inputLooks = Number.MAX_SAFE_INTEGER - looks.left;
  let inputBytes = 0;
  for (const mount of own) if (!mount.writable) inputBytes += (await measured(mount)).bytes;
  return {
    mounts: [...inputs, ...outputs],
    inputBytes,
    inputLooks,
    writableInputs: writable.map((mount) => mount.source),
  };
}

/**
 * All as long as each other: where one path begins another one (`in/1`, `in/10`), Node's permission model lets
 * nobody into the shorter one.
 */
const placeOf = (index: number): string => String(index).padStart(5, '0');

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
  const spend = createBudget(inputMaxBytes);
  const limited = createLimiter(SIDE_BY_SIDE);
  const stageOne = async (input: InputSource, index: number): Promise<Staged> => {
    try {
      signal.throwIfAborted();
      const source = sourceOf(sources, input.Source.Type);
      const destination = join(files.inputs, placeOf(index));
      return await source.stage(input, {
        order,
        destination,
        maxBytes: inputMaxBytes,
        spend,
        signal,
      });
    } catch (error) {
      if (!failed.signal.aborted) failed.abort(error);
      throw error;
    }
  };
  const works = order.task.InputSources.map((input, index) =>
    limited(() => stageOne(input, index)),
  );
  const settled = await Promise.allSettled(works);
  options.signal.throwIfAborted();
  if (failed.signal.aborted) throw failed.signal.reason;
  const staged = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  return staged.flatMap((each) => each.mounts);
}

/** One for all inputs, which are staged side by side: each alone could fill it. */
function createBudget(maxBytes: number): (bytes: number) => void {
  let left = maxBytes;
  return (bytes) => {
    left -= bytes;
    if (left >= 0) return;
    throw new StorageError(
      'limit',
      'input-too-large',
      `The inputs take more than the ${maxBytes} bytes of disk that the job has on this node. Raise Resources.Disk.`,
    );
  };
}

async function makeOutputs(
  order: ExecutionOrder,
  files: ExecutionFiles,
): Promise<readonly Mount[]> {
  const mounts: Mount[] = [];
  for (const [index, { Path }] of order.task.ResultPaths.entries()) {
    const source = join(files.outputs, placeOf(index));
    await mkdir(source);
    mounts.push({ source, target: Path, writable: true });
  }
  return mounts;
}

/** Where the results of an order lie, in the order of its ResultPaths. */
export function outputsOf(
  { task }: ExecutionOrder,
  prepared: ExecutionFacts['prepared'] | null,
): readonly NamedOutput[] {
  const first = (prepared?.mounts.length ?? 0) - task.ResultPaths.length;
  return task.ResultPaths.flatMap(({ Name }, index) => {
    const mount = prepared?.mounts[first + index];
    return mount === undefined ? [] : [{ name: Name, path: mount.source }];
  });
}

/** True for a copy that belongs to this execution; other directories are the operator's. */
export const isOwn = (mount: Mount, files: ExecutionFiles): boolean =>
  mount.source.startsWith(`${files.directory}/`);
