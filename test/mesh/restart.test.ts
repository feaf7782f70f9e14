/** Every peer of a mesh goes away in the middle of a job, and comes back. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { before, describe, test } from 'node:test';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();
const publish = { Publisher: { Type: 'ipfs', Params: {} } };

describe('a mesh that is switched off in the middle of a job', () => {
  let peers: readonly Peer[];
  before(async () => {
    peers = await mesh.grow(3);
  });

  const ways: readonly (readonly [string, (peer: Peer) => Promise<void>])[] = [
    ['stopped', (peer) => peer.stop()],
    ['killed', (peer) => peer.kill()],
  ];
  for (const [how, end] of ways) {
    test(`${how}: after it is started again the job goes on to its end`, async () => {
      const [first] = peers;
      assert.ok(first !== undefined);
      const id = await mesh.submit(
        first,
        noop({ Milliseconds: 6_000 }, { job: { Count: 3 }, task: publish }),
      );
      await mesh.inPhase(first, id, 'running', 3);
      await Promise.all(peers.map(end));
      await Promise.all(peers.map((peer) => peer.start()));
      const { Executions } = await mesh.reaches(first, id, 'Completed', 90_000);
      const accepted = await mesh.results(first, id);
      assert.deepEqual(
        accepted.map(({ Params }) => Params.Partition),
        [0, 1, 2],
        JSON.stringify(Executions),
      );
    });
  }

  test('a peer that joined later, and never saw the job, fetches its results', async () => {
    const newcomer = await mesh.add();
    await mesh.joined();
    const [job] = (await newcomer.get<{ Items: readonly { ID: string }[] }>('/orchestrator/jobs'))
      .Items;
    const target = mesh.path('late');
    await mesh.ok(newcomer, [
      'job',
      'get',
      job?.ID ?? assert.fail('no job'),
      '--output-dir',
      target,
      '--raw',
    ]);
    assert.equal((await readdir(target)).length, 3);
  });
});
