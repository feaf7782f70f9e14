/** Whoever becomes leader takes over what may have been chosen; whoever is overtaken leads no more. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AcceptedValue } from '../../../../src/core/contract/messages.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';

import type { Epoch, Signed } from '../../../../src/core/record/records.ts';
import { Cluster, refusals } from '../cluster.ts';
import type { MessageOf } from '../cluster.ts';
import { pageFor, promiseOf, promiseWhole, snapshotWith, wantedOf } from '../promising.ts';
import type { Holding } from '../promising.ts';
import {
  acceptOf,
  admitted,
  assignOf,
  certify,
  closeOf,
  committed,
  grantOf,
  idOf,
  jobWith,
  stateOf,
  voteOf,
} from '../fixtures.ts';

/** Nodes 1, 0, 2, 3 and 4 keep the job; 1 led it; node 0 is the machine under test. */
const job = admitted(jobWith(), [1, 0, 2, 3, 4]);
/** One with room for more than a page. */
const wide = admitted(jobWith({ Count: 8 }), [1, 0, 2, 3, 4]);
const id = job.spec.body.job;
const epochOf = (number: number, node: number): Epoch => ({
  config: { major: 0, minor: 0 },
  number,
  leader: idOf(node),
});
const accepted = (value: Signed<'assign'>, epoch: Epoch): AcceptedValue => ({
  slot: slotOf(value),
  epoch,
  value,
});

/** Node 0 stands for leader after 1 and 2 led. @returns what it asks the others */
function candidate(
  of = job,
  own: readonly AcceptedValue[] = [],
): { cluster: Cluster; prepare: MessageOf<'prepare'> } {
  const { spec, admission } = of;
  const id = spec.body.job;
  const cluster = new Cluster({ nodes: 1, program: () => [] });
  cluster.message(0, 1, { type: 'activate', spec, admission });
  for (const { slot, value, epoch } of own) {
    const values = [{ slot, value }];
    cluster.message(0, 1, { type: 'propose', job: id, epoch, values, states: [], commands: [] });
  }
  cluster.message(0, 2, { type: 'prepare', job: id, grant: grantOf(of, epochOf(1, 2), 2) });
  cluster.message(0, 2, { type: 'not-leading', jobs: [id] });
  cluster.until('it stands', () => cluster.messages('prepare').length > 0, 5_000);
  const { message } = cluster.messages('prepare')[0] ?? assert.fail('a prepare');
  return { cluster, prepare: message };
}

/** Keeper `from` promises, and hands over all that it has. */
const promise = (
  cluster: Cluster,
  prepare: MessageOf<'prepare'>,
  from: number,
  holding: Holding = {},
  of = job,
): void => promiseWhole(cluster, prepare, from, snapshotWith(of, holding));

const leads = (cluster: Cluster): boolean => cluster.job(0).leading !== null;
const proposed = (cluster: Cluster): readonly string[] => [
  ...new Set(
    cluster
      .messages('propose')
      .flatMap(({ message }) => message.values.map(({ value }) => value.id)),
  ),
];

