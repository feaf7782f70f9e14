/**
 * Many jobs at once through submitting, bidding, assigning, accepting and closing: clients in a
 * closed loop at every peer of the mesh. At the end each job that was submitted is looked up again.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Api, JobSpec } from './api.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { addNoopModule, noopJob, wasmJob } from './jobs.ts';
import { startMesh } from './mesh.ts';
import type { Peer } from './mesh.ts';
import { cpuMsOf } from './process-facts.ts';
import { atLeast, row } from './statistics.ts';
import type { Row } from './statistics.ts';

/** As often as `shoal job run` looks at its job at first. */
const POLL_MS = 150;
const SETTLE_MS = 60_000;

interface Load {
  readonly clients: number;
  readonly seconds: number;
  readonly spec: JobSpec;
}

interface Tally {
  /** Jobs seen completed within each whole second of the measured time. */
  readonly perSecond: readonly number[];
  readonly submitted: number;
  /** In the state named, after everything has had time to end. */
  readonly byState: ReadonlyMap<string, number>;
  readonly refused: number;
  readonly latencyMs: readonly number[];
  /** Processor time of all peers together, and of this process, milliseconds. */
  readonly peersCpuMs: number;
  readonly ownCpuMs: number;
  readonly messages: number;
}

const total = (all: readonly number[]): number => all.reduce((sum, one) => sum + one, 0);

/** Processor time and messages of all peers so far. */
async function spent(peers: readonly Peer[]): Promise<{ cpuMs: number; messages: number }> {
  const cpu = await Promise.all(peers.map(({ pid }) => cpuMsOf(pid)));
  const sent = await Promise.all(peers.map(({ api }) => api.metric('shoal_messages_sent_total')));
  return { cpuMs: total(cpu), messages: total(sent) };
}

async function drive(peers: readonly Peer[], load: Load): Promise<Tally> {
  const perSecond = Array.from({ length: load.seconds }, () => 0);
  const submitted: { readonly api: Api; readonly job: string }[] = [];
  const latencyMs: number[] = [];
  let refused = 0;
  const [before, ownBefore] = [await spent(peers), process.cpuUsage()];
  const began = performance.now();
  const running = (): boolean => performance.now() - began < load.seconds * 1_000;

  const client = async (api: Api): Promise<void> => {
    while (running()) {
      const start = performance.now();
      const job = await api.submit(load.spec).catch(() => null);
      if (job === null) {
        refused += 1;
        await pause(POLL_MS);
        continue;
      }
      submitted.push({ api, job });
      await pause(POLL_MS);
      await api.completed(job, POLL_MS, SETTLE_MS).catch(() => {});
      latencyMs.push(performance.now() - start);
      const second = Math.floor((performance.now() - began) / 1_000);
      if (second < load.seconds) perSecond[second] = (perSecond[second] ?? 0) + 1;
    }
  };
  const apis = Array.from(
    { length: load.clients },
    (_, index) => peers[index % peers.length]?.api ?? [],
  );
  await Promise.all(apis.flat().map(client));
  const [after, own] = [await spent(peers), process.cpuUsage(ownBefore)];

  const byState = new Map<string, number>();
  for (const { api, job } of submitted) {
    const state = await api.state(job).catch(() => 'not found');
    byState.set(state, (byState.get(state) ?? 0) + 1);
  }
  return {
    perSecond,
    submitted: submitted.length,
    byState,
    refused,
    latencyMs,
    peersCpuMs: after.cpuMs - before.cpuMs,
    ownCpuMs: (own.user + own.system) / 1_000,
    messages: after.messages - before.messages,
  };
}

/** The first seconds fill the pipeline. */
const WARM_SECONDS = 2;

function rowOf(what: string, tally: Tally, target: number, load: Load): Row {
  const states = [...tally.byState].map(([state, count]) => `${count} ${state}`).join(', ');
  const rate = (total(tally.perSecond) / load.seconds).toFixed(1);
  const note = `${load.clients} clients for ${load.seconds} s: ${tally.submitted} submitted (${tally.refused} refused), ${states}; ${rate}/s over the whole time`;
  const measured = row(what, 'jobs/s', tally.perSecond.slice(WARM_SECONDS), atLeast(target), note);
  const whole = tally.byState.get('Completed') === tally.submitted && tally.refused === 0;
  return whole ? measured : { ...measured, met: false };
}

async function measure(context: BenchContext, kind: 'noop' | 'wasm'): Promise<BenchResult> {
  const { quick, profileDir, say } = context;
  const flags = kind === 'noop' ? ['--no-docker', '--no-wasm', '--noop'] : ['--no-docker'];
  await using mesh = await startMesh({ size: 3, flags, profileDir });
  const [first] = mesh.peers;
  if (first === undefined) throw new Error('the mesh is empty');
  const spec = kind === 'noop' ? noopJob() : wasmJob(await addNoopModule(first.api));
  // Compiled code and open streams, as in a peer that has been in use.
  await drive(mesh.peers, { clients: 6, seconds: 3, spec });
  const load = { clients: kind === 'noop' ? 40 : 18, seconds: quick ? 8 : 20, spec };
  const tally = await drive(mesh.peers, load);
  say(`  ${tally.submitted} submitted, by second: ${tally.perSecond.join(' ')}`);
  const name = kind === 'noop' ? 'the noop engine' : 'a no-op WASM module';
  const own = (tally.ownCpuMs / tally.submitted).toFixed(1);
  const perJob = `without child processes; the measuring process takes ${own} ms per job beside it; ${(tally.messages / tally.submitted).toFixed(0)} messages per job`;
  return {
    rows: [
      rowOf(`jobs completed per second, ${name}, 3 peers`, tally, kind === 'noop' ? 40 : 10, load),
      row(
        `submitted to completed under that load, ${name}`,
        'ms',
        tally.latencyMs,
        null,
        `looked at every ${POLL_MS} ms`,
      ),
      row(
        `processor time per job in all peers, ${name}`,
        'ms',
        [tally.peersCpuMs / tally.submitted],
        null,
        perJob,
      ),
    ],
  };
}

export const noopThroughput = (context: BenchContext): Promise<BenchResult> =>
  measure(context, 'noop');
export const wasmThroughput = (context: BenchContext): Promise<BenchResult> =>
  measure(context, 'wasm');
