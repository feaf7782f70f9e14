/**
 * The process that a program runs in, and the entry of the bundle `wasm-runner.js`: reads one order
 * from descriptor 3, runs it, reports, and ends itself. Started by `launch.ts` under Node's
 * permission model with an empty environment. Imports only the shim and files beside it, because
 * each one costs start-up time and must be readable inside the sandbox.
 */
import { readSync, writeSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { WASIProcExit } from '@bjorn3/browser_wasi_shim';
import { HostDirectory } from './host-directory.ts';
import { HostTree } from './host-tree.ts';
import { callIfThere, instantiate, load, loadLibrary, requireEntry } from './load.ts';
import type { Libraries } from './load.ts';
import { ModuleError, textOf } from './module.ts';
import { Quota } from './quota.ts';
import { StreamFile } from './stream-file.ts';
import { createSystem } from './system.ts';
import type { System } from './system.ts';
import { MEMORY_PAGES_MAX, PAGE_BYTES } from './wire.ts';
import type { RunnerOrder, RunnerReport, RunnerUsage } from './wire.ts';

const CONTROL = 3;
/** Leaves room for the sentence around it. */
const MESSAGE_CHARACTERS_MAX = 800;
/** A trap with this share of the limit in use is taken for an allocation that was refused. */
const NEARLY_FULL = 0.75;
/** Ends the process when the other end of the control pipe closes, even while the program loops. */
const WATCHER = `
const { readSync } = require('node:fs');
const pause = new Int32Array(new SharedArrayBuffer(4));
const byte = new Uint8Array(1);
for (;;) {
  try {
    if (readSync(${CONTROL}, byte) === 0) break;
  } catch (error) {
    if (error.code !== 'EAGAIN') break;
    Atomics.wait(pause, 0, 0, 100);
  }
}
process.kill(process.pid, 'SIGKILL');
`;

function readFully(bytes: Uint8Array): boolean {
  let at = 0;
  while (at < bytes.length) {
    const count = readSync(CONTROL, bytes, at, bytes.length - at, null);
    if (count === 0) return false;
    at += count;
  }
  return true;
}

/** @returns null when the daemon died before it had written the order. */
function readOrder(): RunnerOrder | null {
  const head = new Uint8Array(4);
  if (!readFully(head)) return null;
  const body = new Uint8Array(new DataView(head.buffer).getUint32(0, true));
  if (!readFully(body)) return null;
  // Written by our own parent, so its shape is not checked again.
  const order: RunnerOrder = JSON.parse(new TextDecoder().decode(body));
  return order;
}

function report(message: RunnerReport): void {
  const bytes = new TextEncoder().encode(`${JSON.stringify(message)}\n`);
  let at = 0;
  while (at < bytes.length) at += writeSync(CONTROL, bytes, at);
}

function usage(): RunnerUsage {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  return {
    cpuMs: Math.round((userCPUTime + systemCPUTime) / 1000),
    peakMemoryBytes: maxRSS * 1024,
  };
}

/** At once, and also when the watcher is blocked in a read; nothing is left to be flushed. */
function end(): void {
  process.kill(process.pid, 'SIGKILL');
}

/**
 * Caps every linear memory. Not on the command line, because Node's own type stripping is a wasm
 * module too and needs more than a small program is given; so it is proved here that V8 obeys.
 */
function limitMemory(pages: number): void {
  setFlagsFromString(`--wasm-max-mem-pages=${pages}`);
  if (pages >= MEMORY_PAGES_MAX) return;
  try {
    void new WebAssembly.Memory({ initial: pages + 1 });
  } catch {
    return;
  }
  throw new Error('this version of Node.js cannot limit the memory of a module');
}

/** Runs the program to its end. @returns its exit code. */
function run(order: RunnerOrder, onMemory: (memory: WebAssembly.Memory) => void): number {
  const tree = new HostTree(order.mounts);
  const root = new HostDirectory(tree, new Quota(order.diskBytes, order.filesMax), [], '/');
  const descriptors = [new StreamFile(null), new StreamFile(1), new StreamFile(2), root];
  const { args, env, openFilesMax } = order;
  const newSystem = (): System => createSystem({ args, env, descriptors, openFilesMax });

  const libraries: Libraries = new Map();
  const loading = { order, libraries, createOwnSystem: newSystem };
  for (const module of order.imports) if (!module.onDemand) loadLibrary(module, loading);
  const main = load(order.module, [], loading);
  requireEntry(main.module, order.entrypoint);

  report({ type: 'started' });
  try {
    for (const library of new Set(libraries.values())) {
      library.instance = instantiate(library.loaded, libraries);
      callIfThere(library.instance, '_initialize');
    }
    const instance = instantiate(main, libraries);
    const memory = instance.exports['memory'];
    if (memory instanceof WebAssembly.Memory) onMemory(memory);
    const entry = instance.exports[order.entrypoint];
    if (typeof entry !== 'function' || entry.length > 0) {
      throw new ModuleError(
        'wasm-entry-missing',
        `its function "${order.entrypoint}" takes arguments`,
      );
    }
    // A command initialises itself; a library called at another function must be initialised first.
    if (order.entrypoint !== '_start' && order.entrypoint !== '_initialize')
      callIfThere(instance, '_initialize');
    entry();
    return 0;
  } catch (error) {
    if (error instanceof WASIProcExit) return exitCodeOf(error.code);
    throw error;
  }
}

/** 0 … 255 as on POSIX, except that no code above 255 may turn into success. */
function exitCodeOf(code: number): number {
  const unsigned = code >>> 0;
  return unsigned <= 255 ? unsigned : unsigned & 255 || 255;
}

/** Where a trap happened, as V8 writes it; '' when it does not say. */
function placeOf(error: unknown): string {
  const frame =
    error instanceof Error ? /wasm-function\[\d+\](?::0x[0-9a-f]+)?/.exec(error.stack ?? '') : null;
  return frame === null ? '' : ` in ${frame[0]}`;
}

function failureOf(
  error: unknown,
  order: RunnerOrder,
  memory: WebAssembly.Memory | null,
): RunnerReport {
  const failed = (
    code: Extract<RunnerReport, { type: 'failed' }>['code'],
    message: string,
  ): RunnerReport => ({
    type: 'failed',
    code,
    message: message.slice(0, MESSAGE_CHARACTERS_MAX),
    usage: usage(),
  });
  if (error instanceof ModuleError) return failed(error.code, error.message);
  if (error instanceof WebAssembly.LinkError)
    return failed('wasm-unknown-import', `it cannot be linked: ${textOf(error)}`);
  const overflow = error instanceof RangeError && error.message.includes('call stack');
  if (error instanceof RangeError && !overflow) return failed('out-of-memory', textOf(error));
  const isTrap =
    error instanceof WebAssembly.RuntimeError || error instanceof WebAssembly.Exception;
  if (!isTrap && !overflow) return failed('wasm-runner-failed', textOf(error));
  const held = memory?.buffer.byteLength ?? 0;
  const limit = order.memoryPagesMax * PAGE_BYTES;
  const what = overflow
    ? 'the call stack is used up'
    : textOf(error) || 'an exception was not caught';
  const text = `${what}${placeOf(error)}`;
  if (!overflow && held >= limit * NEARLY_FULL) {
    return failed('out-of-memory', `${text}, with ${held} of the ${limit} bytes of memory in use`);
  }
  return failed('wasm-trap', text);
}

async function main(): Promise<void> {
  const order = readOrder();
  // Also closes the gap between the start of this process and the kernel's watch over its parent.
  if (order === null || process.ppid !== order.parentPid) return end();
  if (order.watchParent) {
    const { Worker } = await import('node:worker_threads');
    new Worker(WATCHER, { eval: true }).unref();
  }
  let memory: WebAssembly.Memory | null = null;
  try {
    limitMemory(order.memoryPagesMax);
    const exitCode = run(order, (attached) => {
      memory = attached;
    });
    report({ type: 'exited', exitCode, usage: usage() });
  } catch (error) {
    report(failureOf(error, order, memory));
  }
  end();
}

await main();
