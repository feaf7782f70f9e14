/** Everything that can happen to a node: the whole of what the core hears of the world. Types only. */
import type { CopyOutcome, Gossip, Message, Query } from './messages.ts';
import type { Profile } from './profile.ts';
import type { Restored } from './stored.ts';
import type { RunEvent } from '../record/execution.ts';
import type { ExecutionId, JobId, NodeId, RequestId } from '../record/ids.ts';
import type { Job } from '../../job/model.ts';
import type { UpdateInput } from '../asking/update.ts';

export type Input =
  | { readonly type: 'message'; readonly from: NodeId; readonly message: Message }
  | { readonly type: 'gossip'; readonly from: NodeId; readonly gossip: Gossip }
  /** The timer of `nextWake` rang. */
  | { readonly type: 'wake' }
  | { readonly type: 'profile'; readonly profile: Profile }
  | { readonly type: 'peer-connected'; readonly node: NodeId }
  /** The host at the other end of a connection, as this end sees it; comes before `peer-connected`. */
  | { readonly type: 'peer-host'; readonly node: NodeId; readonly host: string }
  /** A hint: the last connection closed. `sentAway`: by this node, for what the other did wrong. */
  | { readonly type: 'peer-disconnected'; readonly node: NodeId; readonly sentAway?: boolean }
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
      /** With fewer keepers the job is refused; 0: as many as there are. */
      readonly minKeepers: number;
    }
  | {
      readonly type: 'stop';
      readonly request: RequestId;
      readonly job: JobId;
      readonly reason: string;
    }
  /** Another version of a job of the own owner. */
  | ({
      readonly type: 'update';
      readonly request: RequestId;
      readonly job: JobId;
    } & UpdateInput)
  | {
      readonly type: 'query';
      readonly request: RequestId;
      readonly query: Query;
      /** Whoever is silent is waited for no longer than this, milliseconds; absent: as long as a look-up takes. */
      readonly withinMs?: number;
    }
  | { readonly type: 'run-event'; readonly execution: ExecutionId; readonly event: RunEvent }
  | {
      readonly type: 'replicated';
      readonly execution: ExecutionId;
      readonly cid: string;
      readonly outcome: CopyOutcome;
    }
  /** A DAG is complete here (or no longer); makes bids for jobs that read it more attractive. */
  | { readonly type: 'content'; readonly cid: string; readonly local: boolean }
  /** What the disk says of a job that an effect `reload` asked for; null: it cannot be read. */
  | { readonly type: 'reload'; readonly job: JobId; readonly rows: Restored | null }
  /** The disk has too little room left for anything new, or has room again. */
  | { readonly type: 'disk'; readonly full: boolean }
  /** Take nothing new, and tell the others; or take again what comes. */
  | { readonly type: 'drain'; readonly on: boolean };
