/** Local inputs below a directory that jobs may write to, while somebody exchanges what lies there. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createDockerEngine } from '../../src/engines/docker/docker-engine.ts';
import { pinMounts } from '../../src/engines/docker/pins.ts';
import type { Mount } from '../../src/engines/engine.ts';
import { createLocalSource } from '../../src/storage/local-source.ts';
import { StorageError } from '../../src/storage/source.ts';
import { inputOf, place } from '../unit/storage/support.ts';
import type { Place } from '../unit/storage/support.ts';
import { asNobody, isRoot } from '../unit/lib/trees.ts';
import {
  createWorkspace,
  dockerMissing,
  engineConfig,
  runOf,
  runOnce,
  shortOf,
} from './support.ts';

const skip = (await dockerMissing()) || (!isRoot && 'needs root');

interface Area extends Place {
  at(name: string): string;
  stage(path: string): Promise<readonly Mount[]>;
}

/** `area` is open to jobs for writing and holds `mine/file`; `secret/file` is nobody's business. */
async function area(): Promise<Area> {
  const here = await place();
  const { path } = here;
  const at = (name: string): string => join(path, name);
  for (const name of ['area/mine', 'secret']) await mkdir(at(name), { recursive: true });
  await writeFile(at('area/mine/file'), 'mine');
  await writeFile(at('secret/file'), 'SECRET');
  const source = createLocalSource('localdirectory', [`${path}/area/**:rw`]);
  return {
    ...here,
    at,
    async stage(from) {
      const input = inputOf('localdirectory', { SourcePath: from, ReadWrite: true }, '/in');
      return (await source.stage(input, here.context('unused'))).mounts;
    },
  };
}

const mountsHere = (): string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes('/run/shoal/test-'));

test('a container gets what was looked at, and nothing stays bound', { skip }, async () => {
  await using here = await area();
  for (const [path, file] of [
    ['area/mine', '/in/file'],
    ['area/mine/file', '/in'],
    ['area', '/in/mine/file'],
  ] as const) {
    const inputs = await here.stage(here.at(path));
    const script = `cat ${file}; echo more >> ${file}`;
    const ran = await runOnce({ script, inputs });
    assert.equal(shortOf(ran.outcome), 'exited 0', ran.stderr);
    assert.equal(ran.stdout, 'mine', path);
    assert.equal(await readFile(here.at('area/mine/file'), 'utf8'), 'minemore\n');
    await writeFile(here.at('area/mine/file'), 'mine');
  }
  assert.deepEqual(mountsHere(), []);
});

test('a link put in the place of an input after it was looked at leads nowhere', {
  skip,
}, async () => {
  await using here = await area();
  const inputs = await here.stage(here.at('area/mine'));
  await rename(here.at('area/mine'), here.at('area/other'));
  await symlink(here.at('secret'), here.at('area/mine'));
  const ran = await runOnce({ script: 'cat /in/file', inputs });
  assert.equal(ran.stdout, '');
  assert.equal(shortOf(ran.outcome), 'failed path-changed/node');
  await rm(here.at('area/mine'));
  await mkdir(here.at('area/mine'));
  const anew = await runOnce({ script: 'cat /in/file', inputs });
  assert.equal(shortOf(anew.outcome), 'failed path-changed/node', 'another directory of that name');
});

test('whoever exchanges a directory again and again reads nothing that is not his', {
  skip,
}, async () => {
  await using here = await area();
  await symlink(here.at('secret'), here.at('area/link'));
  const [mine, link, kept] = ['area/mine', 'area/link', 'area/kept'].map(here.at);
  // Docker takes some 100 ms from the order to the mount, so each face is shown for about as long.
  const swap = `const { renameSync: mv } = require('node:fs');
    const pause = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20 + Math.random() * 150);
    const [mine, link, kept] = ${JSON.stringify([mine, link, kept])};
    for (;;) { mv(mine, kept); mv(link, mine); pause(); mv(mine, link); mv(kept, mine); pause(); }`;
  const swapper = spawn(process.execPath, ['-e', swap], { stdio: 'ignore' });
  const seen: Record<string, number> = {};
  try {
    for (let runs = 0; runs < 14; ) {
      const inputs = await here.stage(here.at('area/mine')).catch((error: unknown) => {
        if (error instanceof StorageError) return null;
        throw error;
      });
      if (inputs === null) continue;
      runs += 1;
      const { stdout, outcome } = await runOnce({ script: 'cat /in/file', inputs });
      const got = stdout || shortOf(outcome);
      seen[got] = (seen[got] ?? 0) + 1;
    }
  } finally {
    swapper.kill('SIGKILL');
  }
  assert.equal(seen['SECRET'], undefined, JSON.stringify(seen));
  assert.deepEqual(mountsHere(), []);
});

test('a node that is not root says that it cannot keep such an input in place', {
  skip,
}, async () => {
  await using here = await area();
  const inputs = await here.stage(here.at('area/mine'));
  await using workspace = await createWorkspace();
  const run = runOf(workspace, { inputs });
  const pinned = await asNobody(() => pinMounts(run, 'test-nobody'));
  assert.equal(pinned.ok ? 'pinned' : pinned.failure.code, 'path-exchangeable');
});

test('what a killed node left bound is let go by its next sweep', { skip }, async () => {
  await using here = await area();
  const config = engineConfig();
  const inputs = await here.stage(here.at('area/mine'));
  await using workspace = await createWorkspace();
  const pinned = await pinMounts(runOf(workspace, { inputs }), config.nodeLabel);
  assert.ok(pinned.ok);
  assert.equal(mountsHere().length, 1);
  await createDockerEngine(config).sweep(new Set());
  assert.deepEqual(mountsHere(), []);
  assert.deepEqual(readdirSync(here.at('area/mine')), ['file'], 'and what it named stays');
});
