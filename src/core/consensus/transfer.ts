/**
 * Handing a job over from one keeper to another. Whoever asks compares digests and pulls the pages that it
 * lacks; what they are taken from is held for it as it was when it was promised or told, and goes when
 * nobody has asked for a while. Nothing is sent that was not asked for, so no queue fills up.
 */
import { allow } from '../mesh/allowance.ts';
import type { Message, Page } from '../contract/messages.ts';
import type { KeptJob } from '../keeping/state.ts';
import { configsIn } from '../keeping/books.ts';
import { takeBranch } from '../keeping/branches.ts';
import { refuse, send, wallMs } from '../node/outbox.ts';
import type { Node, With } from '../node/state.ts';
import { sameEpoch } from '../record/ballot.ts';
import { slotOf } from '../record/slot.ts';
import { after } from '../record/ids.ts';
import type { JobId, Millis, NodeId } from '../record/ids.ts';
import { changes, everKept } from '../record/chain.ts';
import type { Epoch, Slot } from '../record/records.ts';
import { checkCommand, checkCommitted } from '../record/verify.ts';
import { takeCommand, takeMore, takeState } from './evidence.ts';
import { hasTold, takePulled, tellAgain, tellFew, TOLD_AT_ONCE } from './missing.ts';
import { learn, sendCommits } from './proposer.ts';
import { isPulled, pageOf, pullOf, snapshotOf, takePage, wantedOf } from './snapshot.ts';
import type { Pull, Snapshot } from './snapshot.ts';

/** A snapshot is held for so long after it was last asked for. */
const HELD_MS = 30_000;
/** Of an allowance: a page is up to 256 KiB; to look at so many records costs as much as a short answer. */
const PAGE_POINTS = 5;
const LOOKED_AT_PER_POINT = 500;
/** A pull from one keeper makes room for another when it brought nothing for so long. */
const STALLED_MS = 3_000;

/** A snapshot that another keeper may ask for page by page: one for each job. */
export interface Held {
  readonly snapshot: Snapshot;
  /** What it was promised under; null for that of a closed job. */
  readonly epoch: Epoch | null;
  until: Millis;
}

/** The ledger of a closed job that comes from another keeper. */
export interface Fetching {
  readonly from: NodeId;
  readonly pull: Pull;
  /** What the other one has, in the chunks that came. */
  readonly theirs: Set<Slot>;
  heardAt: Millis;
}

const timerOf = (job: JobId): string => `held:${job}`;

/** Whether this node may be asked to go through all it has of the job. */
export function mayAsk(core: With<'mesh'>, from: NodeId, { ledger }: KeptJob): boolean {
  if (from === core.self) return true;
  const records = ledger.committed.size + ledger.states.size;
  return allow(core, from, Math.floor(records / LOOKED_AT_PER_POINT));
}

/** What this keeper has now, or had when it promised this epoch first. */
export function hold(core: Node, kept: KeptJob, epoch: Epoch | null): Snapshot {
  const { held, ledger, accepted } = kept;
  const isSame =
    held !== null &&
    (epoch === null || held.epoch === null ? epoch === held.epoch : sameEpoch(held.epoch, epoch));
  const snapshot = isSame ? held.snapshot : snapshotOf(core.suite, ledger, accepted.values());
  const until = after(core.now, HELD_MS);
  kept.held = { snapshot, epoch, until };
  core.timers.set(timerOf(ledger.job), until);
  return snapshot;
}

/** The candidate leads: what was held for it is not asked for any more. */
export function letGo(core: Node, kept: KeptJob, epoch: Epoch): void {
  if (kept.held?.epoch == null || !sameEpoch(kept.held.epoch, epoch)) return;
  kept.held = null;
  core.timers.clear(timerOf(kept.ledger.job));
}

export function tickHeld(core: With<'keeping'>, job: JobId): void {
  const kept = core.keeping.kept.get(job);
  if (kept?.held == null) return;
  if (kept.held.until <= core.now) kept.held = null;
  else core.timers.set(timerOf(job), kept.held.until);
}

