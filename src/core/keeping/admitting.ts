/**
 * A keeper's part in admissions: vote for one, wait for its activation, help itself when none comes,
 * and take the job into keeping.
 */
import { takeObeyed } from '../executing/obeying.ts';
import { countAge } from './age.ts';
import { saveGuest } from './guests.ts';
import { LEAD_CHECK_MS, newOversight } from './oversight.ts';
import { isOver, takeDownSubmission } from './shelf.ts';
import { hasVote, isQuorum, keeperNodes, rankOf } from '../record/keeper-set.ts';
import { chainOf, currentOf, firstConfiguration, firstOf } from '../record/chain.ts';
import type { Chain, Roots } from '../record/chain.ts';
import { learn } from '../consensus/proposer.ts';
import { isProven } from '../record/versions.ts';
import { shut } from '../node/door.ts';
import { firstEpoch, sameEpoch } from '../record/ballot.ts';
import { after, asMillis } from '../record/ids.ts';
import type { JobId, NodeId } from '../record/ids.ts';
import { leadFirstEpoch } from '../leading/lead.ts';
import { createLedger } from '../record/ledger.ts';
import type { Ledger } from '../record/ledger.ts';
import type { Message, Versioned } from '../contract/messages.ts';
import { reached } from '../mesh/reach.ts';
import type { Refusal } from '../record/refusals.ts';
import type { AdmissionBody, Signed } from '../record/records.ts';
import { admissionVote, validAdmissionVote } from './sponsor.ts';
import { note, persist, refuse, send, wallMs } from '../node/outbox.ts';
import type { KeptJob, PendingJob } from './state.ts';
import {
  checkActivation,
  checkAdmission,
  checkCommitted,
  checkSpec,
  tooLong,
} from '../record/verify.ts';
import { createRound, takeBranch } from './branches.ts';
import { bringerOf, welcomeAdmission } from '../mesh/welcome.ts';
import { mayReopen } from './versions.ts';
import type { Node, With } from '../node/state.ts';

/** A job voted for and not activated within this: its sponsor may be gone, the keepers help themselves. */
const ORPHAN_MS = 10_000;
/** Between two such tries at most; they grow with the age. Who connects is asked before that. */
const ORPHAN_MAX_MS = 160_000;
/** An admission that is not activated is forgotten after this: its keepers may never have been there. */
const PENDING_MS = 600_000;
/** One whose keepers were there may wait out a partition: somebody may hold a receipt for it. */
const CREDIBLE_MS = 24 * 3_600_000;

/** Jobs this node keeps or has voted for that are not closed. */
const liveJobs = (core: With<'keeping'>): number =>
  core.keeping.kept.size - core.keeping.warm.size + core.keeping.pending.size;

/** Named with this store, which has forgotten nothing of the job. */
const asKeeper = (core: With<'keeping'>, chain: Chain): boolean =>
  !core.keeping.forfeits.has(chain.job) && hasVote(currentOf(chain), core.self, core.config.store);

const noSay = (core: With<'keeping'>, job: JobId): Refusal =>
  core.keeping.forfeits.has(job)
    ? { code: 'damaged' }
    : { code: 'other-store', store: core.config.store };

