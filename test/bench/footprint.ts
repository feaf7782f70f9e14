/** What a peer costs when nothing happens, and how long the command line takes. */
import { spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import type { BenchContext, BenchResult } from './bench.ts';
import { noopJob } from './jobs.ts';
import { program, startMesh } from './mesh.ts';
import { bytesOf, cpuMsOf } from './process-facts.ts';
import { atMost, row } from './statistics.ts';

const MB = 1e6;
export async function memory({ quick, profileDir }: BenchContext): Promise<BenchResult> {
  await using mesh = await startMesh({ size: 3, flags: [], profileDir });
  const idleMs = quick ? 10_000 : 30_000;
  await pause(idleMs);
  const pids = mesh.peers.map(({ pid }) => pid);
  const before = await Promise.all(pids.map(cpuMsOf));
  await pause(10_000);
  const after = await Promise.all(pids.map(cpuMsOf));
  const resident = await Promise.all(pids.map((pid) => bytesOf(pid, 'status', 'VmRSS')));
  const own = await Promise.all(pids.map((pid) => bytesOf(pid, 'smaps_rollup', 'Pss')));
  const peak = await Promise.all(pids.map((pid) => bytesOf(pid, 'status', 'VmHWM')));
  const inMb = (all: readonly number[]): number[] => all.map((bytes) => bytes / MB);
  return {
    rows: [
      row(
        `resident memory of a peer, idle for ${idleMs / 1_000} s`,
        'MB',
        inMb(resident),
        atMost(150, 'every run'),
        'each of the three peers',
      ),
      row('the same, pages shared with other peers counted once', 'MB', inMb(own)),
      row('most it had since its start', 'MB', inMb(peak)),
      row(
        'processor of an idle peer',
        '% of a core',
        after.map((ms, index) => (ms - (before[index] ?? 0)) / 100),
      ),
    ],
  };
}

async function commandMs(args: readonly string[], apiPort: number): Promise<number> {
  const began = performance.now();
  const env = { ...process.env, SHOAL_API_HOST: '127.0.0.1', SHOAL_API_PORT: String(apiPort) };
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'ignore'] });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  if (code !== 0) throw new Error(`shoal ${args.join(' ')} ended with ${code}`);
  return performance.now() - began;
}

async function commandSeries(
  args: readonly string[],
  apiPort: number,
  runs: number,
): Promise<number[]> {
  const all: number[] = [];
  // The first one reads the files from disk.
  await commandMs(args, apiPort);
  for (let run = 0; run < runs; run += 1) all.push(await commandMs(args, apiPort));
  return all;
}

export async function commandLine({ quick, profileDir }: BenchContext): Promise<BenchResult> {
  await using mesh = await startMesh({
    size: 3,
    flags: ['--no-docker', '--no-wasm', '--noop'],
    profileDir,
  });
  const [peer] = mesh.peers;
  if (peer === undefined) throw new Error('the mesh is empty');
  const jobs = await Promise.all(Array.from({ length: 20 }, () => peer.api.submit(noopJob())));
  for (const job of jobs) await peer.api.completed(job, 20);
  const runs = quick ? 10 : 20;
  return {
    rows: [
      row(
        '`shoal version`',
        'ms',
        await commandSeries(['version'], peer.apiPort, runs),
        atMost(120),
      ),
      row(
        '`shoal job list` of 20 jobs',
        'ms',
        await commandSeries(['job', 'list'], peer.apiPort, runs),
        atMost(400),
      ),
    ],
  };
}
