/** One attempt as its leader sees it now: whether it lives, and until when that is so. */
import { after } from '../record/ids.ts';
import type { Millis } from '../record/ids.ts';
import type { Attempt, Ledger } from '../record/ledger.ts';
import type { Signed } from '../record/records.ts';
import { fateOf, replacedFor, watchAnew } from './fate.ts';
import type { Fate } from './fate.ts';
import { safetyOf } from './holders.ts';
import type { Safety } from './holders.ts';
import type { GivenUp, Observed, PartitionPlan } from './partition-plan.ts';
import type { Watched } from './state.ts';

/** An attempt as it is seen now. */
export interface View {
  readonly attempt: Attempt;
  readonly watched: Readonly<Watched>;
  readonly fate: Fate;
  /** As every leader counts it. */
  readonly counts: Fate;
}

export function wake(draft: PartitionPlan, at: Millis): void {
  if (draft.wakeAt === null || at < draft.wakeAt) draft.wakeAt = at;
}

export function resultSafety(
  { body }: Signed<'state'>,
  { replications, around }: Observed,
): Safety {
  if (body.result === null) return 'safe';
  return safetyOf(body.node, replications.get(body.execution), around);
}

/** Looks at an attempt, and puts down what is new about it. */
export function viewOf(
  draft: PartitionPlan,
  attempt: Attempt,
  next: Attempt | undefined,
  ledger: Ledger,
  observed: Observed,
  timeLimitMs: number,
): View {
  const { execution } = attempt.assign.record.body;
  // One that was adopted since this leader first saw it is another attempt now.
  const seen = observed.watch.get(execution);
  const known = seen?.assign.record.id === attempt.assign.record.id ? seen : undefined;
  const watched = known ?? watchAnew(attempt, next, ledger, observed);
  if (known === undefined) draft.begun.push(watched);
  let fate = fateOf(attempt, next, watched);
  if (fate === 'failed' && watched.failedAt === null) draft.failed.push(execution);
  const why = fate === 'live' ? givingUp(draft, attempt, watched, observed, timeLimitMs) : null;
  if (why !== null) {
    draft.givenUp.push({ execution, why });
    fate = why;
  }
  return { attempt, watched, fate, counts: replacedFor(next) ?? fate };
}

/** Why a living attempt is not counted on from now on; null when it is. */
function givingUp(
  draft: PartitionPlan,
  { state }: Attempt,
  { firstAt, silentAt, startBy }: Readonly<Watched>,
  observed: Observed,
  timeLimitMs: number,
): GivenUp['why'] | null {
  // Nobody has what it made. While its node is away it may come back with it.
  if (state?.body.phase === 'completed' && resultSafety(state, observed) === 'gone') return 'lost';
  if (startBy !== null && startBy <= observed.now) return 'missed';
  if (silentAt <= observed.now) return 'lost';
  const overdueAt = after(firstAt, timeLimitMs);
  if (overdueAt <= observed.now) return 'overdue';
  wake(draft, silentAt < overdueAt ? silentAt : overdueAt);
  if (startBy !== null) wake(draft, startBy);
  return null;
}
