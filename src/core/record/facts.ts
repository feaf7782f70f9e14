/** What is known of one version of a job: what was committed of it, and how its executions go. */
import type { CertifiedValue } from '../contract/messages.ts';
import type { ExecutionId } from './ids.ts';
import type { AssignBody, Certified, Signed, Slot } from './records.ts';

export interface Attempt {
  readonly assign: Certified<'assign'>;
  /** What is known of how it goes. */
  readonly state: Signed<'state'> | null;
}

export interface Partition {
  /** By attempt number. */
  readonly attempts: Map<number, Attempt>;
  accept: Certified<'accept'> | null;
}

export interface Facts {
  /** null: of a later version, which is not known to be one yet. */
  spec: Signed<'spec'> | null;
  /** What made it one; null: the admission, or it is not known. */
  version: Certified<'version'> | null;
  /** By partition. */
  readonly partitions: Map<number, Partition>;
  /**
   * Where each assigned execution belongs; of one that was adopted the latest attempt. Two leaders may each have given
   * a node that enrolled a place: then it is the lower one, in whatever order they come.
   */
  readonly assigned: Map<ExecutionId, AssignBody>;
  readonly states: Map<ExecutionId, Signed<'state'>>;
  readonly committed: Map<Slot, CertifiedValue>;
  close: Certified<'close'> | null;
}

export const newFacts = (spec: Signed<'spec'> | null): Facts => ({
  spec,
  version: null,
  partitions: new Map(),
  assigned: new Map(),
  states: new Map(),
  committed: new Map(),
  close: null,
});

export function partitionOf({ partitions }: Pick<Facts, 'partitions'>, index: number): Partition {
  const known = partitions.get(index);
  if (known !== undefined) return known;
  const fresh: Partition = { attempts: new Map(), accept: null };
  partitions.set(index, fresh);
  return fresh;
}

export function noteAssigned({ assigned }: Pick<Facts, 'assigned'>, body: AssignBody): void {
  const known = assigned.get(body.execution);
  const counts =
    known === undefined ||
    body.partition < known.partition ||
    (body.partition === known.partition && body.attempt > known.attempt);
  if (counts) assigned.set(body.execution, body);
}

export function attemptOf({ states }: Pick<Facts, 'states'>, assign: Certified<'assign'>): Attempt {
  const { execution } = assign.record.body;
  return {
    assign,
    get state() {
      return states.get(execution) ?? null;
    },
  };
}
