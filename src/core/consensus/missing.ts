/**
 * The end of a job came alone: what else was committed, any keeper may be the only one left to know. This one asks
 * each of them until it has told all that it knows, and knows what this one does. Until that is settled the job is
 * not put on the shelf, so that after a restart it is asked for again.
 */
import { allow, pointsFor } from '../mesh/allowance.ts';
import type { CertifiedValue } from '../contract/messages.ts';
import type { KeptJob } from '../keeping/state.ts';
import { putOnShelf } from '../keeping/shelf.ts';
import { send } from '../node/outbox.ts';
import type { Node, With } from '../node/state.ts';
import { after } from '../record/ids.ts';
import type { JobId, Millis, NodeId } from '../record/ids.ts';
import { certifiedEpoch } from '../record/certificate.ts';
import { configurationOf, currentOf } from '../record/chain.ts';
import { keeperNodes } from '../record/keeper-set.ts';
import type { Certified, Slot } from '../record/records.ts';
import { slotOf } from '../record/slot.ts';
import { jobTimer } from './proposer.ts';
import { chunkOfValue } from './snapshot.ts';
import type { Pull } from './snapshot.ts';

/** So few values of a job that is over are sent as they are. */
export const TOLD_AT_ONCE = 100;
/** The others are asked so often, and for as long as a leader tells of an end. */
const ASK_AGAIN_MS = 5_000;
const ASKING_MS = 60_000;
/** Once in `ASKING_MS` beyond that, as long as nobody has told: this node may be cut off from all who can. */
const ASKING_MAX_MS = 24 * 3_600_000;

export interface Missing {
  /** The keepers that have not told yet what they know, or do not know yet what this one does. */
  readonly unheard: Set<NodeId>;
  readonly since: Millis;
  /** One of them has told. */
  told: boolean;
  /** When they were asked last, and when they are asked again. */
  askedAt: Millis;
  at: Millis;
  /** What some of them lacked when all they have was fetched: those of large jobs. */
  readonly lacking: Map<NodeId, { readonly snapshot: string; readonly slots: ReadonlySet<Slot> }>;
}

/** Asks the other keepers for all they know of a job of whose end this one has heard by the way. */
export function askRest(core: Node, kept: KeptJob, end: Certified<'close'>): void {
  const { ledger } = kept;
  const unheard = new Set(keeperNodes(currentOf(ledger)));
  // Of one that was re-seeded those that brought it to its end may know all of it alone.
  const ended = configurationOf(ledger, certifiedEpoch(end).config);
  if (ended !== null && ended.config.major !== currentOf(ledger).config.major)
    for (const node of keeperNodes(ended)) unheard.add(node);
  unheard.delete(core.self);
  ask(core, ledger.job, unheard);
  // Of a job that is still open here its keepers are asked anyway, until it is not.
  if (ledger.close === null) return;
  const [since, at] = [core.now, after(core.now, ASK_AGAIN_MS)];
  kept.missing = { unheard, since, told: false, askedAt: since, at, lacking: new Map() };
  core.timers.set(jobTimer(kept), at);
}

/** Asks those again that have not answered: a question or its answer may be lost. */
export function tickMissing(core: With<'asking' | 'keeping'>, kept: KeptJob): void {
  const { missing, ledger } = kept;
  if (missing === null) return;
  const passedMs = core.now - missing.since;
  if (missing.unheard.size === 0 || passedMs >= (missing.told ? ASKING_MS : ASKING_MAX_MS)) {
    kept.missing = null;
    return putOnShelf(core, kept);
  }
  if (core.now >= missing.at) {
    missing.askedAt = core.now;
    missing.at = after(core.now, passedMs < ASKING_MS ? ASK_AGAIN_MS : ASKING_MS);
    ask(core, ledger.job, missing.unheard);
  }
  core.timers.set(jobTimer(kept), missing.at);
}

/** A node connected: what it may know does not wait out the rest of a pause. */
export function askWhoIsBack(core: With<'keeping'>, node: NodeId): void {
  for (const kept of core.keeping.kept.values()) {
    const { missing } = kept;
    if (missing?.unheard.has(node) !== true) continue;
    const soonest = after(missing.askedAt, ASK_AGAIN_MS);
    if (soonest < missing.at) missing.at = soonest;
    core.timers.set(jobTimer(kept), missing.at);
  }
}

function ask(core: Node, job: JobId, nodes: Iterable<NodeId>): void {
  for (const node of nodes) send(core, node, { type: 'status-wanted', jobs: [job] });
}

/** Nothing that this keeper knows of the job is unknown here. */
export function hasTold({ missing }: KeptJob, from: NodeId): void {
  if (missing?.unheard.delete(from) === true) missing.told = true;
}

/**
 * A keeper has told at once all that it knows of a job that is over, after it was asked. What this one knows
 * beyond that the other one learns from nobody else: it may be the last word of a leader that only this keeper
 * heard. As that may be lost, the other one is asked until it tells of it, too.
 */
export function takeWhole(
  core: With<'mesh'>,
  from: NodeId,
  kept: KeptJob,
  values: readonly CertifiedValue[],
): void {
  const { missing } = kept;
  if (missing?.unheard.has(from) !== true) return;
  const { job, committed } = kept.ledger;
  const told = new Set(values.map(({ record }) => slotOf(record)));
  const more = [...committed.values()].filter(({ record }) => !told.has(slotOf(record)));
  if (more.length === 0) return hasTold(kept, from);
  missing.told = true;
  tellFew(core, from, job, more);
}

/** The same of a large job, of which everything came that is not the same here and there. */
export function takePulled(
  core: With<'mesh'>,
  from: NodeId,
  kept: KeptJob,
  { snapshot, differing }: Pull,
  theirs: ReadonlySet<Slot>,
): void {
  const { missing } = kept;
  if (missing?.unheard.has(from) !== true) return;
  const { spec, committed } = kept.ledger;
  const chunks = new Set(differing);
  const slots = new Set<Slot>();
  for (const [slot, { record }] of committed)
    if (!theirs.has(slot) && chunks.has(chunkOfValue(spec.body, record))) slots.add(slot);
  if (slots.size === 0) return hasTold(kept, from);
  missing.told = true;
  missing.lacking.set(from, { snapshot, slots });
  tellAgain(core, from, kept, snapshot);
}

/** @returns whether all that the other one has of a large job was fetched already */
export function tellAgain(
  core: With<'mesh'>,
  from: NodeId,
  { missing, ledger: { job, committed } }: KeptJob,
  snapshot: string,
): boolean {
  const lacking = missing?.lacking.get(from);
  if (lacking?.snapshot !== snapshot) return false;
  const values = [...committed].filter(([slot]) => lacking.slots.has(slot));
  tellFew(
    core,
    from,
    job,
    values.map(([, value]) => value),
  );
  return true;
}

/** What another keeper lacks: as much of it as is taken at a time. */
export function tellFew(
  core: With<'mesh'>,
  to: NodeId,
  job: JobId,
  values: readonly CertifiedValue[],
): void {
  const few = values.slice(0, TOLD_AT_ONCE);
  if (few.length > 0 && allow(core, to, pointsFor(few.length)))
    send(core, to, { type: 'commit', job, values: few });
}
