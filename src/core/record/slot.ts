/**
 * Slots: the registers of a job, one value each for ever. Their names are made here and taken apart
 * nowhere. What belongs to a version of the job carries it: a value, or a vote, of one version can
 * never be taken for one of another.
 */
import { JOB_TYPES } from '../../job/types.ts';
import { CONFIGS_MAX } from './chain.ts';
import type { ConfigId, Signed, Slot, SpecBody } from './records.ts';

/** A value that a leader commits in a slot. */
type Value = Signed<'assign'> | Signed<'accept'> | Signed<'close'> | Signed<'config'>;

export const assignSlot = (version: number, partition: number, attempt: number): Slot =>
  `assign/${version}/${partition}/${attempt}`;

export const acceptSlot = (version: number, partition: number): Slot =>
  `accept/${version}/${partition}`;

export const closeSlot = (version: number): Slot => `close/${version}`;

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
    case 'config':
      return configSlot(body.config);
  }
}

/** Attempts of one partition that a ledger has room for; leaders make far fewer. */
const ATTEMPTS_MAX = 1_000;

/** Partitions of a job: `Count`, or one for the types whose placement is not the leader's. */
export const partitionsIn = ({ spec }: Pick<SpecBody, 'spec'>): number =>
  JOB_TYPES[spec.Type].counted ? spec.Count : 1;

/**
 * Whether a job has a slot for this value: otherwise hostile keepers could fill a ledger without end.
 * Only the version whose spec is here has any; what another one has room for is not known.
 */
export function hasPlace({ body: spec }: Signed<'spec'>, { type, body }: Value): boolean {
  if (type === 'config') return body.config.major === 0 && body.config.minor <= CONFIGS_MAX;
  if (body.version !== spec.version) return false;
  if (type === 'close') return true;
  // Each attempt but the first takes the place of one.
  if (type === 'assign' && (body.attempt === 0) !== (body.replaces === null)) return false;
  return body.partition < partitionsIn(spec) && body.attempt < ATTEMPTS_MAX;
}
