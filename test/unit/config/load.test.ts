import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { serveFlags } from '../../../src/config/flags.ts';
import { leaves } from '../../../src/config/leaves.ts';
import { explainConfig, limitsOf, loadConfig } from '../../../src/config/load.ts';
import type { LoadInput, LoadedConfig } from '../../../src/config/load.ts';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { DEFAULT_LIMITS } from '../../../src/core/contract/limits.ts';

let home = '';
before(async () => {
  home = await mkdtemp(join(tmpdir(), 'shoal-config-'));
});
after(() => rm(home, { recursive: true, force: true }));

const load = (given: Partial<LoadInput> = {}): Promise<LoadedConfig> =>
  loadConfig({ flags: {}, env: {}, home, cwd: home, ...given });

async function problemsOf(given: Partial<LoadInput>): Promise<readonly string[]> {
  try {
    await load(given);
  } catch (error) {
    assert.ok(
      error instanceof ShoalError && error.failure.code === 'config-invalid',
      String(error),
    );
    return error.failure.problems;
  }
  return assert.fail('the configuration was accepted');
}

async function fileWith(text: string): Promise<string> {
  const directory = await mkdtemp(join(home, 'file-'));
  const path = join(directory, 'config.yaml');
  await writeFile(path, text);
  return path;
}

