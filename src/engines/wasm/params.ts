/**
 * What a task says about its module: reads the engine's Params and finds the module files among the
 * mounts. Reads directory entries, never a file's content.
 */
import { lstat, readdir } from 'node:fs/promises';
import { join, posix } from 'node:path';
import type { ExecutionFailure } from '../../core/record/execution.ts';
import type { Json, SpecConfig } from '../../job/model.ts';
import type { Mount } from '../engine.ts';
import { mountUnusable } from './failures.ts';

export interface WasmParams {
  /** Target of the input that holds the entry module. */
  readonly entryModule: string;
  readonly entrypoint: string;
  /** `argv[1]` and on. */
  readonly parameters: readonly string[];
  /** Targets of the inputs with modules to instantiate first, in order. */
  readonly importModules: readonly string[];
}

export type Found<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: ExecutionFailure };

const found = <T>(value: T): Found<T> => ({ ok: true, value });
const wrong = (code: string, message: string): Found<never> => ({
  ok: false,
  failure: { code, class: 'spec', message: message.slice(0, 1_000) },
});

export function readParams(engine: SpecConfig): Found<WasmParams> {
  const { EntryModule, Entrypoint, Parameters, ImportModules } = engine.Params;
  const problem = (what: string): Found<never> =>
    wrong('wasm-params-invalid', `Engine.Params.${what}.`);
  if (typeof EntryModule !== 'string' || EntryModule.trim() === '') {
    return problem('EntryModule must be the Target of an input source');
  }
  if (Entrypoint !== undefined && Entrypoint !== null && typeof Entrypoint !== 'string') {
    return problem('Entrypoint must be the name of an exported function');
  }
  const parameters = textsOf(Parameters);
  if (parameters === null) return problem('Parameters must be a list of texts without NUL');
  const importModules = textsOf(ImportModules);
  if (importModules === null)
    return problem('ImportModules must be a list of Targets of input sources');
  return found({
    entryModule: EntryModule.trim(),
    entrypoint: Entrypoint || '_start',
    parameters,
    importModules,
  });
}

/** null when it is not a list of texts; a missing value is the empty list. */
function textsOf(value: Json | undefined): readonly string[] | null {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return null;
  const texts: string[] = [];
  for (const item of value as readonly Json[]) {
    // A NUL would end an argument early and so let the program see another one than was written.
    if (typeof item !== 'string' || item.includes('\0')) return null;
    texts.push(item);
  }
  return texts;
}

/** Components of a target: relative ones mean the same below `/`. `..` cannot lead above it. */
export function componentsOf(target: string): readonly string[] {
  return posix
    .resolve('/', target)
    .split('/')
    .filter((name) => name !== '');
}

/**
 * Host path of the module that `target` names: an input, or what lies in one that is a directory.
 * @param bytesMax largest module accepted here.
 */
export async function findModule(
  target: string,
  mounts: readonly Mount[],
  bytesMax: number,
): Promise<Found<string>> {
  const place = placeOf(target, mounts);
  if (place === null) {
    return wrong(
      'wasm-module-missing',
      `No input source has the Target "${target}", where the module should be, or is a directory above it.`,
    );
  }
  const file = await moduleFileOf(place, target).catch((error: unknown) => {
    const failure = mountUnusable(target, error instanceof Error ? error.message : String(error));
    return { ok: false, failure } as const;
  });
  if (!file.ok) return file;
  const size = (await lstat(file.value).catch(() => null))?.size ?? 0;
  if (size <= bytesMax) return file;
  return wrong(
    'wasm-module-too-large',
    `The module at "${target}" has ${size} bytes, more than the ${bytesMax} that this node takes.`,
  );
}

interface ModulePlace {
  readonly mount: Mount;
  /** Names below it; none when the input itself has the target. */
  readonly below: readonly string[];
}

/** The nearest mount at or above the target, as a program would find it. */
function placeOf(target: string, mounts: readonly Mount[]): ModulePlace | null {
  const wanted = componentsOf(target);
  let nearest: ModulePlace | null = null;
  for (const mount of mounts) {
    const names = componentsOf(mount.target);
    if (!names.every((name, at) => wanted[at] === name)) continue;
    const below = wanted.slice(names.length);
    if (nearest === null || below.length < nearest.below.length) nearest = { mount, below };
  }
  return nearest;
}

/** Below a directory by real names alone: a link there could lead to any file of this machine. */
async function belowDirectory({ mount, below }: ModulePlace): Promise<string | null> {
  let path = mount.source;
  for (const name of below) {
    if (!(await lstat(path).catch(() => null))?.isDirectory()) return null;
    path = join(path, name);
  }
  return (await lstat(path).catch(() => null)) === null ? null : path;
}

async function moduleFileOf(place: ModulePlace, target: string): Promise<Found<string>> {
  const source = await belowDirectory(place);
  if (source === null) {
    return wrong(
      'wasm-module-missing',
      `The input at "${place.mount.target}" holds no ${place.below.join('/')}, where the module should be.`,
    );
  }
  const stat = await lstat(source).catch(() => null);
  if (stat?.isFile()) return found(source);
  if (!stat?.isDirectory()) {
    return wrong(
      'wasm-module-missing',
      `The input at "${target}" is neither a file nor a directory.`,
    );
  }
  const entries = await readdir(source, { withFileTypes: true });
  const modules = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.wasm'));
  const [only, ...others] = modules;
  if (only !== undefined && others.length === 0) return found(join(source, only.name));
  return wrong(
    'wasm-module-missing',
    `The directory at "${target}" holds ${modules.length} .wasm files and must hold exactly one.`,
  );
}
