/**
 * Finding nodes for a job's open executions: announce, collect bids and
 * refusals, choose, assign, see them started. Only the leader runs this.
 */
import { currentOf, rootsOf } from '../record/chain.ts';
import { groundOf } from '../record/past.ts';
import { isQuorum, keeperNodes } from '../record/keeper-set.ts';
import { soundBid } from './bids.ts';
import { hasEnough, isChosen, liveOn } from '../leading/workload.ts';
import { jobTimer, propose } from '../consensus/proposer.ts';
import { after } from '../record/ids.ts';
import { executionIdOf } from '../record/execution-id.ts';
import type { Millis, NodeId } from '../record/ids.ts';
import { aliveMembers, reachedMembers } from '../mesh/members.ts';
import type { Member } from '../mesh/state.ts';
import { heardLately, heardWithin, isNear } from '../mesh/reach.ts';
import type { Announcement, Message, WaitingView } from '../contract/messages.ts';
import { rankBids } from './ranking.ts';
import type { Vacancy } from './ranking.ts';
import type { Certified, Signed } from '../record/records.ts';
import type { KeptJob } from '../keeping/state.ts';
import { certifiedBytes } from '../node/fitting.ts';
import { PENDING_MS } from '../record/ledger.ts';
import { leaderIn } from '../leading/state.ts';
import type { Leader, Watched } from '../leading/state.ts';
import { reasonsOf } from '../leading/queueing.ts';
import { PATIENCE_MS } from '../leading/queueing.ts';
import type { Search } from '../leading/queueing.ts';
import { refuse, seal, send, touch } from '../node/outbox.ts';
import { eachKept } from '../keeping/books.ts';
import { mayRun, refusalsFor } from './eligibility.ts';
import { createSeeking } from './state.ts';
import { JOB_TYPES } from '../../job/types.ts';
import { ENROLLED_MAX } from '../record/slot.ts';
import { targetBids } from './sortition.ts';
import type { Node, With } from '../node/state.ts';

/** Members that gossip did not reach are asked directly after this; at most this many. */
const INVITE_AFTER_MS = 150;
const INVITES_MAX = 32;
/** Where everybody who matches is wanted, all are asked to whom a connection may lead. */
const CALLS_MAX = 256;
/** Of the proof of changes in gossip, whose messages have 32 KiB: the rest is for admission, grant and names. */
const CHANGES_GOSSIPED_BYTES = 20_480;
/** Between announcements while nobody can take the job; doubles to the second number. */
const ROUND_FIRST_MS = 1_000;
const ROUND_MAX_MS = 15_000;
/** Whose offer was taken, or sent back, is asked again in each round, and has answered by then. */
const OFFERED_MS = 60_000;
/** Between two assignments to a node that has not answered one for a while. */
const SELDOM_MS = 15_000;
/** Who did not answer so many rounds and is out of reach is gone: what it said holds the job up no longer. */
const MISSED_ROUNDS = 4;
/** Of all refusals of one answer about a job that waits. */
const REASONS_CHARS_MAX = 65_536;

/** Fills vacancies as far as bids allow, and asks for more. */
export function fillVacancies(
  core: With<'mesh' | 'keeping'>,
  kept: KeptJob,
  lead: Leader,
  vacancies: ReadonlyMap<number, Vacancy>,
): void {
  const need = vacancies.size;
  lead.seeking.open = need;
  if (need === 0) return closeRound(core, kept, lead);
  lead.seeking.waitingSince ??= core.now;
  if (lead.seeking.announcedAt === null || core.now >= lead.seeking.nextRoundAt)
    announce(core, kept, lead, need);
  if (bidsReady(core, lead, need)) {
    const filled = assign(core, kept, lead, vacancies);
    if (filled === need) return closeRound(core, kept, lead);
    if (filled > 0) touch(core, kept.ledger.job);
  }
  inviteSilent(core, kept, lead, need);
  lookAgain(core, kept, lead);
}

