import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asExecutionId, asJobId, asNodeId } from '../../../../src/core/record/ids.ts';
import type { DockerEngineConfig } from '../../../../src/engines/docker/config.ts';
import { createOptionsOf, networkMode } from '../../../../src/engines/docker/container-spec.ts';
import { mergeEnvironment, readDockerParams } from '../../../../src/engines/docker/params.ts';
import type { DockerParams } from '../../../../src/engines/docker/params.ts';
import type { EngineRun } from '../../../../src/engines/engine.ts';
import type { Json, NetworkType, Resources, Task } from '../../../../src/job/model.ts';

const config: DockerEngineConfig = {
  defaultNetwork: 'None',
  socketPath: null,
  nodeLabel: asNodeId('node-a'),
  meshLabel: 'mesh-a',
  dataLabel: '/data/a',
  hostLabel: 'host-a',
  user: null,
  readonlyRootfs: false,
  tmpfsBytes: 1024,
  capabilities: [],
  pidsLimit: 32,
  openFilesMax: 256,
  logMaxBytes: 4096,
  diskLooksMax: 1_000,
  pullTimeoutMs: 1000,
  imageMaxBytes: 1e9,
  skipPull: false,
  stopGraceMs: 1500,
  lostAfterMs: 1000,
  portFirst: 20_000,
  portLast: 20_010,
  privateRegistries: [],
  portAddresses: [],
  onProgress: () => undefined,
};

const taskOf = (
  params: Readonly<Record<string, Json>>,
  resources: Partial<Resources> = {},
): Task => ({
  Name: 'main',
  Engine: { Type: 'docker', Params: params },
  Publisher: { Type: '', Params: {} },
  Env: {},
  Meta: {},
  InputSources: [],
  ResultPaths: [],
  ResourcesConfig: { CPU: '', Memory: '', Disk: '', GPU: '' },
  resources: { cpuMillis: 0, memoryBytes: 0, diskBytes: 0, gpus: 0, ...resources },
  Network: { Type: 'Default', Domains: [], Ports: [] },
  Timeouts: { ExecutionTimeout: 0, QueueTimeout: 0, TotalTimeout: 0 },
});

const runOf = (task: Task): EngineRun => ({
  order: {
    execution: asExecutionId('e-1'),
    job: asJobId('j-1'),
    jobType: 'batch',
    jobName: 'test',
    namespace: 'default',
    version: 1,
    partition: 0,
    partitionCount: 1,
    attempt: 2,
    restarts: 0,
    epoch: 0,
    task,
    holders: [],
    timeoutMs: 0,
  },
  mounts: [
    { source: '/own/in', target: '/inputs', writable: false },
    { source: '/own/out', target: '/outputs', writable: true },
  ],
  env: { A: '1' },
  stdoutPath: '/o',
  stderrPath: '/e',
  outputMaxBytes: 1,
  diskBytes: 2048,
  fileMaxBytes: 2048,
  scratchDir: '/own/scratch',
  elapsedMs: 0,
  atOnce: new AbortController().signal,
});

const params: DockerParams = {
  image: 'busybox',
  entrypoint: [],
  parameters: [],
  environment: [],
  workingDirectory: '',
};
const abilities = { privateCgroup: true, init: true };

