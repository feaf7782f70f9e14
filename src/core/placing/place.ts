/**
 * Finding nodes for a job's open executions: announce, collect bids and
 * refusals, choose, assign, see them started. Only the leader runs this.
 */
import { soundBid } from './bids.ts';
import { hasEnough, isChosen } from '../leading/workload.ts';
import { jobTimer, propose } from '../consensus/proposer.ts';
import { after, asExecutionId, uuidOf } from '../record/ids.ts';
import type { ExecutionId, JobId, NodeId } from '../record/ids.ts';
import type { Suite } from '../record/suite.ts';
import { aliveMembers, reachedMembers } from '../mesh/members.ts';
import type { Member } from '../mesh/state.ts';
import { heardLately } from '../mesh/reach.ts';
import type { Announcement, Message, WaitingView } from '../contract/messages.ts';
import type { Ending } from '../leading/plan.ts';
import { failuresByNode } from '../leading/plan.ts';
import { rankBids } from './ranking.ts';
import type { Vacancy } from './ranking.ts';
import type { Refusal } from '../record/refusals.ts';
import type { Certified, Signed } from '../record/records.ts';
import type { KeptJob } from '../keeping/state.ts';
import type { Lead } from '../leading/state.ts';
import { refuse, seal, send, touch } from '../node/outbox.ts';
import { eachKept } from '../keeping/books.ts';
import { mayRun } from './eligibility.ts';
import { targetBids } from './sortition.ts';
import type { Node, With } from '../node/state.ts';

/** Members that gossip did not reach are asked directly after this; at most this many. */
const INVITE_AFTER_MS = 150;
const INVITES_MAX = 32;
/** Between announcements while nobody can take the job; doubles to the second number. */
const ROUND_FIRST_MS = 1_000;
const ROUND_MAX_MS = 15_000;
/** A node that has just started, or just taken over, does not yet know who is there. */
const SETTLE_MS = 10_000;
/** With `QueueTimeout` 0, this long without any node that could ever run the job ends it. */
const FAIL_FAST_MS = 1_500;
/**
 * Whoever could run it by what he says of himself is waited for until then. The sortition has asked ten
 * thousand nodes by that time; who is silent for longer is not there.
 */
const PATIENCE_MS = 60_000;

/** Fills vacancies as far as bids allow, and asks for more. @returns an ending when the wait is over */
export function fillVacancies(
  core: With<'mesh' | 'keeping'>,
  kept: KeptJob,
  lead: Lead,
  vacancies: readonly Vacancy[],
): Ending | null {
  if (vacancies.length === 0) {
    closeRound(core, kept, lead);
    return null;
  }
  lead.seeking.waitingSince ??= core.now;
  if (lead.seeking.announcedAt === null || core.now >= lead.seeking.nextRoundAt)
    announce(core, kept, lead, vacancies.length);
  if (bidsReady(core, lead, vacancies.length)) {
    const open = assign(core, kept, lead, vacancies);
    if (open.length === 0) {
      closeRound(core, kept, lead);
      return null;
    }
  }
  inviteSilent(core, kept, lead, vacancies.length);
  lookAgain(core, kept, lead);
  return waitingOver(core, kept, lead);
}

/** A timer keeps only its earliest moment, so every moment that matters is named each time. */
function lookAgain(core: Node, kept: KeptJob, lead: Lead): void {
  core.timers.set(jobTimer(kept), lead.seeking.nextRoundAt);
  const { bidWindowMs } = core.config.limits;
  for (const bid of lead.seeking.bids.values()) {
    core.timers.set(jobTimer(kept), after(bid.at, bidWindowMs));
  }
}

/** What proves that this node leads; the first epoch is proven by the admission. */
export function ownGrant(core: Node, { ledger: { grant } }: KeptJob): Certified<'grant'> | null {
  return grant?.record.body.epoch.leader === core.self ? grant : null;
}

function announcementOf(core: Node, kept: KeptJob, lead: Lead, need: number): Announcement {
  const { spec } = kept.ledger;
  const small = specBytes(spec) <= core.config.limits.announceSpecMaxBytes;
  const failures = failuresByNode(kept.ledger, lead.watch.givenUp);
  return {
    job: kept.ledger.job,
    version: spec.body.version,
    leader: core.self,
    admission: kept.ledger.admission,
    grant: ownGrant(core, kept),
    round: lead.seeking.round,
    need,
    spec: small ? spec : null,
    notAgain: [...failures]
      .filter(([, count]) => count >= 2)
      .map(([node]) => node)
      .slice(0, 64),
  };
}

