/** Everything a node wants done: the whole of what the core does to the world. Types only. */
import type { Gossip, Message } from './messages.ts';
import type { Reply } from './reply.ts';
import type { StoreWrite } from './stored.ts';
import type { ExecutionOrder } from '../record/execution.ts';
import type { ExecutionId, JobId, Millis, NodeId, RequestId } from '../record/ids.ts';

export type Effect =
  /** A barrier: nothing after it in this list leaves the process before it is on disk. */
  | { readonly type: 'persist'; readonly writes: readonly StoreWrite[] }
  | { readonly type: 'send'; readonly to: NodeId; readonly message: Message }
  | { readonly type: 'gossip'; readonly gossip: Gossip }
  /** Carry out this execution; events come back as `run-event`. `resume`: it may be running already. */
  | {
      readonly type: 'run';
      readonly order: ExecutionOrder;
      readonly resume: boolean;
      /** By the clock of this process: its program must be over then, unless it may run on; absent = no such end. */
      readonly until?: Millis;
    }
  /** It may run on until then. */
  | { readonly type: 'extend-run'; readonly execution: ExecutionId; readonly until: Millis }
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
  /** A keeper takes the job from a leader that lives, but does not lead it. */
  | 'job.leader-failed'
  | 'job.keepers-changed'
  /** Others keep the job now. */
  | 'job.kept-elsewhere'
  /** Its leader asks the keepers about others in the place of some. */
  | 'job.keepers-asked'
  /** Too many of its keepers are gone: one that is left asks for votes to go on with others. */
  | 'job.reseeding'
  /** Others keep it in their place. */
  | 'job.reseeded'
  /** This node goes by other configurations of it than before, as they parted where it was re-seeded. */
  | 'job.turned'
  /** As a quorum of the keepers of the other ones says that they go on. */
  | 'job.yielded'
  | 'job.assigned'
  | 'job.attempt-failed'
  | 'job.accepted'
  | 'job.closed'
  /** Its owner wants another version. */
  | 'job.version-wanted'
  | 'job.version'
  | 'job.forgotten'
  | 'job.set-aside'
  | 'execution.received'
  /** There is room now for what this node took up by its own decision. */
  | 'execution.begun'
  | 'execution.phase'
  | 'execution.cancelled'
  /** Of an exclusive job: its keepers did not let it run on in time. */
  | 'execution.tenure-over'
  /** A holder had a lost copy made anew. */
  | 'result.copied'
  | 'peer.suspect'
  | 'peer.dead'
  | 'loop.lagged';
