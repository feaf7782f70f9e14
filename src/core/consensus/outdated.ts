/**
 * What other keepers say to have promised. Any of them may lie, so one alone deposes nobody: who leads, or
 * stands for leader, goes on as long as the others can make a majority. When they could and do not, it
 * follows.
 */
import type { KeptJob } from '../keeping/state.ts';
import type { Leader } from '../leading/state.ts';
import type { Proposal } from './state.ts';
import type { Node } from '../node/state.ts';
import { compareEpochs } from '../record/ballot.ts';
import { configurationAt } from '../record/chain.ts';
import type { NodeId } from '../record/ids.ts';
import { isQuorum, keeperNodes } from '../record/keeper-set.ts';
import type { Epoch } from '../record/records.ts';

/** A vote takes milliseconds, and is asked for again after one second and after three. */
const WAIT_MS = 5_000;

/** @param promised what the keeper says; the highest it ever said counts */
export function noteOutdated({ outdated }: KeptJob, from: NodeId, promised: Epoch): void {
  const known = outdated.get(from);
  if (known === undefined || compareEpochs(promised, known) > 0) outdated.set(from, promised);
}

/** The highest epoch above this one that another keeper says to have promised. */
export function highestAbove({ outdated }: KeptJob, epoch: Epoch): Epoch | null {
  let highest: Epoch | null = null;
  for (const other of outdated.values())
    if (compareEpochs(other, highest ?? epoch) > 0) highest = other;
  return highest;
}

/** Whether those who promised no more than this epoch are a majority. */
export function mayGoOn({ outdated, ledger }: KeptJob, epoch: Epoch): boolean {
  const configuration = configurationAt(ledger, epoch);
  const willing = keeperNodes(configuration).filter((node) => {
    const promised = outdated.get(node);
    return promised === undefined || compareEpochs(promised, epoch) <= 0;
  });
  return isQuorum(configuration, willing);
}

/** It waits for votes or promises that should have come long ago. */
export function waitsInVain(core: Node, { commits, confirming }: Leader): boolean {
  const since = [oldestOf(commits)?.since, confirming?.since].filter((at) => at !== undefined);
  return since.some((at) => core.now - at >= WAIT_MS);
}

/** A change of keepers may hang for long, and holds up nothing else. */
function oldestOf({ proposals }: Leader['commits']): Proposal | null {
  for (const proposal of proposals.values()) if (proposal.value.type !== 'config') return proposal;
  return null;
}