describe('loading the configuration', () => {
  it('has a default for every setting', async () => {
    const { config, origins, file } = await load();
    assert.equal(origins.size, 0);
    assert.equal(file, null);
    assert.equal(config.node.dataDir, join(home, '.shoal'));
    assert.equal(config.node.ownerKey, join(home, '.shoal', 'owner.key'));
    assert.equal(config.api.host, '127.0.0.1');
    assert.equal(config.api.port, 1234);
    assert.equal(config.capacity.cpu, '80%');
    assert.equal(config.engines.noop.enabled, false);
    assert.ok(!config.policy.networks.includes('Host'));
  });

  it('lets the file beat defaults, the environment beat the file, and flags beat all', async () => {
    const text = 'api: { port: 1 }\nnetwork:\n  id: from-file\nlogging:\n  level: warn\n';
    const flags = { '--config': await fileWith(text), '--api-port': '3' };
    const { config, origins } = await load({
      flags,
      env: { SHOAL_API_PORT: '2', SHOAL_NETWORK_ID: 'from-env' },
    });
    assert.equal(config.api.port, 3);
    assert.equal(config.network.id, 'from-env');
    assert.equal(config.logging.level, 'warn');
    assert.equal(origins.get('api.port'), 'flag --api-port');
    assert.equal(origins.get('network.id'), 'environment SHOAL_NETWORK_ID');
    assert.match(origins.get('logging.level') ?? '', /^file .*config\.yaml:5$/);
  });

  it('reads config.yaml of the data directory without being told', async () => {
    const dataDir = await mkdtemp(join(home, 'data-'));
    await writeFile(join(dataDir, 'config.yaml'), 'network: { id: quiet }\n');
    const { config, file } = await load({ env: { SHOAL_NODE_DATA_DIR: dataDir } });
    assert.equal(config.network.id, 'quiet');
    assert.equal(file, join(dataDir, 'config.yaml'));
  });

  it('refuses a file that was named and is not there', async () => {
    const problems = await problemsOf({ flags: { '--config': 'missing.yaml' } });
    assert.match(problems.join(), /missing\.yaml cannot be read: ENOENT/);
  });

  it('takes paths in a file as relative to that file, and in flags to the working directory', async () => {
    const path = await fileWith('network: { swarmKey: mesh.key }\nnode: { dataDir: ~/peer }\n');
    const { config } = await load({ flags: { '--config': path, '--owner-key': 'me.key' } });
    assert.equal(config.network.swarmKey, path.replace('config.yaml', 'mesh.key'));
    assert.equal(config.node.ownerKey, join(home, 'me.key'));
    assert.equal(config.node.dataDir, join(home, 'peer'));
  });

  it('reads lists and maps from the environment and from repeated flags', async () => {
    const { config } = await load({
      env: {
        SHOAL_POLICY_ALLOWED_PATHS: '/data/**, /scratch/**:rw',
        SHOAL_ENGINES_WASM_ENABLED: 'false',
      },
      flags: {
        '--label': ['region=eu', 'tier=a,b'],
        '--no-docker': true,
        '--mdns': true,
        '--bootstrap': ['/ip4/192.0.2.1/tcp/4711'],
      },
    });
    assert.deepEqual(config.policy.allowedPaths, ['/data/**', '/scratch/**:rw']);
    assert.deepEqual(config.node.labels, { region: 'eu', tier: 'a,b' });
    assert.equal(config.network.mdns, true);
    assert.equal(config.engines.docker.enabled, false);
    assert.equal(config.engines.wasm.enabled, false);
    assert.deepEqual(config.network.bootstrap, ['/ip4/192.0.2.1/tcp/4711']);
  });

  it('tells all problems at once, each with path, value and origin', async () => {
    const path = await fileWith('api: { prot: 1 }\nstorage: { diskPollMs: -4 }\nnetwork: 7\n');
    const problems = await problemsOf({
      flags: { '--config': path, '--api-port': 'many', '--cpu': '120%', '--memroy': '1GB' },
      env: { SHOAL_NETWROK_ID: 'x', SHOAL_LOGGING_LEVEL: 'loud', SHOAL_POLICY_ALLOW_OWNERS: 'abc' },
    });
    const expected = [
      /^api\.prot \(file .*:1\) is no setting\. Did you mean api\.port\?$/,
      /^storage\.diskPollMs = -4 \(file .*:2\): /,
      /^network \(file .*:3\) is a section/,
      /^api\.port = "many" \(flag --api-port\): expected a whole number\.$/,
      /^capacity\.cpu = "120%" \(flag --cpu\): expected cores/,
      /^--memroy is no flag of serve\. Did you mean --memory\?$/,
      /^SHOAL_NETWROK_ID \(environment\) is no setting\. Did you mean SHOAL_NETWORK_ID\?$/,
      /^logging\.level = "loud" \(environment SHOAL_LOGGING_LEVEL\): /,
      /^policy\.allowOwners\[0\] = "abc" \(environment SHOAL_POLICY_ALLOW_OWNERS\): expected a public key/,
    ];
    for (const pattern of expected) {
      assert.ok(
        problems.some((problem) => pattern.test(problem)),
        `${pattern} is not in:\n${problems.join('\n')}`,
      );
    }
    assert.equal(problems.length, expected.length, problems.join('\n'));
  });

  it('refuses YAML that cannot be read, with its line', async () => {
    const problems = await problemsOf({
      flags: { '--config': await fileWith('api:\n  port: 1\n  port: 2\n') },
    });
    assert.match(problems.join(), /config\.yaml:3: /);
  });

  it('opens the API to other machines only when that is said', async () => {
    for (const host of ['0.0.0.0', '192.0.2.1', '::', 'example.org']) {
      const problems = await problemsOf({ flags: { '--api-host': host } });
      assert.match(problems.join(), /without a key.*--api-keys.*--api-insecure/, host);
      const { config } = await load({ flags: { '--api-host': host, '--api-insecure': true } });
      assert.equal(config.api.host, host);
    }
    const keyed = await load({ flags: { '--api-host': '0.0.0.0', '--api-keys': 'keys' } });
    assert.ok(keyed.config.api.keys.startsWith('/'), 'a path, not a key');
    for (const host of ['localhost', '127.0.0.2', '::1'])
      await load({ flags: { '--api-host': host } });
  });

  it('refuses what is no name of a host and no origin of a page, each with its place', async () => {
    const hosts = ['peer.example:80', 'https://peer.example', 'Peer.example', '*', '', 'a..b'];
    const origins = [
      '*',
      'null',
      'dash.example',
      'https://dash.example/',
      'https://a.b/c',
      'ftp://a.b',
    ];
    for (const [setting, values] of [
      ['allowedHosts', hosts],
      ['allowedOrigins', origins],
    ] as const)
      for (const value of values) {
        const config = await fileWith(JSON.stringify({ api: { [setting]: [value] } }));
        const problems = await problemsOf({ flags: { '--config': config } });
        assert.equal(problems.length, 1, `${setting} ${value}`);
        assert.match(problems[0] ?? '', new RegExp(`api\\.${setting}`));
      }
    const { config } = await load({
      flags: {
        '--api-allow-host': ['peer.example', 'peer_2'],
        '--api-allow-origin': ['https://dash.example:8443', 'http://localhost:3000'],
      },
    });
    assert.equal(config.api.allowedHosts.length + config.api.allowedOrigins.length, 4);
    const closed = (await load()).config;
    assert.deepEqual([closed.api.allowedHosts, closed.api.allowedOrigins], [[], []]);
    assert.equal(closed.policy.defaultNetwork, 'None');
  });

  it('takes none for no socket and everything else for a path', async () => {
    assert.equal((await load({ flags: { '--api-socket': 'none' } })).config.api.socket, 'none');
    const { config } = await load({ env: { SHOAL_API_SOCKET: 'own.sock', SHOAL_API_KEY: 'x' } });
    assert.match(config.api.socket, /^\/.*\/own\.sock$/);
  });

  it('never shows a key that stands where its file belongs', async () => {
    const key = 'ab'.repeat(32);
    const problems = await problemsOf({
      flags: { '--swarm-key': key },
      env: { SHOAL_NODE_OWNER_KEY: `${key}\n` },
    });
    assert.equal(problems.length, 2);
    assert.ok(!problems.join().includes(key), problems.join());
    assert.match(problems.join(), /redacted/);
  });

  it('does not take the variables of a job for settings', async () => {
    await load({
      env: {
        SHOAL_JOB_ID: 'j-1',
        SHOAL_EXECUTION_ID: 'e-1',
        SHOAL_HOST_PORT_web: '1',
        SHOAL_TEST_SEED: '4',
      },
    });
  });

  it('cannot be changed once it is resolved', async () => {
    const { config } = await load();
    assert.throws(() => {
      (config.network.listen as string[]).push('/ip4/0.0.0.0/tcp/1');
    }, TypeError);
    assert.throws(() => {
      (config.api as { port: number }).port = 1;
    }, TypeError);
  });

  it('hands the core its limits', async () => {
    const { config } = await load({ flags: { '--max-attempts': '7' } });
    assert.deepEqual(limitsOf(config), { ...DEFAULT_LIMITS, maxAttempts: 7 });
  });
});

