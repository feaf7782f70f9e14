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

/** @returns K keepers in rank order. `candidates` is not empty. */
export function chooseKeepers(
  job: JobId,
  candidates: readonly KeeperCandidate[],
  max: number,
  now: Millis,
  suite: Suite,
): readonly Keeper[] {
  const wanted = keeperCount(candidates.length, max);
  const ranked = candidates
    .map((candidate) => ({ candidate, weight: suite.hash(`${job}|${candidate.node}`) }))
    .sort((a, b) => (a.weight < b.weight ? 1 : -1))
    .map(({ candidate }) => candidate);
  const settled = (candidate: KeeperCandidate): boolean => now - candidate.since >= SETTLED_MS;
  // Answering weighs more than age: who does not answer may be there only to be chosen.
  const order = (candidate: KeeperCandidate): number =>
    (candidate.silent ? 2 : 0) + (settled(candidate) ? 0 : 1);
  const preferred = ranked.toSorted((a, b) => order(a) - order(b));
  const chosen: KeeperCandidate[] = [];
  const hosts = new Set<string>();
  for (const candidate of preferred) {
    if (chosen.length === wanted) break;
    if (candidate.host !== '' && hosts.has(candidate.host)) continue;
    hosts.add(candidate.host);
    chosen.push(candidate);
  }
  for (const candidate of preferred) {
    if (chosen.length === wanted) break;
    if (!chosen.includes(candidate)) chosen.push(candidate);
  }
  // Rank order is weight order again, so that every node can check it.
  return ranked
    .filter((candidate) => chosen.includes(candidate))
    .map(({ node, store }) => ({ node, store }));
}

/** The host part of the first IP or DNS multiaddr; '' when there is none. */
export function hostOf(addresses: readonly string[]): string {
  for (const address of addresses) {
    const [, kind, host] = address.split('/');
    if (host !== undefined && /^(ip4|ip6|dns4?|dns6)$/.test(kind ?? '')) return host;
  }
  return '';
}
