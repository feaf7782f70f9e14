/**
 * Jobs of all types that are submitted while peers come and go, and what must have become of each of them in
 * the end: none unknown, each over, one result for each partition, the same at every peer.
 */
import type { Mesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { docker, noop, wasm } from './specs.ts';

/** `failed` may be the end of a job that nobody could keep from failing: a node it needed is gone. */
type Kind = 'noop' | 'wasm' | 'docker' | 'ops' | 'service';

export interface Submitted {
  readonly id: string;
  readonly kind: Kind;
  readonly count: number;
}

export interface Workload {
  /** Jobs that somebody has a receipt for. */
  readonly submitted: readonly Submitted[];
  /** Submits one more through this peer. @throws when nobody took it: then it may be there all the same. */
  submit(peer: Peer, token?: string): Promise<string>;
  /** Stops what never ends by itself, through this peer. */
  stopServices(peer: Peer): Promise<void>;
  /**
   * Waits until everything is over as all these peers tell it.
   * @returns how many ended in which state. @throws with each promise that was broken
   */
  settled(peers: readonly Peer[], deadlineMs: number): Promise<Readonly<Record<string, number>>>;
}

const OVER: ReadonlySet<string> = new Set(['Completed', 'Failed', 'Stopped']);

/** @param kinds taken in turn */
export function createWorkload(mesh: Mesh, kinds: readonly Kind[], label = 'load'): Workload {
  const submitted: Submitted[] = [];
  const names = { Namespace: label };
  let count = 0;
  const specOf = (kind: Kind, peer: Peer, number: number): object | Promise<object> => {
    // A name that is known already would be a new version of that job.
    const job = { ...names, Name: `${label}-${number}` };
    switch (kind) {
      case 'noop':
        return noop(
          { Milliseconds: 50 * (number % 20) },
          { job: { ...job, Count: countOf(kind) } },
        );
      case 'wasm':
        return wasm(
          peer,
          'empty.wasm',
          {},
          { job, task: { Publisher: { Type: '' }, ResultPaths: [] } },
        );
      case 'docker':
        return docker('echo done > /outputs/file', { job });
      case 'ops':
        return noop({ Milliseconds: 200 }, { job: { ...job, Type: 'ops', Count: 0 } });
      case 'service':
        return noop({ Milliseconds: 3_600_000 }, { job: { ...job, Type: 'service' } });
    }
  };
  return {
    submitted,
    async submit(peer, token) {
      count += 1;
      const number = count;
      const kind = kinds[number % kinds.length] ?? 'noop';
      const spec = await specOf(kind, peer, number);
      const { JobID: id } = await peer.send<{ JobID: string }>('PUT', '/orchestrator/jobs', {
        Job: spec,
        ...(token === undefined ? {} : { IdempotencyToken: token }),
      });
      submitted.push({ id, kind, count: countOf(kind) });
      return id;
    },
    async stopServices(peer) {
      for (const { id, kind } of submitted)
        if (kind === 'service') await mesh.ok(peer, ['job', 'stop', id]).catch(() => {});
    },
    async settled(peers, deadlineMs) {
      const ends: Record<string, number> = {};
      const deadline = performance.now() + deadlineMs;
      for (const one of submitted) {
        const left = Math.max(1, deadline - performance.now());
        const end = await endOf(mesh, peers, one, left);
        ends[`${one.kind} ${end}`] = (ends[`${one.kind} ${end}`] ?? 0) + 1;
      }
      return ends;
    },
  };
}

const countOf = (kind: Kind): number => (kind === 'noop' ? 2 : 1);

/** The state in which all peers say that it ended. */
export async function endOf(
  mesh: Mesh,
  peers: readonly Peer[],
  { id, kind, count }: Submitted,
  deadlineMs: number,
): Promise<string> {
  const state = await mesh.until(
    `${kind} ${id} is over, and all say the same`,
    async () => {
      const states = await Promise.all(
        peers.map(async (peer) => (await mesh.job(peer, id)).Job.State.StateType),
      );
      const [first = ''] = states;
      return OVER.has(first) && states.every((other) => other === first) ? first : null;
    },
    deadlineMs,
  );
  if (state !== 'Completed' || kind === 'ops') return state;
  const [peer] = peers;
  if (peer === undefined) return state;
  const accepted = (await mesh.history(peer, id)).filter(({ Event }) =>
    Event.Message.includes('accepted (exit code'),
  ).length;
  if (accepted !== count) throw new Error(`${kind} ${id} has ${accepted} results, not ${count}`);
  return state;
}