test('a container gets every lock, its limits, and the labels it is found by', () => {
  const task = taskOf({}, { cpuMillis: 250, memoryBytes: 64 * 1024 * 1024, gpus: 2 });
  const options = createOptionsOf(runOf(task), params, [], config, abilities);
  const host = options.HostConfig ?? {};
  assert.equal(options.name, 'shoal-e-1');
  assert.deepEqual(options.Labels, {
    'shoal.mesh': 'mesh-a',
    'shoal.node': 'node-a',
    'shoal.job': 'j-1',
    'shoal.execution': 'e-1',
    'shoal.attempt': '2',
    'shoal.data': '/data/a',
    'shoal.host': 'host-a',
  });
  assert.deepEqual(host.CapDrop, ['ALL']);
  assert.deepEqual(host.CapAdd, []);
  assert.deepEqual(host.SecurityOpt, ['no-new-privileges:true']);
  assert.equal(host.Privileged, false);
  assert.equal(host.NetworkMode, 'none');
  assert.equal(host.IpcMode, 'private');
  assert.equal((host as { CgroupnsMode?: string }).CgroupnsMode, 'private');
  assert.equal(host.Init, true);
  assert.equal(host.Memory, host.MemorySwap);
  assert.equal(host.NanoCpus, 250_000_000);
  assert.equal(host.PidsLimit, 32);
  assert.equal(host.DeviceRequests?.[0]?.Count, 2);
  assert.equal(host.RestartPolicy?.Name, 'no');
  assert.deepEqual(options.Healthcheck, { Test: ['NONE'] });
  assert.deepEqual(
    host.Mounts?.map((mount) => [mount.Type, mount.Source, mount.Target, mount.ReadOnly]),
    [
      ['bind', '/own/in', '/inputs', true],
      ['bind', '/own/out', '/outputs', false],
    ],
  );
  assert.equal(options.User, undefined);
  assert.equal(host.Binds, undefined);
});

test('a place that the operator opened can be used whoever it belongs to, and only then', () => {
  const run = runOf(taskOf({}));
  const place = { source: '/srv/data', target: '/data', writable: true };
  const options = createOptionsOf(
    { ...run, mounts: [...run.mounts, place] },
    params,
    [],
    config,
    abilities,
  );
  assert.deepEqual(options.HostConfig?.CapAdd, ['DAC_OVERRIDE']);
});

test('the operator’s policy shows: user, read-only root, capabilities given back', () => {
  const strict = { ...config, user: '65534:65534', readonlyRootfs: true, capabilities: ['CHOWN'] };
  const options = createOptionsOf(runOf(taskOf({})), params, [], strict, abilities);
  assert.equal(options.User, '65534:65534');
  assert.equal(options.HostConfig?.ReadonlyRootfs, true);
  assert.deepEqual(options.HostConfig?.CapAdd, ['CHOWN']);
  assert.deepEqual(Object.keys(options.HostConfig?.Tmpfs ?? {}), ['/tmp', '/var/tmp', '/run']);
});

test('limits are set whatever was asked: 0 is the default, what is tiny is raised', () => {
  const none = createOptionsOf(runOf(taskOf({})), params, [], config, abilities).HostConfig;
  assert.equal(none?.Memory, 100 * 1024 * 1024);
  assert.equal(none?.MemorySwap, none?.Memory);
  assert.equal(none?.NanoCpus, 100_000_000);
  assert.equal(none?.DeviceRequests, undefined);
  const tiny = taskOf({}, { cpuMillis: 1, memoryBytes: 1 });
  const host = createOptionsOf(runOf(tiny), params, [], config, abilities).HostConfig;
  assert.equal(host?.Memory, 6 * 1024 * 1024);
  assert.equal(host?.NanoCpus, 10_000_000);
});

test('no file and no log of a container outgrows the disk of its run', () => {
  const run = runOf(taskOf({}));
  const host = createOptionsOf(run, params, [], config, abilities).HostConfig;
  assert.deepEqual(host?.Ulimits, [
    { Name: 'nofile', Soft: 256, Hard: 256 },
    { Name: 'core', Soft: 0, Hard: 0 },
    { Name: 'fsize', Soft: 2048, Hard: 2048 },
  ]);
  assert.equal(host?.LogConfig?.Config?.['max-size'], '2048');
  const open = createOptionsOf({ ...run, fileMaxBytes: null }, params, [], config, abilities);
  assert.equal(open.HostConfig?.Ulimits?.length, 2);
});

