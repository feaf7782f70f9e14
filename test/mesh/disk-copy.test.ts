/** A data directory that was copied to a second machine: both peers say that they are one too many. */
import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { test } from 'node:test';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';

const mesh = await createMesh();

test('two peers with a copy of one identity both say so, and a peer started again does not', async () => {
  const [first, original] = await mesh.grow(2);
  assert.ok(first !== undefined && original !== undefined);
  // A new process with the same key is no copy.
  await original.stop();
  const copy: Peer = await mesh.add({
    prepare: async (peer) => cp(original.dataDir, peer.dataDir, { recursive: true }),
  });
  assert.equal(copy.nodeId, original.nodeId);
  await mesh.joined([first, copy]);
  assert.deepEqual(copy.events('identity.copied'), []);

  await original.start();
  for (const peer of [original, copy]) {
    await mesh.until(
      `${peer.name} says so`,
      () => peer.events('identity.copied').length === 1,
      120_000,
    );
    const { stdout } = await mesh.cli(peer, ['doctor']);
    assert.match(stdout, /another process uses the key of this peer/);
  }
  assert.deepEqual(first.events('identity.copied'), []);
});
