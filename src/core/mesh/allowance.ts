/**
 * How much another node may ask for. Answers cost this node far more than the question costs the
 * asker, so each node has an allowance of points that fills up again with time; what goes beyond is
 * not answered, which an honest asker repeats later.
 */
import type { Millis, NodeId } from '../record/ids.ts';
import { refuse } from '../node/outbox.ts';
import { remember } from '../node/remember.ts';
import type { With } from '../node/state.ts';

export interface Allowance {
  readonly points: number;
  readonly at: Millis;
}

/** Forty clients of one peer that wait for jobs here ask 400 times a second: twice as much is free. */
const POINTS_PER_SECOND = 1_000;
const POINTS_MAX = 2_000;
/** A node that was away for two seconds has its full allowance anyway. */
const NODES_MAX = 4_096;

/** What reading a shelved job from disk costs, whoever asks for it. */
export const SHELVED_POINTS = 20;

/** Records that one point pays for: an answer of 700 of them is some 15 ms of work. */
const RECORDS_PER_POINT = 8;
/** All records of the largest job cost most of an allowance, and never more than there can be. */
const RECORDS_POINTS_MAX = 1_500;

/** What an answer costs beside the question when it carries so many records; nothing for a small job. */
export const pointsFor = (records: number): number =>
  Math.min(RECORDS_POINTS_MAX, Math.floor(records / RECORDS_PER_POINT));

/** Takes `points` from what this node may ask for. @returns false when nothing is to be answered */
export function allow(core: With<'mesh'>, from: NodeId, points: number): boolean {
  if (points === 0 || from === core.self) return true;
  const known = core.mesh.allowances.get(from);
  const gained =
    known === undefined ? POINTS_MAX : ((core.now - known.at) * POINTS_PER_SECOND) / 1_000;
  const left = Math.min(POINTS_MAX, (known?.points ?? 0) + gained) - points;
  if (left < 0) {
    refuse(core, from, 'over-limit', false);
    return false;
  }
  remember(core.mesh.allowances, from, { points: left, at: core.now }, NODES_MAX);
  return true;
}
