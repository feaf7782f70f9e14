/**
 * Reads from a module's bytes what V8 does not tell: whether it is a module at all, its memories
 * with their limits, and its own name. Does not validate; compiling does that. Pure, and safe for
 * any bytes: it runs in the sandboxed runner before anything is compiled.
 */
import { MEMORY_PAGES_MAX } from './wire.ts';
import type { RunnerFailureCode } from './wire.ts';

export interface Memory {
  readonly minPages: bigint;
  readonly shared: boolean;
  /** True for a memory with 64-bit addresses. */
  readonly wide: boolean;
}

export interface ModuleFacts {
  /** Imported ones first. */
  readonly memories: readonly Memory[];
  /** From the name section; null when there is none. */
  readonly name: string | null;
}

/** Why a module cannot run here. */
export class ModuleError extends Error {
  override readonly name = 'ModuleError';
  readonly code: RunnerFailureCode;
  constructor(code: RunnerFailureCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What an error says; long texts may come from a module and are cut where they are shown. */
export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const MAGIC = [0x00, 0x61, 0x73, 0x6d];
const SECTION = { custom: 0, import: 2, memory: 5 };
const IMPORT = { function: 0, table: 1, memory: 2, global: 3, tag: 4 };
/** `(ref null ht)` and `(ref ht)`: the two value types that are followed by a heap type. */
const REFERENCE_PREFIXES = [0x63, 0x64];
const LIMITS = { maximum: 0x01, shared: 0x02, wide: 0x04, pageSize: 0x08 };
const LEB_BYTES_MAX = 10;
/** One is allowed; the count is for the message, and must not fill our own memory. */
const MEMORIES_READ_MAX = 100;

class Reader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
  }

  get done(): boolean {
    return this.#at >= this.#end;
  }

  byte(): number {
    const value = this.#at < this.#end ? this.#bytes[this.#at] : undefined;
    if (value === undefined) throw new ModuleError('wasm-invalid', 'a section ends too early');
    this.#at += 1;
    return value;
  }

  /** LEB128, also used to step over signed ones. */
  number(): bigint {
    let value = 0n;
    for (let at = 0; at < LEB_BYTES_MAX; at += 1) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << BigInt(at * 7);
      if (byte < 0x80) return value;
    }
    throw new ModuleError('wasm-invalid', 'a number has more than 10 bytes');
  }

  /** A part of `length` bytes with a reader of its own. */
  part(length: bigint): Reader {
    if (length > BigInt(this.#end - this.#at)) {
      throw new ModuleError('wasm-invalid', 'a section is longer than the file');
    }
    const start = this.#at;
    this.#at += Number(length);
    return new Reader(this.#bytes, start, this.#at);
  }

  text(): string {
    const part = this.part(this.number());
    return new TextDecoder().decode(this.#bytes.subarray(part.#at, part.#end));
  }
}

/**
 * @throws ModuleError `wasm-not-wasm`, `wasm-component`, `wasm-invalid`.
 */
export function readModule(bytes: Uint8Array): ModuleFacts {
  requireModule(bytes);
  const memories: Memory[] = [];
  let name: string | null = null;
  const file = new Reader(bytes, 8, bytes.length);
  while (!file.done) {
    const id = file.byte();
    const section = file.part(file.number());
    if (id === SECTION.import) memories.push(...importedMemories(section));
    else if (id === SECTION.memory) memories.push(...definedMemories(section));
    else if (id === SECTION.custom) name ??= moduleName(section);
  }
  return { memories, name };
}

/** @throws ModuleError when a memory is not one that this engine gives. */
export function checkMemories(facts: ModuleFacts, pagesMax: number): void {
  const [memory, ...others] = facts.memories;
  if (memory === undefined) return;
  if (others.length > 0) {
    throw new ModuleError(
      'wasm-memory-count',
      `it has ${facts.memories.length} memories and may have one: the memory limit holds for one`,
    );
  }
  if (memory.shared) {
    throw new ModuleError('wasm-memory-shared', 'its memory is shared: build it without threads');
  }
  if (memory.wide) {
    throw new ModuleError('wasm-memory-64', 'its memory has 64-bit addresses: build it for wasm32');
  }
  if (memory.minPages > BigInt(pagesMax)) {
    const limit =
      pagesMax === MEMORY_PAGES_MAX ? 'possible' : 'given to the task (Resources.Memory)';
    throw new ModuleError(
      'wasm-memory-minimum',
      `it needs ${memory.minPages} pages of 64 KiB to start, more than the ${pagesMax} ${limit}`,
    );
  }
}

function requireModule(bytes: Uint8Array): void {
  if (bytes.length < 8 || MAGIC.some((byte, at) => bytes[at] !== byte)) {
    throw new ModuleError('wasm-not-wasm', 'it does not begin as a WebAssembly file does');
  }
  const [version, layer] = [bytes[4] ?? 0, bytes[6] ?? 0];
  if (layer === 1) {
    throw new ModuleError(
      'wasm-component',
      'it is a component (WASI preview 2); build a core module for WASI preview 1 (target wasm32-wasip1 of Rust and clang, GOOS=wasip1 of Go)',
    );
  }
  if (version !== 1 || bytes[5] !== 0 || layer !== 0 || bytes[7] !== 0) {
    throw new ModuleError('wasm-invalid', `its WebAssembly version ${version} is unknown`);
  }
}

function importedMemories(section: Reader): Memory[] {
  const memories: Memory[] = [];
  for (let left = section.number(); left > 0n; left -= 1n) {
    section.part(section.number());
    section.part(section.number());
    const kind = section.byte();
    if (kind === IMPORT.function) section.number();
    else if (kind === IMPORT.table) {
      valueType(section);
      limits(section);
    } else if (kind === IMPORT.memory) add(memories, section);
    else if (kind === IMPORT.global) {
      valueType(section);
      section.byte();
    } else if (kind === IMPORT.tag) {
      section.byte();
      section.number();
    } else
      throw new ModuleError('wasm-invalid', `it imports something of the unknown kind ${kind}`);
  }
  return memories;
}

function definedMemories(section: Reader): Memory[] {
  const memories: Memory[] = [];
  for (let left = section.number(); left > 0n; left -= 1n) add(memories, section);
  return memories;
}

function add(memories: Memory[], section: Reader): void {
  if (memories.length >= MEMORIES_READ_MAX) {
    throw new ModuleError('wasm-memory-count', `it has more than ${MEMORIES_READ_MAX} memories`);
  }
  memories.push(limits(section));
}

function valueType(section: Reader): void {
  if (REFERENCE_PREFIXES.includes(section.byte())) section.number();
}

function limits(section: Reader): Memory {
  const flags = section.byte();
  const minPages = section.number();
  if ((flags & LIMITS.maximum) !== 0) section.number();
  if ((flags & LIMITS.pageSize) !== 0) section.number();
  return { minPages, shared: (flags & LIMITS.shared) !== 0, wide: (flags & LIMITS.wide) !== 0 };
}

/** Subsection 0 of the custom section `name`. Custom sections may hold anything: never an error. */
function moduleName(section: Reader): string | null {
  try {
    if (section.text() !== 'name' || section.byte() !== 0) return null;
    return section.part(section.number()).text();
  } catch {
    return null;
  }
}