describe('explaining the configuration', () => {
  it('lists every setting with value, origin and a description', async () => {
    await mkdir(join(home, 'explained'), { recursive: true });
    const explained = explainConfig(
      await load({ flags: { '--data-dir': join(home, 'explained') } }),
    );
    assert.equal(explained.length, leaves.size);
    for (const { path, value, origin, description } of explained) {
      assert.notEqual(description, '', path);
      assert.doesNotThrow(() => JSON.parse(value), path);
      assert.equal(origin, path === 'node.dataDir' ? 'flag --data-dir' : 'default', path);
    }
  });
});

describe('the flags of serve', () => {
  it('each set a setting that exists', () => {
    for (const { flag, path, argument, sets, repeatable } of serveFlags) {
      const leaf = leaves.get(path);
      if (path === '') assert.equal(flag, '--config');
      else assert.ok(leaf !== undefined, flag);
      assert.equal(argument === null, sets !== null, flag);
      if (sets !== null) assert.equal(leaf?.kind, 'boolean', flag);
      assert.equal(repeatable, leaf?.kind === 'list' || leaf?.kind === 'map', flag);
    }
  });

  it('are named once each', () => {
    assert.equal(new Set(serveFlags.map((entry) => entry.flag)).size, serveFlags.length);
  });
});
