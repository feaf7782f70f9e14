/** Giving an accepted result into the care of a node that holds it. */
import type { KeptJob } from '../keeping/state.ts';
import { send } from '../node/outbox.ts';
import type { Node } from '../node/state.ts';
import { rootsOf } from '../record/chain.ts';
import type { NodeId } from '../record/ids.ts';
import type { Certified } from '../record/records.ts';

export function entrust(
  core: Node,
  { ledger }: KeptJob,
  to: NodeId,
  accept: Certified<'accept'>,
): void {
  const { holders } = accept.record.body;
  send(core, to, { type: 'entrust', spec: ledger.spec, ...rootsOf(ledger), accept, holders });
}

/** A keeper that holds results of a job needs nobody to tell it. */
export function entrustOwn(core: Node, kept: KeptJob): void {
  for (const { accept } of kept.ledger.partitions.values()) {
    const body = accept?.record.body;
    if (accept === null || body === undefined || body.result === null) continue;
    if (body.holders.includes(core.self)) entrust(core, kept, core.self, accept);
  }
}
