/** Containers whose peer has forgotten them are removed, however often and as whom it is started. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { containersOf, dockerMissing } from '../docker/support.ts';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { docker } from './specs.ts';

const mesh = await createMesh();

/** A peer that was killed with two containers running. */
async function abandoned(): Promise<{ readonly peer: Peer; readonly nodeId: string }> {
  const peer = await mesh.add({ through: [] });
  const { nodeId } = peer;
  const id = await mesh.submit(peer, docker('sleep 600', { job: { Count: 2 } }));
  await mesh.inPhase(peer, id, 'running', 2, 60_000);
  await peer.kill();
  assert.equal((await containersOf(nodeId)).length, 2);
  return { peer, nodeId };
}

describe('containers that are left over', { skip: await dockerMissing() }, () => {
  const ways: readonly (readonly [string, (peer: Peer) => Promise<void>])[] = [
    ['everything', (peer) => rm(peer.dataDir, { recursive: true })],
    ['its records', (peer) => rm(join(peer.dataDir, 'store.db'))],
  ];
  for (const [what, wipe] of ways) {
    test(`are removed at the first start after a peer has lost ${what}`, async () => {
      const { peer, nodeId } = await abandoned();
      await wipe(peer);
      await peer.start();
      await mesh.until(
        'no container is left',
        async () => (await containersOf(nodeId)).length === 0,
        20_000,
      );
      await peer.stop();
    });
  }

  test('are removed by another peer of the machine once their data directory is gone', async () => {
    const { peer, nodeId } = await abandoned();
    const other = await mesh.add({ through: [] });
    assert.equal((await containersOf(nodeId)).length, 2, 'their peer may come back');
    await rm(peer.dataDir, { recursive: true });
    await other.stop();
    await other.start();
    await mesh.until('no container is left', async () => (await containersOf(nodeId)).length === 0);
    await other.stop();
  });
});
