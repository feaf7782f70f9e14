/**
 * Docker itself goes away while a program runs. Each test has a Docker engine of its own, with its
 * own socket and directories, so that it can be killed without touching the machine's.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { createDockerEngine } from '../../src/engines/docker/docker-engine.ts';
import type { Engine } from '../../src/engines/engine.ts';
import {
  IMAGE,
  createWorkspace,
  docker,
  dockerMissing,
  engineConfig,
  runOf,
  shortOf,
  until,
} from './support.ts';

const skip = (await dockerMissing()) || (await ownEngineMissing());
const never = new AbortController().signal;

async function ownEngineMissing(): Promise<string | false> {
  const found = await promisify(execFile)('sh', [
    '-c',
    'command -v dockerd && command -v containerd && command -v unshare',
  ]).catch(() => null);
  if (found !== null && process.getuid?.() === 0) return false;
  const why = 'a Docker engine of its own needs root, dockerd, containerd and unshare';
  process.stderr.write(`\n*** TESTS OF DOCKER GOING AWAY LEFT OUT: ${why}\n\n`);
  return why;
}

/** A Docker engine that a test may start and kill. */
interface OwnDocker extends AsyncDisposable {
  readonly socket: string;
  start(): Promise<void>;
  /** Ends the engine process and waits until it is gone. */
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  docker(...args: string[]): Promise<string>;
}

async function createOwnDocker(...flags: string[]): Promise<OwnDocker> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-dockerd-'));
  const socket = join(directory, 'docker.sock');
  const host = `unix://${socket}`;
  const log = openSync(join(directory, 'log'), 'a');
  // Apart from the engine, as on an ordinary machine, so that containers can outlive the engine.
  const containerd = await startContainerd(directory, log);
  let engine: ChildProcess | null = null;

  const call = (...args: string[]): Promise<string> => docker('--host', host, ...args);
  const start = async (): Promise<void> => {
    // In a network of its own: an engine without a bridge removes the one that it finds.
    engine = spawn(
      'unshare',
      [
        ...['--net', 'dockerd'],
        ...['--host', host, '--containerd', join(directory, 'containerd.sock')],
        ...['--data-root', join(directory, 'data'), '--exec-root', join(directory, 'exec')],
        ...['--pidfile', join(directory, 'pid'), '--bridge', 'none'],
        ...['--iptables=false', '--ip6tables=false', ...flags],
      ],
      { stdio: ['ignore', log, log] },
    );
    await until('the own engine answers', () => call('info').catch(() => null), 60_000);
  };
  const stop = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    if (engine !== null) await endProcess(engine, signal);
    engine = null;
  };
  return {
    socket,
    start,
    stop,
    docker: call,
    async [Symbol.asyncDispose]() {
      if (engine === null) await start();
      const ids = await call('ps', '--all', '--quiet');
      if (ids !== '') await call('rm', '--force', ...ids.split('\n'));
      await stop('SIGTERM');
      await endProcess(containerd, 'SIGTERM');
      closeSync(log);
      await unmountBelow(directory);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function startContainerd(directory: string, log: number): Promise<ChildProcess> {
  const config = join(directory, 'containerd.toml');
  const text = [
    'version = 2',
    `root = "${directory}/containerd-root"`,
    `state = "${directory}/containerd-state"`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    `[grpc]\naddress = "${directory}/containerd.sock"\n`,
  ];
  await writeFile(config, text.join('\n'));
  const containerd = spawn('containerd', ['--config', config], { stdio: ['ignore', log, log] });
  const listening = (): Promise<boolean> =>
    access(join(directory, 'containerd.sock')).then(
      () => true,
      () => false,
    );
  await until('containerd listens', listening);
  return containerd;
}

async function endProcess(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}

/** An engine leaves its data directory mounted on itself, a killed one also its containers'. */
async function unmountBelow(directory: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n');
  const points = mounts.map((line) => line.split(' ')[1] ?? '');
  const below = points.filter((point) => point.startsWith(`${directory}/`));
  for (const point of below.toSorted().toReversed()) {
    await promisify(execFile)('umount', ['--lazy', point]).catch(() => undefined);
  }
}

async function loadImage(own: OwnDocker): Promise<void> {
  await promisify(execFile)('sh', [
    '-c',
    `docker save ${IMAGE} | docker --host unix://${own.socket} load`,
  ]);
}

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
