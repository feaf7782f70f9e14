/** Arithmetic of resources: nothing is ever negative, and what fits fits together. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  fits,
  freeShare,
  howOften,
  minus,
  NOTHING,
  plus,
  shortages,
  times,
} from '../../../../src/core/placing/resources.ts';
import type { Resources } from '../../../../src/job/model.ts';

const amount = fc.nat(20);
const resources: fc.Arbitrary<Resources> = fc
  .tuple(amount, amount, amount, amount)
  .map(([cpuMillis, memoryBytes, diskBytes, gpus]) => ({
    cpuMillis,
    memoryBytes,
    diskBytes,
    gpus,
  }));

describe('resources', () => {
  it('form a sum with nothing as zero, and minus undoes plus', () => {
    fc.assert(
      fc.property(resources, resources, (a, b) => {
        assert.deepEqual(plus(a, b), plus(b, a));
        assert.deepEqual(plus(a, NOTHING), a);
        assert.deepEqual(minus(plus(a, b), b), a);
      }),
    );
  });

  it('never fall below zero', () => {
    fc.assert(
      fc.property(resources, resources, (a, b) => {
        for (const value of Object.values(minus(a, b))) assert.ok(value >= 0);
        assert.ok(fits(minus(a, b), a));
      }),
    );
  });

  it('fit exactly when no shortage is named, and each shortage is one', () => {
    fc.assert(
      fc.property(resources, resources, (wanted, available) => {
        const short = shortages(wanted, available);
        const fitting = Object.entries(wanted).every(
          ([key, value]) => value <= available[key as keyof Resources],
        );
        assert.equal(short.length === 0, fitting);
        assert.equal(fits(wanted, available), fitting);
        for (const entry of short) assert.ok(entry.wanted > entry.available, entry.resource);
      }),
    );
  });

  it('fit as often as is said, and not once more', () => {
    fc.assert(
      fc.property(resources, resources, fc.nat(30), (wanted, available, limit) => {
        const count = howOften(wanted, available, limit);
        assert.ok(count >= 0 && count <= limit);
        assert.ok(fits(times(wanted, count), available) || count === 0);
        if (count < limit) assert.ok(!fits(times(wanted, count + 1), available));
      }),
    );
  });

  it('name what is short in the order of people', () => {
    const one = { cpuMillis: 1, memoryBytes: 1, diskBytes: 1, gpus: 1 };
    assert.deepEqual(
      shortages(one, NOTHING).map(({ resource }) => resource),
      ['cpu', 'memory', 'disk', 'gpu'],
    );
  });

  it('are free by the share of the scarcer of CPU and memory', () => {
    const capacity = { cpuMillis: 10, memoryBytes: 100, diskBytes: 5, gpus: 5 };
    assert.equal(freeShare(capacity, capacity), 1);
    assert.equal(freeShare({ ...capacity, cpuMillis: 2 }, capacity), 0.2);
    assert.equal(freeShare({ ...capacity, memoryBytes: 50, diskBytes: 0, gpus: 0 }, capacity), 0.5);
    assert.equal(freeShare(NOTHING, NOTHING), 1);
  });
});
