/** Time that is counted over restarts, whatever the wall clock shows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createCountedClock, machineClocks } from '../../../src/node/counted-clock.ts';

const HOUR_MS = 3_600_000;
const STEP_MS = 30_000;

/** A disk, a machine, and the processes that run on it one after the other. */
function world(context: TestContext) {
  context.mock.timers.enable({ apis: ['setInterval'] });
  const w = { monotonic: 0, uptime: 5_000, boot: 'first', full: false, problems: 0 };
  const rows = new Map<string, string>();
  const kv = {
    get: (key: string) => ({ key, value: rows.get(key) ?? '', until: null }),
    put: (key: string, value: string) => {
      if (w.full) throw new Error('the disk is full');
      rows.set(key, value);
    },
  };
  return {
    w,
    rows,
    start: () => {
      w.monotonic = 17;
      const clocks = { monotonic: () => w.monotonic, boot: w.boot, uptime: () => w.uptime };
      return createCountedClock(kv, clocks, () => void (w.problems += 1));
    },
    /** The machine runs; the process with it, or not. */
    pass: (ms: number, running = true) => {
      for (let left = ms; left > 0; left -= STEP_MS) {
        const step = Math.min(left, STEP_MS);
        w.uptime += step;
        if (!running) continue;
        w.monotonic += step;
        context.mock.timers.tick(step);
      }
    },
  };
}

test('what a process counted goes on in the next one, with the time in between', (context) => {
  const { start, pass } = world(context);
  const first = start();
  assert.equal(first.now(), 0);
  pass(HOUR_MS);
  assert.equal(first.now(), HOUR_MS);
  first.stop();
  pass(HOUR_MS, false);
  assert.equal(start().now(), 2 * HOUR_MS);
});

test('a process that dies loses nothing while the machine runs on', (context) => {
  const { start, pass } = world(context);
  start();
  pass(HOUR_MS + 30_000);
  pass(10_000, false);
  assert.equal(start().now(), HOUR_MS + 40_000);
});

test('of a machine that was off only what was counted before is known, but for a minute', (context) => {
  const { w, start, pass } = world(context);
  start();
  pass(HOUR_MS + 30_000);
  Object.assign(w, { boot: 'second', uptime: 3_000 });
  assert.equal(start().now(), HOUR_MS);
  Object.assign(w, { boot: '' });
  assert.equal(start().now(), HOUR_MS, 'and of one that does not name its starts');
});

test('a full disk and a row that cannot be read stop nobody', (context) => {
  const { w, rows, start, pass } = world(context);
  const clock = start();
  w.full = true;
  pass(120_000);
  assert.equal(clock.now(), 120_000);
  assert.equal(w.problems, 2);
  w.full = false;
  for (const damaged of ['', 'no JSON', '{}', '{"count":-1,"boot":"first","uptime":1}', 'null']) {
    rows.set('clock/counted', damaged);
    assert.equal(start().now(), 0, damaged);
  }
});

test('the clocks of this machine go forward', () => {
  const { monotonic, uptime } = machineClocks();
  const before = [monotonic(), uptime()];
  assert.ok(before.every((value) => value > 0));
  assert.ok(monotonic() >= (before[0] ?? 0) && uptime() >= (before[1] ?? 0));
});
