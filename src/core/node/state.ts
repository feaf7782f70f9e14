/**
 * The state of one node and the few verbs every part of the core uses on it. The parts (`sponsor`,
 * `keeper`, `leader`, `executor`, `bidder`, `members`, `detector`, `directory`) are functions over
 * this; none keeps state of its own.
 */
import type { Resources } from '../../job/model.ts';
import type { Trouble } from './containment.ts';
import type {
  ExecutionId,
  Hlc,
  JobId,
  Millis,
  NodeId,
  PublicKey,
  RequestId,
} from '../record/ids.ts';
import type { Ledger } from '../record/ledger.ts';
import type { Effect, NoteEvent, RefuseCode } from '../contract/effect.ts';
import type { MachineConfig } from '../contract/machine.ts';
import type { Profile } from '../contract/profile.ts';
import type { Reply } from '../contract/reply.ts';
import type { StoredExecution, StoreWrite } from '../contract/stored.ts';
import type {
  AcceptedValue,
  Announcement,
  CertifiedValue,
  JobRecords,
  JobSummary,
  Message,
  Query,
  Question,
  SlotValue,
  WaitingView,
} from '../contract/messages.ts';
import type { Allowance } from '../mesh/allowance.ts';
import type { Fit } from '../asking/names.ts';
import type { Refusal } from '../record/refusals.ts';
import type { Bodies, Certified, Epoch, RecordType, Signed, Slot } from '../record/records.ts';
import type { Packed, Signer, Suite } from '../record/suite.ts';
import type { Card } from '../keeping/shelf.ts';
import { asHlc } from '../record/ids.ts';
import type { Timers } from './timers.ts';
import type { Welcome } from '../mesh/welcome.ts';

/** Another node as this one sees it. */
export interface Member {
  advert: Signed<'advert'>;
  /** When this node first and last heard from it. */
  readonly since: Millis;
  heardAt: Millis;
  /** It was asked for what waited when it came. */
  invited: boolean;
}

/** A bid as the leader keeps it. */
export interface Bid {
  readonly node: NodeId;
  readonly free: Resources;
  readonly capacity: Resources;
  slots: number;
  readonly running: number;
  readonly locality: number;
  readonly at: Millis;
}

/** A value this leader has proposed and not yet seen committed. */
export interface Proposal {
  readonly slot: Slot;
  readonly value: SlotValue;
  readonly states: readonly Signed<'state'>[];
  readonly commands: readonly Signed<'command'>[];
  readonly votes: Map<NodeId, Signed<'vote'>>;
}

/** How far the second copy of a result is. */
export interface Replication {
  readonly cid: string;
  /** The node asked to make it; null when nobody is left to ask. */
  holder: NodeId | null;
  deadline: Millis;
  done: boolean;
  /** Nodes that were asked and did not make it. */
  readonly failed: Set<NodeId>;
}

/** An assignment that was committed; its node has not said `started` yet. */
export interface Starting {
  readonly assign: Certified<'assign'>;
  readonly deadline: Millis;
  resendAt: Millis;
}

