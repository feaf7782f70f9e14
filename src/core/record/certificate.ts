/**
 * Certificates: a record together with the signatures of W of its job's keepers. A certificate can be
 * checked by anyone who has the admission, at any time, without asking anybody.
 */
import { JOB_TYPES } from '../../job/types.ts';
import type { NodeId } from './ids.ts';
import { isQuorum } from './keeper-set.ts';
import { sameEpoch } from './ballot.ts';
import type { AdmissionBody, Certified, RecordType, Signed, Slot, SpecBody } from './records.ts';
import type { Suite } from './suite.ts';

/** True when this vote is a keeper's valid signature under `of` in `slot`. */
export function validVote(
  vote: Signed<'vote'>,
  admission: AdmissionBody,
  of: string,
  slot: Slot,
  suite: Suite,
): boolean {
  const { body } = vote;
  if (body.of !== of || body.slot !== slot || body.job !== admission.job) return false;
  const signer = suite.nodeOf(vote.by);
  // The same peer with another store forgot its promises: it is not this keeper any more.
  const keeper = admission.keepers.find((k) => k.node === signer && k.store === body.store);
  return keeper !== undefined && suite.verify(vote);
}

/** True when W different keepers signed this record in this slot, all under one epoch, and the record itself is valid. */
export function validCertificate<T extends RecordType>(
  certified: Certified<T>,
  admission: AdmissionBody,
  slot: Slot,
  suite: Suite,
): boolean {
  const { record, votes } = certified;
  const first = votes[0];
  if (first === undefined || votes.length > admission.keepers.length) return false;
  if (!suite.verify(record as never)) return false;
  const signers: NodeId[] = [];
  for (const vote of votes) {
    if (!sameEpoch(vote.body.epoch, first.body.epoch)) return false;
    if (!validVote(vote, admission, record.id, slot, suite)) return false;
    signers.push(suite.nodeOf(vote.by));
  }
  return isQuorum(admission, signers);
}

/** The ballot under which a certified value was chosen. */
export function certifiedEpoch(certified: Certified<RecordType>) {
  const vote = certified.votes[0];
  if (vote === undefined) throw new Error('a certificate without votes passed validation');
  return vote.body.epoch;
}

/** The slot that a committed value belongs to. */
export function slotOf(value: Signed<'assign'> | Signed<'accept'> | Signed<'close'>): Slot {
  switch (value.type) {
    case 'assign':
      return `assign/${value.body.partition}/${value.body.attempt}`;
    case 'accept':
      return `accept/${value.body.partition}`;
    case 'close':
      return 'close';
  }
}

/** Attempts of one partition that a ledger has room for; leaders make far fewer. */
const ATTEMPTS_MAX = 1_000;

/** Partitions of a job: `Count`, or one for the types whose placement is not the leader's. */
export const partitionsIn = ({ spec }: Pick<SpecBody, 'spec'>): number =>
  JOB_TYPES[spec.Type].counted ? spec.Count : 1;

/** Whether a job has a slot for this value: otherwise hostile keepers could fill a ledger without end. */
export function hasPlace(
  spec: Signed<'spec'>,
  value: Signed<'assign'> | Signed<'accept'> | Signed<'close'>,
): boolean {
  if (value.type === 'close') return true;
  const { partition, attempt } = value.body;
  // Each attempt but the first takes the place of one.
  if (value.type === 'assign' && (attempt === 0) !== (value.body.replaces === null)) return false;
  return partition < partitionsIn(spec.body) && attempt < ATTEMPTS_MAX;
}
