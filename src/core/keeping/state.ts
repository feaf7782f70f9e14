/** The jobs that this node keeps, votes for or sponsors, and those it knows to be over. */
import type { Input } from '../contract/input.ts';
import { JobSet } from './job-set.ts';
import { createPastBooks } from './past-books.ts';
import type { PastBooks } from './past-books.ts';
import type { Repeat } from '../node/repeat.ts';
import type { AcceptedValue } from '../contract/messages.ts';
import type { Round } from './branches.ts';
import type { BranchEnd } from './crossing.ts';
import type { Card } from './shelf.ts';
import type { Missing } from '../consensus/missing.ts';
import type { Fetching, Held } from '../consensus/transfer.ts';
import type { Oversight } from './oversight.ts';
import type { Lead } from '../leading/state.ts';
import type { JobId, Millis, NodeId, RecordId, RequestId, StoreId } from '../record/ids.ts';
import type { Ledger } from '../record/ledger.ts';
import type { Refusal } from '../record/refusals.ts';
import type { Certified, Epoch, Signed, Slot } from '../record/records.ts';
import type { Packed } from '../record/suite.ts';

/** A job this node keeps. */
export interface KeptJob {
  readonly ledger: Ledger;
  /** What was promised when this node began to keep the job or read it back, and when that was. */
  first: { readonly epoch: Epoch; readonly at: Millis };
  /** The highest epoch promised; durable before it was answered. */
  promised: Epoch;
  /** The highest epoch heard of: who is believed to lead. */
  seen: Epoch;
  readonly accepted: Map<Slot, AcceptedValue>;
  /** Attempts of an exclusive job that it voted for in versions before, by their version: it never heard the end of that. */
  readonly votedBefore: Map<Slot, number>;
  /** Who brought it (`bringerOf`); '' after a restart, when its sponsor stands for him: what is on disk of a job are its records. */
  broughtBy: string;
  /** Counts the TotalTimeout; after a restart it is set back by what had passed (`age.ts`). */
  activatedAt: Millis;
  /** It was read back from the disk: what passed before counts as far as it was saved. */
  isResumed: boolean;
  lead: Lead | null;
  /** When this keeper may try to take over; null while the leader is believed alive. */
  candidateAt: Millis | null;
  /** Failed tries to lead since the last success; slows down the next. */
  tries: number;
  /** The highest epochs that other keepers say to have promised. */
  readonly outdated: Map<NodeId, Epoch>;
  /** Whoever wants to know which version is the next. */
  readonly askers: Set<NodeId>;
  /** It has another version, and not everything on this node knows it yet. */
  isTurned: boolean;
  /** When that came to be so last. */
  turnedAt: Millis;
  /** Keepers that say it ended long ago, without a proof. */
  readonly over: Set<NodeId>;
  /** Since when there is a proof that it is completed, and the results are still asked for. */
  endedAt: Millis | null;
  /** How the node believed to lead does. */
  readonly oversight: Oversight;
  closedAt: Millis | null;
  /** When the keepers last changed while this process kept the job; null when they did not. */
  changedAt: Millis | null;
  /** What came to versions that are past since `past-books.ts` counted them, bytes. */
  pastGrownBytes: number;
  /** The change of keepers that it last agreed to: it votes for it, though those that it replaces are back. */
  agreedTo: RecordId | null;
  /** Since when this keeper sees that those that are left are too few; null while they are enough. */
  orphanedAt: Millis | null;
  /** Since when this keeper has heard enough others without a long break; null when it does not. */
  intactSince: Millis | null;
  /** When it last did. */
  touchedAt: Millis;
  /** Keepers that say that they go by another branch: since when without a break, and when last. */
  readonly elsewhere: Map<NodeId, { readonly since: Millis; readonly at: Millis }>;
  /** What others say of the branch that it goes by, when the job was re-seeded. */
  round: Round;
  /** When it last left a higher branch, as those before had never missed each other. */
  yieldedAt: Millis;
  /** What it asks votes for to re-seed the job. */
  reseeding: Reseeding | null;
  /** When it last voted to re-seed it. */
  boundAt: Millis;
  /** When it last asked those that keep the job whether they are there, as it was to keep it without them. */
  keepersAskedAt: Millis | null;
  /** Stores of keepers, or of nodes that were asked to be some, that say they have lost what they promised of it. */
  readonly forfeited: Set<StoreId>;
  /** Not a keeper: when it was last asked to become one, or asked a keeper how the job stands. */
  guestAt: Millis;
  /** It has voted for nothing here yet, so nothing of it is on disk. */
  unsaved: boolean;
  /** What another keeper may ask for page by page. */
  held: Held | null;
  /** Its end came alone: who is still asked for the rest. */
  missing: Missing | null;
  /** What comes of a job that is over. */
  fetching: Fetching | null;
}