/** What a leader knows beside the ledger. All of it is lost with the leadership, and may be. */
export interface Lead {
  readonly epoch: Epoch;
  /** `preparing`: collecting promises; `confirming`: asking whether the epoch still stands. */
  mode: 'preparing' | 'leading' | 'confirming';
  /** Signed when promises are first asked for; the first epoch needs none. */
  grant: Signed<'grant'> | null;
  /** When this candidacy or leadership began. */
  readonly since: Millis;
  /** A promise is complete when all its parts are here. */
  readonly promises: Map<NodeId, { vote: Signed<'vote'>; parts: Set<number>; of: number }>;
  /** The highest accepted value seen in promises, by slot. */
  readonly inherited: Map<Slot, AcceptedValue>;
  readonly proposals: Map<Slot, Proposal>;
  /** Committed slots each keeper has not acknowledged yet. */
  readonly unacked: Map<NodeId, Set<Slot>>;
  /** Commits sent at least once, as `node|slot`. */
  readonly flushed: Set<string>;
  resendAt: Millis;
  resendMs: number;
  /** Rounds of bidding announced so far. */
  round: number;
  /** When the current round was announced; null while nobody is wanted. */
  announcedAt: Millis | null;
  nextRoundAt: Millis;
  /** The members that had not answered the current round were asked directly. */
  invited: boolean;
  /** Since when an execution has been wanting a node. */
  waitingSince: Millis | null;
  /** Executions wanting a node when last looked at. */
  open: number;
  readonly bids: Map<NodeId, Bid>;
  readonly declines: Map<NodeId, readonly Refusal[]>;
  /** Assigned executions whose node has not said `started` yet. */
  readonly starting: Map<ExecutionId, Starting>;
  /** When this leader first saw an execution assigned; its time limit counts from here. */
  readonly seenAt: Map<ExecutionId, Millis>;
  /** Last sign of life of an execution. */
  readonly heard: Map<ExecutionId, Millis>;
  /** Executions given up: refused or not taken up, or lost with their node. */
  readonly givenUp: Map<ExecutionId, 'missed' | 'lost'>;
  /** When this leader first saw that an execution had failed; the back-off counts from here. */
  readonly failedAt: Map<ExecutionId, Millis>;
  readonly replications: Map<ExecutionId, Replication>;
  /** Executors that were told who leads. */
  readonly introduced: Set<ExecutionId>;
  /** Executions told to stop because another result was accepted. */
  readonly cancelled: Set<ExecutionId>;
  /** Once the close is committed: executors that still have to hear of it, and how long they are told. */
  closing: {
    readonly nodes: Set<NodeId>;
    readonly until: Millis;
    resendAt: Millis;
    resendMs: number;
  } | null;
}

/** A job this node keeps. */
export interface KeptJob {
  /** Unpacked when the job was shelved, and then kept at hand for a while. */
  readonly ledger: Ledger;
  /** What is at hand of a shelved job; null while its ledger is open. */
  readonly card: Card | null;
  /** The ledger for a single look: what is shelved stays so. */
  peek(): Ledger;
  /** Packs the ledger. Only for a closed job. */
  shelve(): void;
  /** The highest epoch promised; durable before it was answered. */
  promised: Epoch;
  /** The highest epoch heard of: who is believed to lead. */
  seen: Epoch;
  readonly accepted: Map<Slot, AcceptedValue>;
  /** Who brought it (`bringerOf`); '' after a restart, which remembers nobody's deeds. */
  broughtBy: string;
  /** Counts the TotalTimeout; after a restart it is set back by the age of the spec. */
  activatedAt: Millis;
  lead: Lead | null;
  /** When this keeper may try to take over; null while the leader is believed alive. */
  candidateAt: Millis | null;
  /** Failed tries to lead since the last success; slows down the next. */
  tries: number;
  closedAt: Millis | null;
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
}

/** An admission this node sponsors. */
export interface Submission {
  readonly spec: Signed<'spec'>;
  readonly admission: Signed<'admission'>;
  readonly votes: Map<NodeId, Signed<'vote'>>;
  certified: Certified<'admission'> | null;
  readonly refused: Set<NodeId>;
  /** Keepers that acknowledged the activation. */
  readonly activated: Set<NodeId>;
  /** The keepers were asked once; who is asked again did not answer. */
  asked: boolean;
  /** Local requests waiting for the outcome. */
  readonly waiting: {
    readonly request: RequestId;
    readonly deadline: Millis;
    readonly again: boolean;
  }[];
  resendAt: Millis;
  resendMs: number;
}

/** An execution on this node. */
export interface LocalExecution {
  stored: StoredExecution;
  /** Highest epoch seen for the job; lower ones are not obeyed. */
  epoch: Epoch;
  leaderHeardAt: Millis;
  /** Keepers that have the last state on disk. */
  readonly acked: Set<NodeId>;
  resendAt: Millis;
  resendMs: number;
  cancelling: boolean;
}

export interface Hold {
  readonly job: JobId;
  readonly version: number;
  readonly owner: PublicKey;
  readonly resources: Resources;
  readonly since: Millis;
  /** When the first of several holds in a row for the same job and leader began. */
  readonly firstAt: Millis;
  readonly until: Millis;
  readonly leader: NodeId;
  /** The leader itself asked for it; gossip may have been repeated by anybody. */
  readonly direct: boolean;
}

/** What this node heard about a job it does not keep. */
export interface IndexEntry {
  summary: JobSummary;
  readonly owner: PublicKey;
  /** Who should know more, leader first. */
  nodes: readonly NodeId[];
}

