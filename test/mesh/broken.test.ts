/** A peer that cannot write its store any more does not live on as one that answers nobody. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { createMesh } from './harness.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();

test('a peer that cannot write its store ends by itself, says so, and starts again', async () => {
  const peer = await mesh.add();
  // Somebody else writes, and the peer cannot.
  const store = new DatabaseSync(join(peer.dataDir, 'store.db'));
  store.exec('BEGIN IMMEDIATE');
  try {
    // Its answer, if there is one, is not asked for: that it has to write is what counts.
    await mesh.submit(peer, noop({})).catch(() => {});
    await mesh.until('it has ended', () => !peer.running);
  } finally {
    store.close();
  }
  assert.equal(peer.events('node.broken').length, 1, peer.tail());
  assert.deepEqual(await peer.exit(), { code: 4, signal: null });

  await peer.start();
  const id = await mesh.submit(peer, noop({}));
  await mesh.reaches(peer, id, 'Completed');
});
