/**
 * The system calls of a program: the shim's `wasi_snapshot_preview1` with what it gets wrong or
 * leaves out written anew (clocks, random numbers, waiting, descriptors, renaming, argument sizes),
 * and every call guarded against hostile lengths and pointers. Opens no host file itself.
 */
import { WASI, WASIProcExit, wasi } from '@bjorn3/browser_wasi_shim';
import type { Fd } from '@bjorn3/browser_wasi_shim';
import { ERRNO, errnoOf, WasiError } from './errno.ts';
import { HostDirectory } from './host-directory.ts';

export const WASI_MODULE = 'wasi_snapshot_preview1';

/** 1 ms: finer clocks help only to spy on neighbours through caches. */
const CLOCK_NANOSECONDS = 1_000_000n;
const FIRST_FREE_DESCRIPTOR = 3;
const PATH_BYTES_MAX = 4_096;
/** IOV_MAX of Linux, for both buffers and subscriptions. */
const VECTOR_MAX = 1_024;
const RANDOM_BYTES_MAX = 65_536;
const SUBSCRIPTION_BYTES = 48;
const EVENT_BYTES = 32;
/** Longest single wait; `Atomics.wait` takes no more than 2^31 ms on some platforms. */
const WAIT_MS_MAX = 2 ** 30;

type Argument = number | bigint;
type Call = (...args: Argument[]) => unknown;

/** Descriptors of one program, shared by all its modules. */
export type Descriptors = (Fd | undefined)[];

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
  path_link: [[3, PATH_BYTES_MAX], [6, PATH_BYTES_MAX]],
  path_open: [[3, PATH_BYTES_MAX]],
  path_readlink: [[2, PATH_BYTES_MAX]],
  path_remove_directory: [[2, PATH_BYTES_MAX]],
  path_rename: [[2, PATH_BYTES_MAX], [5, PATH_BYTES_MAX]],
  path_symlink: [[1, PATH_BYTES_MAX], [4, PATH_BYTES_MAX]],
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
      if (Number(args[index]) > max) return max === PATH_BYTES_MAX ? ERRNO.NAMETOOLONG : ERRNO.INVAL;
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
  const at = (value: Argument | undefined): Fd => {
    const descriptor = descriptors[Number(value)];
    if (descriptor === undefined) throw new WasiError(ERRNO.BADF);
    return descriptor;
  };
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
      if (!(source instanceof HostDirectory) || !(target instanceof HostDirectory)) return ERRNO.NOTDIR;
      return source.rename(text(from, fromLength), target, text(to, toLength));
    },
    path_create_directory: (directory, path, length) =>
      at(directory).path_create_directory(text(path, length)),
    path_remove_directory: (directory, path, length) =>
      at(directory).path_remove_directory(text(path, length)),
    path_unlink_file: (directory, path, length) => at(directory).path_unlink_file(text(path, length)),
    path_link: () => ERRNO.NOTSUP,
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

/** Nanoseconds, in whole milliseconds. */
function clockNow(clock: number): bigint {
  const cpu = (): number => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };
  const readings: Record<number, () => number> = {
    [wasi.CLOCKID_REALTIME]: () => Date.now(),
    [wasi.CLOCKID_MONOTONIC]: () => performance.now(),
    [wasi.CLOCKID_PROCESS_CPUTIME_ID]: cpu,
    [wasi.CLOCKID_THREAD_CPUTIME_ID]: cpu,
  };
  const reading = readings[clock];
  if (reading === undefined) throw new WasiError(ERRNO.INVAL);
  return BigInt(Math.floor(reading())) * CLOCK_NANOSECONDS;
}

interface Subscription {
  readonly userdata: bigint;
  readonly type: number;
  /** Nanoseconds to wait; 0 for what is ready now. */
  readonly waitNanoseconds: bigint;
  readonly errno: number;
}

/** Reads one subscription itself: the shim looks for the flags of a clock at a wrong offset. */
function subscriptionAt(view: DataView, pointer: number, descriptors: Descriptors): Subscription {
  const userdata = view.getBigUint64(pointer, true);
  const type = view.getUint8(pointer + 8);
  if (type !== wasi.EVENTTYPE_CLOCK) {
    const open = descriptors[view.getUint32(pointer + 16, true)] !== undefined;
    return { userdata, type, waitNanoseconds: 0n, errno: open ? ERRNO.OK : ERRNO.BADF };
  }
  const clock = view.getUint32(pointer + 16, true);
  if (clock !== wasi.CLOCKID_REALTIME && clock !== wasi.CLOCKID_MONOTONIC) {
    return { userdata, type, waitNanoseconds: 0n, errno: ERRNO.INVAL };
  }
  const timeout = view.getBigUint64(pointer + 24, true);
  const absolute = (view.getUint16(pointer + 40, true) & wasi.SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME) !== 0;
  const left = absolute ? timeout - clockNow(clock) : timeout;
  return { userdata, type, waitNanoseconds: left > 0n ? left : 0n, errno: ERRNO.OK };
}

function clockCalls(descriptors: Descriptors, memory: () => WebAssembly.Memory): Record<string, Call> {
  const view = (): DataView => new DataView(memory().buffer);
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  return {
    clock_res_get: (clock, result) => {
      clockNow(Number(clock));
      view().setBigUint64(Number(result), CLOCK_NANOSECONDS, true);
      return ERRNO.OK;
    },
    clock_time_get: (clock, _precision, result) => {
      view().setBigUint64(Number(result), clockNow(Number(clock)), true);
      return ERRNO.OK;
    },
    sched_yield: () => ERRNO.OK,
    poll_oneoff: (input, output, count, written) => {
      if (Number(count) === 0) return ERRNO.INVAL;
      const subscriptions: Subscription[] = [];
      for (let at = 0; at < Number(count); at += 1) {
        subscriptions.push(subscriptionAt(view(), Number(input) + at * SUBSCRIPTION_BYTES, descriptors));
      }
      let shortest = subscriptions[0]?.waitNanoseconds ?? 0n;
      for (const { waitNanoseconds } of subscriptions) {
        if (waitNanoseconds < shortest) shortest = waitNanoseconds;
      }
      if (shortest > 0n) Atomics.wait(sleeper, 0, 0, Math.min(Number(shortest) / 1e6, WAIT_MS_MAX));
      const due = subscriptions.filter(({ waitNanoseconds }) => waitNanoseconds <= shortest);
      due.forEach((event, index) => writeEvent(view(), Number(output) + index * EVENT_BYTES, event));
      view().setUint32(Number(written), due.length, true);
      return ERRNO.OK;
    },
  };
}

function writeEvent(view: DataView, pointer: number, event: Subscription): void {
  view.setBigUint64(pointer, event.userdata, true);
  view.setUint16(pointer + 8, event.errno, true);
  view.setUint8(pointer + 10, event.type);
  // Bytes readable or writable: unknown, at least one; and no hang-up.
  view.setBigUint64(pointer + 16, event.type === wasi.EVENTTYPE_CLOCK ? 0n : 1n, true);
  view.setUint16(pointer + 24, 0, true);
}

function processCalls(args: readonly string[], memory: () => WebAssembly.Memory): Record<string, Call> {
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
