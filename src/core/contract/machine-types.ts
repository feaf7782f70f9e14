/**
 * The door of the core: everything that can happen to a node (Input) and everything the world must
 * then do (Effect). Closed unions; the driver in `src/node` and the simulator are the only two that
 * perform effects. Types only.
 */
import type { Job, JobType, Resources } from '../../job/model.ts';
import type { ExecutionOrder, Phase, RunEvent } from '../record/execution.ts';
import type {
  ExecutionId,
  Hlc,
  JobId,
  Millis,
  NodeId,
  PublicKey,
  RequestId,
  StoreId,
} from '../record/ids.ts';
import type {
  Answer,
  Gossip,
  JobRecords,
  JobState,
  ListedJob,
  Message,
  Query,
} from './messages.ts';
import type { AnyRecord, Certified, Epoch, RecordType, Signed, Slot } from '../record/records.ts';
import type { SlotValue } from './messages.ts';
import type { Refusal } from '../record/refusals.ts';

/** What this node offers; the driver sends a new one whenever it changes. */
export interface Profile {
  readonly labels: Readonly<Record<string, string>>;
  readonly engines: Readonly<
    Record<string, { readonly available: boolean; readonly detail: string }>
  >;
  readonly publishers: readonly string[];
  readonly sources: readonly string[];
  readonly capacity: Resources;
  /** Bytes of memory that one execution of an engine takes beside what its job asks for. */
  readonly overheads: Readonly<Record<string, number>>;
  readonly addresses: readonly string[];
  readonly software: string;
  /** Network types a job may have here, with the reason for each that it may not. */
  readonly networks: Readonly<
    Record<string, { readonly allowed: boolean; readonly detail: string }>
  >;
  /** Host paths a job may read (`:ro`) or write (`:rw`): doublestar globs, as Bacalhau's `AllowListedLocalPaths`. */
  readonly allowedPaths: readonly string[];
  /** Variables of this process that a job may ask for with `env:NAME` (patterns, `*` = anything). */
  readonly allowedEnv: readonly string[];
  /** Addresses of this machine that ports of jobs may be published on. */
  readonly portAddresses: readonly string[];
  readonly policy: ExecutorPolicy;
}

/** The executor's right to refuse (protocol part 11). Empty allow list = everyone. */
export interface ExecutorPolicy {
  readonly allowOwners: readonly PublicKey[];
  readonly denyOwners: readonly PublicKey[];
  readonly allowNamespaces: readonly string[];
  readonly denyNamespaces: readonly string[];
  /** Prefixes of image references; empty = all. */
  readonly allowImages: readonly string[];
  /** Registries, `host` or `host:port`, that images may be pulled from though they are not public. */
  readonly privateRegistries: readonly string[];
  /** True while the operator drains the node: it takes nothing new. */
  readonly draining: boolean;
}

export type Input =
  | { readonly type: 'message'; readonly from: NodeId; readonly message: Message }
  | { readonly type: 'gossip'; readonly from: NodeId; readonly gossip: Gossip }
  /** The timer of `nextWake` rang. */
  | { readonly type: 'wake' }
  | { readonly type: 'profile'; readonly profile: Profile }
  | { readonly type: 'peer-connected'; readonly node: NodeId }
  /** The host at the other end of a connection, as this end sees it; comes before `peer-connected`. */
  | { readonly type: 'peer-host'; readonly node: NodeId; readonly host: string }
  /** A hint: the last connection closed. */
  | { readonly type: 'peer-disconnected'; readonly node: NodeId }
  /** A message could not be handed over. */
  | { readonly type: 'unreachable'; readonly node: NodeId }
  | {
      readonly type: 'submit';
      readonly request: RequestId;
      readonly spec: Job;
      /** 32 random hex digits, or the hash of the client's idempotency token. */
      readonly nonce: string;
      /** Wall clock, milliseconds. */
      readonly notAfter: number;
    }
  | {
      readonly type: 'stop';
      readonly request: RequestId;
      readonly job: JobId;
      readonly reason: string;
    }
  | { readonly type: 'query'; readonly request: RequestId; readonly query: Query }
  | { readonly type: 'run-event'; readonly execution: ExecutionId; readonly event: RunEvent }
  | {
      readonly type: 'replicated';
      readonly execution: ExecutionId;
      readonly cid: string;
      readonly done: boolean;
    }
  /** A DAG is complete here (or no longer); makes bids for jobs that read it more attractive. */
  | { readonly type: 'content'; readonly cid: string; readonly local: boolean }
  /** What the disk says of a job that an effect `reload` asked for. */
  | { readonly type: 'reload'; readonly job: JobId; readonly rows: Restored }
  /** The disk has too little room left for anything new, or has room again. */
  | { readonly type: 'disk'; readonly full: boolean }
  /** Begin to leave: take nothing new, tell the others. */
  | { readonly type: 'drain' };

