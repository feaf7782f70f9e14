/**
 * What the machine under this node has: processors, memory, disk and GPUs, within the limits that a
 * container or service manager set. Measures only; what is given to jobs is `profile.ts`'s business.
 */
import { own } from '../job/own.ts';
import { execFile } from 'node:child_process';
import { readFile, statfs } from 'node:fs/promises';
import { arch, availableParallelism, hostname, platform, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { errorCode } from '../lib/durable-file.ts';

export interface Gpu {
  readonly name: string;
  /** MiB; null when the driver does not tell. */
  readonly memoryMib: number | null;
}

export interface MachineFacts {
  /** Cores, as a fraction where a quota says so. */
  readonly cores: number;
  readonly memoryBytes: number;
  /** Free at the data directory. */
  readonly diskBytes: number;
  readonly gpus: readonly Gpu[];
  /** `linux`, `darwin`, `windows` */
  readonly operatingSystem: string;
  /** `amd64`, `arm64`, … */
  readonly architecture: string;
  readonly hostName: string;
}

/** Limits of the control group of this process; null = none. */
export interface GroupLimits {
  readonly cores: number | null;
  readonly memoryBytes: number | null;
}

const GPU_QUERY_MS = 2_000;
const SYSTEMS: Readonly<Record<string, string>> = { win32: 'windows' };
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' };

/** `dataDir` must exist. `root`: `/`; another one in tests. */
export async function machineFacts(dataDir: string, root: string): Promise<MachineFacts> {
  const [limits, disk, gpus] = await Promise.all([groupLimits(root), statfs(dataDir), findGpus()]);
  return {
    cores: Math.min(availableParallelism(), limits.cores ?? Number.POSITIVE_INFINITY),
    // Without a limit Node reports absurdly large values or 0, so both are cut to what is there.
    memoryBytes: Math.min(
      totalmem(),
      limits.memoryBytes ?? Number.POSITIVE_INFINITY,
      process.constrainedMemory() || Number.POSITIVE_INFINITY,
    ),
    diskBytes: disk.bavail * disk.bsize,
    gpus,
    operatingSystem: own(SYSTEMS, platform()) ?? platform(),
    architecture: own(ARCHITECTURES, arch()) ?? arch(),
    hostName: hostname(),
  };
}

/** Reads control groups of version 2, or 1, from this process's group up to the root: the least counts. */
export async function groupLimits(root: string): Promise<GroupLimits> {
  const own = (await textOf(join(root, 'proc/self/cgroup'))) ?? '';
  const mount = join(root, 'sys/fs/cgroup');
  const pathOf = (controller: RegExp): string | null => {
    const line = own.split('\n').find((each) => controller.test(each.split(':')[1] ?? '-'));
    return line?.split(':').slice(2).join(':') ?? null;
  };
  const two = upwards(mount, pathOf(/^$/) ?? '/');
  const cpuOne = ['cpu', 'cpu,cpuacct'].flatMap((name) =>
    upwards(join(mount, name), pathOf(/(^|,)cpu(,|$)/) ?? '/'),
  );
  const memoryOne = upwards(join(mount, 'memory'), pathOf(/(^|,)memory(,|$)/) ?? '/');
  const cores = await Promise.all([
    ...two.map(async (path) => quota((await textOf(join(path, 'cpu.max')))?.trim().split(' '))),
    ...cpuOne.map(async (path) => {
      const [limit, period] = await Promise.all(
        ['cpu.cfs_quota_us', 'cpu.cfs_period_us'].map((name) => textOf(join(path, name))),
      );
      return quota([limit?.trim() ?? '', period?.trim() ?? '']);
    }),
  ]);
  const memory = await Promise.all([
    ...two.map((path) => textOf(join(path, 'memory.max'))),
    ...memoryOne.map((path) => textOf(join(path, 'memory.limit_in_bytes'))),
  ]);
  return { cores: least(cores), memoryBytes: least(memory.map((text) => positive(text?.trim()))) };
}

/** `/a/b` below a mount → that directory, its parent, … the mount itself. */
function upwards(mount: string, path: string): string[] {
  const found = [mount];
  for (let at = path; at !== '/' && at !== '.' && at !== ''; at = dirname(at))
    found.unshift(join(mount, at));
  return found;
}

function quota(pair: readonly string[] | undefined): number | null {
  const [limit, period] = [positive(pair?.[0]), positive(pair?.[1])];
  return limit === null || period === null ? null : limit / period;
}

/** `max`, `-1` and what is not there mean no limit. */
function positive(text: string | undefined): number | null {
  const value = Number(text);
  return text !== undefined && text !== '' && value > 0 ? value : null;
}

const least = (values: readonly (number | null)[]): number | null => {
  const found = values.filter((value) => value !== null);
  return found.length === 0 ? null : Math.min(...found);
};

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) !== null) return undefined;
    throw error;
  }
}

/** NVIDIA's only. No tool, no driver or no answer in time means none. */
export function findGpus(): Promise<readonly Gpu[]> {
  const query = ['--query-gpu=name,memory.total', '--format=csv,noheader,nounits'];
  return new Promise((resolve) => {
    execFile(
      'nvidia-smi',
      query,
      { timeout: GPU_QUERY_MS, killSignal: 'SIGKILL' },
      (error, stdout) => {
        resolve(
          error === null
            ? stdout
                .split('\n')
                .filter((line) => line.trim() !== '')
                .map(gpuOf)
            : [],
        );
      },
    );
  });
}

function gpuOf(line: string): Gpu {
  const [name, memory] = line.split(',').map((part) => part.trim());
  const memoryMib = Number(memory);
  return {
    name: name ?? '',
    memoryMib: Number.isFinite(memoryMib) && memory !== '' ? memoryMib : null,
  };
}
