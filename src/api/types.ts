/**
 * The JSON that the HTTP API speaks: Bacalhau's shapes where it has them, shoal's own below. Types
 * only, shared with the CLI and the dashboard.
 */
import type { FailureCode } from '../failures/failure.ts';
import type {
  Constraint,
  InputSource,
  Json,
  Network,
  ResourceTexts,
  ResultPath,
  Timeouts,
} from '../job/model.ts';

/** Nanoseconds since 1970: a bigint when written by us, either when read back. */
export type Nanos = bigint | number;

export interface SpecConfigJson {
  readonly Type: string;
  readonly Params: { readonly [key: string]: Json };
}

export interface TaskJson {
  readonly Name: string;
  readonly Engine: SpecConfigJson;
  readonly Publisher: SpecConfigJson;
  readonly Env: Readonly<Record<string, string>>;
  readonly Meta: Readonly<Record<string, string>>;
  readonly InputSources: readonly InputSource[];
  readonly ResultPaths: readonly ResultPath[];
  readonly Resources: ResourceTexts;
  readonly Network: Network;
  readonly Timeouts: Timeouts;
}

export interface StateJson<T> {
  readonly StateType: T;
  readonly Message: string;
}

export interface JobJson {
  readonly ID: string;
  readonly Name: string;
  readonly Namespace: string;
  readonly Type: string;
  readonly Priority: number;
  readonly Count: number;
  readonly Constraints: readonly Constraint[];
  readonly Meta: Readonly<Record<string, string>>;
  readonly Labels: Readonly<Record<string, string>>;
  readonly Tasks: readonly TaskJson[];
  readonly State: StateJson<string>;
  readonly Version: number;
  /** shoal's own: of a completed job, the first exit code of its programs that is not 0; absent when all ended with 0. */
  readonly ExitCode?: number;
  /** shoal's own: when its owner signed this version, as `CreateTime`. */
  readonly VersionTime: Nanos;
  readonly Revision: number;
  readonly CreateTime: Nanos;
  readonly ModifyTime: Nanos;
}

export interface ResourcesJson {
  readonly CPU?: number;
  readonly Memory?: number;
  readonly Disk?: number;
  readonly GPU?: number;
}

/** Bacalhau's keys, its lower-case `stderr` included. */
export interface RunOutputJson {
  readonly Stdout: string;
  readonly StdoutTruncated: boolean;
  readonly stderr: string;
  readonly StderrTruncated: boolean;
  readonly ExitCode: number;
  readonly ErrorMsg: string;
}

export interface ExecutionJson {
  readonly ID: string;
  readonly Namespace: string;
  readonly EvalID: string;
  readonly Name: string;
  readonly NodeID: string;
  readonly JobID: string;
  readonly JobVersion: number;
  readonly AllocatedResources: { readonly Tasks: Readonly<Record<string, ResourcesJson>> };
  readonly DesiredState: StateJson<number>;
  readonly ComputeState: StateJson<number>;
  /** Absent where there are many of a large job. */
  readonly Job?: JobJson;
  /** Without `Params`, and of the type '', for none. */
  readonly PublishedResult: ResultJson | { readonly Type: '' };
  readonly RunOutput: RunOutputJson | null;
  readonly PreviousExecution: string;
  readonly NextExecution: string;
  readonly FollowupEvalID: string;
  readonly PartitionIndex: number;
  readonly Revision: number;
  readonly CreateTime: Nanos;
  readonly ModifyTime: Nanos;
  /** shoal's own: which try of its partition this is, from 0. */
  readonly Attempt: number;
  /** shoal's own: how often its node started its program again. */
  readonly Restarts: number;
  /** shoal's own: the phase in words (`assigned`, `preparing`, …, `completed`), `restarting` or `resting` while its program waits. */
  readonly Phase: string;
}

export interface EventJson {
  readonly Message: string;
  readonly Topic: string;
  /** RFC 3339. */
  readonly Timestamp: string;
  readonly Details: Readonly<Record<string, string>>;
}

export interface HistoryJson {
  readonly SeqNum: number;
  readonly Type: 'JobLevel' | 'ExecutionLevel';
  readonly JobID: string;
  readonly JobVersion: number;
  readonly ExecutionID?: string;
  readonly Event: EventJson;
  readonly Time: string;
}

