/**
 * What a keeper says about an execution of an exclusive job that wants to run on. It promises nothing: it only says
 * that it has voted for no later attempt so far. Each quorum that votes for one shares a keeper with each quorum that
 * says so, among keepers that were replaced meanwhile, too: who knows those that came does not answer for those before.
 */
import { partitionPolicyOf } from '../../job/partition-policy.ts';
import type { Message } from '../contract/messages.ts';
import { send } from '../node/outbox.ts';
import type { Node } from '../node/state.ts';
import { compareConfigs, currentOf } from '../record/chain.ts';
import type { ExecutionId, NodeId } from '../record/ids.ts';
import type { AssignBody } from '../record/records.ts';
import { assignSlot, attemptsMax } from '../record/slot.ts';
import { hasSay } from './changing.ts';
import { tellKeepers } from './guests.ts';
import type { KeptJob } from './state.ts';

export function onTenureWanted(
  core: Node,
  from: NodeId,
  kept: KeptJob,
  { job, execution, config, turn }: Extract<Message, { type: 'tenure-wanted' }>,
): void {
  const { ledger, promised } = kept;
  if (partitionPolicyOf(ledger.spec.body.spec) !== 'exclusive') return;
  const assigned = assignmentOf(kept, execution);
  if (ledger.close !== null || assigned === null || assigned.node !== from) return;
  const current = currentOf(ledger);
  const order = compareConfigs(config, current.config);
  if (order < 0) return tellKeepers(core, from, kept);
  if (order > 0 || !hasSay(core, current)) return;
  if (compareConfigs(promised.config, config) > 0 || hasLater(kept, assigned)) return;
  send(core, from, { type: 'tenure', job, execution, config, turn });
}

/** As it was committed, of the version before as well, or as this keeper voted for it. */
function assignmentOf({ ledger, accepted }: KeptJob, execution: ExecutionId): AssignBody | null {
  for (const { assigned } of [ledger, ...ledger.others.values()]) {
    const known = assigned.get(execution);
    if (known !== undefined) return known;
  }
  for (const { value } of accepted.values())
    if (value.type === 'assign' && value.body.execution === execution) return value.body;
  return null;
}

/** Of this version or a later one. A leader that is up to no good may leave some out. */
function hasLater(
  { ledger, accepted, votedBefore }: KeptJob,
  { version, partition, attempt }: AssignBody,
): boolean {
  const current = ledger.spec.body.version;
  for (let number = version; number <= current; number += 1) {
    const { committed } = number === current ? ledger : (ledger.others.get(number) ?? ledger);
    const first = number === version ? attempt + 1 : 0;
    for (let later = first; later < attemptsMax(ledger.spec.body); later += 1) {
      const slot = assignSlot(number, partition, later);
      if (accepted.has(slot) || votedBefore.has(slot) || committed.has(slot)) return true;
    }
  }
  return false;
}
