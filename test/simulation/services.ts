/**
 * Jobs that do not end: a program is not started again before its pause is over (S19), and in the healed phase
 * each replica runs once (L8).
 */
import type { ExecutionId } from '../../src/core/record/ids.ts';
import { busyRefusals, refusalsFor } from '../../src/core/placing/eligibility.ts';
import { takenBy } from '../../src/core/placing/resources.ts';
import type { SpecBody } from '../../src/core/record/records.ts';
import type { Resources } from '../../src/job/model.ts';
import { lostAfterOf } from '../../src/job/partition-policy.ts';
import { JOB_TYPES } from '../../src/job/types.ts';
import type { CheckersContext } from './checkers.ts';
import type { LivenessContext } from './liveness.ts';
import type { JobFacts } from './facts.ts';
import { isOrphaned, reseededAt } from './lines.ts';
import { openJobs } from './liveness.ts';
import type { NodeView, Observer } from './observer.ts';

/** The longest pause, and what counts as a run that did not fail at its start. */
const PAUSE_MAX_MS = 300_000;
const STEADY_MS = 600_000;
/** Clocks run a twentieth too fast or too slow. */
const CLOCKS = 0.9;
/** For one replica to be found a place, to come up and to have the one before it stopped. */
const ROLL_MS = 60_000;
/** Replicas are complete so long after the faults: losses within 30 s of the moment at which the mesh agrees again. */
export const COMPLETE_MS = 90_000;
/** Tries after which the pause before the next one is long. */
const PAUSED_TRIES = 7;
const TERMINAL: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled', 'lost']);

interface Runs {
  startedAt: number;
  endedAt: number | null;
  inRow: number;
}

/** S19, by the clock of the world and by counting of its own. */
export function createRestartsChecker(context: CheckersContext): Observer {
  const known = new Map<string, Runs>();
  const keyOf = ({ store }: NodeView, execution: ExecutionId): string => `${store.id}|${execution}`;
  return {
    // Of what a disk has lost a node counts anew.
    onStart: ({ store }) => {
      const rows = store.rows('executions').map(({ key }) => `${store.id}|${key}`);
      for (const key of known.keys())
        if (key.startsWith(`${store.id}|`) && !rows.includes(key)) known.delete(key);
    },
    onHandled: (node, input) => {
      if (input.type !== 'run-event' || input.event.type === 'phase') return;
      const runs = known.get(keyOf(node, input.execution));
      if (runs === undefined || runs.endedAt !== null) return;
      runs.endedAt = context.now();
      runs.inRow = runs.endedAt - runs.startedAt >= STEADY_MS ? 1 : runs.inRow + 1;
    },
    onEffect: (node, effect) => {
      if (effect.type !== 'run' || effect.resume || JOB_TYPES[effect.order.jobType].ends) return;
      const { execution, job, restarts } = effect.order;
      const key = keyOf(node, execution);
      const runs = known.get(key) ?? { startedAt: 0, endedAt: null, inRow: 0 };
      known.set(key, runs);
      if (runs.endedAt !== null) {
        const pausedMs = context.now() - runs.endedAt;
        const leastMs = CLOCKS * Math.min(1_000 * 2 ** (runs.inRow - 1), PAUSE_MAX_MS);
        if (pausedMs < leastMs)
          context.violation(
            'S19',
            node,
            job,
            `${execution} is started again (${restarts}) after ${pausedMs} ms`,
          );
      }
      runs.startedAt = context.now();
      runs.endedAt = null;
    },
  };
}

/** L8: called every few seconds while healed. */
export function checkReplicas(context: LivenessContext): void {
  if (context.now() < context.healedAt() + COMPLETE_MS) return;
  for (const facts of openJobs(context)) {
    const { job, spec, chosen } = facts;
    if (spec === null || JOB_TYPES[spec.spec.Type].ends || context.stopAsked(job)) continue;
    if (isSettling(context, facts)) continue;
    // They go over one after the other.
    if (context.now() < rolledAt(facts)) continue;
    for (let partition = 0; partition < spec.spec.Count; partition += 1) {
      const at = context.nodes.filter((node) => node.up && runsReplica(node, job, partition));
      if (at.length === 1) continue;
      // Its owner wants it to be waited for, by whoever leads since the faults.
      const waitMs = lostAfterOf(spec.spec) ?? 0;
      if (at.length === 0 && context.now() < context.healedAt() + COMPLETE_MS + waitMs) continue;
      // It failed on one node after the other: its leader waits for a minute and more.
      const tries = [...chosen.keys()].filter((slot) =>
        slot.startsWith(`assign/${facts.version}/${partition}/`),
      );
      if (at.length === 0 && tries.length >= PAUSED_TRIES) continue;
      if (at.length === 0 && !context.nodes.some((node) => hasRoom(node, spec))) continue;
      const where = at.map(({ id }) => id).join(', ');
      context.violation('L8', null, job, `replica ${partition} runs ${at.length} times: ${where}`);
    }
  }
}

/** Nobody decides anything for it, or those who do were others a moment ago. */
export const isSettling = (context: LivenessContext, facts: JobFacts): boolean =>
  isOrphaned(facts, context.nodes) ||
  context.now() < (reseededAt(facts) ?? Number.NEGATIVE_INFINITY) + COMPLETE_MS;

/** When all replicas are of the latest version. */
const rolledAt = ({ chosen, version, spec }: JobFacts): number =>
  version === 1
    ? 0
    : (chosen.get(`version/${version}`)?.at ?? 0) + COMPLETE_MS + (spec?.spec.Count ?? 1) * ROLL_MS;

/** One more replica would fit there now, though half of the node is not for one owner alone. */
export const hasRoom = (node: NodeView, spec: SpecBody): boolean =>
  isFree(node, spec, half(node.profile.capacity));

/** What runs there leaves it the room for one more, and so much beside it. */
export function isFree(node: NodeView, spec: SpecBody, spare = NOTHING): boolean {
  if (!node.up || node.paused || node.leaving || node.broken) return false;
  const { profile } = node;
  if (refusalsFor(profile, spec).length > 0) return false;
  const { capacity, reserved, held } = node.inspect();
  const free = minus(minus(minus(capacity, reserved), held), spare);
  return busyRefusals(takenBy(spec.spec.Task, profile.overheads), free).length === 0;
}

const NOTHING: Resources = { cpuMillis: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };

const half = (of: Resources): Resources => ({
  cpuMillis: of.cpuMillis / 2,
  memoryBytes: of.memoryBytes / 2,
  diskBytes: 0,
  gpus: 0,
});

const minus = (a: Resources, b: Resources): Resources => ({
  cpuMillis: a.cpuMillis - b.cpuMillis,
  memoryBytes: a.memoryBytes - b.memoryBytes,
  diskBytes: a.diskBytes - b.diskBytes,
  gpus: a.gpus - b.gpus,
});

/** It has an execution of it that has not ended, though its program may be about to be started again. */
const runsReplica = (node: NodeView, job: string, partition: number): boolean =>
  node.store
    .rows('executions')
    .some(
      ({ value }) =>
        value?.order.job === job &&
        value.order.partition === partition &&
        !TERMINAL.has(value.state.body.phase),
    );
