/**
 * How much this node keeps of versions that are past: of one job, of one owner, in all. They are there to be looked at,
 * so what has not changed for longest makes room: first how it ran, then all of it. What a job still needs of them
 * stays; where that alone is too much, no further version is taken up.
 */
import { persist } from '../node/outbox.ts';
import { after } from '../record/ids.ts';
import type { Node, With } from '../node/state.ts';
import type { Shelved } from '../contract/stored.ts';
import type { JobId, PublicKey } from '../record/ids.ts';
import { pastBytes, trimPast } from '../record/past-room.ts';
import type { Refusal } from '../record/refusals.ts';
import { rowsOf } from './books.ts';
import type { KeptJob } from './state.ts';

/** Jobs that make room at a time; each may have to be read from the disk, and everything else waits for that. */
const TRIMMED_AT_ONCE = 8;
/** Until the next ones do. */
const TRIM_AGAIN_MS = 1_000;
/** What came to past versions since they were counted, before they are counted anew: they may be thousands. */
const GROWN_MAX_BYTES = 65_536;

interface Entry {
  readonly owner: PublicKey;
  readonly bytes: number;
}

type TooMuch = Extract<Refusal, { readonly code: 'versions-full' }>;

export interface PastBooks {
  /** Jobs that have something in past versions; what changed last is last. */
  readonly past: Map<JobId, Entry>;
  readonly pastOfOwner: Map<PublicKey, number>;
  /** Jobs on the shelf that are read back to make room. */
  readonly trimmed: Set<JobId>;
  /** Jobs that needed all that they have when they were to make room. */
  readonly bare: Set<JobId>;
  pastInAll: number;
}

export const createPastBooks = (): PastBooks => ({
  past: new Map(),
  pastOfOwner: new Map(),
  trimmed: new Set(),
  bare: new Set(),
  pastInAll: 0,
});

/** What a job on the shelf has on the disk of versions before its last; absent when that is nothing. */
export const pastOnShelf = (core: With<'keeping'>, job: JobId): Pick<Shelved, 'past'> => {
  const entry = core.keeping.past.get(job);
  return entry === undefined ? {} : { past: entry };
};

/** Counts what there is of one job, from now on as the one that changed last. */
export function enterPast(core: With<'keeping'>, job: JobId, { owner, bytes }: Entry): void {
  dropPast(core, job);
  if (bytes === 0) return;
  const { keeping } = core;
  keeping.past.set(job, { owner, bytes });
  keeping.pastOfOwner.set(owner, (keeping.pastOfOwner.get(owner) ?? 0) + bytes);
  keeping.pastInAll += bytes;
}

export function dropPast({ keeping }: With<'keeping'>, job: JobId): void {
  const entry = keeping.past.get(job);
  if (entry === undefined) return;
  keeping.past.delete(job);
  keeping.bare.delete(job);
  keeping.pastInAll -= entry.bytes;
  const left = (keeping.pastOfOwner.get(entry.owner) ?? 0) - entry.bytes;
  if (left > 0) keeping.pastOfOwner.set(entry.owner, left);
  else keeping.pastOfOwner.delete(entry.owner);
}

/** A job has another version, was read from the disk, or knows more of what is past: what is too much of that goes. */
export function notePast(core: With<'keeping'>, kept: KeptJob): void {
  const { job, spec } = kept.ledger;
  const { owner } = spec.body;
  kept.pastGrownBytes = 0;
  if (core.keeping.trimmed.has(job)) return strip(core, kept, owner);
  const bytes = trim(core, kept, core.config.limits.pastJobMaxBytes);
  enterPast(core, job, { owner, bytes });
  makeRoom(core, owner);
}

/** Nodes tell of executions of past versions for as long as these run: counted anew when much has come. */
export function noteGrown(core: With<'keeping'>, kept: KeptJob): void {
  const known = core.keeping.past.get(kept.ledger.job)?.bytes ?? 0;
  if (kept.pastGrownBytes > Math.max(GROWN_MAX_BYTES, known / 16)) notePast(core, kept);
}

