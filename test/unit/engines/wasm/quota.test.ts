import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ERRNO, WasiError } from '../../../../src/engines/wasm/errno.ts';
import { Quota } from '../../../../src/engines/wasm/quota.ts';

const noSpace = (error: unknown): boolean =>
  error instanceof WasiError && error.errno === ERRNO.NOSPC;

test('bytes are granted up to the limit and again after they were given back', () => {
  const quota = new Quota(100, 1);
  assert.equal(quota.takeUpTo(60), 60);
  assert.equal(quota.takeUpTo(60), 40);
  assert.equal(quota.takeUpTo(1), 0);
  assert.throws(() => quota.take(1), noSpace);
  quota.giveBack(30);
  quota.take(30);
  assert.equal(quota.takeUpTo(1), 0);
});

test('bytes of a removed file come back only when its last descriptor closes', () => {
  const quota = new Quota(100, 10);
  quota.opened('1:1');
  quota.opened('1:1');
  quota.take(100);
  quota.removed('1:1', 100);
  assert.equal(quota.takeUpTo(1), 0);
  quota.closed('1:1', 100);
  assert.equal(quota.takeUpTo(1), 0);
  quota.closed('1:1', 100);
  assert.equal(quota.takeUpTo(1), 1);
});

test('removing what was there before never gives more than the limit', () => {
  const quota = new Quota(100, 1);
  quota.removed('1:1', 1_000_000);
  assert.equal(quota.takeUpTo(1_000), 100);
  quota.takeEntry();
  assert.throws(() => quota.takeEntry(), noSpace);
});

test('a file cannot exceed the limit by any order of taking and giving back', () => {
  const step = fc.record({ take: fc.boolean(), bytes: fc.nat(150) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const quota = new Quota(100, 1);
      let held = 0;
      for (const { take, bytes } of steps) {
        if (take) held += quota.takeUpTo(bytes);
        else {
          const back = Math.min(held, bytes);
          quota.giveBack(back);
          held -= back;
        }
        assert.ok(held >= 0 && held <= 100, `${held} bytes held after ${JSON.stringify(steps)}`);
      }
    }),
  );
});