/** How far a job is, as another node says. */
export type Told = Pick<JobSummary, 'state' | 'modifiedAt'>;

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
  /** The neighbours were asked, not only those who should know. */
  around: boolean;
  /** Lists: what is told of each job; counts only for jobs whose spec is known. */
  readonly told: Map<JobId, Told>;
  /** Jobs that the reference may mean, by evidence. */
  readonly candidates: Map<JobId, Fit>;
  best: { readonly records: JobRecords; readonly fit: Fit } | null;
  waiting: WaitingView | null;
  /** Nothing fresher is to be expected. */
  complete: boolean;
  /** What to do with the job's records when they come. */
  readonly purpose: 'reply' | { readonly stop: string };
}

/** A peer being watched by pings. */
export interface Watch {
  nonce: number;
  sentAt: Millis | null;
  /** Missed in a row. */
  misses: number;
  /** Who was asked to probe it, too, and which of them got an answer. */
  asked: readonly NodeId[];
  readonly vouched: Set<NodeId>;
  suspectSince: Millis | null;
  unreachable: number;
  dead: boolean;
}

/** A stop under way for a local request: durable on W keepers before it is answered. */
export interface Stopping {
  readonly command: Signed<'command'>;
  readonly keepers: readonly NodeId[];
  readonly acked: Set<NodeId>;
  readonly requests: RequestId[];
  readonly deadline: Millis;
  resendAt: Millis;
}

export interface Core {
  readonly config: MachineConfig;
  readonly suite: Suite;
  readonly self: NodeId;
  now: Millis;
  /** This node's own wall clock. */
  wall: Hlc;
  hlc: Hlc;
  readonly timers: Timers;
  readonly out: Effect[];
  readonly writes: StoreWrite[];
  /** Messages to this node itself, handled within the same input. */
  readonly inbox: Message[];
  /** Kept jobs that something happened to: looked at again before the input is done. */
  readonly dirty: Set<JobId>;
  profile: Profile | null;
  draining: boolean;
  /** There is no room on the disk for anything new. */
  storeFull: boolean;
  advertSequence: number;
  readonly members: Map<NodeId, Member>;
  /** The members believed alive, as last computed. */
  alive: {
    readonly at: Millis;
    readonly of: number;
    readonly members: readonly Member[];
    /** Those among them that this node has reached itself. */
    readonly reached: readonly Member[];
  } | null;
  readonly connected: Set<NodeId>;
  /** When a node last said something to this one itself. */
  readonly heardAt: Map<NodeId, Millis>;
  /** The host of a node as its connection shows it. */
  readonly hosts: Map<NodeId, string>;
  readonly watches: Map<NodeId, Watch>;
  readonly stops: Map<JobId, Stopping>;
  /** When this process began to run. */
  startedAt: Millis;
  readonly relayedPings: Map<
    number,
    { readonly from: NodeId; readonly target: NodeId; readonly nonce: number; readonly at: Millis }
  >;
  nonce: number;
  readonly kept: Map<JobId, KeptJob>;
  readonly pending: Map<JobId, PendingJob>;
  readonly submissions: Map<JobId, Submission>;
  readonly executions: Map<ExecutionId, LocalExecution>;
  readonly holds: Map<JobId, Hold>;
  /** What is remembered of those who asked something of this node. */
  readonly welcome: Welcome;
  /** Jobs this node would take if it had room. */
  readonly wishes: Map<JobId, Announcement>;
  /** Announcements whose spec is on its way. */
  readonly awaitingSpec: Map<JobId, Announcement>;
  readonly index: Map<JobId, IndexEntry>;
  /** The same jobs by owner, oldest first. */
  readonly indexOf: Map<PublicKey, Set<JobId>>;
  /** What each node may still ask for. */
  readonly allowances: Map<NodeId, Allowance>;
  /** Kept jobs that are closed, oldest first. */
  readonly closedKept: Set<JobId>;
  /** Those of them whose ledger is open, and when it was last wanted. */
  readonly warm: Map<JobId, Millis>;
  /** Jobs known to be closed, with the proof packed; bounded. */
  readonly closed: Map<JobId, Packed>;
  readonly lookups: Map<RequestId, Lookup>;
  /** Results this node was asked to copy. */
  readonly replicas: Map<ExecutionId, { readonly job: JobId; readonly asker: NodeId }>;
  readonly local: Set<string>;
  /** Jobs that could not be handled; bounded. */
  readonly troubles: Map<JobId, Trouble>;
  /** The job being looked at: whose fault it is when that fails. */
  atHand: JobId | null;
  readonly refused: Partial<Record<RefuseCode, number>>;
  /** The input at hand came by gossip: its sender only passed it on. */
  relayed: boolean;
}

