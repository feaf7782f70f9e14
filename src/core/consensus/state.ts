/** What a candidate and a leader know of votes: promises on the way to office, proposals and commits in it. */
import type { AcceptedValue, SlotValue } from '../contract/messages.ts';
import type { Repeat } from '../node/repeat.ts';
import { toSay } from '../node/repeat.ts';
import type { Node } from '../node/state.ts';
import type { NodeId } from '../record/ids.ts';
import type { Signed, Slot } from '../record/records.ts';

/** What a keeper has told of what it promises. */
export interface Promised {
  readonly snapshot: string;
  readonly vote: Signed<'vote'>;
  readonly parts: Set<number>;
  readonly of: number;
}

/** A value this leader has proposed and not yet seen committed. */
export interface Proposal {
  readonly slot: Slot;
  readonly value: SlotValue;
  readonly states: readonly Signed<'state'>[];
  readonly commands: readonly Signed<'command'>[];
  readonly votes: Map<NodeId, Signed<'vote'>>;
}

/** What was promised so far to a node that stands for leader, or asks whether it still leads. */
export interface Candidacy {
  readonly grant: Signed<'grant'>;
  /** A promise is complete when all parts of one snapshot are here. */
  readonly promises: Map<NodeId, Promised>;
  /** The highest accepted value seen in promises, by slot. */
  readonly inherited: Map<Slot, AcceptedValue>;
  /** The call for promises. */
  readonly resend: Repeat;
}

export const createCandidacy = (core: Node, grant: Signed<'grant'>): Candidacy => ({
  grant,
  promises: new Map(),
  inherited: new Map(),
  resend: toSay(core),
});

/** What a leader has proposed and committed, and who has not answered yet. */
export interface Commits {
  readonly proposals: Map<Slot, Proposal>;
  /** Committed slots each keeper has not acknowledged yet. */
  readonly unacked: Map<NodeId, Set<Slot>>;
  /** Commits sent at least once, as `node|slot`. */
  readonly flushed: Set<string>;
  /** Proposals and commits that were not answered. */
  readonly resend: Repeat;
}

export const createCommits = (core: Node): Commits => ({
  proposals: new Map(),
  unacked: new Map(),
  flushed: new Set(),
  resend: toSay(core),
});