export function onPageWanted(
  core: With<'mesh'>,
  from: NodeId,
  kept: KeptJob,
  { job, snapshot, chunk, from: at }: Extract<Message, { type: 'page-wanted' }>,
): void {
  const { held } = kept;
  if (!everKept(kept.ledger, from)) return refuse(core, from, 'not-keeper', false);
  // Of what is not held any more a new digest is asked for.
  if (held === null || held.snapshot.digest.snapshot !== snapshot) return;
  if (!allow(core, from, PAGE_POINTS)) return;
  const page = pageOf(core.suite, held.snapshot, chunk, at);
  if (page === null) return refuse(core, from, 'contradiction', false);
  held.until = after(core.now, HELD_MS);
  send(core, from, { type: 'page', job, ...page });
}

export function askPage(core: Node, from: NodeId, job: JobId, pull: Pull): void {
  const wanted = wantedOf(pull);
  if (wanted === null) return;
  send(core, from, { type: 'page-wanted', job, snapshot: pull.snapshot, ...wanted });
}

/** Merges what another keeper knows of the job. */
export function takeRecords(core: With<'mesh'>, from: NodeId, kept: KeptJob, page: Page): void {
  const { ledger } = kept;
  const { suite } = core;
  takeBranch(core, from, kept, configsIn(page.committed));
  for (const value of page.committed) {
    if (value.record.type === 'config') continue;
    if (ledger.committed.has(slotOf(value.record))) continue;
    const verdict = checkCommitted(suite, ledger, value);
    if (verdict === 'good') learn(core, kept, value);
    else refuse(core, from, verdict.code, false);
  }
  for (const state of page.states) takeState(core, from, kept, state);
  for (const command of page.commands) {
    if (ledger.commands.has(command.id)) continue;
    const verdict = checkCommand(suite, ledger.spec, command, wallMs(core));
    if (verdict !== 'good') refuse(core, from, verdict.code, verdict.fault);
    else takeCommand(core, kept, command);
  }
  takeMore(core, from, kept, page.more ?? []);
}

// — a job that is over

/**
 * Says that the job is closed to a keeper that does not know: all of it at once, or what there is to ask for.
 * As long as this one asks for the rest itself it tells of the end apart from what it has: that is not all of
 * it, and the other one would ask nobody else.
 */
export function tellLedger(core: With<'mesh'>, to: NodeId, kept: KeptJob): void {
  const { job, committed, close, configs } = kept.ledger;
  if (close !== null && kept.missing !== null) {
    tellFew(
      core,
      to,
      job,
      [...committed.values()].filter(({ record }) => record.type !== 'close'),
    );
    return send(core, to, { type: 'closed', job, close, ...changes(configs) });
  }
  if (committed.size <= TOLD_AT_ONCE) return sendCommits(core, to, kept);
  send(core, to, { type: 'ledger', job, digest: hold(core, kept, null).digest });
}

export function onLedger(
  core: With<'mesh'>,
  from: NodeId,
  kept: KeptJob,
  { job, digest }: Extract<Message, { type: 'ledger' }>,
): void {
  const { ledger, accepted, fetching } = kept;
  if (!everKept(ledger, from)) return refuse(core, from, 'not-keeper', false);
  if (ledger.close !== null && kept.missing === null) return;
  const stalled = fetching === null || core.now - fetching.heardAt >= STALLED_MS;
  if (!stalled && fetching.from !== from) return;
  if (fetching?.from === from && fetching.pull.snapshot === digest.snapshot)
    return askPage(core, from, job, fetching.pull);
  if (!mayAsk(core, from, kept)) return;
  const pull = pullOf(snapshotOf(core.suite, ledger, accepted.values()).digest, digest);
  if (pull === null) return refuse(core, from, 'contradiction', false);
  if (isPulled(pull)) return hasTold(kept, from);
  // It came here already, and the other one has learned nothing since.
  if (tellAgain(core, from, kept, digest.snapshot)) return;
  kept.fetching = { from, pull, theirs: new Set(), heardAt: core.now };
  askPage(core, from, job, pull);
}

/** @returns whether the page belongs to what is fetched of a closed job */
export function takeFetched(core: With<'mesh'>, from: NodeId, kept: KeptJob, page: Page): boolean {
  const { fetching } = kept;
  if (fetching?.from !== from || fetching.pull.snapshot !== page.snapshot) return false;
  if (!takePage(fetching.pull, page)) return true;
  fetching.heardAt = core.now;
  for (const { record } of page.committed) fetching.theirs.add(slotOf(record));
  takeRecords(core, from, kept, page);
  if (isPulled(fetching.pull)) {
    kept.fetching = null;
    takePulled(core, from, kept, fetching.pull, fetching.theirs);
  } else askPage(core, from, page.job, fetching.pull);
  return true;
}
