/**
 * What Bacalhau's clients know as the evaluation that made an execution: here the version of its job, which is
 * placed as one. Derived, so that every peer names the same. Not pure: it hashes.
 */
import { createHash } from 'node:crypto';
import { uuidOf } from '../core/record/ids.ts';

export const evaluationIdOf = (job: string, version: number): string =>
  uuidOf(createHash('sha256').update(`evaluation ${job}@${version}`).digest('hex'));
