/**
 * What nodes say to each other. Every message is one-way and idempotent: the sender repeats it until
 * it has seen the effect, the receiver may get it twice or late. The channel (Noise) tells who sent
 * it; whatever outlives the channel is a signed record inside. Types only.
 */
import type { Resources } from '../../job/model.ts';
import type { ExecutionId, JobId, NodeId, PublicKey, RecordId, RequestId } from '../record/ids.ts';
import type { Refusal } from '../record/refusals.ts';
import type { Changes, Roots } from '../record/chain.ts';
import type { Opaque } from '../record/opaque.ts';
import type {
  AnyRecord,
  Certified,
  Committed,
  ConfigId,
  Epoch,
  Signed,
  Slot,
} from '../record/records.ts';

/** A value proposed for a slot, or accepted there. */
export type SlotValue = { readonly [T in Committed]: Signed<T> }[Committed];
export type CertifiedValue = { readonly [T in Committed]: Certified<T> }[Committed];
/** What was committed of a version of the job; its keepers are those of all versions. */
export type CertifiedResult = Exclude<CertifiedValue, Certified<'config'>>;

/** What a keeper has accepted in a slot and under which ballot. */
export interface AcceptedValue {
  readonly slot: Slot;
  readonly epoch: Epoch;
  readonly value: SlotValue;
}

/** Records of one job as they are handed over: everything needed to rebuild its ledger. */
export interface JobRecords extends Roots {
  readonly spec: Signed<'spec'>;
  readonly grant: Certified<'grant'> | null;
  readonly commands: readonly Signed<'command'>[];
  readonly committed: readonly CertifiedResult[];
  readonly states: readonly Signed<'state'>[];
  /** Of later versions; absent when there are none. */
  readonly more?: readonly Opaque[];
}

/**
 * What a keeper has of a job at one moment. The chunks are equal where two keepers have the same facts;
 * `snapshot` names all of it in the order in which its pages have it. 32 hex digits each.
 */
export interface Digest {
  /** Of the job: of another one there is nothing to compare. */
  readonly version: number;
  readonly snapshot: string;
  /** Of groups of neighbouring partitions, and last of what concerns none. */
  readonly chunks: readonly string[];
}

/** A part of a chunk of a snapshot; those before `from` are in other pages. */
export interface Page {
  readonly job: JobId;
  readonly snapshot: string;
  readonly chunk: number;
  readonly from: number;
  /** Where the next page of this chunk begins; null for its last one. */
  readonly next: number | null;
  readonly committed: readonly CertifiedValue[];
  readonly accepted: readonly AcceptedValue[];
  readonly states: readonly Signed<'state'>[];
  readonly commands: readonly Signed<'command'>[];
  /** Of later versions; absent when there are none. */
  readonly more?: readonly Opaque[];
}

/** How a partition of a job that waits for nodes was answered. */
export interface WaitingView {
  readonly nodesKnown: number;
  readonly nodesAnswered: number;
  /** Each reason with the number of nodes that gave it; at most 20. */
  readonly refusals: readonly { readonly refusal: Refusal; readonly nodes: number }[];
  /** Partitions without a running or finished execution. */
  readonly partitionsWaiting: number;
  readonly keepersReached: number;
  readonly keepers: number;
}

/** What made the version of a spec the job's; absent for the first one, which was admitted. */
export interface Versioned {
  readonly version?: Certified<'version'>;
}

/** What the owner signed to be the next version; only what is committed is one. */
export interface Wanted {
  readonly spec: Signed<'spec'>;
  /** The version after it, should this one not come up; null: there is none. */
  readonly fallback: Signed<'spec'> | null;
}

/** What a neighbour knows of a job that goes on: the version, and the highest epoch that it has the proof of. */
export interface LiveLine {
  readonly job: JobId;
  readonly version: number;
  readonly epoch: Epoch;
}

/** How the copy of a result went; `missing`: none of its holders gave it. */
export type CopyOutcome = 'made' | 'refused' | 'missing';

