/**
 * Records of a job that a later version made: of a type, or with a field, that nobody here knows. They are
 * verified, kept byte for byte and handed on with the job's records, and never looked into: what they mean is
 * for those who know. Small ones only, from those who have a part in the job, and a few of each.
 */
import { everKept } from './chain.ts';
import type { JobId, PublicKey, RecordId } from './ids.ts';
import type { Ledger } from './ledger.ts';
import type { Suite } from './suite.ts';

/** Of the envelope: a record of some ids with three votes inside is about 1.5 KB. */
export const OPAQUE_MAX_BYTES = 2_048;
/** Of one signer in one job: with five keepers, their followers, sponsor and owner at most some 200 KB. */
export const OPAQUE_MAX = 8;

export interface Opaque {
  readonly type: 'opaque';
  readonly id: RecordId;
  /** What its signer calls it. */
  readonly kind: string;
  readonly by: PublicKey;
  /** The job it is about: every such record names one. */
  readonly job: JobId;
  /** Wall clock, milliseconds; null: good as long as the job's spec. */
  readonly notAfter: number | null;
  /** The whole envelope. */
  readonly bytes: Uint8Array;
}

/** Whether a record may be kept with its job. */
export function mayKeep(suite: Suite, ledger: Ledger, record: Opaque, wall: number): boolean {
  const { spec, job } = ledger;
  if (record.job !== job || record.bytes.length > OPAQUE_MAX_BYTES) return false;
  if ((record.notAfter ?? spec.body.notAfter) < wall) return false;
  const signer = suite.nodeOf(record.by);
  const partakes =
    record.by === spec.body.owner || signer === spec.body.sponsor || everKept(ledger, signer);
  return partakes && suite.verifyOpaque(record);
}

/** Of each signer those with the smallest ids stay, so that any order of arrival leaves the same ones. */
export function mergeOpaque({ opaque }: Ledger, record: Opaque): 'known' | 'new' {
  if (opaque.has(record.id)) return 'known';
  const others = [...opaque.values()].filter(({ by }) => by === record.by);
  const last = others.reduce((a, b) => (a.id > b.id ? a : b), record);
  if (others.length >= OPAQUE_MAX && last === record) return 'known';
  if (others.length >= OPAQUE_MAX) opaque.delete(last.id);
  opaque.set(record.id, record);
  return 'new';
}
