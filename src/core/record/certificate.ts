/**
 * Certificates: a record together with the signatures of W of its job's keepers. A certificate can be
 * checked by anyone who has the admission, at any time, without asking anybody.
 */
import type { NodeId } from './ids.ts';
import { isQuorum } from './keeper-set.ts';
import { sameEpoch } from './ballot.ts';
import type { AdmissionBody, Certified, RecordType, Signed, Slot } from './records.ts';
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
