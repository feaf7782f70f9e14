/** What a leader knows of its job beside the ledger. All of it is lost with the leadership, and may be. */
import type { Candidacy, Commits } from '../consensus/state.ts';
import type { Outlook } from './outlook.ts';
import type { Seeking } from '../placing/state.ts';
import type { Repeat } from '../node/repeat.ts';
import type { ExecutionId, Millis, NodeId } from '../record/ids.ts';
import type { Certified, Epoch, ReplacedFor, Signed } from '../record/records.ts';

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

/** What a leader has seen of one execution. */
export interface Watched {
  readonly assign: Certified<'assign'>;
  /** When this leader first saw it assigned, or last in a queue of its node; its time limit counts from here. */
  firstAt: Millis;
  /** It counts as lost from here on, unless it is heard before. */
  silentAt: Millis;
  /** Until when its node must say that it started; null once it need not. */
  startBy: Millis | null;
  /** When the assignment is sent, and sent again, while that is awaited. */
  sendAt: Millis;
  /** Why it was given up; null while it may live. Who is heard again may live again. */
  gaveUp: Exclude<ReplacedFor, 'failed'> | null;
  /** When it was heard again after it was given up; null when it never was. */
  backAt: Millis | null;
  /** When this leader first saw that it had failed, or of what does not end that it is over; the back-off counts from here. */
  failedAt: Millis | null;
}

export type Watch = Map<ExecutionId, Watched>;

/** An accepted result whose holders have still to be told, and until when they are. */
export interface Entrusting {
  readonly accept: Certified<'accept'>;
  readonly nodes: Set<NodeId>;
  readonly until: Millis;
  readonly resend: Repeat;
}

/** A configuration that may be proposed when enough of those who would vote for it agree. */
export interface Succession {
  readonly next: Signed<'config'>;
  readonly agreed: Set<NodeId>;
  readonly since: Millis;
  readonly resend: Repeat;
}

/** A job that goes over to another version, replica by replica. */
export interface Rolling {
  /** The replica whose turn it is: until the new one has come up, whatever becomes of the one before it. */
  readonly turn: number;
  isOver: boolean;
  /** Those of which one of a version before runs, and that have to wait. */
  readonly held: ReadonlySet<number>;
  readonly since: Millis;
  /** What runs in its place since then; null: nothing. */
  up: string | null;
  upSince: Millis;
}

/** A keeper that asks for the promises of the others. */
export interface Candidate {
  readonly stage: 'candidate';
  /** The job's version that it wants to lead. */
  readonly version: number;
  readonly epoch: Epoch;
  readonly since: Millis;
  readonly candidacy: Candidacy;
}

/** A keeper that leads: each part of it belongs to those who work with it. */
export interface Leader {
  readonly stage: 'leader';
  /** The job's version that it leads. */
  readonly version: number;
  readonly epoch: Epoch;
  readonly since: Millis;
  /** Signed when promises are first asked for; the first epoch needs none. */
  grant: Signed<'grant'> | null;
  /** While it asks whether its epoch still stands: it decides nothing then. */
  confirming: Candidacy | null;
  /** null: all replicas are of this version. */
  rolling: Rolling | null;
  /** Versions before of which no replica is left, and how many executions of each were known then: an event costs no more for them. */
  readonly gone: Map<number, number>;
  /** How often a change of keepers hung, in this configuration. */
  hung: number;
  /** A change of keepers that it has in mind. */
  change: Succession | null;
  /** When each keeper last asked whether this node leads the job: who has lost the job does not. */
  readonly askedBy: Map<NodeId, Millis>;
  readonly commits: Commits;
  readonly seeking: Seeking;
  readonly watch: Watch;
  /** Those of them that were still to begin when last looked at. */
  readonly starting: Set<Watched>;
  readonly outlook: Outlook;
  /** Executions whose node was told to stop, because another result was accepted. */
  readonly cancelled: Set<ExecutionId>;
  /** Second copies of results that are not accepted yet. */
  readonly replications: Map<ExecutionId, Replication>;
  readonly entrusting: Map<ExecutionId, Entrusting>;
}

/** The close is committed: everybody concerned has to hear of it. */
export interface Closing {
  readonly stage: 'closing';
  readonly epoch: Epoch;
  readonly commits: Commits;
  readonly entrusting: Map<ExecutionId, Entrusting>;
  /** Executors that still have to hear of it, and how long they are told. */
  readonly nodes: Set<NodeId>;
  readonly until: Millis;
  readonly resend: Repeat;
}

/** One leadership from the first call for promises to the last word of its job's end. */
export type Lead = Candidate | Leader | Closing;

/** The leadership of a keeper that is sure of it; null when it does not lead, or has to ask first. */
export const leaderIn = (lead: Lead | null): Leader | null =>
  lead?.stage === 'leader' && lead.confirming === null ? lead : null;
