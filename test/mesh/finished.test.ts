/** What is finished stays finished: through hundreds of later jobs, a rolling restart, and the same request again. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

/** More than a sponsor ever remembered of its admissions; `SHOAL_TEST_JOBS` for more. */
const JOBS = Number(process.env['SHOAL_TEST_JOBS'] ?? 300);
/** As many at a time as three peers end without their clients waiting for each other. */
const CLIENTS = 12;
const mesh = await createMesh();
const publish = { Publisher: { Type: 'ipfs', Params: {} } };

interface Submitted {
  readonly JobID: string;
}

describe('a job that is over', () => {
  let peers: readonly Peer[];
  let first: Peer;
  let id: string;
  const request = {
    Job: noop({ Milliseconds: 10 }, { task: publish }),
    IdempotencyToken: 'the first of many',
  };
  const begun = (): number =>
    peers.reduce((sum, peer) => sum + peer.events('execution.received').length, 0);

  before(async () => {
    peers = await mesh.grow(3);
    [first] = peers as [Peer, ...Peer[]];
    id = (await first.send<Submitted>('PUT', '/orchestrator/jobs', request)).JobID;
    await mesh.reaches(first, id, 'Completed', 60_000);
    let left = JOBS;
    const client = async (at: number): Promise<void> => {
      const peer = peers[at % peers.length] ?? first;
      while (left > 0) {
        left -= 1;
        await mesh.reaches(
          peer,
          await mesh.submit(peer, noop({ Milliseconds: 0 })),
          'Completed',
          60_000,
        );
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, (_, at) => client(at)));
    for (const peer of peers) {
      await peer.stop();
      await peer.start();
      await mesh.joined();
    }
  });

  test('does not run again after a rolling restart', async () => {
    const ran = begun();
    assert.equal(ran, JOBS + 1);
    // Whoever would begin again does so when it has found the others, and is told of later jobs as ever.
    const later = await mesh.submit(first, noop({ Milliseconds: 0 }));
    await mesh.reaches(first, later, 'Completed', 60_000);
    assert.equal(begun(), ran + 1);
  });

  test('is described, and its result is there, at every peer', async () => {
    for (const peer of peers) {
      const { Job } = await mesh.job(peer, id);
      assert.equal(Job.State.StateType, 'Completed', peer.name);
      assert.equal((await mesh.results(peer, id)).length, 1);
      await mesh.ok(peer, ['job', 'get', id, '--output-dir', mesh.path('again')]);
    }
  });

  test('is what its request means when it comes again, and nothing runs', async () => {
    const ran = begun();
    const again = await first.send<Submitted>('PUT', '/orchestrator/jobs', request);
    assert.equal(again.JobID, id);
    assert.equal(begun(), ran);
  });
});
