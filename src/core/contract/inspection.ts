/** What may be seen of a node from outside. Types only. */
import type { RefuseCode } from './effect.ts';
import type { JobRecords, JobState } from './messages.ts';
import type { Phase } from '../record/execution.ts';
import type { ExecutionId, JobId, Millis, NodeId, StoreId } from '../record/ids.ts';
import type { AdvertBody, Epoch } from '../record/records.ts';
import type { Resources } from '../../job/model.ts';

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
  readonly version: number;
  readonly partition: number;
  readonly attempt: number;
  readonly phase: Phase;
  readonly epoch: Epoch;
}

/** Another node as this one sees it. */
export interface Sighting {
  readonly advert: AdvertBody;
  readonly connected: boolean;
  /** Since it was last heard, milliseconds. */
  readonly silentMs: number;
}
