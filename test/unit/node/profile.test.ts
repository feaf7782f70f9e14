import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/schema.ts';
import type { Profile } from '../../../src/core/contract/profile.ts';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import type { Engine, EngineStatus } from '../../../src/engines/engine.ts';
import { createLog } from '../../../src/lib/log.ts';
import { planListen } from '../../../src/node/listen.ts';
import { findGpus, groupLimits, machineFacts } from '../../../src/node/machine-facts.ts';
import {
  automaticLabels,
  capacityOf,
  createProfiler,
  networksOf,
  overstated,
} from '../../../src/node/profile.ts';
import { createShellEngine } from './shell-engine.ts';

let directory = '';
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'shoal-profile-'));
});
after(() => rm(directory, { recursive: true, force: true }));

const configOf = async (
  flags: Readonly<Record<string, string | boolean | readonly string[]>>,
): Promise<Config> =>
  (
    await loadConfig({
      flags: { '--data-dir': directory, ...flags },
      env: {},
      home: directory,
      cwd: directory,
    })
  ).config;

/** Writes files below a fresh root. */
async function rootWith(files: Readonly<Record<string, string>>): Promise<string> {
  const root = await mkdtemp(join(directory, 'root-'));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  return root;
}

describe('limits of control groups', () => {
  it('are those of the group and all above it, of either version', async () => {
    const cases: readonly [
      string,
      Readonly<Record<string, string>>,
      number | null,
      number | null,
    ][] = [
      ['none', {}, null, null],
      [
        'version 2, unlimited',
        {
          'proc/self/cgroup': '0::/\n',
          'sys/fs/cgroup/cpu.max': 'max 100000\n',
          'sys/fs/cgroup/memory.max': 'max\n',
        },
        null,
        null,
      ],
      [
        'version 2, in a container',
        {
          'proc/self/cgroup': '0::/\n',
          'sys/fs/cgroup/cpu.max': '50000 100000\n',
          'sys/fs/cgroup/memory.max': '268435456\n',
        },
        0.5,
        268_435_456,
      ],
      [
        'version 2, a parent is stricter',
        {
          'proc/self/cgroup': '0::/a/b\n',
          'sys/fs/cgroup/a/b/cpu.max': '300000 100000\n',
          'sys/fs/cgroup/a/cpu.max': '150000 100000\n',
          'sys/fs/cgroup/a/memory.max': '1000\n',
          'sys/fs/cgroup/a/b/memory.max': 'max\n',
        },
        1.5,
        1_000,
      ],
      [
        'version 1',
        {
          'proc/self/cgroup': '5:cpu,cpuacct:/x\n4:memory:/x\n',
          'sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us': '200000\n',
          'sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us': '100000\n',
          'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
          'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
          'sys/fs/cgroup/memory/x/memory.limit_in_bytes': '2048\n',
        },
        2,
        2_048,
      ],
    ];
    for (const [what, files, cores, memoryBytes] of cases) {
      assert.deepEqual(await groupLimits(await rootWith(files)), { cores, memoryBytes }, what);
    }
  });

  it('bound what the machine is said to have', async () => {
    const free = await machineFacts(directory, await rootWith({}));
    const files = {
      'proc/self/cgroup': '0::/\n',
      'sys/fs/cgroup/cpu.max': '10000 100000\n',
      'sys/fs/cgroup/memory.max': '1000000\n',
    };
    const bound = await machineFacts(directory, await rootWith(files));
    assert.ok(free.cores >= 1 && free.memoryBytes > 1_000_000 && free.diskBytes > 0);
    assert.deepEqual([bound.cores, bound.memoryBytes], [0.1, 1_000_000]);
  });
});

it('GPUs are those that the driver tool names, and none when it is missing or broken', async () => {
  const path = process.env['PATH'];
  try {
    const bin = await mkdtemp(join(directory, 'bin-'));
    process.env['PATH'] = bin;
    assert.deepEqual(await findGpus(), []);
    const tool = join(bin, 'nvidia-smi');
    await writeFile(tool, '#!/bin/sh\necho "Tesla T4, 15360"\necho "NVIDIA A100 80GB, [N/A]"\n');
    await chmod(tool, 0o755);
    const gpus = await findGpus();
    assert.deepEqual(gpus, [
      { name: 'Tesla T4', memoryMib: 15_360 },
      { name: 'NVIDIA A100 80GB', memoryMib: null },
    ]);
    await writeFile(tool, '#!/bin/sh\necho "driver not loaded"; exit 9\n');
    assert.deepEqual(await findGpus(), []);
    const facts = {
      cores: 2,
      memoryBytes: 1,
      diskBytes: 1,
      gpus,
      operatingSystem: 'linux',
      architecture: 'arm64',
      hostName: 'pi',
    };
    assert.deepEqual(automaticLabels(facts), {
      'Operating-System': 'linux',
      Architecture: 'arm64',
      os_type: 'linux',
      os_arch: 'arm64',
      name: 'pi',
      'GPU-0': 'Tesla-T4',
      'GPU-0-Memory': '15360-MiB',
      'GPU-1': 'NVIDIA-A100-80GB',
    });
  } finally {
    process.env['PATH'] = path;
  }
});