export function onAdmit(
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  message: Extract<Message, { type: 'admit' }>,
): void {
  const { spec, admission } = message;
  const { job } = spec.body;
  const kept = core.keeping.kept.get(job);
  const known = kept?.ledger.admission.record ?? core.keeping.pending.get(job)?.admission;
  if (known !== undefined) {
    // The first admission stands: a second one for the same job would be a second keeper set.
    if (known.id !== admission.id) return refuse(core, from, 'contradiction', false);
    if (!mayVoteFor(core, from, known)) return;
    // Of a guest it may not be on the disk yet.
    if (kept !== undefined) saveGuest(core, kept);
    return send(core, from, { type: 'admitted', job, vote: admissionVote(core, known) });
  }
  if (isOver(core, job, spec.body.version))
    return send(core, from, { type: 'not-admitted', job, refusal: { code: 'over' } });
  const verdict = checkSpec(core.suite, spec, wallMs(core));
  const second = verdict === 'good' ? checkAdmission(core.suite, spec, admission) : verdict;
  if (second !== 'good') {
    refuse(core, from, second.code, second.fault);
    if (second.code === 'expired') tellTime(core, from, spec);
    return;
  }
  // Nothing here says that a later version is one: whoever activates such a job brings the proof.
  if (admission.body.spec !== spec.id || spec.body.version !== 1)
    return refuse(core, from, 'contradiction', true);
  if (!mayVoteFor(core, from, admission)) return;
  const full = liveJobs(core) >= core.config.limits.jobsMax;
  const refusal = shut(core) ?? (full ? ({ code: 'store-full' } as const) : null);
  if (refusal !== null) return send(core, from, { type: 'not-admitted', job, refusal });
  if (tooLong(spec, wallMs(core))) {
    refuse(core, from, 'over-limit', false);
    return tellTime(core, from, spec);
  }
  const welcome = welcomeAdmission(core, from, spec.body.owner);
  // No answer: the sponsor asks again, with growing pauses, when others have gone.
  if (welcome === 'later') return refuse(core, from, 'over-limit', false);
  if (welcome === 'full') {
    return send(core, from, { type: 'not-admitted', job, refusal: { code: 'store-full' } });
  }
  const vote = admissionVote(core, admission);
  persist(core, { table: 'records', job, key: 'spec', value: { record: spec, votes: [] } });
  persist(core, {
    table: 'records',
    job,
    key: 'pending',
    value: { record: admission, votes: [vote] },
  });
  core.keeping.pending.set(job, {
    spec,
    admission,
    vote,
    from,
    since: core.now,
    credible: isCredible(core, from, admission.body),
    votes: new Map([[core.self, vote]]),
    askedAt: core.now,
    askAt: after(core.now, ORPHAN_MS),
    back: new Set(),
  });
  core.timers.set(`pending:${job}`, after(core.now, ORPHAN_MS));
  send(core, from, { type: 'admitted', job, vote });
}

/** It names this node with the store that it has; who asks is told when not, also where the job is known here. */
function mayVoteFor(core: With<'keeping'>, from: NodeId, { body }: Signed<'admission'>): boolean {
  const { job } = body;
  const named = body.keepers.some(({ node }) => node === core.self);
  if (!named) refuse(core, from, 'not-keeper', false);
  if (!named || asKeeper(core, firstOf(body))) return named;
  // For good: who asks would ask in vain for as long as the job is valid.
  send(core, from, { type: 'not-admitted', job, refusal: noSay(core, job) });
  return false;
}

/** Its time is over, or too far ahead, by this clock: who asks cannot know that. */
function tellTime(core: Node, from: NodeId, { body }: Signed<'spec'>): void {
  const refusal = { code: 'wrong-time', notAfter: body.notAfter, wall: wallMs(core) } as const;
  send(core, from, { type: 'not-admitted', job: body.job, refusal });
}

/**
 * Nobody activated the job: its sponsor may be gone, and the other keepers may never have heard of it.
 * Hand it to them as the sponsor would; W votes activate it.
 */
export function tickPending(core: With<'mesh' | 'keeping' | 'executing'>, job: JobId): void {
  const pending = core.keeping.pending.get(job);
  if (pending === undefined) return;
  const age = core.now - pending.since;
  // Who activates it later brings everything that is needed, and whoever voted for it once may vote for
  // it again: its sponsor is the only one who can make an admission of this id, and makes one.
  const validMs = pending.credible ? CREDIBLE_MS : PENDING_MS;
  if (age >= validMs || pending.spec.body.notAfter < wallMs(core)) return dropPending(core, job);
  if (activateByVotes(core, pending)) return;
  const all = core.now >= pending.askAt;
  for (const { node } of pending.admission.body.keepers) {
    if (node === core.self || pending.votes.has(node) || !(all || pending.back.has(node))) continue;
    send(core, node, { type: 'admit', spec: pending.spec, admission: pending.admission });
  }
  pending.askedAt = core.now;
  pending.back.clear();
  const pause = Math.min(Math.max(ORPHAN_MS, age), ORPHAN_MAX_MS);
  if (all) pending.askAt = after(core.now, Math.min(pause, validMs - age));
  core.timers.set(`pending:${job}`, pending.askAt);
}

