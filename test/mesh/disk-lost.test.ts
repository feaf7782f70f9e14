/** A data directory that is taken from under a peer: it does not acknowledge onto files nobody has. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();

const ways: readonly (readonly [string, (peer: Peer) => Promise<void> | void])[] = [
  ['is deleted', (peer) => rmSync(peer.dataDir, { recursive: true })],
  [
    'is deleted and made anew',
    async (peer) => {
      rmSync(peer.dataDir, { recursive: true });
      await mkdir(peer.dataDir);
    },
  ],
  ['is moved away', (peer) => renameSync(peer.dataDir, `${peer.dataDir}-moved`)],
  ['loses its database', (peer) => rmSync(join(peer.dataDir, 'store.db'))],
  ['loses the log of its database', (peer) => rmSync(join(peer.dataDir, 'store.db-wal'))],
  ['loses its lock', (peer) => rmSync(join(peer.dataDir, 'peer.lock'))],
];

for (const [what, take] of ways) {
  test(`a peer whose data directory ${what} ends within seconds, says so, and starts again`, async () => {
    const peer = await mesh.add({ through: [] });
    await mesh.reaches(peer, await mesh.submit(peer, noop({})), 'Completed');
    await take(peer);
    await mesh.until('it has ended', () => !peer.running, 15_000);
    assert.deepEqual(await peer.exit(), { code: 4, signal: null });
    assert.match(
      readFileSync(peer.logPath, 'utf8'),
      /Error: The store .*store\.db cannot be used: .* was removed or replaced while the peer ran/,
    );
    await peer.start();
    await mesh.reaches(peer, await mesh.submit(peer, noop({})), 'Completed');
    assert.ok(existsSync(join(peer.dataDir, 'store.db')));
    await peer.stop();
  });
}
