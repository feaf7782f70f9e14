/** A mesh whose links a test may cut, and what all of its peers say of a job. */
import type { ExecutionJson } from '../../src/api/types.ts';
import { createMesh } from './harness.ts';
import type { Mesh } from './harness.ts';
import { createNetwork, NETWORK_NEEDS } from './network.ts';
import type { Network } from './network.ts';
import type { Peer } from './peer.ts';

export interface Scene {
  readonly mesh: Mesh;
  /** null: this machine lets nobody cut anything, and the peers share loopback. */
  readonly network: Network | null;
  /** For `skip` of what cuts links. */
  readonly uncut: string | false;
}

/** @param size peers at most. Call it outside of all hooks and tests. */
export async function createScene(size: number): Promise<Scene> {
  const network = await createNetwork(size);
  if (network === null)
    process.stderr.write(`\n*** PEERS SHARE LOOPBACK, AND NO LINK IS CUT: ${NETWORK_NEEDS}\n\n`);
  return {
    mesh: await createMesh(network),
    network,
    uncut: network === null && NETWORK_NEEDS,
  };
}

const OVER: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled', 'lost']);

/** How far a live one has come is told to the leader alone, so others may not know. */
const lineOf = ({ ID, NodeID, Phase }: ExecutionJson): string =>
  `${ID} ${NodeID.slice(-8)} ${OVER.has(Phase) ? Phase : 'live'}`;

/** State of a job and what became of each of its executions, as this peer tells it. */
async function told(mesh: Mesh, peer: Peer, id: string): Promise<string> {
  const { Job, Executions } = await mesh.job(peer, id);
  return [Job.State.StateType, ...(Executions?.Items ?? []).map(lineOf)].join('\n');
}

/**
 * Waits until these peers tell the same of all these jobs, and it is what is wanted.
 * @param good is given the state and a line for each execution, of each job. @returns milliseconds
 */
export async function agree(
  mesh: Mesh,
  peers: readonly Peer[],
  jobs: readonly string[],
  good: (views: readonly string[]) => boolean,
  deadlineMs?: number,
): Promise<number> {
  const began = performance.now();
  await mesh.until(
    `${peers.length} peers tell the same`,
    async () => {
      const views = await Promise.all(
        peers.map((peer) => Promise.all(jobs.map((id) => told(mesh, peer, id)))),
      );
      const [one = []] = views;
      return good(one) && views.every((other) => other.join('\n\n') === one.join('\n\n'));
    },
    deadlineMs,
  );
  return performance.now() - began;
}

export const seconds = (milliseconds: number): string => `${(milliseconds / 1_000).toFixed(1)} s`;