/**
 * A node connected: what it voted for, or was not told of, does not wait out the rest of a long pause. Only it
 * is asked, and not oftener than at the beginning, however often it comes and goes.
 */
export function keeperIsBack(core: With<'keeping'>, node: NodeId): void {
  for (const [job, pending] of core.keeping.pending) {
    const named = pending.admission.body.keepers.some((keeper) => keeper.node === node);
    if (!named || pending.votes.has(node)) continue;
    pending.back.add(node);
    const soonest = after(pending.askedAt, ORPHAN_MS);
    core.timers.set(`pending:${job}`, soonest > core.now ? soonest : core.now);
  }
}

/** Its keepers are there, so that its activation may only be late. Who brings it does not vouch for itself. */
function isCredible(core: With<'mesh'>, from: NodeId, admission: AdmissionBody): boolean {
  const keepers = firstConfiguration(admission);
  const there = keeperNodes(keepers).filter(
    (node) => node === core.self || (node !== from && reached(core, node)),
  );
  return isQuorum(keepers, there);
}

function dropPending(core: With<'keeping'>, job: JobId): void {
  core.keeping.pending.delete(job);
  persist(core, { table: 'records', job, key: 'pending', value: null });
  persist(core, { table: 'records', job, key: 'spec', value: null });
}

/** A co-keeper's vote for a job nobody activated. The sponsor's own collecting is in `sponsor.ts`. */
export function onCoVote(
  core: With<'mesh' | 'keeping' | 'executing'>,
  from: NodeId,
  message: Extract<Message, { type: 'admitted' }>,
): void {
  const pending = core.keeping.pending.get(message.job);
  if (pending === undefined || core.suite.nodeOf(message.vote.by) !== from) return;
  if (!validAdmissionVote(core, message.vote, pending.admission)) return;
  pending.votes.set(from, message.vote);
  activateByVotes(core, pending);
}

function activateByVotes(
  core: With<'mesh' | 'keeping' | 'executing'>,
  { spec, admission, votes, from }: PendingJob,
): boolean {
  if (!isQuorum(firstConfiguration(admission.body), votes.keys())) return false;
  const certified = { record: admission, votes: [...votes.values()] };
  activate(core, from, spec, { admission: certified });
  return true;
}

export function onActivate(
  core: With<'mesh' | 'keeping' | 'executing'>,
  from: NodeId,
  message: Extract<Message, { type: 'activate' }>,
): void {
  const { spec, admission } = message;
  const { job } = spec.body;
  const kept = core.keeping.kept.get(job);
  if (kept === undefined && !isOver(core, job, spec.body.version)) {
    const verdict = checkActivation(core.suite, spec, message, wallMs(core));
    if (verdict !== 'good') return refuse(core, from, verdict.code, verdict.fault);
    if (!isProven(core.suite, message)) return refuse(core, from, 'bad-certificate', false);
    if (!asKeeper(core, chainOf(message))) return refuse(core, from, 'not-keeper', false);
    const voted = core.keeping.pending.get(job)?.admission.id;
    if (voted !== undefined && voted !== admission.record.id) {
      return refuse(core, from, 'contradiction', false);
    }
    // Not promised, and no room: the sponsor asks again, and later the job's leader does.
    if (voted === undefined && shut(core) !== null) return;
    if (voted === undefined && !hasRoom(core, from, spec)) {
      return refuse(core, from, 'over-limit', false);
    }
    activate(core, from, spec, message);
  } else if (kept !== undefined) {
    takeBranch(core, from, kept, message.configs ?? [], message.version);
    takeVersion(core, from, kept, message);
  }
  send(core, from, { type: 'activated', job });
}

/** Which version a job has that goes on here; that it is one is proven like all that was decided. */
export function takeVersion(
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  kept: KeptJob,
  { version }: Versioned,
): void {
  if (version === undefined || kept.ledger.version?.record.id === version.record.id) return;
  if (checkCommitted(core.suite, kept.ledger, version) !== 'good') return;
  if (mayReopen(core, from, kept)) learn(core, kept, version);
  else refuse(core, from, 'over-limit', false);
}

