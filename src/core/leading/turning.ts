/**
 * The lead of a job goes over to another version. What was proposed for the one before is over; its executions are
 * told to stop, with the version as the proof, except where those of the new one come first (`rolling.ts`).
 */
import { JOB_TYPES } from '../../job/types.ts';
import { newLeader } from '../consensus/candidacy.ts';
import { createCandidacy } from '../consensus/state.ts';
import { anew } from '../node/repeat.ts';
import { send, touch } from '../node/outbox.ts';
import type { Node } from '../node/state.ts';
import { closeRound } from '../placing/place.ts';
import { changes } from '../record/chain.ts';
import type { ExecutionId, NodeId } from '../record/ids.ts';
import { attemptsOf, isTerminal } from '../record/ledger.ts';
import type { Facts } from '../record/facts.ts';
import type { Ledger } from '../record/ledger.ts';
import type { Certified } from '../record/records.ts';
import type { KeptJob } from '../keeping/state.ts';
import type { Candidate, Leader } from './state.ts';

export function turn(core: Node, kept: KeptJob, lead: Candidate | Leader): void {
  const { ledger } = kept;
  const { version } = ledger.spec.body;
  if (lead.stage === 'candidate') {
    // What was promised is of a version that is over.
    kept.lead = { ...lead, version, candidacy: createCandidacy(core, lead.candidacy.grant) };
    return touch(core, ledger.job);
  }
  closeRound(core, kept, lead);
  const { commits, confirming } = lead;
  for (const [slot, { value }] of commits.proposals)
    if (value.type !== 'config') commits.proposals.delete(slot);
  for (const slot of commits.inherited)
    if (!commits.proposals.has(slot)) commits.inherited.delete(slot);
  for (const slots of commits.unacked.values())
    for (const slot of slots.keys()) if (!ledger.committed.has(slot)) slots.delete(slot);
  const fresh = newLeader(core, ledger, lead.epoch);
  const { since, grant, change, watch, cancelled, entrusting } = lead;
  kept.lead = { ...fresh, since, grant, change, commits, watch, cancelled, entrusting };
  if (confirming !== null) kept.lead.confirming = createCandidacy(core, confirming.grant);
  anew(core, commits.resend);
  if (!isRolled(ledger)) retire(core, kept, kept.lead);
  touch(core, ledger.job);
}

/** Replicas that are kept running give way one after the other, to those that come. */
export const isRolled = ({ spec }: Ledger): boolean => {
  const { counted, ends } = JOB_TYPES[spec.body.spec.Type];
  return counted && !ends;
};

/** Executions of versions that are over stop at once. Who does not hear it, hears it when it renews its lease. */
function retire(core: Node, kept: KeptJob, lead: Leader): void {
  for (const facts of kept.ledger.others.values())
    for (const [execution, node] of livesOf(facts)) retireOne(core, kept, lead, execution, node);
}

export function retireOne(
  core: Node,
  { ledger }: KeptJob,
  lead: Leader,
  execution: ExecutionId,
  node: NodeId,
): void {
  const { job, version, configs } = ledger;
  if (version === null) return;
  lead.cancelled.add(execution);
  send(core, node, { type: 'cancel', job, execution, because: version, ...changes(configs) });
}

/** Executions that have not ended, as far as is known, and their nodes. */
function* livesOf({ assigned, states }: Facts): Generator<readonly [ExecutionId, NodeId]> {
  for (const [execution, { node }] of assigned) {
    const phase = states.get(execution)?.body.phase;
    if (phase === undefined || !isTerminal(phase)) yield [execution, node];
  }
  for (const [execution, { body }] of states)
    if (!assigned.has(execution) && !isTerminal(body.phase)) yield [execution, body.node];
}

/** It is of a version that is over. */
export function isOfPast({ others, spec }: Ledger, execution: ExecutionId): boolean {
  for (const [version, { assigned, states }] of others)
    if (version < spec.body.version && (assigned.has(execution) || states.has(execution)))
      return true;
  return false;
}

/** The version before had it as a replica; not one that was replaced in it. */
function stoodBefore({ others }: Ledger, execution: ExecutionId): boolean {
  for (const { assigned, partitions } of others.values()) {
    const place = assigned.get(execution);
    if (place === undefined) continue;
    const last = attemptsOf(partitions.get(place.partition)).at(-1);
    if (last?.assign.record.body.execution === execution) return true;
  }
  return false;
}

/**
 * What makes an execution pointless that is none of the current version: that version, unless its turn to give way has
 * not come. One that nobody here knows is of a version long over, or of none: its node can tell.
 */
export function standingOf(
  ledger: Ledger,
  lead: Leader,
  execution: ExecutionId,
): Certified<'version'> | null {
  const waits = lead.rolling !== null && !lead.cancelled.has(execution);
  if (waits && stoodBefore(ledger, execution)) return null;
  return ledger.states.has(execution) ? null : ledger.version;
}
