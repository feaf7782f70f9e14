/**
 * Jobs that are over, on disk instead of in memory. Soon after its end a job is taken from memory: what
 * stays is its id, and of the newest a card for lists. Its rows stay on disk until nobody may ask for it
 * any more; whoever asks has it read back for a while (`recall`), and what he said is handled then.
 *
 * A job on the shelf is over for ever: at every door it is known as such until the day after which
 * nobody would take it anew (`notAfter` of its spec). When there are too many, the oldest keep nothing
 * but their id.
 */
import { CARDS_MAX } from '../contract/limits.ts';
import { countedMs } from '../node/counted.ts';
import { note, persist, refuse, wallMs } from '../node/outbox.ts';
import { currentOf } from '../record/chain.ts';
import { endOf } from './books.ts';
import { dropPast, enterPast, pastOnShelf } from './past-books.ts';
import { isKeeper, isQuorum, keeperNodes } from '../record/keeper-set.ts';
import type { Certified, Signed, Slot } from '../record/records.ts';
import type { Restored } from '../contract/stored.ts';
import { createdAt, fewLabels, unindex } from '../asking/job-index.ts';
import type { Input } from '../contract/input.ts';
import type { JobSummary } from '../contract/messages.ts';
import { allow, SHELVED_POINTS } from '../mesh/allowance.ts';
import { remember } from '../node/remember.ts';
import type { Node, With } from '../node/state.ts';
import { after, asMillis } from '../record/ids.ts';
import type { JobId, Millis, NodeId, PublicKey } from '../record/ids.ts';
import { summaryOf } from '../record/ledger.ts';
import { GOOD_FOR_MAX_MS, goodForMs } from '../record/verify.ts';
import type { Outline } from '../record/ledger.ts';
import type { Packed, Suite } from '../record/suite.ts';
import type { KeptJob } from './state.ts';

/** In this time after the end keepers and executors still ask for the records. */
const WARM_MS = 10_000;
/** Whoever has the results of a job proven to be completed is asked with each proof, and has given them by then. */
const RESULTS_MS = 10_000;
/** Closed jobs in memory; more come to an end only on a very busy mesh. */
const WARM_MAX = 128;
/** Jobs waiting to be read, and what waits for each: the disk answers before the next input. */
const RECALLS_MAX = 256;
const WAITING_MAX = 64;
/** Between two looks for jobs whose time on the shelf is over, and what one look takes away. */
const EXPIRY_MS = 600_000;
const EXPIRIES_MAX = 500;

/** What is at hand of a shelved job. */
export interface Card {
  readonly summary: JobSummary;
  readonly owner: PublicKey;
  readonly spec: Packed;
}

/** Its records are on disk and not in memory. */
const isShelved = ({ keeping }: With<'keeping'>, job: JobId): boolean =>
  !keeping.kept.has(job) && keeping.shelf.has(job);

/** This node knows that this version of the job is over, whatever it still has of it. */
export function isOver(core: With<'keeping'>, job: JobId, version: number): boolean {
  const { kept, shelf, tombs } = core.keeping;
  const ledger = kept.get(job)?.ledger;
  const isPast = ledger !== undefined && ledger.spec.body.version > version;
  if (isPast || ledger?.close != null) return isPast || ledger?.spec.body.version === version;
  if (ledger !== undefined) return false;
  const end = endOf(core, job);
  return end === null ? shelf.has(job) || tombs.has(job) : end.close.record.body.version >= version;
}

/** Its owner wants another version of a job that was over: it is none any more. */
export function takeDown(core: With<'keeping'>, kept: KeptJob): void {
  const { job } = kept.ledger;
  const { shelf, cards, warm, closed } = core.keeping;
  closed.delete(job);
  warm.delete(job);
  cards.delete(job);
  core.keeping.branchEnds.delete(job);
  kept.closedAt = null;
  kept.endedAt = null;
  kept.missing = null;
  kept.over.clear();
  if (!shelf.delete(job)) return;
  persist(core, { table: 'shelved', job, key: 'shelved', value: null });
}

/**
 * A kept job is closed: from now on it may leave memory at any time.
 * @param kept whose ledger has a close
 */
export function putOnShelf(core: With<'asking' | 'keeping'>, { ledger }: KeptJob): void {
  const { job, spec } = ledger;
  keepWarm(core, job);
  // Read back from disk: it is there already.
  if (core.keeping.shelf.has(job)) return;
  const { retentionMs, closedJobsMax } = core.config.limits;
  const until = countedMs(core) + Math.max(retentionMs, goodForMs(spec, wallMs(core)));
  const value = { until, what: 'records', ...pastOnShelf(core, job) } as const;
  persist(core, { table: 'shelved', job, key: 'shelved', value });
  core.keeping.shelf.add(job, until);
  remember(core.keeping.cards, job, cardOf(core, ledger), CARDS_MAX);
  core.timers.set('shelf-expiry', after(core.now, EXPIRY_MS));
  for (let left = core.keeping.shelf.size - closedJobsMax; left > 0; left -= 1) bury(core);
}