export function send(core: Core, to: NodeId, message: Message): void {
  if (to === core.self) core.inbox.push(message);
  else core.out.push({ type: 'send', to, message });
}

/** The kept jobs that are not shelved, one by one; a fault while one is looked at is that job's, and not the whole round's. */
export function* eachKept(core: Core): Generator<KeptJob, void, undefined> {
  const before = core.atHand;
  for (const [job, kept] of core.kept) {
    if (kept.card !== null) continue;
    core.atHand = job;
    yield kept;
  }
  // Not when the loop is left by a throw: then whose fault it is, is just what is asked.
  core.atHand = before;
}

/** The same for the executions of this node. */
export function* eachExecution(
  core: Core,
): Generator<readonly [ExecutionId, LocalExecution], void, undefined> {
  const before = core.atHand;
  for (const entry of core.executions) {
    core.atHand = entry[1].stored.order.job;
    yield entry;
  }
  core.atHand = before;
}

/** Something happened to a kept job: decide again what it needs. */
export function touch(core: Core, job: JobId): void {
  core.dirty.add(job);
}

export function persist(core: Core, write: StoreWrite): void {
  core.writes.push(write);
}

/**
 * @param fault no honest node sends this, whatever others told it. Who keeps a job and which epoch it has
 * come to is no such thing: a job that is admitted twice is another one to each of two honest nodes.
 */
export function refuse(core: Core, from: NodeId, code: RefuseCode, fault: boolean): void {
  core.refused[code] = (core.refused[code] ?? 0) + 1;
  // Honest nodes pass on gossip whose records nobody has checked for them.
  core.out.push({ type: 'refuse', from, code, fault: fault && !core.relayed });
}

export function reply(core: Core, request: RequestId, answer: Reply): void {
  core.out.push({ type: 'reply', request, reply: answer });
}

export function note(
  core: Core,
  event: NoteEvent,
  data: Readonly<Record<string, string | number>>,
): void {
  core.out.push({ type: 'note', event, data });
}

/** Signs with the next tick of the hybrid logical clock. */
export function seal<T extends RecordType>(
  core: Core,
  type: T,
  body: Bodies[T],
  signer: Signer = 'node',
): Signed<T> {
  core.hlc = asHlc(Math.round((core.hlc + 0.001) * 1000) / 1000);
  return core.suite.seal(type, body, core.hlc, signer);
}

/** A remote clock further ahead than this is wrong, not just faster; it is not followed. */
const followMs = 60_000;

/** The hybrid part of the clock: what is signed after a record was seen is later than that record. */
export function observe(core: Core, hlc: Hlc): void {
  if (hlc > core.hlc && hlc - core.wall < followMs) core.hlc = hlc;
}

/** Wall clock in whole milliseconds; for expiry and display only. */
export const wallMs = (core: Core): number => Math.floor(core.wall);

/** Stores a committed value or another record of a job's ledger. */
export function persistCommitted(core: Core, job: JobId, slot: Slot, value: CertifiedValue): void {
  persist(core, {
    table: 'records',
    job,
    key: slot,
    value: { record: value.record, votes: value.votes },
  });
}

/** DAGs known to lie on this node, remembered for bids. */
const localMax = 10_000;

export function rememberLocal(core: Core, cid: string): void {
  if (core.local.size < localMax) core.local.add(cid);
}

/** A job's end with its proof; the oldest of them make room. */
const closedMax = 20_000;

export function rememberClose(core: Core, job: JobId, close: Certified<'close'>): void {
  remember(core.closed, job, core.suite.pack([close]), closedMax);
}

/** The proof that a job is over; null when this node does not know of its end. */
export function closeOf(core: Core, job: JobId): Certified<'close'> | null {
  const packed = core.closed.get(job);
  if (packed !== undefined) {
    const [close] = core.suite.unpack(packed);
    if (close?.record.type === 'close') return { record: close.record, votes: close.votes };
  }
  return core.kept.get(job)?.ledger.close ?? null;
}

/** A bounded map: the oldest entries make room. */
export function remember<K, V>(map: Map<K, V>, key: K, value: V, max: number): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= max) return;
    map.delete(oldest);
  }
}
