/**
 * Choosing the keepers of a job, once, at admission: highest-random-weight order,
 * preferring nodes that answer and have been seen for a while, spread over hosts where there is a choice.
 */
import type { JobId, Millis, NodeId } from '../record/ids.ts';
import type { Keeper } from '../record/records.ts';
import type { Suite } from '../record/suite.ts';

export interface KeeperCandidate {
  readonly node: NodeId;
  readonly store: Keeper['store'];
  readonly since: Millis;
  /** The host it runs on, as its connection shows it; '' = unknown. */
  readonly host: string;
  /** It was asked to keep something lately and did not answer. */
  readonly silent: boolean;
}

/** Seen for this long, a node is likely to stay: most nodes that leave do so in their first minute. */
const SETTLED_MS = 60_000;

/** K = largest odd number ≤ min(max, candidates). */
export function keeperCount(candidates: number, max: number): number {
  const most = Math.min(max, candidates);
  return most % 2 === 1 ? most : Math.max(1, most - 1);
}

interface Ranked {
  readonly candidate: KeeperCandidate;
  /** 0 is the best. */
  readonly grade: number;
  readonly weight: string;
}

/**
 * There may be thousands of candidates, and it is done for each job: they are looked through once, and
 * only the best are remembered.
 * @returns K keepers in rank order. `candidates` is not empty.
 */
export function chooseKeepers(
  job: JobId,
  candidates: readonly KeeperCandidate[],
  max: number,
  now: Millis,
  suite: Suite,
): readonly Keeper[] {
  const wanted = keeperCount(candidates.length, max);
  /** The best of all, and the best of those that are the best of their host, best first. */
  const best: Ranked[] = [];
  const spread: Ranked[] = [];
  for (const candidate of candidates) {
    const grade = gradeOf(candidate, now);
    // When there are hosts enough, only a better host changes anything.
    const last = spread.length < wanted ? undefined : spread.at(-1);
    if (last !== undefined && grade > last.grade) continue;
    const weight = suite.hash(`${job}|${candidate.node}`);
    if (last !== undefined && !isBetter(grade, weight, last)) continue;
    const ranked = { candidate, grade, weight };
    insert(best, ranked, wanted);
    insertForHost(spread, ranked, wanted);
  }
  const chosen = new Set(spread);
  for (const ranked of best) {
    if (chosen.size >= wanted) break;
    chosen.add(ranked);
  }
  // Rank order is by weight alone, so that every node can check it.
  return [...chosen]
    .sort((a, b) => (a.weight < b.weight ? 1 : -1))
    .map(({ candidate: { node, store } }) => ({ node, store }));
}

/** Answering weighs more than age: who does not answer may be there only to be chosen. */
const gradeOf = (candidate: KeeperCandidate, now: Millis): number =>
  (candidate.silent ? 2 : 0) + (now - candidate.since >= SETTLED_MS ? 0 : 1);

const isBetter = (grade: number, weight: string, than: Ranked): boolean =>
  grade < than.grade || (grade === than.grade && weight > than.weight);

/** Puts it into its place, and the last one out when there are more than `most`. */
function insert(sorted: Ranked[], ranked: Ranked, most: number): void {
  const at = sorted.findIndex((other) => isBetter(ranked.grade, ranked.weight, other));
  sorted.splice(at < 0 ? sorted.length : at, 0, ranked);
  if (sorted.length > most) sorted.pop();
}

/** The same, in the place of another of its host, if there is one and that is not better. */
function insertForHost(sorted: Ranked[], ranked: Ranked, most: number): void {
  const { host } = ranked.candidate;
  const other = host === '' ? -1 : sorted.findIndex(({ candidate }) => candidate.host === host);
  const known = sorted[other];
  if (known !== undefined) {
    if (!isBetter(ranked.grade, ranked.weight, known)) return;
    sorted.splice(other, 1);
  }
  insert(sorted, ranked, most);
}

/** The host part of the first IP or DNS multiaddr; '' when there is none. */
export function hostOf(addresses: readonly string[]): string {
  for (const address of addresses) {
    const [, kind, host] = address.split('/');
    if (host !== undefined && /^(ip4|ip6|dns4?|dns6)$/.test(kind ?? '')) return host;
  }
  return '';
}
