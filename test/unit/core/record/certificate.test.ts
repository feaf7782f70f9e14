/** Certificates: W signatures of the pinned keepers, and nothing less. */
import { firstOf } from '../../../../src/core/record/chain.ts';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  certifiedEpoch,
  validCertificate,
  validVote,
} from '../../../../src/core/record/certificate.ts';
import { asJobId } from '../../../../src/core/record/ids.ts';
import type { Certified, Signed } from '../../../../src/core/record/records.ts';
import { forge } from '../../../simulation/fast-suite.ts';
import {
  admitted,
  assignOf,
  certify,
  idOf,
  jobWith,
  storeOf,
  suite,
  suiteOf,
  voteOf,
} from '../fixtures.ts';
import { majority } from '../../../../src/core/record/keeper-set.ts';

const job = admitted(jobWith(), [0, 1, 2, 3, 4]);
const chain = firstOf(job.admission.record.body);
const assign = assignOf(job, { node: 7 });
const SLOT = 'assign/1/0/0';
const vote = (
  index: number,
  change: { slot?: 'close/1'; epoch?: number; store?: number; of?: 'spec' } = {},
) =>
  voteOf(
    index,
    job.spec.body.job,
    change.of === 'spec' ? job.spec.id : assign.id,
    change.slot ?? SLOT,
    { ...job.epoch, number: change.epoch ?? 0 },
    storeOf(change.store ?? index),
  );
const good = [vote(0), vote(1), vote(2)];
const valid = (votes: readonly Signed<'vote'>[], record = assign): boolean =>
  validCertificate({ record, votes }, chain, SLOT, suite);

describe('a certificate', () => {
  it('of a majority of the keepers is good, whoever they are', () => {
    assert.ok(valid(good));
    assert.ok(valid([vote(4), vote(2), vote(3)]));
    assert.ok(valid([0, 1, 2, 3, 4].map((index) => vote(index))));
  });

  const bad: Readonly<Record<string, readonly Signed<'vote'>[]>> = {
    'without votes': [],
    'with one vote too few': good.slice(1),
    'with the same vote repeated': [vote(0), vote(0), vote(1)],
    'with one keeper voting twice': [
      vote(0),
      voteOf(0, job.spec.body.job, assign.id, SLOT, job.epoch),
      vote(1),
    ],
    'with more votes than there are keepers': [...good, ...good],
    'with votes under two epochs': [vote(0), vote(1), vote(2, { epoch: 1 })],
    'with the vote of a node that is no keeper': [vote(0), vote(1), vote(5)],
    'with the vote of a keeper under another store id': [vote(0), vote(1), vote(2, { store: 9 })],
    "with the vote of a node under another keeper's store id": [
      vote(0),
      vote(1),
      vote(2, { store: 3 }),
    ],
    'with a vote for another slot': [vote(0), vote(1), vote(2, { slot: 'close/1' })],
    'with a vote for another record': [vote(0), vote(1), vote(2, { of: 'spec' })],
    'with a vote for another job': [
      vote(0),
      vote(1),
      voteOf(2, asJobId('j-other'), assign.id, SLOT, job.epoch),
    ],
    'with a vote that somebody else signed': [vote(0), vote(1), forge(vote(5), suiteKey(2))],
    'with a vote changed after it was signed': [
      vote(0),
      vote(1),
      { ...vote(2, { slot: 'close/1' }), body: vote(2).body },
    ],
  };
  for (const [what, votes] of Object.entries(bad))
    it(`${what} is not`, () => assert.equal(valid(votes), false));

  it('of a record changed after it was signed is not', () => {
    const changed = { ...assign, body: { ...assign.body, node: idOf(9) } };
    assert.equal(valid(good, changed), false);
    assert.equal(valid(good, forge(assign, suiteKey(1))), false);
  });

  it('says under which epoch its value was chosen', () => {
    const epoch = { ...job.epoch, number: 4 };
    assert.deepEqual(certifiedEpoch(certify(assign, SLOT, [0, 1, 2], epoch)), epoch);
    assert.throws(() => certifiedEpoch({ record: assign, votes: [] } as Certified<'assign'>));
  });
});

function suiteKey(index: number) {
  return suiteOf(index).seal(
    'grant',
    { job: job.spec.body.job, epoch: job.epoch },
    assign.hlc,
    'node',
  ).by;
}

describe('a vote', () => {
  it('counts in its own slot, for its own record, by its own keeper only', () => {
    assert.ok(validVote(vote(1), chain, assign, SLOT, suite));
    assert.equal(validVote(vote(1), chain, assign, 'assign/1/0/1', suite), false);
    assert.equal(validVote(vote(1), chain, job.spec, SLOT, suite), false);
    const { body } = job.admission.record;
    const others = firstOf({ ...body, keepers: body.keepers.slice(2) });
    assert.equal(validVote(vote(1), others, assign, SLOT, suite), false);
  });
});

describe('a majority', () => {
  it('of the keepers is more than half, and any two share a keeper', () => {
    for (const [keepers, votes] of [
      [1, 1],
      [2, 2],
      [3, 2],
      [4, 3],
      [5, 3],
    ] as const) {
      assert.equal(majority(keepers), votes, `${keepers} keepers`);
      assert.ok(2 * majority(keepers) > keepers);
    }
  });
});
