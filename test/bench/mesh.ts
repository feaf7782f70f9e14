/**
 * A mesh of real peers on loopback: the bundled program, one process each, everything in a temporary
 * directory that goes at the end. Peers run as users run them, apart from ports and directories.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApi } from './api.ts';
import type { Api } from './api.ts';
import type { Network } from '../mesh/network.ts';

export const root = join(import.meta.dirname, '..', '..');
export const program = join(root, 'scripts', 'shoal');

const START_MS = 240_000;
const STOP_MS = 20_000;

export interface Peer {
  readonly index: number;
  readonly api: Api;
  readonly apiPort: number;
  readonly nodeId: string;
  /** Multiaddr with the peer id. */
  readonly address: string;
  readonly pid: number;
  /** What the peer logged so far, one value per line of JSON. */
  log(): Promise<readonly LogLine[]>;
  /** `kill -9`; resolves when the process is gone. */
  kill(): Promise<void>;
  /** Starts a killed peer again with its data and its ports. */
  restart(): Promise<Peer>;
}

export interface LogLine {
  readonly event?: string;
  /** ISO 8601. */
  readonly time?: string;
  readonly job?: string;
  readonly node?: string;
}

export interface Mesh extends AsyncDisposable {
  readonly peers: readonly Peer[];
  /** Since the first one was started, until all were ready; until each saw all. Milliseconds. */
  readonly readyMs: number;
  readonly joinedMs: number;
  /** Starts one more, which joins through the first. Resolves when it is ready; that it has joined is another matter. */
  add(): Promise<Peer>;
  /** Waits until each sees all others. */
  joined(): Promise<void>;
  /** Restarts a killed peer in its place and waits until all see each other again. */
  revive(peer: Peer): Promise<void>;
}

export interface MeshOptions {
  readonly size: number;
  /** Flags of `serve` for every peer. */
  readonly flags: readonly string[];
  readonly profileDir: string | null;
  /** Where each peer has a network of its own; else all share loopback. */
  readonly network?: Network;
  /** All but the first start at the same time. */
  readonly together?: boolean;
}

interface Running {
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
  readonly printed: ReadonlyMap<string, string>;
}

/** Starts a mesh and returns when every peer sees all others. */
export async function startMesh(options: MeshOptions): Promise<Mesh> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-bench-'));
  const running = new Set<Running>();
  const peers: Peer[] = [];
  const began = performance.now();
  const took = { readyMs: 0, joinedMs: 0 };
  const start = async (index: number): Promise<Peer> => {
    const bootstrap = peers[0] === undefined ? [] : ['--bootstrap', peers[0].address];
    const peer = await startPeer({ ...options, directory, running, index, bootstrap, ports: null });
    peers[index] = peer;
    return peer;
  };
  const mesh: Mesh = {
    peers,
    get readyMs() {
      return took.readyMs;
    },
    get joinedMs() {
      return took.joinedMs;
    },
    add: () => start(peers.length),
    joined: () => meshed(peers, options.size),
    async revive(peer) {
      peers[peer.index] = await peer.restart();
      await meshed(peers, options.size);
    },
    async [Symbol.asyncDispose]() {
      for (const { api } of peers) api.close();
      await Promise.all([...running].map(stop));
      await rm(directory, { recursive: true, force: true });
    },
  };
  try {
    await start(0);
    const others = Array.from({ length: options.size - 1 }, (_, index) => index + 1);
    if (options.together === true) await Promise.all(others.map(start));
    else for (const index of others) await start(index);
    took.readyMs = performance.now() - began;
    await meshed(peers, options.size);
    took.joinedMs = performance.now() - began;
    return mesh;
  } catch (error) {
    await mesh[Symbol.asyncDispose]();
    throw error;
  }
}

interface PeerSetup extends MeshOptions {
  readonly directory: string;
  readonly running: Set<Running>;
  readonly index: number;
  readonly bootstrap: readonly string[];
  /** null = the system chooses. */
  readonly ports: { readonly api: number; readonly listen: string } | null;
}

