/**
 * The id of an execution is what it is, so it is the same wherever it is computed: job, version, partition,
 * attempt and node. Where each node decides for itself it knows of no place among the others, and runs a
 * version once: its id is made of the rest, so that a node has one for ever, whoever asks it how often.
 */
import { JOB_TYPES } from '../../job/types.ts';
import type { JobType } from '../../job/model.ts';
import { asExecutionId, uuidOf } from './ids.ts';
import type { ExecutionId, JobId, NodeId } from './ids.ts';
import type { Suite } from './suite.ts';

export function executionIdOf(
  suite: Suite,
  type: JobType,
  {
    job,
    version,
    partition,
    attempt,
    node,
  }: { job: JobId; version: number; partition: number; attempt: number; node: NodeId },
): ExecutionId {
  const place = JOB_TYPES[type].counted ? `${partition}|${attempt}` : 'own';
  return asExecutionId(
    `e-${uuidOf(suite.hash(`shoal/execution|${job}|${version}|${place}|${node}`))}`,
  );
}
