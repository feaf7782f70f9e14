/** How far this node's clock is off, as its members tell it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClocks } from '../../../../p2p/peers/clocks.ts';
import { asNodeId } from '../../../../src/core/record/ids.ts';

const WALL = 1_800_000_000_000;
const HOUR_MS = 3_600_000;
const peer = (name: number) => asNodeId(`peer-${name}`);

function world() {
  const w = { now: 5_000, offMs: 0 };
  const clocks = createClocks(
    () => w.now,
    () => WALL + w.now + w.offMs,
  );
  /** Each member's clock is off by so much. */
  const tell = (...offs: readonly number[]): void => {
    for (const [name, off] of offs.entries())
      clocks.told(peer(name), WALL + w.now + off, w.now, w.now);
  };
  return { w, clocks, tell };
}

test('nothing is known while nobody has told the time', () => {
  assert.equal(world().clocks.skew(), null);
});

test('a clock ahead and one behind are told from each other, whenever the clock was set', () => {
  const { w, clocks, tell } = world();
  tell(0, 0, 0);
  assert.deepEqual(clocks.skew(), { aheadMs: 0, peers: 3 });
  w.offMs = HOUR_MS;
  w.now += 60_000;
  assert.deepEqual(clocks.skew(), { aheadMs: HOUR_MS, peers: 3 });
  w.offMs = -HOUR_MS;
  assert.deepEqual(clocks.skew(), { aheadMs: -HOUR_MS, peers: 3 });
});

test('the way here counts half, and an answer that took seconds not at all', () => {
  const { w, clocks } = world();
  clocks.told(peer(1), WALL + w.now, w.now - 300, w.now + 300);
  assert.equal(clocks.skew()?.aheadMs, 0);
  clocks.told(peer(2), WALL + w.now - HOUR_MS, w.now - 2_001, w.now);
  assert.equal(clocks.skew()?.peers, 1);
});

test('one liar moves nothing, among two, three or many', () => {
  for (const honest of [1, 2, 3, 4, 9]) {
    for (const lie of [HOUR_MS, -HOUR_MS, -WALL, 2 ** 48 - WALL]) {
      const { clocks, tell } = world();
      tell(lie, ...Array.from({ length: honest }, () => 0));
      assert.equal(clocks.skew()?.aheadMs, 0, `${honest} honest`);
    }
  }
});

test('one liar hides nothing where three others agree', () => {
  const { w, clocks, tell } = world();
  w.offMs = HOUR_MS;
  tell(HOUR_MS, 0, 0, 0);
  assert.equal(clocks.skew()?.aheadMs, HOUR_MS);
});

test('what a member said ten minutes ago counts no more, and of a thousand members the last word', () => {
  const { w, clocks, tell } = world();
  tell(HOUR_MS);
  w.now += 600_001;
  assert.equal(clocks.skew(), null);
  for (let round = 0; round < 2; round += 1) tell(...Array.from({ length: 1_500 }, () => 0));
  assert.deepEqual(clocks.skew(), { aheadMs: 0, peers: 1_000 });
});
