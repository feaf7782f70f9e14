/**
 * What an execution needs, from the user's text to numbers: Kubernetes CPU quantities, go-humanize
 * byte sizes, GPU counts, and back to text for people. Knows nothing of what a node has.
 */
import type { Resources, ResourceTexts } from './model.ts';
import { own } from './own.ts';
import { isGiven, readKnown, readText } from './reader.ts';
import { show, type Field, type Report } from './problem.ts';

/** For what the user leaves out; the values are Bacalhau's. */
const DEFAULT_CPU = '500m';
const DEFAULT_MEMORY = '512mb';

/** What a task asks for that names nothing. */
export const DEFAULT_TEXTS = { CPU: DEFAULT_CPU, Memory: DEFAULT_MEMORY } as const;
/** For an explicit zero, with which nothing could run; the values are Bacalhau's. */
const FALLBACK_CPU_MILLIS = 100;
const FALLBACK_MEMORY_BYTES = 100 * 1024 * 1024;

/** Cores; above this a count of thousandths is no longer exact for people. */
export const CPU_MAX = 1_000_000;
export const GPUS_MAX = 1_000_000;
/** Four pebibytes: what a node reserves for its jobs still adds up exactly. */
export const BYTES_MAX = 2 ** 52;
/** Bytes; a bare number below this is most likely meant in other units. */
const BARE_BYTES_DOUBTFUL = 1024 * 1024;

// biome-ignore format: a table reads better in its own lines
const BYTE_UNITS: Readonly<Record<string, number>> = {
  '': 1, b: 1,
  k: 1e3, kb: 1e3, ki: 1024, kib: 1024,
  m: 1e6, mb: 1e6, mi: 1024 ** 2, mib: 1024 ** 2,
  g: 1e9, gb: 1e9, gi: 1024 ** 3, gib: 1024 ** 3,
  t: 1e12, tb: 1e12, ti: 1024 ** 4, tib: 1024 ** 4,
  p: 1e15, pb: 1e15, pi: 1024 ** 5, pib: 1024 ** 5,
  e: 1e18, eb: 1e18, ei: 1024 ** 6, eib: 1024 ** 6,
};

/** What an execution gets that asked for this: nothing can run with no processor or no memory. */
export function granted(asked: Resources): Resources {
  return {
    ...asked,
    cpuMillis: asked.cpuMillis || FALLBACK_CPU_MILLIS,
    memoryBytes: asked.memoryBytes || FALLBACK_MEMORY_BYTES,
  };
}

/** Thousandths of a core of `500m`, `0.5`, `2`; rounded up. Null when it is none. */
export function parseCpu(text: string): number | null {
  const parts = /^(\d+(?:\.\d*)?|\.\d+)(m?)$/.exec(text);
  if (parts === null) return null;
  const millis = Number(parts[1]) * (parts[2] === 'm' ? 1 : 1000);
  if (millis > CPU_MAX * 1000) return null;
  // Without the first rounding 2.007 cores would be 2008 thousandths, by binary fractions.
  return Math.ceil(Number(millis.toFixed(6)));
}

/** Bytes of `512Mb` (powers of 1000), `1Gi` (powers of 1024), `100000`. Null when it is none. */
export function parseBytes(text: string): number | null {
  const parts = /^([\d.,]+)\s*([a-z]*)$/i.exec(text);
  if (parts === null) return null;
  const digits = (parts[1] ?? '').replaceAll(',', '');
  const unit = own(BYTE_UNITS, (parts[2] ?? '').toLowerCase());
  if (unit === undefined || !/^(\d+(\.\d*)?|\.\d+)$/.test(digits)) return null;
  const bytes = Math.trunc(Number(digits) * unit);
  return bytes <= BYTES_MAX ? bytes : null;
}

/** Devices of `1`. Null when it is not a whole number. */
export function parseGpus(text: string): number | null {
  if (!/^\d{1,9}$/.test(text)) return null;
  const count = Number(text);
  return count <= GPUS_MAX ? count : null;
}

/** `512000000` → `512 MB`, `1500` → `1.5 kB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${Number(value.toFixed(1))} ${units[unit] ?? ''}`;
}

/** `500` → `500m`, `2000` → `2`. */
export function formatCpu(millis: number): string {
  return millis % 1000 === 0 ? String(millis / 1000) : `${millis}m`;
}

export interface ReadResources {
  readonly texts: ResourceTexts;
  readonly resources: Resources;
}

/** The `Resources` of a task with defaults applied. */
export function readResources(report: Report, field: Field): ReadResources {
  const struct = readKnown(report, field, ['CPU', 'Memory', 'Disk', 'GPU']);
  const text = (name: string): string => {
    if (struct === null) return '';
    return readText(report, struct.get(name)).toLowerCase().replace(/\s+/g, '');
  };
  const texts: ResourceTexts = {
    CPU: text('CPU') || DEFAULT_CPU,
    Memory: text('Memory') || DEFAULT_MEMORY,
    Disk: text('Disk'),
    GPU: text('GPU'),
  };
  const read = (
    name: string,
    value: string,
    parse: (text: string) => number | null,
    units: string,
  ) => {
    if (value === '') return 0;
    const parsed = parse(value);
    const at = struct?.get(name) ?? field;
    if (parsed === null) report.problem(at, 'malformed', `expected ${units}, got ${show(value)}`);
    return parsed ?? 0;
  };
  const bytes = 'a size such as 512mb, 1gi or 100000 (bytes)';
  const resources = granted({
    cpuMillis: read('CPU', texts.CPU, parseCpu, 'cores such as 500m, 0.5 or 2'),
    memoryBytes: read('Memory', texts.Memory, parseBytes, bytes),
    diskBytes: read('Disk', texts.Disk, parseBytes, bytes),
    gpus: read('GPU', texts.GPU, parseGpus, 'a whole number of devices'),
  });
  if (struct !== null) {
    warnBareBytes(report, struct.get('Memory'), texts.Memory);
    warnBareBytes(report, struct.get('Disk'), texts.Disk);
  }
  return { texts, resources };
}

function warnBareBytes(report: Report, field: Field, text: string): void {
  if (!isGiven(field) || !/^\d+$/.test(text)) return;
  const bytes = Number(text);
  if (bytes === 0 || bytes >= BARE_BYTES_DOUBTFUL) return;
  report.warning(field, 'doubtful', `${text} means ${text} bytes; write ${text}mb for megabytes`);
}
