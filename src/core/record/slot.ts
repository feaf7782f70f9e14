/**
 * Slots: the registers of a job, one value each for ever. Their names are made here and taken apart
 * nowhere. What belongs to a version of the job carries it: a value, or a vote, of one version can
 * never be taken for one of another.
 */
import { JOB_TYPES } from '../../job/types.ts';
import { CONFIGS_MAX, MAJOR_MAX } from './chain.ts';
import type { AssignBody, Committed, ConfigId, Signed, Slot, SpecBody } from './records.ts';

/** A value that a leader commits in a slot. */
type Value = { readonly [T in Committed]: Signed<T> }[Committed];

export const assignSlot = (version: number, partition: number, attempt: number): Slot =>
  `assign/${version}/${partition}/${attempt}`;

export const acceptSlot = (version: number, partition: number): Slot =>
  `accept/${version}/${partition}`;

export const closeSlot = (version: number): Slot => `close/${version}`;

/** Which spec that version has: of those that its owner signed for it, one. */
export const versionSlot = (version: number): Slot => `version/${version}`;

/** The keepers are those of the job, whatever its version. */
export const configSlot = ({ major, minor }: ConfigId): Slot => `config/${major}/${minor}`;

/** The slot that a committed value belongs to. */
export function slotOf({ type, body }: Value): Slot {
  switch (type) {
    case 'assign':
      return assignSlot(body.version, body.partition, body.attempt);
    case 'accept':
      return acceptSlot(body.version, body.partition);
    case 'close':
      return closeSlot(body.version);
    case 'version':
      return versionSlot(body.version);
    case 'config':
      return configSlot(body.config);
  }
}

/** The partition that a value is about; null for what concerns the whole job. */
export const partitionIn = ({ type, body }: Value): number | null =>
  type === 'assign' || type === 'accept' ? body.partition : null;

/** Attempts of one partition that a ledger has room for: 100 that fail, the most there can be set, and 20 that nobody takes up. */
const ATTEMPTS_MAX = 128;
/**
 * The same of a job that does not end. One that fails all the time is tried anew every five minutes: this is three
 * and a half days of it, and a node lost every two hours of the sixty days that a spec may be good for.
 */
const REPLICA_ATTEMPTS_MAX = 1_024;

export function attemptsMax({ spec }: Pick<SpecBody, 'spec'>): number {
  const { counted, ends } = JOB_TYPES[spec.Type];
  // A node that enrolled runs the job once.
  if (!counted) return 1;
  return ends ? ATTEMPTS_MAX : REPLICA_ATTEMPTS_MAX;
}

/** Nodes that one job may run on when each decides for itself: what a counted job may have of partitions. */
export const ENROLLED_MAX = 10_000;

/**
 * Partitions that a job has a place for: `Count`, or, where each node decides for itself, one for each
 * that enrols, in the order in which its leader heard of them.
 */
export const partitionsIn = ({ spec }: Pick<SpecBody, 'spec'>): number =>
  JOB_TYPES[spec.Type].counted ? spec.Count : ENROLLED_MAX;

/** Each attempt but the first takes the place of one; only what does not end may be adopted. */
function follows({ attempt, replaces, adopts }: AssignBody, ends: boolean): boolean {
  if ((attempt === 0) !== (replaces === null)) return false;
  return adopts === null ? replaces !== 'surplus' : !ends && adopts < attempt;
}

/** Versions of one job: one every ten minutes for as long as a spec may be good for. */
export const VERSIONS_MAX = 10_000;

/**
 * Whether a job has a slot for this value: otherwise hostile keepers could fill a ledger without end.
 * Only the version whose spec is here has any; what another one has room for is not known.
 */
export function hasPlace({ body: spec }: Signed<'spec'>, { type, body }: Value): boolean {
  if (type === 'config') return body.config.minor <= CONFIGS_MAX && body.config.major < MAJOR_MAX;
  // Of which spec it must be is for those to look at who vote; who was away may learn of several at once.
  if (type === 'version') return body.version >= spec.version && body.version <= VERSIONS_MAX;
  if (body.version !== spec.version) return false;
  const { ends } = JOB_TYPES[spec.spec.Type];
  if (type === 'close') return ends || body.outcome !== 'completed';
  // What does not end leaves no result.
  if (type === 'accept' && !ends) return false;
  if (type === 'assign' && !follows(body, ends)) return false;
  return body.partition < partitionsIn(spec) && body.attempt < attemptsMax(spec);
}
