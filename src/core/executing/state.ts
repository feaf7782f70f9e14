/** What runs on this node, and what it copies for others. */
import type { Repeat } from '../node/repeat.ts';
import type { StoredExecution } from '../contract/stored.ts';
import type { ExecutionId, JobId, Millis, NodeId } from '../record/ids.ts';
import type { Epoch } from '../record/records.ts';
import type { With } from '../node/state.ts';

/** An execution on this node. */
export interface LocalExecution {
  stored: StoredExecution;
  /** Highest epoch seen for the job; lower ones are not obeyed. */
  epoch: Epoch;
  leaderHeardAt: Millis;
  /** Keepers that have the last state on disk. */
  readonly acked: Set<NodeId>;
  /** How often one of them was asked since whether the job is closed. */
  asked: number;
  readonly resend: Repeat;
  cancelling: boolean;
}

/** An executor's work. */
export interface Executing {
  readonly executions: Map<ExecutionId, LocalExecution>;
  /** Results this node was asked to copy. */
  readonly replicas: Map<ExecutionId, { readonly job: JobId; readonly asker: NodeId }>;
  /** The last copies it has made, by their content. */
  readonly copied: Map<ExecutionId, string>;
}

export const createExecuting = (): Executing => ({
  executions: new Map(),
  replicas: new Map(),
  copied: new Map(),
});

/** The executions of this node, one by one; a fault while one is looked at is its job's. */
export function* eachExecution(
  core: With<'executing'>,
): Generator<readonly [ExecutionId, LocalExecution], void, undefined> {
  const before = core.atHand;
  for (const entry of core.executing.executions) {
    core.atHand = entry[1].stored.order.job;
    yield entry;
  }
  core.atHand = before;
}