/** An admission that this node only sponsored, and that needs it no more: its token stays taken. */
export function shelveSubmission(core: With<'keeping'>, spec: Signed<'spec'>): void {
  const { kept, shelf, tokens } = core.keeping;
  const { job } = spec.body;
  if (kept.has(job) || shelf.has(job) || tokens.has(job)) return;
  const until = countedMs(core) + goodForMs(spec, wallMs(core));
  persist(core, { table: 'shelved', job, key: 'shelved', value: { until, what: 'token' } });
  tokens.add(job, until);
  core.timers.set('shelf-expiry', after(core.now, EXPIRY_MS));
}

/** It goes on: a start is to read all of it again. */
export function takeDownSubmission(core: With<'keeping'>, job: JobId): void {
  if (!core.keeping.tokens.has(job)) return;
  core.keeping.tokens.delete(job);
  persist(core, { table: 'shelved', job, key: 'shelved', value: null });
}

function cardOf(core: Node, ledger: Outline): Card {
  const { spec } = ledger;
  const summary = summaryOf(ledger, false);
  return {
    summary: {
      ...summary,
      labels: fewLabels(summary.labels),
      createdAt: createdAt(core, spec),
    },
    owner: spec.body.owner,
    spec: core.suite.pack([{ record: spec, votes: [] }]),
  };
}

export function specOn(suite: Suite, card: Card): Signed<'spec'> {
  const record = suite.unpack(card.spec)[0]?.record;
  if (record?.type !== 'spec') throw new Error('a shelved job has no spec');
  return record;
}

/** Of the oldest job on the shelf nothing but its id is kept: it must never run again. */
function bury(core: With<'asking' | 'keeping'>): void {
  const job = core.keeping.shelf.oldest();
  if (job === null) return;
  const until = core.keeping.shelf.momentOf(job) ?? 0;
  forgetRows(core, job);
  persist(core, { table: 'shelved', job, key: 'shelved', value: { until, what: 'nothing' } });
  core.keeping.tombs.add(job, until);
  const oldest = core.keeping.tombs.oldest();
  if (core.keeping.tombs.size <= core.config.limits.tombsMax || oldest === null) return;
  persist(core, { table: 'shelved', job: oldest, key: 'shelved', value: null });
  core.keeping.tombs.delete(oldest);
}

/**
 * A keeper that was away for very long has a job open of which the others know only that it is over. One of
 * them may lie, unless there is a proof of it; a quorum of keepers has the say anyway, and so have all the
 * others of a small set.
 */
export function onOver(core: With<'asking' | 'keeping'>, from: NodeId, kept: KeptJob): void {
  const { job, spec, close } = kept.ledger;
  const keepers = currentOf(kept.ledger);
  if (close !== null) return;
  if (!isKeeper(keepers, from)) return refuse(core, from, 'not-keeper', false);
  kept.over.add(from);
  const others = keeperNodes(keepers).filter((node) => node !== core.self);
  const all = isQuorum(keepers, kept.over) || others.every((node) => kept.over.has(node));
  const proven = kept.endedAt !== null && core.now - kept.endedAt >= RESULTS_MS;
  if (!all && !proven) return;
  note(core, 'job.forgotten', { job });
  const until = countedMs(core) + goodForMs(spec, wallMs(core));
  forgetRows(core, job);
  persist(core, { table: 'shelved', job, key: 'shelved', value: { until, what: 'nothing' } });
  core.keeping.tombs.add(job, until);
}

/** Everything of a job that is over, but not the mark that says so: nothing is promised, or voted for, of it any more. */
function forgetRows(core: With<'asking' | 'keeping'>, job: JobId): void {
  for (const table of ['records', 'submissions'] as const)
    persist(core, { table, job, key: '*', value: null });
  for (const table of ['promises', 'accepted'] as const)
    persist(core, { table, job, key: '*' as Slot, value: null });
  core.keeping.shelf.delete(job);
  core.keeping.cards.delete(job);
  core.keeping.kept.delete(job);
  core.keeping.warm.delete(job);
  core.keeping.submissions.delete(job);
  dropPast(core, job);
  core.timers.clear(`job:${job}`);
  // What was heard of it before this node kept it is long out of date.
  unindex(core, job);
}

/** Jobs after whose last day nobody can bring them back are forgotten. */
export function tickExpiry(core: With<'asking' | 'keeping'>): void {
  const { shelf, tokens, tombs } = core.keeping;
  const now = countedMs(core);
  const over = [shelf, tokens, tombs].flatMap((set) => set.before(now, EXPIRIES_MAX));
  for (const job of over) {
    forgetRows(core, job);
    tokens.delete(job);
    tombs.delete(job);
    persist(core, { table: 'shelved', job, key: 'shelved', value: null });
  }
  if (shelf.size + tokens.size + tombs.size === 0) return;
  core.timers.set('shelf-expiry', after(core.now, over.length < EXPIRIES_MAX ? EXPIRY_MS : 1_000));
}

