/** Questions and commands under way, and what was heard of jobs that others keep. */
import type { Chain, Roots } from '../record/chain.ts';
import type { Fit } from './names.ts';
import type {
  JobRecords,
  JobSummary,
  Query,
  Question,
  WaitingView,
  Wanted,
} from '../contract/messages.ts';
import type { UpdateInput } from './update.ts';
import type { JobId, Millis, NodeId, PublicKey, RequestId } from '../record/ids.ts';
import type { Repeat } from '../node/repeat.ts';
import type { Signed } from '../record/records.ts';
import type { Refusal } from '../record/refusals.ts';

/** What this node heard about a job it does not keep. */
export interface IndexEntry {
  summary: JobSummary;
  readonly owner: PublicKey;
  /** Who should know more, leader first. */
  nodes: readonly NodeId[];
}

/** How far a job is, as another node says. */
export type Told = Pick<JobSummary, 'state' | 'modifiedAt' | 'exitCode'>;

/** A look-up under way for a local request. */
export interface Lookup {
  readonly request: RequestId;
  /** As it was asked here. */
  readonly query: Query;
  /** What is asked of others: the job itself once it is known which one is meant. */
  question: Question;
  readonly deadline: Millis;
  /** Questions that a node was asked and has not answered. */
  readonly open: Map<NodeId, number>;
  /** Everything asked so far, so that nothing is asked twice. */
  readonly asked: Set<string>;
  /** Who answered anything. */
  readonly answered: Set<NodeId>;
  /** Who should know, too, and is asked when the first of them does not answer. */
  hints: { readonly job: JobId; readonly nodes: readonly NodeId[] } | null;
  /** The neighbours were asked, not only those who should know. */
  around: boolean;
  /** All keepers of the job were asked. */
  keepersAsked: boolean;
  /** There is an answer, and who is silent is waited for no longer than this; null while there is none. */
  restAt: Millis | null;
  /** Lists: what is told of each job; counts only for jobs whose spec is known. */
  readonly told: Map<JobId, Told>;
  /** Jobs that the reference may mean, by evidence. */
  readonly candidates: Map<JobId, Fit>;
  best: {
    readonly records: JobRecords;
    readonly fit: Fit;
    readonly next: number | null;
  } | null;
  waiting: WaitingView | null;
  /** Nothing fresher is to be expected. */
  complete: boolean;
  /** What to do with the job's records when they come. */
  readonly purpose: 'reply' | { readonly stop: string } | { readonly update: UpdateInput };
}

/** A version that is sent until it is decided which the next one is. */
export interface Updating {
  readonly request: RequestId;
  readonly wanted: Wanted;
  /** The version that it follows. */
  readonly known: Signed<'spec'>;
  chain: Chain;
  /** Keepers that have it on disk. */
  readonly acked: Set<NodeId>;
  /** Keepers that know nothing but that the job was once. */
  readonly over: Set<NodeId>;
  /** Keepers that have no room for it. */
  readonly refused: Set<NodeId>;
  /** Whoever asked is answered then. */
  readonly until: Millis;
  readonly resend: Repeat;
}

/** A stop that is sent until W keepers have it on disk. */
export interface Stopping {
  readonly command: Signed<'command'>;
  /** Who keeps the job, and what proves it. */
  chain: Chain;
  roots: Roots;
  readonly acked: Set<NodeId>;
  /** Keepers by whose clocks it is no longer good, and the last one's reason. */
  readonly refused: Set<NodeId>;
  refusal: Refusal | null;
  /** Local requests, and when they are answered at the latest. */
  readonly waiting: { readonly request: RequestId; readonly until: Millis }[];
  /** It is sent no longer then. */
  readonly until: Millis;
  readonly resend: Repeat;
}

/** What is asked, and what was heard. */
export interface Asking {
  readonly index: Map<JobId, IndexEntry>;
  /** The same jobs by owner, oldest first. */
  readonly indexOf: Map<PublicKey, Set<JobId>>;
  readonly lookups: Map<RequestId, Lookup>;
  readonly stops: Map<JobId, Stopping>;
  readonly updates: Map<JobId, Updating>;
}

export const createAsking = (): Asking => ({
  index: new Map(),
  indexOf: new Map(),
  lookups: new Map(),
  stops: new Map(),
  updates: new Map(),
});
