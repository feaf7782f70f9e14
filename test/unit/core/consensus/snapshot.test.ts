/** Chunks are equal exactly where two keepers have the same facts, and a snapshot is named by all of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FIRST_CONFIG } from '../../../../src/core/record/chain.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import type { Digest } from '../../../../src/core/contract/messages.ts';
import { admitted, assignOf, committed, idOf, jobWith, stateOf } from '../fixtures.ts';
import { snapshotWith } from '../promising.ts';
import type { Holding } from '../promising.ts';

/** Two chunks of partitions, and one for the rest. */
const job = admitted(jobWith({ Count: 100 }), [0, 1, 2]);
const digestOf = (holding: Holding): Digest => snapshotWith(job, holding).digest;
const first = assignOf(job, { node: 7, partition: 0 });
const last = assignOf(job, { node: 7, partition: 99 });
const accepted = (number: number, by: number) => {
  const epoch = { config: FIRST_CONFIG, number, leader: idOf(by) };
  return { slot: slotOf(first), epoch, value: first };
};

/** The chunks in which two keepers differ. */
const differing = (one: Holding, other: Holding): readonly number[] => {
  const [a, b] = [digestOf(one), digestOf(other)];
  return [...a.chunks.keys()].filter((at) => a.chunks[at] !== b.chunks[at]);
};

describe('the chunks of two keepers', () => {
  it('differ only where one knows of a value and the other does not', () => {
    const both = { committed: [committed(job, first), committed(job, last)] };
    assert.equal(digestOf({}).chunks.length, 3);
    assert.deepEqual(differing(both, { committed: [committed(job, first)] }), [1]);
    assert.deepEqual(differing(both, {}), [0, 1]);
  });

  it('are the same in whatever order they learned', () => {
    const values = [committed(job, first), committed(job, last)];
    const [a, b] = [{ committed: values }, { committed: values.toReversed() }];
    assert.deepEqual(differing(a, b), []);
  });

  it('differ when one has accepted what the other has not, or under another ballot', () => {
    assert.deepEqual(differing({ accepted: [accepted(1, 1)] }, {}), [0]);
    assert.deepEqual(
      differing({ accepted: [accepted(1, 1)] }, { accepted: [accepted(2, 1)] }),
      [0],
    );
    assert.deepEqual(
      differing({ accepted: [accepted(1, 1)] }, { accepted: [accepted(1, 2)] }),
      [0],
    );
    assert.deepEqual(differing({ accepted: [accepted(1, 1)] }, { accepted: [accepted(1, 1)] }), []);
  });

  it('differ in what was chosen here and only accepted there', () => {
    const chosen = { committed: [committed(job, first)] };
    assert.deepEqual(differing(chosen, { accepted: [accepted(1, 1)] }), [0]);
  });

  it('differ in how an execution ended, and not in how it goes', () => {
    const base = { committed: [committed(job, first)] };
    const running = { ...base, states: [stateOf(first, 7, { phase: 'running', sequence: 2 })] };
    const ended = { ...base, states: [stateOf(first, 7, { phase: 'completed', sequence: 3 })] };
    assert.deepEqual(differing(running, base), []);
    assert.deepEqual(differing(ended, base), [0]);
  });
});

describe('the name of a snapshot', () => {
  it('is another one whenever a page of it could be', () => {
    const base = { committed: [committed(job, first), committed(job, last)] };
    const running = { ...base, states: [stateOf(first, 7, { phase: 'running', sequence: 2 })] };
    const reversed = { committed: base.committed.toReversed() };
    const names = [base, running, reversed].map((holding) => digestOf(holding).snapshot);
    assert.equal(new Set(names).size, 3);
    assert.equal(digestOf(base).snapshot, digestOf({ ...base }).snapshot);
  });
});