/** About as many bytes as the encoded spec has: its JSON. Good enough to choose the way it travels. */
const specBytes = (spec: Signed<'spec'>): number => JSON.stringify(spec.body.spec).length;

function announce(core: Node, kept: KeptJob, lead: Lead, need: number): void {
  const pause = Math.min(ROUND_FIRST_MS * 2 ** lead.seeking.round, ROUND_MAX_MS);
  const announcement = announcementOf(core, kept, lead, need);
  core.out.push({ type: 'gossip', gossip: { type: 'announce', announcement } });
  core.inbox.push({ type: 'invite', announcement });
  lead.seeking.announcedAt = core.now;
  lead.seeking.invited = false;
  lead.seeking.round += 1;
  lead.seeking.nextRoundAt = after(core.now, pause);
}

const answered = (lead: Lead, node: NodeId): boolean =>
  lead.seeking.bids.has(node) || lead.seeking.declines.has(node);

function inviteSilent(core: With<'mesh'>, kept: KeptJob, lead: Lead, need: number): void {
  if (lead.seeking.announcedAt === null || lead.seeking.invited) return;
  const at = after(lead.seeking.announcedAt, INVITE_AFTER_MS);
  if (core.now < at) return core.timers.set(jobTimer(kept), at);
  lead.seeking.invited = true;
  const announcement = announcementOf(core, kept, lead, need);
  reachedMembers(core)
    .map((member) => member.advert.body.node)
    .filter((node) => !answered(lead, node))
    .slice(0, INVITES_MAX)
    .forEach((node) => send(core, node, { type: 'invite', announcement }));
}

/** A node that has just appeared is asked at once. */
export function inviteNewcomer(core: With<'keeping'>, node: NodeId): void {
  for (const kept of eachKept(core)) {
    const { lead } = kept;
    if (lead?.mode !== 'leading' || lead.seeking.waitingSince === null) continue;
    lead.seeking.declines.delete(node);
    send(core, node, { type: 'invite', announcement: announcementOf(core, kept, lead, 1) });
  }
}

/** Enough to choose from: everybody answered, or plenty did, or the first bids have waited long enough. */
function bidsReady(core: With<'mesh'>, lead: Lead, need: number): boolean {
  if (lead.seeking.bids.size === 0) return false;
  // Whom nobody has reached may not exist: nothing waits for an answer of his.
  const members = reachedMembers(core);
  if (lead.seeking.bids.size >= Math.min(targetBids(need), members.length + 1)) return true;
  const first = Math.min(...[...lead.seeking.bids.values()].map((bid) => bid.at));
  if (core.now >= first + core.config.limits.bidWindowMs) return true;
  return (
    members.every((member) => answered(lead, member.advert.body.node)) && answered(lead, core.self)
  );
}

/** The id of an execution is what it is, so it is the same wherever it is computed. */
export const executionIdOf = (
  suite: Suite,
  what: { job: JobId; version: number; partition: number; attempt: number; node: NodeId },
): ExecutionId =>
  asExecutionId(
    `e-${uuidOf(
      suite.hash(
        `shoal/execution|${what.job}|${what.version}|${what.partition}|${what.attempt}|${what.node}`,
      ),
    )}`,
  );

/** Proposes an assignment for each vacancy that a bid can fill. @returns the vacancies left */
function assign(
  core: With<'mesh' | 'keeping'>,
  kept: KeptJob,
  lead: Lead,
  vacancies: readonly Vacancy[],
): readonly Vacancy[] {
  const { job } = kept.ledger;
  const { version } = kept.ledger.spec.body;
  const failures = failuresByNode(kept.ledger, lead.watch.givenUp);
  for (const node of lead.seeking.bids.keys()) {
    const elsewhere = core.mesh.welcome.failures.of(node, core.now);
    if (elsewhere > 0) failures.set(node, Math.max(failures.get(node) ?? 0, elsewhere));
    if (!hasEnough(core, node)) continue;
    lead.seeking.bids.delete(node);
    send(core, node, { type: 'bid-closed', job, version });
  }
  const choices = rankBids(core.suite, job, vacancies, lead.seeking.bids, failures);
  const values = choices.map(({ partition, attempt, node }) => {
    const execution = executionIdOf(core.suite, { job, version, partition, attempt, node });
    return seal(core, 'assign', {
      job,
      version,
      partition,
      attempt,
      execution,
      node,
      epoch: lead.epoch,
    });
  });
  // Every slot of the chosen is used, or no vacancy is left; their hold ends with the assignment.
  for (const { node } of choices) lead.seeking.bids.delete(node);
  propose(core, kept, lead, values);
  const filled = new Set(choices.map((choice) => choice.partition));
  return vacancies.filter((vacancy) => !filled.has(vacancy.partition));
}

