/**
 * Pulling: from a real registry on loopback, and from servers that answer as broken registries do.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createDockerEngine } from '../../src/engines/docker/docker-engine.ts';
import {
  IMAGE,
  docker,
  dockerMissing,
  engineConfig,
  imageNamed,
  runOnce,
  shortOf,
  until,
} from './support.ts';

const skip = await dockerMissing();
const REGISTRY = '/usr/bin/docker-registry';
const skipRegistry = registryMissing();

function registryMissing(): string | false {
  if (skip !== false) return skip;
  if (existsSync(REGISTRY)) return false;
  const why = `${REGISTRY} is not here: run scripts/docker-setup <pid file> registry as root`;
  process.stderr.write(`\n*** TESTS OF A REAL REGISTRY LEFT OUT: ${why}\n\n`);
  return why;
}

const params = (Image: string): { Image: string; Parameters: string[] } => ({
  Image,
  Parameters: ['echo', 'ran'],
});

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('a registry on loopback', { skip: skipRegistry }, () => {
  let stop: () => Promise<void> = async () => undefined;
  let host = '';

  before(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'shoal-registry-'));
    const port = await freePort();
    host = `127.0.0.1:${port}`;
    const config = join(directory, 'config.yml');
    await writeFile(
      config,
      `version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: ${directory}/data\nhttp:\n  addr: ${host}\n`,
    );
    const registry = spawn(REGISTRY, ['serve', config], { stdio: 'ignore' });
    stop = async () => {
      registry.kill();
      await rm(directory, { recursive: true, force: true });
    };
    await until(
      'the registry answers',
      async () => (await fetch(`http://${host}/v2/`).catch(() => null))?.ok ?? false,
    );
    // A layer that no image on this machine has, so that there is something to pull.
    const context = join(directory, 'context');
    await mkdir(context);
    await writeFile(join(context, 'blob'), randomBytes(1_000_000));
    await writeFile(join(context, 'Dockerfile'), `FROM ${IMAGE}\nCOPY blob /blob\n`);
    await docker('build', '--quiet', '--tag', `${host}/tools/busybox:1`, context);
    await docker('push', '--quiet', `${host}/tools/busybox:1`);
    await docker('rmi', `${host}/tools/busybox:1`);
  });

  after(() => stop());

  test('a missing image is pulled once, with its progress told', async () => {
    const image = `${host}/tools/busybox:1`;
    const told: string[] = [];
    const config = engineConfig({ onProgress: (_, text) => told.push(text) });
    const engine = createDockerEngine(config);
    try {
      const first = await runOnce({ params: params(image) }, engine);
      assert.equal(shortOf(first.outcome), 'exited 0');
      assert.equal(told[0], `pulling ${image}`);
      assert.match(told.at(-1) ?? '', /2 of 2 layers, \d\.\d of \d\.\d MB/);
      const before = told.length;
      const second = await runOnce({ params: params(image) }, engine);
      assert.equal(second.stdout, 'ran\n');
      assert.equal(told.length, before);
    } finally {
      await docker('rmi', image);
    }
  });

  test('the time of a pull is none of the program’s', async () => {
    const timeoutMs = 1_000;
    const slow: RequestListener = ({ url = '' }, response) => {
      const pass = (): unknown =>
        response.writeHead(307, { location: `http://${host}${url}` }).end();
      if (url.includes('/manifests/')) setTimeout(pass, timeoutMs + 500);
      else pass();
    };
    await withServer(slow, async (other) => {
      const image = `${other}/tools/busybox:1`;
      const { outcome, stdout } = await runOnce({ params: params(image), timeoutMs });
      await docker('rmi', image);
      assert.equal(shortOf(outcome), 'exited 0');
      assert.equal(stdout, 'ran\n');
    });
  });

  test('an image that grows beyond the limit when it is unpacked is not kept', async () => {
    const image = `${host}/tools/zeros:1`;
    const directory = await mkdtemp(join(tmpdir(), 'shoal-zeros-'));
    await writeFile(
      join(directory, 'Dockerfile'),
      `FROM ${IMAGE}\nRUN head -c 60000000 /dev/zero > /zeros\n`,
    );
    try {
      await docker('build', '--quiet', '--tag', image, directory);
      await docker('push', '--quiet', image);
      await docker('rmi', image);
      // Compressed it is smaller than the limit a hundred times.
      const engine = createDockerEngine(engineConfig({ imageMaxBytes: 20_000_000 }));
      const { outcome } = await runOnce({ params: params(image) }, engine);
      assert.equal(shortOf(outcome), 'failed image-too-large/limit');
      await assert.rejects(docker('image', 'inspect', image));
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  test('an image that a registry does not have is the spec’s fault', async () => {
    for (const image of [`${host}/tools/busybox:no-such-tag`, `${host}/no/such/image`]) {
      const { outcome } = await runOnce({ params: params(image) });
      assert.equal(shortOf(outcome), 'failed image-not-found/spec', image);
    }
  });

  test('without pulling allowed, a missing image is the node’s affair', async () => {
    const engine = createDockerEngine(engineConfig({ skipPull: true }));
    const { outcome } = await runOnce({ params: params(`${host}/tools/busybox:1`) }, engine);
    assert.equal(shortOf(outcome), 'failed image-not-present/node');
  });
});

/** Runs `work` with the address of a server that plays a registry. */
async function withServer(
  listener: RequestListener,
  work: (host: string) => Promise<void>,
): Promise<void> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await work(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('a registry that is busy or broken is a passing trouble', { skip }, async () => {
  for (const status of [429, 500, 503]) {
    const code = status === 429 ? 'TOOMANYREQUESTS' : 'UNKNOWN';
    await withServer(
      (request, response) => {
        if (request.url === '/v2/') return void response.end('{}');
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ errors: [{ code, message: `status ${status}` }] }));
      },
      async (host) => {
        const { outcome } = await runOnce({ params: params(`${host}/a/b:1`) });
        assert.equal(shortOf(outcome), 'failed image-pull-failed/transient', String(status));
      },
    );
  }
});

