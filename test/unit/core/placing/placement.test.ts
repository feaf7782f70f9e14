/** Who keeps a job, who bids for it, who gets it: keepers, sortition, ranking. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { asJobId, asMillis, asRequestId } from '../../../../src/core/record/ids.ts';
import type { JobId, NodeId } from '../../../../src/core/record/ids.ts';
import { chooseKeepers, hostOf, keeperCount } from '../../../../src/core/keeping/choose-keepers.ts';
import type { KeeperCandidate } from '../../../../src/core/keeping/choose-keepers.ts';
import { rankBids } from '../../../../src/core/placing/ranking.ts';
import type { Vacancy } from '../../../../src/core/placing/ranking.ts';
import { drawn, targetBids } from '../../../../src/core/placing/sortition.ts';
import type { Bid } from '../../../../src/core/placing/state.ts';
import { Cluster } from '../cluster.ts';
import { idOf, jobWith, storeOf, suite } from '../fixtures.ts';

const NOW = asMillis(1_000_000);
const jobs = fc.nat(100_000).map((number) => asJobId(`j-${number}`));
const candidate = (index: number, change: Partial<KeeperCandidate> = {}): KeeperCandidate => ({
  node: idOf(index),
  store: storeOf(index),
  since: asMillis(0),
  host: `10.0.0.${index}`,
  silent: false,
  ...change,
});
const range = (count: number): readonly number[] =>
  Array.from({ length: count }, (_, index) => index);
const keepersOf = (
  job: JobId,
  candidates: readonly KeeperCandidate[],
  max = 5,
): readonly NodeId[] => chooseKeepers(job, candidates, max, NOW, suite).map(({ node }) => node);

describe('the number of keepers', () => {
  it('is the largest odd number that both the candidates and the limit allow', () => {
    const table = [
      [1, 1],
      [2, 1],
      [3, 3],
      [4, 3],
      [5, 5],
      [6, 5],
      [100, 5],
    ] as const;
    for (const [candidates, count] of table)
      assert.equal(keeperCount(candidates, 5), count, `${candidates}`);
    assert.equal(keeperCount(100, 4), 3);
    assert.equal(keeperCount(100, 1), 1);
    assert.equal(keeperCount(0, 5), 1);
  });
});

describe('choosing keepers', () => {
  it('gives as many different ones as it should, each with its own store', () => {
    fc.assert(
      fc.property(jobs, fc.integer({ min: 1, max: 20 }), (job, count) => {
        const chosen = chooseKeepers(
          job,
          range(count).map((index) => candidate(index)),
          5,
          NOW,
          suite,
        );
        assert.equal(chosen.length, keeperCount(count, 5));
        assert.equal(new Set(chosen.map(({ node }) => node)).size, chosen.length);
        for (const { node, store } of chosen) assert.equal(node, idOf(Number.parseInt(store, 10)));
      }),
    );
  });

  it('does not depend on the order in which the candidates are known', () => {
    fc.assert(
      fc.property(jobs, fc.shuffledSubarray([...range(12)], { minLength: 12 }), (job, order) => {
        const candidates = range(12).map((index) => candidate(index));
        assert.deepEqual(
          keepersOf(
            job,
            order.map((index) => candidate(index)),
          ),
          keepersOf(job, candidates),
        );
      }),
    );
  });

  it('changes at most one keeper when a node joins, and only for the node that joined', () => {
    fc.assert(
      fc.property(jobs, fc.integer({ min: 5, max: 20 }), (job, count) => {
        const before = keepersOf(
          job,
          range(count).map((index) => candidate(index)),
        );
        const after = keepersOf(
          job,
          range(count + 1).map((index) => candidate(index)),
        );
        const fresh = after.filter((node) => !before.includes(node));
        assert.ok(fresh.length <= 1);
        for (const node of fresh) assert.equal(node, idOf(count));
        // Those who stay keep their order.
        const stay = after.filter((node) => before.includes(node));
        assert.deepEqual(
          stay,
          before.filter((node) => after.includes(node)),
        );
      }),
    );
  });

  it('spreads jobs over all nodes', () => {
    const counts = new Map<NodeId, number>();
    const candidates = range(20).map((index) => candidate(index));
    for (const number of range(2_000)) {
      for (const node of keepersOf(asJobId(`j-${number}`), candidates)) {
        counts.set(node, (counts.get(node) ?? 0) + 1);
      }
    }
    // 2,000 jobs × 5 keepers / 20 nodes = 500 each; 100 is more than five standard deviations.
    for (const [node, count] of counts)
      assert.ok(Math.abs(count - 500) < 100, `${node} keeps ${count}`);
    assert.equal(counts.size, 20);
  });

  it('takes one node of each host where there are enough hosts', () => {
    fc.assert(
      fc.property(jobs, (job) => {
        const candidates = range(20).map((index) => candidate(index, { host: `host${index % 5}` }));
        const hosts = keepersOf(job, candidates).map(
          (id) => candidates.find(({ node }) => node === id)?.host,
        );
        assert.equal(new Set(hosts).size, 5);
      }),
    );
  });

  it('fills up from the same hosts where there are too few', () => {
    const candidates = range(6).map((index) => candidate(index, { host: `host${index % 2}` }));
    assert.equal(keepersOf(asJobId('j-1'), candidates).length, 5);
  });

  it('does not take nodes of unknown host for one host', () => {
    const candidates = range(9).map((index) => candidate(index, { host: '' }));
    const known = range(9).map((index) => candidate(index));
    assert.deepEqual(keepersOf(asJobId('j-1'), candidates), keepersOf(asJobId('j-1'), known));
  });

  it('prefers nodes that were seen for a while, and takes newcomers when there is nobody else', () => {
    const settled = (index: number): boolean => index % 2 === 0;
    const young = { since: asMillis(NOW - 1_000) };
    fc.assert(
      fc.property(jobs, (job) => {
        const candidates = range(12).map((index) => candidate(index, settled(index) ? {} : young));
        const even = range(12).filter(settled).map(idOf);
        for (const node of keepersOf(job, candidates)) assert.ok(even.includes(node));
        assert.equal(
          keepersOf(
            job,
            range(6).map((index) => candidate(index, young)),
          ).length,
          5,
        );
      }),
    );
  });
});

describe('keepers that did not answer', () => {
  it('are chosen only when there are not enough others', () => {
    const silent = (index: number): boolean => index >= 6;
    fc.assert(
      fc.property(jobs, (job) => {
        const candidates = range(12).map((index) => candidate(index, { silent: silent(index) }));
        for (const node of keepersOf(job, candidates)) assert.ok(range(6).map(idOf).includes(node));
        assert.equal(keepersOf(job, candidates.slice(3)).length, 5);
      }),
    );
  });
});

describe('the host of a node', () => {
  it('is that of its first IP or DNS address', () => {
    assert.equal(hostOf(['/ip4/10.1.2.3/tcp/1/p2p/x']), '10.1.2.3');
    assert.equal(hostOf(['/p2p-circuit', '/ip6/::1/tcp/1']), '::1');
    assert.equal(hostOf(['/dns4/example.org/tcp/1']), 'example.org');
    assert.equal(hostOf(['/dns/example.org/tcp/1']), 'example.org');
    assert.equal(hostOf(['/unix/tmp', '', '/ip4']), '');
    assert.equal(hostOf([]), '');
  });
});

describe('sortition', () => {
  const bidders = (job: string, round: number, need: number, members: number): readonly number[] =>
    range(members).filter((index) =>
      drawn(suite, { job: asJobId(job), version: 1, round, need }, idOf(index), members),
    );

  it('asks for two bids per execution and twelve more', () => {
    assert.equal(targetBids(1), 14);
    assert.equal(targetBids(50), 112);
  });

  it('draws everybody in a mesh no larger than the target', () => {
    assert.equal(bidders('j-1', 0, 1, 14).length, 14);
  });

  it('draws about as many nodes as it aims at, however large the mesh is', () => {
    for (const members of [200, 1_000, 5_000]) {
      const total = range(40).reduce(
        (sum, number) => sum + bidders(`j-${number}`, 0, 1, members).length,
        0,
      );
      // 40 × 14 = 560 expected; 120 is five standard deviations.
      assert.ok(Math.abs(total - 560) < 120, `${total} of 40 jobs among ${members}`);
    }
  });

  it('draws in a later round everybody of the earlier ones, and four times as many', () => {
    const rounds = [0, 1, 2].map((round) => bidders('j-nested', round, 1, 2_000));
    for (const [round, drawnNow] of rounds.entries()) {
      const next = rounds[round + 1] ?? [...range(2_000)];
      assert.ok(
        drawnNow.every((index) => next.includes(index)),
        `round ${round}`,
      );
    }
    assert.ok((rounds[1]?.length ?? 0) > 2 * (rounds[0]?.length ?? 0));
    assert.equal(bidders('j-nested', 20, 1, 2_000).length, 2_000);
    assert.equal(bidders('j-nested', 4_000_000_000, 1, 2_000).length, 2_000);
  });

  it('draws others for another job', () => {
    assert.notDeepEqual(bidders('j-1', 0, 1, 2_000), bidders('j-2', 0, 1, 2_000));
  });
});

describe('ranking', () => {
  const capacity = { cpuMillis: 4_000, memoryBytes: 8_000, diskBytes: 0, gpus: 0 };
  const bid = (index: number, change: Partial<Bid> = {}): Bid => ({
    node: idOf(index),
    free: capacity,
    capacity,
    executions: 1,
    running: 0,
    locality: 0,
    at: NOW,
    ...change,
  });
  const vacancy = (partition: number, ...tried: number[]): Vacancy => ({
    partition,
    attempt: tried.length,
    replaces: tried.length === 0 ? null : 'failed',
    tried: new Set(tried.map(idOf)),
  });
  const rank = (
    vacancies: readonly Vacancy[],
    bids: readonly Bid[],
    failures: readonly (readonly [number, number])[] = [],
    job = 'j-1',
  ): readonly NodeId[] =>
    rankBids(
      suite,
      asJobId(job),
      vacancies,
      new Map(bids.map((b) => [b.node, b])),
      new Map(failures.map(([index, count]) => [idOf(index), count])),
    ).map(({ node }) => node);
  const busy = { free: { ...capacity, cpuMillis: 400 } };

  it('gives each vacancy at most one node and no node more than it offered', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 8 }),
        fc.nat(12),
        jobs,
        (executions, count, job) => {
          const bids = executions.map((most, index) => bid(index, { executions: most }));
          const chosen = rank(
            range(count).map((p) => vacancy(p)),
            bids,
            [],
            job,
          );
          const offered = executions.reduce((sum, most) => sum + most, 0);
          assert.equal(chosen.length, Math.min(count, offered));
          for (const [index, most] of executions.entries()) {
            assert.ok(chosen.filter((node) => node === idOf(index)).length <= most);
          }
          for (const { executions: left, node } of bids)
            assert.equal(left, executions[bids.findIndex((b) => b.node === node)]);
        },
      ),
    );
  });

  it('prefers the node that has the data, even when it is busier', () => {
    const busier = bid(1, { locality: 1, free: { ...capacity, cpuMillis: 2_400 } });
    for (const n of range(50))
      assert.deepEqual(rank([vacancy(0)], [bid(0), busier, bid(2)], [], `j-${n}`), [idOf(1)]);
  });

  it('prefers the node with more room', () => {
    assert.deepEqual(rank([vacancy(0)], [bid(0, busy), bid(1), bid(2, busy)]), [idOf(1)]);
  });

  it('prefers the node that did not fail this job', () => {
    assert.deepEqual(rank([vacancy(0)], [bid(0), bid(1)], [[0, 1]]), [idOf(1)]);
  });

  it('takes a node that did not try the partition, though it is worse', () => {
    assert.deepEqual(rank([vacancy(0, 0)], [bid(0, { locality: 1 }), bid(1, busy)]), [idOf(1)]);
    assert.deepEqual(rank([vacancy(0, 0)], [bid(0)]), [idOf(0)]);
  });

  it('spreads the executions of a job over the nodes', () => {
    const chosen = rank(
      range(4).map((p) => vacancy(p)),
      range(4).map((index) => bid(index, { executions: 4 })),
    );
    assert.equal(new Set(chosen).size, 4);
  });

  it('draws among near equals, so that every one of them gets its share of jobs', () => {
    const winners = range(200).map(
      (n) => rank([vacancy(0)], [bid(0), bid(1), bid(2)], [], `j-${n}`)[0],
    );
    for (const index of range(3)) {
      const share = winners.filter((node) => node === idOf(index)).length;
      assert.ok(share > 35 && share < 100, `node ${index} got ${share} of 200`);
    }
  });

  it('gives each vacancy to one of the best: not tried before if there is one, and nearly equal', () => {
    const offers = fc.array(
      fc.record({
        executions: fc.integer({ min: 1, max: 3 }),
        locality: fc.constantFrom(0, 0.5, 1),
        cpuMillis: fc.nat(4_000),
        failed: fc.nat(2),
      }),
      { maxLength: 8 },
    );
    const tried = fc.array(fc.uniqueArray(fc.nat(7), { maxLength: 3 }), { maxLength: 12 });
    fc.assert(
      fc.property(offers, tried, jobs, (all, triedBy, job) => {
        const bids = all.map(({ executions, locality, cpuMillis }, index) =>
          bid(index, { executions, locality, free: { ...capacity, cpuMillis } }),
        );
        const failures = all.map(({ failed }, index) => [index, failed] as const);
        const vacancies = triedBy.map((nodes, partition) => vacancy(partition, ...nodes));
        const given: number[] = all.map(() => 0);
        for (const [at, node] of rank(vacancies, bids, failures, job).entries()) {
          const left = range(all.length).filter((n) => (given[n] ?? 0) < (all[n]?.executions ?? 0));
          const fresh = left.filter((n) => vacancies[at]?.tried.has(idOf(n)) === false);
          const pool = fresh.length > 0 ? fresh : left;
          const scoreOf = (n: number): number => {
            const { locality = 0, cpuMillis = 0, failed = 0 } = all[n] ?? {};
            return 0.75 * locality + cpuMillis / 4_000 - failed - 0.5 * (given[n] ?? 0);
          };
          const chosen = pool.find((n) => idOf(n) === node);
          assert.ok(chosen !== undefined, 'it is one of those that may be chosen');
          assert.ok(scoreOf(chosen) >= Math.max(...pool.map(scoreOf)) - 0.25 - 1e-9);
          given[chosen] = (given[chosen] ?? 0) + 1;
        }
      }),
    );
  });

  it('draws a few lots for each vacancy, however many offers there are, and passes over no node', () => {
    let hashes = 0;
    const counting = { ...suite, hash: (text: string) => ((hashes += 1), suite.hash(text)) };
    const offered = new Map(range(300).map((index) => [idOf(index), bid(index)]));
    const winners = range(3_000).flatMap((n) =>
      rankBids(counting, asJobId(`j-${n}`), [vacancy(0)], offered, new Map()),
    );
    assert.ok(hashes <= 17 * 3_000, `${hashes} hashes`);
    const counts = range(300).map((n) => winners.filter(({ node }) => node === idOf(n)).length);
    // 10 each expected; 24 is more than four standard deviations.
    assert.ok(Math.max(...counts) < 24 && counts.filter((count) => count === 0).length < 3);
  });

  it('is the same whatever the order of the bids', () => {
    fc.assert(
      fc.property(jobs, fc.shuffledSubarray([...range(6)], { minLength: 6 }), (job, order) => {
        const vacancies = range(3).map((p) => vacancy(p));
        const plain = rank(
          vacancies,
          range(6).map((index) => bid(index)),
          [],
          job,
        );
        assert.deepEqual(
          rank(
            vacancies,
            order.map((index) => bid(index)),
            [],
            job,
          ),
          plain,
        );
      }),
    );
  });
});

describe('the reasons of a job that waits', () => {
  it('are counted alike, whatever the order of their fields', () => {
    const constraint = { Key: 'zone', Operator: '=', Values: ['mars'] } as const;
    const fromTheWire = { Values: ['mars'], Operator: '=', Key: 'zone' } as const;
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.submit(0, jobWith({ Constraints: [constraint] }));
    cluster.advance(1_000);
    const { records, leading } = cluster.job(0);
    assert.ok(leading);
    const { job, version } = records.spec.body;
    for (const stranger of [7, 8]) {
      const refusal = { actual: null, constraint: fromTheWire, code: 'constraint' } as const;
      cluster.message(0, stranger, {
        type: 'decline',
        job,
        version,
        round: 0,
        refusals: [refusal],
      });
    }
    const request = asRequestId('why');
    cluster.input(0, {
      type: 'query',
      request,
      query: { type: 'job', ref: job, namespace: 'default', from: 0 },
    });
    const reply = cluster.reply(request);
    assert.ok(reply?.type === 'answer' && reply.answer.type === 'job');
    assert.deepEqual(
      reply.answer.waiting?.refusals.map(({ nodes }) => nodes),
      [3],
    );
  });
});
