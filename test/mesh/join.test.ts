/** Joining: many at once, and again when the peer that all joined through is gone. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createMesh } from './harness.ts';
import type { SubmitAnswer } from '../../src/api/types.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const PEERS = 8;

const mesh = await createMesh();

const submit = (peer: Peer, more: object = {}): Promise<SubmitAnswer> =>
  peer.send<SubmitAnswer>('PUT', '/orchestrator/jobs', { Job: noop({}), ...more });

describe('eight peers', () => {
  test('all that join one seed at once see each other', async () => {
    await mesh.grow(PEERS);
    assert.equal(mesh.peers.length, PEERS);
  });

  test('a job with a partition for each of them is done', async () => {
    const [seed] = mesh.peers;
    assert.ok(seed !== undefined);
    const id = await mesh.submit(seed, noop({ Milliseconds: 200 }, { job: { Count: PEERS } }));
    const { Executions } = await mesh.reaches(seed, id, 'Completed');
    const done = (Executions?.Items ?? []).filter((one) => one.Phase === 'completed');
    assert.deepEqual(
      done.map((one) => one.PartitionIndex).sort(),
      Array.from({ length: PEERS }, (_, index) => index),
    );
  });

  test('a job is kept by five of them as soon as a peer that joins them takes one', async () => {
    const peer = await mesh.add();
    const { Receipt, Warnings } = await submit(peer);
    assert.deepEqual([Receipt.Keepers, Receipt.Wanted, Warnings], [5, 5, []]);
  });

  test('a peer that is started again joins the others although its seed is gone, and so are its jobs kept', async () => {
    const [seed, peer] = mesh.peers;
    assert.ok(seed !== undefined && peer !== undefined);
    await peer.stop();
    await seed.kill();
    await peer.start();
    const { Receipt } = await submit(peer);
    assert.deepEqual([Receipt.Keepers, Receipt.Wanted], [5, 5]);
    await mesh.joined(mesh.peers.filter((one) => one.running));
    const id = await mesh.submit(peer, noop({}));
    await mesh.reaches(peer, id, 'Completed');
  });
});

describe('a peer that knows no other', () => {
  test('says that it keeps a job alone, and refuses one that shall have more keepers', async () => {
    const alone = await mesh.add({ through: [] });
    const { Receipt, Warnings } = await submit(alone);
    assert.deepEqual([Receipt.Keepers, Receipt.Wanted], [1, 1]);
    assert.match(Warnings.join(), /kept by one peer alone/);
    await assert.rejects(submit(alone, { MinKeepers: 3 }), { code: 'too-few-keepers' });
    const { stdout } = await mesh.cli(alone, ['doctor']);
    assert.match(stdout, /keepers +a job submitted now is kept by 1/);
  });
});
