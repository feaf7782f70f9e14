/** What a candidate and a leader know of votes: promises on the way to office, proposals and commits in it. */
import type { AcceptedValue, Digest, SlotValue } from '../contract/messages.ts';
import type { Repeat } from '../node/repeat.ts';
import { toSay } from '../node/repeat.ts';
import type { Node } from '../node/state.ts';
import type { Millis, NodeId, RecordId } from '../record/ids.ts';
import type { Pull } from './snapshot.ts';
import type { Signed, Slot } from '../record/records.ts';

/** What a keeper promised; it counts when all that it covers is here. */
export interface Promised {
  readonly vote: Signed<'vote'>;
  /** What it had then. */
  readonly digest: Digest;
  readonly pull: Pull;
  /** Changes of keepers that it told of as accepted. */
  readonly changes: Set<RecordId>;
}

/** A value this leader has proposed and not yet seen committed. */
export interface Proposal {
  readonly slot: Slot;
  readonly value: SlotValue;
  readonly states: readonly Signed<'state'>[];
  readonly commands: readonly Signed<'command'>[];
  readonly votes: Map<NodeId, Signed<'vote'>>;
  readonly since: Millis;
}

/** What was promised so far to a node that stands for leader, or asks whether it still leads. */
export interface Candidacy {
  readonly grant: Signed<'grant'>;
  readonly since: Millis;
  readonly promises: Map<NodeId, Promised>;
  /** When the last page of a promise came. */
  heardAt: Millis;
  /** The highest accepted value seen in promises, by slot. */
  readonly inherited: Map<Slot, AcceptedValue>;
  /** The call for promises. */
  readonly resend: Repeat;
}

export const createCandidacy = (core: Node, grant: Signed<'grant'>): Candidacy => ({
  grant,
  since: core.now,
  promises: new Map(),
  heardAt: core.now,
  inherited: new Map(),
  resend: toSay(core),
});

/** What a leader has proposed and committed, and who has not answered yet. */
export interface Commits {
  readonly proposals: Map<Slot, Proposal>;
  /** Those of them that were taken over with the office: an earlier leader may have committed them. */
  readonly inherited: Set<Slot>;
  /** Committed slots each keeper has not acknowledged yet, in their order, and whether they were sent. */
  readonly unacked: Map<NodeId, Map<Slot, boolean>>;
  /** Proposals and commits that were not answered. */
  readonly resend: Repeat;
}

export const createCommits = (core: Node): Commits => ({
  proposals: new Map(),
  inherited: new Set(),
  unacked: new Map(),
  resend: toSay(core),
});