/**
 * Nodes that decide for themselves are called again and again while it is not too late: each enrols or tells
 * why not, whatever the announcement says of need.
 */
export function callNodes(core: With<'mesh' | 'keeping'>, kept: KeptJob, lead: Leader): void {
  lead.seeking.waitingSince ??= core.now;
  if (lead.seeking.announcedAt === null || core.now >= lead.seeking.nextRoundAt)
    announce(core, kept, lead, ENROLLED_MAX);
  inviteSilent(core, kept, lead, ENROLLED_MAX);
  lookAgain(core, kept, lead);
}

/** A timer keeps only its earliest moment, so every moment that matters is named each time. */
function lookAgain(core: Node, kept: KeptJob, lead: Leader): void {
  core.timers.set(jobTimer(kept), lead.seeking.nextRoundAt);
  const waited = waitedEnough(core, lead);
  if (waited !== null) core.timers.set(jobTimer(kept), waited);
}

/** When the first bid has waited long enough for others to join it: they lie in the order in which they came. */
function waitedEnough(core: Node, { seeking }: Leader): Millis | null {
  const [first] = seeking.bids.values();
  return first === undefined ? null : after(first.at, core.config.limits.bidWindowMs);
}

/** What proves that this node leads; the first epoch is proven by the admission. */
export function ownGrant(core: Node, { ledger: { grant } }: KeptJob): Certified<'grant'> | null {
  return grant?.record.body.epoch.leader === core.self ? grant : null;
}

/** @param round who asks a node directly repeats the round at hand: each has as many rounds as this node itself */
function announcementOf(
  core: Node,
  kept: KeptJob,
  lead: Leader,
  need: number,
  round = Math.max(0, lead.seeking.round - 1),
): Announcement {
  const { spec, version: decided } = kept.ledger;
  const bytes = decided === null ? specBytes(spec) : certifiedBytes(decided, core.suite);
  // Beside what proves who leads there must be room for it.
  const small = bytes + changesBytes(core, kept) <= core.config.limits.announceSpecMaxBytes;
  return {
    job: kept.ledger.job,
    version: spec.body.version,
    leader: core.self,
    ...rootsOf(kept.ledger),
    grant: ownGrant(core, kept),
    round,
    need,
    spec: small && decided === null ? spec : null,
    ...(small && decided !== null ? { decided } : {}),
    notAgain: [...lead.outlook.failures]
      .filter(([, count]) => count >= 2)
      .map(([node]) => node)
      .slice(0, 64),
  };
}

/** About as many bytes as the encoded spec has: its JSON. Good enough to choose the way it travels. */
const specBytes = (spec: Signed<'spec'>): number => JSON.stringify(spec.body.spec).length;

/** What proves that its keepers changed. */
const changesBytes = (core: Node, { ledger: { configs } }: KeptJob): number =>
  configs.reduce((sum, config) => sum + certifiedBytes(config, core.suite), 0);

function announce(core: With<'mesh'>, kept: KeptJob, lead: Leader, need: number): void {
  const pause = Math.min(ROUND_FIRST_MS * 2 ** lead.seeking.round, ROUND_MAX_MS);
  forgetGone(core, lead);
  const announcement = announcementOf(core, kept, lead, need, lead.seeking.round);
  // With the proof of many changes it is too large for gossip: each node is asked directly.
  if (changesBytes(core, kept) <= CHANGES_GOSSIPED_BYTES)
    core.out.push({ type: 'gossip', gossip: { type: 'announce', announcement } });
  core.inbox.push({ type: 'invite', announcement });
  lead.seeking.announcedAt = core.now;
  lead.seeking.invited = false;
  lead.seeking.round += 1;
  lead.seeking.nextRoundAt = after(core.now, pause);
}

/**
 * Every later round asks whoever answered an earlier one again. By rounds, not by time: they do not go on
 * while this node is paused.
 */