/** Result of one partition: where its DAG is. */
export interface ResultJson {
  readonly Type: string;
  readonly Params: {
    /** Of the publisher `local`: where its archive is downloaded. */
    readonly URL?: string;
    readonly CID: string;
    readonly Bytes: number;
    readonly Partition: number;
    readonly ExecutionID: string;
    readonly NodeID: string;
    readonly ExitCode: number;
    readonly Holders: readonly string[];
  };
}

export interface ListJson<T> {
  readonly NextToken: string;
  readonly Items: readonly T[];
}

/** shoal's own member of a job answer: why it waits. */
export interface WaitingJson {
  readonly NodesKnown: number;
  readonly NodesAnswered: number;
  readonly PartitionsWaiting: number;
  readonly KeepersReached: number;
  readonly Keepers: number;
  readonly Refusals: readonly {
    readonly Code: string;
    readonly Nodes: number;
    readonly Text: string;
  }[];
  /** Lines for a person. */
  readonly Explanation: readonly string[];
}

/** shoal's own: who of a job's keepers is there. */
export interface KeepersJson {
  readonly Total: number;
  /** Node ids of those that keep it now; others may have been chosen when it was submitted. */
  readonly Nodes: readonly string[];
  /** That it could have if it was submitted now, with all members of the last minutes. */
  readonly Wanted: number;
  readonly Answering: number;
  /** Node ids of those that do not answer. */
  readonly Silent: readonly string[];
  readonly Leader: string;
  /** How often it went on with other keepers, as too many of those before were gone. */
  readonly Reseeded: number;
  /** In words, when the job cannot go on without them; else ''. */
  readonly Explanation: string;
}

/** `Pending`, shoal's own: the stop is signed and on the disk of the peer, but too few keepers have it so far. */
export interface StopAnswer {
  readonly EvaluationID: string;
  readonly Pending: {
    readonly Signed: number;
    readonly Needed: number;
    /** It is sent until then, ISO 8601. */
    readonly Until: string;
    /** Why keepers refuse it, in words; '' when none does. */
    readonly Refused: string;
  } | null;
}

export interface JobAnswer {
  readonly Job: JobJson;
  /** shoal's own, with the executions: all of them by phase. */
  readonly Counts?: Readonly<Record<string, number>>;
  /** shoal's own: how long the peer that answers keeps results and logs after an execution has ended; others may be set otherwise. */
  readonly Retention?: { readonly ResultsSeconds: number; readonly LogsSeconds: number };
  /** At most 1,000, as of the history; a token says that there are more at the path of the list. */
  readonly Executions?: ListJson<ExecutionJson>;
  readonly History?: ListJson<HistoryJson>;
  readonly Waiting: WaitingJson | null;
  /** null for a job that is over. */
  readonly Keepers: KeepersJson | null;
}

export interface RerunAnswer {
  readonly JobID: string;
  readonly JobVersion: number;
  readonly EvaluationID: string;
  readonly Warnings: readonly string[];
}

export interface SubmitAnswer {
  readonly JobID: string;
  /** shoal's own: more than 1 for a job that was there. */
  readonly JobVersion: number;
  readonly EvaluationID: string;
  readonly Warnings: readonly string[];
  /** shoal's own: who keeps the job. */
  readonly Receipt: {
    readonly Keepers: number;
    /** Keepers that it could have with all members of the last minutes. */
    readonly Wanted: number;
    /** Keepers that signed so far that the job is on their disks. */
    readonly Signed: number;
    readonly Again: boolean;
  };
}

/** `PUT /api/v1/shoal/fit` with `{"Job": …}`. */
export interface FitAnswer {
  /** Those connected now, the peer that answers among them. */
  readonly Nodes: number;
  /** Those that could run it when nothing else ran. */
  readonly Fit: number;
  /** Why the others could not, in words. */
  readonly Reasons: readonly string[];
}

export interface DiffAnswer {
  readonly Diff: string;
  readonly Warnings: readonly string[];
}

export interface NodeInfoJson {
  readonly NodeID: string;
  readonly NodeType: 'Compute' | 'Requester';
  readonly Labels: Readonly<Record<string, string>>;
  readonly SupportedProtocols: readonly string[];
  readonly ComputeNodeInfo: {
    readonly ExecutionEngines: readonly string[];
    readonly Publishers: readonly string[];
    readonly StorageSources: readonly string[];
    readonly MaxCapacity: ResourcesJson;
    readonly QueueCapacity: ResourcesJson;
    readonly AvailableCapacity: ResourcesJson;
    readonly MaxJobRequirements: ResourcesJson;
    readonly RunningExecutions: number;
    readonly EnqueuedExecutions: number;
    readonly address: string;
  };
  readonly BacalhauVersion: VersionJson;
}

