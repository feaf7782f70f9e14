/**
 * What the versions before the current one take at a keeper, and which of them go when that is too much: of the oldest
 * first how it ran, then all of it. Pure.
 */
import { JOB_TYPES } from '../../job/types.ts';
import type { Facts } from './facts.ts';
import { attemptsOf, isTerminal } from './ledger.ts';
import type { Ledger } from './ledger.ts';
import { shortened } from './past.ts';
import type { Certified, Signed } from './records.ts';

/** Of a record or a vote on the disk, beside the texts in it: most have 500 to 800. */
const RECORD_BYTES = 700;
/** Of a pause in a state, beside the text in it. */
const PAUSE_BYTES = 120;

/** About so many bytes on the disk of all versions before the current one. */
export const pastBytes = (ledger: Ledger): number =>
  pastOf(ledger).reduce((sum, [, facts]) => sum + bytesOf(facts), 0);

/** Oldest first. */
const pastOf = ({ others, spec }: Ledger): readonly (readonly [number, Facts])[] =>
  [...others].filter(([version]) => version < spec.body.version).sort(([a], [b]) => a - b);

function bytesOf({ version, close, committed, states }: Facts): number {
  let bytes = 0;
  for (const { votes } of committed.values()) bytes += RECORD_BYTES * (1 + votes.length);
  for (const state of states.values()) bytes += stateBytes(state);
  return bytes + versionBytes(version) + (close === null ? 0 : RECORD_BYTES);
}

/** About so many bytes of what its node signed, which may be all text. */
export function stateBytes({ body }: Signed<'state'>): number {
  const { output, failure, pauses = [], leftOut = [] } = body;
  const told = [output?.stdout, output?.stderr, failure?.message, ...leftOut];
  for (const pause of pauses) told.push(pause.failure?.message ?? '');
  const texts = told.reduce<number>((sum, text = '') => sum + textBytes(text), 0);
  return RECORD_BYTES + pauses.length * PAUSE_BYTES + texts;
}

/** In other letters than those of English a character has up to three. */
const textBytes = (text: string): number => (/[^ -~\s]/.test(text) ? 3 : 1) * text.length;

/** Of the first one the spec is what the job rests on, whatever becomes of it here. */
function versionBytes(certified: Certified<'version'> | null): number {
  if (certified === null) return 0;
  const { spec, fallback } = certified.record.body;
  return RECORD_BYTES * (1 + certified.votes.length) + spec.length + (fallback?.length ?? 0);
}

/**
 * Lets go of what is oldest until the rest takes no more than `maxBytes`, or must not go: of a job that goes over
 * replica by replica a version that still runs, and the one that the current one may go back to. Of one that is over
 * nothing runs, whatever was last heard of it.
 * @returns about how many bytes are left
 */
export function trimPast(ledger: Ledger, maxBytes: number): number {
  let bytes = pastBytes(ledger);
  for (const [version, facts] of pastOf(ledger)) {
    if (bytes <= maxBytes) return bytes;
    if (stillRuns(ledger, facts)) continue;
    const short = shortened(facts);
    bytes -= bytesOf(facts) - bytesOf(short);
    ledger.others.set(version, short);
  }
  for (const [version, facts] of pastOf(ledger)) {
    // Nothing is forgotten between two that are known.
    if (bytes <= maxBytes || stillRuns(ledger, facts) || mayComeBack(ledger, version)) break;
    bytes -= bytesOf(facts);
    ledger.others.delete(version);
    ledger.pastFrom = version + 1;
  }
  return bytes;
}

const mayComeBack = ({ spec, version, close }: Ledger, before: number): boolean =>
  close === null &&
  version !== null &&
  version.record.body.fallback !== null &&
  before === spec.body.version - 1;

/** Where replicas give way one after the other, who leads must know those that have not yet. */
function stillRuns({ spec, close }: Ledger, { partitions }: Facts): boolean {
  const { counted, ends } = JOB_TYPES[spec.body.spec.Type];
  if (!counted || ends || close !== null) return false;
  for (const partition of partitions.values()) {
    const last = attemptsOf(partition).at(-1);
    if (last !== undefined && (last.state === null || !isTerminal(last.state.body.phase)))
      return true;
  }
  return false;
}