/** A row of the durable store. `null` as value deletes. Keys are unique within a table. */
export type StoreWrite =
  /** A record of a job's ledger; certificates are stored with it. */
  | {
      readonly table: 'records';
      readonly job: JobId;
      readonly key: string;
      readonly value: StoredRecord | null;
    }
  /** Keeper: the highest epoch promised. */
  | {
      readonly table: 'promises';
      readonly job: JobId;
      readonly key: string;
      readonly value: Epoch | null;
    }
  /** Keeper: what was accepted in a slot. */
  | {
      readonly table: 'accepted';
      readonly job: JobId;
      readonly key: Slot;
      readonly value: { readonly epoch: Epoch; readonly value: SlotValue } | null;
    }
  /** Executor: an execution of this node, from before it starts until it is forgotten. */
  | {
      readonly table: 'executions';
      readonly job: JobId;
      readonly key: ExecutionId;
      readonly value: StoredExecution | null;
    }
  /** Sponsor: an admission under way. */
  | {
      readonly table: 'submissions';
      readonly job: JobId;
      readonly key: string;
      readonly value: StoredSubmission | null;
    };

export interface StoredRecord {
  readonly record: AnyRecord;
  /** Keeper signatures, when it is a committed fact. */
  readonly votes: readonly Signed<'vote'>[];
}

export interface StoredExecution {
  readonly order: ExecutionOrder;
  readonly assign: Certified<'assign'>;
  readonly admission: Certified<'admission'>;
  /** The last state this node signed. */
  readonly state: Signed<'state'>;
}

export interface StoredSubmission {
  readonly spec: Signed<'spec'>;
  readonly admission: Signed<'admission'>;
}

/** Everything a node had on disk when it started. */
export interface Restored {
  readonly records: readonly {
    readonly job: JobId;
    readonly key: string;
    readonly value: StoredRecord;
  }[];
  readonly promises: readonly { readonly job: JobId; readonly value: Epoch }[];
  readonly accepted: readonly {
    readonly job: JobId;
    readonly key: Slot;
    readonly value: { readonly epoch: Epoch; readonly value: SlotValue };
  }[];
  readonly executions: readonly StoredExecution[];
  readonly submissions: readonly StoredSubmission[];
}

/** The answer to a local request. */
export type Reply =
  | {
      readonly type: 'accepted';
      readonly job: JobId;
      readonly version: number;
      readonly receipt: Certified<'admission'>;
      readonly again: boolean;
    }
  | { readonly type: 'stopping'; readonly job: JobId }
  | { readonly type: 'answer'; readonly answer: Extract<Answer, { readonly type: 'job' }> }
  | { readonly type: 'listed'; readonly jobs: readonly ListedJob[] }
  | { readonly type: 'failed'; readonly problem: Problem };

