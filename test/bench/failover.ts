/**
 * The leader of a job is lost while the job runs elsewhere: how long until another keeper leads it, once it
 * was killed, which closes its connections, and once nothing of it arrives any more. And until such a job
 * is completed, which needs two more decisions (accept and close).
 */
import { createNetwork, NETWORK_NEEDS } from '../mesh/network.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { startMesh } from './mesh.ts';
import type { Peer } from './mesh.ts';
import { leadersOf, setTheScene, until } from './scene.ts';
import { atMost, row } from './statistics.ts';

const RUNS = 20;
const POLL_MS = 10;
/** The program ends soon after the kill, so that the decisions are due at once. */
const RUN_MS = 1_500;
const GIVE_UP_MS = 60_000;
const FLAGS = ['--no-docker', '--no-wasm', '--noop'];

/** @param at by the clock of the machine @returns milliseconds from then until one of them led it first */
const ledAgain = (peers: readonly Peer[], job: string, at: number): Promise<number> =>
  until('another peer leads', async () => {
    const later = (await leadersOf(peers, job)).filter((heir) => heir.at >= at);
    return later.length === 0 ? null : Math.min(...later.map((heir) => heir.at)) - at;
  });

export async function failover({ quick, profileDir, say }: BenchContext): Promise<BenchResult> {
  await using mesh = await startMesh({ size: 3, flags: FLAGS, profileDir });
  const [led, done]: [number[], number[]] = [[], []];
  for (let run = 0; run < (quick ? 3 : RUNS); run += 1) {
    const { job, leader, survivors } = await setTheScene(mesh, RUN_MS);
    const [watcher] = survivors;
    if (watcher === undefined) throw new Error('nobody is left');
    const killedAt = Date.now();
    await leader.kill();
    led.push(await ledAgain(survivors, job, killedAt));
    await watcher.api.completed(job, POLL_MS, GIVE_UP_MS);
    done.push(Date.now() - killedAt);
    say(`  run ${run + 1}: led again after ${led.at(-1)} ms, completed after ${done.at(-1)} ms`);
    await mesh.revive(leader);
  }
  return {
    rows: [
      row('leader killed, until another keeper leads', 'ms', led, atMost(5_000, 'p99')),
      row(
        'leader killed, until the job is completed',
        'ms',
        done,
        atMost(5_000, 'p99'),
        `the program ends at most ${RUN_MS} ms after the kill`,
      ),
    ],
  };
}

/** Longer than it takes to notice. */
const BLACK_HOLE_RUN_MS = 600_000;

export async function blackHole({ quick, profileDir, say }: BenchContext): Promise<BenchResult> {
  const size = 5;
  await using network = await createNetwork(size);
  if (network === null) return { rows: [], skipped: [`black-hole: ${NETWORK_NEEDS}`] };
  await using mesh = await startMesh({ size, flags: FLAGS, profileDir, network });
  const led: number[] = [];
  for (let run = 0; run < (quick ? 3 : RUNS); run += 1) {
    const { job, leader, survivors } = await setTheScene(mesh, BLACK_HOLE_RUN_MS);
    const cutAt = Date.now();
    await network.part(
      [leader.index],
      survivors.map(({ index }) => index),
    );
    led.push(await ledAgain(survivors, job, cutAt));
    say(`  run ${run + 1}: led again after ${led.at(-1)} ms`);
    await network.heal();
    await mesh.joined();
    await leader.api.stop(job);
  }
  const limit = atMost(20_000, 'p99');
  return { rows: [row('leader cut off, until another keeper leads', 'ms', led, limit)] };
}
