/** Counts that fade. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Tally } from '../../../../src/core/mesh/tally.ts';
import { asMillis } from '../../../../src/core/record/ids.ts';

const at = asMillis;

describe('a tally', () => {
  const deeds = fc.array(fc.tuple(fc.nat(9), fc.integer({ min: -3, max: 5 }), fc.nat(100_000)), {
    maxLength: 60,
  });
  test('is never negative, fades to half in its half-life, and remembers no more than it may', () => {
    fc.assert(
      fc.property(deeds, (list) => {
        const tally = new Tally<number>(1_000, 4);
        let now = 0;
        for (const [key, amount, ms] of list) {
          now += ms;
          const before = tally.of(key, at(now));
          tally.add(key, amount, at(now));
          const after = tally.of(key, at(now));
          assert.ok(Math.abs(after - Math.max(0, before + amount)) < 1e-9);
          assert.ok(tally.of(key, at(now + 1_000)) <= after / 2 + 1e-9);
          assert.ok(tally.size <= 4);
        }
      }),
    );
  });

  test('fades while nothing is added', () => {
    const tally = new Tally<string>(1_000, 10);
    tally.add('a', 8, at(0));
    assert.equal(tally.of('a', at(0)), 8);
    assert.equal(tally.of('a', at(1_000)), 4);
    tally.add('a', 1, at(2_000));
    assert.equal(tally.of('a', at(2_000)), 3);
    assert.equal(tally.of('a', at(3_000)), 1.5);
    tally.add('a', -5, at(3_000));
    assert.equal(tally.of('a', at(3_000)), 0);
    assert.equal(tally.of('b', at(0)), 0);
  });

  test('takes what fits below the bound, and counts nothing of what does not', () => {
    const tally = new Tally<string>(1_000, 10);
    assert.equal(tally.take('a', 3, 4, at(0)), true);
    assert.equal(tally.take('a', 2, 4, at(10)), false);
    assert.equal(tally.take('a', 2, 4, at(1_000)), true);
    assert.equal(tally.of('a', at(1_000)), 3.5);
  });

  test('forgets whom it counted longest ago, not who is counted all the time', () => {
    const tally = new Tally<number>(1_000_000, 3);
    for (let ms = 0; ms < 60_000; ms += 100) {
      tally.add(-1, 1, at(ms));
      // A newcomer every second, each counted once.
      if (ms % 1_000 === 0) tally.add(ms, 1, at(ms));
      assert.ok(tally.size <= 3);
    }
    assert.ok(tally.of(-1, at(60_000)) > 580);
    assert.equal(tally.of(57_000, at(60_000)), 0);
    assert.ok(tally.of(59_000, at(60_000)) > 0);
  });
});
