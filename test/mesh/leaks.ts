/** What a peer holds when all its work is over: it must be what it held before, and nothing of any job. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { containersOf, dockerMissing } from '../docker/support.ts';
import type { Network } from './network.ts';
import type { Peer } from './peer.ts';
import { children } from './processes.ts';

export interface Held {
  /** After a full collection; null where the peer has no network of its own. */
  readonly heapBytes: number | null;
  readonly files: number;
  readonly connections: number;
  readonly executions: number;
}

/** Working directories of an execution: they go with its end. */
const WORKING: ReadonlySet<string> = new Set(['inputs', 'outputs', 'results', 'scratch']);

/** Directories, containers and processes that belong to no running execution any more; empty when all is well. */
export async function leftOvers(peer: Peer): Promise<readonly string[]> {
  const found: string[] = [];
  const below = async (path: string): Promise<readonly string[]> =>
    readdir(join(peer.dataDir, path)).catch(() => []);
  for (const execution of await below('executions'))
    for (const name of await below(`executions/${execution}`))
      if (WORKING.has(name)) found.push(`${peer.name}: executions/${execution}/${name}`);
  for (const name of await below('spool')) found.push(`${peer.name}: spool/${name}`);
  if ((await dockerMissing()) === false)
    for (const name of await containersOf(peer.nodeId)) found.push(`${peer.name}: ${name}`);
  for (const line of await children(peer.pid)) found.push(`${peer.name}: process ${line}`);
  return found;
}

/** Runs in the network of the peer, where nobody else has the port of the inspector. */
const ASK_HEAP = `
  const [{ webSocketDebuggerUrl }] = await (await fetch('http://127.0.0.1:9229/json/list')).json();
  const socket = new WebSocket(webSocketDebuggerUrl);
  const calls = [
    ['HeapProfiler.collectGarbage', {}],
    ['Runtime.evaluate', { expression: 'process.memoryUsage().heapUsed' }],
  ];
  const next = (id) =>
    socket.send(JSON.stringify({ id, method: calls[id][0], params: calls[id][1] }));
  socket.onopen = () => next(0);
  socket.onmessage = ({ data }) => {
    const { id, result } = JSON.parse(data);
    if (id === 0) return next(1);
    console.log(result.result.value);
    socket.close();
  };`;

async function heapAfterCollection(
  peer: Peer,
  network: Network,
  index: number,
): Promise<number | null> {
  process.kill(peer.pid, 'SIGUSR1');
  const script = ['--input-type=module', '--eval', ASK_HEAP];
  for (let tries = 0; tries < 10; tries += 1) {
    const [command, ...args] = network.wrap(index, [process.execPath, ...script]);
    const answer = await promisify(execFile)(command, args, { timeout: 20_000 }).catch(() => null);
    if (answer !== null) return Number(answer.stdout);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return null;
}

/** @param index the place of the peer in its network */
export async function heldBy(peer: Peer, network: Network | null, index: number): Promise<Held> {
  return {
    files: (await readdir(`/proc/${peer.pid}/fd`)).length,
    connections: await peer.metric('shoal_connections'),
    executions: await peer.metric('shoal_executions'),
    // Last: the inspector has files of its own.
    heapBytes: network === null ? null : await heapAfterCollection(peer, network, index),
  };
}
