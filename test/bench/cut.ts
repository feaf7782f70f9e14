/**
 * A mesh of six is cut in two halves and healed: how long until every peer is connected to every other,
 * and until all six tell the same of two jobs: one whose keepers and executions are in both halves, and
 * one that was stopped in one half during the cut.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { BenchContext, BenchResult } from './bench.ts';
import { noopJob } from './jobs.ts';
import { startMesh } from './mesh.ts';
import type { Mesh } from './mesh.ts';
import { createNetwork, NETWORK_NEEDS } from '../mesh/network.ts';
import type { Network } from '../mesh/network.ts';
import { atMost, row } from './statistics.ts';
import type { Row } from './statistics.ts';

const SIZE = 6;
const CUTS_S = [30, 60, 120];
const RUNS = 10;
const POLL_MS = 250;
const GIVE_UP_MS = 300_000;
/** Nothing ends by itself while it is looked at. */
const WORK_MS = 1_200_000;
/** When in the cut the second job is stopped: the halves have noticed by then. */
const STOP_AFTER_MS = 15_000;

export async function cut({ quick, profileDir, say }: BenchContext): Promise<BenchResult> {
  await using network = await createNetwork(SIZE);
  if (network === null) return { rows: [], skipped: [`cut: ${NETWORK_NEEDS}`] };
  await using mesh = await startMesh({
    size: SIZE,
    flags: ['--no-docker', '--no-wasm', '--noop'],
    profileDir,
    network,
  });
  const rows: Row[] = [];
  for (const seconds of CUTS_S) {
    const connected: number[] = [];
    const agreed: number[] = [];
    for (let run = 0; run < (quick ? 1 : RUNS); run += 1) {
      const took = await cutOnce(mesh, network, seconds * 1_000);
      say(`cut of ${seconds} s: connected after ${took.connected}, agreed after ${took.agreed} s`);
      connected.push(took.connected);
      agreed.push(took.agreed);
    }
    rows.push(
      row(`a cut of ${seconds} s is healed: all are connected`, 's', connected),
      row(`the same: all tell the same of every job`, 's', agreed, atMost(30)),
    );
  }
  return { rows };
}

async function cutOnce(
  mesh: Mesh,
  network: Network,
  cutMs: number,
): Promise<{ readonly connected: number; readonly agreed: number }> {
  const [first, , , other] = mesh.peers;
  if (first === undefined || other === undefined) throw new Error('the mesh is too small');
  const kept = await first.api.submit({ ...noopJob(WORK_MS), Count: 3 });
  const stopped = await other.api.submit(noopJob(WORK_MS));
  for (const job of [kept, stopped]) {
    await agreed('the jobs run', mesh, [job], (views) => views.every(runs));
  }
  await network.part([0, 1, 2], [3, 4, 5]);
  await pause(STOP_AFTER_MS);
  // Not all keepers may be in its half: then it is carried out later.
  void first.api.stop(stopped).catch(() => {});
  await pause(cutMs - STOP_AFTER_MS);
  await network.heal();
  const healedAt = performance.now();
  const seconds = (): number => Math.round((performance.now() - healedAt) / 100) / 10;
  const everybody = async (): Promise<number> => {
    for (const { api } of mesh.peers) {
      while ((await api.connectedNodes().catch(() => 0)) < SIZE) await pause(POLL_MS);
    }
    return seconds();
  };
  const [connected, agreedAt] = await Promise.all([
    everybody(),
    agreed(
      'all tell the same',
      mesh,
      [kept, stopped],
      ([one = '', two = '']) => one.startsWith('Running') && two.startsWith('Stopped'),
    ).then(seconds),
  ]);
  await first.api.stop(kept);
  await agreed('the first job is stopped, too', mesh, [kept], ([view = '']) =>
    view.startsWith('Stopped'),
  );
  return { connected, agreed: agreedAt };
}

const runs = (view: string): boolean => view.includes(' live');

/** Waits until all peers say the same, and it is what is wanted. */
async function agreed(
  what: string,
  mesh: Mesh,
  jobs: readonly string[],
  good: (views: readonly string[]) => boolean,
): Promise<void> {
  const deadline = performance.now() + GIVE_UP_MS;
  for (;;) {
    const told = await Promise.all(
      mesh.peers.map(({ api }) =>
        Promise.all(jobs.map((job) => api.described(job).catch(() => ''))),
      ),
    );
    const [one = []] = told;
    if (good(one) && told.every((other) => other.join('\n') === one.join('\n'))) return;
    if (performance.now() > deadline)
      throw new Error(`not in ${GIVE_UP_MS / 1_000} s: ${what}\n${told.join('\n\n')}`);
    await pause(POLL_MS);
  }
}