/** A configuration that shall go on with an orphaned job. */
export interface Reseeding {
  readonly next: Signed<'config'>;
  readonly votes: Map<NodeId, Signed<'vote'>>;
  readonly since: Millis;
  readonly resend: Repeat;
}

/** An admission this keeper has voted for and nobody activated yet. */
export interface PendingJob {
  readonly spec: Signed<'spec'>;
  readonly admission: Signed<'admission'>;
  readonly vote: Signed<'vote'>;
  /** Who brought it. */
  readonly from: NodeId;
  readonly since: Millis;
  /** A majority of its keepers were nodes that this one had reached. */
  readonly credible: boolean;
  readonly votes: Map<NodeId, Signed<'vote'>>;
  /** When a keeper was asked last; before that, when the admission came. */
  askedAt: Millis;
  /** When all of them are asked the next time. */
  askAt: Millis;
  /** Keepers that connected since they were asked. */
  readonly back: Set<NodeId>;
}

/** An admission this node sponsors. */
export interface Submission {
  readonly spec: Signed<'spec'>;
  readonly admission: Signed<'admission'>;
  readonly votes: Map<NodeId, Signed<'vote'>>;
  certified: Certified<'admission'> | null;
  readonly refused: Set<NodeId>;
  /** Keepers that will never have a say in it, and why; the others may be enough. */
  readonly lost: Map<NodeId, Refusal>;
  /** Keepers that acknowledged the activation. */
  readonly activated: Set<NodeId>;
  /** When the keepers were asked last; who is asked again did not answer. */
  askedAt: Millis | null;
  /** Local requests waiting for the outcome. */
  readonly waiting: {
    readonly request: RequestId;
    readonly deadline: Millis;
    readonly again: boolean;
  }[];
  readonly resend: Repeat;
}

/** The books of a keeper and sponsor. */
export interface Keeping extends PastBooks {
  readonly kept: Map<JobId, KeptJob>;
  readonly pending: Map<JobId, PendingJob>;
  readonly submissions: Map<JobId, Submission>;
  /** Kept jobs that are closed, and when each was last wanted. */
  readonly warm: Map<JobId, Millis>;
  /** Jobs of which this store has lost a row: it votes on them no more. Bounded by the store. */
  readonly forfeits: Set<JobId>;
  /** Jobs that are over, with the moment (counted time) until which that is known: their rows are on disk. */
  readonly shelf: JobSet;
  /** The same for jobs that this node only sponsored. */
  readonly tokens: JobSet;
  /** The same for jobs of which nothing else is kept. */
  readonly tombs: JobSet;
  /** The newest on the shelf. */
  readonly cards: Map<JobId, Card>;
  /** Shelved jobs that are being read, and what is handled again then. */
  readonly recalls: Map<JobId, Input[]>;
  /** Keepers that were not there when a job that was over had another version: it is over for them. */
  readonly untold: Map<JobId, Untold>;
  /** Re-seeded jobs that are over here, and may go on with those that kept them before. */
  readonly branchEnds: Map<JobId, BranchEnd>;
  /** The newest jobs known to be closed, with the proof packed. */
  readonly closed: Map<JobId, Packed>;
}

/** Whom a job's version is still to be told, and what proves it, packed. */
export interface Untold {
  readonly version: Packed;
  readonly nodes: Set<NodeId>;
}

export const createKeeping = (): Keeping => ({
  kept: new Map(),
  pending: new Map(),
  submissions: new Map(),
  warm: new Map(),
  forfeits: new Set(),
  shelf: new JobSet(),
  tokens: new JobSet(),
  tombs: new JobSet(),
  cards: new Map(),
  recalls: new Map(),
  untold: new Map(),
  branchEnds: new Map(),
  closed: new Map(),
  ...createPastBooks(),
});
