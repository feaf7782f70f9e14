/**
 * What a keeper demands of the leader of a job: that it shows again and again that it leads this job,
 * and that it does what is due. That it lives is another matter (`mesh/detector.ts`). Whoever fails
 * loses the job to the next keeper, and is not followed again for a while by those who saw it.
 */
import { after } from '../record/ids.ts';
import type { Millis, NodeId } from '../record/ids.ts';
import type { Node, With } from '../node/state.ts';
import { heardWithin } from '../mesh/reach.ts';
import { currentOf } from '../record/chain.ts';
import { isQuorum, members } from '../record/keeper-set.ts';
import type { Keeper } from '../record/records.ts';
import { eachKept } from './books.ts';
import type { KeptJob } from './state.ts';
import { workDue } from './duty.ts';

/** What a keeper remembers of the leaders of a job. */
export interface Oversight {
  /** When the node believed to lead last showed that it leads this job, or came to be believed so. */
  shownAt: Millis;
  /** When this keeper last looked for work that the leader leaves undone. */
  lookedAt: Millis;
  /** Since when it has been seen to leave something undone; null while it does not. */
  dueSince: Millis | null;
  /** Keepers that failed as leaders, how often, and until when they get no promise here. */
  readonly shunned: Map<NodeId, { readonly until: Millis; readonly times: number }>;
}

/** A leader shows itself with every proposal, or when asked. */
export const LEAD_CHECK_MS = 10_000;
/**
 * Until then it must have shown itself. It is asked some six times before that, so that lost messages
 * alone overthrow nobody; a dead leader is found sooner, by the probes.
 */
const SILENT_MS = 20_000;
/** Between two looks for work left undone: each costs a plan of the job. */
const LOOK_MS = 20_000;
/** Keepers speak to each other every ten seconds at least. */
const THERE_MS = 30_000;
/** No promise for who failed as leader, at first and at most; doubles. It may have been slow only. */
const SHUN_MS = 60_000;
const SHUN_MAX_MS = 16 * SHUN_MS;

export const newOversight = (now: Millis): Oversight => ({
  shownAt: now,
  lookedAt: now,
  dueSince: null,
  shunned: new Map(),
});

/** The node believed to lead showed that it does. */
export function leaderShown(core: Node, kept: KeptJob): void {
  kept.oversight.shownAt = core.now;
}

/** Something was decided: the leader is not idle. */
export function workDone(kept: KeptJob): void {
  kept.oversight.dueSince = null;
}

/** Another node is believed to lead, or this one did not run for a while: nobody has failed yet. */
export function judgeAnew(core: Node, kept: KeptJob): void {
  const { oversight } = kept;
  oversight.shownAt = core.now;
  oversight.lookedAt = core.now;
  oversight.dueSince = null;
}

export function judgeAllAnew(core: With<'keeping'>): void {
  for (const kept of eachKept(core)) judgeAnew(core, kept);
}

/** It must be asked whether it leads: it has not shown itself lately. */
export const isOwing = (core: Node, { oversight }: KeptJob): boolean =>
  core.now - oversight.shownAt >= LEAD_CHECK_MS / 2;

/** It was asked and has not answered. */
export const isOverdue = (core: Node, { oversight }: KeptJob): boolean =>
  core.now - oversight.shownAt > LEAD_CHECK_MS;

/**
 * How the leader fails, if it does. `silent`: it speaks to this node, but never says that it leads the
 * job. Who cannot be heard at all is left to the probes, which ask others, too. `idle`: it leads, and
 * leaves undone what this node would do at once.
 */
export function failingOf(
  core: With<'mesh' | 'placing' | 'executing'>,
  kept: KeptJob,
  leader: NodeId,
): 'silent' | 'idle' | null {
  const { oversight } = kept;
  const heardAt = core.mesh.heardAt.get(leader) ?? null;
  const spoke = heardAt !== null && core.now - heardAt < LEAD_CHECK_MS;
  if (spoke && core.now - oversight.shownAt >= SILENT_MS) return 'silent';
  if (core.now - oversight.lookedAt >= LOOK_MS) {
    oversight.lookedAt = core.now;
    const patienceMs = workDue(core, kept);
    if (patienceMs === null) oversight.dueSince = null;
    else oversight.dueSince ??= core.now;
    if (oversight.dueSince !== null && core.now - oversight.dueSince >= (patienceMs ?? Infinity))
      return 'idle';
  }
  return null;
}

/** It failed as leader: the others are given time to do better. */
export function shun(core: Node, { oversight }: KeptJob, node: NodeId): void {
  const times = (oversight.shunned.get(node)?.times ?? 0) + 1;
  const until = after(core.now, Math.min(SHUN_MS * 2 ** (times - 1), SHUN_MAX_MS));
  oversight.shunned.set(node, { until, times });
}

/**
 * Whether it gets no promise: it failed as leader, and the others that are there are enough without it. Else all
 * that are there would shun each other for want of the one that none of them can do without.
 */
export function isShunned(core: With<'mesh'>, kept: KeptJob, node: NodeId): boolean {
  if (core.now >= (kept.oversight.shunned.get(node)?.until ?? 0)) return false;
  const configuration = currentOf(kept.ledger);
  const others = members(configuration)
    .filter((keeper) => keeper.node !== node && isThere(core, kept, keeper))
    .map((keeper) => keeper.node);
  return isQuorum(configuration, others);
}

/** It is heard, and has lost nothing of what it promised. */
export function isThere(
  core: With<'mesh'>,
  { forfeited }: KeptJob,
  { node, store }: Keeper,
): boolean {
  if (node === core.self) return true;
  if (core.mesh.watches.get(node)?.dead === true) return false;
  const known = core.mesh.members.get(node)?.advert.body.store ?? store;
  return heardWithin(core, node, THERE_MS) && known === store && !forfeited.has(store);
}
