/** A keeper that promises, played by a test: what it has of the job, and the pages that a candidate asks for. */
import { snapshotOf, pageOf } from '../../../src/core/consensus/snapshot.ts';
import type { Snapshot } from '../../../src/core/consensus/snapshot.ts';
import type { AcceptedValue, CertifiedValue } from '../../../src/core/contract/messages.ts';
import { createLedger, mergeCommitted, mergeState } from '../../../src/core/record/ledger.ts';
import type { Signed } from '../../../src/core/record/records.ts';
import type { Cluster, MessageOf } from './cluster.ts';
import { idOf, suite, voteOf } from './fixtures.ts';
import type { Admitted } from './fixtures.ts';

/** What a keeper has beside spec and admission. */
export interface Holding {
  readonly accepted?: readonly AcceptedValue[];
  readonly committed?: readonly CertifiedValue[];
  readonly states?: readonly Signed<'state'>[];
}

export function snapshotWith(job: Admitted, holding: Holding = {}): Snapshot {
  const ledger = createLedger(job.spec, job.admission);
  for (const value of holding.committed ?? []) mergeCommitted(ledger, value);
  for (const state of holding.states ?? []) mergeState(ledger, state);
  return snapshotOf(suite, ledger, holding.accepted ?? []);
}

export function promiseOf(
  { grant }: MessageOf<'prepare'>,
  from: number,
  { digest }: Snapshot,
): MessageOf<'promise'> {
  const { job, epoch } = grant.body;
  const vote = voteOf(from, job, grant.id, 'grant', epoch);
  return { type: 'promise', job, epoch, vote, digest };
}

type Wanted = MessageOf<'page-wanted'>;

/** The page that node 0 asks for. */
export function pageFor(snapshot: Snapshot, wanted: Wanted): MessageOf<'page'> {
  const page = pageOf(suite, snapshot, wanted.chunk, wanted.from);
  if (page === null) throw new Error(`there is no page ${wanted.chunk}/${wanted.from}`);
  return { type: 'page', job: wanted.job, ...page };
}

/** What node 0 has asked this keeper for so far. */
export const wantedOf = (cluster: Cluster, from: number): readonly Wanted[] =>
  cluster
    .messages('page-wanted')
    .filter(({ to }) => to === idOf(from))
    .map(({ message }) => message);

/** Node `from` promises, and gives node 0 every page that it asks for. */
export function promiseWhole(
  cluster: Cluster,
  prepare: MessageOf<'prepare'>,
  from: number,
  snapshot: Snapshot,
): void {
  let given = wantedOf(cluster, from).length;
  cluster.message(0, from, promiseOf(prepare, from, snapshot));
  for (;;) {
    const wanted = wantedOf(cluster, from)[given];
    if (wanted === undefined) return;
    given += 1;
    cluster.message(0, from, pageFor(snapshot, wanted));
  }
}
