/** What this node took up by its own decision and had no room for: begun when there is, by priority and then age. */
import { note, persist } from '../node/outbox.ts';
import type { With } from '../node/state.ts';
import { claim, claimsOn, roomFor } from '../mesh/welcome.ts';
import { fits, takenBy } from '../placing/resources.ts';
import { noteExecution } from './state.ts';
import type { LocalExecution } from './state.ts';

/**
 * A larger one that does not fit keeps no smaller one behind it waiting, as in Bacalhau's own queue. A node that
 * leaves works its queue off first, since no other node can.
 */
export function beginQueued(core: With<'mesh' | 'placing' | 'executing'>): void {
  const { profile } = core;
  if (core.executing.own.size === 0 || profile === null || core.storeFull) return;
  const waiting = [...core.executing.own.values()].filter(
    ({ stored, doubtedUntil }) =>
      stored.queued === true && (doubtedUntil === null || doubtedUntil <= core.now),
  );
  if (waiting.length === 0) return;
  const before = core.atHand;
  // Once for all of them: thousands may wait, and somebody's end or lease is no reason to count anew for each.
  const claims = claimsOn(core);
  for (const execution of waiting.sort(byTurn)) {
    const { order, spec } = execution.stored;
    core.atHand = order.job;
    const asker = { owner: spec.body.owner, leader: execution.epoch.leader };
    const wanted = takenBy(order.task, profile.overheads);
    if (!fits(wanted, claims.free)) continue;
    if (!fits(wanted, roomFor(core, asker, wanted, claims))) continue;
    begin(core, execution);
    claim(core, claims, { ...asker, resources: wanted });
  }
  core.atHand = before;
}

function byTurn(a: LocalExecution, b: LocalExecution): number {
  const [first, second] = [a.stored, b.stored];
  return (
    second.spec.body.spec.Priority - first.spec.body.spec.Priority ||
    first.state.hlc - second.state.hlc
  );
}

function begin(core: With<'executing'>, execution: LocalExecution): void {
  const { queued: _, ...stored } = execution.stored;
  execution.stored = stored;
  noteExecution(core, execution);
  const { job, execution: key } = stored.order;
  persist(core, { table: 'executions', job, key, value: stored });
  note(core, 'execution.begun', { job, execution: key });
  core.out.push({ type: 'run', order: stored.order, resume: false });
}
