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
/** A lot costs a hash, and there may be a thousand offers for ten thousand vacancies. */
const LOTS_MAX = 16;

/** A bid while it is being given out. */
interface Offer {
  readonly bid: Bid;
  left: number;
  given: number;
  score: number;
}

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
  let open: readonly Offer[] = [...bids.values()]
    .sort((a, b) => (a.node < b.node ? -1 : 1))
    .map((bid) => ({
      bid,
      left: bid.executions,
      given: 0,
      score: scoreOf(bid, failures, 0),
    }));
  const choices: Choice[] = [];
  for (const vacancy of vacancies) {
    const { partition, attempt, replaces, tried } = vacancy;
    const fresh = tried.size === 0 ? open : open.filter(({ bid }) => !tried.has(bid.node));
    const winner = draw(suite, job, vacancy, fresh.length > 0 ? fresh : open);
    // There may be thousands of vacancies, and a handful of offers.
    if (winner === null) break;
    winner.left -= 1;
    winner.given += 1;
    winner.score = scoreOf(winner.bid, failures, winner.given);
    if (winner.left <= 0) open = open.filter((offer) => offer !== winner);
    choices.push({ partition, attempt, replaces, node: winner.bid.node });
  }
  return choices;
}

function scoreOf(bid: Bid, failures: ReadonlyMap<NodeId, number>, given: number): number {
  const failed = Math.min(3, failures.get(bid.node) ?? 0);
  return LOCALITY_WORTH * bid.locality + freeShare(bid.free, bid.capacity) - failed - 0.5 * given;
}

/** One of the best by lot, whatever the order of the bids; null when there is none. */
function draw(
  suite: Suite,
  job: JobId,
  { partition, attempt }: Vacancy,
  offers: readonly Offer[],
): Offer | null {
  let best = -Infinity;
  for (const { score } of offers) if (score > best) best = score;
  const near = offers.filter(({ score }) => score >= best - NEARLY_EQUAL);
  const draws = `rank|${job}|${partition}|${attempt}`;
  // Of many only some draw, others for each vacancy.
  const first = near.length > LOTS_MAX ? Number.parseInt(suite.hash(draws).slice(0, 8), 16) : 0;
  let winner: { readonly offer: Offer; readonly lot: string } | null = null;
  for (let at = 0; at < Math.min(near.length, LOTS_MAX); at += 1) {
    const offer = near[(first + at) % near.length];
    if (offer === undefined) continue;
    const lot = suite.hash(`${draws}|${offer.bid.node}`);
    if (winner === null || lot < winner.lot) winner = { offer, lot };
  }
  return winner?.offer ?? null;
}