/** Why a local request could not be carried out; `node/` turns it into a `ShoalError`. */
export type Problem =
  | { readonly code: 'job-not-found'; readonly ref: string }
  | { readonly code: 'job-ambiguous'; readonly ref: string; readonly candidates: readonly JobId[] }
  | { readonly code: 'job-terminal'; readonly job: JobId; readonly state: string }
  | { readonly code: 'not-owner'; readonly job: JobId; readonly owner: PublicKey }
  | {
      readonly code: 'keepers-unreachable';
      readonly job: JobId;
      readonly reached: number;
      readonly needed: number;
    }
  | { readonly code: 'not-admitted'; readonly job: JobId; readonly refusal: Refusal }
  | { readonly code: 'spec-too-large'; readonly bytes: number; readonly maxBytes: number }
  | { readonly code: 'unsupported-job-type'; readonly jobType: JobType }
  | { readonly code: 'draining' }
  /** A fault of the program; the log of the node says more. */
  | { readonly code: 'internal'; readonly what: string }
  | { readonly code: 'store-full' };

export type Effect =
  /** A barrier: nothing after it in this list leaves the process before it is on disk. */
  | { readonly type: 'persist'; readonly writes: readonly StoreWrite[] }
  | { readonly type: 'send'; readonly to: NodeId; readonly message: Message }
  | { readonly type: 'gossip'; readonly gossip: Gossip }
  /** Carry out this execution; events come back as `run-event`. `resume`: it may be running already. */
  | { readonly type: 'run'; readonly order: ExecutionOrder; readonly resume: boolean }
  | { readonly type: 'cancel-run'; readonly execution: ExecutionId; readonly why: string }
  /** The execution is over and reported: its working files may go after the retention time. */
  | { readonly type: 'forget-run'; readonly execution: ExecutionId }
  /** Fetch this DAG from one of the holders, pin it, report `replicated`. */
  | {
      readonly type: 'replicate';
      readonly execution: ExecutionId;
      readonly cid: string;
      readonly holders: readonly NodeId[];
      /** More than this is not fetched. */
      readonly maxBytes: number;
    }
  | { readonly type: 'reply'; readonly request: RequestId; readonly reply: Reply }
  /** Remote input was refused: counted, and with `fault` held against the sender, who is then its author. */
  | {
      readonly type: 'refuse';
      readonly from: NodeId;
      readonly code: RefuseCode;
      readonly fault: boolean;
    }
  /** A step broke off by a fault of the program; it cost that step, and what was known of `job`. */
  | {
      readonly type: 'defect';
      readonly where: string;
      readonly job: JobId | null;
      /** With its stack. */
      readonly error: string;
    }
  /**
   * Hand in what the disk has of this job as the next input of all; comes last, so that every write
   * before it is among that.
   */
  | { readonly type: 'reload'; readonly job: JobId }
  /** Something an operator may want to see; a constant name and its data. */
  | {
      readonly type: 'note';
      readonly event: NoteEvent;
      readonly data: Readonly<Record<string, string | number>>;
    };

export type RefuseCode =
  | 'bad-signature'
  | 'wrong-signer'
  | 'expired'
  | 'clock-skew'
  | 'bad-certificate'
  | 'not-keeper'
  | 'outdated-epoch'
  | 'unknown-job'
  /** Nobody this node has reached or been told of. */
  | 'unknown-node'
  | 'contradiction'
  /** The job inside breaks the rules of `src/job`. */
  | 'spec-invalid'
  | 'over-limit';

export type NoteEvent =
  | 'job.submitted'
  | 'job.admitted'
  | 'job.activated'
  | 'job.leading'
  | 'job.stepped-down'
  | 'job.assigned'
  | 'job.attempt-failed'
  | 'job.accepted'
  | 'job.closed'
  | 'job.set-aside'
  | 'execution.accepted'
  | 'execution.phase'
  | 'execution.cancelled'
  | 'peer.suspect'
  | 'peer.dead'
  | 'loop.lagged';

/** Constants of one node. */
export interface MachineConfig {
  readonly node: NodeId;
  readonly store: StoreId;
  readonly limits: Limits;
}