export type Message =
  // — admission: sponsor and keepers; a keeper that waits in vain for `activate` sends `admit` to the others
  | {
      readonly type: 'admit';
      readonly spec: Signed<'spec'>;
      readonly admission: Signed<'admission'>;
    }
  | { readonly type: 'admitted'; readonly job: JobId; readonly vote: Signed<'vote'> }
  | { readonly type: 'not-admitted'; readonly job: JobId; readonly refusal: Refusal }
  | ({ readonly type: 'activate'; readonly spec: Signed<'spec'> } & Roots & Versioned)
  /** The keeper has the job, certified and on its disk. */
  | { readonly type: 'activated'; readonly job: JobId }
  /** You speak of a job that I should keep and do not have: send `activate`. */
  | { readonly type: 'job-wanted'; readonly job: JobId }
  /** The job you speak of is over, and I keep nothing of it any more, no proof either. */
  | { readonly type: 'over'; readonly job: JobId }
  // — bidding
  /** The announcement again, directly, to a node that gossip may have missed. */
  | { readonly type: 'invite'; readonly announcement: Announcement }
  // — jobs that every node runs for as long as they go on
  /** Neighbour to neighbour: these go on, as far as I know; what you lack you may ask me for. At most 512. */
  | { readonly type: 'live'; readonly jobs: readonly LiveLine[] }
  /** At most 64. */
  | { readonly type: 'live-wanted'; readonly jobs: readonly JobId[] }
  /** What was announced of it, with its spec and all that proves it; whoever hands it on need not lead it. */
  | { readonly type: 'live-job'; readonly announcement: Announcement }
  | { readonly type: 'spec-wanted'; readonly job: JobId; readonly version: number }
  | { readonly type: 'spec'; readonly spec: Signed<'spec'> }
  | {
      readonly type: 'bid';
      readonly job: JobId;
      readonly version: number;
      readonly round: number;
      /** Free after this hold. */
      readonly free: Resources;
      readonly capacity: Resources;
      /** How many executions of this job the node could take at once, this hold included; ≥ 1. */
      readonly executions: number;
      readonly running: number;
      /** 0 … 1: share of the inputs that are local. */
      readonly locality: number;
    }
  | {
      readonly type: 'decline';
      readonly job: JobId;
      readonly version: number;
      readonly round: number;
      readonly refusals: readonly Refusal[];
    }
  /** Leader to bidder: not you (now); the hold may go. */
  | { readonly type: 'bid-closed'; readonly job: JobId; readonly version: number }
  // — epochs and slots
  | { readonly type: 'prepare'; readonly job: JobId; readonly grant: Signed<'grant'> }
  | {
      readonly type: 'promise';
      readonly job: JobId;
      readonly epoch: Epoch;
      readonly vote: Signed<'vote'>;
      /** What this keeper's promise covers; the promise counts when all of it is at the candidate. */
      readonly digest: Digest;
    }
  /** The job is closed, and this is what I have of it. */
  | { readonly type: 'ledger'; readonly job: JobId; readonly digest: Digest }
  | {
      readonly type: 'page-wanted';
      readonly job: JobId;
      readonly snapshot: string;
      readonly chunk: number;
      readonly from: number;
    }
  | ({ readonly type: 'page' } & Page)
  | { readonly type: 'outdated'; readonly job: JobId; readonly promised: Epoch }
  | {
      readonly type: 'propose';
      readonly job: JobId;
      readonly epoch: Epoch;
      readonly values: readonly { readonly slot: Slot; readonly value: SlotValue }[];
      /** What the values rest on; the keeper stores it with them. */
      readonly states: readonly Signed<'state'>[];
      readonly commands: readonly Signed<'command'>[];
    }
  | { readonly type: 'voted'; readonly job: JobId; readonly votes: readonly Signed<'vote'>[] }
  | {
      readonly type: 'commit';
      readonly job: JobId;
      readonly values: readonly CertifiedValue[];
      /** Records of the job that a later version made; absent when there are none. */
      readonly more?: readonly Opaque[];
    }
  // — a change of keepers
  /** Leader to those that keep the job: would you vote for this configuration? */
  | { readonly type: 'change'; readonly job: JobId; readonly next: Signed<'config'> }
  /** The same to those that it names and that do not keep the job yet. */
  | ({
      readonly type: 'join';
      readonly spec: Signed<'spec'>;
      readonly next: Signed<'config'>;
    } & Roots &
      Versioned)
  /** The answer to both: yes, and also when it is proposed later. */
  | { readonly type: 'change-agreed'; readonly job: JobId; readonly of: RecordId }
  /** Of a job that was re-seeded: I go by these configurations; by which do you? */
  | ({ readonly type: 'branch'; readonly job: JobId; readonly turn: number } & Changes)
  /** The answer: by these, and whether I keep the job in the last of them and never missed a majority there. */
  | ({
      readonly type: 'branch-known';
      readonly job: JobId;
      readonly turn: number;
      readonly intact: boolean;
    } & Changes)
  /** These are on the keeper's disk. */
  | { readonly type: 'commit-ack'; readonly job: JobId; readonly slots: readonly Slot[] }
  // — leader and executor
  | ({
      readonly type: 'assign';
      readonly spec: Signed<'spec'>;
      readonly grant: Certified<'grant'> | null;
      readonly assigns: readonly Certified<'assign'>[];
      readonly holders: readonly NodeId[];
    } & Roots &
      Versioned)
  | { readonly type: 'started'; readonly job: JobId; readonly executions: readonly ExecutionId[] }
  | {
      readonly type: 'not-started';
      readonly job: JobId;
      readonly execution: ExecutionId;
      readonly refusals: readonly Refusal[];
    }
  | { readonly type: 'states'; readonly states: readonly Signed<'state'>[] }
  | {
      readonly type: 'states-ack';
      readonly seen: readonly { readonly execution: ExecutionId; readonly sequence: number }[];
    }
  /** Executor to leader, every 5 s: these still run. */
  | {
      readonly type: 'renew';
      readonly executions: readonly { readonly job: JobId; readonly execution: ExecutionId }[];
    }
  /** Leader to executor: heard; what is not in it is not mine to lead, or should not run (then a `cancel` comes). */
  | { readonly type: 'renewed'; readonly executions: readonly ExecutionId[] }
  /** Executor of an exclusive job to its keepers: may it run for the next 15 s, as far as you have voted? */
  | {
      readonly type: 'tenure-wanted';
      readonly job: JobId;
      readonly execution: ExecutionId;
      /** The keepers that are asked. */
      readonly config: ConfigId;
      /** Of this question; no other has it. */
      readonly turn: number;
    }
  /** Keeper to executor: yes. Who has voted for a later attempt says nothing. */
  | {
      readonly type: 'tenure';
      readonly job: JobId;
      readonly execution: ExecutionId;
      readonly config: ConfigId;
      readonly turn: number;
    }
  | ({
      readonly type: 'leads';
      readonly job: JobId;
      readonly epoch: Epoch;
      readonly grant: Certified<'grant'> | null;
    } & Changes)
  | ({
      readonly type: 'cancel';
      readonly job: JobId;
      readonly execution: ExecutionId;
      /** What makes it right: the close, or another accepted result of the partition, or a later attempt. */
      readonly because: CertifiedValue;
    } & Changes)
  /** The executor may forget: the job is closed and what it reported is in the ledger. */
  | ({ readonly type: 'closed'; readonly job: JobId; readonly close: Certified<'close'> } & Changes)
  /** The executor knows it, or has nothing of the job. */
  | { readonly type: 'closed-ack'; readonly job: JobId; readonly version: number }
  // — results
  | ({
      readonly type: 'replicate';
      readonly spec: Signed<'spec'>;
      readonly grant: Certified<'grant'> | null;
      /** How the execution ended, as its node signed it: it names the content. */
      readonly state: Signed<'state'>;
      /** Who has it; at most 8. */
      readonly holders: readonly NodeId[];
    } & Roots)
  /**
   * Leader to the holders of an accepted result, a holder to whom it wants for another: look after it
   * together with these; fetch it from them first if it is not there.
   */
  | ({
      readonly type: 'entrust';
      readonly spec: Signed<'spec'>;
      readonly accept: Certified<'accept'>;
      /** All that have it; at most 8. */
      readonly holders: readonly NodeId[];
    } & Roots)
  /** The answer to both; a holder that has lost the result says `missing` unasked. */
  | {
      readonly type: 'replicated';
      readonly job: JobId;
      readonly execution: ExecutionId;
      readonly cid: string;
      readonly outcome: CopyOutcome;
    }
  // — versions of a job
  /** The owner's: this shall be the next version. To the keepers until one of them proves which is. */
  | ({ readonly type: 'update' } & Wanted & { readonly job: JobId })
  /** The job is at this version: to whoever speaks of an earlier one, or wants another. */
  | ({
      readonly type: 'version';
      readonly job: JobId;
      readonly version: Certified<'version'>;
    } & Changes)
  // — commands of the owner
  | { readonly type: 'command'; readonly command: Signed<'command'> }
  | { readonly type: 'command-ack'; readonly job: JobId; readonly command: RecordId }
  /** By the clock of this keeper the command and its job are no longer good. */
  | {
      readonly type: 'command-refused';
      readonly job: JobId;
      readonly command: RecordId;
      readonly refusal: Refusal;
    }
  // — keepers watch their leader
  /**
   * Keeper to leader every 10 s, and to the other keepers of a job whose end it heard by the way or that it comes to
   * late: how do these stand with you? At most 256. Answered by `leading` and `not-leading`; of closed jobs by what was
   * committed, or `over`.
   */
  | { readonly type: 'status-wanted'; readonly jobs: readonly JobId[] }
  /** Leader to keeper: of those asked about, these I lead, under this epoch. */
  | {
      readonly type: 'leading';
      readonly jobs: readonly { readonly job: JobId; readonly epoch: Epoch }[];
    }
  /** Leader to keeper: of those asked about, these I do not lead. For closed ones a `commit` comes. */
  | { readonly type: 'not-leading'; readonly jobs: readonly JobId[] }
  // — membership: on connecting, so that nobody waits for the next gossip
  | { readonly type: 'advert'; readonly advert: Signed<'advert'> }
  // — liveness
  | { readonly type: 'ping'; readonly nonce: number }
  | { readonly type: 'pong'; readonly nonce: number }
  | { readonly type: 'ping-for-me'; readonly nonce: number; readonly target: NodeId }
  // — looking things up
  | { readonly type: 'find'; readonly request: RequestId; readonly query: Question }
  | { readonly type: 'found'; readonly request: RequestId; readonly answer: Answer };

