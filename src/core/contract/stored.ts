/** The rows of the durable store, as the core writes and reads them. Types only. */
import type { SlotValue, Versioned } from './messages.ts';
import type { ExecutionOrder } from '../record/execution.ts';
import type { ExecutionId, JobId, NodeId, PublicKey, StoreId } from '../record/ids.ts';
import type { Roots } from '../record/chain.ts';
import type { Opaque } from '../record/opaque.ts';
import type { AnyRecord, Certified, Epoch, Signed, Slot } from '../record/records.ts';

/**
 * A row of the durable store. `null` as value deletes; with the key `*` every row of the job in that table.
 * Keys are unique within a table.
 */
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
    }
  /** Holder: an accepted result that lies here, and who else has it. */
  | {
      readonly table: 'entrusted';
      readonly job: JobId;
      readonly key: ExecutionId;
      readonly value: StoredEntrusted | null;
    }
  /** A job that is over: its other rows are read when somebody asks for it, and not at the start. */
  | {
      readonly table: 'shelved';
      readonly job: JobId;
      readonly key: string;
      readonly value: Shelved | null;
    }
  /** What this node has counted itself, as its clock may be set anew; its own counts are of no job (`''`). */
  | {
      readonly table: 'counts';
      readonly job: JobId;
      readonly key: string;
      readonly value: Counted | null;
    };

export interface StoredRecord {
  readonly record: AnyRecord | Opaque;
  /** Keeper signatures, when it is a committed fact. */
  readonly votes: readonly Signed<'vote'>[];
}

export interface StoredExecution extends Roots, Versioned {
  readonly order: ExecutionOrder;
  /** As its owner signed it: with the admission all that another keeper needs to take the job up. */
  readonly spec: Signed<'spec'>;
  /** null when the node took it up by its own decision. */
  readonly assign: Certified<'assign'> | null;
  /** The last state this node signed. */
  readonly state: Signed<'state'>;
  /** Taken up, and not begun for want of room; absent otherwise. */
  readonly queued?: true;
  /** Of an exclusive job, and still to begin, as an earlier attempt may run; absent otherwise. */
  readonly unbegun?: true;
  /** Of a program that does not end by itself, and did; absent otherwise. */
  readonly backoff?: Backoff;
}

export interface Backoff {
  /** Ends one soon after the other; the pause grows with them. */
  readonly inRow: number;
  /** Counted time of this node, milliseconds: it is started again then; null once it was. */
  readonly until: number | null;
}

export interface StoredSubmission {
  readonly spec: Signed<'spec'>;
  readonly admission: Signed<'admission'>;
}

export interface StoredEntrusted extends Roots {
  readonly spec: Signed<'spec'>;
  readonly accept: Certified<'accept'>;
  /** The other holders, with the store they have it in once that is known. */
  readonly others: readonly { readonly node: NodeId; readonly store: StoreId | null }[];
  /** Counted time of this node, milliseconds: its retention time counts from here. */
  readonly since: number;
  /** Copies that this node has had made of it. */
  readonly made: number;
}

export interface Shelved {
  /** Counted time of this node, milliseconds: until then the job is known to be over. */
  readonly until: number;
  /** What the other rows have of it: all its records, an admission that this node sponsored, or nothing. */
  readonly what: 'records' | 'token' | 'nothing';
  /** What its records have of versions before its last; absent: nothing. */
  readonly past?: { readonly owner: PublicKey; readonly bytes: number };
}

export interface Counted {
  readonly count: number;
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
  readonly entrusted: readonly StoredEntrusted[];
  /** Oldest first; of the newest what lists show of them. No other row of these jobs is among the above at a start. */
  readonly shelved: readonly {
    readonly job: JobId;
    readonly value: Shelved;
    readonly card: {
      /** Of the first version. */
      readonly spec: StoredRecord;
      /** Of the latest. */
      readonly close: StoredRecord;
      /** What made it that; absent for the first. */
      readonly version?: StoredRecord;
    } | null;
  }[];
  readonly counts: readonly {
    readonly job: JobId;
    readonly key: string;
    readonly value: Counted;
  }[];
  /** A row of these jobs was damaged: what was promised about them is not certain, so this store votes on them no more. */
  readonly forfeits: readonly JobId[];
}
