/**
 * Reads the process table of Linux: what a runner uses, and which runners are left over. Where
 * there is no `/proc` everything is unknown and nothing is found. Kills nothing.
 */
import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { MARK } from './launch.ts';

export interface ProcessUsage {
  readonly cpuMs: number;
  readonly memoryBytes: number;
  readonly peakMemoryBytes: number;
}

/** Linux counts CPU time in 1/100 s towards programs, on every architecture it runs Node on. */
const TICK_MS = 10;

/**
 * Synchronous on purpose: two reads of `/proc` take some 20 µs, and a busy thread pool must not
 * delay the watch over a program's memory.
 * @returns null when the process is gone or there is no `/proc`.
 */
export function usageOf(pid: number): ProcessUsage | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in parentheses may hold anything, so fields are counted from behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(fields[11]) + Number(fields[12]);
    const bytes = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
    const memoryBytes = bytes('VmRSS');
    // A process that has ended but was not waited for has no memory lines: nothing to learn.
    if (memoryBytes === 0 || Number.isNaN(ticks)) return null;
    return { cpuMs: ticks * TICK_MS, memoryBytes, peakMemoryBytes: bytes('VmHWM') };
  } catch {
    return null;
  }
}

export interface FoundRunner {
  readonly pid: number;
  readonly execution: string;
}

/** Runners of the node whose scratch directories lie below `scratchRoot`. */
export async function findRunners(scratchRoot: string): Promise<readonly FoundRunner[]> {
  const entries = await readdir('/proc').catch(() => []);
  const runners: FoundRunner[] = [];
  for (const entry of entries) {
    if (!/^\d+$/.test(entry)) continue;
    const execution = await executionOf(Number(entry), scratchRoot);
    if (execution !== null) runners.push({ pid: Number(entry), execution });
  }
  return runners;
}

/** The execution that a process runs for this node; null when it is no runner of ours. */
export async function executionOf(pid: number, scratchRoot: string): Promise<string | null> {
  const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const args = line.split('\0');
  const [mark, execution, scratchDir] = args.slice(args.lastIndexOf(MARK));
  if (mark !== MARK || execution === undefined || scratchDir === undefined) return null;
  return scratchDir.startsWith(`${scratchRoot}/`) ? execution : null;
}