test('only a spec that asks for a network gets one', () => {
  const expected: Record<NetworkType, string> = {
    Default: 'none',
    None: 'none',
    HTTP: 'none',
    Bridge: 'bridge',
    Host: 'host',
    Full: 'host',
  };
  for (const [type, mode] of Object.entries(expected) as [NetworkType, string][]) {
    const network = { Type: type, Domains: [], Ports: [] };
    assert.equal(networkMode(network, 'None'), mode, type);
    const opened = type === 'Default' ? 'bridge' : mode;
    assert.equal(networkMode(network, 'Bridge'), opened, `${type}, opened`);
  }
});

test('parameters are read as written; null and absent lists are empty', () => {
  const image = 'alek5eyk/batchjobexample:1.1';
  const read = readDockerParams(
    taskOf({
      Image: image,
      Entrypoint: null,
      Parameters: ['python', '5'],
      WorkingDirectory: '',
      EnvironmentVariables: ['DEFAULT_USER_NAME = root'],
    }),
  );
  assert.deepEqual(read, {
    ok: true,
    params: {
      image,
      entrypoint: [],
      parameters: ['python', '5'],
      environment: ['DEFAULT_USER_NAME = root'],
      workingDirectory: '',
    },
  });
});

test('wrong parameters are refused with the place that is wrong', () => {
  const cases: readonly [Readonly<Record<string, Json>>, string, RegExp][] = [
    [{}, 'image-reference-invalid', /Image is missing/],
    [{ Image: 5 }, 'image-reference-invalid', /Image is missing/],
    [{ Image: 'A' }, 'image-reference-invalid', /"A" is not an image reference/],
    [{ Image: 'a', Entrypoint: 'sh' }, 'engine-params-invalid', /Entrypoint/],
    [{ Image: 'a', Parameters: [1] }, 'engine-params-invalid', /Parameters/],
    [{ Image: 'a', Parameters: ['a\0b'] }, 'engine-params-invalid', /Parameters/],
    [{ Image: 'a', WorkingDirectory: 'x' }, 'engine-params-invalid', /absolute/],
    [{ Image: 'a', EnvironmentVariables: ['X'] }, 'environment-invalid', /"X"/],
    [{ Image: 'a', EnvironmentVariables: ['=x'] }, 'environment-invalid', /NAME=value/],
    [{ Image: 'a', EnvironmentVariables: ['BACALHAU_X=1'] }, 'environment-reserved', /BACALHAU_X/],
    [{ Image: 'a', EnvironmentVariables: ['shoal_x=1'] }, 'environment-reserved', /shoal_x/],
  ];
  for (const [given, code, message] of cases) {
    const read = readDockerParams(taskOf(given));
    assert.equal(read.ok, false, JSON.stringify(given));
    if (read.ok) continue;
    assert.equal(read.failure.code, code, JSON.stringify(given));
    assert.equal(read.failure.class, 'spec');
    assert.match(read.failure.message, message);
  }
});

test('the engine’s variables win over the task’s, and values may contain "="', () => {
  assert.deepEqual(mergeEnvironment({ A: '1', B: '2' }, ['B=x=y', 'C=']), ['A=1', 'B=x=y', 'C=']);
});

test('a port is published on its address and told to the program by name', () => {
  const task = {
    ...taskOf({}),
    Network: { Type: 'Bridge', Domains: [], Ports: [] },
  } satisfies Task;
  const port = { name: 'web', hostIp: '127.0.0.1', hostPort: 20_001, containerPort: 80 };
  const options = createOptionsOf(runOf(task), params, [port], config, abilities);
  assert.deepEqual(options.HostConfig?.PortBindings, {
    '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '20001' }],
  });
  assert.deepEqual(options.Env, [
    'A=1',
    'BACALHAU_HOST_PORT_web=20001',
    'BACALHAU_PORT_web=80',
    'SHOAL_HOST_PORT_web=20001',
    'SHOAL_PORT_web=80',
  ]);
});
