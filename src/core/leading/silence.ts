/**
 * What the silence of an execution, or a word of it, means to its leader. Nothing of it is certain: who was
 * given up may be heard again.
 */
import { after, asMillis } from '../record/ids.ts';
import type { ExecutionId, Millis, NodeId } from '../record/ids.ts';
import { isTerminal, nodeOfExecution } from '../record/ledger.ts';
import type { KeptJob } from '../keeping/state.ts';
import { noteWork } from '../mesh/welcome.ts';
import { touch } from '../node/outbox.ts';
import type { Node, With } from '../node/state.ts';
import type { GivenUp, Lead } from './state.ts';

/**
 * Only the node that an execution was assigned to can keep it alive. It is heard, too, by who is not sure
 * to lead at the moment; and what was given up for its silence lives again.
 */
export function signOfLife(core: Node, from: NodeId, kept: KeptJob, execution: ExecutionId): void {
  const { lead, ledger } = kept;
  if (lead === null || nodeOfExecution(ledger, execution) !== from) return;
  lead.watch.heard.set(execution, core.now);
  lead.watch.starting.delete(execution);
  const phase = ledger.states.get(execution)?.body.phase ?? 'accepted';
  if (isTerminal(phase) || lead.watch.givenUp.get(execution) === 'overdue') return;
  if (lead.watch.givenUp.delete(execution)) touch(core, ledger.job);
}

/** This node did not run for so long: what it could not hear then tells nothing of who was silent. */
export function excuseSilence(core: Node, { ledger }: KeptJob, lead: Lead, lateMs: number): void {
  const later = (at: Millis): Millis => asMillis(Math.min(core.now, at + lateMs));
  for (const execution of ledger.assigned.keys())
    lead.watch.heard.set(execution, later(lead.watch.heard.get(execution) ?? lead.since));
  for (const [execution, starting] of lead.watch.starting) {
    const deadline = after(starting.deadline, lateMs);
    lead.watch.starting.set(execution, { ...starting, deadline });
  }
}

/** Another node is wanted in its place. */
export function giveUp(
  core: With<'mesh'>,
  kept: KeptJob,
  lead: Lead,
  execution: ExecutionId,
  why: GivenUp,
): void {
  lead.watch.givenUp.set(execution, why);
  lead.watch.starting.delete(execution);
  const node = nodeOfExecution(kept.ledger, execution);
  if (node !== null) noteWork(core, node, 1);
}
