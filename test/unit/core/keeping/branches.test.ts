/** What a node keeps, and what it must not do any more, as it goes from one branch of a job to another. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { firstEpoch } from '../../../../src/core/record/ballot.ts';
import { compareConfigs, FIRST_CONFIG, reseedId } from '../../../../src/core/record/chain.ts';
import type { CertifiedValue } from '../../../../src/core/contract/messages.ts';
import {
  createLedger,
  makeAnew,
  mergeCommitted,
  mergeGrant,
} from '../../../../src/core/record/ledger.ts';
import { fallbackOf } from '../../../../src/core/record/versions.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import type { MessageOf } from '../cluster.ts';
import {
  admitted,
  advertOf,
  assignOf,
  at,
  certify,
  closeOf,
  grantOf,
  idOf,
  jobWith,
  nextSpec,
  suite,
  suiteOf,
} from '../fixtures.ts';
import { epochOf, goOn, Lone, reseed } from './lone.ts';
import { convince } from './telling.ts';

const trio = [1, 0, 2];
const three = admitted(jobWith(), trio);
/** Keeper 2 re-seeded it, with node 0 and without. */
const ours = reseed(three, 2, [2, 0, 3]);
const theirs = reseed(three, 2, [2, 3, 4]);
/** Keepers 1 and 0 replaced 2. */
const joint = goOn(three, 0, [1, 0, 6], trio, [1, 0, 6]);

describe('a keeper that goes by a higher branch of a job, and by the lower one again', () => {
  it('votes no more in the lower one, where what it had accepted is lost, though it promised nothing', () => {
    for (const again of [false, true]) {
      const lone = new Lone(trio);
      const value = assignOf(lone.of, { node: 7 });
      const [slot, epoch] = [slotOf(value), lone.of.epoch];
      const proposed: MessageOf<'propose'> = {
        type: 'propose',
        job: lone.id,
        epoch,
        values: [{ slot, value }],
        states: [],
        commands: [],
      };
      lone.message(0, 1, proposed);
      assert.equal(lone.messages('voted').length, 1);
      lone.tell(2, theirs);
      const { config } = theirs.record.body;
      const other = assignOf(lone.of, { node: 8, by: 2 }, epochOf(config, 2));
      lone.tell(2, certify(other, slot, [2, 3], epochOf(config, 2)));
      lone.pass(30_000);
      for (const from of [1, 1, 2]) lone.answer(from);
      assert.deepEqual(lone.config, FIRST_CONFIG);
      if (again) lone.restart(0);
      assert.equal(lone.promises(1, epochOf(FIRST_CONFIG, 1, 3)), false);
    }
  });

  it('remembers that it kept the job there, when nobody of the higher one knows it', () => {
    const alone = goOn(three, 1, [1, 2, 0], [], [1, 2, 0]);
    const of = admitted(jobWith(), [1, 2, 3]);
    const came = goOn(of, 0, [1, 2, 0], [1, 2, 3], [1, 2]);
    const lone = new Lone([1, 2, 3], [came, alone]);
    assert.equal(lone.promises(1, epochOf({ major: 0, minor: 2 }, 1, 3)), true);
    lone.tell(3, reseed(of, 3, [3, 4, 5]));
    assert.ok(lone.config.major > 0);
    lone.pass(180_000);
    assert.equal(lone.inspect(0).jobs.length, 1, 'else it would vote a second time');
    assert.equal(lone.rows('promises').length, 1);
  });
});

