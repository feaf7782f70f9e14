/** What a container fills, where this node may not read Docker's directories. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asExecutionId } from '../../../../src/core/record/ids.ts';
import type { DockerApi } from '../../../../src/engines/docker/api.ts';
import { DockerCallError } from '../../../../src/engines/docker/api.ts';
import { createDiskMeter } from '../../../../src/engines/docker/disk.ts';

const { signal } = new AbortController();
const e1 = asExecutionId('e-1');
const UPPER = '/no/such/docker/overlay2/x/diff';

/** A Docker on another machine: its paths mean nothing here. */
const docker = (changes: Partial<DockerApi>): (() => Promise<DockerApi>) => {
  const container = {
    Id: 'c1',
    State: { Running: true, Pid: 0 },
    GraphDriver: { Name: 'overlay2', Data: { UpperDir: UPPER } },
    Mounts: [{ Type: 'volume', Name: 'v1', Source: '/no/such/docker/volumes/v1/_data' }],
    HostnamePath: '',
    HostsPath: '',
    ResolvConfPath: '',
  };
  const api = {
    inspect: async () => container,
    layerBytes: async () => 70,
    volumeBytes: async (names: readonly string[]) => (names[0] === 'v1' ? 5 : 0),
    ...changes,
  };
  return async () => api as unknown as DockerApi;
};
const broken = (errno: string) => () =>
  Promise.reject(new DockerCallError('measure', { status: null, errno, text: errno }));

test('Docker is asked for the layer and the volumes', async () => {
  assert.equal(await createDiskMeter(docker({}), 1_000).measure(e1, 1_000, signal), 75);
});

test('a container that is not there fills nothing', async () => {
  const api = docker({ inspect: async () => null });
  assert.equal(await createDiskMeter(api, 1_000).measure(e1, 1_000, signal), 0);
});

test('while Docker is away the last figure holds', async () => {
  let layerBytes: DockerApi['layerBytes'] = async () => 70;
  const meter = createDiskMeter(docker({ layerBytes: (id) => layerBytes(id) }), 1_000);
  assert.equal(await meter.measure(e1, 1_000, signal), 75);
  layerBytes = broken('ECONNREFUSED');
  assert.equal(await meter.measure(e1, 1_000, signal), 75);
});

test('a layer so full that Docker does not come to an end is not taken for nothing', async () => {
  const meter = createDiskMeter(docker({ layerBytes: broken('timeout') }), 1_000);
  await assert.rejects(meter.measure(e1, 1_000, signal), DockerCallError);
});
