/** The configurations of a job: what may follow what, and that quorums of neighbours always meet. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { KEEPERS_MAX } from '../../../../src/core/contract/limits.ts';
import {
  chainOf,
  changes,
  CONFIGS_MAX,
  configurationOf,
  currentOf,
  electorate,
  everKept,
  firstOf,
  follows,
} from '../../../../src/core/record/chain.ts';
import {
  hasVote,
  isQuorum,
  keeperNodes,
  members,
  rankOf,
} from '../../../../src/core/record/keeper-set.ts';
import {
  createLedger,
  ledgerOf,
  mergeCommitted,
  mergeStored,
  recordsOf,
} from '../../../../src/core/record/ledger.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import { checkCommitted, checkRoots, extended } from '../../../../src/core/record/verify.ts';
import type {
  Certified,
  Configuration,
  Epoch,
  Keeper,
} from '../../../../src/core/record/records.ts';
import {
  admitted,
  assignOf,
  certify,
  idOf,
  jobWith,
  storeOf,
  suite,
  suiteOf,
  at,
} from '../fixtures.ts';

const keeper = (index: number): Keeper => ({ node: idOf(index), store: storeOf(index) });
const setOf = (indexes: readonly number[]): readonly Keeper[] => indexes.map(keeper);
const configuration = (
  minor: number,
  keepers: readonly number[],
  former: readonly number[] = [],
): Configuration => ({
  config: { major: 0, minor },
  keepers: setOf(keepers),
  former: setOf(former),
});

/** All sets of these nodes, at most 2¹⁰. */
function* subsets<T>(of: readonly T[]): Generator<readonly T[]> {
  for (let mask = 0; mask < 2 ** of.length; mask += 1)
    yield of.filter((_, bit) => (mask & (2 ** bit)) !== 0);
}

const step = fc.record({
  what: fc.constantFrom('add', 'remove', 'replace', 'grow', 'shrink'),
  at: fc.nat(4),
  node: fc.nat(11),
});

/** A chain of single changes, as long as each is one. */
const chains = fc
  .tuple(
    fc.constantFrom([0], [0, 1, 2], [0, 1, 2, 3, 4]),
    fc.array(step, { minLength: 1, maxLength: 6 }),
  )
  .map(([first, steps]) => {
    const chain: Configuration[] = [configuration(0, first)];
    let keepers: readonly number[] = first;
    const put = (next: readonly number[], former: readonly number[] = []) =>
      chain.push(configuration(chain.length, next, former));
    for (const { what, at: place, node } of steps) {
      const fresh = keepers.includes(node) ? [] : [node];
      const rest = keepers.filter((_, index) => index !== place % keepers.length);
      if (what === 'add' && fresh.length === 1 && keepers.length < KEEPERS_MAX)
        put((keepers = [...keepers, node]));
      else if (what === 'remove' && keepers.length > 1) put((keepers = rest));
      else if (what === 'replace' && fresh.length === 1) {
        put([...rest, node], keepers);
        put((keepers = [...rest, node]));
      } else if (what === 'grow' && keepers.length + 2 <= KEEPERS_MAX) {
        const two = [node, 20 + node];
        // One of them may have come so before, and be left.
        if (two.some((one) => keepers.includes(one))) continue;
        put([...keepers, ...two], keepers);
        put((keepers = [...keepers, ...two]));
      } else if (what === 'shrink' && keepers.length > 2) {
        put(rest.slice(1), keepers);
        put((keepers = rest.slice(1)));
      }
    }
    return chain;
  });

