/**
 * Leading a job: look at it, plan, carry the plan out. Everything here is repeated from scratch
 * whenever something about the job changes, and does nothing when nothing is to be done.
 */
import { isDue, said, toSay } from '../node/repeat.ts';
import { flushCommits, jobTimer, noSupport, propose, resendOpen } from '../consensus/proposer.ts';
import { newLead, tickEpoch } from '../consensus/candidacy.ts';
import { firstEpoch, sameEpoch } from '../record/ballot.ts';
import { after, asMillis } from '../record/ids.ts';
import type { ExecutionId, JobId, NodeId } from '../record/ids.ts';
import { isTerminal, nodeOfExecution, summaryOf } from '../record/ledger.ts';
import type { Attempt } from '../record/ledger.ts';
import { isNear } from '../mesh/reach.ts';
import type { CertifiedValue, Message } from '../contract/messages.ts';
import { around, askForCopy, entrustAccepted, newCopy } from './copies.ts';
import { closeRound, fillVacancies, sendAssignments } from '../placing/place.ts';
import { planJob } from './plan.ts';
import type { Ending, Plan } from './plan.ts';
import type { Certified, Signed } from '../record/records.ts';
import type { KeptJob } from '../keeping/state.ts';
import { giveUp, signOfLife } from './silence.ts';
import type { Lead } from './state.ts';
import { note, seal, send, touch } from '../node/outbox.ts';
import { noteWork } from '../mesh/welcome.ts';
import { liveOn, resultsOn } from './workload.ts';
import type { Node, With } from '../node/state.ts';

/** Jobs of which one renewal makes this node say who leads them. */
const LEADS_TOLD = 256;
/** Commits and the news of the close are repeated to silent nodes for this long; later they ask. */
const CLOSING_MS = 60_000;
/** A peer that is started again answers within a few seconds; a dead one is replaced well within 30 s. */
const RESTART_GRACE_MS = 8_000;
/** Nodes that an accept names. */
const NAMED_HOLDERS_MAX = 4;

/** The rank-0 keeper leads from the activation on, without asking. */
export function leadFirstEpoch(core: Node, kept: KeptJob): void {
  const epoch = firstEpoch(kept.ledger.admission.record.body);
  kept.lead = newLead(core, epoch, 'leading');
  note(core, 'job.leading', { job: kept.ledger.job, epoch: 0 });
  touch(core, kept.ledger.job);
}

/** Does for a job whatever is due. Called for every job that something happened to, and by its timer. */
export function progress(core: With<'mesh' | 'keeping'>, kept: KeptJob): void {
  const { lead, ledger } = kept;
  if (lead === null) return;
  if (ledger.close === null && lead.mode !== 'leading') return tickEpoch(core, kept, lead);
  const untold = entrustAccepted(core, kept, lead);
  if (ledger.close !== null) return finish(core, kept, lead, ledger.close, untold);
  flushCommits(core, kept, lead, false);
  cancelSurplus(core, kept);
  if (!lead.commits.proposals.has('close')) act(core, kept, lead);
  resendOpen(core, kept, lead);
}

function act(core: With<'mesh' | 'keeping'>, kept: KeptJob, lead: Lead): void {
  watchStarts(core, kept, lead);
  const plan = planJob(kept.ledger, {
    now: core.now,
    ageMs: core.now - kept.activatedAt,
    since: lead.since,
    heard: lead.watch.heard,
    seenAt: lead.watch.seenAt,
    givenUp: lead.watch.givenUp,
    failedAt: lead.watch.failedAt,
    replications: lead.copies.replications,
    around: around(core),
    limits: core.config.limits,
  });
  if (plan.wakeAt !== null) core.timers.set(jobTimer(kept), plan.wakeAt);
  for (const execution of plan.failed) noteFailure(core, kept, lead, execution);
  for (const execution of plan.lost) giveUp(core, kept, lead, execution, 'lost');
  for (const execution of plan.overdue) giveUp(core, kept, lead, execution, 'overdue');
  // What was just learned changes the plan; look again before this input is done.
  if (plan.failed.length + plan.lost.length + plan.overdue.length > 0) touch(core, kept.ledger.job);
  if (plan.close !== null) return proposeClose(core, kept, lead, plan.close);
  acceptResults(core, kept, lead, plan);
  for (const state of plan.replicate) {
    if (!lead.commits.proposals.has(`accept/${state.body.partition}`))
      askForCopy(core, kept, lead, state);
  }
  const open = plan.vacancies.filter(
    ({ partition, attempt }) => !lead.commits.proposals.has(`assign/${partition}/${attempt}`),
  );
  lead.seeking.open = open.length;
  const ending = fillVacancies(core, kept, lead, open);
  if (ending !== null) return proposeClose(core, kept, lead, ending);
  sendAssignments(core, kept, lead);
}

