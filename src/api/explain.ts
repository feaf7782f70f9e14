/**
 * Puts into words why a job waits: from the counted refusals of the nodes to lines that name the
 * number of nodes, the rule and the values on both sides. Pure; what to do with it is the caller's.
 */
import type { WaitingView } from '../core/contract/messages.ts';
import type { KeepersView } from '../core/contract/reply.ts';
import { refusalWords } from '../core/record/refusal-words.ts';
import type { Refusal } from '../core/record/refusals.ts';
import { formatDuration } from '../lib/units.ts';
import { noSay } from '../failures/no-say.ts';
import { wrongTime } from '../failures/wrong-time.ts';

/** One refusal in words, without the number of nodes. */
export function explainRefusal(refusal: Refusal): string {
  switch (refusal.code) {
    case 'other-store':
    case 'damaged':
      return noSay(refusal);
    case 'wrong-time':
      return wrongTime(refusal);
    default:
      return refusalWords(refusal);
  }
}

const nodeText = (node: string): string => `n-${node.slice(-8)}`;

/** Which keepers are missing when the job cannot go on without them; '' while the others are enough. */
export function explainKeepers(view: KeepersView | null): string {
  if (view === null || view.silent.length === 0) return '';
  const { total, silent, leader, reseedAfterMs } = view;
  const names = silent.map((node) => nodeText(node) + (node === leader ? ' (its leader)' : ''));
  const needed = Math.floor(total / 2) + 1;
  const there = total - silent.length;
  const count = `${there} of ${total} keepers answer, not ${names.join(', ')}`;
  if (there < needed) {
    const others =
      reseedAfterMs === null
        ? 'its partition policy lets no others take their place'
        : `others take over when they stay away for ${formatDuration(reseedAfterMs)}`;
    return `waits for keepers: ${count}; ${needed} are needed to decide anything; ${others}`;
  }
  return silent.includes(leader) ? `${count}; another one will lead` : '';
}

const nodesText = (count: number): string => (count === 1 ? '1 node' : `${count} nodes`);

/**
 * Lines for a person, the most telling first: missing keepers, then each refusal with how many of
 * the known nodes gave it, then the nodes that have not answered. Of missing keepers alone when
 * nothing is to be run.
 */
export function explainWaiting(view: WaitingView): string[] {
  const lines: string[] = [];
  if (view.keepersReached < Math.floor(view.keepers / 2) + 1) {
    lines.push(`job waits for keepers (${view.keepersReached} of ${view.keepers})`);
  }
  if (lines.length > 0 && view.partitionsWaiting === 0) return lines;
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
