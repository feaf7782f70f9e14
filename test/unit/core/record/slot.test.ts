/** Slots: one for each value that a job may commit, and none shared by two versions of it. */
import { firstOf } from '../../../../src/core/record/chain.ts';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { validCertificate } from '../../../../src/core/record/certificate.ts';
import {
  createLedger,
  mergeCommitted,
  stateOf as stateOfJob,
} from '../../../../src/core/record/ledger.ts';
import {
  acceptSlot,
  assignSlot,
  closeSlot,
  hasPlace,
  slotOf,
} from '../../../../src/core/record/slot.ts';
import type { Signed } from '../../../../src/core/record/records.ts';
import type { CertifiedValue } from '../../../../src/core/contract/messages.ts';
import {
  acceptOf,
  admitted,
  assignOf,
  certify,
  closeOf,
  jobWith,
  stateOf,
  suite,
  suiteOf,
} from '../fixtures.ts';

const job = admitted(jobWith(), [0, 1, 2]);
const first = assignOf(job, { node: 1, partition: 3, attempt: 2 });
const values = [first, acceptOf(job, stateOf(first, 1, {})), closeOf(job)] as const;
type Value = (typeof values)[number];

/** The same value of a later version of the job. */
const later = (value: Value): Value => {
  const suiteOfLeader = suiteOf(0);
  const body = { ...value.body, version: 2 };
  return suiteOfLeader.seal(value.type, body as never, value.hlc, 'node') as Value;
};

describe('the slot', () => {
  it('of a value names its version, partition and attempt, as far as it has them', () => {
    assert.deepEqual(values.map(slotOf), ['assign/1/3/2', 'accept/1/3', 'close/1']);
    assert.deepEqual(values.map(later).map(slotOf), ['assign/2/3/2', 'accept/2/3', 'close/2']);
    assert.deepEqual(values.map(slotOf), [assignSlot(1, 3, 2), acceptSlot(1, 3), closeSlot(1)]);
  });

  it('of a version that is not the one of the spec does not exist', () => {
    const { spec } = admitted(jobWith({ Count: 4 }), [0, 1, 2]);
    assert.deepEqual(
      [...values, ...values.map(later)].map((value) => hasPlace(spec, value)),
      [true, true, true, false, false, false],
    );
  });
});

describe('two versions of a job', () => {
  const certified = (value: Value): CertifiedValue =>
    certify(value as Signed<'close'>, slotOf(value), [0, 1, 2], job.epoch) as CertifiedValue;

  it('have values that do not collide in a ledger', () => {
    const ledger = createLedger(job.spec, job.admission);
    for (const value of [...values, ...values.map(later)])
      assert.equal(mergeCommitted(ledger, certified(value)), 'new', slotOf(value));
    assert.equal(ledger.committed.size, 6);
  });

  it('have values of which only those of the current version say how the job is', () => {
    const ledger = createLedger(job.spec, job.admission);
    for (const value of values.map(later)) mergeCommitted(ledger, certified(value));
    assert.deepEqual([ledger.close, ledger.partitions.size], [null, 0]);
    assert.equal(stateOfJob(ledger, false), 'Pending');
    const ended = values.map(later).find(({ type }) => type === 'assign') as Signed<'assign'>;
    assert.equal(ledger.assigned.get(ended.body.execution), ended.body.node);
    for (const value of values) mergeCommitted(ledger, certified(value));
    assert.equal(ledger.close?.record, values[2]);
    assert.equal(ledger.partitions.get(3)?.accept?.record, values[1]);
    assert.equal(stateOfJob(ledger, false), 'Failed');
  });

  it('have votes of which none certifies what belongs to the other', () => {
    const chain = firstOf(job.admission.record.body);
    for (const value of values) {
      const other = later(value);
      const { votes } = certified(value);
      const record = { record: other as Signed<'close'>, votes };
      assert.equal(validCertificate(record, chain, slotOf(other), suite), false, slotOf(other));
      const moved = certify(other as Signed<'close'>, slotOf(value), [0, 1, 2], job.epoch);
      assert.equal(validCertificate(moved, chain, slotOf(other), suite), false, slotOf(other));
    }
  });
});
