/**
 * No place of a container's that is on the disk of the node is left uncounted: its own layer, the
 * volumes of its image, the files that Docker lays into it, its output. The runner of a peer with
 * the real engine, a limit of some megabytes, and a program that would write a hundred times that.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { asExecutionId } from '../../src/core/record/ids.ts';
import type { Engine } from '../../src/engines/engine.ts';
import { createDockerEngine } from '../../src/engines/docker/docker-engine.ts';
import { failureOf, world } from '../unit/node/support.ts';
import { orderOf } from '../unit/storage/support.ts';
import {
  IMAGE,
  docker,
  dockerMissing,
  engineConfig,
  imageNamed,
  runOnce,
  shortOf,
} from './support.ts';

const skip = await dockerMissing();
const MB = 1_000_000;
const VOLUME_IMAGE = imageNamed('volume');

after(async () => {
  if (skip === false) await docker('rmi', '--force', VOLUME_IMAGE).catch(() => undefined);
});

/** Files of 8 MB each below a directory until somebody ends it; never one that is too large. */
const fill = (directory: string): string =>
  `i=0; while [ $i -lt 250 ]; do head -c 8000000 /dev/zero > ${directory}/$i || exit 9; i=$((i+1)); done; sleep 60`;

/** Runs a program as a peer does. @returns how it ended, and the most that the engine reported. */
async function outcomeOf(
  script: string,
  diskBytes: number,
  image = IMAGE,
  timeoutMs = 60_000,
  diskLooksMax = 250_000,
): Promise<{ readonly failure: string; readonly peakBytes: number; readonly outputBytes: number }> {
  const real = createDockerEngine(engineConfig({ stopGraceMs: 10_000, diskLooksMax }));
  let peakBytes = 0;
  const engine: Engine = {
    ...real,
    async diskBytes(...args) {
      const bytes = await real.diskBytes(...args);
      peakBytes = Math.max(peakBytes, bytes);
      return bytes;
    },
  };
  await using peer = await world({
    engines: new Map([['docker', engine]]),
    settings: { outputMaxBytes: 1_000 * MB, diskPollMs: 2_000 },
  });
  const order = orderOf(
    'e-1',
    {
      Engine: { Type: 'docker', Params: { Image: image, Parameters: ['sh', '-c', script] } },
      ResultPaths: [{ Name: 'out', Path: '/out' }],
      resources: { cpuMillis: 1_000, memoryBytes: 256 * MB, diskBytes, gpus: 0 },
    },
    // A name of its own, as the container carries it on this machine.
    { execution: asExecutionId(`e-${crypto.randomUUID()}`), timeoutMs },
  );
  peer.runner.start(order, false);
  const last = await peer.last(order.execution);
  const logs = join(peer.executionsDir, order.execution, 'logs');
  const outputBytes = (await stat(join(logs, 'stdout'))).size;
  return { failure: failureOf(last), peakBytes, outputBytes };
}

test('a program that fills its own file system is ended long before it is done', {
  skip,
}, async () => {
  const { failure, peakBytes } = await outcomeOf(fill('/var'), 20 * MB);
  assert.equal(failure, 'limit disk-limit-exceeded');
  assert.ok(peakBytes > 20 * MB && peakBytes < 1_000 * MB, String(peakBytes));
});

test('a program that fills the disk is given no time to go on', { skip }, async () => {
  const script = `trap 'echo still here' TERM; ${fill('/var')}`;
  const { failure, outputBytes } = await outcomeOf(script, 20 * MB);
  assert.equal(failure, 'limit disk-limit-exceeded');
  assert.equal(outputBytes, 0);
});

test('nor is one that fills it in the time it has to say goodbye', { skip }, async () => {
  const script = `trap '' TERM; sleep 2; ${fill('/var')}`;
  const { failure, peakBytes } = await outcomeOf(script, 20 * MB, IMAGE, 1_000);
  assert.equal(failure, 'limit execution-timeout');
  assert.ok(peakBytes > 20 * MB && peakBytes < 1_000 * MB, String(peakBytes));
});

test('directories and empty files of its file system are counted, too', { skip }, async () => {
  for (const make of ['mkdir d/$i', ': > d/$i']) {
    const script = `cd /var; mkdir d; i=0; while [ $i -lt 100000 ]; do ${make}; i=$((i+1)); done; sleep 60`;
    const { failure } = await outcomeOf(script, 2 * MB);
    assert.equal(failure, 'limit disk-limit-exceeded', make);
  }
});

test('a program with more files or open files than can be counted in time is ended', {
  skip,
}, async () => {
  const scripts = {
    files: 'cd /var; i=0; while [ $i -lt 600 ]; do : > $i; i=$((i+1)); done; sleep 60',
    'open files':
      'for f in 3 4 5 6 7 8 9; do eval "exec $f</dev/null"; done; i=0; while [ $i -lt 55 ]; do sleep 60 & i=$((i+1)); done; wait',
  };
  for (const [what, script] of Object.entries(scripts)) {
    const { failure } = await outcomeOf(script, 1_000 * MB, IMAGE, 20_000, 500);
    assert.equal(failure, 'limit disk-limit-exceeded', what);
  }
});

test('a volume that the image declares is counted', { skip }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-volume-'));
  try {
    await writeFile(join(directory, 'Dockerfile'), `FROM ${IMAGE}\nVOLUME /data\n`);
    await docker('build', '--quiet', '--tag', VOLUME_IMAGE, directory);
    const { failure } = await outcomeOf(fill('/data'), 20 * MB, VOLUME_IMAGE);
    assert.equal(failure, 'limit disk-limit-exceeded');
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

test('the files that Docker lays into a container are counted', { skip }, async () => {
  const script =
    'for f in hosts hostname resolv.conf; do head -c 8000000 /dev/zero >> /etc/$f; done; sleep 60';
  const { failure } = await outcomeOf(script, 20 * MB);
  assert.equal(failure, 'limit disk-limit-exceeded');
});

test('files that a program deletes and goes on writing are counted', { skip }, async () => {
  for (const directory of ['/var', '/out']) {
    // Each of them below the limit of one file, and none with a name.
    const open = Array.from({ length: 6 }, (_, index) => {
      const file = `${directory}/${index}`;
      return `exec ${index + 3}>${file}; rm ${file}; head -c 8000000 /dev/zero >&${index + 3}`;
    });
    const { failure } = await outcomeOf(`${open.join('; ')}; sleep 5`, 20 * MB);
    assert.equal(failure, 'limit disk-limit-exceeded', directory);
  }
});

test('what a program prints is counted, and no more of it is kept', { skip }, async () => {
  const { failure, outputBytes } = await outcomeOf('yes; sleep 60', 10 * MB);
  assert.equal(failure, 'limit disk-limit-exceeded');
  assert.ok(outputBytes <= 10 * MB, String(outputBytes));
});

test('no single file of a program outgrows its disk', { skip }, async () => {
  const script = 'head -c 60000000 /dev/zero > /var/big; echo $?; stat -c %s /var/big';
  const { stdout, outcome } = await runOnce({ script, diskBytes: 20 * MB });
  assert.equal(shortOf(outcome), 'exited 0');
  assert.match(stdout, /^[1-9]\d*\n20000000\n$/);
});
