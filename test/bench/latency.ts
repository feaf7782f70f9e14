/** One job at a time, from submitting it to seeing it completed: WebAssembly and Docker. */
import Docker from 'dockerode';
import type { BenchContext, BenchResult } from './bench.ts';
import type { Api, JobSpec } from './api.ts';
import { addNoopModule, dockerJob, IMAGE, noopJob, wasmJob } from './jobs.ts';
import { startMesh } from './mesh.ts';
import { atMost, row, summarise } from './statistics.ts';

/** Fine enough for milliseconds, and little work for the peer. */
const POLL_MS = 5;
const WARM_UPS = 3;

/** Milliseconds from sending the job to the answer that says it is completed. */
async function timed(
  api: Api,
  spec: JobSpec,
): Promise<{ ms: number; submitMs: number; job: string }> {
  const began = performance.now();
  const job = await api.submit(spec);
  const submitMs = performance.now() - began;
  await api.completed(job, POLL_MS);
  return { ms: performance.now() - began, submitMs, job };
}

/** Where the time went, by the clock of the records: `assigned 20, running 80, …` (ms after the submission). */
async function stagesOf(api: Api, job: string): Promise<string> {
  const { history } = await api.job(job);
  const start = Date.parse(history[0]?.Time ?? '');
  const stages = history
    .map(({ Time, Event }) => ({
      state: Event.Details['Phase'] ?? Event.Details['NewState'],
      at: Date.parse(Time) - start,
    }))
    .filter(({ state }) => state !== undefined);
  return stages.map(({ state, at }) => `${state} ${at}`).join(', ');
}

async function series(api: Api, spec: JobSpec, runs: number) {
  for (let warmUp = 0; warmUp < WARM_UPS; warmUp += 1) await timed(api, spec);
  const all: { ms: number; submitMs: number; job: string }[] = [];
  for (let run = 0; run < runs; run += 1) all.push(await timed(api, spec));
  const middle = [...all].sort((a, b) => a.ms - b.ms)[Math.floor(all.length / 2)];
  return {
    ms: all.map(({ ms }) => ms),
    submitMs: all.map(({ submitMs }) => submitMs),
    stages: middle === undefined ? '' : await stagesOf(api, middle.job),
  };
}

export async function wasmLatency({ quick, profileDir, say }: BenchContext): Promise<BenchResult> {
  await using mesh = await startMesh({ size: 3, flags: ['--no-docker', '--noop'], profileDir });
  const [peer] = mesh.peers;
  if (peer === undefined) throw new Error('the mesh is empty');
  const runs = quick ? 10 : 30;
  const module = await addNoopModule(peer.api);
  const plain = await series(peer.api, wasmJob(module), runs);
  say(`  median run, ms after the submission: ${plain.stages}`);
  const published = await series(peer.api, wasmJob(module, true), runs);
  const noop = await series(peer.api, noopJob(), runs);
  return {
    rows: [
      row('no-op WASM job, submitted to completed', 'ms', plain.ms, atMost(300), plain.stages),
      row('the same with a published result', 'ms', published.ms, null, published.stages),
      row('job of the noop engine, submitted to completed', 'ms', noop.ms, null, noop.stages),
      row('submission until the receipt', 'ms', plain.submitMs),
    ],
  };
}

/** What Docker itself takes for the same. */
async function dockerOnce(docker: Docker): Promise<number> {
  const began = performance.now();
  const container = await docker.createContainer({
    Image: IMAGE,
    Cmd: ['true'],
    HostConfig: { NetworkMode: 'none' },
  });
  try {
    await container.start();
    await container.wait();
  } finally {
    await container.remove({ force: true });
  }
  return performance.now() - began;
}

export async function dockerLatency({
  quick,
  profileDir,
  say,
}: BenchContext): Promise<BenchResult> {
  const docker = new Docker();
  const missing = await docker
    .getImage(IMAGE)
    .inspect()
    .then(() => null)
    .catch((error: unknown) => String(error));
  if (missing !== null)
    return {
      rows: [],
      skipped: [`docker: run scripts/docker-setup first (${missing.slice(0, 120)})`],
    };
  await using mesh = await startMesh({ size: 3, flags: ['--no-wasm'], profileDir });
  const [peer] = mesh.peers;
  if (peer === undefined) throw new Error('the mesh is empty');
  const [alone, mine]: [number[], number[]] = [[], []];
  let stages = '';
  await timed(peer.api, dockerJob());
  await dockerOnce(docker);
  for (let run = 0; run < (quick ? 5 : 15); run += 1) {
    alone.push(await dockerOnce(docker));
    const { ms, job } = await timed(peer.api, dockerJob());
    mine.push(ms);
    stages = await stagesOf(peer.api, job);
  }
  say(`  last run, ms after the submission: ${stages}`);
  const base = summarise(alone).median;
  const ratio = `${(summarise(mine).median / base).toFixed(2)} × Docker alone`;
  return {
    rows: [
      row('`true` by Docker alone (create, start, wait, remove)', 'ms', alone),
      row('`true` as a job, submitted to completed', 'ms', mine, null, `${ratio}; ${stages}`),
      row(
        'what the mesh adds to Docker',
        'ms',
        mine.map((ms) => ms - base),
        atMost(300),
        'each job less the median of Docker alone',
      ),
    ],
  };
}