describe('a candidate', () => {
  const low = assignOf(job, { node: 7, by: 1 }, epochOf(0, 1));
  const high = assignOf(job, { node: 8, by: 3 }, epochOf(1, 2));
  const both = [accepted(low, epochOf(0, 1)), accepted(high, epochOf(1, 2))] as const;

  for (const [name, order] of [
    ['first', [both[1], both[0]]],
    ['last', [both[0], both[1]]],
  ] as const) {
    it(`proposes the value of the highest ballot, which it was told of ${name}`, () => {
      const { cluster, prepare } = candidate();
      promise(cluster, prepare, 2, { accepted: [order[0]] });
      promise(cluster, prepare, 3, { accepted: [order[1]] });
      assert.ok(leads(cluster));
      assert.deepEqual(proposed(cluster), [high.id]);
    });
  }

  for (const [what, epoch, by] of [
    ['under a higher epoch than its own', epochOf(1_000, 3), 3],
    ['under the first epoch, which another was to lead', epochOf(0, 3), 3],
    ['of another keeper, under the first epoch', epochOf(0, 1), 3],
  ] as const)
    it(`believes no value that a promise says was accepted ${what}`, () => {
      const { cluster, prepare } = candidate();
      const lie = accepted(assignOf(job, { node: 8, by }, epoch), epoch);
      promise(cluster, prepare, 3, { accepted: [lie] });
      promise(cluster, prepare, 2, { accepted: [both[0]] });
      assert.deepEqual(proposed(cluster), [low.id]);
    });

  it('asks nothing more of keepers that have what it has', () => {
    const { cluster, prepare } = candidate();
    for (const from of [2, 3])
      cluster.message(0, from, promiseOf(prepare, from, snapshotWith(job)));
    assert.ok(leads(cluster));
    assert.deepEqual(cluster.messages('page-wanted'), []);
  });

  it('takes over what it has accepted itself, of which others that have the same tell nothing', () => {
    const { cluster, prepare } = candidate(job, [both[0]]);
    const same = snapshotWith(job, { accepted: [both[0]] });
    for (const from of [2, 3]) cluster.message(0, from, promiseOf(prepare, from, same));
    assert.deepEqual(cluster.messages('page-wanted'), []);
    assert.ok(leads(cluster));
    assert.deepEqual(proposed(cluster), [low.id]);
  });

  it('counts a promise when all that it covers is here', () => {
    const { cluster, prepare } = candidate();
    const snapshot = snapshotWith(job, { accepted: [both[0]] });
    cluster.message(0, 3, promiseOf(prepare, 3, snapshot));
    promise(cluster, prepare, 2);
    assert.ok(!leads(cluster), 'what it covers may be what was chosen');
    const [wanted] = wantedOf(cluster, 3);
    cluster.message(0, 3, pageFor(snapshot, wanted ?? assert.fail('a page is wanted')));
    assert.ok(leads(cluster));
    assert.deepEqual(proposed(cluster), [low.id]);
  });

  describe('that pulls a large promise', () => {
    const values = Array.from({ length: 900 }, (_, number) => {
      const place = { partition: number % 8, attempt: Math.floor(number / 8) };
      return accepted(assignOf(wide, { node: 7, by: 1, ...place }, epochOf(0, 1)), epochOf(0, 1));
    });
    const snapshot = snapshotWith(wide, { accepted: values });
    const other = snapshotWith(wide, { accepted: values.slice(1) });
    const begun = () => {
      const { cluster, prepare } = candidate(wide);
      promise(cluster, prepare, 2, {}, wide);
      cluster.message(0, 3, promiseOf(prepare, 3, snapshot));
      const wanted = () => wantedOf(cluster, 3).at(-1) ?? assert.fail('a page is wanted');
      cluster.message(0, 3, pageFor(snapshot, wanted()));
      assert.ok(!leads(cluster));
      assert.ok(wanted().from > 0, 'the first page was one of several');
      return { cluster, prepare, wanted };
    };

    it('makes no promise of pages that a keeper told at two different moments', () => {
      const { cluster, prepare, wanted } = begun();
      const { from } = wanted();
      const rest = { ...wanted(), snapshot: other.digest.snapshot };
      cluster.message(0, 3, pageFor(other, rest));
      assert.ok(!leads(cluster), 'what stood between the two may be in neither');
      assert.equal(wanted().from, from);
      cluster.message(0, 3, promiseOf(prepare, 3, other));
      assert.equal(wanted().from, 0, 'it begins anew');
    });

    it('leaves no page out, and takes none twice', () => {
      const { cluster, wanted } = begun();
      const { from } = wanted();
      for (const place of [from + 1, 0]) {
        cluster.message(0, 3, pageFor(snapshot, { ...wanted(), from: place }));
        assert.equal(wanted().from, from);
      }
      assert.ok(!leads(cluster));
    });

    it('goes on where it was when a page is lost', () => {
      const { cluster, prepare, wanted } = begun();
      const { from } = wanted();
      const before = wantedOf(cluster, 3).length;
      cluster.message(0, 3, promiseOf(prepare, 3, snapshot));
      assert.equal(wantedOf(cluster, 3).length, before + 1);
      assert.equal(wanted().from, from);
      promiseWhole(cluster, prepare, 3, snapshot);
      assert.ok(leads(cluster));
      assert.equal(proposed(cluster).length, values.length);
    });
  });

  it('stands again soon when most keepers are there again, and at each of its tries waits its turn', () => {
    const { cluster } = candidate();
    cluster.advance(60_000);
    const asked = (): number =>
      cluster.messages('prepare').filter(({ to }) => to === idOf(2)).length;
    const next = asked();
    cluster.until('it has just given up again', () => asked() > next, 60_000);
    cluster.advance(6_000);
    const before = asked();
    cluster.input(0, { type: 'peer-connected', node: idOf(2) });
    cluster.advance(5_000);
    assert.equal(asked(), before, 'two of five keepers are no majority');
    cluster.input(0, { type: 'peer-connected', node: idOf(3) });
    cluster.advance(3_900);
    assert.equal(asked(), before, 'the keeper before it has its turn first');
    cluster.advance(200);
    assert.equal(asked(), before + 1);
    for (let second = 0; second < 60; second += 1) {
      cluster.input(0, { type: 'peer-disconnected', node: idOf(3) });
      cluster.input(0, { type: 'peer-connected', node: idOf(3) });
      cluster.advance(1_000);
    }
    // Each try asks three times.
    assert.ok(asked() - before <= 30, `${asked() - before} times in a minute`);
  });

  it('counts no promise of another epoch than its own', () => {
    const { cluster, prepare } = candidate();
    const other = epochOf(prepare.grant.body.epoch.number + 1, 0);
    for (const from of [2, 3, 4]) {
      const good = promiseOf(prepare, from, snapshotWith(job));
      cluster.message(0, from, { ...good, epoch: other });
      const vote = voteOf(from, id, prepare.grant.id, 'grant', other);
      cluster.message(0, from, { ...good, vote });
    }
    assert.ok(!leads(cluster));
  });

  it('believes no value that a promise only says was chosen', () => {
    const { cluster, prepare } = candidate();
    const made = certify(low, slotOf(low), [2, 8], job.epoch);
    promise(cluster, prepare, 2, { committed: [made] });
    assert.deepEqual(cluster.job(0).records.committed, []);
  });

  it('does not believe the end of a job from a keeper that keeps back the results it rests on', () => {
    const done = stateOf(low, 7, { phase: 'completed', exitCode: 0 });
    const end = committed(job, closeOf(job, { outcome: 'completed', code: 'completed' }));
    const results = [committed(job, low), committed(job, acceptOf(job, done))];
    const { cluster, prepare } = candidate();
    promise(cluster, prepare, 2, { committed: [end] });
    assert.notEqual(cluster.job(0).state, 'Completed');
    promise(cluster, prepare, 3, { committed: [...results, end] });
    assert.equal(cluster.job(0).state, 'Completed');
  });

  it('tells every keeper that promised what only others knew to be chosen, and nobody what it said itself', () => {
    const { cluster, prepare } = candidate();
    const assign = certify(low, slotOf(low), [1, 3, 4], epochOf(0, 1));
    // The first one has what the candidate has; then the candidate learns more.
    promise(cluster, prepare, 2);
    promise(cluster, prepare, 3, { committed: [assign] });
    assert.ok(leads(cluster));
    const told = cluster
      .messages('commit')
      .filter(({ message }) => message.values.some(({ record }) => record.id === low.id));
    assert.deepEqual(new Set(told.map(({ to }) => to)), new Set([1, 2, 4].map(idOf)));
  });

  it('tells the keepers with it what it took over rests on', () => {
    const { cluster, prepare } = candidate();
    const assign = certify(low, slotOf(low), [1, 2, 3], epochOf(0, 1));
    const ended = stateOf(low, 7, { phase: 'completed', sequence: 4 });
    const told = { committed: [assign], states: [ended] };
    for (const from of [2, 3]) promise(cluster, prepare, from, told);
    const states = cluster.messages('propose').flatMap(({ message }) => message.states);
    assert.ok(states.some((state) => state.id === ended.id));
  });
});

