/**
 * The signed records. Every fact of the mesh is one of these; state is what you get
 * by merging them. Types only: `p2p/wire/envelope.ts` turns them into canonical bytes and back, and
 * `suite.ts` signs and checks them.
 */
import type { Job, Resources } from '../../job/model.ts';
import type { ExecutionFailure, OutputHead, Phase, ResultRef, Usage } from './execution.ts';
import type { ExecutionId, Hlc, JobId, NodeId, PublicKey, RecordId, StoreId } from './ids.ts';

/**
 * The name of a configuration of a job; compared by major, then minor. The admission is (0, 0), and each is one minor
 * after the one before. A change of keepers leaves the major as it is; whoever re-seeds the job without a majority of
 * them makes another, higher one, which nobody makes for other keepers (`reseedId`).
 */
export interface ConfigId {
  readonly major: number;
  readonly minor: number;
}

/** A ballot; compared by config, then number, then leader. */
export interface Epoch {
  readonly config: ConfigId;
  readonly number: number;
  readonly leader: NodeId;
}

/** A keeper is a peer *and* its store: one that lost its disk is another keeper. */
export interface Keeper {
  readonly node: NodeId;
  readonly store: StoreId;
}

/** Who keeps a job from one change of its keepers to the next. `keeper-set.ts` answers all questions about it. */
export interface Configuration {
  readonly config: ConfigId;
  /** In rank order, 1 … 5. */
  readonly keepers: readonly Keeper[];
  /** Joint: all that kept the job before, of whom a majority must agree as well; else empty. */
  readonly former: readonly Keeper[];
  /** Of one that re-seeds the job: the configuration before it, of which a majority is gone for good. */
  readonly reseeds?: ConfigId;
}

export interface SpecBody {
  readonly job: JobId;
  readonly owner: PublicKey;
  readonly version: number;
  /** Random at submission, so that the same text submitted twice is two jobs. 32 hex digits. */
  readonly nonce: string;
  /** The node it was submitted through, which alone may admit it: so the keepers are rooted in the owner. */
  readonly sponsor: NodeId;
  readonly spec: Job;
  /** Wall clock, milliseconds; the record is refused everywhere after it. */
  readonly notAfter: number;
  /** Of every version but the first; with it the owner has signed that it may take the place of that one. */
  readonly follows?: Follows;
}

/** Why a version takes the place of another: its owner changed it, wants it once more, or wants that back which was before a change. */
export interface Follows {
  /** The spec of the version before. */
  readonly of: RecordId;
  readonly how: 'update' | 'rerun' | 'rollback';
  readonly reason: string;
}

export interface AdmissionBody {
  readonly job: JobId;
  readonly version: number;
  readonly spec: RecordId;
  /** Of configuration (0, 0), in rank order; the first one leads its epoch 0. Odd number, 1 … 5. */
  readonly keepers: readonly Keeper[];
  readonly sponsor: NodeId;
}

/** A later configuration, committed in its slot by those before it and its own, or by its own alone when it re-seeds the job. */
export interface ConfigBody extends Configuration {
  readonly job: JobId;
}

/** What a keeper's signature says: this store holds that record on disk (and, with an epoch, accepted it there). */
export interface VoteBody {
  readonly job: JobId;
  /** The record voted for. */
  readonly of: RecordId;
  /** The slot it was accepted in; `admission` and `grant` for those two. */
  readonly slot: Slot;
  readonly epoch: Epoch;
  readonly store: StoreId;
}

/**
 * A committed register of a job: `assign/<version>/<partition>/<attempt>`, `accept/<version>/<partition>`,
 * `close/<version>`, `version/<version>`, `config/<major>/<minor>`; one value each, for ever. `slot.ts` makes them.
 */
export type Slot =
  | 'admission'
  | 'grant'
  | `close/${number}`
  | `version/${number}`
  | `config/${number}/${number}`
  | `accept/${number}/${number}`
  | `assign/${number}/${number}/${number}`;

export interface CommandBody {
  readonly job: JobId;
  readonly sequence: number;
  /** Kebab-case. What kinds there are and what they mean is in `commands.ts`; one that is not there may have further fields. */
  readonly command: string;
  readonly reason: string;
  readonly notAfter: number;
  /** The version it is for, and those before; absent: the first. */
  readonly version?: number;
}

export interface GrantBody {
  readonly job: JobId;
  readonly epoch: Epoch;
}

/**
 * Why an attempt was given up and another one took its place. `failed`: its program did. `lost`: silent for
 * a whole lease, or nobody has its result. `missed`: refused, not taken up in time, or its node left.
 * `overdue`: it renews its lease, but ran for longer than it may. `surplus`: an older replica was back.
 */
export type ReplacedFor = 'failed' | 'lost' | 'missed' | 'overdue' | 'surplus';

/** A node runs this attempt; where each node decides for itself: it enrolled, and its result counts in this place. */
export interface AssignBody {
  readonly job: JobId;
  readonly version: number;
  readonly partition: number;
  readonly attempt: number;
  /** What became of the attempt before, so that every later leader counts it alike; null for the first. */
  readonly replaces: ReplacedFor | null;
  /** An earlier attempt whose execution goes on as this one, as it was only thought lost; null for a new one. */
  readonly adopts: number | null;
  /** Of a new one the id that its place gives it; else that of the attempt it adopts. */
  readonly execution: ExecutionId;
  readonly node: NodeId;
  readonly epoch: Epoch;
}

