/**
 * What many peers cost each other: how long until all of those that start at once see all others, what
 * that takes, and what each costs when nothing happens.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { BenchContext, BenchResult } from './bench.ts';
import { startMesh } from './mesh.ts';
import { cpuMsOf } from './process-facts.ts';
import { row } from './statistics.ts';
import type { Row } from './statistics.ts';

const SIZES = [5, 10, 20, 40];
/** The news of the joins has gone round by then, and hellos have slowed down. */
const SETTLE_MS = 45_000;
const LOOK_MS = 60_000;

export async function crowd({ quick, profileDir, say }: BenchContext): Promise<BenchResult> {
  const rows: Row[] = [];
  for (const size of quick ? SIZES.slice(0, 3) : SIZES) {
    await using mesh = await startMesh({
      size,
      flags: ['--no-docker', '--no-wasm', '--noop'],
      profileDir,
      together: true,
    });
    const pids = mesh.peers.map(({ pid }) => pid);
    const joining = await Promise.all(pids.map(cpuMsOf));
    say(
      `${size} peers: ready after ${mesh.readyMs.toFixed(0)} ms, joined after ${mesh.joinedMs.toFixed(0)} ms`,
    );
    await pause(quick ? SETTLE_MS / 2 : SETTLE_MS);
    const before = await Promise.all(pids.map(cpuMsOf));
    const lookMs = quick ? LOOK_MS / 2 : LOOK_MS;
    await pause(lookMs);
    const after = await Promise.all(pids.map(cpuMsOf));
    rows.push(
      row(`${size} peers that start at once: all are ready`, 's', [mesh.readyMs / 1_000]),
      row('all see all, since their start', 's', [mesh.joinedMs / 1_000]),
      row('processor time of a peer until then', 'ms', joining),
      row(
        'processor of an idle peer',
        '% of a core',
        after.map((ms, index) => (100 * (ms - (before[index] ?? 0))) / lookMs),
      ),
    );
  }
  return { rows };
}
