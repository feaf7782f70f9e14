/**
 * What runs until it is stopped: how long until a lost replica runs elsewhere, until a stop has ended all of
 * them, and until a daemon runs on a peer that joins.
 */
import { createNetwork, NETWORK_NEEDS } from '../mesh/network.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { noopJob } from './jobs.ts';
import { startMesh } from './mesh.ts';
import type { Mesh, Peer } from './mesh.ts';
import { until } from './scene.ts';
import { atMost, row } from './statistics.ts';
import type { Row } from './statistics.ts';

const SIZE = 5;
const FLAGS = ['--no-docker', '--no-wasm', '--noop'];
/** Longer than anything here. */
const WORK_MS = 3_600_000;
const service = { ...noopJob(WORK_MS), Type: 'service' as const };

/** Executions of the job that run, as this peer tells it. */
const running = async ({ api }: Peer, job: string) =>
  (await api.job(job)).executions.filter(({ Phase }) => Phase === 'running');

export async function replaced(context: BenchContext): Promise<BenchResult> {
  await using network = await createNetwork(SIZE);
  if (network === null) return { rows: [], skipped: [`replaced: ${NETWORK_NEEDS}`] };
  const { profileDir } = context;
  await using mesh = await startMesh({ size: SIZE, flags: FLAGS, profileDir, network });
  const killed = await losses(context, mesh, async (lost) => {
    await lost.kill();
    return () => mesh.revive(lost);
  });
  const everybody = mesh.peers.map(({ index }) => index);
  const cutOff = await losses(context, mesh, async ({ index }) => {
    await network.part(
      [index],
      everybody.filter((other) => other !== index),
    );
    return async () => {
      await network.heal();
      await mesh.joined();
    };
  });
  const limit = atMost(30, 'p99');
  return {
    rows: [
      row('peer of a replica killed, until the replica runs elsewhere', 's', killed, limit),
      row('the same, cut off', 's', cutOff, limit),
    ],
  };
}

/** @param lose takes the peer away, and says how it is had back @returns seconds until another runs, each time */
async function losses(
  { quick, say }: BenchContext,
  mesh: Mesh,
  lose: (peer: Peer) => Promise<() => Promise<void>>,
): Promise<readonly number[]> {
  const took: number[] = [];
  for (let run = 0; run < (quick ? 2 : 10); run += 1) {
    const sponsor = mesh.peers[run % SIZE] as Peer;
    const job = await sponsor.api.submit(service);
    const old = await until('it runs', async () => (await running(sponsor, job))[0] ?? null);
    const lost = mesh.peers.find(({ nodeId }) => nodeId === old.NodeID) as Peer;
    const witness = mesh.peers.find((peer) => peer !== lost) as Peer;
    const began = performance.now();
    const bringBack = await lose(lost);
    await until('another runs', async () => {
      const found = await running(witness, job).catch(() => []);
      return found.find(({ ID }) => ID !== old.ID) ?? null;
    });
    took.push((performance.now() - began) / 1_000);
    say(`  run ${run + 1}: runs elsewhere after ${took.at(-1)?.toFixed(1)} s`);
    await bringBack();
    await witness.api.stop(job);
  }
  return took;
}

export async function stopping({ quick, profileDir }: BenchContext): Promise<BenchResult> {
  await using mesh = await startMesh({ size: SIZE, flags: FLAGS, profileDir });
  const count = 2 * SIZE;
  const took: number[] = [];
  for (let run = 0; run < (quick ? 3 : 20); run += 1) {
    const asked = mesh.peers[run % SIZE] as Peer;
    const job = await asked.api.submit({ ...service, Count: count });
    await until(
      'all replicas run',
      async () => (await running(asked, job)).length === count || null,
    );
    const began = performance.now();
    const stopped = mesh.peers.map((peer) => endedAt(peer, job));
    await asked.api.stop(job);
    took.push(Math.max(...(await Promise.all(stopped))) - began);
  }
  const what = `\`stop\` of ${count} running executions on ${SIZE} peers, until the last has ended`;
  return {
    rows: [row(what, 'ms', took, atMost(2_000, 'every run'), 'as each peer tells it of its own')],
  };
}

/** When all executions of the job on this peer were told to stop and have ended. */
async function endedAt(peer: Peer, job: string): Promise<number> {
  return until('it has ended', async () => {
    const own = (await peer.api.job(job)).executions.filter(({ NodeID }) => NodeID === peer.nodeId);
    return own.every(({ Phase }) => Phase === 'cancelled') ? performance.now() : null;
  });
}

export async function daemonJoins({ quick, profileDir }: BenchContext): Promise<BenchResult> {
  await using mesh = await startMesh({ size: 3, flags: FLAGS, profileDir });
  const [first] = mesh.peers as [Peer, ...Peer[]];
  const job = await first.api.submit({ ...service, Type: 'daemon', Count: 0 });
  await until('it runs', async () => (await running(first, job)).length === 3 || null);
  const [sinceStart, sinceReady]: [number[], number[]] = [[], []];
  for (let run = 0; run < (quick ? 2 : 10); run += 1) {
    const began = performance.now();
    const peer = await mesh.add();
    const ready = performance.now();
    await until('it runs there', async () => {
      const found = await running(peer, job).catch(() => []);
      return found.find(({ NodeID }) => NodeID === peer.nodeId) ?? null;
    });
    sinceStart.push((performance.now() - began) / 1_000);
    sinceReady.push((performance.now() - ready) / 1_000);
    await peer.kill();
  }
  const rows: Row[] = [
    row('a peer is started, until a daemon runs on it', 's', sinceStart, atMost(15, 'every run')),
    row('the same, since it is ready', 's', sinceReady),
  ];
  return { rows };
}
