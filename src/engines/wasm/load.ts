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
import type { RunnerMount, RunnerOrder } from './wire.ts';

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

/** @throws ModuleError when the module cannot run here. */
export function load(
  path: string,
  order: RunnerOrder,
  libraries: Libraries,
  createOwnSystem: () => System,
): Loaded {
  const bytes = readModuleFile(path, order);
  const facts = readModule(bytes);
  checkMemories(facts, order.memoryPagesMax);
  const module = compile(bytes);
  const system = createOwnSystem();
  checkImports(module, system, libraries);
  const file = (path.split('/').at(-1) ?? '').replace(/\.wasm$/, '');
  const names =
    facts.name === null ? [file] : [facts.name, facts.name.replace(/\.wasm$/, ''), file];
  return { names, module, system };
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

function unknownImport(from: string, name: string, kind: string): string {
  const remedy = from.startsWith('wasi')
    ? `only functions of ${WASI_MODULE} are offered`
    : `no module of ImportModules before it is named "${from}" and exports that`;
  return `it imports the ${kind} "${from}"."${name}", and ${remedy}`;
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
