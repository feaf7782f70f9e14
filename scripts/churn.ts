/**
 * A mesh whose peers are killed, paused, cut off, stopped and joined at random while jobs of all types run; in
 * the end everything is healed, every job must be over in the same way at every peer, and nothing may be left.
 *
 *   npm run churn -- --minutes 30 [--seed 7]
 *
 * Takes Linux and root for a network of its own for each peer; elsewhere nothing is cut. Exit code: 0 = all
 * promises were kept, 1 = not, 2 = wrong usage.
 */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { dockerMissing } from '../test/docker/support.ts';
import { Mesh } from '../test/mesh/harness.ts';
import { heldBy, leftOvers } from '../test/mesh/leaks.ts';
import type { Held } from '../test/mesh/leaks.ts';
import { createNetwork, NETWORK_NEEDS } from '../test/mesh/network.ts';
import type { Network } from '../test/mesh/network.ts';
import type { Peer } from '../test/mesh/peer.ts';
import { createProgram } from '../test/mesh/program.ts';
import { createWorkload } from '../test/mesh/workload.ts';

const BEGIN_WITH = 6;
/** Places for those that join later. */
const PEERS_MAX = 10;
/** Disturbed at a time, so that of five keepers a majority is there. */
const AWAY_MAX = 2;
const SETTLE_MS = 300_000;
const WARM_UP_MS = 20_000;
const ROOM_MS = 200;
/** What may be there more in the end: caches fill, and members are remembered. */
const HEAP_GROWTH_BYTES = 40e6;
const FILES_GROWTH = 40;

const say = (text: string): void =>
  void process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

function readOptions(): { readonly minutes: number; readonly seed: number } {
  const { values } = parseArgs({
    options: { minutes: { type: 'string', default: '30' }, seed: { type: 'string', default: '1' } },
    strict: true,
  });
  const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
  if (!(minutes > 0) || !Number.isInteger(seed))
    throw new TypeError('--minutes takes a number above 0, --seed a whole number.');
  return { minutes, seed };
}

/** Mulberry32: the same choices for the same seed, as far as real processes let them be. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Churn {
  readonly mesh: Mesh;
  readonly network: Network | null;
  readonly random: () => number;
  /** Disturbed now. */
  readonly away: Set<Peer>;
  /** Left for good. */
  readonly left: Set<Peer>;
  readonly counts: Map<string, number>;
}

const between = ({ random }: Churn, low: number, high: number): number =>
  low + random() * (high - low);
const oneOf = <T>({ random }: Churn, all: readonly T[]): T | undefined =>
  all[Math.floor(random() * all.length)];
/** One that has no name yet is still being started for the first time. */
const calm = ({ mesh, away, left }: Churn): readonly Peer[] =>
  mesh.peers.filter(
    (peer) => peer.running && peer.nodeId !== '' && !away.has(peer) && !left.has(peer),
  );

/** What may happen to a peer, and how it is itself again. */
const TROUBLES: Readonly<Record<string, (churn: Churn, peer: Peer) => Promise<void>>> = {
  async killed(churn, peer) {
    await peer.kill();
    await delay(between(churn, 500, 25_000));
    await peer.start();
  },
  async paused(churn, peer) {
    peer.pause();
    await delay(between(churn, 1_000, 40_000));
    peer.resume();
  },
  async stopped(churn, peer) {
    await peer.stop();
    await delay(between(churn, 500, 25_000));
    await peer.start();
  },
  async 'cut off'(churn, peer) {
    const { network, mesh } = churn;
    if (network === null) return;
    const index = mesh.peers.indexOf(peer);
    const others = mesh.peers.map((_, other) => other).filter((other) => other !== index);
    if (churn.random() < 0.5) await network.part([index], others);
    else await network.lose([index], others);
    await delay(between(churn, 1_000, 40_000));
    await network.mend([index], others);
  },
};

async function disturb(churn: Churn): Promise<void> {
  const peer = oneOf(churn, calm(churn));
  const name = oneOf(churn, Object.keys(TROUBLES));
  if (peer === undefined || name === undefined || churn.away.size >= AWAY_MAX) return;
  churn.away.add(peer);
  count(churn, name);
  try {
    await TROUBLES[name]?.(churn, peer);
  } finally {
    churn.away.delete(peer);
  }
}

/** One joins, as soon as there are enough to join through, and another leaves for good when there are many. */
async function turnOver(churn: Churn): Promise<void> {
  const { mesh, left, away } = churn;
  while (away.size >= AWAY_MAX) await delay(ROOM_MS);
  if (mesh.peers.length >= PEERS_MAX) return;
  const through = oneOf(churn, calm(churn));
  if (through === undefined) return;
  await mesh.add({ through: [through] });
  count(churn, 'joined');
  if (mesh.peers.length - left.size <= BEGIN_WITH + 1) return;
  const leaver = oneOf(churn, calm(churn));
  if (leaver === undefined) return;
  left.add(leaver);
  await leaver.stop();
  count(churn, 'left for good');
}

