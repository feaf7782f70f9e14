/**
 * A Docker engine of a test's own, with its own socket and directories, so that it can be killed
 * without touching the machine's.
 */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { docker, IMAGE, until } from './support.ts';

/** Why a test cannot have an engine of its own; false when it can. */
export async function ownEngineMissing(): Promise<string | false> {
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
export interface OwnDocker extends AsyncDisposable {
  readonly socket: string;
  start(): Promise<void>;
  /** Ends the engine process and waits until it is gone. */
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  docker(...args: string[]): Promise<string>;
}

/** @param flags further ones of `dockerd` */
export async function createOwnDocker(...flags: string[]): Promise<OwnDocker> {
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

/** Gives it the test image of the machine's engine. */
export async function loadImage(own: OwnDocker): Promise<void> {
  await promisify(execFile)('sh', [
    '-c',
    `docker save ${IMAGE} | docker --host unix://${own.socket} load`,
  ]);
}
