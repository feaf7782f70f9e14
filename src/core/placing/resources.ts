/** Arithmetic of resources. All values are ≥ 0; units are those of `Resources`. */
import type { Resources, Task } from '../../job/model.ts';
import { own } from '../../job/own.ts';
import type { ResourceName } from '../record/refusals.ts';

export const NOTHING: Resources = { cpuMillis: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };

const FIELDS: readonly (readonly [ResourceName, keyof Resources])[] = [
  ['cpu', 'cpuMillis'],
  ['memory', 'memoryBytes'],
  ['disk', 'diskBytes'],
  ['gpu', 'gpus'],
];

export const plus = (a: Resources, b: Resources): Resources => ({
  cpuMillis: a.cpuMillis + b.cpuMillis,
  memoryBytes: a.memoryBytes + b.memoryBytes,
  diskBytes: a.diskBytes + b.diskBytes,
  gpus: a.gpus + b.gpus,
});

/** All of them together; asked for with every announcement, so nothing is built on the way. */
export function total(all: Iterable<Resources>): Resources {
  let [cpuMillis, memoryBytes, diskBytes, gpus] = [0, 0, 0, 0];
  for (const each of all) {
    cpuMillis += each.cpuMillis;
    memoryBytes += each.memoryBytes;
    diskBytes += each.diskBytes;
    gpus += each.gpus;
  }
  return { cpuMillis, memoryBytes, diskBytes, gpus };
}

/**
 * What an execution takes of a node: what its task asks for, and the memory of the engine's own
 * process beside it, which no job can avoid.
 */
export function takenBy(task: Task, overheads: Readonly<Record<string, number>>): Resources {
  const overhead = own(overheads, task.Engine.Type) ?? 0;
  return { ...task.resources, memoryBytes: task.resources.memoryBytes + overhead };
}

/** a − b, never below zero. */
export const minus = (a: Resources, b: Resources): Resources => ({
  cpuMillis: Math.max(0, a.cpuMillis - b.cpuMillis),
  memoryBytes: Math.max(0, a.memoryBytes - b.memoryBytes),
  diskBytes: Math.max(0, a.diskBytes - b.diskBytes),
  gpus: Math.max(0, a.gpus - b.gpus),
});

export const times = (a: Resources, n: number): Resources => ({
  cpuMillis: a.cpuMillis * n,
  memoryBytes: a.memoryBytes * n,
  diskBytes: a.diskBytes * n,
  gpus: a.gpus * n,
});

/** Whole units of `share` of each. */
export const scaled = (a: Resources, share: number): Resources => ({
  cpuMillis: Math.floor(a.cpuMillis * share),
  memoryBytes: Math.floor(a.memoryBytes * share),
  diskBytes: Math.floor(a.diskBytes * share),
  gpus: Math.floor(a.gpus * share),
});

const each = (a: Resources, b: Resources, pick: (x: number, y: number) => number): Resources => ({
  cpuMillis: pick(a.cpuMillis, b.cpuMillis),
  memoryBytes: pick(a.memoryBytes, b.memoryBytes),
  diskBytes: pick(a.diskBytes, b.diskBytes),
  gpus: pick(a.gpus, b.gpus),
});

export const same = (a: Resources, b: Resources): boolean =>
  FIELDS.every(([, key]) => a[key] === b[key]);

/** The smaller, and the larger, of each. */
export const least = (a: Resources, b: Resources): Resources => each(a, b, Math.min);
export const most = (a: Resources, b: Resources): Resources => each(a, b, Math.max);

/** The largest share that `part` takes of anything in `whole`, 0 … 1. */
export function shareOf(part: Resources, whole: Resources): number {
  const shares = FIELDS.map(([, key]) => (part[key] === 0 ? 0 : part[key] / whole[key]));
  return Math.min(1, Math.max(...shares));
}

/** The resources of which `wanted` is more than `available`. */
export function shortages(
  wanted: Resources,
  available: Resources,
): readonly { resource: ResourceName; wanted: number; available: number }[] {
  return FIELDS.map(([resource, key]) => ({
    resource,
    wanted: wanted[key],
    available: available[key],
  })).filter((entry) => entry.wanted > entry.available);
}

export const fits = (wanted: Resources, available: Resources): boolean =>
  shortages(wanted, available).length === 0;

/** How many times `wanted` fits into `available`; at most `limit`. */
export function howOften(wanted: Resources, available: Resources, limit: number): number {
  let count = limit;
  for (const [, key] of FIELDS) {
    if (wanted[key] > 0) count = Math.min(count, Math.floor(available[key] / wanted[key]));
  }
  return Math.max(0, count);
}

/** Share of the capacity that is free, 0 … 1: the scarcest of CPU and memory decides. */
export function freeShare(free: Resources, capacity: Resources): number {
  const share = (part: number, whole: number): number => (whole === 0 ? 1 : part / whole);
  return Math.min(
    share(free.cpuMillis, capacity.cpuMillis),
    share(free.memoryBytes, capacity.memoryBytes),
  );
}
