/** How a job ends because of one of its partitions. */
import type { Attempt } from '../record/ledger.ts';
import type { Ending } from './partition-plan.ts';

/**
 * A failure that no other node would mend: the spec is wrong, or the job ran into its own limit.
 * @param ends whether its program ends by itself: else it is started again after a limit
 */
export function fatalEnding(attempt: Attempt, index: number, ends: boolean): Ending | null {
  const state = attempt.state;
  const failure = state?.body.failure;
  if (state == null || failure == null || state.body.phase !== 'failed') return null;
  if (failure.class !== 'spec' && !(ends && failure.class === 'limit')) return null;
  return {
    outcome: 'failed',
    code: failure.code,
    message: `Partition ${index}: ${failure.message}`.slice(0, 1000),
    evidence: [state.id],
  };
}

export function exhaustedEnding(
  attempts: readonly Attempt[],
  index: number,
  failed: number,
): Ending {
  // Of one that was told to stop it says why that was.
  const isTold = ({ state }: Attempt): boolean =>
    state?.body.failure != null && state.body.phase !== 'cancelled';
  const last = attempts.findLast(isTold)?.state ?? null;
  const why = last?.body.failure?.message ?? 'the node was lost or did not take it up';
  return {
    outcome: 'failed',
    code: 'attempts-exhausted',
    message: `Partition ${index} did not succeed in ${failed} attempts; the last one: ${why}`.slice(
      0,
      1000,
    ),
    evidence: last === null ? [] : [last.id],
  };
}
