/** Laws of what faults cost a peer, on a clock of our own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createStanding } from '../../../../p2p/peers/standing.ts';
import { idOf } from '../../core/fixtures.ts';
import { quiet } from '../../../contract/p2p/nodes.ts';

const limits = { faultsMax: 10, coolingMs: 30_000 };
const [one, other] = [idOf(1), idOf(2)];
const HOUR_MS = 3_600_000;

function world() {
  const sent: string[] = [];
  const state = { now: 1_000 };
  const standing = createStanding({
    limits,
    now: () => state.now,
    log: quiet,
    onCooling: (peer) => sent.push(peer),
  });
  const repeat = (times: number, peer = one): void => {
    for (let count = 0; count < times; count += 1) standing.fault(peer, 'garbage');
  };
  return { state, standing, repeat, sent };
}

test('a few faults are borne, and then the peer is sent away once', () => {
  const { standing, repeat, sent } = world();
  repeat(9);
  assert.deepEqual([sent, standing.coolingMs(one)], [[], 0]);
  repeat(1);
  assert.deepEqual([sent, standing.coolingMs(one)], [[one], 30_000]);
  repeat(100);
  assert.deepEqual(sent, [one], 'what was under way when it left counts no further');
  assert.deepEqual([standing.coolingMs(other), standing.stats().cooling], [0, 1]);
});

test('faults are forgiven with time: one in ten seconds is borne for ever', () => {
  const { standing, state, sent } = world();
  for (let count = 0; count < 10_000; count += 1) {
    standing.fault(one, 'bad-record');
    state.now += 10_000;
  }
  assert.deepEqual(sent, []);
});

test('each time it takes twice as long, to an hour, and good conduct makes it begin anew', () => {
  const { standing, state, repeat } = world();
  const times: number[] = [];
  for (let count = 0; count < 9; count += 1) {
    repeat(10);
    times.push(standing.coolingMs(one));
    state.now += standing.coolingMs(one);
    assert.equal(standing.coolingMs(one), 0);
  }
  assert.deepEqual(
    times,
    [1, 2, 4, 8, 16, 32, 64, 120, 120].map((factor) => factor * 30_000),
  );
  state.now += 6 * HOUR_MS + 1;
  repeat(10);
  assert.equal(standing.coolingMs(one), 30_000);
});

test('what is remembered has a bound, and who cools is not forgotten for a crowd of new names', () => {
  const { standing, repeat } = world();
  repeat(10);
  for (let peer = 2; peer < 5_000; peer += 1) standing.fault(idOf(peer), 'garbage');
  assert.equal(standing.stats().known, 1_024);
  assert.equal(standing.coolingMs(one), 30_000);
});
