/** Laws of what one peer may cause. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRate } from '../../../p2p/rate.ts';
import { idOf } from '../core/fixtures.ts';

const [one, other] = [idOf(1), idOf(2)];

test('a peer may use its burst, then what time brings, and nobody uses up what another has', () => {
  let now = 0;
  const rate = createRate({ perSecond: 10, burst: 100 }, () => now);
  const most = (peer: typeof one): number => {
    let count = 0;
    while (rate.take(peer, 1)) count += 1;
    return count;
  };
  assert.equal(most(one), 100);
  assert.equal(most(one), 0);
  now += 2_000;
  assert.equal(most(one), 20);
  now += 3_600_000;
  assert.equal(most(one), 100, 'an hour of silence is worth one burst');
  assert.equal(most(other), 100);
});

test('of a crowd of names only so many are remembered, and who used most is one of them', () => {
  const rate = createRate({ perSecond: 0, burst: 10 }, () => 0);
  assert.ok(rate.take(one, 10));
  for (let peer = 2; peer < 3_000; peer += 1) rate.take(idOf(peer), 1);
  assert.equal(rate.size, 1_024);
  assert.equal(rate.take(one, 1), false, 'what it used is still known');
});
