/**
 * What must be certain before the keepers change. A quorum of the next configuration shares a keeper with every
 * quorum of this one, and not with those of earlier ones: whatever they decided must be known to a quorum of this
 * one by then, or the one after the next would decide it anew.
 */
import type { KeptJob } from '../keeping/state.ts';
import type { Leader } from '../leading/state.ts';
import type { Node } from '../node/state.ts';
import { compareEpochs } from '../record/ballot.ts';
import { certifiedEpoch } from '../record/certificate.ts';
import { configurationAt } from '../record/chain.ts';
import type { NodeId } from '../record/ids.ts';
import { isQuorum, keeperNodes } from '../record/keeper-set.ts';

/** Whether a quorum of this leader's configuration knows all that was decided before its epoch. */
export function isSettled(core: Node, { ledger }: KeptJob, { commits, epoch }: Leader): boolean {
  for (const slot of commits.inherited) if (commits.proposals.has(slot)) return false;
  const knows = (node: NodeId): boolean => {
    if (node === core.self) return true;
    for (const slot of commits.unacked.get(node)?.keys() ?? []) {
      const value = ledger.committed.get(slot);
      if (value !== undefined && compareEpochs(certifiedEpoch(value), epoch) < 0) return false;
    }
    return true;
  };
  const configuration = configurationAt(ledger, epoch);
  return isQuorum(configuration, keeperNodes(configuration).filter(knows));
}
