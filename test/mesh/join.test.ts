/** Joining: many at once, and again when the peer that all joined through is gone. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createMesh } from './harness.ts';
import { noop } from './specs.ts';

const PEERS = 8;

const mesh = await createMesh();

describe('eight peers', () => {
  test('all that join one seed at once see each other', async () => {
    await mesh.grow(PEERS);
    assert.equal(mesh.peers.length, PEERS);
  });

  test('a job with a partition for each of them is done', async () => {
    const [seed] = mesh.peers;
    assert.ok(seed !== undefined);
    const id = await mesh.submit(seed, noop({ Milliseconds: 200 }, { job: { Count: PEERS } }));
    const { Executions } = await mesh.reaches(seed, id, 'Completed');
    const done = (Executions?.Items ?? []).filter((one) => one.Phase === 'completed');
    assert.deepEqual(
      done.map((one) => one.PartitionIndex).sort(),
      Array.from({ length: PEERS }, (_, index) => index),
    );
  });

  test('a peer that is started again joins the others although its seed is gone', async () => {
    const [seed, peer] = mesh.peers;
    assert.ok(seed !== undefined && peer !== undefined);
    await peer.stop();
    await seed.kill();
    await peer.start();
    await mesh.joined(mesh.peers.filter((one) => one.running));
    const id = await mesh.submit(peer, noop({}));
    await mesh.reaches(peer, id, 'Completed');
  });
});
