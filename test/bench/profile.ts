/** Reads the CPU profiles that peers left behind and tells where their time went. */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
    };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

export interface Hot {
  readonly name: string;
  readonly ms: number;
}

/** Waiting for something to do. */
const IDLE = new Set(['(idle)', '(program)', '(root)']);

/** Functions of all profiles in the directory by the time spent in themselves, most first; idle time apart. */
export async function hotFunctions(
  directory: string,
  top: number,
): Promise<{ readonly busyMs: number; readonly hot: readonly Hot[] }> {
  const times = new Map<string, number>();
  const names = (await readdir(directory)).filter((name) => name.endsWith('.cpuprofile'));
  for (const name of names)
    add(times, JSON.parse(await readFile(join(directory, name), 'utf8')) as CpuProfile);
  const busy = [...times].filter(([name]) => !IDLE.has(name)).sort((a, b) => b[1] - a[1]);
  const busyMs = busy.reduce((sum, [, micros]) => sum + micros, 0) / 1_000;
  return {
    busyMs,
    hot: busy.slice(0, top).map(([name, micros]) => ({ name, ms: micros / 1_000 })),
  };
}

function add(times: Map<string, number>, profile: CpuProfile): void {
  const names = new Map(profile.nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  for (const [index, id] of profile.samples.entries()) {
    const name = names.get(id) ?? '(unknown)';
    times.set(name, (times.get(name) ?? 0) + (profile.timeDeltas[index] ?? 0));
  }
}

function nameOf({
  functionName,
  url,
  lineNumber,
}: CpuProfile['nodes'][number]['callFrame']): string {
  if (url === '') return functionName || '(native)';
  return `${functionName || '(anonymous)'} ${basename(url)}:${lineNumber + 1}`;
}
