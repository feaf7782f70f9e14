/**
 * How long a job waits for nodes, and why it does. `QueueTimeout` > 0: it fails when it has waited that long.
 * 0: it fails as soon as it is clear that no node could ever run it, by what each answered or says of
 * itself to everybody; while one could but is busy, it waits, as in Bacalhau, where the node itself queues
 * what it accepted.
 */
import type { Job } from '../../job/model.ts';
import { JOB_TYPES } from '../../job/types.ts';
import { after } from '../record/ids.ts';
import type { Millis, NodeId } from '../record/ids.ts';
import type { Declined } from '../placing/state.ts';
import { betterOf, refusalWords } from '../record/refusal-words.ts';
import type { Refusal } from '../record/refusals.ts';
import type { Ending } from './partition-plan.ts';

/** A node that has just started, or just taken over, does not yet know who is there. */
const SETTLE_MS = 10_000;
/** With `QueueTimeout` 0, this long without any node that could ever run the job ends it. */
const FAIL_FAST_MS = 1_500;
/**
 * Whoever could run it by what he says of himself is waited for until then. The sortition has asked ten
 * thousand nodes by that time; who is silent for longer is not there.
 */
export const PATIENCE_MS = 60_000;
/** Reasons that are told of, and those that the end of a job names, each as long as that: nodes write into them. */
const REASONS_MAX = 20;
const REASONS_TOLD = 3;
const WORDS_MAX = 250;

/** What came of looking for nodes so far. */
export interface Search {
  /** Since when an execution has been wanting a node. */
  readonly since: Millis;
  /** Since when this node has been running. */
  readonly startedAt: Millis;
  /** Executions that want a node, and the nodes that are there. */
  readonly requested: number;
  readonly available: () => number;
  /** Offers not used yet. */
  readonly bids: number;
  readonly declines: ReadonlyMap<NodeId, Declined>;
  /** Whether a node runs a part of it, or offered to just now: it could run another. */
  readonly someCould: () => boolean;
  /** Whether one that could run it, by what it says of itself, has not answered. */
  readonly someMayAnswer: () => boolean;
}

/** The wait is over and the job with it; or it is looked at again at that moment, or when something happens. */
type Verdict =
  | { readonly over: true; readonly ending: Ending }
  | { readonly over: false; readonly lookAt: Millis | null };

const wait = (lookAt: Millis | null): Verdict => ({ over: false, lookAt });

/** Reasons that pass: the node could run the job. */
export const onlyBusy = ({ refusals }: Declined): boolean =>
  refusals.every(({ code }) => code === 'busy' || code === 'store-full');

export function queueEnding({ Type, Task }: Job, search: Search, now: Millis): Verdict {
  if (!JOB_TYPES[Type].queues) return wait(null);
  const { since, bids, declines } = search;
  const limitMs = Task.Timeouts.QueueTimeout * 1000;
  if (limitMs > 0) {
    const until = after(since, limitMs);
    // An offer is taken within a moment.
    if (now < until || bids > 0) return wait(now < until ? until : null);
    const seconds = Task.Timeouts.QueueTimeout;
    const why = `No node took the job within its QueueTimeout of ${seconds} s.`;
    return { over: true, ending: notEnough(search, 'queue-timeout', why) };
  }
  const settledAt = after(
    search.startedAt,
    Math.max(SETTLE_MS, since - search.startedAt + FAIL_FAST_MS),
  );
  if (now < settledAt) return wait(settledAt);
  const possible = bids > 0 || [...declines.values()].some(onlyBusy);
  if (possible || declines.size === 0) return wait(null);
  if (search.someCould()) return wait(null);
  const patientUntil = after(since, PATIENCE_MS);
  if (now < patientUntil && search.someMayAnswer()) return wait(patientUntil);
  const why = 'No node of the mesh can run the job, and its QueueTimeout is 0.';
  return { over: true, ending: notEnough(search, 'not-enough-nodes', why) };
}

/**
 * Nobody can run it. The words are Bacalhau's, as far as the reasons, for which scripts look.
 * @param why it does not wait any longer
 */
export function notEnough(
  { requested, available, declines }: Pick<Search, 'requested' | 'available' | 'declines'>,
  code: string,
  why: string,
): Ending {
  const nodes = Math.max(available(), declines.size);
  const counts = `requested: ${requested}, available: ${nodes}, suitable: 0.`;
  const all = nodes === 1 ? '1 node' : `${nodes} nodes`;
  const reasons = reasonsOf(declines)
    .slice(0, REASONS_TOLD)
    .map((one) => `\n• ${one.nodes} of ${all}: ${wordsOf(one.refusal)}`);
  const message = `not enough nodes to run job. ${counts}${reasons.join('')}\n${why}`;
  return { outcome: 'failed', code, message, evidence: [] };
}

function wordsOf(refusal: Refusal): string {
  const { code } = refusal;
  // What a keeper says who shall keep a job, no node says that is to run it.
  if (code === 'other-store' || code === 'damaged' || code === 'wrong-time') return code;
  const words = refusalWords(refusal);
  return words.length > WORDS_MAX ? `${words.slice(0, WORDS_MAX)}…` : words;
}

/** What a node says of itself in a refusal; two that differ only in these are one reason. */
const NODES_OWN: ReadonlySet<string> = new Set(['free', 'capacity', 'actual', 'detail']);

/**
 * A text that is the same for the same reason, whatever the order of its fields: a refusal that came
 * over the wire has another order than this node's own.
 */
function sameReason(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(sameReason).join(',')}]`;
  const fields = Object.entries(value)
    .filter(([key]) => !NODES_OWN.has(key))
    .map(([key, part]) => `${key}:${sameReason(part)}`);
  return `{${fields.sort().join(',')}}`;
}

/** Equal reasons counted, the most frequent first. */
export function reasonsOf(
  declines: Search['declines'],
): readonly { readonly refusal: Refusal; readonly nodes: number }[] {
  const counts = new Map<string, { refusal: Refusal; nodes: number }>();
  for (const { refusals } of declines.values()) {
    for (const refusal of refusals) {
      const key = sameReason(refusal);
      const entry = counts.get(key) ?? { refusal, nodes: 0 };
      entry.refusal = betterOf(entry.refusal, refusal);
      entry.nodes += 1;
      counts.set(key, entry);
    }
  }
  return [...counts.values()].sort((a, b) => b.nodes - a.nodes).slice(0, REASONS_MAX);
}
