/**
 * Whether there is something to do about a job that its leader leaves undone, judged by what this keeper
 * knows and could do itself. It sees neither leases nor misses, so it takes every execution for alive
 * that has not ended; and its clock ends no job, as it may be wrong.
 */
import { JOB_TYPES } from '../../job/types.ts';
import { RESTART_MAX_MS } from '../contract/limits.ts';
import { shut } from '../node/door.ts';
import { takenBy, howOften } from '../placing/resources.ts';
import { refusalsFor } from '../placing/eligibility.ts';
import { isNear } from '../mesh/reach.ts';
import { roomFor } from '../mesh/welcome.ts';
import { LATE_MAX } from '../leading/holders.ts';
import { hasFailed } from '../leading/fate.ts';
import { enrolmentOf } from '../leading/enrolment.ts';
import { planJob } from '../leading/plan.ts';
import type { With } from '../node/state.ts';
import type { KeptJob } from './state.ts';

/** A leader announces a job that waits at least every 15 s; what was not done in four such rounds, it will not do. */
const IDLE_MS = 60_000;

/** How long the leader may take for what is due now; null when nothing is. */
export function workDue(
  core: With<'mesh' | 'placing' | 'executing'>,
  kept: KeptJob,
): number | null {
  const { limits } = core.config;
  const plan = planJob(kept.ledger, {
    now: core.now,
    epoch: kept.seen,
    ageMs: 0,
    watch: new Map(),
    cancelled: new Set(),
    replications: new Map(),
    // Whether a result could be copied is for its leader to see; one that nobody can reach is waited for.
    around: { near: (node) => isNear(core, node), takers: () => [] },
    search: null,
    isProposed: () => false,
    enrolment: enrolmentOf(kept.ledger, { ...kept, wallMs: 0 }, null, 0, {
      isPlacing: false,
      available: () => 0,
      declines: new Map(),
    }),
    limits: { ...limits, retryBackoffMs: 0 },
  });
  if (plan.close !== null || kept.ledger.wanted !== null) return IDLE_MS;
  // What does not end may have failed so often that its leader waits with the next attempt.
  const pauseMs = JOB_TYPES[kept.ledger.spec.body.spec.Type].ends ? 0 : RESTART_MAX_MS;
  if (plan.vacancies.size > 0 && couldRun(core, kept)) return IDLE_MS + pauseMs;
  if (plan.accepts.length > 0) return IDLE_MS + LATE_MAX * limits.replicateTimeoutMs;
  return plan.complete ? IDLE_MS : null;
}

/** This node would bid for it, and win: it has room, and has not failed it. */
function couldRun(core: With<'mesh' | 'placing' | 'executing'>, { ledger }: KeptJob): boolean {
  const { profile } = core;
  if (profile === null || shut(core) !== null) return false;
  const { owner, spec } = ledger.spec.body;
  if (hasFailed(ledger, core.self)) return false;
  if (refusalsFor(profile, ledger.spec.body).length > 0) return false;
  // Held for this very job, or free.
  if (core.placing.holds.has(ledger.job)) return true;
  const wanted = takenBy(spec.Task, profile.overheads);
  return howOften(wanted, roomFor(core, { owner, leader: core.self }, wanted), 1) > 0;
}