/** Nobody is wanted now: bidders get their holds back. */
export function closeRound(core: Node, kept: KeptJob, lead: Lead): void {
  const { job, spec } = kept.ledger;
  for (const node of lead.seeking.bids.keys()) {
    send(core, node, { type: 'bid-closed', job, version: spec.body.version });
  }
  lead.seeking.bids.clear();
  lead.seeking.declines.clear();
  lead.seeking.announcedAt = null;
  lead.seeking.waitingSince = null;
  lead.seeking.round = 0;
}

export function onBid(
  core: With<'mesh'>,
  from: NodeId,
  kept: KeptJob,
  message: Extract<Message, { type: 'bid' }>,
): void {
  const { lead } = kept;
  const { job, version } = message;
  if (lead?.mode !== 'leading' || lead.seeking.waitingSince === null) {
    // The hold of a node that was just chosen must stay until its assignment is there.
    if (lead !== null && isChosen(lead, from)) return;
    return send(core, from, { type: 'bid-closed', job, version });
  }
  const bid = soundBid(core, from, kept.ledger.spec.body.spec, message);
  if (bid === null) {
    refuse(core, from, 'contradiction', false);
    return send(core, from, { type: 'bid-closed', job, version });
  }
  lead.seeking.declines.delete(from);
  lead.seeking.bids.set(from, { ...bid, at: lead.seeking.bids.get(from)?.at ?? core.now });
  touch(core, job);
}

export function onDecline(
  core: Node,
  from: NodeId,
  kept: KeptJob,
  message: Extract<Message, { type: 'decline' }>,
): void {
  const { lead } = kept;
  if (lead === null || lead.seeking.waitingSince === null) return;
  lead.seeking.bids.delete(from);
  lead.seeking.declines.set(from, message.refusals);
  touch(core, message.job);
}

/** Reasons that pass: the node could run the job. */
const onlyBusy = (refusals: readonly Refusal[]): boolean =>
  refusals.every(({ code }) => code === 'busy' || code === 'store-full');

/**
 * `QueueTimeout` > 0: the job fails when it has waited that long. 0: it fails as soon as it is clear
 * that no node could ever run it, by what each answered or says of itself to everybody; while one could but is busy, it waits, as in Bacalhau, where the
 * node itself queues what it accepted.
 */
function waitingOver(core: With<'mesh'>, kept: KeptJob, lead: Lead): Ending | null {
  const { Type, Task } = kept.ledger.spec.body.spec;
  if (Type !== 'batch' || lead.seeking.waitingSince === null) return null;
  const waited = core.now - lead.seeking.waitingSince;
  const limit = Task.Timeouts.QueueTimeout * 1000;
  if (limit > 0) {
    if (waited >= limit) {
      return notEnough(
        lead,
        'queue-timeout',
        `No node took the job within its QueueTimeout of ${limit / 1000} s.`,
      );
    }
    core.timers.set(jobTimer(kept), after(lead.seeking.waitingSince, limit));
    return null;
  }
  const settledAt = Math.max(core.startedAt + SETTLE_MS, lead.seeking.waitingSince + FAIL_FAST_MS);
  if (core.now < settledAt) {
    core.timers.set(jobTimer(kept), after(core.now, settledAt - core.now));
    return null;
  }
  const possible = lead.seeking.bids.size > 0 || [...lead.seeking.declines.values()].some(onlyBusy);
  if (possible || lead.seeking.declines.size === 0) return null;
  const patientUntil = after(lead.seeking.waitingSince, PATIENCE_MS);
  if (core.now < patientUntil && someMayAnswer(core, kept, lead)) {
    core.timers.set(jobTimer(kept), patientUntil);
    return null;
  }
  return notEnough(
    lead,
    'not-enough-nodes',
    'No node of the mesh can run the job, and its QueueTimeout is 0.',
  );
}