/** Times in milliseconds, sizes in bytes. Defaults and reasons: `limits.ts`. */
export interface Limits {
  readonly keepersMax: number;
  readonly admitTimeoutMs: number;
  readonly bidTtlMs: number;
  readonly bidWindowMs: number;
  readonly startTimeoutMs: number;
  readonly leaseRenewMs: number;
  readonly leaseLostMs: number;
  readonly probeMs: number;
  readonly probeTimeoutMs: number;
  readonly suspectMs: number;
  readonly resendMs: number;
  /** Attempts of one partition that may fail or be lost before the job fails. */
  readonly maxAttempts: number;
  /** Attempts of one partition that may come to nothing (never started) beside those. */
  readonly maxMisses: number;
  readonly retryBackoffMs: number;
  readonly advertMinMs: number;
  readonly leaderGapMs: number;
  readonly leaderAloneMs: number;
  readonly announceSpecMaxBytes: number;
  readonly replicateTimeoutMs: number;
  readonly jobsMax: number;
  /** Ledgers of closed jobs kept, whatever their age. */
  readonly closedJobsMax: number;
  readonly retentionMs: number;
}

/**
 * What a checker or a status page may see of a node. Derived on demand; nothing in it can be used to
 * change the node.
 */
export interface Inspection {
  readonly node: NodeId;
  readonly store: StoreId;
  readonly jobs: readonly JobInspection[];
  readonly executions: readonly ExecutionInspection[];
  readonly capacity: Resources;
  /** Reserved by executions that are not terminal. */
  readonly reserved: Resources;
  /** Held for bids. */
  readonly held: Resources;
  readonly holds: readonly {
    readonly job: JobId;
    readonly since: Millis;
    readonly until: Millis;
  }[];
  readonly members: number;
  /** Jobs on this node's disk that cannot be handled, and are not looked at until the next start. */
  readonly setAside: readonly { readonly job: JobId; readonly why: string }[];
  readonly refused: Readonly<Partial<Record<RefuseCode, number>>>;
}

export interface JobInspection {
  readonly job: JobId;
  /** This node is one of its keepers. */
  readonly keeper: boolean;
  /** The epoch this node leads now; null when it does not. */
  readonly leading: Epoch | null;
  /** Keeper: the highest epoch promised or accepted. */
  readonly promised: Epoch | null;
  readonly state: JobState;
  /** Everything this node knows for certain about the job. */
  readonly records: JobRecords;
}

export interface ExecutionInspection {
  readonly job: JobId;
  readonly execution: ExecutionId;
  readonly partition: number;
  readonly attempt: number;
  readonly phase: Phase;
  readonly epoch: Epoch;
}

/** Another node as this one sees it. */
export interface Sighting {
  readonly advert: Signed<'advert'>;
  readonly connected: boolean;
  /** Since it was last heard, milliseconds. */
  readonly silentMs: number;
}

export interface Machine {
  /**
   * One input in, everything the world must now do out. Synchronous. Never throws: what cannot be
   * handled is dropped and told as `defect`.
   */
  handle(input: Input, now: Millis, wall: Hlc): readonly Effect[];
  /** When to be woken at the latest; null = only by input. The driver keeps exactly one timer. */
  nextWake(): Millis | null;
  inspect(): Inspection;
  /** Where the result of an execution lies, as far as this node keeps its job. */
  resultOf(execution: ExecutionId): { readonly cid: string; readonly node: NodeId } | null;
  /** Entries of everything this node remembers, by name. */
  sizes(): Readonly<Record<string, number>>;
  /** How much this node has to do; cheap. */
  load(): {
    readonly jobsKept: number;
    readonly executions: number;
    readonly jobsSetAside: number;
  };
  /** The other nodes, and this node's own advert once it has a profile. */
  sightings(): readonly Sighting[];
}

export type { AnyRecord, RecordType };
