/**
 * The main job, shown: starts three peers on loopback, adds a program and a text to the mesh, submits
 * `examples/word-count.yaml` at the first peer while the second runs it, fetches the result by CID
 * from the third. Everything it makes lies in one temporary directory and goes at the end.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { styleText } from 'node:util';

const root = join(import.meta.dirname, '..');
const program = join(root, 'scripts', 'shoal');
const START_MS = 60_000;
const STOP_MS = 15_000;

interface Peer {
  readonly name: string;
  readonly process: ChildProcess;
  readonly bootstrap: string;
  readonly apiPort: string;
  readonly exited: Promise<unknown>;
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const bold = (text: string): string => (process.stdout.isTTY ? styleText('bold', text) : text);

/** Starts a peer and returns when it is ready, that is, when it has printed how to reach it. */
async function startPeer(name: string, directory: string, extra: readonly string[]): Promise<Peer> {
  const args = [
    'serve',
    '--data-dir',
    join(directory, name),
    '--owner-key',
    join(directory, 'owner.key'),
  ];
  args.push(
    '--listen',
    '/ip4/127.0.0.1/tcp/0',
    '--api-port',
    '0',
    '--no-docker',
    '--log-level',
    'error',
    ...extra,
  );
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const printed = new Map<string, string>();
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`peer ${name} did not start within ${START_MS / 1000} s`)),
      START_MS,
    );
    void exited.then(() => reject(new Error(`peer ${name} ended before it was ready`)));
    let rest = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const [key = '', value = ''] = line.split(/\s{2,}|\s(?=.)/, 2);
        if (!printed.has(key)) printed.set(key, value.trim());
      }
      if (!printed.has('ready')) return;
      clearTimeout(timer);
      resolve();
    });
  });
  const bootstrap = printed.get('bootstrap') ?? '';
  const apiPort = /:(\d+)$/.exec(printed.get('api') ?? '')?.[1] ?? '';
  return { name, process: child, bootstrap, apiPort, exited };
}

/** Runs a command at a peer; its progress goes to the terminal, its output is returned. */
async function shoal(peer: Peer, ...args: readonly string[]): Promise<string> {
  say(
    `\n${bold(`[${peer.name}]$ shoal ${args.map((arg) => (arg.startsWith(root) ? relative(root, arg) : arg)).join(' ')}`)}`,
  );
  const env = { ...process.env, SHOAL_API_HOST: '127.0.0.1', SHOAL_API_PORT: peer.apiPort };
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    process.stdout.write(text);
  });
  const code = await new Promise((resolve) => child.once('exit', resolve));
  if (code !== 0) throw new Error(`shoal ${args.slice(0, 2).join(' ')} ended with ${String(code)}`);
  return output;
}

/** Waits until a peer sees the whole mesh, so that the job is announced to everybody. */
async function meshed(peer: Peer, nodes: number): Promise<void> {
  const deadline = Date.now() + START_MS;
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${peer.apiPort}/api/v1/orchestrator/nodes`);
    const { Nodes } = (await response.json()) as { Nodes: readonly unknown[] };
    if (Nodes.length >= nodes) return;
    if (Date.now() > deadline)
      throw new Error(`${peer.name} sees ${Nodes.length} of ${nodes} peers`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function stopPeers(peers: readonly Peer[]): Promise<void> {
  for (const peer of peers) peer.process.kill('SIGTERM');
  const late = setTimeout(() => peers.forEach((peer) => peer.process.kill('SIGKILL')), STOP_MS);
  await Promise.all(peers.map((peer) => peer.exited));
  clearTimeout(late);
}

async function show(directory: string, peers: Peer[]): Promise<void> {
  say(
    'Starting three peers on this machine: one to submit at, one that runs WebAssembly, one to fetch from.',
  );
  const first = await startPeer('peer-1', directory, ['--no-wasm']);
  peers.push(first);
  const join_ = ['--bootstrap', first.bootstrap];
  peers.push(await startPeer('peer-2', directory, join_));
  peers.push(await startPeer('peer-3', directory, ['--no-wasm', ...join_]));
  const third = peers[2] ?? first;
  await Promise.all(peers.map((peer) => meshed(peer, 3)));
  for (const peer of peers) say(`  ${peer.name}  ${peer.bootstrap}`);

  const example = join(root, 'examples', 'word-count');
  const module = (await shoal(first, 'cid', 'add', join(example, 'word-count.wasm'))).trim();
  const text = (await shoal(first, 'cid', 'add', join(example, 'moby-dick.txt'))).trim();
  await shoal(
    first,
    'job',
    'run',
    join(root, 'examples', 'word-count.yaml'),
    '-V',
    `module=${module}`,
    '-V',
    `text=${text}`,
  );
  await shoal(first, 'job', 'list');
  const found = await fetch(
    `http://127.0.0.1:${third.apiPort}/api/v1/orchestrator/jobs/word-count/results`,
  );
  const { Items } = (await found.json()) as {
    Items: readonly { readonly Params: { readonly CID: string } }[];
  };
  const result = Items[0]?.Params.CID;
  if (result === undefined) throw new Error('the job has no result');
  const fetched = join(directory, 'result');
  await shoal(third, 'cid', 'get', result, fetched);
  say(`\n${bold(`The result, ${result}, as the third peer has it:`)}\n`);
  say((await readFile(join(fetched, 'outputs', 'counts.txt'), 'utf8')).trimEnd());
}

const directory = await mkdtemp(join(tmpdir(), 'shoal-quickstart-'));
const peers: Peer[] = [];
let interrupted = false;
process.once('SIGINT', () => {
  interrupted = true;
});
try {
  await show(directory, peers);
  say(`
${bold('How to go on')}
  scripts/shoal serve                       a peer of your own; it prints how others can join it
  scripts/shoal serve --bootstrap MULTIADDR  a second one, on this machine or another
  scripts/shoal job run FILE                a job of your own, at any peer
  README.md                                 the three-machine walk-through`);
} catch (error) {
  process.exitCode = interrupted ? 130 : 1;
  process.stderr.write(`quickstart: ${error instanceof Error ? error.message : String(error)}\n`);
} finally {
  await stopPeers(peers);
  await rm(directory, { recursive: true, force: true });
}
