/**
 * Answering announcements: a bid with a hold on resources, or a refusal with its
 * reasons. A node that is only busy remembers the job and bids when resources are free again.
 */
import { BID_EXECUTIONS_MAX } from '../contract/limits.ts';
import { busyHeld, expireHolds, freeNow, holdUntil, releaseHold } from './capacity.ts';
import { shut } from '../node/door.ts';
import { busyRefusals, refusalsFor } from './eligibility.ts';
import type { JobId, Millis, NodeId } from '../record/ids.ts';
import type { Announcement, Message } from '../contract/messages.ts';
import type { Refusal } from '../record/refusals.ts';
import type { Certified, SpecBody } from '../record/records.ts';
import { howOften, takenBy, times } from './resources.ts';
import type { Hold } from './state.ts';
import { beginQueued } from '../executing/queue.ts';
import { send, wallMs } from '../node/outbox.ts';
import { remember } from '../node/remember.ts';
import { holdUnused, roomFor } from '../mesh/welcome.ts';
import type { With } from '../node/state.ts';

/** Jobs remembered while this node is busy, and announcements waiting for their spec: of all, of one leader. */
const WISHES_MAX = 2_000;
const WISHES_PER_LEADER_MAX = 256;

/**
 * Remembers an announcement; of those like it, and of all, the oldest make room. One that is repeated keeps
 * its place: otherwise whoever comes last would always be served first.
 */
export function rememberOf<T extends Announcement>(
  map: Map<JobId, T>,
  announcement: T,
  alike: (other: T) => boolean,
): void {
  if (map.has(announcement.job)) {
    map.set(announcement.job, announcement);
    return;
  }
  if (map.size >= WISHES_PER_LEADER_MAX) {
    let oldest: JobId | null = null;
    let count = 0;
    for (const other of map.values()) {
      if (!alike(other)) continue;
      oldest ??= other.job;
      count += 1;
    }
    if (oldest !== null && count >= WISHES_PER_LEADER_MAX) map.delete(oldest);
  }
  remember(map, announcement.job, announcement, WISHES_MAX);
}

export function answer(
  core: With<'mesh' | 'placing' | 'executing'>,
  announcement: Announcement,
  spec: SpecBody,
  direct: boolean,
): void {
  const { job, version, round, leader, need, notAgain } = announcement;
  const decline = (refusals: readonly Refusal[]): void =>
    send(core, leader, { type: 'decline', job, version, round, refusals });
  const { profile } = core;
  if (profile === null) return;
  const lasting = refusalsFor(profile, spec);
  const closed = shut(core);
  if (lasting.length > 0 && closed?.code !== 'draining') return decline(lasting);
  const wish = (): void =>
    rememberOf(core.placing.wishes, announcement, (other) => other.leader === leader);
  if (closed !== null) {
    if (lasting.length === 0) wish();
    return decline([closed]);
  }
  // A node that failed this job already bids only when the leader asks again and again.
  if (notAgain.includes(core.self) && round < 2) return;
  const before = releaseHold(core, job);
  const { owner } = spec;
  const wanted = takenBy(spec.spec.Task, profile.overheads);
  const free = roomFor(core, { owner, leader }, wanted);
  const executions = howOften(
    wanted,
    free,
    Math.min(Math.max(1, need), spec.spec.Count, BID_EXECUTIONS_MAX),
  );
  if (executions === 0) {
    if (before !== null) holdUnused(core, before);
    wish();
    return decline(busyRefusals(wanted, free));
  }
  core.placing.wishes.delete(job);
  const resources = times(wanted, executions);
  const until = holdUntil(core);
  const since = core.now;
  const firstAt = firstOf(core, before, leader);
  core.placing.holds.set(job, {
    job,
    version,
    owner,
    resources,
    since,
    firstAt,
    until,
    leader,
    direct,
    more: executions < need ? { ...announcement, need: need - executions } : null,
  });
  core.timers.set('holds', until);
  send(core, leader, {
    type: 'bid',
    job,
    version,
    round,
    free: freeNow(core),
    capacity: profile.capacity,
    executions,
    running: busyHeld(core).running,
    locality: localityOf(core, spec),
  });
}