export type MessageType = Message['type'];

/** What a person asks about jobs. */
export type Query =
  /** One job by id, unambiguous id prefix (`j-` and ≥ 4 hex digits) or name. */
  | {
      readonly type: 'job';
      readonly ref: string;
      readonly namespace: string;
      /** Of a large job: the first partition to be told of. */
      readonly from: number;
      /** An earlier version than the current one; absent: the current one. */
      readonly version?: number;
    }
  | { readonly type: 'jobs'; readonly namespace: string | null; readonly limit: number };

/** What nodes ask each other for it. */
export type Question =
  /** `owner`: whose jobs come first, when several fit. */
  | (Extract<Query, { type: 'job' }> & { readonly owner: PublicKey })
  | Extract<Query, { type: 'jobs' }>
  /** The specs behind lines of a list; at most 64. */
  | { readonly type: 'specs'; readonly jobs: readonly JobId[] };

export type Answer =
  | {
      readonly type: 'job';
      readonly records: JobRecords;
      readonly waiting: WaitingView | null;
      /** The first partition that the records do not tell of; null when they tell of all from the one asked for. */
      readonly next: number | null;
      /** Of an earlier version than the current one: which that is; absent otherwise. */
      readonly current?: number;
    }
  | { readonly type: 'ambiguous'; readonly jobs: readonly JobId[] }
  /** Not here, but one of these should know (leader first). */
  | { readonly type: 'elsewhere'; readonly job: JobId; readonly nodes: readonly NodeId[] }
  | { readonly type: 'none' }
  /** Only jobs that the answering node keeps. */
  | { readonly type: 'jobs'; readonly jobs: readonly JobSummary[] }
  | { readonly type: 'specs'; readonly specs: readonly Signed<'spec'>[] };

