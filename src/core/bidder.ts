/**
 * Answering announcements (protocol part 5.3): a bid with a hold on resources, or a refusal with its
 * reasons. A node that is only busy remembers the job and bids when resources are free again.
 */
import { expireHolds, freeNow, holdUntil, releaseHold } from './capacity.ts';
import { busyRefusals, refusalsFor } from './eligibility.ts';
import type { JobId, NodeId } from './ids.ts';
import { memberCount } from './members.ts';
import type { Announcement, Message } from './messages.ts';
import type { Refusal } from './refusals.ts';
import type { Certified, Signed, SpecBody } from './records.ts';
import { howOften, minus, times } from './resources.ts';
import { drawn } from './sortition.ts';
import type { Core } from './state.ts';
import { refuse, remember, send, wallMs } from './state.ts';
import { checkSpec } from './verify.ts';

/** Jobs remembered while this node is busy, and announcements waiting for their spec. */
const wishesMax = 2_000;
/** A bid offers at most this many executions at once, so that one job does not hold a whole node. */
const slotsMax = 16;

/** By gossip: only the nodes drawn answer. Directly (`invited`): always. */
export function onAnnouncement(
  core: Core,
  from: NodeId,
  announcement: Announcement,
  invited: boolean,
): void {
  const { job, version, round, need, spec, leader } = announcement;
  const close = core.closed.get(job);
  if (close !== undefined) return send(core, leader, { type: 'closed', job, close });
  if (core.profile === null) return;
  const lot = { job, version, round, need };
  if (!invited && !drawn(core.suite, lot, core.self, memberCount(core))) return;
  const known = spec ?? core.kept.get(job)?.ledger.spec ?? null;
  if (known === null) {
    remember(core.awaitingSpec, job, announcement, wishesMax);
    return send(core, leader, { type: 'spec-wanted', job, version });
  }
  const verdict = checkSpec(core.suite, known, wallMs(core));
  if (verdict !== 'good') return refuse(core, from, verdict.code, verdict.fault);
  if (known.body.job !== job) return refuse(core, from, 'contradiction', true);
  answer(core, { ...announcement, spec: known }, known.body);
}

export function onSpec(core: Core, from: NodeId, spec: Signed<'spec'>): void {
  const announcement = core.awaitingSpec.get(spec.body.job);
  if (announcement === undefined) return;
  core.awaitingSpec.delete(spec.body.job);
  onAnnouncement(core, from, { ...announcement, spec }, true);
}

function answer(core: Core, announcement: Announcement, spec: SpecBody): void {
  const { job, version, round, leader, need, notAgain } = announcement;
  const decline = (refusals: readonly Refusal[]): void =>
    send(core, leader, { type: 'decline', job, version, round, refusals });
  const { profile } = core;
  if (profile === null) return;
  const lasting = refusalsFor(profile, spec);
  if (core.draining) return decline([{ code: 'draining' }]);
  if (lasting.length > 0) return decline(lasting);
  // A node that failed this job already bids only when the leader asks again and again.
  if (notAgain.includes(core.self) && round < 2) return;
  releaseHold(core, job);
  const wanted = spec.spec.Task.resources;
  const free = freeNow(core);
  const slots = howOften(wanted, free, Math.min(Math.max(1, need), slotsMax));
  if (slots === 0) {
    remember(core.wishes, job, announcement, wishesMax);
    return decline(busyRefusals(wanted, free));
  }
  core.wishes.delete(job);
  const resources = times(wanted, slots);
  const until = holdUntil(core);
  core.holds.set(job, { job, version, resources, since: core.now, until, leader });
  core.timers.set('holds', until);
  send(core, leader, {
    type: 'bid',
    job,
    version,
    round,
    free: minus(free, resources),
    capacity: profile.capacity,
    slots,
    running: core.executions.size,
    locality: localityOf(core, spec),
  });
}

/** Share of the job's IPFS inputs that are complete on this node, 0 … 1. */
function localityOf(core: Core, spec: SpecBody): number {
  const cids = spec.spec.Task.InputSources.filter((input) => input.Source.Type === 'ipfs').map(
    (input) => String(input.Source.Params['CID'] ?? ''),
  );
  if (cids.length === 0) return 0;
  return cids.filter((cid) => core.local.has(cid)).length / cids.length;
}

/** The leader that a hold was made for needs nobody now. */
export function onBidClosed(
  core: Core,
  from: NodeId,
  message: Extract<Message, { type: 'bid-closed' }>,
): void {
  const { job } = message;
  if (core.wishes.get(job)?.leader === from) core.wishes.delete(job);
  if (core.holds.get(job)?.leader === from && releaseHold(core, job)) reconsider(core);
}

/** Gossip says the job is closed: believed when the leader it was held for signed the close. */
export function onCloseHeard(core: Core, close: Certified<'close'>): void {
  const { job } = close.record.body;
  const leader = core.holds.get(job)?.leader ?? core.wishes.get(job)?.leader;
  const signed = close.votes.some(
    (vote) =>
      core.suite.nodeOf(vote.by) === leader &&
      vote.body.of === close.record.id &&
      vote.body.job === job &&
      core.suite.verify(vote),
  );
  if (signed) dropInterest(core, job);
}

/** A job ended or found its nodes: nothing of it is held here. */
export function dropInterest(core: Core, job: JobId): void {
  core.wishes.delete(job);
  core.awaitingSpec.delete(job);
  if (releaseHold(core, job)) reconsider(core);
}

export function tickHolds(core: Core): void {
  if (expireHolds(core)) reconsider(core);
}

/** Resources are free again: bid for the jobs that were waiting for them, oldest first. */
export function reconsider(core: Core): void {
  if (core.wishes.size === 0 || core.draining) return;
  for (const announcement of [...core.wishes.values()]) {
    core.atHand = announcement.job;
    const free = freeNow(core);
    if (free.cpuMillis === 0 && free.memoryBytes === 0) return;
    const { spec } = announcement;
    if (spec === null || spec.body.notAfter < wallMs(core)) {
      core.wishes.delete(announcement.job);
      continue;
    }
    if (howOften(spec.body.spec.Task.resources, free, 1) > 0) answer(core, announcement, spec.body);
  }
}
