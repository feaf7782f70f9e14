/** Looking things up in a keeper's books, and writing in them. */
import type { CertifiedValue } from '../contract/messages.ts';
import { isGuest } from './changing.ts';
import type { KeptJob } from './state.ts';
import { persist } from '../node/outbox.ts';
import { remember } from '../node/remember.ts';
import type { JobId } from '../record/ids.ts';
import { changes } from '../record/chain.ts';
import type { Changes } from '../record/chain.ts';
import type { StoredRecord } from '../contract/stored.ts';
import type { Ledger } from '../record/ledger.ts';
import type { Certified, Signed, Slot } from '../record/records.ts';
import { closeSlot, slotOf } from '../record/slot.ts';
import type { Node, With } from '../node/state.ts';

/** The jobs that this node keeps and that are not closed, one by one; a fault while one is looked at is that job's, and not the whole round's. */
export function* eachKept(core: With<'keeping'>): Generator<KeptJob, void, undefined> {
  const before = core.atHand;
  for (const [job, kept] of core.keeping.kept) {
    if (kept.ledger.close !== null || isGuest(core, kept)) continue;
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

/** Stores how an execution ended, or what was heard of it last. */
export function persistState(core: Node, state: Signed<'state'>): void {
  const { job, execution } = state.body;
  const value = { record: state, votes: [] };
  persist(core, { table: 'records', job, key: `state/${execution}`, value });
}

/** Proofs that jobs are over, some 1.5 KB each: of those this node kept they are on disk, too. */
const CLOSED_MAX = 2_000;

/** What proves to whoever knows the job's admission that it is over. */
export interface End extends Changes {
  readonly close: Certified<'close'>;
}

export function rememberEnd(core: With<'keeping'>, job: JobId, { close, configs = [] }: End): void {
  const known = endOf(core, job)?.close.record.body.version ?? 0;
  if (known > close.record.body.version) return;
  remember(core.keeping.closed, job, core.suite.pack([close, ...configs]), CLOSED_MAX);
}

/** The proof that a job is over; null when this node does not know of its end. */
export function endOf(core: With<'keeping'>, job: JobId): End | null {
  const packed = core.keeping.closed.get(job);
  const ledger = core.keeping.kept.get(job)?.ledger;
  // Its owner wants it once more.
  if (ledger !== undefined && ledger.close === null) return null;
  if (packed !== undefined) {
    const [close, ...rest] = core.suite.unpack(packed);
    if (close?.record.type === 'close')
      return { close: { record: close.record, votes: close.votes }, ...changes(configsIn(rest)) };
  }
  if (ledger === undefined || ledger.close === null) return null;
  return { close: ledger.close, ...changes(ledger.configs) };
}

/** The configurations among stored records, in the order of the list. */
export const configsIn = (records: Iterable<StoredRecord>): readonly Certified<'config'>[] =>
  [...records].flatMap(({ record, votes }) =>
    record.type === 'config' ? [{ record, votes }] : [],
  );

/** Rows of the table `records`. */
export const WANTED_KEYS = { spec: 'wanted', fallback: 'wanted-fallback' } as const;

/** Keys of the rows that a ledger has of its versions. */
export function rowsOf({ committed, states, others }: Ledger): ReadonlySet<string> {
  const keys = new Set<string>();
  for (const facts of [
    { committed, states, version: null, close: null, spec: null },
    ...others.values(),
  ]) {
    for (const slot of facts.committed.keys()) keys.add(slot);
    for (const execution of facts.states.keys()) keys.add(`state/${execution}`);
    if (facts.version !== null) keys.add(slotOf(facts.version.record));
    if (facts.close !== null) keys.add(closeSlot(facts.close.record.body.version));
  }
  return keys;
}
