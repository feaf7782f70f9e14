/** The process table of Linux, as far as tests want to know it. */
import { readdir, readFile } from 'node:fs/promises';

interface Row {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

async function rowOf(pid: string): Promise<Row | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ').trim();
    // The name in brackets may hold anything; state and parent come after it.
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    return { pid: Number(pid), parent, command };
  } catch {
    return null;
  }
}

async function table(): Promise<readonly Row[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  return (await Promise.all(pids.map(rowOf))).filter((row) => row !== null);
}

/** Command lines of all processes below this one. */
export async function children(pid: number): Promise<readonly string[]> {
  const rows = await table();
  const below = (parent: number): readonly Row[] =>
    rows.filter((row) => row.parent === parent).flatMap((row) => [row, ...below(row.pid)]);
  return below(pid).map(({ command }) => command);
}

/** Processes, this one left out, whose command line holds the text. */
export async function processesWith(text: string): Promise<readonly string[]> {
  const rows = await table();
  return rows
    .filter((row) => row.pid !== process.pid && row.command.includes(text))
    .map((row) => `${row.pid} ${row.command}`);
}
