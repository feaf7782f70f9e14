/** What a keeper asks before it goes over to another branch of its job, and what nobody gets it to do meanwhile. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { firstEpoch } from '../../../../src/core/record/ballot.ts';
import { chainOf, currentOf, FIRST_CONFIG, reseedId } from '../../../../src/core/record/chain.ts';
import type { JobId } from '../../../../src/core/record/ids.ts';
import { keeperNodes } from '../../../../src/core/record/keeper-set.ts';
import type { Certified } from '../../../../src/core/record/records.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import { Cluster } from '../cluster.ts';
import { at, certify, closeOf, idOf, jobWith, storeOf, suite, suiteOf } from '../fixtures.ts';
import { epochOf, goOn, Lone, reseed } from './lone.ts';

const AFTER_MS = 60_000;
const jobOn = (cluster: Cluster, node: number) =>
  cluster.machine(node).inspect().jobs[0] ?? assert.fail(`node ${node} knows the job`);
const configOn = (cluster: Cluster, node: number) =>
  currentOf(chainOf(jobOn(cluster, node).records)).config;

/** Keeper `by` says that it missed the others, and two friends vote for that, who are not there. */
function hijack(job: JobId, by: number): Certified<'config'> {
  const keepers = [by, 90, 91].map((node) => ({ node: idOf(node), store: storeOf(node) }));
  const config = reseedId(suite, job, FIRST_CONFIG, keepers);
  const body = { job, config, keepers, former: [], reseeds: FIRST_CONFIG };
  const record = suiteOf(by).seal('config', body, at(5), 'node');
  return certify(record, slotOf(record), [by, 90, 91], firstEpoch(body));
}

/** A healthy job with three keepers, of whom one is hostile. */
function healthy() {
  const program = () => [{ type: 'phase', phase: 'running' }] as const;
  const cluster = new Cluster({ nodes: 5, program, limits: { keepersMax: 3 } });
  cluster.submit(0, jobWith());
  const all = [0, 1, 2, 3, 4];
  const leader = all.find((node) => cluster.machine(node).inspect().jobs[0]?.leading != null);
  assert.ok(leader !== undefined);
  const { job, records } = jobOn(cluster, leader);
  const keepers = keeperNodes(currentOf(chainOf(records))).map((id) => cluster.indexOf(id));
  const [other, hostile] = keepers.filter((node) => node !== leader);
  assert.ok(other !== undefined && hostile !== undefined);
  cluster.advance(AFTER_MS + 20_000);
  return { cluster, job, leader, other, hostile };
}

describe('a hostile keeper that shows others a branch of its own', () => {
  it('gets none of them over that was started again, while the others are intact', () => {
    for (const which of ['other', 'leader'] as const) {
      const { cluster, job, hostile, ...nodes } = healthy();
      const theirs = hijack(job, hostile);
      cluster.restart(nodes[which]);
      for (let turn = 0; turn < 12; turn += 1) {
        cluster.message(nodes[which], hostile, { type: 'commit', job, values: [theirs] });
        cluster.advance(10_000);
        for (const node of [nodes.leader, nodes.other])
          assert.deepEqual(configOn(cluster, node), FIRST_CONFIG, `${which}, turn ${turn}`);
      }
    }
  });
});

const ASK_MS = 20_000;
const trio = [1, 0, 2];
/** One of five says that the others are gone. */
const five = [1, 0, 2, 3, 4];

/** Node 0, started a moment ago, of whom 2 says that it goes on without the others. */
class Told extends Lone {
  readonly theirs: Certified<'config'>;

  constructor(keepers: readonly number[] = trio, next: readonly number[] = [2, 6, 7]) {
    super(keepers);
    this.theirs = reseed(this.of, 2, next);
  }

  show(): void {
    this.message(0, 2, { type: 'commit', job: this.id, values: [this.theirs] });
  }

  /** The nodes that it asks while this happens. */
  asked(happens: () => void): readonly string[] {
    const before = this.messages('branch').length;
    happens();
    return this.messages('branch')
      .slice(before)
      .map(({ to }) => to);
  }

  says(from: number, intact: boolean, turn = this.turn): void {
    this.message(0, from, { type: 'branch-known', job: this.id, turn, intact });
  }

  get hasLeft(): boolean {
    return this.config.major > 0;
  }
}

