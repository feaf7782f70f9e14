/** For how long a job that is submitted now may be admitted, and given to nodes. */
import { SPEC_VALID_MAX_MS } from '../core/contract/limits.ts';
import type { Job } from '../job/model.ts';
import { JOB_TYPES } from '../job/types.ts';

/**
 * As long as it may take and its end is remembered; what does not end as long as any job may be good for.
 * @param retentionMs for how long records are kept of a job that is over
 * @returns milliseconds
 */
export function goodForMs({ Type, Task }: Job, retentionMs: number): number {
  if (!JOB_TYPES[Type].ends) return SPEC_VALID_MAX_MS;
  const { ExecutionTimeout, QueueTimeout, TotalTimeout } = Task.Timeouts;
  const longestMs = 1_000 * Math.max(TotalTimeout, ExecutionTimeout + QueueTimeout);
  return Math.min(retentionMs + longestMs, SPEC_VALID_MAX_MS);
}
