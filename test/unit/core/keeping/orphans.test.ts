/** What a node demands before it votes to re-seed a job, and by which configurations it goes afterwards. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { firstEpoch } from '../../../../src/core/record/ballot.ts';
import { chainOf, currentOf, FIRST_CONFIG, reseedId } from '../../../../src/core/record/chain.ts';
import type { Certified, Epoch, Signed } from '../../../../src/core/record/records.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import { Cluster } from '../cluster.ts';
import {
  admitted,
  advertOf,
  assignOf,
  at,
  certify,
  committed,
  grantOf,
  idOf,
  jobWith,
  setOf,
  storeOf,
  suite,
  suiteOf,
} from '../fixtures.ts';
import type { Admitted } from '../fixtures.ts';
import { convince } from './telling.ts';

const AFTER_MS = 60_000;
/** Node 0 is looked at. Of its job 1 leads; 2, 3 and 4 are gone. */
const job = admitted(jobWith(), [1, 0, 2, 3, 4]);

/** Node `by` goes on with these. */
function reseedOf(of: Admitted, keepers: readonly number[], by = 1, major = 0): Signed<'config'> {
  const { job: name } = of.spec.body;
  const config = reseedId(suite, name, FIRST_CONFIG, setOf(keepers));
  const body = {
    job: name,
    config: { ...config, major: config.major + major },
    keepers: setOf(keepers),
    former: [],
    reseeds: FIRST_CONFIG,
  };
  return suiteOf(by).seal('config', body, at(5), 'node');
}

const next = reseedOf(job, [1, 0, 5]);
const certified = (record: Signed<'config'>, voters: readonly number[]): Certified<'config'> =>
  certify(record, slotOf(record), voters, firstEpoch(record.body));

class Lone extends Cluster {
  readonly #of: Admitted;
  speaking: readonly number[];

  constructor(of = job, speaking: readonly number[] = [1, 5]) {
    // It could not run the job itself, so that it finds nothing undone.
    super({ nodes: 1, program: () => [], profile: () => ({ engines: {} }) });
    this.#of = of;
    this.speaking = speaking;
    this.#tell([1, 2, 3, 4, 5]);
  }

  get id() {
    return this.#of.spec.body.job;
  }

