/**
 * A mesh of six with a thousand live jobs is cut in two halves, some of the jobs are stopped meanwhile, and it
 * is healed: how long until all six tell the same of those that were stopped and of every tenth of the others, and
 * of each of their executions. To ask all of them about all would take longer than they do.
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
const CUT_MS = 45_000;
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
  for (const [index, job] of jobs.entries())
    await agreed(
      { peers: [mesh.peers[index % SIZE] as Peer] },
      [job],
      (state) => state === 'Running',
    );
  say(`  ${jobs.length} jobs run after ${((performance.now() - began) / 1_000).toFixed(0)} s`);
  const took: number[] = [];
  for (let run = 0; run < (quick ? 1 : RUNS); run += 1) {
    const some = jobs.slice(run * STOPPED, (run + 1) * STOPPED);
    await network.part([0, 1, 2], [3, 4, 5]);
    await pause(STOP_AFTER_MS);
    // Where too few of its keepers are in one half a stop is carried out later, or the job is not found.
    const stopped = new Set<string>();
    for (const [index, job] of some.entries())
      void mesh.peers[index % SIZE]?.api.stop(job).then(
        () => stopped.add(job),
        () => {},
      );
    await pause(CUT_MS - STOP_AFTER_MS);
    await network.heal();
    const healedAt = performance.now();
    await agreed(mesh, [...stopped], (state) => state === 'Stopped');
    const others = jobs.slice((run + 1) * STOPPED).filter((_, at) => at % 10 === 0);
    await agreed(mesh, others, (state) => state === 'Running');
    took.push((performance.now() - healedAt) / 1_000);
    say(`  run ${run + 1}: all agree after ${took.at(-1)?.toFixed(1)} s`);
    await mesh.joined();
  }
  const what = `a cut of ${CUT_MS / 1_000} s with ${jobs.length} live jobs is healed: all tell the same`;
  const note = `${STOPPED} of them are stopped during each cut; these and every tenth of the others are asked about`;
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

/** Waits until all peers tell the same of these jobs, and their states are good. */
async function agreed(
  { peers }: Pick<Mesh, 'peers'>,
  jobs: readonly string[],
  good: (state: string) => boolean,
): Promise<void> {
  const deadline = performance.now() + GIVE_UP_MS;
  for (const job of jobs) {
    for (;;) {
      const views = await Promise.all(peers.map(({ api }) => api.described(job).catch(() => '')));
      const [one = ''] = views;
      if (good(one.split('\n')[0] ?? '') && views.every((view) => view === one)) break;
      if (performance.now() > deadline)
        throw new Error(`not in ${GIVE_UP_MS} ms: all agree on ${job}\n${views.join('\n\n')}`);
      await pause(POLL_MS);
    }
  }
}
