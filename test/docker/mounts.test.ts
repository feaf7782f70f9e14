/** What a program is given, as a container sees it: mounts inside of each other, and places of ordinary users. */
import assert from 'node:assert/strict';
import { chmod, chown, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createDockerEngine } from '../../src/engines/docker/docker-engine.ts';
import { makeMountPoints } from '../../src/node/runner/mount-points.ts';
import { isRoot } from '../unit/lib/trees.ts';
import { createWorkspace, dockerMissing, engineConfig, runOf, shortOf } from './support.ts';

const skip = await dockerMissing();
const signal = new AbortController().signal;

test('a result and an input lie below another input, be it for reading or writing', {
  skip,
}, async () => {
  for (const writable of [false, true]) {
    await using workspace = await createWorkspace();
    const [tree, file] = ['tree', 'file'].map((name) => join(workspace.directory, name));
    await mkdir(tree ?? '');
    await writeFile(join(tree ?? '', 'a.txt'), 'A');
    await writeFile(file ?? '', 'settings');
    const inputs = [
      { source: tree ?? '', target: '/app', writable },
      { source: file ?? '', target: '/app/etc/settings', writable: false },
    ];
    const given = runOf(workspace, {
      inputs,
      script: 'cd /app; cat a.txt etc/settings > build/both',
    });
    const results = { source: workspace.results, target: '/app/build', writable: true };
    const run = { ...given, mounts: [...inputs, results] };
    await makeMountPoints(run.mounts, run.mounts);
    const outcome = await createDockerEngine(engineConfig()).run(run, () => {}, signal);
    assert.equal(shortOf(outcome), 'exited 0', `writable: ${writable}`);
    assert.equal(await readFile(join(workspace.results, 'both'), 'utf8'), 'Asettings');
  }
});

test('a place of an ordinary user is read and written as the operator opened it', {
  skip: skip || (!isRoot && 'needs root'),
}, async () => {
  await using host = await createWorkspace();
  await using workspace = await createWorkspace();
  const source = join(host.directory, 'theirs');
  await mkdir(source, { mode: 0o700 });
  await writeFile(join(source, 'private'), 'P', { mode: 0o600 });
  await chown(source, 1_000, 1_000);
  await chown(join(source, 'private'), 1_000, 1_000);
  await chmod(host.directory, 0o755);
  const at = (writable: boolean) => [{ source, target: '/theirs', writable }];
  const engine = createDockerEngine(engineConfig());
  const script = 'cat /theirs/private && echo new > /theirs/new';
  const write = runOf(workspace, { script, inputs: at(true) });
  assert.equal(shortOf(await engine.run(write, () => {}, signal)), 'exited 0');
  assert.ok((await stat(join(source, 'new'))).isFile());
  const read = runOf(workspace, { script, inputs: at(false) });
  assert.equal(shortOf(await engine.run(read, () => {}, signal)), 'exited 1', 'only for reading');
});
