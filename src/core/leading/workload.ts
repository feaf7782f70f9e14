/**
 * What a node has to do for this leader. What a node did with the work it got counts more than what it
 * says: who failed twice lately gets one execution at a time, of all jobs that this node leads.
 */
import type { ExecutionId, NodeId } from '../record/ids.ts';
import type { Attempt } from '../record/ledger.ts';
import type { KeptJob } from '../keeping/state.ts';
import { fateOf, lives } from './fate.ts';
import { leaderIn } from './state.ts';
import type { Leader } from './state.ts';
import { JOB_TYPES } from '../../job/types.ts';
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

/** The node is on probation and has work of this leader, of whatever job, that has shown nothing yet. */
export function hasEnough(core: With<'mesh' | 'keeping'>, node: NodeId): boolean {
  if (!onProbation(core, node)) return false;
  for (const kept of core.keeping.kept.values()) {
    const lead = leaderIn(kept.lead);
    if (lead === null || kept.ledger.close !== null) continue;
    if (isChosen(lead, node)) return true;
    if (liveOn(kept, node).some((execution) => !hasShown(kept, lead, execution))) return true;
  }
  return false;
}

/** Of what never ends that it runs is all that its node can show. */
function hasShown({ ledger }: KeptJob, lead: Leader, execution: ExecutionId): boolean {
  if (JOB_TYPES[ledger.spec.body.spec.Type].ends) return false;
  const place = ledger.assigned.get(execution);
  const attempt = place && ledger.partitions.get(place.partition)?.attempts.get(place.attempt);
  return attempt !== undefined && upAs(attempt, lead) !== null;
}

/** Names what has been running since then without an end; null while it does not run. */
export function upAs({ assign, state }: Attempt, lead: Leader): string | null {
  const { execution } = assign.record.body;
  // Its node has told an earlier process of this one how it goes, and says now only that it goes on.
  if (state === null) return lead.watch.get(execution)?.startBy === null ? execution : null;
  if (state.body.phase !== 'running' || state.body.retryMs !== null) return null;
  return `${execution} ${state.body.restarts}`;
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
