/**
 * Puts into words why a job waits: from the counted refusals of the nodes to lines that name the
 * number of nodes, the rule and the values on both sides. Pure; what to do with it is the caller's.
 */
import type { WaitingView } from '../core/contract/messages.ts';
import type { KeepersView } from '../core/contract/reply.ts';
import type { Refusal, ResourceName } from '../core/record/refusals.ts';
import type { Constraint } from '../job/model.ts';
import { noSay } from '../failures/no-say.ts';
import { wrongTime } from '../failures/wrong-time.ts';
import { formatBytes } from '../lib/units.ts';

/** `2.5 cores`, `4.0 GB`, `1 GPU`. */
function amount(resource: ResourceName, value: number): string {
  switch (resource) {
    case 'cpu':
      return `${(value / 1000).toFixed(value % 1000 === 0 ? 0 : 1)} cores`;
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

/** One refusal in words, without the number of nodes. */
export function explainRefusal(refusal: Refusal): string {
  switch (refusal.code) {
    case 'engine-missing':
      return `engine ${refusal.engine} is not available${withDetail(refusal.detail)}`;
    case 'publisher-missing':
      return `publisher ${refusal.publisher} is not available`;
    case 'source-missing':
      return `input source ${refusal.source} is not available`;
    case 'constraint':
      return `constraint ${constraintText(refusal.constraint)} does not hold (${refusal.actual ?? 'no such label'})`;
    case 'too-big':
      return `${refusal.resource}: wants ${amount(refusal.resource, refusal.wanted)}, has ${amount(refusal.resource, refusal.capacity)} in all (never fits)`;
    case 'busy':
      return `${refusal.resource}: wants ${amount(refusal.resource, refusal.wanted)}, has ${amount(refusal.resource, refusal.free)} free (busy)`;
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
    case 'other-store':
    case 'damaged':
      return noSay(refusal);
    case 'wrong-time':
      return wrongTime(refusal);
  }
}

const nodeText = (node: string): string => `n-${node.slice(-8)}`;

/** Which keepers are missing when the job cannot go on without them; '' while the others are enough. */
export function explainKeepers(view: KeepersView | null): string {
  if (view === null || view.silent.length === 0) return '';
  const { total, silent, leader } = view;
  const names = silent.map((node) => nodeText(node) + (node === leader ? ' (its leader)' : ''));
  const needed = Math.floor(total / 2) + 1;
  const there = total - silent.length;
  const count = `${there} of ${total} keepers answer, not ${names.join(', ')}`;
  if (there < needed) return `waits for keepers: ${count}; ${needed} are needed to decide anything`;
  return silent.includes(leader) ? `${count}; another one will lead` : '';
}

const nodesText = (count: number): string => (count === 1 ? '1 node' : `${count} nodes`);

/**
 * Lines for a person, the most telling first: missing keepers, then each refusal with how many of
 * the known nodes gave it, then the nodes that have not answered.
 */
export function explainWaiting(view: WaitingView): string[] {
  const lines: string[] = [];
  if (view.keepersReached < Math.floor(view.keepers / 2) + 1) {
    lines.push(`job waits for keepers (${view.keepersReached} of ${view.keepers})`);
  }
  const refusals = [...view.refusals].sort((a, b) => b.nodes - a.nodes);
  for (const { refusal, nodes } of refusals) {
    lines.push(`${nodes} of ${nodesText(view.nodesKnown)}: ${explainRefusal(refusal)}`);
  }
  const silent = view.nodesKnown - view.nodesAnswered;
  if (view.nodesKnown === 0) lines.push('no node is known that could run it');
  else if (silent > 0) lines.push(`${silent} of ${nodesText(view.nodesKnown)}: no answer yet`);
  if (lines.length === 0 && view.partitionsWaiting > 0) {
    const wait = view.partitionsWaiting === 1 ? 'execution waits' : 'executions wait';
    lines.push(`${view.partitionsWaiting} ${wait} for a free node`);
  }
  return lines;
}