function noteFailure(core: With<'mesh'>, kept: KeptJob, lead: Lead, execution: ExecutionId): void {
  lead.watch.failedAt.set(execution, core.now);
  const failure = kept.ledger.states.get(execution)?.body.failure;
  const code = failure?.code ?? 'unknown';
  const node = nodeOfExecution(kept.ledger, execution);
  const own = failure?.class === 'node' || failure?.class === 'transient';
  if (node !== null && own) noteWork(core, node, 1);
  note(core, 'job.attempt-failed', { job: kept.ledger.job, execution, code });
}

/** New assignments must be seen to start; ones inherited from another leader must learn who leads. */
function watchStarts(core: With<'mesh'>, kept: KeptJob, lead: Lead): void {
  const { startTimeoutMs, leaseLostMs } = core.config.limits;
  for (const partition of kept.ledger.partitions.values()) {
    if (partition.accept !== null) continue;
    for (const attempt of partition.attempts.values()) {
      const { execution } = attempt.assign.record.body;
      if (lead.watch.givenUp.has(execution)) continue;
      if (!lead.watch.seenAt.has(execution)) lead.watch.seenAt.set(execution, core.now);
      const starting = lead.watch.starting.get(execution);
      if (starting !== undefined) {
        if (starting.deadline > core.now) continue;
        giveUp(core, kept, lead, execution, 'missed');
      } else if (attempt.state === null && !lead.watch.heard.has(execution)) {
        // What another leader assigned may run for long: its node has the time of a lease to say so.
        const own = sameEpoch(attempt.assign.record.body.epoch, lead.epoch);
        const deadline = after(core.now, own ? startTimeoutMs : leaseLostMs);
        lead.watch.heard.set(execution, core.now);
        lead.watch.starting.set(execution, {
          assign: attempt.assign,
          deadline,
          resendAt: core.now,
        });
        lead.watch.introduced.add(execution);
      } else introduce(core, kept, lead, attempt);
    }
  }
}

function introduce(core: Node, kept: KeptJob, lead: Lead, attempt: Attempt): void {
  const { execution, node } = attempt.assign.record.body;
  if (lead.watch.introduced.has(execution)) return;
  lead.watch.introduced.add(execution);
  if (attempt.state !== null && isTerminal(attempt.state.body.phase)) return;
  const { job, grant } = kept.ledger;
  send(core, node, { type: 'leads', job, epoch: lead.epoch, grant });
}

function proposeClose(core: Node, kept: KeptJob, lead: Lead, ending: Ending): void {
  const { job, spec, states, commands } = kept.ledger;
  const close = seal(core, 'close', {
    job,
    version: spec.body.version,
    outcome: ending.outcome,
    code: ending.code,
    message: ending.message,
    evidence: ending.evidence,
  });
  const evidence = new Set(ending.evidence);
  propose(core, kept, lead, [close], {
    states: [...states.values()].filter((state) => evidence.has(state.id)),
    commands: [...commands.values()].filter((command) => evidence.has(command.id)),
  });
}

/** Proposes the results, and with the last of them the close: one round, one write to disk. */
function acceptResults(core: With<'mesh'>, kept: KeptJob, lead: Lead, plan: Plan): void {
  const { job } = kept.ledger;
  const accepts = plan.accepts.filter(
    (state) => !lead.commits.proposals.has(`accept/${state.body.partition}`),
  );
  const values: (Signed<'accept'> | Signed<'close'>)[] = accepts.map((state) => {
    const { version, partition, attempt, execution, node, exitCode, result } = state.body;
    noteWork(core, node, -1);
    if (result !== null && !lead.copies.replications.has(execution))
      lead.copies.replications.set(execution, newCopy(core, result.cid));
    const made = lead.copies.replications.get(execution)?.made ?? [];
    // Some may have died since; whoever fetches asks those first that were there.
    const holders = [node, ...made]
      .filter((holder) => isNear(core, holder))
      .slice(0, NAMED_HOLDERS_MAX);
    return seal(core, 'accept', {
      job,
      version,
      partition,
      attempt,
      execution,
      node,
      exitCode: exitCode ?? 0,
      result,
      holders: result === null ? [] : holders,
    });
  });
  if (plan.complete) {
    values.push(
      seal(core, 'close', {
        job,
        version: kept.ledger.spec.body.version,
        outcome: 'completed',
        code: 'completed',
        message: 'All partitions have a result.',
        evidence: [],
      }),
    );
  }
  if (values.length > 0) propose(core, kept, lead, values, { ...noSupport, states: plan.accepts });
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
  if (kept.lead?.watch.starting.get(message.execution)?.assign.record.body.node !== from) return;
  kept.lead.watch.starting.delete(message.execution);
  kept.lead.watch.givenUp.set(message.execution, 'missed');
  noteWork(core, from, 0.5);
  touch(core, kept.ledger.job);
}