/** One line of a job list. */
export interface JobSummary {
  readonly job: JobId;
  readonly version: number;
  readonly name: string;
  readonly namespace: string;
  readonly jobType: string;
  readonly engine: string;
  readonly state: JobState;
  readonly count: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Wall clock, milliseconds. */
  readonly createdAt: number;
  readonly modifiedAt: number;
  /** As its end tells it, see `CloseBody`. */
  readonly exitCode?: number;
}

/** A line as it is shown here. */
export interface ListedJob extends JobSummary {
  /** This node keeps the job. Of others the spec was checked, but how far they are is hearsay. */
  readonly vouched: boolean;
}

/** As in Bacalhau, part 2.1 of its reference. */
export type JobState = 'Pending' | 'Queued' | 'Running' | 'Completed' | 'Failed' | 'Stopped';

/** What the leader tells everyone about a job that wants bids. */
export interface Announcement extends Roots {
  readonly job: JobId;
  readonly version: number;
  /** Proven by the records below: the first keeper, or the one whom W keepers granted a later epoch. */
  readonly leader: NodeId;
  readonly grant: Certified<'grant'> | null;
  readonly round: number;
  /** Executions wanted. */
  readonly need: number;
  /** The spec itself when it fits (≤ 16 KiB), else null: ask the leader with `spec-wanted`. Null where `decided` has it. */
  readonly spec: Signed<'spec'> | null;
  /** Of every version but the first: that it was decided, with its spec inside; absent when it does not fit. */
  readonly decided?: Certified<'version'>;
  /** Nodes that are not to bid: they failed this job already. At most 64. */
  readonly notAgain: readonly NodeId[];
}

/** What goes over gossip: hints, never the truth. */
export type Gossip =
  | { readonly type: 'announce'; readonly announcement: Announcement }
  | { readonly type: 'advert'; readonly advert: Signed<'advert'> }
  /** So that lists on other nodes are fresh, and holds are released early. */
  | { readonly type: 'closed'; readonly close: Certified<'close'>; readonly summary: JobSummary };

export type GossipType = Gossip['type'];

/** For lists of records that travel one by one. */
export type { AnyRecord };