/**
 * What was held is taken up. A job with many executions goes on with the room that is left, or as soon as
 * there is some: it does not wait for the next announcement.
 */
export function bidOn(core: With<'mesh' | 'placing' | 'executing'>, { more, leader }: Hold): void {
  if (more === null) return;
  rememberOf(core.placing.wishes, more, (other) => other.leader === leader);
  reconsider(core);
}

/** A hold asked for again and again is one that was not used in time. */
function firstOf(core: With<'mesh'>, before: Hold | null, leader: NodeId): Millis {
  if (before === null || before.leader !== leader) return core.now;
  if (core.now - before.firstAt < core.config.limits.bidTtlMs) return before.firstAt;
  holdUnused(core, before);
  return core.now;
}

/** Share of the job's IPFS inputs that are complete on this node, 0 … 1. */
function localityOf(core: With<'placing'>, spec: SpecBody): number {
  const cids = spec.spec.Task.InputSources.filter((input) => input.Source.Type === 'ipfs').map(
    // Of a path below a CID: whether its root is here, which is what is known.
    (input) => String(input.Source.Params['CID'] ?? '').replace(/\/.*$/, ''),
  );
  if (cids.length === 0) return 0;
  return cids.filter((cid) => core.placing.local.has(cid)).length / cids.length;
}

/** The leader that a hold was made for needs nobody now. */
export function onBidClosed(
  core: With<'mesh' | 'placing' | 'executing'>,
  from: NodeId,
  message: Extract<Message, { type: 'bid-closed' }>,
): void {
  const { job } = message;
  if (core.placing.wishes.get(job)?.leader === from) core.placing.wishes.delete(job);
  if (core.placing.holds.get(job)?.leader === from) giveBack(core, job);
}

/** Gossip says the job is closed: believed when the leader it was held for signed the close. */
export function onCloseHeard(
  core: With<'mesh' | 'placing' | 'executing'>,
  close: Certified<'close'>,
): void {
  const { job } = close.record.body;
  const leader = core.placing.holds.get(job)?.leader ?? core.placing.wishes.get(job)?.leader;
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
export function dropInterest(core: With<'mesh' | 'placing' | 'executing'>, job: JobId): void {
  core.placing.wishes.delete(job);
  core.placing.awaitingSpec.delete(job);
  giveBack(core, job);
}

function giveBack(core: With<'mesh' | 'placing' | 'executing'>, job: JobId): void {
  const hold = releaseHold(core, job);
  if (hold === null) return;
  holdUnused(core, hold);
  reconsider(core);
}

export function tickHolds(core: With<'mesh' | 'placing' | 'executing'>): void {
  const expired = expireHolds(core);
  for (const hold of expired) holdUnused(core, hold);
  if (expired.length > 0) reconsider(core);
}

/** Resources are free again: begin what waits for them here, then bid for the jobs that do, by priority and then age. */
export function reconsider(core: With<'mesh' | 'placing' | 'executing'>): void {
  beginQueued(core);
  if (core.placing.wishes.size === 0 || shut(core) !== null) return;
  let free = freeNow(core);
  for (const announcement of byPriority(core.placing.wishes.values())) {
    core.atHand = announcement.job;
    if (free.cpuMillis === 0 && free.memoryBytes === 0) return;
    const { spec } = announcement;
    if (spec === null || spec.body.notAfter < wallMs(core)) {
      core.placing.wishes.delete(announcement.job);
      continue;
    }
    const wanted = takenBy(spec.body.spec.Task, core.profile?.overheads ?? {});
    // What is free decides first: it is the cheaper question.
    if (howOften(wanted, free, 1) === 0) continue;
    const room = roomFor(core, { owner: spec.body.owner, leader: announcement.leader }, wanted);
    if (howOften(wanted, room, 1) === 0) continue;
    answer(core, announcement, spec.body, false);
    free = freeNow(core);
  }
}

/** Those of one priority in the order in which they came: dates in specs are their owners' word. */
const byPriority = (wishes: Iterable<Announcement>): readonly Announcement[] =>
  [...wishes].sort((first, second) => priorityOf(second) - priorityOf(first));
const priorityOf = ({ spec }: Announcement): number => spec?.body.spec.Priority ?? 0;
