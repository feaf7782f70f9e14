/** Most keepers of a job are gone for good, with all that they had on disk: those that are left go on without them. */
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { agree, seconds } from './scene.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();
/** Away for 10 s, as the settings below say; then those that are left have to agree, lead and go on. */
const SETTINGS = 'jobs:\n  reseedAfterMs: 10000\n';
const GOES_ON_MS = 90_000;
/** One fits on a peer, so that each runs one. */
const SPREAD = { CPU: '100m', Memory: '1200Mb' };

const keepersOf = async (peer: Peer, id: string): Promise<readonly string[]> =>
  (await mesh.job(peer, id)).Keepers?.Nodes ?? [];

test('a batch job and a service go on when three of their five keepers are gone for good', async (context) => {
  const file = join(mesh.directory, 'settings.yaml');
  await writeFile(file, SETTINGS);
  const flags = ['--config', file];
  const first = await mesh.add({ flags: [...flags, '--label', 'zone=work'] });
  const others = await Promise.all([1, 2, 3, 4].map(() => mesh.add({ flags })));
  await mesh.joined();
  const [second = assert.fail(), ...gone] = others;
  const left = [first, second];
  const sponsor = gone[0] ?? assert.fail();
  const service = await mesh.submit(
    sponsor,
    noop(
      { Milliseconds: 3_600_000 },
      { job: { Type: 'service', Count: 5 }, task: { Resources: SPREAD } },
    ),
  );
  await mesh.inPhase(first, service, 'running', 5);
  // It ends when too few are left to accept its result.
  const batch = await mesh.submit(
    sponsor,
    noop(
      { Milliseconds: 6_000 },
      { job: { Constraints: [{ Key: 'zone', Operator: '=', Values: ['work'] }] } },
    ),
  );
  await mesh.inPhase(first, batch, 'running');
  for (const id of [service, batch]) assert.equal((await keepersOf(first, id)).length, 5);
  const before = await mesh.executions(first, service);
  const began = performance.now();
  await Promise.all(gone.map((peer) => peer.kill()));
  for (const peer of gone) await rm(peer.dataDir, { recursive: true });

  const { Executions } = await mesh.reaches(first, batch, 'Completed', GOES_ON_MS);
  assert.equal(Executions?.Items.length, 1, 'it is run once');
  context.diagnostic(`the batch job is completed after ${seconds(performance.now() - began)}`);
  await mesh.until(
    'those that are left keep the service',
    async () => {
      const keepers = await keepersOf(first, service);
      return keepers.length > 0 && keepers.every((node) => left.some((one) => one.nodeId === node));
    },
    GOES_ON_MS,
  );
  context.diagnostic(`the service is kept again after ${seconds(performance.now() - began)}`);

  // Three others, as far as the mesh can tell: they take the places of those that were lost.
  await Promise.all(gone.map((peer) => peer.start()));
  await mesh.joined();
  const again = await mesh.inPhase(first, service, 'running', 5, GOES_ON_MS);
  const stayed = before.filter(({ NodeID }) => left.some(({ nodeId }) => nodeId === NodeID));
  for (const { ID } of stayed)
    assert.ok(
      again.some((one) => one.ID === ID),
      `${ID} ran on`,
    );
  context.diagnostic(`all its replicas run after ${seconds(performance.now() - began)}`);
  await mesh.ok(second, ['job', 'stop', service]);
  await agree(mesh, mesh.peers, [service, batch], ([one = '', two = '']) => {
    return one.startsWith('Stopped') && two.startsWith('Completed') && !one.includes(' live');
  });
});
