/**
 * Whether a result lies safely enough to be accepted: on as many nodes within reach as there shall be,
 * or on one where no other node would hold it. A result that nobody has is none.
 */
import { COPIES_WANTED } from '../contract/limits.ts';
import type { NodeId } from '../record/ids.ts';
import type { Replication } from './state.ts';

/** So many nodes are asked for the second copy: a result does not wait for ever for it. */
const ASKED_MAX = 8;
/** And no more when so many had their time and did not make it: a result waits for them first. */
export const LATE_MAX = 2;
/** Found nowhere so often, with a pause between: its executor does not have it, whatever it said. */
const MISSING_MAX = 2;

/** What the leader sees of the mesh. */
export interface Around {
  /** It can be asked for something now. */
  readonly near: (node: NodeId) => boolean;
  /** Nodes that may be asked to hold a copy, the best first. */
  readonly takers: () => readonly NodeId[];
}

/**
 * `safe`: to be accepted. `single`: to be copied first. `away`: whoever has it is out of reach. `gone`:
 * nobody has it.
 */
export type Safety = 'safe' | 'single' | 'away' | 'gone';

export function safetyOf(executor: NodeId, copy: Replication | undefined, around: Around): Safety {
  const made = [...(copy?.made ?? [])];
  const lost = made.length === 0 && (copy?.missing.length ?? 0) >= MISSING_MAX;
  const holders = [executor, ...made].filter(around.near).length;
  if (holders >= COPIES_WANTED) return 'safe';
  if (lost) return 'gone';
  if (holders === 0) return 'away';
  return nextTaker(executor, copy, around) === null ? 'safe' : 'single';
}

/** Who is asked for the copy: whoever is asked already, or the best of those who were not. */
export function nextTaker(
  executor: NodeId,
  copy: Replication | undefined,
  { near, takers }: Around,
): NodeId | null {
  if (copy === undefined) return takers().find((node) => node !== executor) ?? null;
  const { asked, failed, made, missing } = copy;
  if (asked !== null && near(asked)) return asked;
  if (failed.size >= ASKED_MAX || copy.late >= LATE_MAX) return null;
  const fresh = (node: NodeId): boolean =>
    node !== executor && node !== asked && !failed.has(node) && !made.has(node);
  const left = takers().filter(fresh);
  return left.find((node) => !missing.includes(node)) ?? left[0] ?? null;
}
