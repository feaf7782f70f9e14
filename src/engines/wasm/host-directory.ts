/**
 * An open directory of a program, on top of `host-tree.ts`: opens, lists, creates, renames and
 * removes. Read-only mounts refuse every change here, before the host is asked. Symlinks are followed and
 * read, but not made: Node's permission model has no call that makes one. A directory is held by its path, so one that is renamed
 * while open is gone for its descriptor.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import type { Stats } from 'node:fs';
import { Fd, wasi } from '@bjorn3/browser_wasi_shim';
import { attempt, ERRNO, WasiError } from './errno.ts';
import { filestatOf, filestatWithoutHost, filetypeOf, HostFile, inodeOf } from './host-file.ts';
import { newTimes, setTimes } from './file-times.ts';
import { exists, isDirectory, isLink } from './host-tree.ts';
import type { HostTree, Place } from './host-tree.ts';
import type { Quota } from './quota.ts';

/** Every right of preview 1: what may really be done is decided by the mount, not by rights. */
const ALL_RIGHTS = (1n << 29n) - 1n;
/** Of the lookup flags of a path the only one. */
const LOOKUP_SYMLINK_FOLLOW = 1;

const NOTHING = new Uint8Array();

const follows = (lookup: number): boolean => (lookup & LOOKUP_SYMLINK_FOLLOW) !== 0;

interface OpenFlags {
  readonly create: boolean;
  readonly exclusive: boolean;
  readonly truncate: boolean;
  readonly directory: boolean;
  readonly read: boolean;
  readonly write: boolean;
  readonly append: boolean;
}

interface Opened {
  ret: number;
  fd_obj: Fd | null;
}

function openFlagsOf(oflags: number, rights: bigint, fdflags: number): OpenFlags {
  const has = (flag: number): boolean => (oflags & flag) !== 0;
  return {
    create: has(wasi.OFLAGS_CREAT),
    exclusive: has(wasi.OFLAGS_EXCL),
    truncate: has(wasi.OFLAGS_TRUNC),
    directory: has(wasi.OFLAGS_DIRECTORY),
    read: (rights & BigInt(wasi.RIGHTS_FD_READ)) !== 0n,
    write: (rights & BigInt(wasi.RIGHTS_FD_WRITE)) !== 0n,
    append: (fdflags & wasi.FDFLAGS_APPEND) !== 0,
  };
}

export class HostDirectory extends Fd {
  readonly #tree: HostTree;
  readonly #quota: Quota;
  readonly #path: readonly string[];
  /** Name the program finds it under before it has opened anything; null = not a preopen. */
  readonly #preopen: string | null;
  /** Names in the order of the listing under way; a cookie is a position in it. */
  #listing: readonly string[] = [];

  constructor(tree: HostTree, quota: Quota, path: readonly string[], preopen: string | null) {
    super();
    this.#tree = tree;
    this.#quota = quota;
    this.#path = path;
    this.#preopen = preopen;
  }

  override fd_fdstat_get(): { ret: number; fdstat: wasi.Fdstat } {
    const fdstat = new wasi.Fdstat(wasi.FILETYPE_DIRECTORY, 0);
    fdstat.fs_rights_base = ALL_RIGHTS;
    fdstat.fs_rights_inherited = ALL_RIGHTS;
    return { ret: ERRNO.OK, fdstat };
  }