describe('a keeper that is told of another branch, and has not heard its own long enough', () => {
  it('asks those, stays with a quorum of them that is intact, and goes when there can be none', () => {
    for (const intact of [true, false]) {
      const told = new Told();
      assert.deepEqual(
        told.asked(() => told.show()),
        [idOf(1), idOf(2)],
      );
      assert.equal(told.hasLeft, false);
      told.says(1, intact);
      assert.deepEqual(
        told.asked(() => told.says(1, intact)),
        [],
        'once is enough',
      );
      told.show();
      assert.equal(told.hasLeft, !intact);
    }
  });

  it('asks who told of it for the proof when it goes, and needs nobody to tell again', () => {
    const told = new Told();
    told.show();
    const { turn } = told;
    assert.deepEqual(
      told.asked(() => told.says(1, false)),
      [idOf(2)],
    );
    assert.ok(told.turn < turn, 'that is no question whether it is intact');
    const about = { job: told.id, turn: told.turn, intact: true, configs: [told.theirs] };
    told.message(0, 2, { type: 'branch-known', ...about });
    assert.equal(told.hasLeft, true);
  });

  it('does not take the word of one that the others are gone, nor of a stranger that they are not', () => {
    const told = new Told(five);
    told.show();
    told.says(4, false);
    told.says(1, true);
    for (const from of [1, 9]) told.says(from, true);
    told.show();
    assert.equal(told.hasLeft, false);
    assert.ok(told.asked(() => told.says(3, false)).length > 0, 'two of five are too few');
    told.show();
    assert.equal(told.hasLeft, true);
  });

  it('goes when it has no answer for as long as re-seeding takes, by the questions that it asked', () => {
    const told = new Told();
    for (let ms = 0; ms < AFTER_MS; ms += ASK_MS) {
      told.show();
      assert.equal(told.hasLeft, false, `${ms}`);
      told.pass(ASK_MS);
    }
    told.show();
    assert.equal(told.hasLeft, true);
    const late = new Told();
    late.show();
    late.pass(2 * AFTER_MS, [2]);
    late.show();
    assert.equal(late.hasLeft, false, 'nobody was asked in between');
  });

  it('counts no answer to a question before', () => {
    const told = new Told();
    told.show();
    const { turn } = told;
    told.pass(ASK_MS);
    told.show();
    assert.ok(told.turn > turn);
    told.says(1, false, turn);
    told.show();
    assert.equal(told.hasLeft, false);
  });

  it('counts no answer for keepers before its own', () => {
    for (const knows of [true, false]) {
      const told = new Told();
      const two = goOn(told.of, 0, [1, 0], [], [1, 0]);
      told.tellOnce(1, two);
      assert.equal(told.config.minor, 1);
      told.show();
      const about = { job: told.id, turn: told.turn, intact: true };
      const configs = knows ? { configs: [two] } : {};
      told.message(0, 1, { type: 'branch-known', ...about, ...configs });
      told.show();
      assert.equal(told.hasLeft, !knows);
    }
  });

  it('goes at once where it has voted for that itself, and not long after', () => {
    for (const waitMs of [0, 31_000]) {
      const told = new Told([1, 2, 0, 3, 4], [2, 0, 6]);
      told.pass(AFTER_MS + 20_000, [2]);
      told.message(0, 2, { type: 'change', job: told.id, next: told.theirs.record });
      assert.equal(told.messages('voted').length, 1);
      told.pass(waitMs, [2]);
      told.pass(waitMs);
      told.show();
      assert.equal(told.hasLeft, waitMs === 0);
    }
  });

  it('is not gone because it is named there and was never asked', () => {
    const told = new Told(trio, [2, 6, 0]);
    told.show();
    assert.equal(told.hasLeft, false);
    told.says(1, true);
    told.show();
    assert.equal(told.hasLeft, false);
  });

  it('does not take the end of the other branch either, however it hears of it', () => {
    const told = new Told();
    const close = closeOf(told.of, { outcome: 'failed', code: 'attempts-exhausted' });
    const epoch = epochOf(told.theirs.record.body.config, 2);
    const over = certify(close, slotOf(close), [2, 6], epoch);
    const configs = [told.theirs];
    for (const intact of [true, false]) {
      const tell = () => {
        told.message(0, 2, { type: 'closed', job: told.id, close: over, configs });
        told.message(0, 2, { type: 'commit', job: told.id, values: [told.theirs, over] });
      };
      tell();
      told.says(1, intact);
      tell();
      assert.equal(told.inspect(0).jobs[0]?.state, intact ? 'Pending' : 'Failed');
      told.pass(ASK_MS);
    }
  });

  it('asks no oftener because many branches are shown to it, or one by many', () => {
    const told = new Told();
    const others = [...Array(50).keys()].map((node) => reseed(told.of, 2, [2, 10 + node, 70]));
    const asked = told.asked(() => {
      for (const one of others) for (const from of [2, 8, 10]) told.tellOnce(from, one);
    });
    assert.deepEqual(asked.slice(0, 2), [idOf(1), idOf(2)]);
    assert.ok(asked.length <= 5, `${asked.length} questions`);
  });
});

describe('a keeper that was in touch with its own', () => {
  /** It says so when it is asked. */
  const isIntact = (lone: Lone): boolean => {
    const before = lone.messages('branch-known').length;
    lone.message(0, 1, { type: 'branch', job: lone.id, turn: 1 });
    return lone.messages('branch-known').slice(before)[0]?.message.intact === true;
  };

  it('stays so while some of them are started again, and no longer than it takes to miss them', () => {
    const lone = new Lone(trio);
    lone.pass(AFTER_MS - 20_000);
    assert.equal(isIntact(lone), false, 'it has not been for long enough');
    lone.pass(AFTER_MS);
    lone.pass(AFTER_MS, [3]);
    assert.equal(isIntact(lone), true);
    lone.pass(20_000);
    assert.equal(isIntact(lone), true);
    lone.pass(2 * AFTER_MS, [3]);
    assert.equal(isIntact(lone), false);
    lone.pass(AFTER_MS - 20_000);
    assert.equal(isIntact(lone), false, 'it begins anew');
  });
});
