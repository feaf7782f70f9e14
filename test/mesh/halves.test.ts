/** A mesh of six is cut into two halves while a service runs in both, and healed. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Peer } from './peer.ts';
import { agree, createScene, seconds } from './scene.ts';
import { noop } from './specs.ts';

const { mesh, network, uncut } = await createScene(6);

const REPLICAS = 3;
const [LEFT, RIGHT] = [
  [0, 1, 2],
  [3, 4, 5],
];
const REPLACED_MS = 30_000;
const AGREED_MS = 30_000;
/** One fits on a peer, so that the replicas are spread over both halves. */
const SPREAD = { CPU: '100m', Memory: '1200Mb' };

describe('six peers with a service of three replicas', { skip: uncut }, () => {
  let peers: readonly Peer[];
  before(async () => {
    peers = await mesh.grow(6);
  });

  /** Executions that somebody wants to go on. */
  const wanted = async (peer: Peer, id: string): Promise<readonly string[]> =>
    (await mesh.executions(peer, id))
      .filter(({ DesiredState }) => DesiredState.StateType === 1)
      .map(({ ID }) => ID)
      .toSorted();

  /** Executions that run on these peers, as each tells it of itself. */
  const runningOn = async (some: readonly Peer[], id: string): Promise<readonly string[]> => {
    const found = await Promise.all(
      some.map(async (peer) =>
        (await mesh.executions(peer, id)).filter(
          ({ NodeID, Phase }) => NodeID === peer.nodeId && Phase === 'running',
        ),
      ),
    );
    return found
      .flat()
      .map(({ ID }) => ID)
      .toSorted();
  };

  test('the half that has a majority makes it three; once healed there are three, the oldest', async (context) => {
    const links = network ?? assert.fail('no network');
    const [first] = peers;
    assert.ok(first !== undefined);
    const spec = noop(
      { Milliseconds: 3_600_000 },
      { job: { Type: 'service', Count: REPLICAS }, task: { Resources: SPREAD } },
    );
    const id = await mesh.submit(first, spec);
    await mesh.inPhase(first, id, 'running', REPLICAS);
    const oldest = await wanted(first, id);
    assert.deepEqual(await runningOn(peers, id), oldest);
    const halves = [LEFT, RIGHT].map((half) =>
      (half ?? []).map((index) => peers[index] ?? assert.fail('too few peers')),
    );
    const cutAt = performance.now();
    await links.part(LEFT ?? [], RIGHT ?? []);
    try {
      const counts = await mesh.until(
        'one half runs three of its own, and the other what it had',
        async () => {
          const now = await Promise.all(halves.map((half) => runningOn(half, id)));
          return now.some((half) => half.length === REPLICAS)
            ? now.map(({ length }) => length)
            : null;
        },
        REPLACED_MS,
      );
      const took = seconds(performance.now() - cutAt);
      context.diagnostic(`a half has three after ${took}; the halves run ${counts.join(' and ')}`);
    } finally {
      await links.heal();
    }
    const healedAt = performance.now();
    await agree(
      mesh,
      peers,
      [id],
      ([view = '']) => view.startsWith('Running') && view.split(' live').length - 1 === REPLICAS,
      AGREED_MS,
    );
    await mesh.until(
      'what runs is what all agree on',
      async () => (await runningOn(peers, id)).join() === oldest.join(),
    );
    context.diagnostic(`exactly three again after ${seconds(performance.now() - healedAt)}`);
    for (const peer of peers) assert.deepEqual(await wanted(peer, id), oldest, peer.name);
    await mesh.ok(first, ['job', 'stop', id]);
    await mesh.reaches(first, id, 'Stopped');
  });
});