describe('a keeper that is told of a higher branch in which it has no say', () => {
  const asked = (lone: Lone) =>
    lone.messages('branch').flatMap(({ to, message }) => (message.job === lone.id ? [to] : []));

  it('goes there on the word of a keeper of it only, whom it asks, and not every time', () => {
    const lone = new Lone(trio);
    for (const from of [1, 5, 1]) lone.tell(from, theirs);
    assert.deepEqual(lone.config, FIRST_CONFIG, 'all of its keepers may be gone');
    assert.deepEqual(asked(lone), [idOf(2), idOf(3), idOf(4)]);
    assert.equal(lone.promises(1, epochOf(FIRST_CONFIG, 1, 3)), true);
    lone.pass(25_000);
    lone.tell(1, theirs);
    assert.equal(asked(lone).length, 6);
    const about = { job: lone.id, turn: lone.turn, intact: true, configs: [theirs] };
    convince(lone, 3, { type: 'branch-known', ...about });
    assert.deepEqual(lone.config, theirs.record.body.config);
  });

  it('follows its end on the word of anybody', () => {
    const lone = new Lone(trio);
    const close = closeOf(lone.of, { outcome: 'failed', code: 'attempts-exhausted' });
    const epoch = epochOf(theirs.record.body.config, 2);
    const over = certify(close, slotOf(close), [2, 3], epoch);
    convince(lone, 1, { type: 'closed', job: lone.id, close: over, configs: [theirs] });
    assert.equal(lone.inspect(0).jobs[0]?.state, 'Failed');
  });

  it('learns by it how its own one went on', () => {
    const after = { ...theirs.record.body, reseeds: { major: 0, minor: 1 } };
    const config = reseedId(suite, after.job, after.reseeds, after.keepers);
    const record = suiteOf(2).seal('config', { ...after, config }, at(7), 'node');
    const reseeded = certify(record, slotOf(record), [2, 3], firstEpoch(record.body));
    const lone = new Lone(trio);
    lone.tell(5, joint, reseeded);
    assert.deepEqual(lone.config, joint.record.body.config);
  });

  it('tells whoever asks for its vote in the lower one that it has left it, or that the job is over', () => {
    for (const candidate of [1, 5]) {
      const lone = new Lone(trio);
      lone.tell(2, theirs);
      assert.equal(lone.promises(candidate, epochOf({ major: 0, minor: 2 }, candidate)), false);
      const told = lone.messages('commit').filter(({ to }) => to === idOf(candidate));
      const ids = told.flatMap(({ message }) => message.values.map(({ record }) => record.id));
      assert.deepEqual(ids, [theirs.record.id]);
      const close = closeOf(lone.of, { outcome: 'failed', code: 'attempts-exhausted' });
      lone.tell(2, certify(close, slotOf(close), [2, 3], epochOf(theirs.record.body.config, 2)));
      const before = lone.messages('closed').length;
      lone.promises(candidate, epochOf({ major: 0, minor: 2 }, candidate, 2));
      assert.deepEqual(
        lone
          .messages('closed')
          .slice(before)
          .map(({ to }) => to),
        [idOf(candidate)],
      );
    }
  });
});

describe('a keeper that yields', () => {
  it('takes nobody of the other branch for its leader any more, also after a restart', () => {
    for (const again of [false, true]) {
      const lone = new Lone(trio);
      lone.tell(2, ours);
      assert.equal(lone.promises(2, epochOf(ours.record.body.config, 2)), true);
      lone.pass(30_000);
      for (const from of [1, 1, 2]) lone.answer(from);
      assert.deepEqual(lone.config, FIRST_CONFIG);
      if (again) lone.restart(0);
      const { execution } = assignOf(lone.of, { node: 7 }).body;
      lone.message(0, 7, { type: 'renew', executions: [{ job: lone.id, execution }] });
      const told = lone.messages('leads').at(-1)?.message ?? assert.fail('it says who leads');
      assert.deepEqual(told.epoch.config, FIRST_CONFIG);
    }
  });

  it('is not turned back by who has not yet, though it had no say there, and follows later', () => {
    const lone = new Lone(trio);
    lone.tell(2, theirs);
    lone.pass(30_000);
    for (const from of [1, 1, 2]) lone.answer(from);
    assert.deepEqual(lone.config, FIRST_CONFIG);
    lone.tell(2, theirs);
    assert.deepEqual(lone.config, FIRST_CONFIG);
    lone.pass(61_000);
    lone.tell(2, theirs);
    assert.deepEqual(lone.config, theirs.record.body.config);
  });

  it('goes by those that went on from there without it, though no more by the ones that it left', () => {
    const lone = new Lone(trio);
    lone.tell(2, ours);
    lone.pass(30_000);
    for (const from of [1, 1, 2]) lone.answer(from);
    lone.pass(61_000);
    lone.tell(2, ours);
    assert.deepEqual(lone.config, FIRST_CONFIG);
    const later = reseed(three, 2, [2, 3, 4], ours.record.body.config);
    lone.tell(2, ours, later);
    assert.deepEqual(lone.config, later.record.body.config);
  });

  it('forgets who was elected there', () => {
    const ledger = createLedger(three.spec, three.admission);
    mergeCommitted(ledger, ours);
    const epoch = epochOf(ours.record.body.config, 2);
    mergeGrant(ledger, certify(grantOf(three, epoch, 2), 'grant', [2, 0], epoch));
    makeAnew(ledger, [ours], null);
    assert.ok(ledger.grant !== null);
    makeAnew(ledger, [], null);
    assert.equal(ledger.grant, null);
  });
});

