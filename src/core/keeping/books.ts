/** Looking things up in a keeper's books, and writing in them. */
import type { CertifiedValue } from '../contract/messages.ts';
import type { KeptJob } from './state.ts';
import { persist } from '../node/outbox.ts';
import { remember } from '../node/remember.ts';
import type { JobId } from '../record/ids.ts';
import type { Certified, Slot } from '../record/records.ts';
import type { Node, With } from '../node/state.ts';

/** The kept jobs that are not closed, one by one; a fault while one is looked at is that job's, and not the whole round's. */
export function* eachKept(core: With<'keeping'>): Generator<KeptJob, void, undefined> {
  const before = core.atHand;
  for (const [job, kept] of core.keeping.kept) {
    if (kept.ledger.close !== null) continue;
    core.atHand = job;
    yield kept;
  }
  // Not when the loop is left by a throw: then whose fault it is, is just what is asked.
  core.atHand = before;
}

/** Stores a committed value or another record of a job's ledger. */
export function persistCommitted(core: Node, job: JobId, slot: Slot, value: CertifiedValue): void {
  persist(core, {
    table: 'records',
    job,
    key: slot,
    value: { record: value.record, votes: value.votes },
  });
}

/** Proofs that jobs are over, some 1.5 KB each: of those this node kept they are on disk, too. */
const CLOSED_MAX = 2_000;

export function rememberClose(core: With<'keeping'>, job: JobId, close: Certified<'close'>): void {
  remember(core.keeping.closed, job, core.suite.pack([close]), CLOSED_MAX);
}

/** The proof that a job is over; null when this node does not know of its end. */
export function closeOf(core: With<'keeping'>, job: JobId): Certified<'close'> | null {
  const packed = core.keeping.closed.get(job);
  if (packed !== undefined) {
    const [close] = core.suite.unpack(packed);
    if (close?.record.type === 'close') return { record: close.record, votes: close.votes };
  }
  return core.keeping.kept.get(job)?.ledger.close ?? null;
}