  override fd_prestat_get(): { ret: number; prestat: wasi.Prestat | null } {
    if (this.#preopen === null) return { ret: ERRNO.BADF, prestat: null };
    return { ret: ERRNO.OK, prestat: wasi.Prestat.dir(this.#preopen) };
  }

  override fd_filestat_get(): { ret: number; filestat: wasi.Filestat | null } {
    return this.path_filestat_get(0, '.');
  }

  // What POSIX says of a directory: it can be neither read as a file nor written, and has no position.
  override fd_read(): { ret: number; data: Uint8Array } {
    return { ret: ERRNO.ISDIR, data: NOTHING };
  }
  override fd_pread(): { ret: number; data: Uint8Array } {
    return { ret: ERRNO.ISDIR, data: NOTHING };
  }
  override fd_write(): { ret: number; nwritten: number } {
    return { ret: ERRNO.BADF, nwritten: 0 };
  }
  override fd_pwrite(): { ret: number; nwritten: number } {
    return { ret: ERRNO.BADF, nwritten: 0 };
  }
  override fd_seek(): { ret: number; offset: bigint } {
    return { ret: ERRNO.BADF, offset: 0n };
  }
  override fd_tell(): { ret: number; offset: bigint } {
    return { ret: ERRNO.BADF, offset: 0n };
  }
  override fd_allocate(): number {
    return ERRNO.BADF;
  }
  override fd_filestat_set_size(): number {
    return ERRNO.BADF;
  }
  override fd_filestat_set_times(access: bigint, modified: bigint, flags: number): number {
    return this.path_filestat_set_times(0, '.', access, modified, flags);
  }
  /** As for a file: nothing to do. */
  override fd_sync(): number {
    return ERRNO.OK;
  }

  override path_filestat_get(
    flags: number,
    path: string,
  ): { ret: number; filestat: wasi.Filestat | null } {
    return attempt<{ ret: number; filestat: wasi.Filestat | null }>(
      () => {
        const { host, stat } = this.#existing(path, follows(flags));
        const exact = stat === null || host === null ? null : lstatSync(host, { bigint: true });
        const filestat =
          exact === null ? filestatWithoutHost(wasi.FILETYPE_DIRECTORY) : filestatOf(exact);
        return { ret: ERRNO.OK, filestat };
      },
      (ret) => ({ ret, filestat: null }),
    );
  }

  override fd_readdir_single(cookie: bigint): { ret: number; dirent: wasi.Dirent | null } {
    return attempt<{ ret: number; dirent: wasi.Dirent | null }>(
      () => {
        if (cookie === 0n) this.#listing = this.#names();
        for (let at = Number(cookie); at < this.#listing.length; at += 1) {
          const name = this.#listing[at] ?? '';
          const entry = this.#entry(name);
          if (entry === null) continue;
          const next = BigInt(at + 1);
          return { ret: ERRNO.OK, dirent: new wasi.Dirent(next, entry.ino, name, entry.filetype) };
        }
        return { ret: ERRNO.OK, dirent: null };
      },
      (ret) => ({ ret, dirent: null }),
    );
  }

  override path_open(
    lookup: number,
    path: string,
    oflags: number,
    rights: bigint,
    _inheriting: bigint,
    fdflags: number,
  ): Opened {
    return attempt<Opened>(
      () => {
        const flags = openFlagsOf(oflags, rights, fdflags);
        const excludes = flags.create && flags.exclusive;
        const place = this.#tree.resolve(this.#path, path, follows(lookup) && !excludes);
        if (exists(place) && excludes) throw new WasiError(ERRNO.EXIST);
        if (isLink(place)) throw new WasiError(ERRNO.LOOP);
        if (isDirectory(place)) {
          if (flags.truncate) throw new WasiError(ERRNO.ISDIR);
          const directory = new HostDirectory(this.#tree, this.#quota, place.path, null);
          return { ret: ERRNO.OK, fd_obj: directory };
        }
        return { ret: ERRNO.OK, fd_obj: this.#openFile(place, path, flags) };
      },
      (ret) => ({ ret, fd_obj: null }),
    );
  }

  override path_create_directory(path: string): number {
    return this.#change(() => {
      const place = this.#tree.resolve(this.#path, path);
      if (exists(place)) throw new WasiError(ERRNO.EXIST);
      const host = writableHostOf(place);
      this.#createEntry(() => mkdirSync(host, 0o755));
    });
  }

  override path_remove_directory(path: string): number {
    return this.#change(() => {
      const place = this.#existing(path);
      if (!isDirectory(place)) throw new WasiError(ERRNO.NOTDIR);
      rmdirSync(movableHostOf(place));
      this.#quota.giveBackEntry();
    });
  }

  override path_unlink_file(path: string): number {
    return this.#change(() => {
      const place = this.#existing(path);
      if (isDirectory(place)) throw new WasiError(ERRNO.ISDIR);
      unlinkSync(movableHostOf(place));
      if (place.stat !== null) this.#forget(place.stat);
    });
  }

  override path_filestat_set_times(
    lookup: number,
    path: string,
    access: bigint,
    modified: bigint,
    flags: number,
  ): number {
    return this.#change(() => {
      const place = this.#existing(path, follows(lookup));
      writableHostOf(place);
      const host = timedHostOf(place);
      if (place.stat === null) return;
      setTimes(host, newTimes(lstatSync(host, { bigint: true }), { access, modified, flags }));
    });
  }

  override path_readlink(path: string): { ret: number; data: string | null } {
    return attempt<{ ret: number; data: string | null }>(
      () => {
        const place = this.#existing(path);
        if (!isLink(place)) throw new WasiError(ERRNO.INVAL);
        return { ret: ERRNO.OK, data: readlinkSync(hostOf(place)) };
      },
      (ret) => ({ ret, data: null }),
    );
  }

  /** Another name for a file: `path_link`, which the shim cannot express either. */
  link(lookup: number, from: string, directory: HostDirectory, to: string): number {
    return this.#change(() => {
      const source = this.#existing(from, follows(lookup));
      if (isDirectory(source)) throw new WasiError(ERRNO.PERM);
      const host = writableHostOf(source);
      const target = directory.#tree.resolve(directory.#path, to);
      if (exists(target)) throw new WasiError(ERRNO.EXIST);
      if (to.endsWith('/')) throw new WasiError(ERRNO.NOENT);
      // Where others write, only one of both directories can be held.
      if (source.parent !== null || target.parent !== null) throw new WasiError(ERRNO.NOTSUP);
      const name = writableHostOf(target);
      directory.#createEntry(() => linkSync(host, name));
    });
  }

  /** `path_rename`, which the shim cannot express for files that it does not hold itself. */
  rename(from: string, directory: HostDirectory, to: string): number {
    return this.#change(() => {
      const source = this.#existing(from);
      const target = directory.#tree.resolve(directory.#path, to);
      const moved = [movableHostOf(source), movableHostOf(target)] as const;
      if (!isDirectory(source) && to.endsWith('/')) throw new WasiError(ERRNO.NOTDIR);
      renameSync(...reachable(moved, source, target, () => this.#existing(from)));
      if (
        target.stat === null ||
        (source.stat !== null && inodeOf(source.stat) === inodeOf(target.stat))
      )
        return;
      if (target.stat.isDirectory()) this.#quota.giveBackEntry();
      else this.#forget(target.stat);
    });
  }

  #change(operation: () => void): number {
    return attempt(
      () => {
        operation();
        return ERRNO.OK;
      },
      (errno) => errno,
    );
  }

  #existing(path: string, follow = false): Place {
    const place = this.#tree.resolve(this.#path, path, follow);
    if (!exists(place)) throw new WasiError(ERRNO.NOENT);
    return place;
  }

  #createEntry<T>(create: () => T): T {
    this.#quota.takeEntry();
    try {
      return create();
    } catch (error) {
      this.#quota.giveBackEntry();
      throw error;
    }
  }

  #forget(stat: Stats): void {
    this.#quota.removed(inodeOf(stat), stat.nlink > 1 ? 0 : stat.size);
  }

  #names(): readonly string[] {
    const place = this.#tree.resolveInside(this.#path);
    if (!exists(place)) throw new WasiError(ERRNO.NOENT);
    const names = new Set(['.', '..', ...place.mountedBelow]);
    if (place.stat !== null && place.host !== null) {
      for (const name of readdirSync(place.host)) names.add(name);
    }
    return [...names];
  }

  /** null for what the program is not to see: symlinks where others write, and what is gone meanwhile. */
  #entry(name: string): { ino: bigint; filetype: number } | null {
    return attempt<{ ino: bigint; filetype: number } | null>(
      () => {
        // The one above is named by its path: a descriptor leads no higher than itself.
        const { stat } =
          name === '..'
            ? this.#tree.resolve([], this.#path.slice(0, -1).join('/') || '.')
            : this.#existing(name);
        if (stat === null) return { ino: 1n, filetype: wasi.FILETYPE_DIRECTORY };
        return { ino: BigInt(stat.ino), filetype: filetypeOf(stat) };
      },
      () => null,
    );
  }

  #openFile(place: Place, path: string, flags: OpenFlags): HostFile {
    if (!exists(place) && !flags.create) throw new WasiError(ERRNO.NOENT);
    if (flags.directory || path.endsWith('/')) throw new WasiError(ERRNO.NOTDIR);
    // Pipes, sockets and devices of the host are no business of a program.
    if (place.stat !== null && !place.stat.isFile()) throw new WasiError(ERRNO.ACCES);
    const changes = flags.write || flags.truncate || place.stat === null;
    const host = changes ? writableHostOf(place) : hostOf(place);
    const descriptor =
      place.stat === null
        ? this.#createEntry(() => openSync(host, hostFlagsOf(flags, true), 0o644))
        : openSync(host, hostFlagsOf(flags, false));
    return this.#adopt(descriptor, place, flags);
  }

  /** Makes sure that what was opened is what was looked at, then empties it if asked to. */
  #adopt(descriptor: number, place: Place, flags: OpenFlags): HostFile {
    try {
      const stat = fstatSync(descriptor);
      const swapped = place.stat !== null && inodeOf(place.stat) !== inodeOf(stat);
      if (!stat.isFile() || swapped) throw new WasiError(ERRNO.LOOP);
      if (flags.truncate && stat.size > 0) {
        ftruncateSync(descriptor, 0);
        this.#quota.giveBack(stat.size);
      }
      const host = (): string => timedHostOf(this.#tree.resolve([], place.path.join('/')));
      return new HostFile({ ...flags, descriptor, host, stat, quota: this.#quota });
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }
}

function hostFlagsOf(flags: OpenFlags, create: boolean): number {
  // Truncating needs a descriptor that may write, even when the program only asked to read.
  const writes = flags.write || flags.truncate;
  const mode = writes ? constants.O_RDWR : constants.O_RDONLY;
  // Exclusive always: if something has appeared since the walk, it was not examined.
  const creation = create ? constants.O_CREAT | constants.O_EXCL : 0;
  return mode | creation | constants.O_NOFOLLOW | constants.O_NONBLOCK;
}

function hostOf(place: Place): string {
  if (place.host === null) throw new WasiError(ERRNO.NOENT);
  return place.host;
}

function writableHostOf(place: Place): string {
  if (place.host === null || place.mount?.writable !== true) throw new WasiError(ERRNO.ROFS);
  return place.host;
}

/**
 * Names for both ends of a move. Where others write, only one directory can be held, and from it only
 * the one above it can be reached safely; for all others a program must copy, as between two disks.
 */
function reachable(
  [from, to]: readonly [string, string],
  source: Place,
  target: Place,
  walkToSource: () => void,
): [string, string] {
  if (source.parent === target.parent) return [from, to];
  if (isAbove(source.parent)) return [`../${from}`, to];
  walkToSource();
  if (target.parent !== null && isAbove(target.parent)) return [from, `../${to}`];
  throw new WasiError(ERRNO.XDEV);
}

const isAbove = (directory: string | null): boolean =>
  directory !== null && inodeOf(statSync('..')) === directory;

/** A single file that others write to has only its path, where another file may be by now. */
function timedHostOf(place: Place): string {
  if (place.mount?.identity && place.parent === null && !isDirectory(place))
    throw new WasiError(ERRNO.NOTSUP);
  return hostOf(place);
}

/** As `writableHostOf`, for what is removed or replaced: a mount point must stay. */
function movableHostOf(place: Place): string {
  const host = writableHostOf(place);
  if (place.fixed) throw new WasiError(ERRNO.BUSY);
  return host;
}
