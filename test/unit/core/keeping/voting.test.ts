/** What a keeper demands before it votes for others in the place of some, and what a newcomer does. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CertifiedValue } from '../../../../src/core/contract/messages.ts';
import type { Epoch, Signed } from '../../../../src/core/record/records.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import { Cluster, refusals } from '../cluster.ts';
import {
  admitted,
  advertOf,
  assignOf,
  at,
  certify,
  committed,
  configOf,
  grantOf,
  idOf,
  jobWith,
  nextSpec,
  stateOf,
  storeOf,
  suite,
  suiteOf,
} from '../fixtures.ts';

const AFTER_MS = 60_000;
/** Node 1 leads, 0 is looked at, 2 goes and 3 comes. */
const job = admitted(jobWith(), [1, 0, 2]);
const id = job.spec.body.job;
const swap = configOf(job, [1, 0, 3], [1, 0, 2]);
const changed = { ...job.epoch, config: { major: 0, minor: 1 } };

/** A keeper that hears node 1 every second, and others as long as they are told to speak. */
class Keeper extends Cluster {
  speaking: readonly number[];

  constructor(speaking: readonly number[]) {
    // It could not run the job itself, so that it finds nothing undone.
    super({ nodes: 1, program: () => [], profile: () => ({ engines: {} }) });
    this.speaking = speaking;
    for (const node of [1, 2, 3, 4]) this.tells(node, {});
    this.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
  }

  tells(node: number, change: Parameters<typeof advertOf>[1]): void {
    this.message(0, node, { type: 'advert', advert: advertOf(node, change) });
  }

  pass(ms: number): void {
    for (const end = this.now + ms; this.now < end; ) {
      for (const node of this.speaking) this.message(0, node, { type: 'pong', nonce: 0 });
      this.message(0, 1, { type: 'leading', jobs: [{ job: id, epoch: job.epoch }] });
      this.advance(1_000);
    }
  }

  /** Whether it says that it would vote for this configuration. */
  agrees(next: Signed<'config'>, from = 1): boolean {
    const before = this.messages('change-agreed').length;
    this.message(0, from, { type: 'change', job: id, next });
    return this.messages('change-agreed').length > before;
  }

  /** Whether it votes when it is proposed. */
  votes(value: Signed<'config'>, epoch: Epoch = job.epoch): boolean {
    const before = this.messages('voted').length;
    const values = [{ slot: slotOf(value), value }];
    this.message(0, 1, { type: 'propose', job: id, epoch, values, states: [], commands: [] });
    return this.messages('voted').length > before;
  }
}

