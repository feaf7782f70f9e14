/**
 * A large file from one peer to another: as a client fetches it over HTTP at a peer that does not
 * have it, and peer to peer alone, with the receiver in this process.
 */
import { randomFillSync } from 'node:crypto';
import { testNodes } from '../contract/p2p/nodes.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { startMesh } from './mesh.ts';
import type { Peer } from './mesh.ts';
import { cpuMsOf } from './process-facts.ts';
import { atLeast, atMost, row } from './statistics.ts';

const MIB = 2 ** 20;
/** Megabytes as in MB/s. */
const rateOf = (bytes: number, ms: number): number => bytes / 1e6 / (ms / 1_000);

/** New bytes each time, so that no block of an earlier run is there already. */
function* randomBytes(bytes: number): Generator<Uint8Array> {
  for (let sent = 0; sent < bytes; sent += MIB) yield randomFillSync(new Uint8Array(MIB));
}

export async function transfer({ quick, profileDir, say }: BenchContext): Promise<BenchResult> {
  const bytes = (quick ? 64 : 256) * MIB;
  const runs = quick ? 3 : 6;
  await using mesh = await startMesh({ size: 3, flags: ['--no-docker', '--no-wasm'], profileDir });
  const [holder, ...others] = mesh.peers;
  const [other] = others;
  if (holder === undefined || other === undefined) throw new Error('the mesh has no two peers');
  const fetched: number[] = [];
  const first: number[] = [];
  const added: number[] = [];
  const local: number[] = [];
  const work: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const began = performance.now();
    const cid = await holder.api.addContent(randomBytes(bytes));
    added.push(rateOf(bytes, performance.now() - began));
    const peer = others[run % others.length] ?? other;
    const before = (await cpuMsOf(holder.pid)) + (await cpuMsOf(peer.pid));
    const done = await peer.api.download(cid, holder.nodeId);
    const after = (await cpuMsOf(holder.pid)) + (await cpuMsOf(peer.pid));
    if (done.bytes !== bytes) throw new Error(`${done.bytes} of ${bytes} bytes came`);
    fetched.push(rateOf(bytes, done.totalMs));
    first.push(done.firstByteMs);
    work.push(((after - before) / bytes) * 1e8);
    const again = await peer.api.download(cid, holder.nodeId);
    local.push(rateOf(bytes, again.totalMs));
    say(
      `  run ${run + 1}: ${fetched.at(-1)?.toFixed(0)} MB/s, first byte after ${done.firstByteMs.toFixed(0)} ms`,
    );
  }
  const direct = await replicate(holder, bytes, runs);
  const size = `${bytes / MIB} MiB`;
  return {
    rows: [
      row(`${size} of another peer, fetched by a client over HTTP`, 'MB/s', fetched, atLeast(120)),
      row('first byte of that', 'ms', first, atMost(100)),
      row('processor time of that in holder and receiver together', 'ms per 100 MB', work),
      row(
        `${size} copied and pinned from peer to peer`,
        'MB/s',
        direct,
        atLeast(120),
        'receiver runs from source in the measuring process',
      ),
      row(`${size} that the peer has, fetched by a client`, 'MB/s', local),
      row(`${size} added by a client`, 'MB/s', added),
    ],
  };
}

/** A bare host as receiver: no core, no API. */
async function replicate(holder: Peer, bytes: number, runs: number): Promise<number[]> {
  const nodes = testNodes();
  const rates: number[] = [];
  try {
    const { host } = await nodes.start({ network: 'shoal', contentQuotaBytes: 2 ** 40 });
    await host.dial(holder.address);
    for (let run = 0; run < runs; run += 1) {
      const cid = await holder.api.addContent(randomBytes(bytes));
      const began = performance.now();
      const options = {
        holders: [holder.nodeId],
        maxBytes: 2 ** 40,
        signal: AbortSignal.timeout(60_000),
      };
      await host.content.replicate(cid, options);
      rates.push(rateOf(bytes, performance.now() - began));
    }
  } finally {
    await nodes.stopAll();
  }
  return rates;
}
