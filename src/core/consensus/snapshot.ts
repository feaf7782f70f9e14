/**
 * What a keeper has of a job at one moment, in chunks of neighbouring partitions. Two keepers compare the
 * digests of their chunks and hand over those that differ, page by page. Pure.
 */
import type {
  AcceptedValue,
  CertifiedValue,
  Digest,
  Page,
  SlotValue,
} from '../contract/messages.ts';
import { certifiedBytes, recordBytes, roomFor } from '../node/fitting.ts';
import { partitionIn, partitionsIn, slotOf } from '../record/slot.ts';
import { isTerminal, placeOf } from '../record/ledger.ts';
import type { Ledger } from '../record/ledger.ts';
import type { Opaque } from '../record/opaque.ts';
import type { Signed, SpecBody } from '../record/records.ts';
import type { Suite } from '../record/suite.ts';

/** Partitions of one chunk: what is under way at a time differs in few chunks. */
const CHUNK_PARTITIONS = 64;
/** Chunks beside the last one, which has what concerns no partition. */
export const CHUNKS_MAX = 256;
/** Of a digest: enough that no two of them meet by chance. */
const DIGEST_DIGITS = 32;
const NOTHING = '0'.repeat(DIGEST_DIGITS);

type Item = CertifiedValue | AcceptedValue | Signed<'state'> | Signed<'command'> | Opaque;

export interface Snapshot {
  readonly digest: Digest;
  readonly chunks: readonly (readonly Item[])[];
}

interface Draft {
  readonly items: Item[];
  /** What makes two keepers' chunks equal: one line for each fact that must not be lost. */
  readonly facts: string[];
}

const partitionsPerChunk = (spec: SpecBody): number =>
  Math.max(CHUNK_PARTITIONS, Math.ceil(partitionsIn(spec) / CHUNKS_MAX));

/** How many chunks a job has, the last one included. */
const chunksOf = (spec: SpecBody): number =>
  Math.ceil(partitionsIn(spec) / partitionsPerChunk(spec)) + 1;

/** The chunk that a value belongs to. */
export const chunkOfValue = (spec: SpecBody, value: SlotValue): number =>
  chunkOf(spec, partitionIn(value));

function chunkOf(spec: SpecBody, partition: number | null): number {
  const last = chunksOf(spec) - 1;
  if (partition === null) return last;
  return Math.max(0, Math.min(last - 1, Math.floor(partition / partitionsPerChunk(spec))));
}

export function snapshotOf(
  suite: Suite,
  ledger: Ledger,
  accepted: Iterable<AcceptedValue>,
): Snapshot {
  const spec = ledger.spec.body;
  const drafts = Array.from({ length: chunksOf(spec) }, (): Draft => ({ items: [], facts: [] }));
  // The snapshot is named by all of it in its order, so that a place in it means the same to both sides.
  const names: string[] = [];
  const add = (partition: number | null, item: Item, name: string, isFact: boolean): void => {
    const draft = drafts[chunkOf(spec, partition)] as Draft;
    draft.items.push(item);
    if (isFact) draft.facts.push(name);
    names.push(name);
  };
  for (const value of ledger.committed.values()) {
    const { record } = value;
    add(partitionIn(record), value, `${slotOf(record)} ${record.id}`, true);
  }
  for (const state of ledger.states.values())
    add(placeOf(ledger, state.body).partition, state, state.id, isTerminal(state.body.phase));
  for (const value of accepted) {
    const { slot, epoch } = value;
    const name = `${slot} ${epoch.config.major} ${epoch.config.minor} ${epoch.number} ${epoch.leader} ${value.value.id}`;
    add(partitionIn(value.value), value, name, true);
  }
  for (const command of ledger.commands.values()) add(null, command, command.id, true);
  for (const record of ledger.opaque.values()) add(null, record, record.id, true);
  const hash = (lines: readonly string[]): string =>
    lines.length === 0 ? NOTHING : suite.hash(lines.join('\n')).slice(0, DIGEST_DIGITS);
  return {
    digest: {
      version: spec.version,
      snapshot: hash(names),
      chunks: drafts.map(({ facts }) => hash(facts.sort())),
    },
    chunks: drafts.map(({ items }) => items),
  };
}

/** The page of a chunk that begins with its item number `from`; null when there is no such place. */
export function pageOf(
  suite: Suite,
  { chunks, digest }: Snapshot,
  chunk: number,
  from: number,
): Omit<Page, 'job'> | null {
  const items = chunks[chunk];
  if (items === undefined || from > items.length) return null;
  const count = roomFor(items, from, (item) => bytesOf(item, suite));
  const taken = items.slice(from, from + count);
  const next = from + count < items.length ? from + count : null;
  const { snapshot } = digest;
  const more = taken.filter((item) => 'type' in item && item.type === 'opaque');
  return {
    snapshot,
    chunk,
    from,
    next,
    committed: taken.filter((item) => 'votes' in item),
    accepted: taken.filter((item) => 'slot' in item),
    states: taken.filter((item) => 'type' in item && item.type === 'state'),
    commands: taken.filter((item) => 'type' in item && item.type === 'command'),
    ...(more.length === 0 ? {} : { more }),
  };
}

function bytesOf(item: Item, suite: Suite): number {
  if ('votes' in item) return certifiedBytes(item, suite);
  if ('bytes' in item) return item.bytes.length;
  return 'slot' in item ? recordBytes(item.value, suite) : recordBytes(item, suite);
}

// — the side that pulls

/** More pages of one snapshot than any honest keeper has: 10,000 partitions with twenty attempts each. */
const PAGES_MAX = 10_000;

/** What is still to be fetched of another keeper's snapshot, chunk after chunk. */
export interface Pull {
  readonly snapshot: string;
  /** The chunks in which it differs from what is here. */
  readonly differing: readonly number[];
  /** How many of them are here. */
  done: number;
  /** Where the next page of the one at hand begins. */
  from: number;
  pages: number;
}

/**
 * @returns null when the other one does not speak of the same job, or of another version of it: what it accepted
 * of that could have no place here, and might be what was chosen
 */
export function pullOf(own: Digest, told: Digest): Pull | null {
  if (told.version !== own.version || told.chunks.length !== own.chunks.length) return null;
  const differing = [...own.chunks.keys()].filter((at) => own.chunks[at] !== told.chunks[at]);
  return { snapshot: told.snapshot, differing, done: 0, from: 0, pages: 0 };
}

export const isPulled = ({ done, differing }: Pull): boolean => done === differing.length;

/** The page that is wanted next; null when all is here. */
export function wantedOf(pull: Pull): { chunk: number; from: number } | null {
  const chunk = pull.differing[pull.done];
  return chunk === undefined ? null : { chunk, from: pull.from };
}

/** A page came. @returns whether it is the one that was wanted: of this snapshot, and with nothing left out */
export function takePage(pull: Pull, page: Page): boolean {
  const wanted = wantedOf(pull);
  if (wanted === null || page.snapshot !== pull.snapshot) return false;
  if (page.chunk !== wanted.chunk || page.from !== wanted.from) return false;
  if (page.next !== null && page.next <= page.from) return false;
  if (pull.pages >= PAGES_MAX) return false;
  pull.pages += 1;
  pull.from = page.next ?? 0;
  if (page.next === null) pull.done += 1;
  return true;
}