describe('a keeper that stays', () => {
  it('does so when no second program may run, however short it has heard the others', () => {
    const Meta = { 'shoal/partition-policy': 'exclusive' };
    const lone = new Lone(trio, [], jobWith({ Meta }));
    lone.tell(2, reseed(lone.of, 2, [2, 3, 4]));
    assert.deepEqual(lone.config, FIRST_CONFIG);
  });

  it('has not stayed when it was away itself, or went by another branch a moment ago', () => {
    const lone = new Lone(trio);
    lone.pass(80_000);
    lone.tell(2, theirs);
    assert.deepEqual(lone.config, FIRST_CONFIG);
    lone.now += 120_000;
    for (const node of [1, 2, 3]) lone.message(0, node, { type: 'pong', nonce: 0 });
    lone.tell(2, theirs);
    assert.deepEqual(lone.config, theirs.record.body.config);
    const young = new Lone(trio);
    young.pass(30_000);
    const [lower, higher] = [ours, reseed(three, 2, [2, 0, 4])].sort((a, b) =>
      compareConfigs(a.record.body.config, b.record.body.config),
    );
    assert.ok(lower !== undefined && higher !== undefined);
    for (const one of [lower, higher]) {
      young.tell(2, one);
      assert.deepEqual(young.config, one.record.body.config);
      young.pass(50_000);
    }
  });

  it('does not take the job for over because it is in the higher branch', () => {
    const lone = new Lone(trio);
    lone.pass(80_000);
    const close = closeOf(lone.of, { outcome: 'failed', code: 'attempts-exhausted' });
    const epoch = epochOf(theirs.record.body.config, 2);
    const over = certify(close, slotOf(close), [2, 3], epoch);
    lone.message(0, 2, { type: 'closed', job: lone.id, close: over, configs: [theirs] });
    assert.equal(lone.inspect(0).jobs[0]?.state, 'Pending');
    assert.equal(lone.messages('closed-ack').length, 0);
    const before = new Lone(trio);
    convince(before, 2, { type: 'closed', job: lone.id, close: over, configs: [theirs] });
    assert.equal(before.inspect(0).jobs[0]?.state, 'Failed', 'who has not heard them follows');
  });

  it('re-seeds nothing because others say that they leave: they vote as long as they are there', () => {
    const lone = new Lone(trio);
    for (const node of [1, 2])
      lone.message(0, node, {
        type: 'advert',
        advert: advertOf(node, { keeps: false, sequence: 2 }),
      });
    lone.pass(100_000);
    const { record } = reseed(three, 1, [1, 0, 5]);
    lone.message(0, 1, { type: 'change', job: lone.id, next: record });
    assert.equal(lone.messages('voted').length, 0);
  });
});

describe('a job that is over in the lower branch', () => {
  const end = (lone: Lone): CertifiedValue => {
    const close = closeOf(lone.of, { outcome: 'failed', code: 'attempts-exhausted' });
    return certify(close, slotOf(close), [1, 0, 6], epochOf(joint.record.body.config, 1));
  };

  it('stays so for who is told of the higher one, and tells of its end', () => {
    const lone = new Lone(trio);
    lone.tell(1, joint, end(lone));
    assert.equal(lone.inspect(0).jobs[0]?.state, 'Failed');
    lone.tell(2, theirs);
    assert.equal(lone.inspect(0).jobs[0]?.state, 'Failed');
    assert.deepEqual(lone.config, joint.record.body.config);
    const told = lone.messages('closed').filter(({ to }) => to === idOf(2));
    assert.equal(told.length, 1);
  });

  it('goes on where a later version was decided in the higher one, and that is proven', () => {
    const { config } = theirs.record.body;
    const next = nextSpec(three.spec, jobWith());
    const body = {
      job: three.spec.body.job,
      version: 2,
      spec: suite.envelopeOf(next),
      fallback: null,
      message: '',
    };
    const record = suiteOf(2).seal('version', body, at(6), 'node');
    const decided = certify(record, slotOf(record), [2, 3], epochOf(config, 2));
    const forged = certify(record, slotOf(record), [2], epochOf(config, 2));
    for (const [version, is] of [
      [forged, 'Failed'],
      [decided, 'Pending'],
    ] as const) {
      const lone = new Lone(trio);
      lone.tell(1, joint, end(lone));
      lone.message(0, 2, { type: 'version', job: lone.id, version, configs: [theirs] });
      assert.equal(lone.inspect(0).jobs[0]?.state, is);
    }
  });
});

