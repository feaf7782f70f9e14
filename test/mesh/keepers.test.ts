/** Keepers that stay away are replaced: a job outlives the loss of most of those that kept it first. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();
/** Away for 5 s, as the settings below say; then two rounds, each after at most ten more. */
const REPLACED_MS = 90_000;

const forever = (zone: string): object =>
  noop(
    { Milliseconds: 600_000 },
    { job: { Constraints: [{ Key: 'zone', Operator: '=', Values: [zone] }] } },
  );

async function keepersOf(peer: Peer, id: string): Promise<readonly string[]> {
  const { Keepers } = await mesh.job(peer, id);
  return Keepers?.Nodes ?? [];
}

test('a job whose keepers go is kept by others, and stopped by a majority that it did not begin with', async () => {
  const file = join(mesh.directory, 'settings.yaml');
  await writeFile(file, 'jobs:\n  keeperReplaceAfterMs: 5000\n');
  const [worker] = await mesh.grow(1, { flags: ['--config', file, '--label', 'zone=work'] });
  assert.ok(worker);
  for (let count = 0; count < 3; count += 1) await mesh.add({ flags: ['--config', file] });
  const id = await mesh.submit(worker, forever('work'));
  await mesh.inPhase(worker, id, 'running');
  const first = await keepersOf(worker, id);
  assert.equal(first.length, 3);
  const [gone, next] = first.filter((node) => node !== worker.nodeId);
  assert.ok(gone && next);
  await mesh.peerOf(gone).kill();
  const newcomer = await mesh.until(
    'another one keeps it',
    async () => {
      const now = await keepersOf(worker, id);
      if (now.includes(gone) || now.length !== 3) return null;
      return now.find((node) => !first.includes(node));
    },
    REPLACED_MS,
  );
  assert.equal(newcomer, mesh.peers.find(({ nodeId }) => !first.includes(nodeId))?.nodeId);
  // Two of the first three are gone now: those that are there are a majority only with the newcomer.
  await mesh.peerOf(next).kill();
  await mesh.ok(worker, ['job', 'stop', id]);
  await mesh.reaches(worker, id, 'Stopped', 60_000);
  for (const node of [gone, next]) await mesh.peerOf(node).start();
});
