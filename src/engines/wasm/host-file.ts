/**
 * An open file of the host as a program's descriptor. What may be opened is decided in
 * `host-directory.ts`.
 */
import { closeSync, fstatSync, ftruncateSync, lstatSync, readSync, writeSync } from 'node:fs';
import type { BigIntStats, Stats } from 'node:fs';
import { Fd, wasi } from '@bjorn3/browser_wasi_shim';
import { attempt, ERRNO, WasiError } from './errno.ts';
import { atLeastZero, newTimes, setTimes, timesSaid } from './file-times.ts';
import type { Quota } from './quota.ts';

/** Bytes moved by one host call; a program that asks for more gets a short read or write. */
const TRANSFER_BYTES_MAX = 1 << 20;
const NOTHING = new Uint8Array();

/** The shim's own record writes the three times at wrong offsets, the first over the size. */
class HostFilestat extends wasi.Filestat {
  override write_bytes(view: DataView, pointer: number): void {
    view.setBigUint64(pointer, this.dev, true);
    view.setBigUint64(pointer + 8, this.ino, true);
    view.setBigUint64(pointer + 16, BigInt(this.filetype), true);
    view.setBigUint64(pointer + 24, this.nlink, true);
    view.setBigUint64(pointer + 32, this.size, true);
    view.setBigUint64(pointer + 40, this.atim, true);
    view.setBigUint64(pointer + 48, this.mtim, true);
    view.setBigUint64(pointer + 56, this.ctim, true);
  }
}

export function filetypeOf(stat: Pick<Stats, 'isDirectory' | 'isFile' | 'isSymbolicLink'>): number {
  if (stat.isDirectory()) return wasi.FILETYPE_DIRECTORY;
  if (stat.isSymbolicLink()) return wasi.FILETYPE_SYMBOLIC_LINK;
  return stat.isFile() ? wasi.FILETYPE_REGULAR_FILE : wasi.FILETYPE_UNKNOWN;
}

export function filestatOf(stat: BigIntStats): wasi.Filestat {
  const filestat = new HostFilestat(stat.ino, filetypeOf(stat), stat.size);
  const times = timesSaid(stat);
  filestat.dev = stat.dev;
  filestat.nlink = stat.nlink;
  filestat.atim = times.access;
  filestat.mtim = times.modified;
  filestat.ctim = atLeastZero(stat.ctimeNs);
  return filestat;
}

/** A directory that only exists because mounts lie below it, and the streams. */
export function filestatWithoutHost(filetype: number): wasi.Filestat {
  const filestat = new HostFilestat(1n, filetype, 0n);
  filestat.nlink = 1n;
  return filestat;
}

export const inodeOf = (stat: Pick<Stats, 'dev' | 'ino'>): string => `${stat.dev}:${stat.ino}`;

export interface HostFileOptions {
  /** Host descriptor; the file owns it from now on. */
  readonly descriptor: number;
  /** Walks to it once more. @returns a host path that is good until the next walk. */
  readonly host: () => string;
  readonly stat: Stats;
  readonly read: boolean;
  readonly write: boolean;
  readonly append: boolean;
  readonly quota: Quota;
}

function offsetOf(offset: bigint): number {
  if (offset < 0n || offset > BigInt(Number.MAX_SAFE_INTEGER)) throw new WasiError(ERRNO.FBIG);
  return Number(offset);
}

/** An open regular file of the host. */
export class HostFile extends Fd {
  readonly #descriptor: number;
  readonly #host: () => string;
  readonly #access: { readonly read: boolean; readonly write: boolean };
  readonly #quota: Quota;
  readonly #inode: string;
  #append: boolean;
  #position = 0;

