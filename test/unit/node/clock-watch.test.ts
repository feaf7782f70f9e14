/** What the operator is told of a clock that is off. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClockSkew } from '../../../p2p/peers/clocks.ts';
import { clockFinding, createClockWatch } from '../../../src/node/clock-watch.ts';

const HOUR_MS = 3_600_000;

function world() {
  const w = { skew: null as ClockSkew | null, lines: [] as string[] };
  const tell = (_data: object, event: string): void => void w.lines.push(event);
  const look = createClockWatch({ warn: tell, info: tell } as never, () => w.skew);
  return { w, look };
}

test('a clock that is off is told with how far, which way and what to do', () => {
  const ahead = clockFinding({ aheadMs: HOUR_MS, peers: 4 });
  assert.equal(ahead.level, 'warning');
  assert.match(ahead.detail, /1h00m ahead of the median of 4 peers/);
  assert.match(ahead.remedy, /Set the clock/);
  assert.match(clockFinding({ aheadMs: -20_000, peers: 1 }).detail, /20s behind the one peer/);
});

test('seconds are no reason to worry, and neither is a mesh of one', () => {
  for (const skew of [{ aheadMs: 9_999, peers: 4 }, { aheadMs: -9_999, peers: 1 }, null])
    assert.equal(clockFinding(skew).level, 'ok');
});

test('the log hears of it once, again after an hour, and when the clock is right', () => {
  const { w, look } = world();
  look(0);
  assert.deepEqual(w.lines, []);
  w.skew = { aheadMs: HOUR_MS, peers: 3 };
  for (let now = 0; now < HOUR_MS; now += 30_000) look(now);
  assert.deepEqual(w.lines, ['clock.skewed']);
  look(HOUR_MS);
  assert.deepEqual(w.lines, ['clock.skewed', 'clock.skewed']);
  w.skew = null;
  look(HOUR_MS + 1);
  w.skew = { aheadMs: 1, peers: 3 };
  look(HOUR_MS + 2);
  look(HOUR_MS + 3);
  assert.deepEqual(w.lines, ['clock.skewed', 'clock.skewed', 'clock.right']);
});