export interface NodeStateJson {
  readonly Info: NodeInfoJson;
  readonly Membership: 'APPROVED';
  readonly Connection: 'CONNECTED' | 'DISCONNECTED';
  readonly ConnectionState: {
    readonly Status: 'CONNECTED' | 'DISCONNECTED';
    readonly LastHeartbeat: string;
    readonly ConnectedSince: string;
    readonly DisconnectedSince: string;
    readonly LastError: string;
  };
  /** shoal's own. */
  readonly Shoal: {
    readonly Self: boolean;
    readonly Addresses: readonly string[];
    readonly LatencyMs: number | null;
    readonly Keeps: boolean;
  };
}

export interface VersionJson {
  readonly Major: string;
  readonly Minor: string;
  /** The Bacalhau API that is spoken. */
  readonly GitVersion: string;
  readonly GitCommit: string;
  readonly BuildDate: string;
  readonly GOOS: string;
  readonly GOARCH: string;
  /** shoal's own version. */
  readonly Shoal: string;
}

export interface ErrorJson {
  readonly Status: number;
  readonly Message: string;
  readonly RequestID: string;
  /** Bacalhau's code, e.g. `NotFound`. */
  readonly Code: string;
  readonly Component: string;
  readonly Hint?: string;
  /** `code`: the failure code of shoal, `retryable`: `true` or `false`. */
  readonly Details: Readonly<Record<string, string>> & { readonly code: FailureCode };
}

/** `GET /api/v1/shoal/status`. Times are RFC 3339. */
export interface StatusJson {
  readonly NodeID: string;
  readonly Version: string;
  readonly Network: string;
  readonly Owner: string;
  readonly Addresses: readonly string[];
  readonly Labels: Readonly<Record<string, string>>;
  readonly StartedAt: string;
  readonly UptimeMs: number;
  readonly PeersConnected: number;
  readonly PeerProblems: readonly {
    readonly Peer: string;
    readonly Problem: string;
    readonly At: string;
  }[];
  readonly JobsKept: number;
  readonly ExecutionsRunning: number;
}

/** `GET` and `PUT` (`{"Set": {KEY: VALUE}, "Remove": [KEY]}`) `/api/v1/shoal/labels`. */
export interface LabelsJson {
  /** Those of the configuration and those set since; the automatic ones are left out. */
  readonly Labels: Readonly<Record<string, string>>;
}

/** `GET`, `PUT` (`{"DeadlineSeconds": n}`) and `DELETE /api/v1/shoal/drain`. Times are RFC 3339. */
export interface DrainJson {
  /** It takes nothing new, and leaves when nothing runs here any more. */
  readonly Draining: boolean;
  /** What still runs then is ended; '' when it is not to leave. */
  readonly LeavesBy: string;
  /** Executions that run here, or whose job has still to learn how they ended. */
  readonly Executions: number;
  /** Jobs that run here and that no other node this one knows of could run. */
  readonly OnlyHere: readonly string[];
}

export interface FindingJson {
  readonly Subject: string;
  readonly Level: 'ok' | 'warning' | 'problem';
  readonly Detail: string;
  readonly Remedy: string;
}

/** Answer to an upload. */
export interface ContentJson {
  readonly CID: string;
  readonly Bytes: number;
  /** What was left out, each with its reason. */
  readonly Dropped: readonly string[];
}

/** One line of `GET /api/v1/shoal/content/<cid>/list`; the last is `end` or `error`. */
export type ContentLine =
  | {
      readonly entry: {
        readonly path: string;
        readonly kind: 'file' | 'directory' | 'symlink';
        readonly bytes: number;
        /** Of a symlink: what it holds. */
        readonly link?: string;
        /** Permission bits, where the tree says some. */
        readonly mode?: number;
      };
    }
  | { readonly end: { readonly entries: number; readonly bytes: number } }
  | { readonly error: ErrorJson };

/** A frame of the log websocket. Type 1 = stdout, 2 = stderr, 0 = none (an error). */
export interface LogFrame {
  readonly value: {
    readonly Type: 0 | 1 | 2;
    readonly Line: string;
    /** shoal's own: what was written, in base64, where that is no UTF-8 and `Line` cannot say it. */
    readonly Bytes?: string;
  };
  readonly error?: string;
  /** shoal's own: the failure code beside `error`. */
  readonly code?: string;
}