describe('a chain of single changes', () => {
  it('is one, and every quorum of a configuration meets every quorum of the next', () => {
    fc.assert(
      fc.property(chains, (chain) => {
        for (const [place, next] of chain.entries()) {
          const before = chain[place - 1];
          if (before === undefined) continue;
          assert.ok(follows(before, next), JSON.stringify([before, next]));
          const nodes = [...new Set([...keeperNodes(before), ...keeperNodes(next)])];
          const without = (set: readonly string[]) => nodes.filter((node) => !set.includes(node));
          // Two quorums miss each other when one is within what the other leaves out.
          for (const set of subsets(nodes))
            assert.ok(!isQuorum(before, set) || !isQuorum(next, without(set)), String(set));
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('a configuration', () => {
  const three = configuration(0, [0, 1, 2]);
  const joint = configuration(1, [0, 1, 3], [0, 1, 2]);

  it('is agreed to by a majority; a joint one by a majority of those that come and of those that were', () => {
    const enough = (nodes: readonly number[], of = joint) => isQuorum(of, nodes.map(idOf));
    assert.deepEqual(
      [enough([0, 1]), enough([0, 2]), enough([0, 3]), enough([2, 3])],
      [true, false, false, false],
    );
    assert.deepEqual([enough([0, 2, 3]), enough([7, 8, 9])], [true, false]);
    assert.deepEqual([enough([0, 2], three), enough([0], three)], [true, false]);
  });

  it('has the votes of all that come and were, each with its own store', () => {
    assert.deepEqual(members(joint), setOf([0, 1, 3, 2]));
    assert.deepEqual(
      [rankOf(joint, idOf(3)), rankOf(joint, idOf(2)), rankOf(joint, idOf(9))],
      [2, 3, -1],
    );
    assert.ok(hasVote(joint, idOf(2), storeOf(2)));
    assert.ok(!hasVote(joint, idOf(2), storeOf(3)));
    assert.ok(!hasVote(configuration(2, [0, 1, 3]), idOf(2), storeOf(2)));
  });

  const wrong: Readonly<Record<string, readonly [Configuration, Configuration]>> = {
    'the same number again': [three, configuration(0, [0, 1])],
    'a number left out': [three, configuration(2, [0, 1])],
    'another major': [three, { ...configuration(1, [0, 1]), config: { major: 1, minor: 1 } }],
    'two more at once': [configuration(0, [0]), configuration(1, [0, 1, 2])],
    'a replacement that is not joint': [three, configuration(1, [0, 1, 3])],
    'a joint one that replaces two': [three, configuration(1, [0, 3, 4], [0, 1, 2])],
    'a joint one with two that come and one that goes': [
      three,
      configuration(1, [0, 1, 3, 4], [0, 1, 2]),
    ],
    'a joint one in which a node comes with another store': [
      three,
      {
        ...configuration(1, [0, 1], [0, 1, 2]),
        keepers: [keeper(0), keeper(1), { ...keeper(2), store: storeOf(9) }],
      },
    ],
    'a joint one with others as those that were': [three, configuration(1, [0, 1, 3], [0, 1, 4])],
    'a joint one after a joint one': [joint, configuration(2, [0, 1, 4], [0, 1, 3])],
    'others than the joint one named': [joint, configuration(2, [0, 1])],
    nobody: [configuration(0, [0]), configuration(1, [])],
    'the same node twice': [
      three,
      { ...configuration(1, [0, 1, 2]), keepers: setOf([0, 1, 2, 2]) },
    ],
    'the store of a keeper, as if nothing had changed': [
      three,
      {
        ...configuration(1, [0, 1]),
        keepers: [keeper(0), keeper(1), { ...keeper(2), store: storeOf(9) }],
      },
    ],
    'more than five': [configuration(0, [0, 1, 2, 3, 4]), configuration(1, [0, 1, 2, 3, 4, 5])],
    'one change more than a chain has room for': [
      configuration(CONFIGS_MAX, [0, 1, 2]),
      configuration(CONFIGS_MAX + 1, [0, 1]),
    ],
  };
  for (const [what, [before, next]] of Object.entries(wrong))
    it(`is not followed by ${what}`, () => assert.equal(follows(before, next), false));
});

const job = admitted(jobWith(), [0, 1, 2]);
const id = job.spec.body.job;
const first = firstOf(job.admission.record.body);

/** A later configuration as the keepers `voters` commit it under an epoch of the one before. */
function change(
  minor: number,
  keepers: readonly number[],
  former: readonly number[],
  voters: readonly number[],
): Certified<'config'> {
  const body = { ...configuration(minor, keepers, former), job: id };
  const record = suiteOf(0).seal('config', body, at(5), 'node');
  const epoch: Epoch = { config: { major: 0, minor: minor - 1 }, number: 0, leader: idOf(0) };
  return certify(record, slotOf(record), voters, epoch);
}

const toJoint = change(1, [0, 1, 3], [0, 1, 2], [0, 1]);
const toThree = change(2, [0, 1, 3], [], [0, 1]);

describe('a later configuration', () => {
  it('is believed with a majority of those before it and of its own', () => {
    assert.equal(checkCommitted(suite, first, toJoint), 'good');
    const code = (...voters: number[]) =>
      checkCommitted(suite, first, change(1, [0, 1, 3], [0, 1, 2], voters));
    assert.equal(code(0, 2, 3), 'good');
    const bad = { code: 'bad-certificate', fault: true };
    assert.deepEqual([code(0, 3), code(0, 2), code(1)], [bad, bad, bad]);
    assert.deepEqual(checkCommitted(suite, first, toThree), bad, 'the one before it is not known');
  });

  it('is what the votes under its own epochs are counted by, and those of others by theirs', () => {
    const roots = { admission: job.admission, ...changes([toJoint, toThree]) };
    assert.equal(checkRoots(suite, roots), 'good');
    const chain = chainOf(roots);
    const assign = assignOf(job, { node: 7 });
    const under = (minor: number, voters: readonly number[]) =>
      checkCommitted(
        suite,
        chain,
        certify(assign, slotOf(assign), voters, { ...job.epoch, config: { major: 0, minor } }),
      );
    const bad = { code: 'bad-certificate', fault: true };
    assert.deepEqual([under(0, [0, 2]), under(0, [0, 3])], ['good', bad]);
    assert.deepEqual([under(1, [0, 1]), under(1, [0, 2])], ['good', bad]);
    assert.deepEqual([under(2, [0, 3]), under(2, [0, 2])], ['good', bad]);
    assert.deepEqual(under(3, [0, 1, 2, 3]), bad, 'nobody knows it');
  });

  it('that is left out, or is another job’s, proves none that comes after it', () => {
    assert.equal(extended(suite, first, [toThree]), null);
    assert.equal(
      extended(
        suite,
        {
          ...first,
          job: assignOf(admitted(jobWith(), [0], { nonce: 'e'.repeat(32) }), { node: 1 }).body.job,
        },
        [toJoint],
      ),
      null,
    );
    assert.equal(extended(suite, first, [toJoint, toThree])?.configurations.length, 3);
  });

  it('that takes the place of a known one is not believed, wherever it stands', () => {
    const forged = (minor: number): Certified<'config'> => ({
      ...toJoint,
      record: {
        ...toJoint.record,
        body: { ...toJoint.record.body, ...configuration(minor, [7, 8, 9]) },
      },
    });
    const lists = [
      [forged(0)],
      [toJoint, forged(0)],
      [toJoint, forged(1)],
      [toJoint, toThree, toJoint],
    ];
    for (const list of lists) {
      const code = { code: 'bad-certificate', fault: true };
      assert.deepEqual(checkRoots(suite, { admission: job.admission, ...changes(list) }), code);
      assert.equal(extended(suite, first, list), null);
    }
  });

  it('comes into a ledger in any order, and counts when all before it are there', () => {
    const ledger = createLedger(job.spec, job.admission);
    assert.equal(mergeCommitted(ledger, toThree), 'new');
    assert.equal(currentOf(ledger), ledger.configurations[0]);
    mergeStored(ledger, toJoint);
    assert.deepEqual(ledger.configurations.slice(1), [toJoint.record.body, toThree.record.body]);
    assert.equal(mergeCommitted(ledger, toJoint), 'known');
    const other = change(1, [0, 1], [], [0, 1]);
    assert.equal(mergeCommitted(ledger, other), 'contradiction');
    assert.ok(everKept(ledger, idOf(2)) && !everKept(ledger, idOf(4)));
    assert.equal(configurationOf(ledger, { major: 0, minor: 3 }), null);
    assert.deepEqual(electorate(ledger, toJoint.record, job.epoch), [
      ledger.configurations[0],
      toJoint.record.body,
    ]);
  });

  it('is handed over with the ledger, apart from what was committed of the job', () => {
    const ledger = createLedger(job.spec, job.admission);
    assert.ok(!('configs' in recordsOf(ledger)));
    for (const value of [toJoint, toThree]) mergeCommitted(ledger, value);
    const records = recordsOf(ledger);
    assert.deepEqual([records.configs, records.committed], [[toJoint, toThree], []]);
    assert.deepEqual(ledgerOf(records).configurations, ledger.configurations);
  });
});