/** What the disk said of the shelf when this node started. */
export function restoreShelf(core: With<'asking' | 'keeping'>, rows: Restored['shelved']): void {
  const { shelf: records, tokens: token, tombs: nothing } = core.keeping;
  // What the node has counted may be lost with its row: then they are kept for as long as any may be.
  const latest = countedMs(core) + Math.max(core.config.limits.retentionMs, GOOD_FOR_MAX_MS);
  for (const { job, value, card } of rows) {
    ({ records, token, nothing })[value.what].add(job, Math.min(value.until, latest));
    if (value.past !== undefined) enterPast(core, job, value.past);
    const outline = card === null ? null : outlineOf(core, card);
    if (outline !== null) remember(core.keeping.cards, job, cardOf(core, outline), CARDS_MAX);
  }
  if (rows.length > 0) core.timers.set('shelf-expiry', after(core.now, EXPIRY_MS));
}

/** A closed job as far as a list shows it; its results are on disk. */
function outlineOf(
  { suite }: Node,
  {
    spec: { record: first },
    close: { record, votes },
    version,
  }: NonNullable<Restored['shelved'][number]['card']>,
): Outline | null {
  const later = version?.record.type === 'version' ? suite.specIn(version.record.body.spec) : null;
  const spec = later ?? first;
  if (spec.type !== 'spec' || record.type !== 'close') return null;
  const close: Certified<'close'> = { record, votes };
  const { job } = spec.body;
  const modifiedAt = Math.max(spec.hlc, record.hlc);
  return { job, spec, close, modifiedAt, partitions: new Map() };
}

// — in memory for a while

/** Somebody wants the job: it stays in memory for a while, and not too many such jobs do. */
function keepWarm(core: With<'keeping'>, job: JobId): void {
  core.keeping.warm.delete(job);
  core.keeping.warm.set(job, core.now);
  core.timers.set('shelf', after(core.now, WARM_MS));
  if (core.keeping.warm.size > WARM_MAX) cool(core, core.now);
}

export function tickShelf(core: With<'keeping'>): void {
  cool(core, asMillis(core.now - WARM_MS));
  if (core.keeping.warm.size > 0) core.timers.set('shelf', after(core.now, WARM_MS));
}

/** Those that were last wanted at `until` or before leave memory, while there are too many or they are that old. */
function cool(core: With<'keeping'>, until: Millis): void {
  for (const [job, at] of core.keeping.warm) {
    const old = core.now - at >= WARM_MS;
    if (at > until || (!old && core.keeping.warm.size <= WARM_MAX)) return;
    // Its leader still tells the others of the end.
    if (core.keeping.kept.get(job)?.lead != null) continue;
    core.keeping.warm.delete(job);
    core.keeping.kept.delete(job);
    core.timers.clear(`job:${job}`);
  }
}

// — read back

/**
 * Has a shelved job read back; `input` is handled again when it is here. Reading costs the one who asks.
 * @returns whether there is nothing more to do now
 */
export function recall(
  core: With<'mesh' | 'keeping'>,
  job: JobId,
  input: Input,
  from: NodeId | null,
): boolean {
  const { tokens, submissions } = core.keeping;
  const sponsored = input.type === 'submit' && tokens.has(job) && !submissions.has(job);
  if (!isShelved(core, job) && !sponsored) return false;
  if (from !== null && from !== core.self && !allow(core, from, SHELVED_POINTS)) return true;
  const waiting = core.keeping.recalls.get(job) ?? [];
  if (waiting.length < WAITING_MAX) waiting.push(input);
  remember(core.keeping.recalls, job, waiting, RECALLS_MAX);
  core.out.push({ type: 'reload', job });
  return true;
}

/** The disk said what it has of the job. @returns what waited for it */
export function takeRecalled(core: With<'keeping'>, job: JobId): readonly Input[] {
  const waiting = core.keeping.recalls.get(job) ?? [];
  core.keeping.recalls.delete(job);
  core.keeping.trimmed.delete(job);
  const { shelf, tokens, tombs, kept, submissions, cards } = core.keeping;
  // Nothing readable is left of it, so nothing is asked for again; but it does not run again either.
  const lost = shelf.has(job) ? !kept.has(job) : tokens.has(job) && !submissions.has(job);
  if (lost) {
    tombs.add(job, shelf.momentOf(job) ?? tokens.momentOf(job) ?? 0);
    shelf.delete(job);
    tokens.delete(job);
    cards.delete(job);
    dropPast(core, job);
  }
  return waiting;
}
