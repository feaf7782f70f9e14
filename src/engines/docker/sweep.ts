/**
 * Which containers are left over: of executions that nobody goes on with, of this peer and of those
 * that were here before it. A container says which data directory its peer had, and on which machine;
 * of a data directory that is locked by this peer, or that is gone, no other peer can be alive.
 */
import { lstat } from 'node:fs/promises';
import { errorCode } from '../../lib/durable-file.ts';
import type { FoundContainer } from './api.ts';
import { LABELS } from './config.ts';
import type { DockerEngineConfig } from './config.ts';

type Marks = Pick<DockerEngineConfig, 'nodeLabel' | 'meshLabel' | 'dataLabel' | 'hostLabel'>;

/** The labels that any container this peer may have to remove carries, one set for each reason. */
export const sweptLabels = (marks: Marks): readonly (readonly string[])[] => [
  [`${LABELS.node}=${marks.nodeLabel}`, `${LABELS.mesh}=${marks.meshLabel}`],
  [`${LABELS.host}=${marks.hostLabel}`],
];

/** True when no living peer goes on with this container. `kept`: executions of this peer. */
export async function isLeftOver(
  { labels }: FoundContainer,
  marks: Marks,
  kept: ReadonlySet<string>,
): Promise<boolean> {
  const data = labels[LABELS.data];
  if (kept.has(labels[LABELS.execution] ?? '')) return false;
  const here = labels[LABELS.host] === marks.hostLabel;
  // From before containers said so: the node's own are known by its name alone.
  if (data === undefined) return labels[LABELS.node] === marks.nodeLabel;
  if (here && data === marks.dataLabel) return true;
  // Another machine's, or another view of this one: its peer may be alive, a copy of this one even.
  if (!here) return false;
  // Of another data directory: its peer may be running, or be about to come back.
  return isGone(data);
}

async function isGone(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return false;
  } catch (error) {
    return errorCode(error) === 'ENOENT';
  }
}
