/**
 * The directory of one execution on this node and what its small files mean:
 *
 *     order.json     what is to be done; written before anything else
 *     prepared.json  the mounts; written when the inputs are here, before the engine starts
 *     started.json   when the program itself began to run
 *     outcome.json   how the program ended; from here on it is never run again
 *     final.json     the last event; from here on it is only told again, unless the order says that the
 *                    program was started again since: then all of this is of an earlier run
 *     forgotten.json nobody needs it any more; it goes after the retention time
 *     logs/          stdout and stderr
 *     inputs/ outputs/ results/ scratch/   working files, removed at the end
 *
 * Each file is replaced as a whole and synced, so a crash leaves one of these states and no other. Syncs
 * are most of what a short execution takes, so what must not be waited for at once is only begun.
 */
import { chmod, lstat, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionOrder, RunEvent, Usage } from '../../core/record/execution.ts';
import type { ExecutionId } from '../../core/record/ids.ts';
import type { Mount } from '../../engines/engine.ts';
import { removeTree } from '../../lib/remove-tree.ts';
import { readIfThere, writeDurably } from '../../lib/durable-file.ts';
import { failpoint } from '../../lib/failpoint.ts';

export type FinalEvent = Exclude<RunEvent, { readonly type: 'phase' }>;

/** What the files say; each key is one file. Times are counted time (`node/counted-clock.ts`), milliseconds. */
export interface ExecutionFacts {
  readonly order: ExecutionOrder;
  readonly prepared: {
    readonly mounts: readonly Mount[];
    /** Bytes that its copies of read-only inputs take. */
    readonly inputBytes: number;
    /** What counting its copies took at first, as in `Looks`; absent in what an earlier version prepared. */
    readonly inputLooks?: number;
    /** Its own copies that it may write to. */
    readonly writableInputs: readonly string[];
  };
  readonly started: { readonly at: number };
  readonly outcome: { readonly exitCode: number; readonly usage: Usage };
  readonly final: FinalEvent;
  readonly forgotten: { readonly at: number };
}

export interface ExecutionFiles {
  readonly directory: string;
  /** Holds the two files of output. */
  readonly logs: string;
  readonly stdoutPath: string;
  readonly stderrPath: string;
  readonly inputs: string;
  readonly outputs: string;
  readonly results: string;
  readonly scratch: string;
  /** Makes it durable. */
  write<Name extends keyof ExecutionFacts>(name: Name, fact: ExecutionFacts[Name]): Promise<void>;
  /** Begins to write it; how that ended is told by `settled`. */
  beginWrite<Name extends keyof ExecutionFacts>(name: Name, fact: ExecutionFacts[Name]): void;
  /** Everything begun is durable. @throws the first error of what was begun. */
  settled(): Promise<void>;
  /** null when it was never written. */
  read<Name extends keyof ExecutionFacts>(name: Name): Promise<ExecutionFacts[Name] | null>;
  /** Empty working directories and no logs, for a run from the beginning. */
  reset(): Promise<void>;
  /** Removes the working files; logs and facts stay. */
  clear(): Promise<void>;
  /** Removes everything. */
  remove(): Promise<void>;
}

/** Ids come from records of other nodes, so they are checked before they become a path. */
const ID = /^[A-Za-z0-9][A-Za-z0-9-]{0,127}$/;

export const isExecutionDirectory = (name: string): boolean => ID.test(name);

/** @throws RangeError when the id is not fit to be the name of a directory. */
export function executionFiles(executionsDir: string, execution: ExecutionId): ExecutionFiles {
  if (!ID.test(execution))
    throw new RangeError(`not an execution id: ${JSON.stringify(execution)}`);
  const directory = join(executionsDir, execution);
  const inputs = join(directory, 'inputs');
  const outputs = join(directory, 'outputs');
  const results = join(directory, 'results');
  const scratch = join(directory, 'scratch');
  const logs = join(directory, 'logs');
  const empty = async (paths: readonly string[]): Promise<void> => {
    for (const path of paths) await removeTree(path);
  };
  const write: ExecutionFiles['write'] = async (name, fact) => {
    failpoint('execution-file.before', name);
    await writeDurably(join(directory, `${name}.json`), JSON.stringify(fact));
    failpoint('execution-file.after', name);
  };
  let begun: Promise<void> = Promise.resolve();
  return {
    directory,
    logs,
    stdoutPath: join(logs, 'stdout'),
    stderrPath: join(logs, 'stderr'),
    inputs,
    outputs,
    results,
    scratch,
    write,
    beginWrite(name, fact) {
      const both = Promise.all([begun, write(name, fact)]);
      begun = both.then(() => {});
      // Told by `settled`; without this it would count as unhandled until then.
      begun.catch(() => {});
    },
    settled: () => begun,
    async read(name) {
      const text = await readIfThere(join(directory, `${name}.json`));
      return text === null ? null : (JSON.parse(text) as ExecutionFacts[typeof name]);
    },
    async reset() {
      // A directory that is made only now holds nothing of an earlier try.
      const made = await mkdir(directory, { recursive: true, mode: 0o700 });
      if (made === undefined) {
        // What an earlier try noted is no longer true.
        const past = ['final', 'outcome', 'prepared', 'started', 'forgotten'];
        await empty(past.map((name) => join(directory, `${name}.json`)));
        await empty([inputs, outputs, results, scratch, logs]);
      }
      const make = (path: string) => mkdir(path, { recursive: true, mode: 0o700 });
      await Promise.all([inputs, outputs, scratch, logs].map(make));
    },
    clear: () => empty([inputs, outputs, results, scratch]),
    remove: () => empty([directory]),
  };
}

/**
 * Lets a program that runs as another user reach what was staged for it. Everything lies below a
 * directory that only this node may enter, so nobody else gains by it. Never follows symlinks.
 */
export async function openUp(path: string, writable: boolean): Promise<void> {
  const found = await lstat(path);
  if (found.isSymbolicLink()) return;
  const isDirectory = found.isDirectory();
  const execute = isDirectory || (found.mode & 0o100) !== 0 ? 0o111 : 0;
  const mode = (found.mode & 0o777) | (writable ? 0o666 : 0o444) | execute;
  if (mode !== (found.mode & 0o777)) await chmod(path, mode);
  if (!isDirectory) return;
  for (const name of await readdir(path)) await openUp(join(path, name), writable);
}
