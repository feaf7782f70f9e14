/**
 * The port that the HTTP API needs from a node. `node/service.ts` is the adapter; the tests have a
 * small one in memory. Nothing here knows HTTP: failures are `ShoalError`s, streams are async
 * iterables, and the API alone decides on status codes, paging and JSON shapes.
 */
import type { KeepersView } from '../core/contract/reply.ts';
import type { ContentStore } from '../lib/content.ts';
import type { Job } from '../job/model.ts';
import type { JobRecords, JobState, ListedJob, WaitingView } from '../core/contract/messages.ts';
import type { Refusal } from '../core/record/refusals.ts';
import type { AdvertBody, Certified } from '../core/record/records.ts';

/** The answer to a submission: the job is on W keepers' disks. */
export interface Submitted {
  readonly jobId: string;
  /** Complete sentences about what was ignored or will be slow. */
  readonly warnings: readonly string[];
  /** The keeper signatures: proof that the job is durable. */
  readonly receipt: Certified<'admission'>;
  /** Of the job: more than 1 when one of this name was known, and this is its next version. */
  readonly version: number;
  /** Keepers that the job could have with all members of the last minutes. */
  readonly keepersWanted: number;
  /** True when the same idempotency token had been submitted before. */
  readonly again: boolean;
}

export interface SubmitOptions {
  readonly idempotencyToken: string | null;
  /** With fewer keepers the job is refused, `too-few-keepers`; 0: as many as there are. */
  readonly minKeepers: number;
  /** Another version of a job though nothing changed. */
  readonly force: boolean;
}

/** Another version of a job that is there. */
export interface Updated {
  readonly jobId: string;
  readonly version: number;
  readonly warnings: readonly string[];
}

export interface RerunOptions {
  /** Whose spec is run once more; 0: the current one. */
  readonly version: number;
  readonly reason: string;
}

export interface JobView {
  readonly records: JobRecords;
  /** The job's version now; the records may be of an earlier one. */
  readonly current: number;
  /** Why partitions wait; null when none does or nobody reachable knows. */
  readonly waiting: WaitingView | null;
  readonly state: JobState;
  /** Who of its keepers is there; null for a job that is over. */
  readonly keepers: KeepersView | null;
  /** Keepers that a job could have with all members of the last minutes. */
  readonly keepersWanted: number;
}

/** A stop that was signed. */
export interface Stopped {
  /** What Bacalhau calls an evaluation; '' when there was nothing left to do. */
  readonly evaluationId: string;
  /** Too few keepers have it so far; it is sent to the others until `notAfter` (wall clock, milliseconds). */
  readonly pending: {
    readonly signed: number;
    readonly needed: number;
    readonly notAfter: number;
    readonly refused: { readonly refusal: Refusal; readonly keepers: number } | null;
  } | null;
}

export interface NodeView {
  readonly advert: AdvertBody;
  readonly self: boolean;
  readonly connected: boolean;
  /** Wall clock, milliseconds; 0 = never heard directly. */
  readonly lastSeen: number;
  /** Wall clock, milliseconds; null while not connected. */
  readonly connectedSince: number | null;
  /** Round trip of the last ping, milliseconds; null when there is none. */
  readonly latencyMs: number | null;
  /** Why it cannot be reached, in words; null when there is no problem. */
  readonly problem: string | null;
}

export interface LogLine {
  readonly stream: 'stdout' | 'stderr';
  /** Text with its line end; the last one of a stream may lack it. */
  readonly line: string;
  /** What was written, where that is no UTF-8. */
  readonly bytes?: Buffer;
}

export interface LogRequest {
  /** Job id, unambiguous prefix or name. */
  readonly job: string;
  readonly namespace: string;
  /** Execution id or unambiguous prefix; null = the latest that was not discarded. */
  readonly execution: string | null;
  /** 0: the current one. */
  readonly version: number;
  /** Executions of every version that is still known, whatever `version` says. */
  readonly allVersions: boolean;
  /** Start from now instead of from the beginning. */
  readonly tail: boolean;
  /** Stay until the execution ends instead of ending at what there is. */
  readonly follow: boolean;
}

export interface PeerProblem {
  /** Peer id or multiaddr that was dialled. */
  readonly peer: string;
  /** Short and stable: `connection refused`, `wrong network`, `no answer`, … */
  readonly problem: string;
  /** Wall clock, milliseconds. */
  readonly at: number;
}

