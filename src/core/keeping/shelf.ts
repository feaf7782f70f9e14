/**
 * Closed jobs in little memory. A ledger is some hundred objects, most of them signatures; a week of
 * closed jobs would fill the memory with them. Soon after its end a job is shelved: its records are
 * packed into one piece of bytes, and only what lists and strangers ask for stays at hand. Whoever
 * looks at the ledger of a shelved job gets it unpacked, as it was.
 */
import { newOversight } from './oversight.ts';
import { keeperNodes } from '../record/keeper-set.ts';
import { after, asMillis } from '../record/ids.ts';
import type { Millis, NodeId, PublicKey } from '../record/ids.ts';
import { createdAt, fewLabels } from '../asking/job-index.ts';
import { createLedger, mergeStored, recordsOf, summaryOf } from '../record/ledger.ts';
import type { Ledger } from '../record/ledger.ts';
import type { StoredRecord } from '../contract/stored.ts';
import type { JobSummary } from '../contract/messages.ts';
import type { Epoch, Signed } from '../record/records.ts';
import type { KeptJob } from './state.ts';
import type { Packed, Suite } from '../record/suite.ts';
import type { Node, With } from '../node/state.ts';

/** In this time after the end keepers and executors still ask for the records. */
const warmMs = 10_000;
/** Closed jobs that are not shelved yet; more come to an end only on a very busy mesh. */
const warmMax = 128;

/** What is at hand of a shelved job. */
export interface Card {
  readonly summary: JobSummary;
  readonly owner: PublicKey;
  /** Whom the job is unpacked for. */
  readonly keepers: readonly NodeId[];
  /** Keys of its rows on disk, by spaces. */
  readonly keys: string;
  readonly spec: Packed;
  /** The proof of the end: the same bytes as among the closed jobs. */
  readonly close: Packed | null;
}

/** A job in this node's keeping, with its ledger open. */
export function createKept(
  core: With<'mesh' | 'keeping'>,
  ledger: Ledger,
  promised: Epoch,
): KeptJob {
  let open: Ledger | null = ledger;
  let shelved: { readonly card: Card; readonly rest: Packed } | null = null;
  const peek = (): Ledger => open ?? unpack(core.suite, shelved);
  return {
    get ledger() {
      if (open !== null) return open;
      open = peek();
      shelved = null;
      if (core.keeping.kept.get(open.job) === this) core.keeping.open.set(open.job, this);
      keepWarm(core, this);
      return open;
    },
    get card() {
      return shelved?.card ?? null;
    },
    peek,
    shelve() {
      if (open === null) return;
      shelved = pack(core, open);
      core.keeping.open.delete(open.job);
      open = null;
    },
    promised,
    seen: promised,
    accepted: new Map(),
    broughtBy: '',
    activatedAt: core.now,
    lead: null,
    candidateAt: null,
    tries: 0,
    oversight: newOversight(core.now),
    closedAt: null,
  };
}

function pack(
  core: With<'mesh' | 'keeping'>,
  ledger: Ledger,
): { readonly card: Card; readonly rest: Packed } {
  const { spec, admission, grant, commands, committed, states } = recordsOf(ledger);
  const alone = (record: StoredRecord['record']): StoredRecord => ({ record, votes: [] });
  const rest: readonly StoredRecord[] = [
    admission,
    ...(grant === null ? [] : [grant]),
    ...committed.filter(({ record }) => record.type !== 'close'),
    ...commands.map(alone),
    ...states.map(alone),
  ];
  const summary = summaryOf(ledger, false);
  // The ids of nodes are shared with the list of members; each by itself they would be a third of a card.
  const known = (node: NodeId): NodeId => core.mesh.members.get(node)?.advert.body.node ?? node;
  const card: Card = {
    summary: {
      ...summary,
      labels: fewLabels(summary.labels),
      createdAt: createdAt(core, spec),
    },
    owner: spec.body.owner,
    keepers: keeperNodes(admission.record.body).map(known),
    keys: rowKeys(ledger).join(' '),
    spec: core.suite.pack([alone(spec)]),
    close: packedClose(core, ledger),
  };
  return { card, rest: core.suite.pack(rest) };
}

function packedClose(core: With<'keeping'>, { job, close }: Ledger): Packed | null {
  if (close === null) return null;
  return core.keeping.closed.get(job) ?? core.suite.pack([close]);
}

function unpack(
  suite: Suite,
  shelved: { readonly card: Card; readonly rest: Packed } | null,
): Ledger {
  if (shelved === null) throw new Error('a kept job has neither a ledger nor a place on the shelf');
  const { close } = shelved.card;
  const rest = [...suite.unpack(shelved.rest), ...(close === null ? [] : suite.unpack(close))];
  const admission = rest.find(({ record }) => record.type === 'admission');
  if (admission?.record.type !== 'admission') throw new Error('a shelved job has no admission');
  const certified = { record: admission.record, votes: admission.votes };
  const ledger = createLedger(specOn(suite, shelved.card), certified);
  for (const row of rest) mergeStored(ledger, row);
  return ledger;
}

function specOn(suite: Suite, card: Card): Signed<'spec'> {
  const record = suite.unpack(card.spec)[0]?.record;
  if (record?.type !== 'spec') throw new Error('a shelved job has no spec');
  return record;
}

/** The spec of a kept job, shelved or not. */
export const specOfKept = (core: Node, { card, peek }: KeptJob): Signed<'spec'> =>
  card === null ? peek().spec : specOn(core.suite, card);

/** Keys under which the records of a ledger lie on disk. */
export const rowKeys = ({ grant, committed, states, commands }: Ledger): readonly string[] => [
  'spec',
  'admission',
  ...(grant === null ? [] : ['grant']),
  ...committed.keys(),
  ...[...states.keys()].map((execution) => `state/${execution}`),
  ...(commands.size === 0 ? [] : ['command']),
];

/** A closed job has its ledger open: for a while, and not too many of them. */
export function keepWarm(core: With<'keeping'>, kept: KeptJob): void {
  const { job } = kept.ledger;
  core.keeping.warm.delete(job);
  core.keeping.warm.set(job, core.now);
  core.timers.set('shelf', after(core.now, warmMs));
  if (core.keeping.warm.size > warmMax) shelveOld(core, core.now);
}

/** Closed jobs that nobody has asked for of late go on the shelf. */
export function tickShelf(core: With<'keeping'>): void {
  shelveOld(core, asMillis(core.now - warmMs));
  if (core.keeping.warm.size > 0) core.timers.set('shelf', after(core.now, warmMs));
}

/** Those that were last wanted at `until` or before, while there are too many or they are that old. */
function shelveOld(core: With<'keeping'>, until: Millis): void {
  for (const [job, at] of core.keeping.warm) {
    const old = core.now - at >= warmMs;
    if (at > until || (!old && core.keeping.warm.size <= warmMax)) return;
    const kept = core.keeping.kept.get(job);
    // Its leader still tells the others of the end.
    if (kept !== undefined && kept.lead !== null) continue;
    core.keeping.warm.delete(job);
    if (kept?.closedAt != null) kept.shelve();
  }
}
