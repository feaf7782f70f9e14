/**
 * From a module file to an instance: reads, checks, compiles and links it. Offers a module only
 * the system calls and the exports of modules before it. Calls no function but its own start.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { inodeOf } from './host-file.ts';
import { HostTree } from './host-tree.ts';
import { checkMemories, ModuleError, readModule, textOf } from './module.ts';
import { WASI_MODULE } from './system.ts';
import type { System } from './system.ts';
import type { ImportModule, RunnerMount, RunnerOrder } from './wire.ts';

/** What a module without a memory may still call. */
const MEMORYLESS_CALLS = ['proc_exit', 'sched_yield'];

/** A compiled module, its imports known to be there. */
export interface Loaded {
  readonly names: readonly string[];
  readonly module: WebAssembly.Module;
  readonly system: System;
}

/** Modules loaded so far, by the names they can be imported under. */
export type Libraries = Map<
  string,
  { readonly loaded: Loaded; instance: WebAssembly.Instance | null }
>;

/** Where others may exchange the file or what is above it, it is found by a walk like any other. */
function openModule(path: string, mounts: readonly RunnerMount[]): number {
  const mount = mounts.find(
    ({ identity, source }) =>
      identity !== null && (path === source || path.startsWith(`${source}/`)),
  );
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  if (mount === undefined) return openSync(path, flags);
  const place = new HostTree([{ ...mount, target: ['m'] }]).resolve(
    [],
    `m${path.slice(mount.source.length)}`,
  );
  const descriptor = openSync(place.host ?? path, flags);
  if (place.stat !== null && inodeOf(fstatSync(descriptor)) === inodeOf(place.stat))
    return descriptor;
  throw new ModuleError('wasm-invalid', 'its file was exchanged meanwhile');
}

function readModuleFile(
  path: string,
  { maxModuleBytes: bytesMax, mounts }: RunnerOrder,
): Uint8Array<ArrayBuffer> {
  const descriptor = openModule(path, mounts);
  const { size } = fstatSync(descriptor);
  if (size > bytesMax) {
    throw new ModuleError(
      'wasm-module-too-large',
      `it has ${size} bytes, more than the ${bytesMax} allowed`,
    );
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (let count = -1; count !== 0; at += count)
    count = readSync(descriptor, bytes, at, size - at, at);
  closeSync(descriptor);
  return bytes.subarray(0, at);
}

function compile(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  try {
    return new WebAssembly.Module(bytes);
  } catch (error) {
    throw new ModuleError('wasm-invalid', `it does not compile: ${textOf(error)}`, {
      cause: error,
    });
  }
}

/** What modules are loaded with, and from. */
export interface Loading {
  readonly order: RunnerOrder;
  readonly libraries: Libraries;
  readonly createOwnSystem: () => System;
}

/**
 * Loads a module, and before it those that it imports from and the job does not list.
 * @param given names of its input, by which others may import from it.
 * @throws ModuleError when the module cannot run here.
 */
export function load(path: string, given: readonly string[], loading: Loading): Loaded {
  const { order, libraries } = loading;
  const bytes = readModuleFile(path, order);
  const facts = readModule(bytes);
  checkMemories(facts, order.memoryPagesMax);
  const module = compile(bytes);
  const system = loading.createOwnSystem();
  for (const { module: from } of WebAssembly.Module.imports(module)) {
    const wanted = order.imports.find(({ names, onDemand }) => onDemand && names.includes(from));
    if (from === WASI_MODULE || libraries.has(from) || wanted === undefined) continue;
    // Once at most: one that imports from itself, by whatever way round, does not find it.
    loadLibrary(wanted, { ...loading, order: without(order, wanted) });
  }
  checkImports(module, system, libraries);
  const said = facts.name === null ? [] : [facts.name, facts.name.replace(/\.wasm$/, '')];
  return { names: [...said, ...given], module, system };
}

const without = (order: RunnerOrder, one: ImportModule): RunnerOrder => ({
  ...order,
  imports: order.imports.filter((each) => each !== one),
});

/** As `load`, under its names. */
export function loadLibrary({ path, names }: ImportModule, loading: Loading): void {
  const library = { loaded: load(path, names, loading), instance: null };
  for (const name of library.loaded.names)
    if (!loading.libraries.has(name)) loading.libraries.set(name, library);
}

function checkImports(module: WebAssembly.Module, system: System, libraries: Libraries): void {
  let needsMemory = WebAssembly.Module.exports(module).some(
    ({ name, kind }) => name === 'memory' && kind === 'memory',
  )
    ? null
    : '';
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    const library = libraries.get(from);
    const known =
      from === WASI_MODULE
        ? kind === 'function' && Object.hasOwn(system.imports, name)
        : library !== undefined &&
          WebAssembly.Module.exports(library.loaded.module).some(
            (offered) => offered.name === name,
          );
    if (!known) throw new ModuleError('wasm-unknown-import', unknownImport(from, name, kind));
    if (kind === 'memory') needsMemory = null;
    if (needsMemory === '' && from === WASI_MODULE && !MEMORYLESS_CALLS.includes(name))
      needsMemory = name;
  }
  if (needsMemory) {
    throw new ModuleError(
      'wasm-memory-missing',
      `it calls ${needsMemory} but exports no memory named "memory"`,
    );
  }
}