describe('a keeper that is asked to let another one go', () => {
  it('agrees when it has missed it for long enough itself, and not before', () => {
    const keeper = new Keeper([1, 3]);
    keeper.pass(AFTER_MS - 2_000);
    assert.deepEqual([keeper.agrees(swap), keeper.votes(swap)], [false, false]);
    keeper.pass(20_000);
    assert.deepEqual([keeper.agrees(swap), keeper.votes(swap)], [true, true]);
  });

  it('votes for what it agreed to, though the other one is back: it may have been voted for elsewhere', () => {
    const keeper = new Keeper([1, 3]);
    keeper.pass(AFTER_MS + 20_000);
    assert.ok(keeper.agrees(swap));
    keeper.speaking = [1, 2, 3];
    keeper.pass(1_000);
    assert.equal(keeper.votes(configOf(job, [1, 0, 4], [1, 0, 2])), false);
    assert.ok(keeper.votes(swap));
  });

  it('votes for a proposal though who should come is gone, which it would not agree to: it may have been decided', () => {
    const keeper = new Keeper([1]);
    keeper.pass(AFTER_MS + 20_000);
    keeper.tells(3, { store: storeOf(9) });
    assert.deepEqual([keeper.agrees(swap), keeper.votes(swap)], [false, true]);
    const other = new Keeper([1, 2]);
    other.pass(AFTER_MS + 20_000);
    other.tells(3, { store: storeOf(9) });
    assert.equal(other.votes(swap), false, 'nobody is to go');
  });

  it('does not agree while it hears it, whatever the leader says, nor soon after', () => {
    const keeper = new Keeper([1, 2, 3]);
    keeper.pass(2 * AFTER_MS);
    assert.deepEqual([keeper.agrees(swap), keeper.votes(swap)], [false, false]);
    keeper.speaking = [1, 3];
    keeper.pass(AFTER_MS / 2);
    assert.deepEqual([keeper.agrees(swap), keeper.votes(swap)], [false, false]);
  });

  it('begins anew when it slept itself meanwhile', () => {
    const keeper = new Keeper([1, 3]);
    keeper.pass(AFTER_MS - 10_000);
    keeper.now += 5 * AFTER_MS;
    keeper.pass(2_000);
    assert.equal(keeper.agrees(swap), false);
    keeper.pass(AFTER_MS + 20_000);
    assert.equal(keeper.agrees(swap), true);
  });

  it('takes its own word for it: that it has another store, or has taken nothing new for a while', () => {
    const keeper = new Keeper([1, 2, 3]);
    keeper.pass(10_000);
    keeper.tells(2, { sequence: 2, store: storeOf(9) });
    assert.equal(keeper.agrees(swap), true);
    const leaving = new Keeper([1, 2, 3]);
    leaving.tells(2, { sequence: 2, keeps: false });
    assert.equal(leaving.agrees(swap), false);
    leaving.pass(AFTER_MS + 1_000);
    leaving.tells(2, { sequence: 3 });
    assert.equal(leaving.agrees(swap), false, 'it is back');
    leaving.tells(2, { sequence: 4, keeps: false });
    leaving.pass(AFTER_MS + 1_000);
    assert.equal(leaving.agrees(swap), true);
  });

  it('asks it whether it has lost what it promised, and believes only itself', () => {
    const keeper = new Keeper([1, 2, 3]);
    const forfeit = { type: 'not-admitted', job: id, refusal: { code: 'damaged' } } as const;
    keeper.message(0, 3, forfeit);
    keeper.message(0, 1, forfeit);
    assert.equal(keeper.agrees(swap), false);
    assert.ok(keeper.messages('status-wanted').some(({ to }) => to === idOf(2)));
    keeper.message(0, 2, forfeit);
    assert.equal(keeper.agrees(swap), true);
  });

  it('demands a newcomer that keeps jobs, with the store that it has, and can be reached', () => {
    const keeper = new Keeper([1, 3]);
    keeper.pass(AFTER_MS + 20_000);
    assert.equal(keeper.agrees(configOf(job, [1, 0, 7], [1, 0, 2])), false, 'nobody knows it');
    keeper.tells(3, { sequence: 2, store: storeOf(9) });
    assert.equal(keeper.agrees(swap), false, 'its store is another one');
    keeper.tells(3, { sequence: 3, keeps: false });
    assert.equal(keeper.agrees(swap), false, 'it takes nothing new');
    keeper.tells(3, { sequence: 4 });
    assert.equal(keeper.agrees(swap), true);
  });

  it('follows a keeper only, and only to what may come next', () => {
    const keeper = new Keeper([1, 3]);
    keeper.pass(AFTER_MS + 20_000);
    assert.equal(keeper.agrees(swap, 3), false, 'a stranger asks');
    const wrong = {
      'not joint': configOf(job, [1, 0, 3], []),
      'an even number': configOf(job, [1, 0, 3, 4], [1, 0, 2]),
      'one less for one that may come back': configOf(job, [1, 0], []),
      'nobody new': configOf(job, [1, 0, 2], [1, 0, 2]),
    };
    for (const [what, next] of Object.entries(wrong))
      assert.equal(keeper.agrees(next), false, what);
  });

  it('votes again for what it voted for, though the other one is back', () => {
    const keeper = new Keeper([1, 3]);
    keeper.pass(AFTER_MS + 20_000);
    assert.ok(keeper.votes(swap));
    keeper.speaking = [1, 2, 3];
    keeper.pass(1_000);
    assert.equal(keeper.agrees(configOf(job, [1, 0, 4], [1, 0, 2])), false);
    assert.ok(keeper.votes(swap));
  });
});

describe('a keeper that knows that the keepers changed', () => {
  it('votes for nobody of before, also after a restart, and tells who does not know', () => {
    const keeper = new Keeper([1, 3]);
    keeper.message(0, 1, {
      type: 'commit',
      job: id,
      values: [certify(swap, slotOf(swap), [1, 0], job.epoch)],
    });
    for (const again of [false, true]) {
      if (again) keeper.restart(0);
      assert.equal(keeper.votes(configOf(job, [1, 0, 4], [1, 0, 2])), false);
      const told = keeper.messages('commit').filter(({ to }) => to === idOf(1));
      assert.deepEqual(
        told.at(-1)?.message.values.map(({ record }) => record.id),
        [swap.id],
      );
    }
  });

  it('asks for the proof when somebody leads in a configuration that it does not know', () => {
    const keeper = new Keeper([1, 3]);
    keeper.votes(swap, changed);
    assert.equal(keeper.messages('job-wanted').length, 1);
  });
});

