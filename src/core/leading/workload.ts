/**
 * What a node has to do for this leader. What a node did with the work it got counts more than what it
 * says: who failed twice lately gets one execution at a time, of all jobs that this node leads.
 */
import type { ExecutionId, NodeId } from '../record/ids.ts';
import type { KeptJob } from '../keeping/state.ts';
import { fateOf, lives } from './fate.ts';
import { leaderIn } from './state.ts';
import type { Leader } from './state.ts';
import { onProbation } from '../mesh/welcome.ts';
import type { With } from '../node/state.ts';

/** Executions of this job that should be running on `node`; null = on any. */
export function liveOn(kept: KeptJob, node: NodeId | null): readonly ExecutionId[] {
  const { lead, ledger } = kept;
  const live: ExecutionId[] = [];
  for (const partition of ledger.partitions.values()) {
    if (partition.accept !== null) continue;
    for (const { attempt, next } of lives(partition)) {
      const { execution, node: where } = attempt.assign.record.body;
      if ((node !== null && where !== node) || attempt.state?.body.phase === 'completed') continue;
      const watched = lead?.stage === 'leader' ? lead.watch.get(execution) : undefined;
      if (fateOf(attempt, next, watched) === 'live') live.push(execution);
    }
  }
  return live;
}

/** Executions that ended well on `node` and whose result is not accepted yet. */
export function resultsOn(kept: KeptJob, node: NodeId): readonly ExecutionId[] {
  const results: ExecutionId[] = [];
  for (const { accept, attempts } of kept.ledger.partitions.values()) {
    if (accept !== null) continue;
    for (const { state } of attempts.values()) {
      if (state?.body.phase === 'completed' && state.body.node === node)
        results.push(state.body.execution);
    }
  }
  return results;
}

/** The node is on probation and has work of this leader, of whatever job. */
export function hasEnough(core: With<'mesh' | 'keeping'>, node: NodeId): boolean {
  if (!onProbation(core, node)) return false;
  for (const kept of core.keeping.kept.values()) {
    const lead = leaderIn(kept.lead);
    if (lead === null || kept.ledger.close !== null) continue;
    if (isChosen(lead, node) || liveOn(kept, node).length > 0) return true;
  }
  return false;
}

/** An assignment to this node is proposed, or was sent and not taken up yet. */
export function isChosen(lead: Leader, node: NodeId): boolean {
  for (const { value } of lead.commits.proposals.values()) {
    if (value.type === 'assign' && value.body.node === node) return true;
  }
  for (const { assign, startBy } of lead.starting)
    if (startBy !== null && assign.record.body.node === node) return true;
  return false;
}
