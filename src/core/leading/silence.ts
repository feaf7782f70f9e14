/**
 * What the silence of an execution, or a word of it, means to its leader. Nothing of it is certain: who was
 * given up may be heard again.
 */
import { JOB_TYPES } from '../../job/types.ts';
import { jobTimer } from '../consensus/proposer.ts';
import { after } from '../record/ids.ts';
import type { ExecutionId, Millis, NodeId } from '../record/ids.ts';
import { isTerminal, nodeOfExecution } from '../record/ledger.ts';
import type { Ledger } from '../record/ledger.ts';
import type { KeptJob } from '../keeping/state.ts';
import { noteWork } from '../mesh/welcome.ts';
import { touch } from '../node/outbox.ts';
import type { Node, With } from '../node/state.ts';
import { outdateExecution } from './outlook.ts';
import type { GivenUp } from './partition-plan.ts';
import { isWaitedFor, patienceOf } from './patience.ts';
import { leaderIn } from './state.ts';
import type { Leader, Watched } from './state.ts';
import { liveOn, resultsOn } from './workload.ts';

/** A peer that is started again answers within a few seconds; a dead one is replaced well within 30 s. */
const RESTART_GRACE_MS = 8_000;

const earlier = (a: Millis, b: Millis): Millis => (a < b ? a : b);

/**
 * Only the node that an execution was assigned to can keep it alive. It is heard, too, by who is not sure
 * to lead at the moment; and what was given up for its silence lives again.
 */
export function signOfLife(core: Node, from: NodeId, kept: KeptJob, execution: ExecutionId): void {
  const { lead, ledger } = kept;
  if (lead?.stage !== 'leader' || nodeOfExecution(ledger, execution) !== from) return;
  const watched = lead.watch.get(execution);
  if (watched === undefined) return;
  watched.silentAt = after(core.now, patienceOf(ledger, core.config.limits));
  watched.startBy = null;
  if (isQueued(ledger, execution)) watched.firstAt = core.now;
  const phase = ledger.states.get(execution)?.body.phase ?? 'received';
  if (watched.gaveUp === null || isTerminal(phase) || watched.gaveUp === 'overdue') return;
  watched.gaveUp = null;
  watched.backAt = core.now;
  watched.failedAt = null;
  outdateExecution(kept, execution);
  touch(core, ledger.job);
}

/** A node that enrolled may have no room yet: its time counts from when it begins. */
function isQueued({ spec, states }: Ledger, execution: ExecutionId): boolean {
  if (JOB_TYPES[spec.body.spec.Type].counted) return false;
  return (states.get(execution)?.body.phase ?? 'received') === 'received';
}

/** This node did not run for so long: what it could not hear then tells nothing of who was silent. */
export function excuseSilence(core: Node, { ledger }: KeptJob, lead: Leader, lateMs: number): void {
  const longest = after(core.now, patienceOf(ledger, core.config.limits));
  for (const watched of lead.watch.values()) {
    watched.silentAt = earlier(longest, after(watched.silentAt, lateMs));
    if (watched.startBy !== null) watched.startBy = after(watched.startBy, lateMs);
  }
}

/**
 * A node is dead: its executions are lost soon, without waiting for the lease. Not at once: a peer that
 * is only started again takes its containers up where they are.
 */
export function loseNode(core: Node, kept: KeptJob, node: NodeId): void {
  const lead = leaderIn(kept.lead);
  if (lead === null || kept.ledger.close !== null) return;
  lead.seeking.bids.delete(node);
  touch(core, kept.ledger.job);
  for (const execution of [...liveOn(kept, node), ...resultsOn(kept, node)]) {
    const watched = lead.watch.get(execution);
    if (watched !== undefined) hasten(core, kept, watched);
  }
}

/** Its node is dead: it has the time of a restart, and no whole lease, unless its job waits for it. */
export function hasten(core: Node, kept: KeptJob, watched: Watched): void {
  if (isWaitedFor(kept.ledger)) return;
  watched.silentAt = earlier(watched.silentAt, after(core.now, RESTART_GRACE_MS));
  outdateExecution(kept, watched.assign.record.body.execution);
  core.timers.set(jobTimer(kept), watched.silentAt);
}

/** Another node is wanted in its place. */
export function giveUp(
  core: With<'mesh'>,
  kept: KeptJob,
  lead: Leader,
  { execution, why }: GivenUp,
): void {
  const watched = lead.watch.get(execution);
  if (watched === undefined) return;
  watched.gaveUp = why;
  watched.startBy = null;
  const node = nodeOfExecution(kept.ledger, execution);
  if (node !== null) noteWork(core, node, 1);
}