it('capacity is what the operator gives of what the machine has', async () => {
  const facts = {
    cores: 2.5,
    memoryBytes: 10_000,
    diskBytes: 1_000_000,
    gpus: [{ name: 'x', memoryMib: 1 }],
    operatingSystem: 'linux',
    architecture: 'amd64',
    hostName: 'h',
  };
  const byDefault = (await configOf({})).capacity;
  assert.deepEqual(capacityOf(byDefault, facts), {
    cpuMillis: 2_000,
    memoryBytes: 8_000,
    diskBytes: 800_000,
    gpus: 1,
  });
  const chosen = (
    await configOf({ '--cpu': '500m', '--memory': '4kb', '--disk': '1TB', '--gpu': '0' })
  ).capacity;
  assert.deepEqual(capacityOf(chosen, facts), {
    cpuMillis: 500,
    memoryBytes: 4_000,
    diskBytes: 1_000_000,
    gpus: 0,
  });
  assert.deepEqual(overstated(byDefault, facts), []);
  // Nobody is left to believe that it has what he wrote.
  assert.deepEqual(overstated(chosen, facts), [
    '--disk 1TB is more than this machine has: 1.0 MB are offered',
  ]);
});

it('networks are allowed as the operator says, and the reason is told where they are not', () => {
  const networks = networksOf(['None', 'Default']);
  const allowed = Object.keys(networks).filter((name) => networks[name]?.allowed);
  assert.deepEqual(allowed, ['None', 'Default', 'wasm/None', 'wasm/Default']);
  for (const [name, rule] of Object.entries(networks))
    assert.equal(rule.detail === '', rule.allowed, name);
  assert.equal(
    networks['HTTP']?.detail,
    'the HTTP domain allow-list is not available on this node yet',
  );
  assert.equal(networksOf(['Host'])['Full']?.allowed, true);
  assert.equal(networksOf(['Bridge'])['Full']?.allowed, false);
});

describe('the profile', () => {
  it('is told again only when something differs', async () => {
    let status: EngineStatus = { available: true, detail: 'version 1', warnings: ['old'] };
    let addresses = ['/ip4/192.0.2.1/tcp/1'];
    const engine: Engine = { ...createShellEngine(false), probe: async () => status };
    const told: Profile[] = [];
    const lines: string[] = [];
    const profiler = createProfiler({
      labels: () => ({ region: 'eu' }),
      config: await configOf({
        '--label': ['region=eu'],
        '--no-docker': true,
        '--allow-path': ['/data/**'],
        '--allow-owner': ['ab'.repeat(32)],
      }),
      engines: new Map([['shell', engine]]),
      sources: ['ipfs', 'inline'],
      publishers: ['', 'ipfs'],
      addresses: () => addresses,
      software: 'shoal/0',
      diskFull: () => false,
      log: createLog('info', { write: (line) => void lines.push(line) }),
      emit: (profile) => void told.push(profile),
    });
    const first = await profiler.start();
    assert.deepEqual(told, [first]);
    assert.equal(first.labels['region'], 'eu');
    assert.deepEqual(first.engines, {
      docker: { available: false, detail: 'switched off by the operator of this node' },
      shell: { available: true, detail: 'version 1' },
    });
    assert.deepEqual(first.publishers, ['ipfs']);
    assert.deepEqual(first.allowedPaths, ['/data/**']);
    assert.deepEqual(first.policy.allowOwners, ['ab'.repeat(32)]);
    assert.deepEqual(profiler.warnings(), ['shell: old']);
    await profiler.refresh();
    assert.equal(told.length, 1);
    addresses = ['/ip4/192.0.2.1/tcp/2'];
    await profiler.refresh();
    status = { available: false, detail: 'stopped', warnings: [] };
    await profiler.refresh();
    assert.deepEqual(
      told.map((profile) => [profile.addresses[0], profile.engines['shell']?.available]),
      [
        ['/ip4/192.0.2.1/tcp/1', true],
        ['/ip4/192.0.2.1/tcp/2', true],
        ['/ip4/192.0.2.1/tcp/2', false],
      ],
    );
    const events = lines.map((line) => (JSON.parse(line) as { event: string }).event);
    assert.deepEqual(events, ['engine.available', 'engine.warning', 'engine.unavailable']);
    await profiler.stop();
  });

  it('calls an engine unavailable that fails to answer', async () => {
    const engine: Engine = {
      ...createShellEngine(false),
      probe: () => Promise.reject(new Error('no daemon')),
    };
    const profiler = createProfiler({
      labels: () => ({ region: 'eu' }),
      config: await configOf({}),
      engines: new Map([['shell', engine]]),
      sources: [],
      publishers: [],
      addresses: () => [],
      software: 'shoal/0',
      diskFull: () => false,
      log: createLog('silent', process.stderr),
      emit: () => {},
    });
    assert.deepEqual((await profiler.start()).engines['shell'], {
      available: false,
      detail: 'does not answer: no daemon',
    });
    await profiler.stop();
  });
});

describe('listen addresses', () => {
  it('move to another port only when nobody wrote them down', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const taken = `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`;
      const other = '/ip4/127.0.0.1/tcp/0';
      assert.deepEqual(await planListen([taken, other], true), {
        addresses: [other, other],
        moved: [{ from: taken, to: other }],
      });
      await assert.rejects(
        planListen([taken], false),
        (error) => error instanceof ShoalError && error.failure.code === 'port-in-use',
      );
      assert.deepEqual(await planListen([other, '/dns4/example.org/tcp/1'], false), {
        addresses: [other, '/dns4/example.org/tcp/1'],
        moved: [],
      });
    } finally {
      server.close();
    }
  });
});