describe('what the owner wants', () => {
  it('is wanted again where a branch that decided it is left', () => {
    const lone = new Lone(trio);
    const next = nextSpec(three.spec, jobWith({ Labels: { of: 'two' } }));
    const body = {
      job: lone.id,
      version: 2,
      spec: suite.envelopeOf(next),
      fallback: null,
      message: '',
    };
    const record = suiteOf(1).seal('version', body, at(6), 'node');
    const epoch = epochOf(joint.record.body.config, 1);
    lone.tell(1, joint, certify(record, slotOf(record), [1, 0, 6], epoch));
    assert.equal(lone.inspect(0).jobs[0]?.records.spec.id, next.id);
    lone.tell(2, ours);
    assert.equal(lone.inspect(0).jobs[0]?.records.spec.id, three.spec.id);
    const told = lone.messages('update').filter(({ message }) => message.spec.id === next.id);
    assert.deepEqual(new Set(told.map(({ to }) => to)), new Set([idOf(2), idOf(3)]));
    assert.ok(lone.rows('records').includes('wanted'));
  });
});

describe('a version whose program must run nowhere beside another', () => {
  const Meta = { 'shoal/partition-policy': 'exclusive' };
  const next = nextSpec(three.spec, jobWith({ Meta }));
  const body = {
    job: three.spec.body.job,
    version: 2,
    spec: suite.envelopeOf(next),
    fallback: null,
    message: '',
  };

  it('is neither wanted nor voted for where the job was re-seeded, and is before', () => {
    for (const is of [true, false]) {
      const lone = new Lone(trio);
      if (!is) lone.tell(2, ours);
      const [leader, config] = is ? [1, FIRST_CONFIG] : [2, ours.record.body.config];
      lone.message(0, 9, { type: 'update', job: lone.id, spec: next, fallback: null });
      assert.equal(lone.rows('records').includes('wanted'), is);
      const value = suiteOf(leader).seal('version', body, at(6), 'node');
      const epoch = epochOf(config, leader);
      const values = [{ slot: slotOf(value), value }];
      const support = { states: [], commands: [] };
      lone.message(0, leader, { type: 'propose', job: lone.id, epoch, values, ...support });
      assert.equal(lone.messages('voted').length > 0, is);
      lone.tell(2, ours);
      assert.ok(!lone.rows('records').includes('wanted'), 'nor any more when it is re-seeded');
    }
  });

  it('is not gone back to, either', () => {
    const back = { of: next.id, how: 'rollback', reason: '' } as const;
    const policy = jobWith({ Meta });
    const was = admitted(policy, trio);
    const spec = nextSpec(was.spec, jobWith());
    const fallback = nextSpec(spec, policy, { follows: { ...back, of: spec.id } });
    const about = { spec: suite.envelopeOf(spec), fallback: suite.envelopeOf(fallback) };
    const value = { job: was.spec.body.job, version: 2, ...about, message: '' };
    const record = suiteOf(1).seal('version', value, at(6), 'node');
    const ledger = createLedger(was.spec, was.admission);
    mergeCommitted(ledger, certify(record, slotOf(record), [1, 0], was.epoch), suite.specIn);
    assert.equal(fallbackOf(suite, ledger)?.id, fallback.id);
    mergeCommitted(ledger, reseed(was, 2, [2, 0, 3]));
    assert.equal(fallbackOf(suite, ledger), null);
  });
});

describe('rounds', () => {
  const two = goOn(three, 0, [1, 2], [], [1, 2]);

  function reseeded(): Lone {
    const lone = new Lone(trio);
    lone.tell(2, ours);
    lone.pass(30_000);
    return lone;
  }

  it('have those who go on counted together, whichever of their changes each of them knows', () => {
    const lone = reseeded();
    for (let times = 0; times < 3; times += 1) {
      lone.answer(2, [two]);
      lone.answer(1);
      if (lone.config.major === 0) break;
    }
    assert.deepEqual(lone.config, two.record.body.config);
  });

  it('are not asked at once by each that tells of yet another branch', () => {
    const lone = reseeded();
    const before = lone.turn;
    lone.answer(1);
    assert.equal(lone.turn, before + 1);
    for (let times = 0; times < 3; times += 1)
      for (const configs of [[two], []]) lone.answer(2, configs);
    assert.equal(lone.turn, before + 1);
  });
});
