/** For how long a leader hears nothing of an execution before it gives its partition to another node. */
import { lostAfterOf } from '../../job/partition-policy.ts';
import type { Limits } from '../contract/limits.ts';
import type { Ledger } from '../record/ledger.ts';

/**
 * Policy `wait`: the owner says for how long. Until then nothing makes up for a word of its node: that it seems to
 * be dead, or did not say that it has begun, may be the same cut.
 */
export const isWaitedFor = ({ spec }: Ledger): boolean => lostAfterOf(spec.body.spec) !== null;

/** Milliseconds. */
export const patienceOf = ({ spec }: Ledger, { leaseLostMs }: Limits): number =>
  lostAfterOf(spec.body.spec) ?? leaseLostMs;
