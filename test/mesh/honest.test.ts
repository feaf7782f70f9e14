/** What honest peers do to each other, however rudely they leave, is never held against them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMesh } from './harness.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();

test('jobs, a kill and a return leave no fault of anybody, and nobody is kept out', async () => {
  const peers = await mesh.grow(3);
  const [first, victim] = peers;
  assert.ok(first !== undefined && victim !== undefined);
  const job = noop({ Milliseconds: 800 }, { job: { Count: 3 } });
  const jobs = await Promise.all(Array.from({ length: 8 }, () => mesh.submit(first, job)));
  await victim.kill();
  await victim.start();
  await mesh.joined();
  for (const id of jobs) await mesh.reaches(first, id, 'Completed', 120_000);
  for (const peer of peers) {
    const figures = [
      await peer.metric('shoal_peer_faults'),
      await peer.metric('shoal_peers_cooling'),
      await peer.metric('shoal_core_gossip_dropped'),
    ];
    assert.deepEqual(figures, [0, 0, 0], peer.name);
  }
});
