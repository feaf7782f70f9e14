/**
 * Why nodes do not run a job, in words that name the rule and the values on both sides: for who asks why it
 * waits, and for the end of one that nobody can run. Pure.
 */
import type { Constraint } from '../../job/model.ts';
import { formatBytes } from '../../job/resources.ts';
import type { Refusal, ResourceName } from './refusals.ts';

/** What a node says of a job that it is offered; what a keeper says of one that it is to keep has words elsewhere. */
export type NodeRefusal = Exclude<
  Refusal,
  { readonly code: 'other-store' | 'damaged' | 'wrong-time' }
>;

/** `2.5 cores`, `4 GB`, `1 GPU`. */
function amount(resource: ResourceName, value: number): string {
  switch (resource) {
    case 'cpu':
      return `${Number((value / 1_000).toFixed(2))} ${value === 1_000 ? 'core' : 'cores'}`;
    case 'memory':
    case 'disk':
      return formatBytes(value);
    case 'gpu':
      return `${value} ${value === 1 ? 'GPU' : 'GPUs'}`;
  }
}

function constraintText(constraint: Constraint): string {
  const { Key, Operator, Values } = constraint;
  switch (Operator) {
    case 'exists':
      return `${Key} exists`;
    case '!':
      return `${Key} does not exist`;
    case 'in':
    case 'notin':
      return `${Key} ${Operator} (${Values.join(', ')})`;
    case 'gt':
      return `${Key} > ${Values[0] ?? ''}`;
    case 'lt':
      return `${Key} < ${Values[0] ?? ''}`;
    case '=':
    case '!=':
      return `${Key} ${Operator} ${Values[0] ?? ''}`;
  }
}

const withDetail = (detail: string): string => (detail === '' ? '' : ` (${detail})`);

/**
 * Without the number of nodes. Of several that lack the same it is said what the best of them has.
 * "does not support" is Bacalhau's word, for which scripts look.
 */
export function refusalWords(refusal: NodeRefusal): string {
  switch (refusal.code) {
    case 'engine-missing':
      return `does not support ${refusal.engine}: the engine is not available${withDetail(refusal.detail)}`;
    case 'publisher-missing':
      return `does not support ${refusal.publisher}: the publisher is not available`;
    case 'source-missing':
      return `does not support ${refusal.source}: the input source is not available`;
    case 'constraint':
      return `constraint ${constraintText(refusal.constraint)} does not hold (${refusal.actual ?? 'no such label'})`;
    case 'too-big':
      return `${refusal.resource}: wants ${amount(refusal.resource, refusal.wanted)}, the largest has ${amount(refusal.resource, refusal.capacity)} in all (never fits)`;
    case 'busy':
      return `${refusal.resource}: wants ${amount(refusal.resource, refusal.wanted)}, at most ${amount(refusal.resource, refusal.free)} free (busy)`;
    case 'network':
      return `network ${refusal.network} is not allowed there${withDetail(refusal.detail)}`;
    case 'path-not-allowed':
      return `the path ${refusal.path} may not be ${refusal.writable ? 'written' : 'read'} there (--allow-path)`;
    case 'env-not-allowed':
      return `the variable ${refusal.variable} is not set or may not be forwarded there`;
    case 'owner-not-allowed':
      return 'jobs of this owner are not taken there';
    case 'namespace-not-allowed':
      return `jobs of namespace ${refusal.namespace} are not taken there`;
    case 'image-not-allowed':
      return `the image ${refusal.image} is not allowed there`;
    case 'unsupported':
      return `not supported there: ${refusal.feature}`;
    case 'draining':
      return 'the node is shutting down and takes nothing new';
    case 'store-full':
      return "the node's disk is full";
    case 'expired':
      return 'the job has expired';
    case 'over':
      return 'the job is over';
    case 'versions-full':
      return `earlier versions that still run take ${refusal.bytes} of ${refusal.maxBytes} bytes there`;
  }
}

/** Of two that lack the same, with what the one has that has more. */
export function betterOf(a: Refusal, b: Refusal): Refusal {
  if (a.code === 'too-big' && b.code === 'too-big') return b.capacity > a.capacity ? b : a;
  if (a.code === 'busy' && b.code === 'busy') return b.free > a.free ? b : a;
  return a;
}
