/** What a leader knows of its job beside the ledger. All of it is lost with the leadership, and may be. */
import type { Candidacy, Commits } from '../consensus/state.ts';
import type { Seeking } from '../placing/state.ts';
import type { Repeat } from '../node/repeat.ts';
import type { ExecutionId, Millis, NodeId } from '../record/ids.ts';
import type { Certified, Epoch, Signed } from '../record/records.ts';

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

/** What a leader has seen of its executions. */
export interface Watch {
  /** Assigned executions whose node has not said `started` yet. */
  readonly starting: Map<ExecutionId, Starting>;
  /** When this leader first saw an execution assigned; its time limit counts from here. */
  readonly seenAt: Map<ExecutionId, Millis>;
  /** Last sign of life of an execution. */
  readonly heard: Map<ExecutionId, Millis>;
  readonly givenUp: Map<ExecutionId, GivenUp>;
  /** When this leader first saw that an execution had failed; the back-off counts from here. */
  readonly failedAt: Map<ExecutionId, Millis>;
  /** Executors that were told who leads. */
  readonly introduced: Set<ExecutionId>;
  /** Executions told to stop because another result was accepted. */
  readonly cancelled: Set<ExecutionId>;
}

export const createWatch = (): Watch => ({
  starting: new Map(),
  seenAt: new Map(),
  heard: new Map(),
  givenUp: new Map(),
  failedAt: new Map(),
  introduced: new Set(),
  cancelled: new Set(),
});

/** Second copies of results, before and after they are accepted. */
export interface Copies {
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
}

/** One leadership, or a try at one: each part of it belongs to those who work with it. */
export interface Lead {
  readonly epoch: Epoch;
  /** `preparing`: collecting promises; `confirming`: asking whether the epoch still stands. */
  mode: 'preparing' | 'leading' | 'confirming';
  /** Signed when promises are first asked for; the first epoch needs none. */
  grant: Signed<'grant'> | null;
  /** When this candidacy or leadership began. */
  readonly since: Millis;
  readonly candidacy: Candidacy;
  readonly commits: Commits;
  readonly seeking: Seeking;
  readonly watch: Watch;
  readonly copies: Copies;
  /** Once the close is committed: executors that still have to hear of it, and how long they are told. */
  closing: {
    readonly nodes: Set<NodeId>;
    readonly until: Millis;
    readonly resend: Repeat;
  } | null;
}
