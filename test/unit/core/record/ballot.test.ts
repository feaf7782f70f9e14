/** Ballots are totally ordered, and the admission itself grants the first. */
import { firstConfiguration } from '../../../../src/core/record/chain.ts';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compareEpochs, firstEpoch, sameEpoch } from '../../../../src/core/record/ballot.ts';
import type { Epoch } from '../../../../src/core/record/records.ts';
import { admitted, idOf, jobWith } from '../fixtures.ts';

const epochs: fc.Arbitrary<Epoch> = fc.record({
  config: fc.record({ major: fc.nat(1), minor: fc.nat(1) }),
  number: fc.nat(2),
  leader: fc.nat(2).map(idOf),
});

describe('epochs', () => {
  it('are compared by major, minor, number, then leader', () => {
    const order: Epoch[] = [
      { config: { major: 0, minor: 0 }, number: 0, leader: idOf(2) },
      { config: { major: 0, minor: 0 }, number: 1, leader: idOf(1) },
      { config: { major: 0, minor: 0 }, number: 1, leader: idOf(2) },
      { config: { major: 0, minor: 0 }, number: 9, leader: idOf(0) },
      { config: { major: 0, minor: 1 }, number: 0, leader: idOf(0) },
      { config: { major: 0, minor: 1 }, number: 2, leader: idOf(0) },
      { config: { major: 1, minor: 0 }, number: 0, leader: idOf(0) },
    ];
    assert.deepEqual(order.toReversed().sort(compareEpochs), order);
  });

  it('are totally ordered', () => {
    fc.assert(
      fc.property(epochs, epochs, epochs, (a, b, c) => {
        assert.equal(compareEpochs(a, a), 0);
        assert.equal(Math.sign(compareEpochs(a, b)) + Math.sign(compareEpochs(b, a)), 0);
        if (compareEpochs(a, b) <= 0 && compareEpochs(b, c) <= 0)
          assert.ok(compareEpochs(a, c) <= 0);
        assert.equal(sameEpoch(a, b), JSON.stringify(a) === JSON.stringify(b));
      }),
    );
  });

  it('begin with number 0 of the keeper of rank 0', () => {
    const { admission } = admitted(jobWith(), [3, 1, 2]);
    assert.deepEqual(firstEpoch(firstConfiguration(admission.record.body)), {
      config: { major: 0, minor: 0 },
      number: 0,
      leader: idOf(3),
    });
    assert.throws(() => firstEpoch({ ...firstConfiguration(admission.record.body), keepers: [] }));
  });
});
