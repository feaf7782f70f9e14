import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { amountOf, isAmount, isByteAmount, isShare } from '../../../src/config/amounts.ts';

describe('amounts of capacity', () => {
  it('mean what they say', () => {
    const cases: readonly [string, number, 'count' | 'bytes', number][] = [
      ['80%', 10, 'count', 8],
      ['2', 8, 'count', 2],
      ['500m', 8, 'count', 0.5],
      ['.5', 8, 'count', 0.5],
      ['1GB', 1e12, 'bytes', 1e9],
      ['1 GiB', 1e12, 'bytes', 1_073_741_824],
      ['1.5g', 1e12, 'bytes', 1.5e9],
      ['12', 1e12, 'bytes', 12],
      ['50%', 1_001, 'bytes', 500.5],
    ];
    for (const [text, total, unit, expected] of cases)
      assert.equal(amountOf(text, total, unit), expected, text);
  });

  it('refuse what is neither an amount nor a share', () => {
    for (const text of ['', '%', '101%', '-1', '1e3', 'GB', 'two']) {
      assert.ok(!isShare(text) && !isAmount(text) && !isByteAmount(text), text);
    }
  });

  it('never promise more than there is', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.nat(1_000),
        fc.constantFrom('', 'k', 'm', 'g', 'ki', 'mib', 'tb'),
        (total, count, unit) => {
          assert.ok(amountOf(`${count}${unit}`, total, 'bytes') <= total);
          assert.ok(amountOf(`${count % 101}%`, total, 'bytes') <= total);
        },
      ),
    );
  });
});
