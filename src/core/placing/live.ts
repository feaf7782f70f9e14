/**
 * Jobs that every node which matches runs for as long as they go on: each node remembers those that it has heard of,
 * whether it runs them or not, as they were announced and proven, so that it can hand them on (`handing-on.ts`).
 */
import { JOB_TYPES } from '../../job/types.ts';
import { LIVE_MAX } from '../contract/limits.ts';
import type { Announcement, LiveLine } from '../contract/messages.ts';
import type { StoredExecution } from '../contract/stored.ts';
import { isDone } from '../executing/done.ts';
import { isOver } from '../keeping/shelf.ts';
import type { Node, With } from '../node/state.ts';
import { compareEpochs } from '../record/ballot.ts';
import { chainOf, rootsOf } from '../record/chain.ts';
import { after } from '../record/ids.ts';
import type { JobId, PublicKey } from '../record/ids.ts';
import type { Certified, Signed } from '../record/records.ts';
import { ENROLLED_MAX } from '../record/slot.ts';
import { checkCommitted, grantedEpoch } from '../record/verify.ts';
import type { LiveJob } from './state.ts';

/** Of one other owner, so that he alone pushes nobody out. */
const LIVE_PER_OWNER_MAX = LIVE_MAX / 2;
/** Between two looks at the index, of which each tells one neighbour: as soon, and as late. */
const TELL_MIN_MS = 15_000;
const TELL_MAX_MS = 30_000;
/** It runs on every node, for as long as it goes on. */
export const isEverywhere = ({ body }: Signed<'spec'>): boolean => {
  const { counted, ends } = JOB_TYPES[body.spec.Type];
  return !counted && !ends;
};

/**
 * @param announcement proven, as its spec is; it is handed on with that in it
 * @returns what is known of it now; null when that is no more than before
 */
export function rememberLive(
  core: With<'keeping' | 'placing' | 'executing'>,
  announcement: Announcement,
  spec: Signed<'spec'>,
): LiveJob | null {
  const { job, version } = announcement;
  const epoch = grantedEpoch(chainOf(announcement), announcement.grant);
  if (!isNews(core, { job, version, epoch }) || hasEnded(core, { job, version })) return null;
  const told = { round: 0, need: ENROLLED_MAX, notAgain: [] };
  const inside = announcement.decided === undefined ? spec : null;
  const live: LiveJob = { announcement: { ...announcement, ...told, spec: inside }, spec, epoch };
  const { size } = core.placing.live;
  core.placing.live.set(job, live);
  if (core.placing.live.size > size) makeRoom(core, spec.body.owner);
  lookAgain(core);
  return live;
}

/** What this node runs it can tell others of, as its first leader announced it. */
export function recallLive(
  core: With<'keeping' | 'placing' | 'executing'>,
  stored: StoredExecution,
): void {
  const { spec } = stored;
  if (!isEverywhere(spec)) return;
  const { job, version } = spec.body;
  const { leader } = grantedEpoch(chainOf(stored), null);
  const announced = { job, version, leader, ...rootsOf(stored), grant: null, round: 0, need: 1 };
  const decided = stored.version === undefined ? {} : { decided: stored.version };
  rememberLive(core, { ...announced, spec, ...decided, notAgain: [] }, spec);
}

/** As far as this node knows, which may have run it and have forgotten the rest. */
export const hasEnded = (
  core: With<'keeping' | 'executing'>,
  line: Pick<LiveLine, 'job' | 'version'>,
): boolean => isOver(core, line.job, line.version) || isDone(core, line);

export function isNews({ placing }: With<'placing'>, { job, version, epoch }: LiveLine): boolean {
  const known = placing.live.get(job);
  if (known === undefined || version !== known.announcement.version)
    return known === undefined || version > known.announcement.version;
  return compareEpochs(epoch, known.epoch) > 0;
}

/** When the index is looked at again: another moment at each node. */
export function lookAgain(core: Node): void {
  const hex = core.suite.hash(`live|${core.self}|${core.now}`).slice(0, 8);
  const share = Number.parseInt(hex, 16) / 2 ** 32;
  const pauseMs = TELL_MIN_MS + share * (TELL_MAX_MS - TELL_MIN_MS);
  core.timers.set('live', after(core.now, pauseMs));
}

/**
 * The oldest of the owner that has most goes; what runs here and the own owner's last, as other owners are made up in
 * a moment.
 */
function makeRoom(core: With<'placing' | 'executing'>, newcomer: PublicKey): void {
  const { live } = core.placing;
  const here = runningHere(core);
  const ofNewcomer = [...live.values()].filter(({ spec }) => spec.body.owner === newcomer).length;
  if (newcomer !== core.suite.owner && ofNewcomer > LIVE_PER_OWNER_MAX)
    dropOldest(core, newcomer, here);
  if (live.size <= LIVE_MAX) return;
  const most = mostOf(core, (job) => !here.has(job)) ?? mostOf(core, () => true);
  dropOldest(core, most ?? core.suite.owner, here);
}

/** The other owner that has most of these; null when no other has any. */
function mostOf(
  { placing, suite }: With<'placing'>,
  which: (job: JobId) => boolean,
): PublicKey | null {
  const counts = new Map<PublicKey, number>();
  let most: PublicKey | null = null;
  for (const [job, { spec }] of placing.live) {
    const { owner } = spec.body;
    if (owner === suite.owner || !which(job)) continue;
    const count = (counts.get(owner) ?? 0) + 1;
    counts.set(owner, count);
    if (most === null || count > (counts.get(most) ?? 0)) most = owner;
  }
  return most;
}

/** What only waits here has not shown that it is worth more. */
const runningHere = ({ executing }: With<'executing'>): ReadonlySet<JobId> =>
  new Set(
    [...executing.own.values()].flatMap(({ stored: { order, queued } }) =>
      queued === true ? [] : [order.job],
    ),
  );

function dropOldest(core: With<'placing'>, owner: PublicKey, here: ReadonlySet<JobId>): void {
  let oldest: JobId | null = null;
  for (const [job, { spec }] of core.placing.live) {
    if (spec.body.owner !== owner) continue;
    oldest ??= job;
    if (here.has(job)) continue;
    oldest = job;
    break;
  }
  if (oldest !== null) core.placing.live.delete(oldest);
}

/** Whether these signatures prove the end of a job that this node has heard of and does not keep. */
export function endsLive(core: With<'placing'>, close: Certified<'close'>): boolean {
  const live = core.placing.live.get(close.record.body.job);
  return (
    live !== undefined && checkCommitted(core.suite, chainOf(live.announcement), close) === 'good'
  );
}

/** The job has ended in this version, or has one after it. */
export function dropLive({ placing }: With<'placing'>, job: JobId, version: number): void {
  const live = placing.live.get(job);
  if (live !== undefined && live.announcement.version <= version) placing.live.delete(job);
}
