/**
 * Times of files in nanoseconds. Node sets times as seconds with fractions, which are a quarter of a microsecond
 * apart today; so what a program has set is remembered, and told again as long as the file still has it.
 */
import { lstatSync, lutimesSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { wasi } from '@bjorn3/browser_wasi_shim';
import { ERRNO, WasiError } from './errno.ts';

/** Nanoseconds since 1970. */
export interface FileTimes {
  readonly access: bigint;
  readonly modified: bigint;
}

/** Files whose times are remembered; the oldest go first, and are then told as the host has them. */
const REMEMBERED_MAX = 10_000;

/** By device and inode: what the program said, and what the host made of it. */
const remembered = new Map<string, { readonly said: FileTimes; readonly host: FileTimes }>();

export const atLeastZero = (nanoseconds: bigint): bigint => (nanoseconds < 0n ? 0n : nanoseconds);

const keyOf = ({ dev, ino }: BigIntStats): string => `${dev}:${ino}`;

const hostTimes = ({ atimeNs, mtimeNs }: BigIntStats): FileTimes => ({
  access: atLeastZero(atimeNs),
  modified: atLeastZero(mtimeNs),
});

export function timesSaid(stat: BigIntStats): FileTimes {
  const now = hostTimes(stat);
  const known = remembered.get(keyOf(stat));
  if (known === undefined) return now;
  return {
    access: now.access === known.host.access ? known.said.access : now.access,
    modified: now.modified === known.host.modified ? known.said.modified : now.modified,
  };
}

interface Asked extends FileTimes {
  /** `FSTFLAGS_…`. */
  readonly flags: number;
}

/** The times to set, from the arguments of the `set_times` calls. @throws WasiError INVAL for both of one. */
export function newTimes(stat: BigIntStats, { access, modified, flags }: Asked): FileTimes {
  const now = BigInt(Date.now()) * 1_000_000n;
  const kept = timesSaid(stat);
  const pick = (given: bigint, set: number, toNow: number, before: bigint): bigint => {
    if ((flags & set) !== 0 && (flags & toNow) !== 0) throw new WasiError(ERRNO.INVAL);
    if ((flags & toNow) !== 0) return now;
    return (flags & set) === 0 ? before : given;
  };
  return {
    access: pick(access, wasi.FSTFLAGS_ATIM, wasi.FSTFLAGS_ATIM_NOW, kept.access),
    modified: pick(modified, wasi.FSTFLAGS_MTIM, wasi.FSTFLAGS_MTIM_NOW, kept.modified),
  };
}

/** Of what is at `host` itself, were it a link. */
export function setTimes(host: string, said: FileTimes): void {
  lutimesSync(host, Number(said.access) / 1e9, Number(said.modified) / 1e9);
  const stat = lstatSync(host, { bigint: true });
  const [oldest] = remembered.keys();
  if (remembered.size >= REMEMBERED_MAX && oldest !== undefined) remembered.delete(oldest);
  remembered.set(keyOf(stat), { said, host: hostTimes(stat) });
}
