/** One job with a thousand executions: the leader dies in the middle of it, and every partition has its result. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { ExecutionJson, ListJson } from '../../src/api/types.ts';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const COUNT = 1_000;
/** In half a minute on two quiet cores. */
const DEADLINE_MS = 300_000;
const mesh = await createMesh();

async function everyExecution(peer: Peer, id: string): Promise<readonly ExecutionJson[]> {
  const items: ExecutionJson[] = [];
  for (let token = ''; ; ) {
    const path = `/orchestrator/jobs/${id}/executions?limit=400&next_token=${token}`;
    const page = await peer.get<ListJson<ExecutionJson>>(path);
    items.push(...page.Items);
    token = page.NextToken;
    if (token === '') return items;
  }
}

describe('a job with a thousand executions', () => {
  before(async () => {
    await mesh.grow(3);
  });

  test('is completed although its leader is killed in the middle of it', async () => {
    const [first] = mesh.peers;
    assert.ok(first);
    const Resources = { CPU: '1m', Memory: '1Mb' };
    const id = await mesh.submit(first, noop({}, { job: { Count: COUNT }, task: { Resources } }));
    const leader = await mesh.until('it is led', () => mesh.leaders(id)[0]);
    await mesh.until(
      'a part of it is done',
      () => leader.events('job.accepted').length > COUNT / 3,
      DEADLINE_MS,
    );
    await leader.kill();
    const witness = mesh.peers.find((peer) => peer !== leader) ?? assert.fail('a witness');
    await mesh.reaches(witness, id, 'Completed', DEADLINE_MS);
    await leader.start();
    await mesh.joined();
    await mesh.reaches(leader, id, 'Completed', DEADLINE_MS);
    for (const peer of mesh.peers) {
      const completed = (await everyExecution(peer, id)).filter(
        ({ Phase }) => Phase === 'completed',
      );
      const partitions = new Set(completed.map(({ PartitionIndex }) => PartitionIndex));
      assert.equal(partitions.size, COUNT, peer.name);
      assert.equal(await peer.metric('shoal_messages_oversized_total', ''), 0, peer.name);
    }
  });
});
