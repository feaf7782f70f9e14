/** What the tables of system calls have in common. */
import type { Fd } from '@bjorn3/browser_wasi_shim';
import { ERRNO, WasiError } from './errno.ts';

/** Numbers are unsigned here, see `guarded` in `system.ts`. */
export type Argument = number | bigint;
/** Gives a WASI error number. */
export type Call = (...args: Argument[]) => unknown;

/** Descriptors of one program, shared by all its modules. */
export type Descriptors = (Fd | undefined)[];

/** @throws WasiError BADF when it is closed. */
export function openAt(descriptors: Descriptors, value: Argument | undefined): Fd {
  const descriptor = descriptors[Number(value)];
  if (descriptor === undefined) throw new WasiError(ERRNO.BADF);
  return descriptor;
}
