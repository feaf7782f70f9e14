/** How many keepers a job can have and should have, and what is refused when they are too few. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Cluster } from '../cluster.ts';
import { idOf, jobWith, WALL } from '../fixtures.ts';

const numbers = (cluster: Cluster, missed: readonly number[] = []): readonly number[] => {
  const { possible, wanted } = cluster.machine(0).keeperNumbers(missed.map(idOf));
  return [possible, wanted];
};

describe('the keepers of a job', () => {
  it('should be as many as the members of the last minutes allow, and can be as many as answer', () => {
    const cluster = new Cluster({ nodes: 4, program: () => [] });
    cluster.advance(10_000);
    assert.deepEqual(numbers(cluster), [3, 3]);
    cluster.crash(3);
    cluster.crash(2);
    cluster.advance(90_000);
    assert.deepEqual(numbers(cluster), [1, 3]);
    const reply = cluster.reply(cluster.submit(0, jobWith()));
    assert.ok(reply?.type === 'receipt');
    assert.equal(reply.receipt.record.body.keepers.length, 1);
    cluster.advance(300_000);
    assert.deepEqual(numbers(cluster), [1, 1]);
  });

  it('should be as many as those allow that a node has known before, for its first minutes', () => {
    const cluster = new Cluster({ nodes: 2, program: () => [] });
    assert.deepEqual(numbers(cluster, [1, 2, 3]), [1, 3]);
    assert.deepEqual(numbers(cluster, [1, 2, 3, 4, 5, 6, 7]), [1, 5]);
    cluster.advance(300_000);
    assert.deepEqual(numbers(cluster, [1, 2, 3]), [1, 1]);
  });

  it('are none at a node that takes nothing and knows no other', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.input(0, { type: 'disk', full: true });
    assert.deepEqual(numbers(cluster), [0, 1]);
  });
});

describe('a job that shall have more keepers than there can be', () => {
  const submit = (cluster: Cluster, minKeepers: number) => {
    const notAfter = WALL + 86_400_000;
    const spec = jobWith();
    const nonce = 'b'.repeat(32);
    return cluster.request(0, { type: 'submit', spec, nonce, notAfter, minKeepers });
  };

  it('is refused, and nothing of it is sent or written', () => {
    const cluster = new Cluster({ nodes: 4, program: () => [] });
    cluster.advance(10_000);
    const reply = cluster.reply(submit(cluster, 4));
    assert.deepEqual(reply, {
      type: 'failed',
      problem: { code: 'too-few-keepers', job: null, keepers: 3, minKeepers: 4, peers: 4 },
    });
    assert.deepEqual(cluster.messages('admit'), []);
    assert.deepEqual(cluster.store(0).rows('submissions'), []);
  });

  it('is admitted when as many are there as it shall have', () => {
    const cluster = new Cluster({ nodes: 4, program: () => [] });
    cluster.advance(10_000);
    assert.equal(cluster.reply(submit(cluster, 3))?.type, 'receipt');
  });
});
