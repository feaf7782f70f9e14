/** What runs on this node, and what it copies for others. */
import type { StoredExecution } from '../contract/stored.ts';
import { JobSet } from '../keeping/job-set.ts';
import type { Repeat } from '../node/repeat.ts';
import type { ExecutionId, JobId, Millis, NodeId, RecordId, StoreId } from '../record/ids.ts';
import { asMillis } from '../record/ids.ts';
import { isTerminal } from '../record/ledger.ts';
import type { Configuration, Epoch } from '../record/records.ts';
import type { ExecutionFailure } from '../record/execution.ts';
import type { Packed } from '../record/suite.ts';
import type { Effect } from '../contract/effect.ts';
import type { Message } from '../contract/messages.ts';
import type { With } from '../node/state.ts';

/** An execution on this node. */
export interface LocalExecution {
  stored: StoredExecution;
  /** Highest epoch seen for the job; lower ones are not obeyed. */
  epoch: Epoch;
  leaderHeardAt: Millis;
  /** Who leads by the word of a keeper, under an epoch that is not obeyed here: it is told that this lives. */
  hinted: NodeId | null;
  /** Keepers that have yielded to others than those that it obeys. */
  readonly left: Set<NodeId>;
  /** Keepers that have the last state on disk. */
  readonly acked: Set<NodeId>;
  /** How often one of them was asked since whether the job is closed. */
  asked: number;
  readonly resend: Repeat;
  cancelling: boolean;
  /** Why, for whoever looks at how it ended; null while it is not. */
  cancelledFor: ExecutionFailure | null;
  /**
   * It waited for room, or out its pause, while this node was off, and its job may be over since: until then its leader
   * is asked before it begins. null: its leader has said that it goes on, or it did not wait.
   */
  doubtedUntil: Millis | null;
  /** When this process heard that its program runs; null before that. */
  runsSince: Millis | null;
  /** It rests, and its program was told to stop and has not said that it did. */
  isEnding: boolean;
  /** null when its job is not exclusive. */
  readonly tenure: Tenure | null;
}

/** Why an execution was ended or rests whose node is about to leave. */
export const LEAVING: ExecutionFailure = {
  code: 'draining',
  class: 'node',
  message: 'its node is leaving',
};

/** For how long the keepers of an exclusive job let this program run. */
export interface Tenure {
  /** Not asked for before: the program of an earlier attempt may still run. */
  readonly from: Millis;
  /** The program has to be stopped then. */
  until: Millis;
  readonly asked: {
    readonly turn: number;
    readonly at: Millis;
    readonly configuration: Configuration;
    readonly answers: Set<NodeId>;
  }[];
  askAt: Millis;
  /** This process has begun the program, or taken it up. */
  runs: boolean;
}

/** Its program is over until its node matches the job again, or takes work again. */
export const isResting = ({ stored: { state } }: LocalExecution): boolean =>
  state.body.retryMs === 0 && !isTerminal(state.body.phase);

/** Its program runs or is about to: it has its part of what the node has. */
export const takesRoom = (execution: LocalExecution): boolean =>
  execution.stored.queued !== true && (!isResting(execution) || execution.isEnding);

/** An accepted result that this node holds. */
export interface Entrusted {
  readonly job: JobId;
  readonly cid: string;
  readonly accept: RecordId;
  /** Whom this node believes who else has it, beside the holders themselves. */
  readonly keepers: readonly NodeId[];
  /** Spec, admission and accept, and the later configurations. */
  readonly proof: Packed;
  /** The other holders, with the store they have it in once that is known. */
  readonly others: Map<NodeId, StoreId | null>;
  /** Counted time, milliseconds. */
  readonly since: number;
  readonly until: number;
  made: number;
  /** Who did not make a copy, and when. */
  readonly tried: Map<NodeId, Millis>;
  asked: { readonly node: NodeId; readonly deadline: Millis; readonly resend: Repeat } | null;
}

/** An executor's work. */
export interface Executing {
  readonly executions: Map<ExecutionId, LocalExecution>;
  /** Those that have not ended: of a large job thousands that have are kept until it is closed. */
  readonly live: Map<ExecutionId, LocalExecution>;
  /** Of the last question for a tenure. */
  turn: number;
  /** Those it took up by its own decision, whether they wait, run or have ended. */
  readonly own: Map<ExecutionId, LocalExecution>;
  /** Until then calls to such jobs may be old. */
  doubtUntil: Millis;
  /** Jobs that it took up by its own decision: they are not done again. Counted time. */
  readonly done: JobSet;
  /**
   * Those it said it does not start: an assignment that comes again does not change that, though there may
   * be room for it by then, as its leader has given it to another node.
   */
  readonly declined: Map<ExecutionId, JobId>;
  /** Versions that jobs were heard to have: what was of one before is not begun any more. */
  readonly versions: Map<JobId, number>;
  /** Results this node was asked to copy. */
  readonly replicas: Map<
    ExecutionId,
    {
      readonly job: JobId;
      readonly asker: NodeId;
      /** It is accepted already: this node shall look after it. */
      readonly entrust: Extract<Message, { type: 'entrust' }> | null;
    }
  >;
  /** The last copies it has made, by their content. */
  readonly copied: Map<ExecutionId, string>;
  readonly entrusted: Map<ExecutionId, Entrusted>;
  /** Since when other holders are away. */
  readonly awaySince: Map<NodeId, Millis>;
  /** Copies that were begun lately for want of holders. */
  readonly begun: { since: Millis; count: number };
}

export const createExecuting = (): Executing => ({
  executions: new Map(),
  live: new Map(),
  turn: 0,
  own: new Map(),
  doubtUntil: asMillis(0),
  done: new JobSet(),
  declined: new Map(),
  versions: new Map(),
  replicas: new Map(),
  copied: new Map(),
  entrusted: new Map(),
  awaySince: new Map(),
  begun: { since: asMillis(0), count: 0 },
});

/** The version that a job has, as far as this node heard; 1 when it heard nothing. */
export function versionHeard(
  { keeping, executing }: With<'keeping' | 'executing'>,
  job: JobId,
): number {
  const kept = keeping.kept.get(job)?.ledger.spec.body.version ?? 1;
  return Math.max(kept, executing.versions.get(job) ?? 1);
}

/** An execution is here, or went on: whether it is still live is looked at. */
export function noteExecution({ executing }: With<'executing'>, execution: LocalExecution): void {
  const { order, state } = execution.stored;
  executing.executions.set(order.execution, execution);
  if (execution.stored.assign === null) executing.own.set(order.execution, execution);
  if (isTerminal(state.body.phase)) executing.live.delete(order.execution);
  else executing.live.set(order.execution, execution);
}

export const tenureTimer = (execution: ExecutionId): string => `tenure:${execution}`;

/** Its program begins or is taken up again. */
export const runOf = (
  { stored: { order }, tenure }: LocalExecution,
  resume: boolean,
): Extract<Effect, { type: 'run' }> => ({
  type: 'run',
  order,
  resume,
  ...(tenure === null ? {} : { until: tenure.until }),
});

export function dropExecution({ executing }: With<'executing'>, id: ExecutionId): void {
  executing.executions.delete(id);
  executing.own.delete(id);
  executing.live.delete(id);
}

/** The live executions of this node, one by one; a fault while one is looked at is its job's. */
export function* eachLive(
  core: With<'executing'>,
): Generator<readonly [ExecutionId, LocalExecution], void, undefined> {
  const before = core.atHand;
  for (const entry of core.executing.live) {
    core.atHand = entry[1].stored.order.job;
    yield entry;
  }
  core.atHand = before;
}
