/**
 * The system calls of a program: the shim's `wasi_snapshot_preview1` with what it gets wrong or
 * leaves out written anew (here descriptors, renaming, argument sizes and random numbers; beside
 * it `clock.ts` and `transfer.ts`), and every call guarded against hostile lengths and pointers.
 * Opens no host file itself.
 */
import { WASI, WASIProcExit } from '@bjorn3/browser_wasi_shim';
import type { Fd } from '@bjorn3/browser_wasi_shim';
import { openAt } from './calls.ts';
import type { Argument, Call, Descriptors } from './calls.ts';
import { clockCalls } from './clock.ts';
import { ERRNO, errnoOf, WasiError } from './errno.ts';
import { HostDirectory } from './host-directory.ts';
import { transferCalls } from './transfer.ts';

export const WASI_MODULE = 'wasi_snapshot_preview1';

const FIRST_FREE_DESCRIPTOR = 3;
const PATH_BYTES_MAX = 4_096;
/** IOV_MAX of Linux, for both buffers and subscriptions. */
const VECTOR_MAX = 1_024;
const RANDOM_BYTES_MAX = 65_536;

export interface SystemOptions {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly descriptors: Descriptors;
  readonly openFilesMax: number;
}

export interface System {
  /** The functions to import; usable once `attach` was called. */
  readonly imports: Record<string, Call>;
  /** Names the memory of the module that imports them. */
  attach(memory: WebAssembly.Memory): void;
}

/** Which argument of a call is a length, and what it may be at most. */
const LENGTHS: Readonly<Record<string, readonly (readonly [index: number, max: number])[]>> = {
  fd_pread: [[2, VECTOR_MAX]],
  fd_pwrite: [[2, VECTOR_MAX]],
  fd_read: [[2, VECTOR_MAX]],
  fd_write: [[2, VECTOR_MAX]],
  path_create_directory: [[2, PATH_BYTES_MAX]],
  path_filestat_get: [[3, PATH_BYTES_MAX]],
  path_filestat_set_times: [[3, PATH_BYTES_MAX]],
  path_link: [
    [3, PATH_BYTES_MAX],
    [6, PATH_BYTES_MAX],
  ],
  path_open: [[3, PATH_BYTES_MAX]],
  path_readlink: [[2, PATH_BYTES_MAX]],
  path_remove_directory: [[2, PATH_BYTES_MAX]],
  path_rename: [
    [2, PATH_BYTES_MAX],
    [5, PATH_BYTES_MAX],
  ],
  path_symlink: [
    [1, PATH_BYTES_MAX],
    [4, PATH_BYTES_MAX],
  ],
  path_unlink_file: [[2, PATH_BYTES_MAX]],
  poll_oneoff: [[2, VECTOR_MAX]],
};

/** One table of calls for one module: pointers mean that module's memory. */
export function createSystem(options: SystemOptions): System {
  const environment = Object.entries(options.env).map(([name, value]) => `${name}=${value}`);
  const descriptors = options.descriptors;
  // The shim types closed descriptors away, but leaves `undefined` in the array itself.
  const shim = new WASI([...options.args], environment, descriptors as Fd[], { debug: false });
  const memory = (): WebAssembly.Memory => shim.inst.exports.memory;
  const calls: Record<string, Call> = {
    ...shim.wasiImport,
    ...descriptorCalls(descriptors, options.openFilesMax, memory),
    ...transferCalls(descriptors, memory),
    ...clockCalls(descriptors, memory),
    ...processCalls(options.args, memory),
  };
  const imports: Record<string, Call> = {};
  for (const [name, call] of Object.entries(calls)) imports[name] = guarded(name, call);
  return {
    imports,
    attach: (attached) => {
      shim.inst = { exports: { memory: attached } };
    },
  };
}

/**
 * WebAssembly hands 32-bit numbers over as signed ones, so without `>>> 0` nothing above 2 GiB
 * could be pointed at. A pointer outside the memory becomes EFAULT instead of an exception.
 */
function guarded(name: string, call: Call): Call {
  const lengths = LENGTHS[name] ?? [];
  return (...given) => {
    const args = given.map((value) => (typeof value === 'number' ? value >>> 0 : value));
    for (const [index, max] of lengths) {
      if (Number(args[index]) > max)
        return max === PATH_BYTES_MAX ? ERRNO.NAMETOOLONG : ERRNO.INVAL;
    }
    try {
      return call(...args);
    } catch (error) {
      if (error instanceof WASIProcExit || error instanceof WebAssembly.RuntimeError) throw error;
      if (error instanceof RangeError && !error.message.includes('call stack')) return ERRNO.FAULT;
      if (error instanceof RangeError) throw error;
      return errnoOf(error);
    }
  };
}

