/** What the four types of job differ in. Whoever asks for a job's type asks here, so that a rule has one place. */
import type { JobType } from './model.ts';

/**
 * What becomes of an execution whose node is cut off from the leader of its job. `rerun`: another node runs it, the
 * first result counts. `keep`: it goes on; of what is counted another node runs it, and the older one stays when it is
 * back. `wait`: no other node runs it for a time that the owner names. `exclusive`: it ends, before another node begins.
 */
export type PartitionPolicy = 'rerun' | 'keep' | 'wait' | 'exclusive';
export const POLICIES = ['rerun', 'keep', 'wait', 'exclusive'] as const;

export interface TypeRules {
  /** Its leader places `Count` replicas; otherwise each node that matches runs it by its own decision. */
  readonly counted: boolean;
  /** Its program comes to an end by itself and may leave a result; otherwise it is kept running. */
  readonly ends: boolean;
  /** It fails when no node takes it within its QueueTimeout, or none ever could; otherwise it waits. */
  readonly queues: boolean;
  /** Those that it may have; the first one unless its owner chooses. */
  readonly policies: readonly [PartitionPolicy, ...PartitionPolicy[]];
}

export const JOB_TYPES: Readonly<Record<JobType, TypeRules>> = {
  batch: { counted: true, ends: true, queues: true, policies: ['rerun', 'wait', 'exclusive'] },
  ops: { counted: false, ends: true, queues: false, policies: ['keep', 'wait'] },
  daemon: { counted: false, ends: false, queues: false, policies: ['keep'] },
  service: { counted: true, ends: false, queues: false, policies: ['keep', 'wait', 'exclusive'] },
};

export const TYPE_NAMES = Object.keys(JOB_TYPES) as readonly JobType[];
