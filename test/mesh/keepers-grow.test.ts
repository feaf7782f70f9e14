/** A job that a peer took alone is kept by more as soon as there are more. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createMesh } from './harness.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();
const GROWN_MS = 90_000;

test('a job is spread over the peers that join later', async () => {
  const file = join(mesh.directory, 'settings.yaml');
  await writeFile(file, 'jobs:\n  keeperReplaceAfterMs: 5000\n');
  const flags = ['--config', file];
  const [first] = await mesh.grow(1, { flags });
  assert.ok(first);
  const id = await mesh.submit(first, noop({ Milliseconds: 600_000 }));
  await mesh.inPhase(first, id, 'running');
  for (let count = 0; count < 2; count += 1) await mesh.add({ flags });
  await mesh.until(
    'three keep it',
    async () => (await mesh.job(first, id)).Keepers?.Total === 3,
    GROWN_MS,
  );
  await mesh.ok(first, ['job', 'stop', id]);
  await mesh.reaches(first, id, 'Stopped');
});