/** @throws WasiError ILSEQ for what is not UTF-8: decoding it loosely would name another file. */
function textAt(memory: WebAssembly.Memory, pointer: number, length: number): string {
  const bytes = new Uint8Array(memory.buffer, pointer, length).slice();
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new WasiError(ERRNO.ILSEQ);
  }
}

function descriptorCalls(
  descriptors: Descriptors,
  openFilesMax: number,
  memory: () => WebAssembly.Memory,
): Record<string, Call> {
  const at = (value: Argument | undefined): Fd => openAt(descriptors, value);
  const text = (pointer: Argument | undefined, length: Argument | undefined): string =>
    textAt(memory(), Number(pointer), Number(length));
  return {
    path_open: (directory, lookup, path, length, oflags, rights, inheriting, fdflags, result) => {
      const free = freeDescriptor(descriptors, openFilesMax);
      const opened = at(directory).path_open(
        Number(lookup),
        text(path, length),
        Number(oflags),
        BigInt(rights ?? 0n),
        BigInt(inheriting ?? 0n),
        Number(fdflags),
      );
      if (opened.fd_obj === null) return opened.ret;
      descriptors[free] = opened.fd_obj;
      new DataView(memory().buffer).setUint32(Number(result), free, true);
      return ERRNO.OK;
    },
    path_rename: (fromDirectory, from, fromLength, toDirectory, to, toLength) => {
      const source = at(fromDirectory);
      const target = at(toDirectory);
      if (!(source instanceof HostDirectory) || !(target instanceof HostDirectory))
        return ERRNO.NOTDIR;
      return source.rename(text(from, fromLength), target, text(to, toLength));
    },
    path_create_directory: (directory, path, length) =>
      at(directory).path_create_directory(text(path, length)),
    path_remove_directory: (directory, path, length) =>
      at(directory).path_remove_directory(text(path, length)),
    path_unlink_file: (directory, path, length) =>
      at(directory).path_unlink_file(text(path, length)),
    path_link: (fromDirectory, lookup, from, fromLength, toDirectory, to, toLength) => {
      const source = at(fromDirectory);
      const target = at(toDirectory);
      if (!(source instanceof HostDirectory) || !(target instanceof HostDirectory))
        return ERRNO.NOTDIR;
      return source.link(Number(lookup), text(from, fromLength), target, text(to, toLength));
    },
    path_symlink: () => ERRNO.NOTSUP,
    fd_renumber: (from, to) => {
      const source = at(from);
      const closed = at(to);
      if (source === closed) return ERRNO.OK;
      const errno = closed.fd_close();
      if (errno !== ERRNO.OK) return errno;
      descriptors[Number(to)] = source;
      descriptors[Number(from)] = undefined;
      return ERRNO.OK;
    },
    sock_accept: () => ERRNO.NOTSUP,
    sock_recv: () => ERRNO.NOTSUP,
    sock_send: () => ERRNO.NOTSUP,
    sock_shutdown: () => ERRNO.NOTSUP,
  };
}

/** The lowest closed descriptor, as POSIX has it. */
function freeDescriptor(descriptors: Descriptors, openFilesMax: number): number {
  for (let at = FIRST_FREE_DESCRIPTOR; at < openFilesMax; at += 1) {
    if (descriptors[at] === undefined) return at;
  }
  throw new WasiError(ERRNO.MFILE);
}

function processCalls(
  args: readonly string[],
  memory: () => WebAssembly.Memory,
): Record<string, Call> {
  return {
    // The shim counts characters where bytes are meant, so other text than ASCII would overflow.
    args_sizes_get: (count, size) => {
      const view = new DataView(memory().buffer);
      view.setUint32(Number(count), args.length, true);
      const bytes = args.reduce((sum, arg) => sum + Buffer.byteLength(arg) + 1, 0);
      view.setUint32(Number(size), bytes, true);
      return ERRNO.OK;
    },
    random_get: (pointer, length) => {
      const target = new Uint8Array(memory().buffer, Number(pointer), Number(length));
      for (let at = 0; at < target.length; at += RANDOM_BYTES_MAX) {
        crypto.getRandomValues(target.subarray(at, at + RANDOM_BYTES_MAX));
      }
      return ERRNO.OK;
    },
    proc_raise: (signal) => {
      throw new WebAssembly.RuntimeError(`the program raised signal ${String(signal)}`);
    },
  };
}
