/**
 * Leading a job, from the first call for promises to the last word of its end. `progress` does whatever is
 * due at the stage it has reached; everything here is repeated whenever something about the job changes,
 * and does nothing when nothing is to be done.
 */
import { JOB_TYPES } from '../../job/types.ts';
import { changes } from '../record/chain.ts';
import { changeHangs } from '../consensus/open-change.ts';
import { flushCommits, resendOpen } from '../consensus/proposer.ts';
import {
  isLeftBehind,
  moveOn,
  newLeader,
  standForLeader,
  tickCandidate,
  tickPromises,
} from '../consensus/candidacy.ts';
import { firstEpoch } from '../record/ballot.ts';
import type { ExecutionId, JobId, NodeId } from '../record/ids.ts';
import type { CertifiedValue, Message } from '../contract/messages.ts';
import type { KeptJob } from '../keeping/state.ts';
import { note, send, touch } from '../node/outbox.ts';
import { noteWork } from '../mesh/welcome.ts';
import type { Node, With } from '../node/state.ts';
import { act } from './carry-out.ts';
import { beginClosing, tickClosing } from './closing.ts';
import { beginEntrusting, tellHolders } from './copies.ts';
import { outdateExecution } from './outlook.ts';
import { signOfLife } from './silence.ts';
import { leaderIn } from './state.ts';
import { attemptsOf, isTerminal } from '../record/ledger.ts';
import type { Candidate, Leader } from './state.ts';
import { tickSuccession } from './succession.ts';
import { isOfPast, standingOf, turn } from './turning.ts';

/** Jobs of which one renewal makes this node say who leads them. */
const LEADS_TOLD = 256;

/** The rank-0 keeper leads from the activation on, without asking. */
export function leadFirstEpoch(core: Node, kept: KeptJob): void {
  const { configurations } = kept.ledger;
  kept.lead = newLeader(core, kept.ledger, firstEpoch(configurations[0]));
  note(core, 'job.leading', { job: kept.ledger.job, epoch: 0 });
  touch(core, kept.ledger.job);
}

/** Does for a job whatever is due. Called for every job that something happened to, and by its timer. */
export function progress(core: With<'mesh' | 'keeping'>, kept: KeptJob): void {
  const { close } = kept.ledger;
  if (kept.lead === null) return;
  if (close !== null) {
    if (kept.lead.stage !== 'closing') kept.lead = beginClosing(core, kept, kept.lead, close);
    return tickClosing(core, kept, kept.lead, close);
  }
  const { lead } = kept;
  if (lead.stage === 'closing') return;
  if (lead.version !== kept.ledger.spec.body.version) return turn(core, kept, lead);
  if (isLeftBehind(kept, lead)) return followOn(core, kept, lead);
  if (lead.stage === 'candidate') return tickCandidate(core, kept, lead);
  if (lead.confirming !== null) return tickPromises(core, kept, lead.confirming);
  if (changeHangs(core, lead)) {
    lead.hung += 1;
    return moveOn(core, kept, lead);
  }
  beginEntrusting(core, kept, lead);
  tellHolders(core, kept, lead);
  flushCommits(core, kept, lead, false);
  act(core, kept, lead);
  tickSuccession(core, kept, lead);
  resendOpen(core, kept, lead);
}

/** The keepers changed: who leads goes on among the new ones, who wants to lead asks them. */
function followOn(core: Node, kept: KeptJob, lead: Candidate | Leader): void {
  if (lead.stage === 'leader') {
    lead.hung = 0;
    return moveOn(core, kept, lead);
  }
  kept.lead = null;
  standForLeader(core, kept);
}

export function onStarted(
  core: Node,
  from: NodeId,
  kept: KeptJob,
  message: Extract<Message, { type: 'started' }>,
): void {
  for (const execution of message.executions) signOfLife(core, from, kept, execution);
}

export function onNotStarted(
  core: With<'mesh'>,
  from: NodeId,
  kept: KeptJob,
  message: Extract<Message, { type: 'not-started' }>,
): void {
  if (kept.lead?.stage !== 'leader') return;
  const watched = kept.lead.watch.get(message.execution);
  if (watched === undefined || watched.startBy === null) return;
  if (watched.assign.record.body.node !== from) return;
  watched.startBy = null;
  watched.gaveUp = 'missed';
  outdateExecution(kept, message.execution);
  noteWork(core, from, 0.5);
  touch(core, kept.ledger.job);
}

/** A lease renewal: heard; what should not run any more is told so. */
export function takeRenewal(
  core: Node,
  from: NodeId,
  kept: KeptJob,
  execution: ExecutionId,
  told: Set<JobId>,
): boolean {
  const { job, grant } = kept.ledger;
  const changed = changes(kept.ledger.configs);
  signOfLife(core, from, kept, execution);
  if (leaderIn(kept.lead) === null || isUnheard(kept, execution)) {
    if (told.has(job) || told.size >= LEADS_TOLD) return false;
    told.add(job);
    send(core, from, { type: 'leads', job, epoch: kept.seen, ...changed, grant });
    return false;
  }
  const because = supersededBy(kept, execution);
  if (because !== null) send(core, from, { type: 'cancel', job, execution, because, ...changed });
  return because === null;
}

/**
 * Its node is to tell of itself anew: it enrolled with a leader before, or with this one before it was started again;
 * or how far its replica is it told another, whom it still takes for the leader, or this one before that.
 */
function isUnheard({ ledger, lead }: KeptJob, execution: ExecutionId): boolean {
  const { spec, states, assigned } = ledger;
  const { counted, ends } = JOB_TYPES[spec.body.spec.Type];
  // Of a version that is over it is not asked how far it is, but whether its turn to stop has come.
  if (states.has(execution) || isOfPast(ledger, execution)) return false;
  if (!counted) return !assigned.has(execution);
  // Others assigned it, when the job was re-seeded or before: its node is to hear who keeps it here, and tells who they are.
  if (!assigned.has(execution)) return true;
  // What is stopped, as it said nothing in time, is told so again and not asked: the word of that may be lost.
  if (ends || lead?.stage !== 'leader' || lead.cancelled.has(execution)) return false;
  return lead.watch.has(execution);
}

/** What makes a running execution pointless: the accepted result, or of what does not end the attempt that stands. */
function supersededBy({ ledger, lead }: KeptJob, execution: ExecutionId): CertifiedValue | null {
  const assigned = ledger.assigned.get(execution);
  if (assigned === undefined && lead?.stage === 'leader')
    return standingOf(ledger, lead, execution);
  if (assigned === undefined) return null;
  const partition = ledger.partitions.get(assigned.partition);
  // It was decided, and the word of it may be lost; or it ended, and its node has forgotten that.
  const phase = ledger.states.get(execution)?.body.phase ?? 'received';
  if (lead?.stage === 'leader' && (lead.cancelled.has(execution) || isTerminal(phase))) {
    const standing = attemptsOf(partition).at(-1)?.assign ?? null;
    if (!JOB_TYPES[ledger.spec.body.spec.Type].ends)
      return standing?.record.body.execution === execution ? null : standing;
  }
  const accept = partition?.accept ?? null;
  return accept?.record.body.execution === execution ? null : accept;
}