/** Somebody proves which version the job has. */
export function onVersionLearned(
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  kept: KeptJob,
  { version, configs }: Extract<Message, { type: 'version' }>,
): void {
  takeBranch(core, from, kept, configs ?? [], version);
  takeVersion(core, from, kept, { version });
}

/** A job that others voted for fills the books of this keeper no less than one that it voted for. */
export const hasRoom = (
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  spec: Signed<'spec'>,
): boolean =>
  liveJobs(core) < core.config.limits.jobsMax &&
  !tooLong(spec, wallMs(core)) &&
  welcomeAdmission(core, from, spec.body.owner) === 'good';

export function activate(
  core: With<'mesh' | 'keeping' | 'executing'>,
  from: NodeId,
  spec: Signed<'spec'>,
  { admission, configs = [], version }: Roots & Versioned,
): void {
  const { job } = spec.body;
  const pending = core.keeping.pending.get(job);
  if (core.keeping.pending.delete(job))
    persist(core, { table: 'records', job, key: 'pending', value: null });
  persist(core, { table: 'records', job, key: 'spec', value: { record: spec, votes: [] } });
  persist(core, {
    table: 'records',
    job,
    key: 'admission',
    value: { record: admission.record, votes: admission.votes },
  });
  takeDownSubmission(core, job);
  const ledger = createLedger(spec, admission);
  const kept = keep(core, ledger);
  kept.broughtBy = bringerOf(core, from);
  for (const config of configs) learn(core, kept, config);
  if (version !== undefined) learn(core, kept, version);
  takeObeyed(core, kept);
  // However long ago they changed, it is no news here.
  kept.changedAt = null;
  note(core, 'job.activated', { job, rank: rankOf(currentOf(ledger), core.self) });
  // Of a later configuration the leader was elected.
  const isFirst =
    configs.length === 0 &&
    version === undefined &&
    sameEpoch(kept.promised, firstEpoch(currentOf(ledger)));
  if (isFirst && kept.promised.leader === core.self) leadFirstEpoch(core, kept);
  core.timers.set('leaders', after(core.now, LEAD_CHECK_MS));
  countAge(core, kept);
  // It was away, or was not told: the others may be far ahead, and whom it takes for the leader may be gone.
  if (isFirst && (pending === undefined || core.now - pending.since < ORPHAN_MS)) return;
  for (const node of keeperNodes(currentOf(ledger)))
    if (node !== core.self) send(core, node, { type: 'status-wanted', jobs: [job] });
}

/** Puts a job into this node's keeping; also used when it is read back from disk. */
export function keep(core: With<'mesh' | 'keeping'>, ledger: Ledger): KeptJob {
  const promised = firstEpoch(ledger.configurations[0]);
  const kept: KeptJob = {
    ledger,
    first: { epoch: promised, at: core.now },
    promised,
    seen: promised,
    accepted: new Map(),
    votedBefore: new Map(),
    broughtBy: '',
    activatedAt: core.now,
    isResumed: false,
    lead: null,
    candidateAt: null,
    tries: 0,
    outdated: new Map(),
    askers: new Set(),
    isTurned: false,
    turnedAt: asMillis(Number.NEGATIVE_INFINITY),
    over: new Set(),
    endedAt: null,
    oversight: newOversight(core.now),
    closedAt: null,
    changedAt: null,
    pastGrownBytes: 0,
    agreedTo: null,
    orphanedAt: null,
    intactSince: null,
    touchedAt: core.now,
    elsewhere: new Map(),
    round: createRound(core.now),
    yieldedAt: asMillis(Number.NEGATIVE_INFINITY),
    reseeding: null,
    boundAt: asMillis(Number.NEGATIVE_INFINITY),
    keepersAskedAt: null,
    forfeited: new Set(),
    guestAt: core.now,
    unsaved: false,
    held: null,
    missing: null,
    fetching: null,
  };
  core.keeping.kept.set(ledger.job, kept);
  return kept;
}
