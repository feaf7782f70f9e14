/** A job that runs on another peer than the one that leads it, and who leads it then. */
import { setTimeout as pause } from 'node:timers/promises';
import { noopJob } from './jobs.ts';
import type { Mesh, Peer } from './mesh.ts';

const POLL_MS = 10;
const GIVE_UP_MS = 60_000;

export interface Scene {
  readonly job: string;
  readonly leader: Peer;
  readonly survivors: readonly Peer[];
}

/** The peers that logged that they lead this job, with the time of the last such line. */
export async function leadersOf(
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

/** @throws Error after a minute */
export async function until<T>(what: string, probe: () => Promise<T | null>): Promise<T> {
  const deadline = performance.now() + GIVE_UP_MS;
  for (;;) {
    const value = await probe();
    if (value !== null) return value;
    if (performance.now() > deadline) throw new Error(`not in ${GIVE_UP_MS} ms: ${what}`);
    await pause(POLL_MS);
  }
}

/** Submits jobs of this length, milliseconds, until one runs on another peer than the one that leads it. */
export async function setTheScene(mesh: Mesh, runMs: number): Promise<Scene> {
  const [sponsor] = mesh.peers;
  if (sponsor === undefined) throw new Error('the mesh is empty');
  for (;;) {
    const job = await sponsor.api.submit(noopJob(runMs));
    const executor = await until('the job runs', async () => {
      const { executions } = await sponsor.api.job(job);
      return executions.find(({ Phase }) => Phase === 'running')?.NodeID ?? null;
    });
    const [lead] = await leadersOf(mesh.peers, job);
    if (lead !== undefined && lead.peer.nodeId !== executor) {
      return { job, leader: lead.peer, survivors: mesh.peers.filter((peer) => peer !== lead.peer) };
    }
    // It may be over by itself.
    await sponsor.api.stop(job).catch(() => {});
  }
}