  #tell(nodes: readonly number[]): void {
    for (const node of nodes)
      this.message(0, node, { type: 'advert', advert: advertOf(node, { features: ['reseed'] }) });
  }

  numberOf(id: string): number {
    return [1, 2, 3, 4, 5].find((node) => idOf(node) === id) ?? assert.fail('one of these');
  }

  activate(): void {
    this.message(0, 1, { type: 'activate', ...this.#of });
  }

  pass(ms: number): void {
    this.#tell(this.speaking);
    for (const end = this.now + ms; this.now < end; ) {
      for (const node of this.speaking) this.message(0, node, { type: 'pong', nonce: 0 });
      this.message(0, 1, { type: 'leading', jobs: [{ job: this.id, epoch: this.#of.epoch }] });
      this.advance(1_000);
    }
  }

  votes(record: Signed<'config'>, from = 1): boolean {
    const before = this.messages('voted').length;
    this.message(0, from, { type: 'change', job: this.id, next: record });
    return this.messages('voted').length > before;
  }

  joins(record: Signed<'config'>): boolean {
    const before = this.messages('voted').length;
    this.message(0, 1, { type: 'join', ...this.#of, next: record });
    return this.messages('voted').length > before;
  }

  get config() {
    const { records } = this.machine(0).inspect().jobs[0] ?? assert.fail('it knows the job');
    return currentOf(chainOf(records)).config;
  }
}

/** A keeper that has missed the others for long enough. */
function orphan(of = job): Lone {
  const lone = new Lone(of);
  lone.activate();
  lone.pass(AFTER_MS + 20_000);
  return lone;
}

describe('a keeper that is asked to vote for others to go on with its job', () => {
  it('does when it has missed so many itself that nothing is decided any more, and not before', () => {
    const lone = new Lone();
    lone.activate();
    lone.pass(AFTER_MS - 2_000);
    assert.equal(lone.votes(next), false);
    lone.pass(20_000);
    assert.equal(lone.votes(next), true);
    assert.equal(lone.votes(next), true, 'the answer may have been lost');
  });

  it('does not while it hears one of them, so that they are enough', () => {
    const lone = new Lone(job, [1, 2, 5]);
    lone.activate();
    lone.pass(2 * AFTER_MS);
    assert.equal(lone.votes(next), false);
  });

  it('does when one of them has gone by another branch for as long, and will not vote in this one', () => {
    const alone = certified(reseedOf(job, [3], 3), [3]);
    const lone = new Lone(job, [1, 2, 5]);
    lone.activate();
    const pass = (rounds: number, isElsewhere: boolean): void => {
      for (let turn = 1; turn <= rounds; turn += 1) {
        lone.pass(20_000);
        if (isElsewhere)
          lone.message(0, 2, { type: 'branch', job: lone.id, turn, configs: [alone] });
      }
    };
    pass(3, false);
    pass(3, true);
    assert.equal(lone.votes(next), false);
    pass(4, false);
    pass(3, true);
    assert.equal(lone.votes(next), false, 'it was back in between');
    pass(1, true);
    assert.equal(lone.votes(next), true);
    assert.deepEqual(lone.config, FIRST_CONFIG);
  });

  it('votes for no other set soon after it voted for one', () => {
    const lone = orphan();
    assert.ok(lone.votes(next));
    const other = reseedOf(job, [1, 0, 2]);
    assert.equal(lone.votes(other), false);
    lone.pass(29_000);
    assert.equal(lone.votes(other), false);
    assert.equal(lone.messages('change').length, 0, 'nor does it ask for votes itself');
    lone.pass(2_000);
    assert.equal(lone.votes(other), true);
  });

  it('votes for what a keeper made itself, and named as its keepers demand', () => {
    const lone = orphan();
    assert.equal(lone.votes(reseedOf(job, [1, 0, 5], 1, 1)), false, 'another name');
    assert.equal(lone.votes(reseedOf(job, [1, 0, 5], 3)), false, 'made by another');
    assert.equal(lone.votes(next, 5), false, 'a stranger asks');
    assert.equal(lone.votes(reseedOf(job, [1, 2, 5])), false, 'it is none of them');
    const body = { ...next.body, keepers: setOf([1, 5]) };
    const store = { node: idOf(0), store: storeOf(9) };
    const lost = { ...body, keepers: [...body.keepers, store] };
    assert.equal(lone.votes({ ...next, body: lost }), false, 'with another store');
  });

  it('does not for a job whose program must not run beside another', () => {
    const exclusive = jobWith({ Meta: { 'shoal/partition-policy': 'exclusive' } });
    const of = admitted(exclusive, [1, 0, 2, 3, 4]);
    assert.equal(orphan(of).votes(reseedOf(of, [1, 0, 5])), false);
  });

  it('has its vote on the disk, and keeps the promises that it gave those before', () => {
    const lone = orphan();
    assert.ok(lone.votes(next));
    lone.restart(0);
    const rows = lone.store(0).rows('accepted');
    assert.deepEqual(
      rows.map(({ key }) => key),
      [slotOf(next)],
    );
    assert.deepEqual(lone.config, FIRST_CONFIG);
  });
});

describe('a keeper that goes on with its job', () => {
  it('does so without those who may vote for nothing of it any more, and by itself when nobody else is left', () => {
    const of = admitted(jobWith(), [0, 2, 3]);
    const lone = new Lone(of, [4, 5]);
    lone.activate();
    lone.pass(AFTER_MS);
    lone.pass(20_000);
    const asked = new Set(lone.messages('join').map(({ to }) => lone.numberOf(to)));
    assert.ok(asked.size > 0);
    for (let turn = 0; turn < 6; turn += 1) {
      for (const node of lone.messages('join').map(({ to }) => lone.numberOf(to)))
        lone.message(0, node, { type: 'not-admitted', job: lone.id, refusal: { code: 'damaged' } });
      for (let part = 0; part < 4; part += 1) lone.pass(40_000);
    }
    assert.ok(lone.effects('note').some(({ event }) => event === 'job.reseeded'));
  });

  it('does so by itself when those that it reaches have lost what they promised of it', () => {
    const of = admitted(jobWith(), [0, 2, 3]);
    const lone = new Lone(of, [3]);
    lone.activate();
    lone.message(0, 3, { type: 'not-admitted', job: lone.id, refusal: { code: 'damaged' } });
    for (let part = 0; part < 8; part += 1) lone.pass(30_000);
    assert.ok(lone.effects('note').some(({ event }) => event === 'job.reseeded'));
  });
});

describe('a node that is asked to keep a job without a majority of those that do', () => {
  const of = admitted(jobWith(), [1, 2, 3]);
  const seed = reseedOf(of, [1, 0, 5]);

  it('asks those, and votes when it hears none of them', () => {
    const lone = new Lone(of);
    lone.pass(AFTER_MS);
    assert.equal(lone.joins(seed), false);
    const asked = lone.messages('ping').map(({ to }) => to);
    for (const node of [2, 3]) assert.ok(asked.includes(idOf(node)));
    lone.pass(1_000);
    assert.equal(lone.joins(seed), false, 'an answer may be on its way');
    lone.pass(3_000);
    assert.equal(lone.joins(seed), true);
  });

  it('does not when one of them answers, or it was started just now', () => {
    const lone = new Lone(of);
    lone.pass(AFTER_MS);
    lone.joins(seed);
    lone.message(0, 2, { type: 'pong', nonce: 1 });
    lone.pass(4_000);
    assert.equal(lone.joins(seed), false);
    const fresh = new Lone(of);
    fresh.joins(seed);
    fresh.pass(4_000);
    assert.equal(fresh.joins(seed), false);
  });
});

describe('a keeper that learns that others go on with its job', () => {
  const of = admitted(jobWith(), [1, 0, 2]);
  /** Node 2 was cut off. */
  const theirs = certified(reseedOf(of, [2, 3, 4], 2), [2, 3]);
  const commit = (lone: Lone) =>
    convince(lone, 2, { type: 'commit', job: lone.id, values: [theirs] });

  /** What it says when somebody who goes by the other branch asks. */
  function asked(lone: Lone, turn = 1) {
    const before = lone.messages('branch-known').length;
    lone.message(0, 2, { type: 'branch', job: lone.id, turn, configs: [theirs] });
    return lone.messages('branch-known').slice(before)[0]?.message;
  }

  it('has it also from who knows another record of the same, which was made when the first vote was late', () => {
    const lone = new Lone(of);
    lone.activate();
    commit(lone);
    const { config } = theirs.record.body;
    const again = suiteOf(3).seal('config', theirs.record.body, at(9), 'node');
    const values = [certified(again, [3, 4])];
    lone.message(0, 3, { type: 'commit', job: lone.id, values });
    assert.deepEqual(lone.config, config);
    const acked = lone.messages('commit-ack').filter(({ to }) => to === idOf(3));
    assert.deepEqual(
      acked.flatMap(({ message }) => message.slots),
      [slotOf(again)],
      'it would be told for ever',
    );
  });

  it('stays when it has heard enough of its own all the time, and says so', () => {
    const lone = new Lone(of);
    lone.activate();
    lone.pass(AFTER_MS + 20_000);
    commit(lone);
    assert.deepEqual(lone.config, FIRST_CONFIG);
    const answer = asked(lone);
    assert.deepEqual([answer?.intact, answer?.turn, answer?.configs], [true, 1, undefined]);
  });

  it('follows when it has not, or those that it hears go by the other as well', () => {
    const young = new Lone(of);
    young.activate();
    young.pass(AFTER_MS - 10_000);
    commit(young);
    assert.deepEqual(young.config, theirs.record.body.config);
    const lone = new Lone(of, [1, 2, 5]);
    lone.activate();
    lone.pass(AFTER_MS + 20_000);
    lone.message(0, 1, { type: 'commit', job: lone.id, values: [theirs] });
    assert.deepEqual(lone.config, FIRST_CONFIG, 'the first that says so');
    commit(lone);
    assert.deepEqual(lone.config, theirs.record.body.config);
  });

  it('misses nobody there for having gone before it', () => {
    const lone = new Lone(of, [1, 2, 4, 5]);
    lone.activate();
    const ours = certified(reseedOf(of, [2, 0, 3], 2), [2, 3]);
    const tell = (turn: number, from = 2) =>
      lone.message(0, from, { type: 'branch', job: lone.id, turn, configs: [ours] });
    for (let turn = 1; turn <= 8; turn += 1) {
      lone.pass(20_000);
      if (turn > 4) tell(turn);
    }
    assert.deepEqual(lone.config, FIRST_CONFIG);
    tell(1, 1);
    lone.pass(10_000);
    // Of the three keepers there one has lost what it promised.
    lone.message(0, 3, { type: 'advert', advert: advertOf(3, { store: storeOf(9) }) });
    tell(9);
    assert.deepEqual(lone.config, ours.record.body.config);
    lone.pass(25_000);
    assert.ok(!lone.effects('note').some(({ event }) => event === 'job.reseeding'));
  });

  it('says nothing to strangers', () => {
    const lone = new Lone(of);
    lone.activate();
    lone.message(0, 9, { type: 'branch', job: lone.id, turn: 1, configs: [theirs] });
    assert.equal(lone.messages('branch-known').length, 0);
  });

  it('takes no orders for what runs here from them while it stays', () => {
    const lone = new Lone(of);
    lone.activate();
    lone.pass(AFTER_MS + 20_000);
    const epoch: Epoch = { config: theirs.record.body.config, number: 1, leader: idOf(2) };
    const record = grantOf(of, epoch, 2);
    const grant = certify(record, 'grant', [2, 3], epoch);
    const assign = assignOf(of, { node: 0, by: 2 }, epoch);
    const assigns = [certify(assign, slotOf(assign), [2, 3], epoch)];
    const message = { type: 'assign', ...of, configs: [theirs], grant, assigns, holders: [] };
    lone.message(0, 2, message as Parameters<Cluster['message']>[2]);
    assert.equal(lone.messages('started').length + lone.messages('not-started').length, 0);
  });
});

describe('a node that goes by the higher branch of a job', () => {
  const of = admitted(jobWith(), [1, 0, 2]);
  const ours = certified(reseedOf(of, [0, 3, 4], 0), [0, 3]);
  const higher = { config: ours.record.body.config, number: 1, leader: idOf(3) };

  /** It has promised there, and those before are back. */
  function reseeded(): Lone {
    const lone = new Lone(of, [1, 2, 3, 4]);
    lone.activate();
    convince(lone, 3, { type: 'commit', job: lone.id, values: [ours] });
    lone.message(0, 3, { type: 'prepare', job: lone.id, grant: grantOf(of, higher, 3) });
    assert.equal(lone.messages('promise').length, 1);
    lone.pass(30_000);
    return lone;
  }

  const turnOf = (lone: Lone) =>
    lone.messages('branch').at(-1)?.message.turn ?? assert.fail('it asks');
  const answer = (lone: Lone, from: number, turn = turnOf(lone)) =>
    lone.message(0, from, { type: 'branch-known', job: lone.id, turn, intact: true });

  it('yields when a quorum of those before say in one round that they never missed each other', () => {
    const lone = reseeded();
    answer(lone, 1);
    assert.deepEqual(lone.config, ours.record.body.config, 'the first has all of them asked');
    answer(lone, 1);
    assert.deepEqual(lone.config, ours.record.body.config, 'one is too few');
    answer(lone, 2);
    assert.deepEqual(lone.config, FIRST_CONFIG);
  });

  it('counts no answer of another round, none twice, and of keepers only', () => {
    const lone = reseeded();
    answer(lone, 1);
    const turn = turnOf(lone);
    answer(lone, 2, turn - 1);
    answer(lone, 1);
    answer(lone, 1);
    answer(lone, 9);
    lone.pass(30_000);
    assert.ok(turnOf(lone) > turn);
    answer(lone, 2);
    assert.deepEqual(lone.config, ours.record.body.config);
  });

  it('votes in the lower one for nothing any more, also after a restart, and says so', () => {
    const lone = reseeded();
    for (const from of [1, 1, 2]) answer(lone, from);
    for (const again of [false, true]) {
      if (again) lone.restart(0);
      assert.deepEqual(lone.config, FIRST_CONFIG);
      const before = lone.messages('promise').length;
      const epoch = { config: FIRST_CONFIG, number: 3, leader: idOf(2) };
      lone.message(0, 2, { type: 'prepare', job: lone.id, grant: grantOf(of, epoch, 2) });
      assert.equal(lone.messages('promise').length, before);
      const told = lone.messages('not-admitted').length;
      lone.message(0, 1, { type: 'status-wanted', jobs: [lone.id] });
      assert.deepEqual(lone.messages('not-admitted').slice(told)[0]?.message.refusal, {
        code: 'damaged',
      });
    }
  });

  it('forgets what was decided in it, on its disk, too', () => {
    const lone = reseeded();
    const before = committed(of, assignOf(of, { node: 7 }));
    const after = assignOf(of, { node: 8, attempt: 1, by: 3 }, higher);
    const values = [before, certify(after, slotOf(after), [0, 3], higher)];
    lone.message(0, 3, { type: 'commit', job: lone.id, values });
    for (const from of [1, 1, 2]) answer(lone, from);
    const keys = lone
      .store(0)
      .rows('records')
      .map(({ key }) => key);
    assert.ok(keys.includes(slotOf(before.record)));
    assert.ok(!keys.includes(slotOf(after)) && !keys.includes(slotOf(ours.record)));
  });

  it('follows an end of the lower one at once', () => {
    const lone = reseeded();
    const config = { major: 0, minor: 1 };
    const alone = { job: lone.id, config, keepers: setOf([1, 2]), former: [] };
    const record = suiteOf(1).seal('config', alone, at(6), 'node');
    const theirs = certify(record, slotOf(record), [1, 2], of.epoch);
    const epoch = { config, number: 1, leader: idOf(1) };
    const close = suiteOf(1).seal(
      'close',
      {
        job: lone.id,
        version: 1,
        outcome: 'failed',
        code: 'attempts-exhausted',
        message: 'it did not work',
        evidence: [],
      },
      at(7),
      'node',
    );
    const end = certify(close, slotOf(close), [1, 2], epoch);
    lone.message(0, 1, { type: 'closed', job: lone.id, close: end, configs: [theirs] });
    assert.equal(lone.inspect(0).jobs[0]?.state, 'Failed');
  });
});