/** It makes room with all that it does not need. */
function strip(core: With<'keeping'>, kept: KeptJob, owner: PublicKey): void {
  const { job } = kept.ledger;
  enterPast(core, job, { owner, bytes: trim(core, kept, 0) });
  if (core.keeping.past.has(job)) core.keeping.bare.add(job);
  saveOnShelf(core, job);
}

function saveOnShelf(core: With<'keeping'>, job: JobId): void {
  const until = core.keeping.shelf.momentOf(job);
  if (until === null) return;
  const value = { until, what: 'records', ...pastOnShelf(core, job) } as const;
  persist(core, { table: 'shelved', job, key: 'shelved', value });
}

function trim(core: Node, { ledger }: KeptJob, maxBytes: number): number {
  const bytes = pastBytes(ledger);
  if (bytes <= maxBytes) return bytes;
  const { job } = ledger;
  const before = rowsOf(ledger);
  const left = trimPast(ledger, maxBytes);
  const after = rowsOf(ledger);
  for (const key of before)
    if (!after.has(key)) persist(core, { table: 'records', job, key, value: null });
  return left;
}

/**
 * The oldest jobs make room: those of this owner while it has too much, any when all have. The rest of them do so
 * after a while, or a few large ones would have thousands read at once.
 * @param bare of those that needed all that they had: something may have ended since
 * @returns whether there were any
 */
function makeRoom(core: With<'keeping'>, owner: PublicKey | null, bare = false): boolean {
  const { keeping } = core;
  const looked = new Set<JobId>();
  for (const [job, entry] of keeping.past) {
    // What needs its room comes again, as the one that changed last.
    if (looked.has(job) || (!hasTooMuch(core, owner) && !allHaveTooMuch(core))) break;
    if (hasTooMuch(core, owner) && entry.owner !== owner) continue;
    const kept = keeping.kept.get(job);
    // What is set aside is not read again.
    if (keeping.bare.has(job) !== bare || (kept === undefined && !keeping.shelf.has(job))) continue;
    if (looked.size >= TRIMMED_AT_ONCE) {
      if (!bare) core.timers.set('past', after(core.now, TRIM_AGAIN_MS));
      break;
    }
    looked.add(job);
    if (kept !== undefined) strip(core, kept, entry.owner);
    else {
      dropPast(core, job);
      // One that could not be handled is let alone.
      if (!keeping.shelf.has(job)) continue;
      keeping.trimmed.add(job);
      core.out.push({ type: 'reload', job });
    }
  }
  return looked.size > 0;
}

/** The next ones make room. */
export function tickPast(core: With<'keeping'>): void {
  for (const owner of [...core.keeping.pastOfOwner.keys(), null]) if (makeRoom(core, owner)) return;
}

const ofOwner = ({ keeping }: With<'keeping'>, owner: PublicKey | null): number =>
  owner === null ? 0 : (keeping.pastOfOwner.get(owner) ?? 0);

const hasTooMuch = (core: With<'keeping'>, owner: PublicKey | null): boolean =>
  ofOwner(core, owner) > core.config.limits.pastOwnerMaxBytes;

const allHaveTooMuch = ({ keeping, config }: With<'keeping'>): boolean =>
  keeping.pastInAll > config.limits.pastMaxBytes;

/**
 * What is needed of past versions leaves no room for one more; null while there is some. When all have too much, who
 * has less than an equal part still gets more, or a few could keep all others from it: so it may be twice as much.
 */
export function noRoomForPast(core: With<'keeping'>, owner: PublicKey): TooMuch | null {
  makeRoom(core, owner);
  makeRoom(core, owner, true);
  const { pastInAll, pastOfOwner } = core.keeping;
  const { pastOwnerMaxBytes, pastMaxBytes } = core.config.limits;
  const code = 'versions-full';
  const bytes = ofOwner(core, owner);
  if (hasTooMuch(core, owner)) return { code, bytes, maxBytes: pastOwnerMaxBytes };
  const isPart = bytes * pastOfOwner.size < pastMaxBytes;
  return allHaveTooMuch(core) && !isPart
    ? { code, bytes: pastInAll, maxBytes: pastMaxBytes }
    : null;
}