describe('a node that is to come', () => {
  const other = admitted(jobWith(), [1, 5, 2], { nonce: 'd'.repeat(32) });
  const comes = configOf(other, [1, 5, 0], [1, 5, 2]);
  const elsewhere = configOf(other, [1, 5, 6], [1, 5, 2]);
  const { spec, admission } = other;
  const asked = { type: 'join', spec, admission, next: comes } as const;

  it('agrees to a keeper of the job, and votes for nothing but what names it', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    assert.deepEqual(refusals(cluster.message(0, 9, asked)), ['contradiction'], 'no keeper asks');
    assert.deepEqual(refusals(cluster.message(0, 1, { ...asked, next: elsewhere })), [
      'not-keeper',
    ]);
    cluster.message(0, 1, asked);
    assert.equal(cluster.messages('change-agreed').length, 1);
    const rows = cluster.store(0).rows('records');
    assert.deepEqual(rows, [], 'nothing is on its disk before it votes');
    const about = { type: 'propose', job: other.spec.body.job, epoch: other.epoch } as const;
    const support = { states: [], commands: [] };
    const values = [{ slot: slotOf(comes), value: comes }];
    cluster.message(0, 1, { ...about, ...support, values });
    assert.equal(cluster.messages('voted').length, 1);
    assert.ok(cluster.store(0).rows('records').length > 0);
    const early = { slot: 'assign/1/0/0', value: assignOf(other, { node: 7 }) } as const;
    cluster.message(0, 1, { ...about, ...support, values: [early] });
    const later = { ...other.epoch, number: 2 };
    cluster.message(0, 1, { type: 'prepare', job: about.job, grant: grantOf(other, later, 1) });
    assert.equal(cluster.messages('voted').length + cluster.messages('promise').length, 1);
    cluster.restart(0);
    assert.equal(cluster.inspect(0).jobs.length, 1, 'what it voted for is known after a restart');
  });

  it('acknowledges nothing that was committed before it knows itself to be a keeper', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, asked);
    const early = committed(other, assignOf(other, { node: 7 }));
    const commit = (...values: CertifiedValue[]) =>
      cluster.message(0, 1, { type: 'commit', job: other.spec.body.job, values });
    commit(early);
    assert.deepEqual(cluster.messages('commit-ack'), [], 'it would forget that');
    commit(early, certify(comes, slotOf(comes), [1, 5], other.epoch));
    const [acked, ...more] = cluster.messages('commit-ack');
    assert.deepEqual([acked?.message.slots.length, more], [2, []]);
    cluster.restart(0);
    const { records } = cluster.job(0);
    assert.deepEqual([records.configs?.length, records.committed.length], [1, 1]);
  });

  it('says once who keeps the job, however many states of it somebody sends', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, asked);
    const states = Array.from({ length: 100 }, (_, sequence) =>
      stateOf(assignOf(other, { node: 7 }), 7, { sequence }),
    );
    cluster.message(0, 7, { type: 'states', states });
    assert.equal(cluster.messages('leads').length, 1);
    assert.deepEqual(cluster.messages('states-ack'), []);
  });

  it('forgets the job when nobody makes it a keeper', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, asked);
    assert.equal(cluster.inspect(0).jobs.length, 1);
    cluster.advance(180_000);
    assert.deepEqual(cluster.inspect(0).jobs, []);
    assert.deepEqual(cluster.store(0).rows('records'), []);
  });

  it('keeps nothing of it on the disk then, though it voted', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, asked);
    const about = { type: 'propose', job: other.spec.body.job } as const;
    const epoch = { ...other.epoch, number: 3 };
    const values = [{ slot: slotOf(comes), value: comes }];
    cluster.message(0, 1, { ...about, epoch, values, states: [], commands: [] });
    assert.equal(cluster.messages('voted').length, 1);
    const left = () =>
      (['records', 'accepted', 'promises'] as const).map(
        (table) => cluster.store(0).rows(table).length,
      );
    assert.deepEqual(left(), [2, 1, 0], 'a guest promises nothing');
    cluster.advance(180_000);
    assert.deepEqual([cluster.inspect(0).jobs, left()], [[], [0, 0, 0]]);
  });

  it('nor of versions before the one that it has', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, asked);
    const about = { job: other.spec.body.job, epoch: other.epoch };
    const values = [{ slot: slotOf(comes), value: comes }];
    cluster.message(0, 1, { type: 'propose', ...about, values, states: [], commands: [] });
    const next = nextSpec(spec, jobWith({}, { Env: { V: '2' } }));
    const of = { spec: suite.envelopeOf(next), fallback: null, message: '' };
    const version = suiteOf(1).seal(
      'version',
      { job: about.job, version: 2, ...of },
      at(3),
      'node',
    );
    const second = certify(version, slotOf(version), other.keepers, other.epoch);
    const first = committed(other, assignOf(other, { node: 7 }));
    cluster.message(0, 1, { type: 'commit', job: about.job, values: [first, second] });
    assert.equal(cluster.job(0).records.spec.body.version, 2);
    cluster.advance(180_000);
    assert.deepEqual(cluster.inspect(0).jobs, []);
    assert.deepEqual(cluster.store(0).rows('records'), []);
  });
});
