/**
 * Neighbours tell each other of the jobs that every node runs, on connecting and now and then one of them, so that a
 * node that comes later, or that gossip does not reach, learns of them from anybody: what is handed on is what was
 * announced, which proves itself. That a job ended travels the same way.
 */
import { LIVE_MAX, LIVE_WANTED_MAX } from '../contract/limits.ts';
import type { LiveLine, Message } from '../contract/messages.ts';
import { considerLive, takeUpLive } from '../executing/matching.ts';
import { endOf } from '../keeping/books.ts';
import { allow, pointsFor } from '../mesh/allowance.ts';
import { refuse, send, wallMs } from '../node/outbox.ts';
import { remember } from '../node/remember.ts';
import type { With } from '../node/state.ts';
import type { JobId, NodeId } from '../record/ids.ts';
import { checkProof, withSpec } from './announcements.ts';
import { hasEnded, isEverywhere, isNews, lookAgain, rememberLive } from './live.ts';

/** Of an allowance: a list makes this node look each line up; a spec may be 64 KiB, and the proof of an end has all its votes. */
const LINES_PER_POINT = 64;
const JOB_POINTS = 5;

type Live = With<'mesh' | 'keeping' | 'placing' | 'executing'>;

/** By timer: one neighbour is told what goes on, and what this node could not take up before is looked at again. */
export function tickLive(core: Live): void {
  const { live } = core.placing;
  for (const [job, { spec }] of live)
    if (spec.body.notAfter < wallMs(core) || hasEnded(core, spec.body)) live.delete(job);
  if (live.size === 0) return;
  considerLive(core);
  const neighbours = [...core.mesh.connected];
  const draw = core.suite.hash(`neighbour|${core.self}|${core.now}`).slice(0, 8);
  const one = neighbours[Number.parseInt(draw, 16) % Math.max(1, neighbours.length)];
  if (one !== undefined) tellLive(core, one);
  lookAgain(core);
}

/** A neighbour learns what goes on; it asks for what it lacks. */
export function tellLive(core: With<'placing'>, node: NodeId): void {
  const jobs = [...core.placing.live.values()].map(
    ({ announcement: { job, version }, epoch }): LiveLine => ({ job, version, epoch }),
  );
  if (jobs.length > 0) send(core, node, { type: 'live', jobs });
}

export function onLive(
  core: Live,
  from: NodeId,
  { jobs }: Extract<Message, { type: 'live' }>,
): void {
  if (!allow(core, from, 1 + Math.floor(jobs.length / LINES_PER_POINT))) return;
  const wanted = new Set<JobId>();
  const told = new Set<JobId>();
  // Of the rest the next list asks, or tells.
  for (const line of jobs) {
    const { job, version } = line;
    core.atHand = job;
    if (told.has(job)) continue;
    const end = endOf(core, job);
    if (end !== null && end.close.record.body.version >= version) {
      if (told.size >= LIVE_WANTED_MAX) continue;
      if (!allow(core, from, JOB_POINTS + pointsFor(end.configs?.length ?? 0))) return;
      told.add(job);
      send(core, from, { type: 'closed', job, ...end });
    } else if (!hasEnded(core, line) && isNews(core, line) && wanted.size < LIVE_WANTED_MAX)
      wanted.add(job);
  }
  for (const job of wanted) remember(core.placing.liveWanted, job, from, LIVE_MAX);
  if (wanted.size > 0) send(core, from, { type: 'live-wanted', jobs: [...wanted] });
}

export function onLiveWanted(
  core: With<'mesh' | 'placing'>,
  from: NodeId,
  { jobs }: Extract<Message, { type: 'live-wanted' }>,
): void {
  for (const job of jobs) {
    core.atHand = job;
    const live = core.placing.live.get(job);
    if (live === undefined) continue;
    if (!allow(core, from, JOB_POINTS)) return;
    send(core, from, { type: 'live-job', announcement: live.announcement });
  }
}

export function onLiveJob(
  core: Live,
  from: NodeId,
  { announcement }: Extract<Message, { type: 'live-job' }>,
): void {
  const { job } = announcement;
  const { spec } = withSpec(core, announcement);
  if (core.placing.liveWanted.get(job) !== from) return;
  core.placing.liveWanted.delete(job);
  if (spec === null || !isEverywhere(spec)) return refuse(core, from, 'contradiction', true);
  // Whoever hands it on has looked into it.
  const verdict = checkProof(core, announcement, spec);
  if (verdict !== 'good') return refuse(core, from, verdict.code, verdict.fault);
  const live = rememberLive(core, announcement, spec);
  if (live !== null) takeUpLive(core, live);
}
