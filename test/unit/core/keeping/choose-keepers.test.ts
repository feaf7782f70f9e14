/** Keepers are chosen in one pass, and are those that sorting all candidates would give. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { asJobId, asMillis } from '../../../../src/core/record/ids.ts';
import type { JobId } from '../../../../src/core/record/ids.ts';
import { chooseKeepers, keeperCount } from '../../../../src/core/keeping/choose-keepers.ts';
import type { KeeperCandidate } from '../../../../src/core/keeping/choose-keepers.ts';
import type { Keeper } from '../../../../src/core/record/records.ts';
import { idOf, storeOf, suite } from '../fixtures.ts';

const NOW = asMillis(1_000_000);
const SETTLED = asMillis(NOW - 60_000);
const YOUNG = asMillis(SETTLED + 1);

/** The rule as one would write it down: sort by what counts, take one of each host, then whoever is left. */
function bySorting(job: JobId, candidates: readonly KeeperCandidate[], max: number): Keeper[] {
  const wanted = keeperCount(candidates.length, max);
  const ranked = candidates
    .map((candidate) => ({ candidate, weight: suite.hash(`${job}|${candidate.node}`) }))
    .sort((a, b) => (a.weight < b.weight ? 1 : -1))
    .map(({ candidate }) => candidate);
  const order = ({ silent, since }: KeeperCandidate): number =>
    (silent ? 2 : 0) + (since <= SETTLED ? 0 : 1);
  const preferred = ranked.toSorted((a, b) => order(a) - order(b));
  const chosen = new Set<KeeperCandidate>();
  const hosts = new Set<string>();
  for (const candidate of preferred) {
    if (chosen.size === wanted) break;
    if (candidate.host !== '' && hosts.has(candidate.host)) continue;
    hosts.add(candidate.host);
    chosen.add(candidate);
  }
  for (const candidate of preferred) if (chosen.size < wanted) chosen.add(candidate);
  return ranked
    .filter((candidate) => chosen.has(candidate))
    .map(({ node, store }) => ({ node, store }));
}

const candidates = (hosts: number): fc.Arbitrary<readonly KeeperCandidate[]> =>
  fc
    .array(
      fc.record({
        // 0 is a host nobody knows.
        host: fc.nat(hosts).map((host) => (host === 0 ? '' : `10.0.0.${host}`)),
        since: fc.constantFrom(asMillis(0), SETTLED, YOUNG, NOW),
        silent: fc.boolean(),
      }),
      { maxLength: 40 },
    )
    .map((list) =>
      list.map((one, index) => ({ ...one, node: idOf(index), store: storeOf(index) })),
    );

describe('choosing keepers in one pass', () => {
  it('chooses whom sorting all candidates chooses, in the same order', () => {
    const cases = fc.record({
      job: fc.nat(100_000).map((number) => asJobId(`j-${number}`)),
      // With few hosts places are left after one of each was taken, with many there are not.
      candidates: fc.oneof(candidates(2), candidates(6), candidates(60)),
      max: fc.integer({ min: 1, max: 9 }),
    });
    fc.assert(
      fc.property(cases, ({ job, candidates: all, max }) => {
        assert.deepEqual(chooseKeepers(job, all, max, NOW, suite), bySorting(job, all, max));
      }),
      { numRuns: 1_000 },
    );
  });

  it('looks at each of ten thousand once', () => {
    let hashes = 0;
    const counting = { ...suite, hash: (text: string) => ((hashes += 1), suite.hash(text)) };
    const all = Array.from({ length: 10_000 }, (_, index) => ({
      node: idOf(index),
      store: storeOf(index),
      since: asMillis(0),
      host: `host ${index}`,
      silent: false,
    }));
    const chosen = chooseKeepers(asJobId('j-1'), all, 5, NOW, counting);
    assert.deepEqual(chosen, bySorting(asJobId('j-1'), all, 5));
    assert.equal(hashes, all.length);
  });
});
