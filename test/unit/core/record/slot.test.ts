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

  it('of an attempt exists as long as a leader may make that many', () => {
    const { spec } = admitted(jobWith(), [0, 1, 2]);
    // A hundred that fail and twenty that nobody takes up.
    const exists = [120, 127, 128, 999].map((attempt) =>
      hasPlace(spec, assignOf(job, { node: 1, attempt })),
    );
    assert.deepEqual(exists, [true, true, false, false]);
  });

  it('of a replica of what does not end exists for longer, and has an end', () => {
    const service = admitted(jobWith({ Type: 'service' }), [0, 1, 2]);
    const exists = [128, 1_023, 1_024].map((attempt) =>
      hasPlace(service.spec, assignOf(service, { node: 1, attempt })),
    );
    assert.deepEqual(exists, [true, true, false]);
  });

  it('of what does not end is for no result, and for no completion', () => {
    const service = admitted(jobWith({ Type: 'service' }), [0, 1, 2]);
    const accept = acceptOf(service, stateOf(assignOf(service, { node: 1 }), 1, {}));
    assert.equal(hasPlace(service.spec, accept), false);
    for (const outcome of ['completed', 'failed', 'stopped'] as const)
      assert.equal(
        hasPlace(service.spec, closeOf(service, { outcome })),
        outcome !== 'completed',
        outcome,
      );
  });

  it('of an attempt that adopts another is for what does not end, and adopts an earlier one', () => {
    const adopting = (Type: 'service' | 'batch', attempt: number, adopts: number): boolean => {
      const of = admitted(jobWith({ Type }), [0, 1, 2]);
      const replaces = 'surplus' as const;
      return hasPlace(of.spec, assignOf(of, { node: 1, attempt, adopts, replaces }));
    };
    assert.equal(adopting('service', 2, 0), true);
    assert.equal(adopting('service', 2, 2), false);
    assert.equal(adopting('batch', 2, 0), false);
    const service = admitted(jobWith({ Type: 'service' }), [0, 1, 2]);
    const surplus = assignOf(service, { node: 1, attempt: 1, replaces: 'surplus' });
    assert.equal(hasPlace(service.spec, surplus), false, 'nothing older stays');
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
    assert.equal(ledger.committed.size, 3);
    assert.equal(ledger.others.get(2)?.committed.size, 3);
  });

  it('have values of which only those of the current version say how the job is', () => {
    const ledger = createLedger(job.spec, job.admission);
    for (const value of values.map(later)) mergeCommitted(ledger, certified(value));
    assert.deepEqual([ledger.close, ledger.partitions.size], [null, 0]);
    assert.equal(stateOfJob(ledger, false), 'Pending');
    const ended = values.map(later).find(({ type }) => type === 'assign') as Signed<'assign'>;
    const { execution, node } = ended.body;
    assert.equal(ledger.assigned.get(execution), undefined);
    assert.equal(ledger.others.get(2)?.assigned.get(execution)?.node, node);
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
