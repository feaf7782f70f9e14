/**
 * Choosing among bids: data locality, then free capacity, then few failures of
 * this job, spread over nodes; random among near-equals, so that one node that fails fast does not
 * eat every job. Pure: the randomness is a hash of job, attempt and node.
 */
import type { JobId, NodeId } from '../record/ids.ts';
import { freeShare } from './resources.ts';
import type { Bid } from './state.ts';
import type { ReplacedFor } from '../record/records.ts';
import type { Suite } from '../record/suite.ts';

/** One execution that needs a node. */
export interface Vacancy {
  readonly partition: number;
  readonly attempt: number;
  /** What became of the attempt before; null when this is the first. */
  readonly replaces: ReplacedFor | null;
  /** Nodes that tried this partition before: used only when nobody else is there. */
  readonly tried: ReadonlySet<NodeId>;
}

export interface Choice {
  readonly partition: number;
  readonly attempt: number;
  readonly replaces: ReplacedFor | null;
  readonly node: NodeId;
}

/** Local data is worth about one and a half executions more on a node: fetching is cheap, a crowd is not. */
const LOCALITY_WORTH = 0.75;
/** Scores within this distance count as equal. */
const NEARLY_EQUAL = 0.25;

/**
 * @param bids what was offered; `executions` is not changed
 * @param failures executions of this job that failed or were lost, by node
 * @returns at most one choice per vacancy, in the order of the vacancies
 */
export function rankBids(
  suite: Suite,
  job: JobId,
  vacancies: Iterable<Vacancy>,
  bids: ReadonlyMap<NodeId, Bid>,
  failures: ReadonlyMap<NodeId, number>,
): readonly Choice[] {
  const left = new Map<NodeId, number>([...bids].map(([node, bid]) => [node, bid.executions]));
  const given = new Map<NodeId, number>();
  const choices: Choice[] = [];
  let offered = 0;
  for (const { executions } of bids.values()) offered += executions;
  for (const vacancy of vacancies) {
    // There may be thousands of vacancies, and a handful of offers.
    if (choices.length >= offered) break;
    const open = [...bids.values()].filter((bid) => (left.get(bid.node) ?? 0) > 0);
    const fresh = open.filter((bid) => !vacancy.tried.has(bid.node));
    const pool = fresh.length > 0 ? fresh : open;
    if (pool.length === 0) continue;
    const scored = pool.map((bid) => ({ bid, score: score(bid, failures, given) }));
    const best = Math.max(...scored.map((entry) => entry.score));
    const lot = (node: NodeId): string =>
      suite.hash(`rank|${job}|${vacancy.partition}|${vacancy.attempt}|${node}`);
    const winner = scored
      .filter((entry) => entry.score >= best - NEARLY_EQUAL)
      .map(({ bid }) => ({ node: bid.node, lot: lot(bid.node) }))
      .sort((a, b) => (a.lot < b.lot ? -1 : 1))[0];
    if (winner === undefined) continue;
    left.set(winner.node, (left.get(winner.node) ?? 1) - 1);
    given.set(winner.node, (given.get(winner.node) ?? 0) + 1);
    const { partition, attempt, replaces } = vacancy;
    choices.push({ partition, attempt, replaces, node: winner.node });
  }
  return choices;
}

function score(
  bid: Bid,
  failures: ReadonlyMap<NodeId, number>,
  given: ReadonlyMap<NodeId, number>,
): number {
  const failed = Math.min(3, failures.get(bid.node) ?? 0);
  const crowd = given.get(bid.node) ?? 0;
  return LOCALITY_WORTH * bid.locality + freeShare(bid.free, bid.capacity) - failed - 0.5 * crowd;
}