function forgetGone(core: With<'mesh'>, { seeking }: Leader): void {
  for (const [node, { round }] of seeking.declines) {
    if (seeking.round - round < MISSED_ROUNDS || isNear(core, node)) continue;
    seeking.declines.delete(node);
  }
}

/** It told its leader that it runs the job by its own decision. */
function hasEnrolled(core: Node, { ledger }: KeptJob, node: NodeId): boolean {
  const { job, version, spec } = ledger.spec.body;
  if (JOB_TYPES[spec.Type].counted) return false;
  const about = { job, version, partition: 0, attempt: 0, node };
  return ledger.states.has(executionIdOf(core.suite, spec.Type, about));
}

const answered = (lead: Leader, node: NodeId): boolean =>
  lead.seeking.bids.has(node) || lead.seeking.declines.has(node);

/** What it said counts until it says something else, but the last round has not reached it, nor this one. */
function isSilent({ seeking }: Leader, node: NodeId): boolean {
  if (seeking.bids.has(node)) return false;
  const declined = seeking.declines.get(node);
  return declined === undefined || seeking.round - declined.round >= 2;
}

function inviteSilent(core: With<'mesh'>, kept: KeptJob, lead: Leader, need: number): void {
  if (lead.seeking.announcedAt === null || lead.seeking.invited) return;
  const at = after(lead.seeking.announcedAt, INVITE_AFTER_MS);
  if (core.now < at) return core.timers.set(jobTimer(kept), at);
  lead.seeking.invited = true;
  const announcement = announcementOf(core, kept, lead, need);
  reachedMembers(core)
    .map((member) => member.advert.body.node)
    .filter((node) => isSilent(lead, node) && !hasEnrolled(core, kept, node))
    .sort((a, b) => Number(answered(lead, a)) - Number(answered(lead, b)))
    .slice(0, need < ENROLLED_MAX ? INVITES_MAX : CALLS_MAX)
    .forEach((node) => send(core, node, { type: 'invite', announcement }));
}

/** A node that has just appeared is asked at once. */
export function inviteNewcomer(core: With<'keeping'>, node: NodeId): void {
  for (const kept of eachKept(core)) {
    const lead = leaderIn(kept.lead);
    if (lead === null || lead.seeking.waitingSince === null) continue;
    lead.seeking.declines.delete(node);
    send(core, node, { type: 'invite', announcement: announcementOf(core, kept, lead, 1) });
  }
}

/** Enough to choose from: everybody answered, or plenty did, or the first bids have waited long enough. */
function bidsReady(core: With<'mesh'>, lead: Leader, need: number): boolean {
  const waited = waitedEnough(core, lead);
  if (waited === null) return false;
  // Whom nobody has reached may not exist: nothing waits for an answer of his.
  const members = reachedMembers(core);
  if (lead.seeking.bids.size >= Math.min(targetBids(need), members.length + 1)) return true;
  if (core.now >= waited) return true;
  return (
    members.every((member) => answered(lead, member.advert.body.node)) && answered(lead, core.self)
  );
}

/** Proposes an assignment for each vacancy that a bid can fill. @returns how many they are */
function assign(
  core: With<'mesh' | 'keeping'>,
  kept: KeptJob,
  lead: Leader,
  vacancies: ReadonlyMap<number, Vacancy>,
): number {
  const { job } = kept.ledger;
  const { version } = kept.ledger.spec.body;
  const failures = new Map(lead.outlook.failures);
  for (const node of lead.seeking.bids.keys()) {
    const elsewhere = core.mesh.welcome.failures.of(node, core.now);
    if (elsewhere > 0) failures.set(node, Math.max(failures.get(node) ?? 0, elsewhere));
    if (!hasEnough(core, node)) continue;
    lead.seeking.bids.delete(node);
    lead.seeking.offeredAt = core.now;
    send(core, node, { type: 'bid-closed', job, version });
  }
  const choices = rankBids(core.suite, job, vacancies.values(), lead.seeking.bids, failures);
  const values = choices.map(({ partition, attempt, replaces, node }) => {
    const about = { job, version, partition, attempt, node };
    const execution = executionIdOf(core.suite, kept.ledger.spec.body.spec.Type, about);
    return seal(core, 'assign', {
      job,
      version,
      partition,
      attempt,
      replaces,
      adopts: null,
      execution,
      node,
      epoch: lead.epoch,
    });
  });
  // Every slot of the chosen is used, or no vacancy is left; their hold ends with the assignment.
  for (const { node } of choices) lead.seeking.bids.delete(node);
  if (choices.length > 0) lead.seeking.offeredAt = core.now;
  propose(core, kept, lead, values);
  return choices.length;
}

