/** Second copies are made of results that a leader proves, and of no more than that. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RefuseCode } from '../../../../src/core/contract/effect.ts';
import type { Signed, StateBody } from '../../../../src/core/record/records.ts';
import { Cluster, refusals } from '../cluster.ts';
import type { MessageOf } from '../cluster.ts';
import {
  admitted,
  assignOf,
  certify,
  grantOf,
  idOf,
  jobWith,
  stateOf,
  suiteOf,
} from '../fixtures.ts';

const GB = 1_000_000_000;
/** A result of `bytes` of a job that nodes 1, 2 and 3 keep and node 4 ran, of an owner of its own. */
function copyOf(nonce: number, bytes: number, owner = 1, change: Partial<StateBody> = {}) {
  const spec = { nonce: String(nonce).padStart(32, '0') };
  const job = admitted(jobWith(), [1, 2, 3], spec, suiteOf(1, owner));
  const result = { cid: `bafy${nonce}`, bytes };
  const state = stateOf(assignOf(job, { node: 4 }), 4, { phase: 'completed', result, ...change });
  const message: MessageOf<'replicate'> = {
    type: 'replicate',
    spec: job.spec,
    admission: job.admission,
    grant: null,
    state,
    holders: [],
  };
  return { job, message };
}
/** The node does not finish a copy unless the test says so. */
const alone = (): Cluster => new Cluster({ nodes: 1, owner: () => 9 });
const copies = (cluster: Cluster): number => cluster.effects('replicate').length;

describe('a copy is not made', () => {
  const { job, message } = copyOf(1, 10);
  const later = { config: { major: 0, minor: 0 }, number: 2, leader: idOf(2) };
  const other = copyOf(2, 10).message;
  const by = (state: Signed<'state'>, node: number): Signed<'state'> =>
    stateOf(assignOf(job, { node: 4 }), node, { ...state.body });
  const lone = certify(grantOf(job, later, 2), 'grant', [2], later);
  const few = { ...job.admission, votes: job.admission.votes.slice(0, 1) };
  const cases: readonly (readonly [string, number, Partial<typeof message>, RefuseCode])[] = [
    ['for a stranger', 9, {}, 'wrong-signer'],
    ['for a keeper that does not lead', 2, {}, 'wrong-signer'],
    ['for one whom too few granted to lead', 2, { grant: lone }, 'bad-certificate'],
    ['without an admission', 1, { admission: few }, 'bad-certificate'],
    ['of the result of another job', 1, { state: other.state }, 'contradiction'],
    [
      'of a result that its executor did not sign',
      1,
      { state: by(message.state, 5) },
      'wrong-signer',
    ],
    [
      'of what is not done',
      1,
      { state: copyOf(1, 1, 1, { phase: 'running' }).message.state },
      'contradiction',
    ],
    [
      'of no result',
      1,
      { state: copyOf(1, 1, 1, { result: null }).message.state },
      'contradiction',
    ],
  ];
  for (const [what, from, change, code] of cases) {
    it(what, () => {
      const cluster = alone();
      const effects = cluster.message(0, from, { ...message, ...change });
      assert.deepEqual(refusals(effects), [code]);
      assert.equal(copies(cluster), 0);
    });
  }
});

describe('a copy', () => {
  it('is made once, from the node that has the result, and of no more bytes than it has', () => {
    const cluster = alone();
    cluster.message(0, 1, copyOf(1, GB).message);
    const [effect] = cluster.effects('replicate');
    assert.deepEqual(effect?.holders, [idOf(4)]);
    assert.ok(effect.maxBytes >= GB && effect.maxBytes < 1.3 * GB);
    assert.equal(cluster.messages('replicated').at(-1)?.message.outcome, 'made');
  });

  it('of one owner more than 16 GB is not made in a day, of others it is, and of all no more than 32 GB', () => {
    const cluster = alone();
    for (let index = 0; index < 30; index += 1) cluster.message(0, 1, copyOf(index, GB).message);
    assert.equal(copies(cluster), 16);
    assert.equal(cluster.messages('replicated').at(-1)?.message.outcome, 'refused');
    for (let index = 100; index < 130; index += 1) {
      cluster.message(0, 1, copyOf(index, GB, index).message);
    }
    assert.equal(copies(cluster), 32);
    cluster.advance(12 * 3_600_000);
    cluster.message(0, 1, copyOf(200, GB).message);
    assert.equal(copies(cluster), 33);
  });

  it('for the own owner is made whatever was made for others', () => {
    const cluster = alone();
    for (let index = 0; index < 40; index += 1) cluster.message(0, 1, copyOf(index, GB, 9).message);
    assert.equal(copies(cluster), 40);
  });
});
