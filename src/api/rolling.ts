/** How far a service has gone over to a version, from that version's records. Pure. */
import { JOB_TYPES } from '../job/types.ts';
import type { JobRecords } from '../core/contract/messages.ts';
import { stepsOf } from '../core/record/course.ts';
import type { JobView } from './service.ts';

/** When each replica came up for the first time, by partition; wall clock, milliseconds. */
export function cameUp({ committed, states }: JobRecords): ReadonlyMap<number, number> {
  const places = new Map<string, number>();
  for (const { record } of committed)
    if (record.type === 'assign') places.set(record.body.execution, record.body.partition);
  const upAt = new Map<number, number>();
  for (const state of states) {
    const partition = places.get(state.body.execution);
    const running = stepsOf(state).find(
      (step) => step.type === 'phase' && step.phase === 'running',
    );
    if (partition === undefined || running === undefined) continue;
    upAt.set(partition, Math.min(running.at, upAt.get(partition) ?? running.at));
  }
  return upAt;
}

/** Whether replicas of earlier versions may go on: what is kept running goes over one by one. */
export function isRolling({ records, current, state }: JobView): boolean {
  const { version, spec } = records.spec.body;
  const { counted, ends } = JOB_TYPES[spec.Type];
  if (version < current || version === 1 || !counted || ends || state !== 'Running') return false;
  return cameUp(records).size < spec.Count;
}
