/** An image whose pull takes too much of the disk, by a Docker that is played. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'node:test';
import type { DockerApi, EngineFacts } from '../../../../src/engines/docker/api.ts';
import { ensureImage } from '../../../../src/engines/docker/image.ts';

const IMAGE = 'example.org/zeros:1';

test('a pull that is broken off too late leaves no image here', async () => {
  const rootDir = await mkdtemp(join(tmpdir(), 'shoal-image-'));
  let here = false;
  let ended = Promise.resolve();
  const api: Partial<DockerApi> = {
    inspectImage: async () =>
      here ? { os: 'linux', architecture: 'amd64', bytes: 30_000_000, volumes: 0 } : null,
    removeImage: async () => void (here = false),
    pull: async (_, __, stop) => {
      // Until it is enough: others who free room on this disk meanwhile hide what is taken.
      const layer = Buffer.alloc(30_000_000, 1);
      for (let at = 0; at < 50 && !stop.aborted; at += 1) {
        await writeFile(join(rootDir, `layer-${at}`), layer);
        await delay(100);
      }
      // It had all of the image when it was told to stop.
      ended = delay(300).then(() => void (here = true));
      return new Readable({ read: () => undefined });
    },
  };
  const facts = { os: 'linux', architecture: 'amd64', rootDir } as EngineFacts;
  const options = {
    privateRegistries: ['example.org'],
    skipPull: false,
    pullTimeoutMs: 30_000,
    imageMaxBytes: 20_000_000,
    onProgress: () => undefined,
  };
  try {
    const { signal } = new AbortController();
    const failure = await ensureImage(api as DockerApi, IMAGE, facts, options, signal);
    assert.equal(failure?.code, 'image-too-large');
    await ended;
    assert.equal(here, false);
  } finally {
    await rm(rootDir, { recursive: true, force: true });
  }
});