export interface StateBody {
  readonly job: JobId;
  readonly version: number;
  /** Where each node decides for itself it does not know its place, and both are 0. */
  readonly partition: number;
  readonly attempt: number;
  readonly execution: ExecutionId;
  readonly node: NodeId;
  /** Rises by one with each record of this execution. */
  readonly sequence: number;
  readonly phase: Phase;
  /** How often its node has started its program again, or is about to. The last end is in the fields below. */
  readonly restarts: number;
  /**
   * Its program is over for now, and is started again after so long, milliseconds; null while it is not. 0: it rests,
   * until its node matches the job again, or takes work again.
   */
  readonly retryMs: number | null;
  readonly exitCode: number | null;
  readonly result: ResultRef | null;
  readonly failure: ExecutionFailure | null;
  readonly output: OutputHead | null;
  readonly usage: Usage | null;
  /**
   * When it reached each phase that it passed through, from `received` on, as far as an earlier state told of it; null:
   * it did not. The first is a moment by the wall clock of its node, each other counts from the one before;
   * milliseconds. At most 5. Absent: nothing was before, or its program told of none.
   */
  readonly reached?: readonly (number | null)[];
  /** When its program was over for a while before, the latest last: the last 8 times. Absent: never. */
  readonly pauses?: readonly Pause[];
  /** What its result could not hold, a sentence each: at most 10, of 200 characters. Absent: nothing. */
  readonly leftOut?: readonly string[];
}

/** A time for which the program of an execution was over, to be started again. */
export interface Pause {
  /** When it ended; wall clock of its node, milliseconds. */
  readonly at: number;
  /** As `StateBody` has them of the present one, the reason in at most 200 characters. */
  readonly restarts: number;
  readonly retryMs: number;
  readonly exitCode: number | null;
  readonly failure: ExecutionFailure | null;
  /** So much later it was started again, milliseconds; null: it was not. */
  readonly resumedMs: number | null;
}

export interface AcceptBody {
  readonly job: JobId;
  readonly version: number;
  readonly partition: number;
  readonly attempt: number;
  readonly execution: ExecutionId;
  readonly node: NodeId;
  readonly exitCode: number;
  readonly result: ResultRef | null;
  /** Nodes that had the result pinned when it was accepted. */
  readonly holders: readonly NodeId[];
}

export type CloseOutcome = 'completed' | 'failed' | 'stopped';

export interface CloseBody {
  readonly job: JobId;
  readonly version: number;
  readonly outcome: CloseOutcome;
  /** Stable kebab-case code: `completed`, `stopped-by-owner`, `attempts-exhausted`, `nodes-failed`, `not-enough-nodes`, `total-timeout`, … */
  readonly code: string;
  /** One sentence for a person. */
  readonly message: string;
  /** The records this rests on: the owner's command, or the last failed state of a partition. */
  readonly evidence: readonly RecordId[];
  /**
   * Of a completed job whose nodes decide for themselves: how many they were, so that nobody believes the end
   * before the results of all. Absent otherwise.
   */
  readonly enrolled?: number;
  /**
   * Of a completed job: the exit code other than 0 of the first of its partitions that ended with one. Absent when
   * none did, so that a list can tell them apart without the results.
   */
  readonly exitCode?: number;
}

/**
 * A later version of the job, and so which of the specs that its owner signed for it is the one. They are in it
 * as they were signed, so that whoever learns of the version has it.
 */
export interface VersionBody {
  readonly job: JobId;
  readonly version: number;
  /** The envelope of its spec. */
  readonly spec: Uint8Array;
  /**
   * The envelope of the spec of the version after it, which its owner signed for the case that this one does not
   * come up; null when there is none.
   */
  readonly fallback: Uint8Array | null;
  /** One sentence for a person: why it was gone back; '' else. */
  readonly message: string;
}

export interface AdvertBody {
  readonly node: NodeId;
  readonly store: StoreId;
  readonly sequence: number;
  /** Multiaddrs others can dial, `/p2p/…` included. */
  readonly addresses: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly engines: readonly string[];
  readonly publishers: readonly string[];
  readonly sources: readonly string[];
  readonly capacity: Resources;
  /** Capacity less what runs and what is held for bids. */
  readonly free: Resources;
  readonly running: number;
  /** May be chosen as keeper: its store is healthy and it is not draining. */
  readonly keeps: boolean;
  readonly software: string;
  /** What its version can do that another may not: `features.ts`. */
  readonly features: readonly string[];
}

/** Every record type and its body: the one place that lists them. */
export interface Bodies {
  readonly spec: SpecBody;
  readonly admission: AdmissionBody;
  readonly config: ConfigBody;
  readonly vote: VoteBody;
  readonly command: CommandBody;
  readonly grant: GrantBody;
  readonly assign: AssignBody;
  readonly state: StateBody;
  readonly accept: AcceptBody;
  readonly close: CloseBody;
  readonly version: VersionBody;
  readonly advert: AdvertBody;
}

export type RecordType = keyof Bodies;

/** A record as it travels: body, signer, time, signature; `id` is the hash of the whole envelope. */
export interface Signed<T extends RecordType> {
  readonly type: T;
  readonly body: Bodies[T];
  /** The key that signed. */
  readonly by: PublicKey;
  readonly hlc: Hlc;
  /** 64 bytes. */
  readonly sig: Uint8Array;
  readonly id: RecordId;
}

export type AnyRecord = { readonly [T in RecordType]: Signed<T> }[RecordType];

/** A record with the keeper signatures that make it a committed fact. */
export interface Certified<T extends RecordType> {
  readonly record: Signed<T>;
  readonly votes: readonly Signed<'vote'>[];
}

/** The kinds of value a leader commits in a slot. */
export type Committed = 'assign' | 'accept' | 'close' | 'version' | 'config';
