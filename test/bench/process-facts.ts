/** What Linux says of a running process. */
import { readFile } from 'node:fs/promises';

const KIB = 1_024;

/** A field of `/proc/<pid>/<file>` in kB, as bytes. */
export async function bytesOf(
  pid: number,
  file: 'status' | 'smaps_rollup',
  field: string,
): Promise<number> {
  const text = await readFile(`/proc/${pid}/${file}`, 'utf8');
  const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(text);
  if (match === null) throw new Error(`/proc/${pid}/${file} has no ${field}`);
  return Number(match[1]) * KIB;
}

/** User and system time of a process so far, milliseconds. */
export async function cpuMsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // Ticks of a hundredth of a second on every Linux.
  return 10 * (Number(fields[11]) + Number(fields[12]));
}