export interface SelfInfo {
  readonly node: string;
  /** Version of this software without a leading `v`. */
  readonly version: string;
  readonly network: string;
  /** Hex of the owner's public key. */
  readonly owner: string;
  readonly addresses: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Wall clock, milliseconds. */
  readonly startedAt: number;
  readonly peersConnected: number;
  readonly peerProblems: readonly PeerProblem[];
  /** Jobs this node keeps and has not forgotten. */
  readonly jobsKept: number;
  readonly executionsRunning: number;
}

/** How far a peer is that is to leave. */
export interface Draining {
  /** Wall clock, milliseconds: what still runs then is ended. null: it is not to leave. */
  readonly leavesBy: number | null;
  /** Executions that run here, or whose job has still to learn how they ended. */
  readonly executions: number;
  /** Jobs that run here and that no other node this one knows of could run: they will wait. */
  readonly onlyHere: readonly string[];
}

/** One thing `doctor` looked at. */
export interface Finding {
  /** What was looked at, e.g. `engine docker`, `store`, `clock`, `peers`. */
  readonly subject: string;
  readonly level: 'ok' | 'warning' | 'problem';
  /** One sentence. */
  readonly detail: string;
  /** What to do about it; '' when there is nothing to do. */
  readonly remedy: string;
}

/** Of a peer's labels; no key is in both. */
export interface LabelChange {
  readonly set: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

/** How long this peer keeps what an execution leaves, milliseconds after its end. */
export interface Retention {
  readonly resultsMs: number;
  readonly logsMs: number;
}

export interface ShoalService {
  readonly retention: Retention;
  /**
   * A job, or, when its owner has one of this name, the next version of that.
   * @throws ShoalError of every submission problem; see `Problem` in the core.
   */
  submit(job: Job, options: SubmitOptions): Promise<Submitted>;
  /**
   * Stops a job; stopping a stopped one succeeds.
   * @throws ShoalError `job-not-found`, `job-unreachable`, `job-ambiguous`, `job-terminal`, `not-owner`.
   */
  stop(ref: string, namespace: string, reason: string): Promise<Stopped>;
  /**
   * @param whole all executions, however many there are; else of a job that goes on, and that others keep, as
   * many as one answer holds
   * @param version 0 or absent: the current one. Of one that is not kept the current one is told.
   * @throws ShoalError `job-not-found`, `job-unreachable`, `job-ambiguous`.
   */
  getJob(ref: string, namespace: string, whole: boolean, version?: number): Promise<JobView>;
  /** The versions of which something is kept, oldest first. @throws ShoalError as `getJob`. */
  versions(ref: string, namespace: string): Promise<readonly JobView[]>;
  /**
   * The spec of this or an earlier version once more, as the next one.
   * @throws ShoalError as `getJob`; `not-owner`, `job-pending`, `job-changed`, `request-invalid`.
   */
  rerun(ref: string, namespace: string, options: RerunOptions): Promise<Updated>;
  /** In any order; own jobs come first when there are more. `namespace` null = all. `limit`: 1 … 10,000 newest jobs. */
  listJobs(query: {
    readonly namespace: string | null;
    readonly limit: number;
  }): Promise<readonly ListedJob[]>;
  nodes(): Promise<readonly NodeView[]>;
  /**
   * The lines of one execution as they come. Ends by itself as `LogRequest` says, or on the signal.
   * @throws ShoalError `job-not-found`, `job-ambiguous`, `execution-not-found`, `logs-unavailable`.
   */
  logs(request: LogRequest, signal: AbortSignal): AsyncIterable<LogLine>;
  readonly content: ContentStore;
  self(): Promise<SelfInfo>;
  /** The effective configuration with secrets replaced. */
  config(): Promise<Readonly<Record<string, unknown>>>;
  doctor(): Promise<readonly Finding[]>;
  /**
   * Sets and takes away labels of this peer, durably; the mesh is told at once.
   * @returns all of them then
   * @throws ShoalError `request-invalid` when there would be more than 100.
   */
  changeLabels(change: LabelChange): Promise<Readonly<Record<string, string>>>;
  /** Has this peer leave once what runs here has ended, or after so long; null takes it back. */
  drain(withinMs: number | null): Promise<Draining>;
  draining(): Promise<Draining>;
  /** Prometheus text exposition. */
  metrics(): Promise<string>;
}