/** Functions that Emscripten's own JavaScript brings along, which is not there outside of a browser. */
const EMSCRIPTEN =
  /^(_?emscripten_|_?embind_|__syscall_|invoke_|__cxa_|_?_?asmjs_|_localtime_js$|_mmap_js$)/;

function unknownImport(from: string, name: string, kind: string): string {
  return `it imports the ${kind} "${from}"."${name}", and ${remedyOf(from, name)}`;
}

/** What to compile instead, by what is told of the compiler by what it wants. */
function remedyOf(from: string, name: string): string {
  const instead =
    'build it for WASI preview 1 (target wasm32-wasip1 of Rust and clang, GOOS=wasip1 of Go)';
  if (from === 'wasi_unstable') return `that is WASI of before preview 1: ${instead}`;
  if (from.startsWith('wasi:')) return `that is WASI preview 2: ${instead}`;
  if (from === 'env' && EMSCRIPTEN.test(name))
    return `that is the JavaScript of Emscripten: ${instead}, or with emcc -sSTANDALONE_WASM -sPURE_WASI`;
  if (from.startsWith('wbg') || from.startsWith('__wbindgen'))
    return `that is the JavaScript of wasm-bindgen: ${instead}`;
  if (from === 'gojs' || from === 'go') return `that is the JavaScript of Go's js/wasm: ${instead}`;
  if (from.startsWith('wasi')) return `only functions of ${WASI_MODULE} are offered: ${instead}`;
  return `no input source is named "${from}" (by its Target) and exports that`;
}

/** Links a module with those before it and runs its start function. */
export function instantiate(
  { module, system }: Loaded,
  libraries: Libraries,
): WebAssembly.Instance {
  const imports: WebAssembly.Imports = Object.create(null) as WebAssembly.Imports;
  let imported: WebAssembly.Memory | null = null;
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    const library = libraries.get(from)?.instance;
    if (!library) continue;
    const value = library.exports[name];
    if (value === undefined) continue;
    (imports[from] ??= Object.create(null) as WebAssembly.ModuleImports)[name] = value;
    if (value instanceof WebAssembly.Memory) imported = value;
  }
  imports[WASI_MODULE] = system.imports;
  const instance = new WebAssembly.Instance(module, imports);
  const memory = instance.exports['memory'] ?? imported;
  if (memory instanceof WebAssembly.Memory) system.attach(memory);
  return instance;
}

export function callIfThere(instance: WebAssembly.Instance, name: string): void {
  const initialize = instance.exports[name];
  if (typeof initialize === 'function') initialize();
}

/** @throws ModuleError when it exports no such function. */
export function requireEntry(module: WebAssembly.Module, entrypoint: string): void {
  const functions = WebAssembly.Module.exports(module)
    .filter(({ kind }) => kind === 'function')
    .map(({ name }) => name);
  if (functions.includes(entrypoint)) return;
  const some = functions.slice(0, 5).join(', ') || 'none';
  throw new ModuleError(
    'wasm-entry-missing',
    `it exports no function "${entrypoint}" (it exports: ${some})`,
  );
}
