/** What jobs that run and need nothing cost the peers that keep them. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Api } from './api.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { noopJob } from './jobs.ts';
import { startMesh } from './mesh.ts';
import type { Peer } from './mesh.ts';
import { cpuMsOf } from './process-facts.ts';
import { atMost, row } from './statistics.ts';

const SIZE = 9;
const JOBS = 100;
/** Nothing ends by itself while it is looked at. */
const WORK_MS = 3_600_000;
const POLL_MS = 500;
const GIVE_UP_MS = 120_000;
/** The news of the joins has gone round by then, and hellos have slowed down. */
const SETTLE_MS = 45_000;
const LOOK_MS = 60_000;

export async function liveJobs({ quick, profileDir, say }: BenchContext): Promise<BenchResult> {
  const flags = ['--no-docker', '--no-wasm', '--noop'];
  await using mesh = await startMesh({ size: SIZE, flags, profileDir, together: true });
  const { peers } = mesh;
  const lookMs = quick ? LOOK_MS / 3 : LOOK_MS;
  await pause(SETTLE_MS);
  const without = await shares(peers, lookMs);
  // Half of them never end, which has rules of its own.
  const jobs = await Promise.all(
    Array.from({ length: JOBS }, (_, index) =>
      (peers[index % SIZE] as Peer).api.submit({
        ...noopJob(WORK_MS),
        Type: index % 2 === 0 ? 'batch' : 'service',
      }),
    ),
  );
  await allRun(
    peers.map(({ api }) => api),
    jobs,
  );
  say(`  ${JOBS} jobs run`);
  await pause(SETTLE_MS);
  const before = await messages(peers);
  const using = await shares(peers, lookMs);
  const sent = (await messages(peers)) - before;
  const each = (sent / SIZE / (lookMs / 1_000)).toFixed(1);
  return {
    rows: [
      row(`processor of a peer among ${SIZE} without a job`, '% of a core', without),
      row(
        `the same with ${JOBS} live jobs`,
        '% of a core',
        using,
        atMost(3, 'every run'),
        `each peer sends ${each} messages a second`,
      ),
    ],
  };
}

/** Of one core, percent, by peer. */
async function shares(peers: readonly Peer[], lookMs: number): Promise<readonly number[]> {
  const pids = peers.map(({ pid }) => pid);
  const before = await Promise.all(pids.map(cpuMsOf));
  const began = performance.now();
  await pause(lookMs);
  const took = performance.now() - began;
  const after = await Promise.all(pids.map(cpuMsOf));
  return after.map((ms, index) => (100 * (ms - (before[index] ?? 0))) / took);
}

const messages = async (peers: readonly Peer[]): Promise<number> =>
  (await Promise.all(peers.map(({ api }) => api.metric('shoal_messages_sent_total')))).reduce(
    (sum, one) => sum + one,
    0,
  );

async function allRun(apis: readonly Api[], jobs: readonly string[]): Promise<void> {
  const deadline = performance.now() + GIVE_UP_MS;
  for (const [index, job] of jobs.entries()) {
    const api = apis[index % apis.length];
    while ((await api?.state(job)) !== 'Running') {
      if (performance.now() > deadline) throw new Error(`not in ${GIVE_UP_MS} ms: all jobs run`);
      await pause(POLL_MS);
    }
  }
}
