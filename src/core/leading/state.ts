/** What a leader knows of its job beside the ledger. All of it is lost with the leadership, and may be. */
import type { Repeat } from '../node/repeat.ts';
import type { AcceptedValue, SlotValue } from '../contract/messages.ts';
import type { Member } from '../mesh/state.ts';
import type { Bid } from '../placing/state.ts';
import type { ExecutionId, Millis, NodeId } from '../record/ids.ts';
import type { Certified, Epoch, Signed, Slot } from '../record/records.ts';
import type { Refusal } from '../record/refusals.ts';

/** A value this leader has proposed and not yet seen committed. */
export interface Proposal {
  readonly slot: Slot;
  readonly value: SlotValue;
  readonly states: readonly Signed<'state'>[];
  readonly commands: readonly Signed<'command'>[];
  readonly votes: Map<NodeId, Signed<'vote'>>;
}

/** How far the second copy of a result is. */
export interface Replication {
  readonly cid: string;
  /** The node asked to make it now. */
  asked: NodeId | null;
  /** When another one is asked. */
  deadline: Millis;
  /** When it is asked, and asked again. */
  readonly resend: Repeat;
  /** Nodes that have made it. */
  readonly made: Set<NodeId>;
  /** Nodes that were asked and did not make it, in time or at all. */
  readonly failed: Set<NodeId>;
  /** How many of those had all their time. */
  late: number;
  /** Who found it nowhere, each time it was asked. */
  readonly missing: NodeId[];
}

/** An assignment that was committed; its node has not said `started` yet. */
export interface Starting {
  readonly assign: Certified<'assign'>;
  readonly deadline: Millis;
  resendAt: Millis;
}

/**
 * Why an execution was given up. `missed`: refused, or not taken up in time. `lost`: silent for a whole
 * lease, or nobody has its result. `overdue`: it renews, but ran for longer than it may.
 */
export type GivenUp = 'missed' | 'lost' | 'overdue';

/** What a keeper has told of what it promises. */
export interface Promised {
  readonly snapshot: string;
  readonly vote: Signed<'vote'>;
  readonly parts: Set<number>;
  readonly of: number;
}

/** One leadership, or a try at one. */
export interface Lead {
  readonly epoch: Epoch;
  /** `preparing`: collecting promises; `confirming`: asking whether the epoch still stands. */
  mode: 'preparing' | 'leading' | 'confirming';
  /** Signed when promises are first asked for; the first epoch needs none. */
  grant: Signed<'grant'> | null;
  /** When this candidacy or leadership began. */
  readonly since: Millis;
  /** A promise is complete when all parts of one snapshot are here. */
  readonly promises: Map<NodeId, Promised>;
  /** The highest accepted value seen in promises, by slot. */
  readonly inherited: Map<Slot, AcceptedValue>;
  readonly proposals: Map<Slot, Proposal>;
  /** Committed slots each keeper has not acknowledged yet. */
  readonly unacked: Map<NodeId, Set<Slot>>;
  /** Commits sent at least once, as `node|slot`. */
  readonly flushed: Set<string>;
  /** Proposals and commits that were not answered, or the call for promises. */
  readonly resend: Repeat;
  /** Rounds of bidding announced so far. */
  round: number;
  /** When the current round was announced; null while nobody is wanted. */
  announcedAt: Millis | null;
  nextRoundAt: Millis;
  /** The members that had not answered the current round were asked directly. */
  invited: boolean;
  /** Since when an execution has been wanting a node. */
  waitingSince: Millis | null;
  /** Executions wanting a node when last looked at. */
  open: number;
  readonly bids: Map<NodeId, Bid>;
  readonly declines: Map<NodeId, readonly Refusal[]>;
  /** One that could run it and has not answered, when that was last asked. */
  awaited: Member | null;
  /** Assigned executions whose node has not said `started` yet. */
  readonly starting: Map<ExecutionId, Starting>;
  /** When this leader first saw an execution assigned; its time limit counts from here. */
  readonly seenAt: Map<ExecutionId, Millis>;
  /** Last sign of life of an execution. */
  readonly heard: Map<ExecutionId, Millis>;
  readonly givenUp: Map<ExecutionId, GivenUp>;
  /** When this leader first saw that an execution had failed; the back-off counts from here. */
  readonly failedAt: Map<ExecutionId, Millis>;
  readonly replications: Map<ExecutionId, Replication>;
  /** Accepted results whose holders have still to be told, and until when they are. */
  readonly entrusting: Map<
    ExecutionId,
    {
      readonly accept: Certified<'accept'>;
      readonly nodes: Set<NodeId>;
      readonly until: Millis;
      readonly resend: Repeat;
    }
  >;
  /** Executors that were told who leads. */
  readonly introduced: Set<ExecutionId>;
  /** Executions told to stop because another result was accepted. */
  readonly cancelled: Set<ExecutionId>;
  /** Once the close is committed: executors that still have to hear of it, and how long they are told. */
  closing: {
    readonly nodes: Set<NodeId>;
    readonly until: Millis;
    readonly resend: Repeat;
  } | null;
}
