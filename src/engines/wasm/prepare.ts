/**
 * Turns a run into an order for the runner: the task's parameters, its limits within the node's,
 * and host paths that are checked. Starts nothing and writes nothing.
 */
import { lstat, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { granted } from '../../job/resources.ts';
import type { EngineRun, Mount } from '../engine.ts';
import { failure, mountUnusable } from './failures.ts';
import { componentsOf, findModule, readParams } from './params.ts';
import type { Found } from './params.ts';
import { MEMORY_PAGES_MAX, PAGE_BYTES } from './wire.ts';
import type { ImportModule, RunnerMount, RunnerOrder } from './wire.ts';

export interface WasmEngineConfig {
  /** Absolute path of the Node.js program, 24 or newer. */
  readonly nodePath: string;
  /** Absolute path of `runner.ts`, or of its bundle (any other ending). */
  readonly runnerPath: string;
  /** Directory of this node in which every `scratchDir` lies; by it `sweep` knows its runners. */
  readonly scratchRoot: string;
  /** Where `prlimit` and `setpriv` are looked for, e.g. `/usr/bin`. */
  readonly toolDirectories: readonly string[];
  /** Largest module, bytes. */
  readonly maxModuleBytes: number;
  /** CPU time of one execution, whole seconds ≥ 1. */
  readonly cpuSecondsMax: number;
  /** What the process may hold besides the linear memory (Node itself, compiled code); bytes. */
  readonly memoryAllowanceBytes: number;
  /** Files and directories that one execution may create. */
  readonly filesMax: number;
  /** Descriptors that one execution may hold. */
  readonly openFilesMax: number;
  /** Milliseconds between two looks at memory and CPU time of a running program. */
  readonly pollMs: number;
}

/** Everything the runner must know, with host paths checked. */
export async function prepare(
  config: WasmEngineConfig,
  run: EngineRun,
): Promise<Found<RunnerOrder>> {
  const { task } = run.order;
  const params = readParams(task.Engine);
  if (!params.ok) return params;
  for (const [name, value] of Object.entries(run.env)) {
    if (`${name}${value}`.includes('\0')) {
      const message = `The environment variable ${JSON.stringify(name)} holds a NUL.`;
      return { ok: false, failure: failure('wasm-params-invalid', 'spec', message) };
    }
  }
  const mounts: CheckedMount[] = [];
  for (const mount of run.mounts) {
    const checked = await checkMount(mount);
    if (!checked.ok) return checked;
    mounts.push(checked.value);
  }
  const sources = mounts.map(({ source, target, writable }) => ({
    source,
    target: target.join('/'),
    writable,
  }));
  const hidden = mounts.find(
    (mount) => !mount.isFile && mounts.some((other) => begins(mount, other)),
  );
  if (hidden !== undefined) {
    const why = `its path on this node, ${hidden.source}, is the beginning of the path of another input`;
    return { ok: false, failure: mountUnusable(hidden.target.join('/'), why) };
  }
  const main = await findModule(params.value.entryModule, sources, config.maxModuleBytes);
  if (!main.ok) return main;
  const imports: ImportModule[] = [];
  for (const target of params.value.importModules) {
    const module = await findModule(target, sources, config.maxModuleBytes);
    if (!module.ok) return module;
    imports.push({ path: module.value, names: importNames(target), onDemand: false });
  }
  // Bacalhau's way needs no list: whoever names an input by its target imports from it.
  for (const mount of mounts) {
    const isListed = imports.some(({ path }) => path === mount.source);
    if (isListed || mount.source === main.value || !mount.isFile) continue;
    imports.push({
      path: mount.source,
      names: importNames(mount.target.join('/')),
      onDemand: true,
    });
  }
  const { memoryBytes } = granted(task.resources);
  return {
    ok: true,
    value: {
      ...commonOrder(config),
      module: main.value,
      imports,
      entrypoint: params.value.entrypoint,
      args: ['', ...params.value.parameters],
      env: run.env,
      mounts,
      memoryPagesMax: pagesOf(memoryBytes),
      diskBytes: run.diskBytes,
    },
  };
}

interface CheckedMount extends RunnerMount {
  readonly isFile: boolean;
}

/** `/lib/add.wasm` is also known as `lib/add.wasm`, `add.wasm` and `add`: guides write all of them. */
function importNames(target: string): readonly string[] {
  const names = componentsOf(target);
  const path = names.join('/');
  const file = names.at(-1) ?? '';
  return [...new Set([target, path, `/${path}`, file, file.replace(/\.wasm$/, '')])];
}

/** Node's permission model lets nobody into a directory `/a` when `/ab` is allowed as well. */
const begins = ({ source }: RunnerMount, { source: other }: RunnerMount): boolean =>
  other.startsWith(source) && other !== source && other[source.length] !== '/';

const pagesOf = (bytes: number): number =>
  Math.min(MEMORY_PAGES_MAX, Math.max(1, Math.floor(bytes / PAGE_BYTES)));

/** What is the same for every run of this node. */
export function commonOrder(
  config: WasmEngineConfig,
): Pick<RunnerOrder, 'maxModuleBytes' | 'filesMax' | 'openFilesMax' | 'parentPid' | 'watchParent'> {
  return {
    maxModuleBytes: config.maxModuleBytes,
    filesMax: config.filesMax,
    openFilesMax: config.openFilesMax,
    parentPid: process.pid,
    watchParent: false,
  };
}

/** As the runner sees it, whose device and inode are numbers, not 64 bits. */
const inodeOfIdentity = (identity: string): string => identity.split(':').map(Number).join(':');

/** The permission model compares real paths, so links above a mount are resolved here. */
async function checkMount(mount: Mount): Promise<Found<CheckedMount>> {
  const refuse = (why: string): Found<never> => ({
    ok: false,
    failure: mountUnusable(mount.target, why),
  });
  // An asterisk would widen Node's permission to everything that begins with what is before it.
  if (mount.source.includes('*')) return refuse('its path on this node has an asterisk');
  try {
    // A place that others write to was resolved when it was staged, and must not be once more.
    const source = mount.shared
      ? mount.source
      : join(await realpath(dirname(mount.source)), basename(mount.source));
    const stat = await lstat(source);
    if (!stat.isDirectory() && !stat.isFile())
      return refuse('it is neither a file nor a directory');
    return {
      ok: true,
      value: {
        source,
        target: componentsOf(mount.target),
        writable: mount.writable,
        isFile: stat.isFile(),
        identity: mount.shared === undefined ? null : inodeOfIdentity(mount.shared.identity),
      },
    };
  } catch (error) {
    return refuse(error instanceof Error && 'code' in error ? String(error.code) : String(error));
  }
}
