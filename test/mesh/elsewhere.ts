/** A job that runs on another peer than the one that leads it: what tests of either need. */
import assert from 'node:assert/strict';
import type { Mesh } from './harness.ts';
import type { Peer } from './peer.ts';

export interface Running {
  readonly id: string;
  readonly leader: Peer;
  readonly executor: Peer;
  /** Id of its one execution. */
  readonly execution: string;
  /** Neither leads nor works. */
  readonly witness: Peer;
}

/** Who leads and who runs is the mesh's choice, so it is submitted until they differ. */
const TRIES = 20;

/** Submits a job of one partition and waits until it runs. */
export async function runElsewhere(mesh: Mesh, job: object): Promise<Running> {
  const alive = mesh.peers.filter((peer) => peer.running);
  const [sponsor] = alive;
  assert.ok(sponsor !== undefined);
  for (let tries = 0; tries < TRIES; tries += 1) {
    const id = await mesh.submit(sponsor, job);
    const [execution] = await mesh.inPhase(sponsor, id, 'running');
    const executor = mesh.peerOf(execution?.NodeID ?? '');
    const leader = mesh.leaders(id).at(-1) ?? assert.fail('nobody leads');
    const witness =
      alive.find((peer) => peer !== leader && peer !== executor) ?? assert.fail('too few peers');
    if (leader !== executor)
      return { id, leader, executor, execution: execution?.ID ?? '', witness };
    await mesh.ok(witness, ['job', 'stop', id]);
    await mesh.reaches(sponsor, id, 'Stopped');
  }
  return assert.fail(`the leader was the executor ${TRIES} times`);
}
