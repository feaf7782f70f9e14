/**
 * How far this node is behind with what others say: their messages lie here for a while before they are
 * handled, so who seems silent may have spoken. While it is behind it accuses nobody.
 *
 * A flood of one peer makes only its own messages wait, so what counts is how long those of two had to, one
 * after the other; and what was excused is not excused again soon, so that a node which stays behind, or is
 * made to again and again, still sees who is gone.
 */
import { asMillis } from '../record/ids.ts';
import type { Millis, NodeId } from '../record/ids.ts';
import type { With } from '../node/state.ts';

/** This node's own loop was late by more than this, or is behind by it: its clock says nothing about others. */
export const LAG_MS = 1_000;

/** What was excused may be again after this many times as long: so much slower a node is that many flood. */
const AGAIN = 10;

export interface Backlog {
  /** Whose message was handled last, when, and how long it had waited. */
  from: NodeId | null;
  at: Millis;
  waitedMs: number;
  behindMs: number;
  /** Of this the silence of others was excused. */
  excusedMs: number;
}

export const createBacklog = (): Backlog => ({
  from: null,
  at: asMillis(0),
  waitedMs: 0,
  behindMs: 0,
  excusedMs: 0,
});

/**
 * A message is handled now that arrived `waitedMs` ago.
 * @returns by how much this node has fallen behind since the last time, at least `LAG_MS`; or 0.
 */
export function fellBehind(core: With<'mesh'>, from: NodeId, waitedMs: number): number {
  const { backlog } = core.mesh;
  const other = from === backlog.from ? backlog.behindMs : backlog.waitedMs;
  backlog.behindMs = Math.min(other, waitedMs);
  backlog.excusedMs = Math.max(0, backlog.excusedMs - (core.now - backlog.at) / AGAIN);
  backlog.from = from;
  backlog.at = core.now;
  backlog.waitedMs = waitedMs;
  const grownMs = backlog.behindMs - backlog.excusedMs;
  if (grownMs < LAG_MS) return 0;
  backlog.excusedMs = backlog.behindMs;
  return grownMs;
}

/** 0 while nothing waits: then messages are not handled one upon the other. */
export const behindMs = (core: With<'mesh'>): number =>
  core.now - core.mesh.backlog.at < LAG_MS ? core.mesh.backlog.behindMs : 0;

export const isBehind = (core: With<'mesh'>): boolean => behindMs(core) >= LAG_MS;
