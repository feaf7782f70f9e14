/**
 * Docker itself goes away while a program runs. Each test has a Docker engine of its own.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createDockerEngine } from '../../src/engines/docker/docker-engine.ts';
import type { Engine } from '../../src/engines/engine.ts';
import { createOwnDocker, loadImage, ownEngineMissing } from './own-docker.ts';
import type { OwnDocker } from './own-docker.ts';
import { createWorkspace, dockerMissing, engineConfig, runOf, shortOf, until } from './support.ts';

const skip = (await dockerMissing()) || (await ownEngineMissing());
const never = new AbortController().signal;

const engineOf = (own: OwnDocker, lostAfterMs: number): Engine =>
  createDockerEngine(engineConfig({ socketPath: own.socket, lostAfterMs }));

test('a program that outlives its Docker is followed to its end, no output missing', {
  skip,
}, async () => {
  await using own = await createOwnDocker('--live-restore');
  await own.start();
  await loadImage(own);
  await using workspace = await createWorkspace();
  const run = runOf(workspace, {
    script:
      'echo one; until [ -e /outputs/two ]; do sleep 0.1; done; echo two; until [ -e /outputs/go ]; do sleep 0.1; done; echo three; exit 7',
  });
  let started = 0;
  const ending = engineOf(own, 60_000).run(run, () => (started += 1), never);
  const output = (): Promise<string> => readFile(run.stdoutPath, 'utf8').catch(() => '');
  await until('the first line', async () => started === 1 && (await output()) === 'one\n');
  await own.stop('SIGKILL');
  await writeFile(join(workspace.results, 'two'), '');
  await own.start();
  await until(
    'the line printed while nobody listened',
    async () => (await output()) === 'one\ntwo\n',
  );
  await writeFile(join(workspace.results, 'go'), '');
  let ended = '';
  void ending.then((outcome) => (ended = shortOf(outcome)));
  // Less than the interval of looking without a hint: being told must work again after the break.
  assert.equal(
    await until('the end is noticed', async () => ended !== '' && ended, 10_000),
    'exited 7',
  );
  assert.equal(await output(), 'one\ntwo\nthree\n');
});

test('a program that Docker took down with it is lost, not ended', { skip }, async () => {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await using own = await createOwnDocker();
    await own.start();
    await loadImage(own);
    await using workspace = await createWorkspace();
    const run = runOf(workspace, { script: 'echo up; sleep 300' });
    let started = 0;
    const ending = engineOf(own, 60_000).run(run, () => (started += 1), never);
    await until('the program runs', async () => started === 1);
    await own.stop(signal);
    await own.start();
    assert.equal(shortOf(await ending), 'failed docker-lost/node', signal);
  }
});

test('a Docker that stays away loses its runs, can be told, and starts nothing', {
  skip,
}, async () => {
  await using own = await createOwnDocker();
  await own.start();
  await loadImage(own);
  await using workspace = await createWorkspace();
  const run = runOf(workspace, { script: 'sleep 300' });
  const engine = engineOf(own, 1000);
  let started = 0;
  const ending = engine.run(run, () => (started += 1), never);
  await until('the program runs', async () => started === 1);
  await own.stop('SIGKILL');
  assert.equal(shortOf(await ending), 'failed docker-lost/node');
  const status = await engine.probe(never);
  assert.equal(status.available, false);
  assert.match(status.detail, /does not answer at .*docker\.sock/);
  const next = await engine.run(runOf(workspace), () => undefined, never);
  assert.equal(shortOf(next), 'failed docker-unavailable/node');
  const again = await engine.reattach(run, () => undefined, never);
  assert.equal(shortOf(again), 'failed docker-unavailable/node');
  assert.deepEqual(await engine.sweep(new Set()), []);
});

test('a Docker that answers is told with its version and what an operator should know', {
  skip,
}, async () => {
  const status = await createDockerEngine(engineConfig()).probe(never);
  assert.equal(status.available, true);
  assert.match(status.detail, /^Docker \d+\.\d+/);
});
