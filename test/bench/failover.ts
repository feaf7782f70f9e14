/**
 * The leader of a job is killed while the job runs elsewhere: how long until another keeper leads it,
 * and until it is completed, which needs two more decisions (accept and close).
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { BenchContext, BenchResult } from './bench.ts';
import { noopJob } from './jobs.ts';
import { startMesh } from './mesh.ts';
import type { Mesh, Peer } from './mesh.ts';
import { atMost, row } from './statistics.ts';

const POLL_MS = 10;
/** The program ends soon after the kill, so that the decisions are due at once. */
const RUN_MS = 1_500;
const GIVE_UP_MS = 60_000;

interface Scene {
  readonly job: string;
  readonly leader: Peer;
  readonly survivors: readonly Peer[];
}

/** The peers that logged that they lead this job, with the time of the last such line. */
async function leadersOf(
  peers: readonly Peer[],
  job: string,
): Promise<readonly { peer: Peer; at: number }[]> {
  const found = await Promise.all(
    peers.map(async (peer) => {
      const line = (await peer.log()).findLast(
        (one) => one.event === 'job.leading' && one.job === job,
      );
      return line?.time === undefined ? [] : [{ peer, at: Date.parse(line.time) }];
    }),
  );
  return found.flat();
}

async function until<T>(what: string, probe: () => Promise<T | null>): Promise<T> {
  const deadline = performance.now() + GIVE_UP_MS;
  for (;;) {
    const value = await probe();
    if (value !== null) return value;
    if (performance.now() > deadline) throw new Error(`not in ${GIVE_UP_MS} ms: ${what}`);
    await pause(POLL_MS);
  }
}

/** Submits jobs until one runs on another peer than the one that leads it. */
async function setTheScene(mesh: Mesh): Promise<Scene> {
  const [sponsor] = mesh.peers;
  if (sponsor === undefined) throw new Error('the mesh is empty');
  for (;;) {
    const job = await sponsor.api.submit(noopJob(RUN_MS));
    const executor = await until('the job runs', async () => {
      const { executions } = await sponsor.api.job(job);
      return executions.find(({ Phase }) => Phase === 'running')?.NodeID ?? null;
    });
    const [lead] = await leadersOf(mesh.peers, job);
    if (lead !== undefined && lead.peer.nodeId !== executor) {
      return { job, leader: lead.peer, survivors: mesh.peers.filter((peer) => peer !== lead.peer) };
    }
    await sponsor.api.completed(job, POLL_MS);
  }
}

export async function failover({ quick, profileDir, say }: BenchContext): Promise<BenchResult> {
  await using mesh = await startMesh({
    size: 3,
    flags: ['--no-docker', '--no-wasm', '--noop'],
    profileDir,
  });
  const [led, done]: [number[], number[]] = [[], []];
  for (let run = 0; run < (quick ? 3 : 10); run += 1) {
    const { job, leader, survivors } = await setTheScene(mesh);
    const [watcher] = survivors;
    if (watcher === undefined) throw new Error('nobody is left');
    const killedAt = Date.now();
    await leader.kill();
    await until('another peer leads', async () => {
      const heirs = await leadersOf(survivors, job);
      const first = Math.min(...heirs.map(({ at }) => at).filter((at) => at >= killedAt));
      if (!Number.isFinite(first)) return null;
      led.push(first - killedAt);
      return first;
    });
    await watcher.api.completed(job, POLL_MS, GIVE_UP_MS);
    done.push(Date.now() - killedAt);
    say(`  run ${run + 1}: led again after ${led.at(-1)} ms, completed after ${done.at(-1)} ms`);
    await mesh.revive(leader);
  }
  return {
    rows: [
      row('leader killed, until another keeper leads', 'ms', led, atMost(5_000, 'every run')),
      row(
        'leader killed, until the job is completed',
        'ms',
        done,
        atMost(5_000, 'every run'),
        `the program ends at most ${RUN_MS} ms after the kill`,
      ),
    ],
  };
}
