/**
 * How old a job is for its TotalTimeout: since this node took it up, however long the disk needed to write
 * that down, for its owner waits as well. It is counted by the monotonic clock and kept over restarts as
 * what has passed. The time in which this node was down is not counted: its clock may have been set anew.
 */
import { persist } from '../node/outbox.ts';
import type { With } from '../node/state.ts';
import { after, asMillis } from '../record/ids.ts';
import { eachKept } from './books.ts';
import type { KeptJob } from './state.ts';

/** Row of the table `counts`, milliseconds. */
const KEY = 'passed';
/** A restart sets a job back by a quarter of its TotalTimeout at most, and by a minute. */
const SAVE_MIN_MS = 1_000;
const SAVE_MAX_MS = 60_000;
const SAVES = 4;

const totalMs = ({ ledger }: KeptJob): number =>
  ledger.spec.body.spec.Task.Timeouts.TotalTimeout * 1_000;

/** From now on what passes is saved; for a job without a TotalTimeout nobody wants to know it. */
export function countAge(core: With<'keeping'>, kept: KeptJob): void {
  const total = totalMs(kept);
  if (total === 0 || kept.ledger.close !== null) return;
  const pause = Math.max(SAVE_MIN_MS, Math.min(SAVE_MAX_MS, total / SAVES));
  core.timers.set('ages', after(core.now, pause));
}

export function tickAges(core: With<'keeping'>): void {
  for (const kept of eachKept(core)) {
    const { job, close } = kept.ledger;
    if (close !== null || totalMs(kept) === 0) continue;
    const count = Math.floor(core.now - kept.activatedAt);
    persist(core, { table: 'counts', job, key: KEY, value: { count } });
    countAge(core, kept);
  }
}

/** @param passedMs what the disk says of it */
export function resumeAge(core: With<'keeping'>, kept: KeptJob, passedMs: number): void {
  kept.activatedAt = asMillis(core.now - passedMs);
  countAge(core, kept);
}

/** Another version began now. */
export function countAnew(core: With<'keeping'>, kept: KeptJob): void {
  kept.activatedAt = core.now;
  kept.isResumed = false;
  persist(core, { table: 'counts', job: kept.ledger.job, key: KEY, value: null });
  countAge(core, kept);
}

export function forgetAge(core: With<'keeping'>, kept: KeptJob): void {
  if (totalMs(kept) === 0) return;
  persist(core, { table: 'counts', job: kept.ledger.job, key: KEY, value: null });
}