const count = ({ counts }: Churn, what: string): void =>
  void counts.set(what, (counts.get(what) ?? 0) + 1);

async function run(minutes: number, seed: number): Promise<boolean> {
  const network = await createNetwork(PEERS_MAX);
  if (network === null) say(`No link is cut: ${NETWORK_NEEDS}.`);
  const directory = await mkdtemp(join(tmpdir(), 'shoal-churn-'));
  const mesh = new Mesh(directory, await createProgram(), network);
  const churn: Churn = {
    mesh,
    network,
    random: createRandom(seed),
    away: new Set(),
    left: new Set(),
    counts: new Map(),
  };
  const problems: string[] = [];
  try {
    if ((await dockerMissing()) === false) mesh.watchContainers();
    await mesh.grow(BEGIN_WITH);
    await through(churn, minutes, problems);
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  }
  await mesh.close().catch((error: unknown) => problems.push(String(error)));
  for (const problem of problems) say(`BROKEN: ${problem.slice(0, 4_000)}`);
  say(problems.length === 0 ? 'All promises kept, nothing is left over.' : 'Promises were broken.');
  return problems.length === 0;
}

async function through(churn: Churn, minutes: number, problems: string[]): Promise<void> {
  const { mesh, network } = churn;
  const kinds = ['noop', 'wasm', 'noop', 'ops', 'noop', 'service'] as const;
  const withDocker = (await dockerMissing()) === false ? (['docker'] as const) : [];
  const load = createWorkload(mesh, [...kinds, ...withDocker]);
  let refused = 0;
  const submit = async (): Promise<void> => {
    const peer = oneOf(churn, calm(churn));
    if (peer !== undefined) await load.submit(peer).catch(() => (refused += 1));
  };
  for (let job = 0; job < 14; job += 1) await submit();
  await delay(WARM_UP_MS);
  const before = await heldByAll(mesh, network);
  const began = performance.now();
  const until = began + minutes * 60_000;
  const failed = (error: unknown): void => void problems.push(String(error));
  const troubles = new Set<Promise<void>>();
  const start = (trouble: Promise<void>): void => {
    const guarded = trouble.catch(failed);
    troubles.add(guarded);
    void guarded.finally(() => troubles.delete(guarded));
  };
  let ticks = 0;
  while (performance.now() < until) {
    ticks += 1;
    await submit();
    if (ticks % 4 === 0) start(disturb(churn));
    if (ticks % 60 === 0) start(turnOver(churn));
    if (ticks % 30 === 0) await load.stopServices(oneOf(churn, calm(churn)) ?? fail());
    if (ticks % 60 === 0) say(`${load.submitted.length} jobs, ${told(churn)}`);
    await delay(between(churn, 500, 2_500));
  }
  await Promise.all(troubles);
  await network?.heal();
  const peers = mesh.peers.filter((peer) => peer.running);
  await mesh.joined(peers);
  await load.stopServices(peers[0] ?? fail());
  const ends = await load.settled(peers, SETTLE_MS);
  await delay(WARM_UP_MS);
  const after = await heldByAll(mesh, network);
  for (const peer of peers) problems.push(...(await leftOvers(peer)));
  problems.push(...grown(before, after));
  const took = ((performance.now() - began) / 60_000).toFixed(1);
  say(`${took} minutes, ${load.submitted.length} jobs with a receipt, ${refused} refused`);
  say(`peers were ${told(churn)}`);
  say(`jobs ended: ${JSON.stringify(ends)}`);
  say(`before: ${JSON.stringify(Object.fromEntries(before))}`);
  say(`after: ${JSON.stringify(Object.fromEntries(after))}`);
}

const fail = (): never => {
  throw new Error('no peer is there');
};
const told = ({ counts }: Churn): string =>
  [...counts].map(([what, times]) => `${what} ${times} times`).join(', ');

async function heldByAll(mesh: Mesh, network: Network | null): Promise<ReadonlyMap<string, Held>> {
  const held = new Map<string, Held>();
  for (const [index, peer] of mesh.peers.entries())
    if (peer.running) held.set(peer.name, await heldBy(peer, network, index));
  return held;
}

/** Compared with the most that any peer held before: those that joined later were not there. */
function grown(
  before: ReadonlyMap<string, Held>,
  after: ReadonlyMap<string, Held>,
): readonly string[] {
  const most = (of: (held: Held) => number): number => Math.max(...[...before.values()].map(of));
  const heapMost = most(({ heapBytes }) => heapBytes ?? 0) + HEAP_GROWTH_BYTES;
  const filesMost = most(({ files }) => files) + FILES_GROWTH;
  return [...after].flatMap(([name, { heapBytes, files, executions }]) => [
    ...((heapBytes ?? 0) > heapMost ? [`${name} has a heap of ${heapBytes} bytes`] : []),
    ...(files > filesMost ? [`${name} has ${files} files open`] : []),
    ...(executions > 0 ? [`${name} still has ${executions} executions`] : []),
  ]);
}

try {
  const { minutes, seed } = readOptions();
  process.exitCode = (await run(minutes, seed)) ? 0 : 1;
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
