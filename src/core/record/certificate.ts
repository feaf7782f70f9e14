/**
 * Certificates: a record together with the signatures of W of its job's keepers. A certificate can be
 * checked by anyone who has the chain of the job's configurations, at any time, without asking anybody.
 */
import type { NodeId } from './ids.ts';
import { hasVote, isQuorum } from './keeper-set.ts';
import { configurationOf, electorate, isNamedRight, voters, witnesses } from './chain.ts';
import type { Chain } from './chain.ts';
import { sameEpoch } from './ballot.ts';
import type { AnyRecord, Certified, Epoch, RecordType, Signed, Slot } from './records.ts';
import type { Suite } from './suite.ts';

/** True when this vote for `of` in `slot` is the valid signature of a keeper of its epoch's configuration. */
export function validVote(
  vote: Signed<'vote'>,
  chain: Chain,
  of: AnyRecord,
  slot: Slot,
  suite: Suite,
): boolean {
  const { body } = vote;
  if (body.of !== of.id || body.slot !== slot || body.job !== jobOf(of)) return false;
  const signer = suite.nodeOf(vote.by);
  const may = electorate(chain, of, body.epoch).some((one) => hasVote(one, signer, body.store));
  return may && suite.verify(vote);
}

/** What is no fact about a job has none, and no votes. */
const jobOf = ({ body }: AnyRecord): string | null => ('job' in body ? body.job : null);

/**
 * True when W different keepers signed this record in this slot, all under one epoch, and the record
 * itself is valid. A later configuration needs W of those before it and W of its own.
 */
export function validCertificate<T extends RecordType>(
  certified: Certified<T>,
  chain: Chain,
  slot: Slot,
  suite: Suite,
): boolean {
  const { record, votes } = certified;
  const first = votes[0];
  if (first === undefined) return false;
  // A `Signed<T>` is one of all kinds of record; the compiler does not see it.
  const of = record as unknown as AnyRecord;
  const most = voters(electorate(chain, of, first.body.epoch)).length;
  if (votes.length > most || !suite.verify(of)) return false;
  if (of.type === 'config' && !isNamedRight(suite, of.body)) return false;
  const signers = new Set<NodeId>();
  for (const vote of votes) {
    if (!sameEpoch(vote.body.epoch, first.body.epoch)) return false;
    if (!validVote(vote, chain, of, slot, suite)) return false;
    signers.add(suite.nodeOf(vote.by));
  }
  return isChosen(chain, of, first.body.epoch, signers);
}

/** Whether these have a say in the record under this epoch, and are enough; with a witness among them where one is needed. */
export function isChosen(
  chain: Chain,
  record: AnyRecord,
  epoch: Epoch,
  signers: ReadonlySet<NodeId>,
): boolean {
  const sets = electorate(chain, record, epoch);
  if (sets.length === 0 || !sets.every((one) => isQuorum(one, signers))) return false;
  if (record.type !== 'config' || record.body.reseeds === undefined) return true;
  const before = configurationOf(chain, record.body.reseeds);
  return before !== null && witnesses(before, record.body).some((node) => signers.has(node));
}

/** The ballot under which a certified value was chosen. */
export function certifiedEpoch(certified: Certified<RecordType>) {
  const vote = certified.votes[0];
  if (vote === undefined) throw new Error('a certificate without votes passed validation');
  return vote.body.epoch;
}
