/**
 * What this node has promised: reservations of executions and short holds of bids. Both count fully,
 * so that what runs never exceeds what was advertised (invariant I9).
 */
import type { Resources } from '../../job/model.ts';
import { after } from '../record/ids.ts';
import type { JobId } from '../record/ids.ts';
import { takesRoom } from '../executing/state.ts';
import { minus, NOTHING, takenBy, total } from './resources.ts';
import type { Hold } from './state.ts';
import type { Node, With } from '../node/state.ts';

/** Sum of the executions that are not terminal, and their number. */
export function busyHeld(core: With<'placing' | 'executing'>): {
  reserved: Resources;
  held: Resources;
  running: number;
} {
  const { holds } = core.placing;
  const { live } = core.executing;
  // Asked for with every announcement: most nodes have nothing then.
  const held = holds.size === 0 ? NOTHING : total(holdsOf(holds.values()));
  if (live.size === 0) return { reserved: NOTHING, held, running: 0 };
  const taken: Resources[] = [];
  // Not noted once: an execution is read back from the disk before there is a profile.
  const overheads = core.profile?.overheads ?? {};
  for (const execution of live.values()) {
    if (!takesRoom(execution)) continue;
    taken.push(takenBy(execution.stored.order.task, overheads));
  }
  return { reserved: total(taken), held, running: taken.length };
}

function* holdsOf(holds: Iterable<Hold>): Generator<Resources, void, undefined> {
  for (const { resources } of holds) yield resources;
}

/** Capacity less reservations and holds. */
export function freeNow(core: With<'placing' | 'executing'>): Resources {
  const capacity = core.profile?.capacity ?? NOTHING;
  const { reserved, held } = busyHeld(core);
  return minus(minus(capacity, reserved), held);
}

/** Gives a hold back. @returns what was held; null when nothing was */
export function releaseHold(core: With<'placing'>, job: JobId): Hold | null {
  const hold = core.placing.holds.get(job) ?? null;
  core.placing.holds.delete(job);
  return hold;
}

/** Drops holds that nobody used in time. @returns them */
export function expireHolds(core: With<'placing'>): readonly Hold[] {
  const expired: Hold[] = [];
  for (const [job, hold] of core.placing.holds) {
    if (hold.until <= core.now) {
      core.placing.holds.delete(job);
      expired.push(hold);
    } else core.timers.set('holds', hold.until);
  }
  return expired;
}

export const holdUntil = (core: Node) => after(core.now, core.config.limits.bidTtlMs);
