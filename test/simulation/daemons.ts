/**
 * Jobs that every node runs for as long as they go on (L9): in the healed phase each node that matches and has room
 * runs them, as one execution, and no other node does.
 */
import { refusalsFor } from '../../src/core/placing/eligibility.ts';
import type { JobId } from '../../src/core/record/ids.ts';
import { JOB_TYPES } from '../../src/job/types.ts';
import type { LivenessContext } from './liveness.ts';
import { openJobs } from './liveness.ts';
import type { NodeView } from './observer.ts';
import { COMPLETE_MS, hasRoom, isFree, isSettling } from './services.ts';

/** Beside what services need to be complete: the longest pause of a program that ended again and again. */
const PAUSE_MAX_MS = 300_000;

/** Called every few seconds while healed. */
export function checkDaemons(context: LivenessContext): void {
  if (context.now() < context.healedAt() + COMPLETE_MS) return;
  for (const facts of openJobs(context)) {
    const { job, spec } = facts;
    if (spec === null || context.stopAsked(job) || isSettling(context, facts)) continue;
    const { counted, ends } = JOB_TYPES[spec.spec.Type];
    if (counted || ends) continue;
    for (const node of context.nodes) {
      if (!node.up || node.paused || node.leaving || node.broken) continue;
      const executions = executionsOn(node, job);
      const matches = refusalsFor(node.profile, spec).length === 0;
      if (executions.length > 1) context.violation('L9', node, job, 'runs it more than once');
      if (!matches && node.runs().some((run) => run.active && run.order.job === job))
        context.violation('L9', node, job, 'does not match it and runs it');
      if (!matches || executions.some(isWanted)) continue;
      // One that rests goes on when what runs there meanwhile leaves it the room.
      const mayRun = executions.length === 0 ? hasRoom : isFree;
      if (!mayRun(node, spec)) continue;
      context.violation('L9', node, job, 'matches it, has room and does not run it');
    }
  }
}

const executionsOn = (node: NodeView, job: JobId) =>
  node.store
    .rows('executions')
    .flatMap(({ value }) => (value?.order.job === job ? [value] : []))
    .filter(({ state: { body } }) => body.phase !== 'cancelled');

/** It runs, waits for room, or is started again within the longest pause. */
const isWanted = ({ state: { body } }: ReturnType<typeof executionsOn>[number]): boolean =>
  body.retryMs === null || (body.retryMs > 0 && body.retryMs <= PAUSE_MAX_MS);
