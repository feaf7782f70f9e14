/**
 * One job with the largest Count there may be, of programs that do nothing: how long until all have a
 * result, and what it costs. The second time the leader is killed in the middle.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { BenchContext, BenchResult } from './bench.ts';
import { noopJob } from './jobs.ts';
import { startMesh } from './mesh.ts';
import type { Peer } from './mesh.ts';
import { bytesOf, cpuMsOf } from './process-facts.ts';
import { row } from './statistics.ts';
import type { Row } from './statistics.ts';

const MB = 1e6;
const POLL_MS = 1_000;
const LIMIT_MS = 3_600_000;
/** The largest job there may be; and one to see that it works. */
const COUNT = 10_000;
const QUICK_COUNT = 1_000;
/** The garbage collector goes through what is left within this. */
const SETTLE_MS = 20_000;
/** Each peer notes some four events of each execution, whoever leads and runs it. */
const EVENTS_IN_THE_MIDDLE = 2;

const total = (all: readonly number[]): number => all.reduce((sum, one) => sum + one, 0);
const sumOf = async (peers: readonly Peer[], metric: string): Promise<number> =>
  total(await Promise.all(peers.map(({ api }) => api.metric(metric))));
const memory = (peers: readonly Peer[], field: 'VmRSS' | 'VmHWM'): Promise<number[]> =>
  Promise.all(peers.map(async ({ pid }) => (await bytesOf(pid, 'status', field)) / MB));
const cpuMs = async (peers: readonly Peer[]): Promise<number> =>
  total(await Promise.all(peers.map(({ pid }) => cpuMsOf(pid))));

/** The peer that leads the job, by its log. */
async function leaderOf(peers: readonly Peer[], job: string): Promise<Peer> {
  for (const peer of peers) {
    const log = await peer.log();
    if (log.some(({ event, job: of }) => event === 'job.leading' && of === job)) return peer;
  }
  throw new Error(`nobody leads ${job}`);
}

/** Kills the leader in the middle when `kill`. @returns the peers that are left once the job is completed */
async function toTheEnd(
  peers: readonly Peer[],
  job: string,
  count: number,
  kill: boolean,
  say: BenchContext['say'],
): Promise<readonly Peer[]> {
  const began = performance.now();
  let left = peers;
  for (;;) {
    await pause(POLL_MS);
    const [watcher] = left;
    if (watcher === undefined) throw new Error('nobody is left');
    const state = await watcher.api.state(job);
    if (state === 'Completed') return left;
    const ms = performance.now() - began;
    if (state !== 'Running' || ms > LIMIT_MS) throw new Error(`${job} is ${state} after ${ms} ms`);
    if (!kill || left.length < peers.length) continue;
    const seen = await watcher.api.metric('shoal_events_total');
    if (seen < EVENTS_IN_THE_MIDDLE * count) continue;
    const leader = await leaderOf(peers, job);
    await leader.kill();
    left = peers.filter((peer) => peer !== leader);
    say(`  its leader was killed after ${(ms / 1_000).toFixed(0)} s`);
  }
}

async function run(
  { profileDir, say }: BenchContext,
  count: number,
  kill: boolean,
): Promise<readonly Row[]> {
  const flags = ['--no-docker', '--no-wasm', '--noop'];
  await using mesh = await startMesh({ size: 3, flags, profileDir });
  const { peers } = mesh;
  const [first] = peers;
  if (first === undefined) throw new Error('the mesh is empty');
  const before = { rss: await memory(peers, 'VmRSS'), cpuMs: await cpuMs(peers) };
  const began = performance.now();
  const job = await first.api.submit({ ...noopJob(), Count: count });
  const left = await toTheEnd(peers, job, count, kill, say);
  const seconds = (performance.now() - began) / 1_000;
  const peak = await memory(left, 'VmHWM');
  const messages = await sumOf(left, 'shoal_messages_sent_total');
  const oversized = await sumOf(left, 'shoal_messages_oversized_total');
  const spentMs = (await cpuMs(left)) - before.cpuMs;
  await pause(SETTLE_MS);
  const of = `Count ${count}${kill ? ', its leader killed in the middle' : ''}`;
  const whole = [
    row('messages for each execution', '', [messages / count], null),
    row('processor time for each execution, in all peers', 'ms', [spentMs / count], null),
    row('resident memory of a peer before', 'MB', before.rss, null),
  ];
  return [
    row(`${of}: submitted to completed`, 's', [seconds], null, `${oversized} messages too large`),
    ...(kill ? [] : whole),
    row('most memory that a peer had', 'MB', peak, null),
    row(`the same, ${SETTLE_MS / 1_000} s after the end`, 'MB', await memory(left, 'VmRSS'), null),
  ];
}

export async function largeCount(context: BenchContext): Promise<BenchResult> {
  const count = context.quick ? QUICK_COUNT : COUNT;
  const rows = [...(await run(context, count, false)), ...(await run(context, count, true))];
  return { rows };
}
