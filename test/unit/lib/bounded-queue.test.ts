import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BoundedQueue } from '../../../src/lib/bounded-queue.ts';

describe('a bounded queue', () => {
  it('keeps the order and the limit of a plain list, whatever is done to it', () => {
    const steps = fc.array(fc.oneof(fc.nat(), fc.constant('shift' as const)), { maxLength: 200 });
    fc.assert(
      fc.property(
        steps,
        fc.integer({ min: 1, max: 5 }),
        fc.constantFrom('newest', 'oldest'),
        (actions, max, drop) => {
          const queue = new BoundedQueue<number>({ max, drop });
          const model: number[] = [];
          let lost = 0;
          for (const action of actions) {
            if (action === 'shift') {
              assert.equal(queue.shift(), model.shift());
              continue;
            }
            const full = model.length >= max;
            if (full) lost += 1;
            if (full && drop === 'oldest') model.shift();
            if (!full || drop === 'oldest') model.push(action);
            assert.equal(queue.push(action), !full);
            assert.equal(queue.length, model.length);
          }
          assert.equal(queue.dropped, lost);
        },
      ),
    );
  });

  it('drains what is in it before it ends', async () => {
    const queue = new BoundedQueue<number>({ max: 10, drop: 'newest' });
    queue.push(1);
    const seen: number[] = [];
    const draining = (async () => {
      for await (const item of queue.drain(new AbortController().signal)) seen.push(item);
    })();
    queue.push(2);
    queue.close();
    await draining;
    assert.deepEqual(seen, [1, 2]);
    assert.equal(queue.push(3), false);
  });

  it('ends a consumer that waits when its signal aborts', async () => {
    const queue = new BoundedQueue<number>({ max: 10, drop: 'newest' });
    const abort = new AbortController();
    const next = queue.drain(abort.signal).next();
    abort.abort();
    assert.equal((await next).done, true);
  });
});
