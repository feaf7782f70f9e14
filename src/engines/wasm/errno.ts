/**
 * WASI error numbers, and how host errors become them. Nothing of a host error but its kind reaches
 * the program: messages would tell it host paths.
 */
import { wasi } from '@bjorn3/browser_wasi_shim';

export const ERRNO = {
  OK: wasi.ERRNO_SUCCESS,
  ACCES: wasi.ERRNO_ACCES,
  BADF: wasi.ERRNO_BADF,
  BUSY: wasi.ERRNO_BUSY,
  EXIST: wasi.ERRNO_EXIST,
  FAULT: wasi.ERRNO_FAULT,
  FBIG: wasi.ERRNO_FBIG,
  ILSEQ: wasi.ERRNO_ILSEQ,
  INVAL: wasi.ERRNO_INVAL,
  IO: wasi.ERRNO_IO,
  ISDIR: wasi.ERRNO_ISDIR,
  LOOP: wasi.ERRNO_LOOP,
  MFILE: wasi.ERRNO_MFILE,
  NAMETOOLONG: wasi.ERRNO_NAMETOOLONG,
  NOENT: wasi.ERRNO_NOENT,
  NOSPC: wasi.ERRNO_NOSPC,
  NOTCAPABLE: wasi.ERRNO_NOTCAPABLE,
  NOTDIR: wasi.ERRNO_NOTDIR,
  NOTEMPTY: wasi.ERRNO_NOTEMPTY,
  NOTSUP: wasi.ERRNO_NOTSUP,
  PERM: wasi.ERRNO_PERM,
  ROFS: wasi.ERRNO_ROFS,
  SPIPE: wasi.ERRNO_SPIPE,
  XDEV: wasi.ERRNO_XDEV,
} as const;

const OF_HOST: ReadonlyMap<string, number> = new Map(
  Object.entries({
    EACCES: ERRNO.ACCES,
    EBUSY: ERRNO.BUSY,
    EDQUOT: ERRNO.NOSPC,
    EEXIST: ERRNO.EXIST,
    EFBIG: ERRNO.FBIG,
    EINVAL: ERRNO.INVAL,
    EISDIR: ERRNO.ISDIR,
    ELOOP: ERRNO.LOOP,
    EMFILE: ERRNO.MFILE,
    ENAMETOOLONG: ERRNO.NAMETOOLONG,
    ENFILE: ERRNO.MFILE,
    ENOENT: ERRNO.NOENT,
    ENOSPC: ERRNO.NOSPC,
    ENOTDIR: ERRNO.NOTDIR,
    ENOTEMPTY: ERRNO.NOTEMPTY,
    EPERM: ERRNO.PERM,
    EROFS: ERRNO.ROFS,
    EXDEV: ERRNO.XDEV,
    // Node's permission model, the second wall: the walk below should have refused before.
    ERR_ACCESS_DENIED: ERRNO.NOTCAPABLE,
  }),
);

/** An error number on its way to the program. */
export class WasiError extends Error {
  override readonly name = 'WasiError';
  readonly errno: number;
  constructor(errno: number) {
    super(`WASI error ${errno}`);
    this.errno = errno;
  }
}

/** The number for whatever a host call threw; EIO for what has no better one. */
export function errnoOf(error: unknown): number {
  if (error instanceof WasiError) return error.errno;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? (OF_HOST.get(code) ?? ERRNO.IO) : ERRNO.IO;
}

/** Runs a host operation; an error becomes what `failed` makes of its number. */
export function attempt<T>(operation: () => T, failed: (errno: number) => T): T {
  try {
    return operation();
  } catch (error) {
    // A stack that the program used up is its trap, not an error of this call.
    if (error instanceof RangeError && error.message.includes('call stack')) throw error;
    return failed(errnoOf(error));
  }
}
