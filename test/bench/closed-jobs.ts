/** What jobs that are over leave in the memory of a peer. */
import { setTimeout as pause } from 'node:timers/promises';
import type { BenchContext, BenchResult } from './bench.ts';
import { noopJob } from './jobs.ts';
import { startMesh } from './mesh.ts';
import type { Mesh } from './mesh.ts';
import { bytesOf } from './process-facts.ts';
import { row } from './statistics.ts';
import type { Row } from './statistics.ts';

const MB = 1e6;
/** As many as keep three peers busy. */
const CLIENTS = 24;
const POLL_MS = 100;
/** Closed jobs are packed 10 s after their end; the collector goes through what is left after that. */
const SETTLE_MS = 20_000;

/** Closes so many jobs more, submitted at all peers. */
async function closeJobs({ peers }: Mesh, count: number): Promise<void> {
  let left = count;
  const client = async (index: number): Promise<void> => {
    const api = peers[index % peers.length]?.api;
    while (left > 0 && api !== undefined) {
      left -= 1;
      await api.completed(await api.submit(noopJob()), POLL_MS);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, index) => client(index)));
}

async function measured({ peers }: Mesh, what: string): Promise<readonly Row[]> {
  const inMb = (field: 'VmRSS' | 'VmHWM'): Promise<number[]> =>
    Promise.all(peers.map(async ({ pid }) => (await bytesOf(pid, 'status', field)) / MB));
  const busy = await inMb('VmRSS');
  await pause(SETTLE_MS);
  return [
    row(`resident memory of a peer, right after ${what}`, 'MB', busy),
    row(`the same, ${SETTLE_MS / 1_000} s later`, 'MB', await inMb('VmRSS')),
    row('most it had until then', 'MB', await inMb('VmHWM')),
  ];
}

export async function closedJobs({ quick, profileDir, say }: BenchContext): Promise<BenchResult> {
  const flags = ['--no-docker', '--no-wasm', '--noop'];
  await using mesh = await startMesh({ size: 3, flags, profileDir });
  const rows: Row[] = [];
  let closed = 0;
  for (const count of quick ? [2_000] : [2_000, 5_000]) {
    const began = performance.now();
    await closeJobs(mesh, count - closed);
    say(`  ${count - closed} jobs in ${((performance.now() - began) / 1_000).toFixed(0)} s`);
    closed = count;
    rows.push(...(await measured(mesh, `${count} closed jobs`)));
  }
  return { rows };
}