test('an address inside is asked for nothing unless the operator allows it', { skip }, async () => {
  let asked = 0;
  await withServer(
    (_, response) => {
      asked += 1;
      response.writeHead(500).end('what only this machine may see');
    },
    async (host) => {
      const port = host.split(':').at(-1);
      const closed = createDockerEngine(engineConfig({ privateRegistries: [] }));
      for (const name of [host, `localhost:${port}`]) {
        const { outcome } = await runOnce({ params: params(`${name}/a/b:1`) }, closed);
        assert.equal(shortOf(outcome), 'failed registry-not-allowed/node', name);
      }
      assert.equal(asked, 0);
      const { outcome } = await runOnce({ params: params(`${host}/a/b:1`) });
      assert.ok(asked > 0 && outcome.type === 'failed');
      assert.doesNotMatch(outcome.failure.message, /only this machine/);
    },
  );
});

test('a registry that cannot be reached is a passing trouble', { skip }, async () => {
  const { outcome } = await runOnce({ params: params(`127.0.0.1:${await freePort()}/a/b:1`) });
  assert.equal(shortOf(outcome), 'failed image-pull-failed/transient');
});

test('a registry that never answers costs the pull’s budget and no more', { skip }, async () => {
  await withServer(
    () => undefined,
    async (host) => {
      const engine = createDockerEngine(engineConfig({ pullTimeoutMs: 500 }));
      const { outcome } = await runOnce({ params: params(`${host}/a/b:1`) }, engine);
      assert.equal(shortOf(outcome), 'failed image-pull-failed/transient');
      assert.match(outcome.type === 'failed' ? outcome.failure.message : '', /0\.5 s/);
    },
  );
});

test('a pull is cancelled at once', { skip }, async () => {
  const controller = new AbortController();
  await withServer(
    () => controller.abort(),
    async (host) => {
      const engine = createDockerEngine(engineConfig());
      const { outcome } = await runOnce(
        { params: params(`${host}/a/b:1`) },
        engine,
        controller.signal,
      );
      assert.equal(shortOf(outcome), 'failed cancelled/transient');
    },
  );
});

test('an image for another kind of machine is the node’s affair', { skip }, async () => {
  const image = imageNamed('other-machine');
  const directory = await mkdtemp(join(tmpdir(), 'shoal-image-'));
  try {
    await writeFile(join(directory, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /file\n');
    await docker('build', '--quiet', '--platform', 'linux/s390x', '--tag', image, directory);
    const engine = createDockerEngine(engineConfig({ skipPull: true }));
    const { outcome } = await runOnce({ params: params(image) }, engine);
    assert.equal(shortOf(outcome), 'failed image-platform/node');
  } finally {
    await docker('rmi', '--force', image).catch(() => undefined);
    await rm(directory, { recursive: true, force: true });
  }
});

test('what an image wants to be run for its health is not run', { skip }, async () => {
  const image = imageNamed('health');
  const directory = await mkdtemp(join(tmpdir(), 'shoal-image-'));
  try {
    const check = 'HEALTHCHECK --interval=1ms --start-period=1ms CMD touch /checked';
    await writeFile(join(directory, 'Dockerfile'), `FROM ${IMAGE}\n${check}\n`);
    await docker('build', '--quiet', '--tag', image, directory);
    const script = 'sleep 2; test -e /checked && echo checked; true';
    const { outcome, stdout } = await runOnce({
      params: { Image: image, Parameters: ['sh', '-c', script] },
    });
    assert.equal(shortOf(outcome), 'exited 0');
    assert.equal(stdout, '');
  } finally {
    await docker('rmi', '--force', image).catch(() => undefined);
    await rm(directory, { recursive: true, force: true });
  }
});

test('an image with more volumes than Docker makes in time is refused', { skip }, async () => {
  const image = imageNamed('volumes');
  const directory = await mkdtemp(join(tmpdir(), 'shoal-image-'));
  try {
    for (const [count, expected] of [
      [101, 'failed image-volumes/limit'],
      [2, 'exited 0'],
    ] as const) {
      const volumes = Array.from({ length: count }, (_, at) => `/volumes/${at}`);
      const lines = `FROM ${IMAGE}\nVOLUME ${JSON.stringify(volumes)}\n`;
      await writeFile(join(directory, 'Dockerfile'), lines);
      await docker('build', '--quiet', '--tag', image, directory);
      const { outcome } = await runOnce({ params: { Image: image, Parameters: ['true'] } });
      assert.equal(shortOf(outcome), expected);
    }
  } finally {
    await docker('rmi', '--force', image).catch(() => undefined);
    await rm(directory, { recursive: true, force: true });
  }
});
