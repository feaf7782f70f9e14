/**
 * A mesh of six with a thousand live jobs is cut in two halves, some of the jobs are stopped meanwhile, and it
 * is healed: how long until all six tell the same of every job and of each of its executions.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { createNetwork, NETWORK_NEEDS } from '../mesh/network.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { noopJob } from './jobs.ts';
import { startMesh } from './mesh.ts';
import type { Mesh, Peer } from './mesh.ts';
import { atMost, row } from './statistics.ts';

const SIZE = 6;
const JOBS = 1_000;
const CUT_MS = 60_000;
const RUNS = 3;
/** So many are stopped in each cut, when the halves have noticed. */
const STOPPED = 50;
const STOP_AFTER_MS = 25_000;
const CLIENTS = 12;
/** Nothing ends by itself while it is looked at. */
const WORK_MS = 7_200_000;
const POLL_MS = 250;
const GIVE_UP_MS = 300_000;
const ROOMY = ['--cpu', '16', '--memory', '4GB', '--disk', '2GB'];

export async function heal({ quick, profileDir, say }: BenchContext): Promise<BenchResult> {
  await using network = await createNetwork(SIZE);
  if (network === null) return { rows: [], skipped: [`heal: ${NETWORK_NEEDS}`] };
  const flags = ['--no-docker', '--no-wasm', '--noop', ...ROOMY];
  await using mesh = await startMesh({ size: SIZE, flags, profileDir, network });
  const began = performance.now();
  const jobs = await submitAll(mesh, quick ? JOBS / 10 : JOBS);
  await agreed(mesh, jobs, (state) => state === 'Running');
  say(`  ${jobs.length} jobs run after ${((performance.now() - began) / 1_000).toFixed(0)} s`);
  const took: number[] = [];
  for (let run = 0; run < (quick ? 1 : RUNS); run += 1) {
    const stopped = new Set(jobs.slice(run * STOPPED, (run + 1) * STOPPED));
    await network.part([0, 1, 2], [3, 4, 5]);
    await pause(STOP_AFTER_MS);
    // Not all keepers of each are in one half: some are carried out later.
    for (const [index, job] of [...stopped].entries())
      void mesh.peers[index % SIZE]?.api.stop(job).catch(() => {});
    await pause(CUT_MS - STOP_AFTER_MS);
    await network.heal();
    const healedAt = performance.now();
    const rest = jobs.slice(run * STOPPED);
    await agreed(mesh, rest, (state, job) => state === (stopped.has(job) ? 'Stopped' : 'Running'));
    took.push((performance.now() - healedAt) / 1_000);
    say(`  run ${run + 1}: all agree after ${took.at(-1)?.toFixed(1)} s`);
    await mesh.joined();
  }
  const what = `a cut of ${CUT_MS / 1_000} s with ${jobs.length} live jobs is healed: all tell the same of each`;
  const note = `${STOPPED} of them are stopped during each cut, half of all never end by themselves`;
  return { rows: [row(what, 's', took, atMost(30, 'every run'), note)] };
}

async function submitAll({ peers }: Mesh, count: number): Promise<readonly string[]> {
  const jobs: string[] = [];
  let left = count;
  const client = async (at: number): Promise<void> => {
    const { api } = peers[at % SIZE] as Peer;
    while (left > 0) {
      left -= 1;
      const Type = left % 2 === 0 ? 'batch' : 'service';
      jobs.push(await api.submit({ ...noopJob(WORK_MS), Type }));
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, at) => client(at)));
  return jobs;
}

/** Waits until all peers tell the same of each of these jobs, and its state is good. */
async function agreed(
  { peers }: Mesh,
  jobs: readonly string[],
  good: (state: string, job: string) => boolean,
): Promise<void> {
  const deadline = performance.now() + GIVE_UP_MS;
  // What is agreed on stays so: each is asked about until it is.
  for (const job of jobs) {
    for (;;) {
      const views = await Promise.all(peers.map(({ api }) => api.described(job).catch(() => '')));
      const [one = ''] = views;
      const state = one.split('\n')[0] ?? '';
      if (good(state, job) && views.every((other) => other === one)) break;
      if (performance.now() > deadline)
        throw new Error(
          `not in ${GIVE_UP_MS / 1_000} s: all agree on ${job}\n${views.join('\n\n')}`,
        );
      await pause(POLL_MS);
    }
  }
}