/**
 * A node is dead: its executions are lost soon, without waiting for the lease. Not at once: a peer that
 * is only started again takes its containers up where they are.
 */
export function loseNode(core: Node, kept: KeptJob, node: NodeId): void {
  const { lead, ledger } = kept;
  if (lead?.mode !== 'leading' || ledger.close !== null) return;
  const lostAt = after(core.now, RESTART_GRACE_MS);
  const asIfHeard = asMillis(lostAt - core.config.limits.leaseLostMs);
  for (const execution of [...liveOn(kept, node), ...resultsOn(kept, node)]) {
    const heard = lead.watch.heard.get(execution) ?? lead.since;
    lead.watch.heard.set(execution, heard < asIfHeard ? heard : asIfHeard);
  }
  lead.seeking.bids.delete(node);
  core.timers.set(jobTimer(kept), lostAt);
  touch(core, ledger.job);
}

/** The close is committed: see that keepers and executors hear of it, then let go. */
function finish(
  core: Node,
  kept: KeptJob,
  lead: Lead,
  close: Certified<'close'>,
  untold: boolean,
): void {
  lead.closing ??= beginClosing(core, kept, lead, close);
  const { closing } = lead;
  flushCommits(core, kept, lead, false);
  const commitsOpen = resendOpen(core, kept, lead);
  if (core.now >= closing.until || (!commitsOpen && !untold && closing.nodes.size === 0)) {
    // Who has not heard by now asks when it is back: with a lease, a state or a question of its own.
    kept.lead = null;
    return;
  }
  if (closing.nodes.size === 0) return;
  if (isDue(core, closing.resend)) {
    for (const node of closing.nodes)
      send(core, node, { type: 'closed', job: kept.ledger.job, close });
    said(core, closing.resend);
  }
  core.timers.set(jobTimer(kept), closing.resend.at);
}

function beginClosing(
  core: Node,
  kept: KeptJob,
  lead: Lead,
  close: Certified<'close'>,
): NonNullable<Lead['closing']> {
  const { partitions } = kept.ledger;
  closeRound(core, kept, lead);
  lead.commits.proposals.clear();
  lead.watch.starting.clear();
  core.out.push({
    type: 'gossip',
    gossip: { type: 'closed', close, summary: summaryOf(kept.ledger, false) },
  });
  const nodes = new Set<NodeId>();
  for (const { attempts } of partitions.values()) {
    for (const { assign } of attempts.values()) nodes.add(assign.record.body.node);
  }
  return { nodes, until: after(core.now, CLOSING_MS), resend: toSay(core) };
}

/** A lease renewal: heard; what should not run any more is told so. */
export function takeRenewal(
  core: Node,
  from: NodeId,
  kept: KeptJob,
  execution: ExecutionId,
  told: Set<JobId>,
): boolean {
  const { lead, ledger } = kept;
  signOfLife(core, from, kept, execution);
  if (lead?.mode !== 'leading') {
    const { job, grant } = ledger;
    if (told.has(job) || told.size >= LEADS_TOLD) return false;
    told.add(job);
    send(core, from, { type: 'leads', job, epoch: kept.seen, grant });
    return false;
  }
  const because = supersededBy(kept, execution);
  if (because !== null) send(core, from, { type: 'cancel', job: ledger.job, execution, because });
  return because === null;
}

/** The accepted result that makes a running execution pointless. */
function supersededBy(kept: KeptJob, execution: ExecutionId): CertifiedValue | null {
  for (const partition of kept.ledger.partitions.values()) {
    const { accept } = partition;
    if (accept === null || accept.record.body.execution === execution) continue;
    for (const { assign } of partition.attempts.values()) {
      if (assign.record.body.execution === execution) return accept;
    }
  }
  return null;
}

/** After an accept: the other attempts of its partition are told to stop. */
function cancelSurplus(core: Node, kept: KeptJob): void {
  const { lead, ledger } = kept;
  if (lead?.mode !== 'leading' || ledger.close !== null) return;
  for (const { accept, attempts } of ledger.partitions.values()) {
    if (accept === null || attempts.size < 2) continue;
    for (const { assign, state } of attempts.values()) {
      const { execution, node } = assign.record.body;
      if (execution === accept.record.body.execution) continue;
      if (state !== null && isTerminal(state.body.phase)) continue;
      if (lead.watch.cancelled.has(execution)) continue;
      lead.watch.cancelled.add(execution);
      send(core, node, { type: 'cancel', job: ledger.job, execution, because: accept });
    }
  }
}
