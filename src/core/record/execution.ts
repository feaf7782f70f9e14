/**
 * One execution as the outside world sees it: the order that an executor carries out, what happens
 * to it. Engines and the runner carry orders out; the core only produces orders and consumes events.
 */
import type { Task, JobType } from '../../job/model.ts';
import { JOB_TYPES } from '../../job/types.ts';
import type { ExecutionId, JobId, NodeId } from './ids.ts';

/** Phases only move forward. The four last are terminal. */
export type Phase =
  | 'received'
  | 'preparing'
  | 'starting'
  | 'running'
  | 'publishing'
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'lost';

/**
 * Whose fault a failure is; decides whether another node is tried.
 * `spec`: the job itself is wrong (image not found, bad entry point): not tried again.
 * `node`: this node cannot (engine broken, disk full): tried on another node.
 * `transient`: may work next time (registry 5xx, input not found yet): tried again with back-off.
 * `limit`: the job ran into one of its own limits (memory, time, output): not tried again.
 * A program that does not end is started again on its node after `transient`, `limit` and an exit; where every
 * node runs it, so that no other can do so in its place, after all of them.
 */
export type FailureClass = 'spec' | 'node' | 'transient' | 'limit';

export interface ExecutionFailure {
  /** Stable kebab-case code, e.g. `image-not-found`, `out-of-memory`, `execution-timeout`. */
  readonly code: string;
  readonly class: FailureClass;
  /** One sentence for a person: place, value, remedy. At most 1,000 characters. */
  readonly message: string;
}

/** The start of what a program printed; at most 2,048 bytes each, as in Bacalhau's `RunOutput`. */
export interface OutputHead {
  readonly stdout: string;
  readonly stdoutTruncated: boolean;
  readonly stderr: string;
  readonly stderrTruncated: boolean;
}

export interface Usage {
  /** CPU time of the program, milliseconds; null where the engine cannot tell. */
  readonly cpuMs: number | null;
  /** Highest memory seen, bytes; null where the engine cannot tell. */
  readonly peakMemoryBytes: number | null;
  /** Wall time of the run itself, milliseconds. */
  readonly wallMs: number;
}

/** A published result: the root of a UnixFS directory and the bytes below it. */
export interface ResultRef {
  /** CIDv1 text. */
  readonly cid: string;
  readonly bytes: number;
}

/** Everything a runner needs to carry out one execution; complete, so that it can be resumed from disk. */
export interface ExecutionOrder {
  readonly execution: ExecutionId;
  readonly job: JobId;
  readonly jobType: JobType;
  readonly jobName: string;
  readonly namespace: string;
  readonly version: number;
  readonly partition: number;
  readonly partitionCount: number;
  readonly attempt: number;
  /** How often its program was started again on this node; 0 at first. */
  readonly restarts: number;
  /** The epoch's number, given to the program so that it can fence its own side effects. */
  readonly epoch: number;
  readonly task: Task;
  /** Nodes likely to hold the inputs; fetching dials these first. */
  readonly holders: readonly NodeId[];
  /** Wall-clock budget of the run in milliseconds; 0 = none. */
  readonly timeoutMs: number;
}

/** What a runner tells the core, in order; `ended`, `failed` and `cancelled` are last. */
export type RunEvent =
  | { readonly type: 'phase'; readonly phase: 'preparing' | 'starting' | 'running' | 'publishing' }
  | {
      readonly type: 'ended';
      readonly exitCode: number;
      /** null when the job names no publisher. */
      readonly result: ResultRef | null;
      readonly output: OutputHead;
      readonly usage: Usage;
      /** As in a state. */
      readonly leftOut?: readonly string[];
    }
  | {
      readonly type: 'failed';
      readonly failure: ExecutionFailure;
      readonly output: OutputHead | null;
      readonly usage: Usage | null;
    }
  | { readonly type: 'cancelled'; readonly output: OutputHead | null };

/** Another node would do no better, and this one may the next time. */
const CURABLE: ReadonlySet<FailureClass> = new Set(['transient', 'limit']);

/** What a program that does not end by itself is started again after, on its node. */
export type Interruption = Extract<RunEvent, { readonly type: 'ended' | 'failed' }>;

export function isInterruption(jobType: JobType, event: RunEvent): event is Interruption {
  const { counted, ends } = JOB_TYPES[jobType];
  if (ends) return false;
  // Whatever one node lacks is no reason to end it on the others, and may be there the next time.
  return (
    event.type === 'ended' ||
    (event.type === 'failed' && (!counted || CURABLE.has(event.failure.class)))
  );
}

/**
 * The variables every program gets (Bacalhau reference part 3.1, and the same as `SHOAL_*`).
 * The task's own variables come first, so they cannot hide these.
 */
export function environmentOf(order: ExecutionOrder): Readonly<Record<string, string>> {
  const facts: Record<string, string> = {
    EXECUTION_ID: order.execution,
    JOB_ID: order.job,
    JOB_TYPE: order.jobType,
    PARTITION_INDEX: String(order.partition),
    PARTITION_COUNT: String(order.partitionCount),
  };
  const env: Record<string, string> = { ...order.task.Env };
  for (const [key, value] of Object.entries(facts)) {
    env[`BACALHAU_${key}`] = value;
    env[`SHOAL_${key}`] = value;
  }
  env['SHOAL_ATTEMPT'] = String(order.attempt);
  env['SHOAL_RESTARTS'] = String(order.restarts);
  env['SHOAL_EPOCH'] = String(order.epoch);
  return env;
}