/** One that could run it has not answered. The same one is looked at first, as there may be thousands. */
function someMayAnswer(core: With<'mesh'>, kept: KeptJob, lead: Lead): boolean {
  const { spec } = kept.ledger.spec.body;
  const isOpen = ({ advert }: Member): boolean =>
    !answered(lead, advert.body.node) && mayRun(advert.body, spec);
  if (
    lead.seeking.awaited !== null &&
    aliveMembers(core).includes(lead.seeking.awaited) &&
    isOpen(lead.seeking.awaited)
  )
    return true;
  lead.seeking.awaited = aliveMembers(core).find(isOpen) ?? null;
  return lead.seeking.awaited !== null;
}

function notEnough(lead: Lead, code: string, message: string): Ending {
  const reasons = summarize(lead)
    .slice(0, 3)
    .map(({ refusal, nodes }) => `${refusal.code} (${nodes} ${nodes === 1 ? 'node' : 'nodes'})`);
  const why = reasons.length > 0 ? ` Reasons: ${reasons.join(', ')}.` : '';
  return { outcome: 'failed', code, message: `${message}${why}`, evidence: [] };
}

/** What a node says of itself in a refusal; two that differ only in these are one reason. */
const NODES_OWN: ReadonlySet<string> = new Set(['free', 'capacity', 'actual', 'detail']);

/**
 * A text that is the same for the same reason, whatever the order of its fields: a refusal that came
 * over the wire has another order than this node's own.
 */
function sameReason(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(sameReason).join(',')}]`;
  const fields = Object.entries(value)
    .filter(([key]) => !NODES_OWN.has(key))
    .map(([key, part]) => `${key}:${sameReason(part)}`);
  return `{${fields.sort().join(',')}}`;
}

/** Equal reasons counted, the most frequent first. */
function summarize(lead: Lead): readonly { readonly refusal: Refusal; readonly nodes: number }[] {
  const counts = new Map<string, { refusal: Refusal; nodes: number }>();
  for (const refusals of lead.seeking.declines.values()) {
    for (const refusal of refusals) {
      const key = sameReason(refusal);
      const entry = counts.get(key) ?? { refusal, nodes: 0 };
      entry.nodes += 1;
      counts.set(key, entry);
    }
  }
  return [...counts.values()].sort((a, b) => b.nodes - a.nodes).slice(0, 20);
}

/** This node leads it, or tries to, and it waits for nodes or for keepers. */
export const isWaiting = ({ lead, ledger }: KeptJob): boolean =>
  lead !== null &&
  ledger.close === null &&
  (lead.seeking.waitingSince !== null || lead.mode !== 'leading');

/** What `job describe` shows of a job that waits; null when it does not. */
export function waitingView(core: With<'mesh'>, kept: KeptJob): WaitingView | null {
  const { lead, ledger } = kept;
  if (lead === null || !isWaiting(kept)) return null;
  const keepers = ledger.admission.record.body.keepers;
  const reached = keepers.filter(
    ({ node }) => node === core.self || heardLately(core, node),
  ).length;
  return {
    nodesKnown: aliveMembers(core).length + 1,
    nodesAnswered: lead.seeking.declines.size + lead.seeking.bids.size,
    refusals: summarize(lead),
    partitionsWaiting: lead.seeking.open,
    keepersReached: reached,
    keepers: keepers.length,
  };
}

/** Sends committed assignments to their nodes and watches that they start. */
export function sendAssignments(core: With<'mesh' | 'keeping'>, kept: KeptJob, lead: Lead): void {
  const due = new Map<NodeId, Certified<'assign'>[]>();
  for (const entry of lead.watch.starting.values()) {
    if (entry.resendAt <= core.now) {
      const { node } = entry.assign.record.body;
      due.set(node, [...(due.get(node) ?? []), entry.assign]);
      entry.resendAt = after(core.now, core.config.limits.resendMs);
    }
    core.timers.set(jobTimer(kept), entry.resendAt);
  }
  const { spec, admission } = kept.ledger;
  const grant = ownGrant(core, kept);
  for (const [node, assigns] of due) {
    send(core, node, { type: 'assign', spec, admission, grant, assigns, holders: [] });
  }
}
