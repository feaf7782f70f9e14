/** What waits for a simulated node waits as for a real one. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { asNodeId } from '../../src/core/record/ids.ts';
import type { Input } from '../../src/core/contract/input.ts';
import { GOSSIP_MAX } from '../../src/node/inbox.ts';
import { Arrivals } from './arrivals.ts';

const message = (from: string, nonce: number): Input => ({
  type: 'message',
  from: asNodeId(from),
  message: { type: 'ping', nonce },
});
/** Everything that waits, in the order in which it is handled. */
function* all(arrivals: Arrivals): Generator<Input> {
  for (let next = arrivals.next(); next !== undefined; next = arrivals.next()) yield next.input;
}

describe('what waits for a busy node', () => {
  test('is handled whole and in order, of each peer, also when its streams stand still', () => {
    const arrivals = new Arrivals(() => 0);
    for (let nonce = 0; nonce < 2_000; nonce += 1) arrivals.add(message('flood', nonce));
    arrivals.add(message('other', 1));
    const handled = [...all(arrivals)];
    assert.ok(arrivals.isEmpty);
    assert.equal(handled.length, 2_001);
    const flood = handled.filter((input) => input.type === 'message' && input.from === 'flood');
    assert.deepEqual(
      flood,
      Array.from({ length: 2_000 }, (_, nonce) => message('flood', nonce)),
    );
    const other = handled.findIndex((input) => input.type === 'message' && input.from === 'other');
    assert.ok(other < 100, `it waited behind ${other} messages of another`);
  });

  test('is no more gossip than a real node keeps, and what is asked of it here comes first', () => {
    const arrivals = new Arrivals(() => 0);
    const job = { type: 'gossip', from: asNodeId('n'), gossip: { type: 'advert' } } as Input;
    for (let count = 0; count < 2 * GOSSIP_MAX; count += 1) arrivals.add(job);
    arrivals.add({ type: 'wake' });
    const handled = [...all(arrivals)];
    assert.equal(handled[0]?.type, 'wake');
    assert.equal(handled.length, GOSSIP_MAX + 1);
  });
});
