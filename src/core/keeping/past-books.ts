/**
 * How much this node keeps of versions that are past: of one job, of one owner, in all. They are there to be looked at,
 * so what has not changed for longest makes room: first how it ran, then all of it. What a job still needs of them
 * stays; where that alone is too much, no further version is taken up.
 */
import { persist } from '../node/outbox.ts';
import type { Node, With } from '../node/state.ts';
import type { Shelved } from '../contract/stored.ts';
import type { JobId, PublicKey } from '../record/ids.ts';
import { pastBytes, trimPast } from '../record/past-room.ts';
import type { Refusal } from '../record/refusals.ts';
import { rowsOf } from './books.ts';
import type { KeptJob } from './state.ts';

/** Jobs that make room for one; each may have to be read from the disk. */
const TRIMMED_AT_ONCE = 8;

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
  pastInAll: number;
}

export const createPastBooks = (): PastBooks => ({
  past: new Map(),
  pastOfOwner: new Map(),
  trimmed: new Set(),
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
  keeping.pastInAll -= entry.bytes;
  const left = (keeping.pastOfOwner.get(entry.owner) ?? 0) - entry.bytes;
  if (left > 0) keeping.pastOfOwner.set(entry.owner, left);
  else keeping.pastOfOwner.delete(entry.owner);
}

/** A job has another version, or was read from the disk: what is too much of those before goes. */
export function notePast(core: With<'keeping'>, kept: KeptJob): void {
  const { job, spec } = kept.ledger;
  const isTrimmed = core.keeping.trimmed.has(job);
  const bytes = trim(core, kept, isTrimmed ? 0 : core.config.limits.pastJobMaxBytes);
  enterPast(core, job, { owner: spec.body.owner, bytes });
  if (isTrimmed) saveOnShelf(core, job);
  makeRoom(core, spec.body.owner);
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

/** The oldest jobs make room: those of this owner while it has too much, any when all have. */
function makeRoom(core: With<'keeping'>, owner: PublicKey): void {
  const { keeping } = core;
  if (tooMuchIn(core, owner) === null) return;
  let count = 0;
  for (const [job, entry] of [...keeping.past]) {
    if (tooMuchIn(core, owner) === null || count >= TRIMMED_AT_ONCE) return;
    if (hasTooMuch(core, owner) && entry.owner !== owner) continue;
    count += 1;
    const kept = keeping.kept.get(job);
    if (kept !== undefined) {
      enterPast(core, job, { owner: entry.owner, bytes: trim(core, kept, 0) });
      saveOnShelf(core, job);
    } else {
      dropPast(core, job);
      // One that could not be handled is let alone.
      if (!keeping.shelf.has(job)) continue;
      keeping.trimmed.add(job);
      core.out.push({ type: 'reload', job });
    }
  }
}

const hasTooMuch = ({ keeping, config }: With<'keeping'>, owner: PublicKey): boolean =>
  (keeping.pastOfOwner.get(owner) ?? 0) > config.limits.pastOwnerMaxBytes;

/** What has no room in the books; null while they hold all. */
function tooMuchIn(core: With<'keeping'>, owner: PublicKey): TooMuch | null {
  const { pastInAll, pastOfOwner } = core.keeping;
  const { pastOwnerMaxBytes, pastMaxBytes } = core.config.limits;
  const code = 'versions-full';
  if (hasTooMuch(core, owner))
    return { code, bytes: pastOfOwner.get(owner) ?? 0, maxBytes: pastOwnerMaxBytes };
  return pastInAll > pastMaxBytes ? { code, bytes: pastInAll, maxBytes: pastMaxBytes } : null;
}

/** What is needed of past versions leaves no room for one more; null while there is some. */
export function noRoomForPast(core: With<'keeping'>, owner: PublicKey): TooMuch | null {
  // What was needed when it was counted may have ended since.
  makeRoom(core, owner);
  return tooMuchIn(core, owner);
}