async function startPeer(setup: PeerSetup): Promise<Peer> {
  const { directory, index, running } = setup;
  const home = join(directory, String(index + 1));
  const logPath = `${home}.log`;
  const args = ['serve', '--data-dir', home, '--owner-key', join(directory, 'owner.key')];
  const anywhere = setup.network?.listen(index) ?? '/ip4/127.0.0.1/tcp/0';
  args.push('--listen', setup.ports?.listen ?? anywhere);
  args.push('--api-port', String(setup.ports?.api ?? 0), ...setup.flags, ...setup.bootstrap);
  const command = commandOf(args, setup.profileDir);
  const process = await launch(setup.network?.wrap(index, command) ?? command, logPath);
  running.add(process);
  void process.exited.then(() => running.delete(process));
  const printed = (key: string): string => {
    const value = process.printed.get(key);
    if (value === undefined) throw new Error(`peer ${index + 1} did not print "${key}"`);
    return value;
  };
  const apiPort = Number(/:(\d+)$/.exec(printed('api'))?.[1]);
  const address = printed('bootstrap');
  // A socket in the file system can be opened from any network.
  const api = createApi(setup.network === undefined ? apiPort : join(home, 'api.sock'));
  return {
    index,
    api,
    apiPort,
    address,
    nodeId: printed('peer id'),
    pid: process.child.pid ?? 0,
    log: () => readLog(logPath),
    async kill() {
      process.child.kill('SIGKILL');
      await process.exited;
    },
    async restart() {
      api.close();
      const listen = address.replace(/\/p2p\/.*$/, '');
      return startPeer({ ...setup, ports: { api: apiPort, listen } });
    },
  };
}

/**
 * For profiles Node itself is started, because flags cannot be handed through the start script; with the
 * script's own.
 */
function commandOf(
  args: readonly string[],
  profileDir: string | null,
): readonly [string, ...string[]] {
  if (profileDir === null) return [program, ...args];
  const node = join(root, 'node_modules', 'node', 'bin', 'node');
  const bundle = join(root, 'dist', 'shoal.js');
  return [
    node,
    '--max-semi-space-size=16',
    '--cpu-prof',
    `--cpu-prof-dir=${profileDir}`,
    bundle,
    ...args,
  ];
}

/** Starts a peer and returns when it has printed that it is ready. */
async function launch(
  [file, ...args]: readonly [string, ...string[]],
  logPath: string,
): Promise<Running> {
  const log = openSync(logPath, 'a');
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', log] });
  closeSync(log);
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const printed = new Map<string, string>();
  const ready = Promise.withResolvers<void>();
  let rest = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const [key = '', value = ''] = /^(peer id|\S+)\s*(.*)$/.exec(line)?.slice(1) ?? [];
      if (!printed.has(key)) printed.set(key, value.trim());
    }
    if (printed.has('ready')) ready.resolve();
  });
  void exited.then(() => ready.reject(new Error('it ended')));
  const late = setTimeout(
    () => ready.reject(new Error(`not ready in ${START_MS / 1_000} s`)),
    START_MS,
  );
  try {
    await ready.promise;
  } catch (error) {
    child.kill('SIGKILL');
    const said = await readFile(logPath, 'utf8').catch(() => '');
    throw new Error(`A peer did not start: ${said.slice(-2_000)}`, { cause: error });
  } finally {
    clearTimeout(late);
  }
  return { child, exited, printed };
}

async function stop({ child, exited }: Running): Promise<void> {
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await exited;
  clearTimeout(late);
}

async function readLog(path: string): Promise<readonly LogLine[]> {
  const lines = (await readFile(path, 'utf8')).split('\n');
  return lines
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as LogLine);
}

/** Waits until each peer sees all as connected, so that a job is announced to everybody. */
async function meshed(peers: readonly Peer[], size: number): Promise<void> {
  const deadline = performance.now() + START_MS;
  for (const peer of peers) {
    for (;;) {
      const seen = await peer.api.connectedNodes().catch(() => 0);
      if (seen >= size) break;
      if (performance.now() > deadline)
        throw new Error(`peer ${peer.index + 1} sees ${seen} of ${size} peers`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