  constructor({ descriptor, host, stat, read, write, append, quota }: HostFileOptions) {
    super();
    this.#descriptor = descriptor;
    this.#host = host;
    this.#access = { read, write };
    this.#append = append;
    this.#quota = quota;
    this.#inode = inodeOf(stat);
    quota.opened(this.#inode);
  }

  #stat(): Stats {
    return fstatSync(this.#descriptor);
  }

  #exactStat(): BigIntStats {
    return fstatSync(this.#descriptor, { bigint: true });
  }

  override fd_close(): number {
    return attempt(
      () => {
        this.#quota.closed(this.#inode, this.#stat().size);
        closeSync(this.#descriptor);
        return ERRNO.OK;
      },
      (errno) => errno,
    );
  }

  override fd_fdstat_get(): { ret: number; fdstat: wasi.Fdstat | null } {
    const flags = this.#append ? wasi.FDFLAGS_APPEND : 0;
    const fdstat = new wasi.Fdstat(wasi.FILETYPE_REGULAR_FILE, flags);
    const always = wasi.RIGHTS_FD_SEEK | wasi.RIGHTS_FD_TELL | wasi.RIGHTS_FD_FILESTAT_GET;
    const reading = this.#access.read ? wasi.RIGHTS_FD_READ : 0;
    const writing =
      wasi.RIGHTS_FD_WRITE | wasi.RIGHTS_FD_FILESTAT_SET_SIZE | wasi.RIGHTS_FD_ALLOCATE;
    fdstat.fs_rights_base = BigInt(always | reading | (this.#access.write ? writing : 0));
    return { ret: ERRNO.OK, fdstat };
  }

  override fd_fdstat_set_flags(flags: number): number {
    this.#append = (flags & wasi.FDFLAGS_APPEND) !== 0;
    return ERRNO.OK;
  }

  override fd_filestat_get(): { ret: number; filestat: wasi.Filestat | null } {
    return attempt<{ ret: number; filestat: wasi.Filestat | null }>(
      () => ({ ret: ERRNO.OK, filestat: filestatOf(this.#exactStat()) }),
      (ret) => ({ ret, filestat: null }),
    );
  }

  override fd_filestat_set_size(size: bigint): number {
    return attempt(
      () => {
        this.#requireWritable();
        this.#resize(this.#stat().size, offsetOf(size));
        return ERRNO.OK;
      },
      (errno) => errno,
    );
  }

  override fd_allocate(offset: bigint, length: bigint): number {
    return attempt(
      () => {
        this.#requireWritable();
        const { size } = this.#stat();
        this.#resize(size, Math.max(size, offsetOf(offset + length)));
        return ERRNO.OK;
      },
      (errno) => errno,
    );
  }

  override fd_filestat_set_times(access: bigint, modified: bigint, flags: number): number {
    return attempt(
      () => {
        this.#requireWritable();
        const times = newTimes(this.#exactStat(), {
          access,
          modified,
          flags,
        });
        // Node's permission model has no times by descriptor, so the file must still have its name.
        const host = this.#host();
        const named = lstatSync(host, { throwIfNoEntry: false });
        if (named === undefined || inodeOf(named) !== this.#inode)
          throw new WasiError(ERRNO.NOTSUP);
        setTimes(host, times);
        return ERRNO.OK;
      },
      (errno) => errno,
    );
  }

  override fd_pread(size: number, offset: bigint): { ret: number; data: Uint8Array } {
    return attempt(
      () => {
        if (!this.#access.read) throw new WasiError(ERRNO.BADF);
        const bytes = new Uint8Array(Math.min(size, TRANSFER_BYTES_MAX));
        const count = readSync(this.#descriptor, bytes, 0, bytes.length, offsetOf(offset));
        return { ret: ERRNO.OK, data: bytes.subarray(0, count) };
      },
      (ret) => ({ ret, data: NOTHING }),
    );
  }

  override fd_read(size: number): { ret: number; data: Uint8Array } {
    const result = this.fd_pread(size, BigInt(this.#position));
    this.#position += result.data.length;
    return result;
  }

  override fd_pwrite(data: Uint8Array, offset: bigint): { ret: number; nwritten: number } {
    return attempt(
      () => ({ ret: ERRNO.OK, nwritten: this.#write(data, offsetOf(offset)) }),
      (ret) => ({ ret, nwritten: 0 }),
    );
  }

  override fd_write(data: Uint8Array): { ret: number; nwritten: number } {
    return attempt(
      () => {
        if (this.#append) this.#position = this.#stat().size;
        const nwritten = this.#write(data, this.#position);
        this.#position += nwritten;
        return { ret: ERRNO.OK, nwritten };
      },
      (ret) => ({ ret, nwritten: 0 }),
    );
  }

  override fd_seek(offset: bigint, whence: number): { ret: number; offset: bigint } {
    return attempt(
      () => {
        const origins: Record<number, () => number> = {
          [wasi.WHENCE_SET]: () => 0,
          [wasi.WHENCE_CUR]: () => this.#position,
          [wasi.WHENCE_END]: () => this.#stat().size,
        };
        const origin = origins[whence];
        const position = origin === undefined ? -1n : BigInt(origin()) + offset;
        if (position < 0n) throw new WasiError(ERRNO.INVAL);
        this.#position = offsetOf(position);
        return { ret: ERRNO.OK, offset: position };
      },
      (ret) => ({ ret, offset: 0n }),
    );
  }

  override fd_tell(): { ret: number; offset: bigint } {
    return { ret: ERRNO.OK, offset: BigInt(this.#position) };
  }

  /**
   * Nothing to do: no run outlives its machine, and its results are published from the same kernel.
   * (Node's permission model refuses `fsync` as it does every change by descriptor alone.)
   */
  override fd_sync(): number {
    return ERRNO.OK;
  }

  #requireWritable(): void {
    if (!this.#access.write) throw new WasiError(ERRNO.BADF);
  }

  #resize(from: number, to: number): void {
    if (to > from) this.#quota.take(to - from);
    ftruncateSync(this.#descriptor, to);
    if (to < from) this.#quota.giveBack(from - to);
  }

  /** Writes what the quota allows: all, a part, or ENOSPC when not even one byte. */
  #write(data: Uint8Array, position: number): number {
    this.#requireWritable();
    const { size } = this.#stat();
    const wanted = Math.min(data.length, TRANSFER_BYTES_MAX);
    const growth = Math.max(0, position + wanted - size);
    const granted = this.#quota.takeUpTo(growth);
    const length = wanted - (growth - granted);
    if (length <= 0 && wanted > 0) {
      this.#quota.giveBack(granted);
      throw new WasiError(ERRNO.NOSPC);
    }
    let written = 0;
    try {
      written = writeSync(this.#descriptor, data, 0, length, position);
    } finally {
      // A full host disk writes less than was granted.
      this.#quota.giveBack(granted - Math.min(granted, Math.max(0, position + written - size)));
    }
    return written;
  }
}
