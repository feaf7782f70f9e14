/** Whether this node takes anything new: jobs to keep, executions, copies of results, submissions. */
import type { Node } from './state.ts';

/**
 * Why it takes nothing new; null when it does. What it has already goes on either way: a node whose
 * disk is full keeps its promises, answers and serves, and opens its door again by itself.
 */
export function shut(core: Node): { readonly code: 'draining' | 'store-full' } | null {
  if (core.draining) return { code: 'draining' };
  return core.storeFull ? { code: 'store-full' } : null;
}