/** Nobody is wanted now: bidders get their holds back. */
export function closeRound(core: Node, kept: KeptJob, lead: Leader): void {
  const { job, spec } = kept.ledger;
  for (const node of lead.seeking.bids.keys()) {
    send(core, node, { type: 'bid-closed', job, version: spec.body.version });
  }
  lead.seeking.bids.clear();
  lead.seeking.declines.clear();
  lead.seeking.announcedAt = null;
  lead.seeking.waitingSince = null;
  lead.seeking.offeredAt = null;
  lead.seeking.round = 0;
}

export function onBid(
  core: With<'mesh'>,
  from: NodeId,
  kept: KeptJob,
  message: Extract<Message, { type: 'bid' }>,
): void {
  const lead = kept.lead?.stage === 'leader' ? kept.lead : null;
  const { job, version } = message;
  if (version !== kept.ledger.spec.body.version)
    return send(core, from, { type: 'bid-closed', job, version });
  if (lead === null || lead.confirming !== null || lead.seeking.waitingSince === null) {
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
  if (lead?.stage !== 'leader' || lead.seeking.waitingSince === null) return;
  if (message.version !== kept.ledger.spec.body.version) return;
  lead.seeking.bids.delete(from);
  const { round } = lead.seeking;
  lead.seeking.declines.set(from, { refusals: message.refusals, round });
  touch(core, message.job);
}

/** What came of looking for nodes; null while none is looked for. */
export function searchOf(core: With<'mesh'>, kept: KeptJob, lead: Leader): Search | null {
  const { waitingSince: since, bids, declines, offeredAt } = lead.seeking;
  if (since === null) return null;
  const hasOffered = offeredAt !== null && core.now - offeredAt < OFFERED_MS;
  return {
    since,
    startedAt: core.startedAt,
    requested: lead.seeking.open,
    available: () => aliveMembers(core).length + 1,
    bids: bids.size,
    declines,
    someCould: () => hasOffered || liveOn(kept, null).length > 0 || isAssigning(lead),
    someMayAnswer: () => someOpen(core, kept, lead),
  };
}

const isAssigning = ({ commits }: Leader): boolean =>
  [...commits.proposals.keys()].some((slot) => slot.startsWith('assign/'));

/**
 * One that could run it has not answered: this node itself, which keeps quiet for two rounds when it failed
 * the job, or a member that is there, or was a moment ago: of three nodes two may be starting again. The same
 * one is looked at first, as there may be thousands.
 */
function someOpen(core: With<'mesh'>, kept: KeptJob, lead: Leader): boolean {
  const { body } = kept.ledger.spec;
  const { profile } = core;
  if (profile !== null && !answered(lead, core.self) && refusalsFor(profile, body).length === 0)
    return true;
  const isOpen = ({ advert }: Member): boolean =>
    !answered(lead, advert.body.node) && mayRun(advert.body, body.spec);
  const { awaited } = lead.seeking;
  if (awaited !== null && isThereStill(core, awaited) && isOpen(awaited)) return true;
  lead.seeking.awaited = aliveMembers(core).find(isOpen) ?? firstOfGone(core, isOpen);
  return lead.seeking.awaited !== null;
}

const isThereStill = (core: With<'mesh'>, member: Member): boolean =>
  heardWithin(core, member.advert.body.node, PATIENCE_MS) || aliveMembers(core).includes(member);

/** Of those who fell silent a moment ago. */
function firstOfGone(core: With<'mesh'>, isOpen: (member: Member) => boolean): Member | null {
  for (const member of core.mesh.members.values())
    if (heardWithin(core, member.advert.body.node, PATIENCE_MS) && isOpen(member)) return member;
  return null;
}

/** This node leads it, or tries to, and it waits for nodes or for keepers. */
function isWaiting({ lead, ledger }: KeptJob): boolean {
  if (lead === null || ledger.close !== null) return false;
  const sure = leaderIn(lead);
  return sure === null || sure.seeking.waitingSince !== null;
}

/** It has been waiting for longer than the first answers take. */
export function isQueued(core: Node, kept: KeptJob): boolean {
  if (!isWaiting(kept)) return false;
  const since = leaderIn(kept.lead)?.seeking.waitingSince ?? null;
  return since === null || core.now - since >= PENDING_MS;
}

/** The most frequent reasons, as far as an answer has room for what nodes wrote into them. */
function fewReasons(declines: Search['declines']): WaitingView['refusals'] {
  let left = REASONS_CHARS_MAX;
  return reasonsOf(declines).filter(({ refusal }) => {
    left -= JSON.stringify(refusal).length;
    return left >= 0;
  });
}

const enrolledIn = ({ ledger: { spec, states } }: KeptJob): number =>
  JOB_TYPES[spec.body.spec.Type].counted ? 0 : states.size;

/** What `job describe` shows of a job that waits, for keepers alone, too; null when it does not. */
export function waitingView(core: With<'mesh'>, kept: KeptJob): WaitingView | null {
  const { lead, ledger } = kept;
  const keepers = keeperNodes(currentOf(ledger));
  const there = keepers.filter((node) => node === core.self || heardLately(core, node));
  // Between two tries to lead it, too.
  const isAlone = kept.seen.leader === core.self && !isQuorum(currentOf(ledger), there);
  if (ledger.close !== null || (!isWaiting(kept) && !isAlone)) return null;
  const { bids, declines, open } = lead?.stage === 'leader' ? lead.seeking : createSeeking(core);
  return {
    nodesKnown: aliveMembers(core).length + 1,
    // Who runs it by its own decision has answered, too.
    nodesAnswered: declines.size + bids.size + enrolledIn(kept),
    refusals: fewReasons(declines),
    partitionsWaiting: open,
    keepersReached: there.length,
    keepers: keepers.length,
  };
}

/** One that is waited for may not be heard for days. */
function pauseMs(core: Node, { firstAt }: Watched): number {
  const { resendMs, startTimeoutMs } = core.config.limits;
  return core.now - firstAt < startTimeoutMs ? resendMs : SELDOM_MS;
}

/** Sends committed assignments to their nodes and watches that they start. */
export function sendAssignments(core: With<'mesh' | 'keeping'>, kept: KeptJob, lead: Leader): void {
  const due = new Map<NodeId, Certified<'assign'>[]>();
  for (const watched of lead.starting) {
    if (watched.startBy === null) {
      lead.starting.delete(watched);
      continue;
    }
    if (watched.sendAt <= core.now) {
      const { node } = watched.assign.record.body;
      due.set(node, [...(due.get(node) ?? []), watched.assign]);
      watched.sendAt = after(core.now, pauseMs(core, watched));
    }
    core.timers.set(jobTimer(kept), watched.sendAt);
  }
  const ground = groundOf(kept.ledger);
  const grant = ownGrant(core, kept);
  for (const [node, assigns] of due) {
    send(core, node, { type: 'assign', ...ground, grant, assigns, holders: [] });
  }
}