describe('a leader', () => {
  it('that slept keeps to what it proposed, whatever it hears of lower ballots then', () => {
    const { cluster, prepare } = candidate();
    for (const from of [2, 3]) promise(cluster, prepare, from);
    cluster.until('it gives the work to itself', () => proposed(cluster).length > 0, 10_000);
    const before = proposed(cluster);
    cluster.now += 10_000;
    cluster.input(0, { type: 'wake' });
    assert.ok(!leads(cluster), 'it asks first');
    const late = accepted(assignOf(job, { node: 7, by: 1 }), epochOf(0, 1));
    for (const from of [4, 2]) promise(cluster, prepare, from, { accepted: [late] });
    assert.ok(leads(cluster));
    cluster.advance(5_000);
    assert.deepEqual(proposed(cluster), before);
  });

  it('that promised a higher epoch leads no more', () => {
    const own = admitted(jobWith(), [0, 1, 2]);
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, { type: 'activate', spec: own.spec, admission: own.admission });
    assert.ok(leads(cluster));
    const grant = grantOf(own, epochOf(1, 2), 2);
    cluster.message(0, 2, { type: 'prepare', job: own.spec.body.job, grant });
    assert.ok(!leads(cluster));
  });

  it('is deposed when most keepers say to have promised another keeper more, and by nobody else', () => {
    const own = admitted(jobWith(), [0, 1, 2]);
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, { type: 'activate', spec: own.spec, admission: own.admission });
    const outdated = (leader: number, number: number) =>
      ({
        type: 'outdated',
        job: own.spec.body.job,
        promised: epochOf(number, leader),
      }) as const;
    for (const [from, message] of [
      [8, outdated(2, 1)],
      [1, outdated(8, 1)],
      [1, outdated(2, 1_000_000)],
    ] as const) {
      assert.deepEqual(refusals(cluster.message(0, from, message)), ['not-keeper']);
      assert.ok(leads(cluster));
    }
    cluster.message(0, 1, outdated(2, 1));
    cluster.message(0, 1, outdated(1, 2));
    assert.ok(leads(cluster), 'one may lie');
    cluster.message(0, 2, outdated(2, 1));
    assert.ok(!leads(cluster));
  });

  it('follows the word of one keeper when the others do not vote for what it proposes', () => {
    const own = admitted(jobWith(), [0, 1, 2]);
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, { type: 'activate', spec: own.spec, admission: own.admission });
    cluster.until('it proposes', () => proposed(cluster).length > 0, 10_000);
    const job = own.spec.body.job;
    const outdated = { type: 'outdated', job, promised: epochOf(1, 2) } as const;
    cluster.message(0, 1, outdated);
    assert.ok(leads(cluster), 'they have had no time');
    cluster.advance(5_000);
    cluster.message(0, 1, outdated);
    assert.ok(!leads(cluster));
  });
});
