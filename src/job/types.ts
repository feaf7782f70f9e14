/** What the four types of job differ in. Whoever asks for a job's type asks here, so that a rule has one place. */
import type { JobType } from './model.ts';

export interface TypeRules {
  /** Its leader places `Count` replicas; otherwise each node that matches runs it by its own decision. */
  readonly counted: boolean;
  /** Its program comes to an end by itself and may leave a result; otherwise it is kept running. */
  readonly ends: boolean;
  /** It fails when no node takes it within its QueueTimeout, or none ever could; otherwise it waits. */
  readonly queues: boolean;
}

export const JOB_TYPES: Readonly<Record<JobType, TypeRules>> = {
  batch: { counted: true, ends: true, queues: true },
  ops: { counted: false, ends: true, queues: false },
  daemon: { counted: false, ends: false, queues: false },
  service: { counted: true, ends: false, queues: false },
};

export const TYPE_NAMES = Object.keys(JOB_TYPES) as readonly JobType[];
