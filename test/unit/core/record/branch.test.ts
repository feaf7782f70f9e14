/** A configuration that re-seeds a job, and what becomes of facts that are off the way to it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { CertifiedValue } from '../../../../src/core/contract/messages.ts';
import { firstEpoch } from '../../../../src/core/record/ballot.ts';
import {
  CONFIGS_MAX,
  continues,
  currentOf,
  FIRST_CONFIG,
  firstOf,
  reseedId,
} from '../../../../src/core/record/chain.ts';
import { createLedger, makeAnew, mergeCommitted } from '../../../../src/core/record/ledger.ts';
import type {
  Certified,
  ConfigBody,
  ConfigId,
  Configuration,
} from '../../../../src/core/record/records.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import {
  branchOf,
  checkActivation,
  checkCommitted,
  extended,
} from '../../../../src/core/record/verify.ts';
import {
  WALL,
  admitted,
  assignOf,
  at,
  certify,
  closeOf,
  idOf,
  jobWith,
  nextSpec,
  setOf,
  storeOf,
  suite,
  suiteOf,
} from '../fixtures.ts';

const job = admitted(jobWith(), [0, 1, 2]);
const id = job.spec.body.job;
const first = firstOf(job.admission.record.body);

/** Keeper 2 goes on with others, under the votes of some of them. */
function reseed(
  keepers: readonly number[],
  voters: readonly number[],
  before: ConfigId = FIRST_CONFIG,
  change: Partial<ConfigBody> = {},
): Certified<'config'> {
  const named = reseedId(suite, id, before, setOf(keepers));
  const made = { job: id, config: named, keepers: setOf(keepers), former: [], reseeds: before };
  const body: ConfigBody = { ...made, ...change };
  const record = suiteOf(2).seal('config', body, at(5), 'node');
  return certify(record, slotOf(record), voters, firstEpoch(body));
}

/** The keepers before go on: 2 is replaced, jointly at first. */
function goOn(): Certified<'config'> {
  const config = { major: 0, minor: 1 };
  const body = { job: id, config, keepers: setOf([0, 1, 6]), former: setOf([0, 1, 2]) };
  const record = suiteOf(0).seal('config', body, at(5), 'node');
  return certify(record, slotOf(record), [0, 1], job.epoch);
}

const good = reseed([2, 3, 4], [2, 3]);
const bad = { code: 'bad-certificate', fault: true };

describe('a configuration that re-seeds a job', () => {
  it('is believed with a majority of its own keepers, one of whom kept the job before', () => {
    const code = (...voters: number[]) => checkCommitted(suite, first, reseed([2, 3, 4], voters));
    assert.deepEqual([code(2, 3), code(2, 4)], ['good', 'good']);
    assert.deepEqual([code(3, 4), code(2), code(0, 1, 2)], [bad, bad, bad]);
  });

  it('is not believed with another name than its keepers give it', () => {
    const { config } = good.record.body;
    const other = { ...config, major: config.major + 1 };
    const forged = reseed([2, 3, 4], [2, 3], FIRST_CONFIG, { config: other });
    assert.deepEqual(checkCommitted(suite, first, forged), bad);
    assert.notDeepEqual(reseed([2, 3, 5], []).record.body.config, config);
  });

  it('is not believed under an epoch of those before it, with votes for another or of another job', () => {
    const { record } = good;
    assert.deepEqual(
      checkCommitted(suite, first, certify(record, slotOf(record), [2, 0, 1], job.epoch)),
      bad,
    );
    const mixed = { record, votes: reseed([2, 3, 5], [2, 3]).votes };
    assert.deepEqual(checkCommitted(suite, first, mixed), bad);
    const another = admitted(jobWith(), [0, 1, 2], { nonce: 'e'.repeat(32) });
    const chain = firstOf(another.admission.record.body);
    assert.equal(branchOf(suite, chain, [good]), null);
  });

  it('follows the last one before it that is known, and none that is not', () => {
    const after = reseed([0, 3, 4], [0, 3], { major: 0, minor: 1 });
    assert.equal(extended(suite, first, [after]), null);
    assert.equal(extended(suite, first, [goOn(), after])?.configurations.length, 3);
  });

  it('is none when its keepers could not keep a job, or it says that it comes where it does not', () => {
    const [before] = first.configurations;
    const { body } = good.record;
    assert.ok(continues(before, body));
    const wrong: Readonly<Record<string, Partial<Configuration>>> = {
      'nobody who kept it before': { keepers: setOf([3, 4, 5]) },
      'one of them with another store': {
        keepers: [{ node: idOf(2), store: storeOf(9) }, ...setOf([3, 4])],
      },
      joint: { former: setOf([0, 1, 2]) },
      nobody: { keepers: [] },
      'more than five': { keepers: setOf([2, 3, 4, 5, 6, 7]) },
      'another minor': { config: { ...body.config, minor: 2 } },
      'a generation left out': { config: { major: 2 ** 25 + 1, minor: 1 } },
      'the generation of those before': { config: { major: 1, minor: 1 } },
      'after another': { reseeds: { major: 0, minor: 1 } },
    };
    for (const [what, change] of Object.entries(wrong))
      assert.equal(continues(before, { ...body, ...change }), false, what);
  });

  it('comes eight times at most, and not beyond the room of a chain', () => {
    let before: Configuration = first.configurations[0];
    for (let times = 1; times <= 9; times += 1) {
      const keepers = setOf([2, 3, 4]);
      const config = reseedId(suite, id, before.config, keepers);
      const next = { config, keepers, former: [], reseeds: before.config };
      assert.equal(continues(before, next), times <= 8);
      before = next;
    }
    const last = { ...first.configurations[0], config: { major: 0, minor: CONFIGS_MAX } };
    const config = reseedId(suite, id, last.config, setOf([2, 3, 4]));
    const next = { config, keepers: setOf([2, 3, 4]), former: [], reseeds: last.config };
    assert.equal(continues(last, next), false);
  });

  it('is nothing that a job has whose program must not run beside another', () => {
    for (const [meta, verdict] of [
      [{}, 'good'],
      [{ 'shoal/partition-policy': 'exclusive' }, { code: 'contradiction', fault: true }],
      [
        { 'shoal/partition-policy': 'wait', 'shoal/lost-after': '10m' },
        { code: 'contradiction', fault: true },
      ],
    ] as const) {
      const { spec, admission } = admitted(jobWith({ Meta: meta }), [0, 1, 2]);
      const roots = { admission, configs: [good] };
      assert.deepEqual(checkActivation(suite, spec, roots, WALL), verdict);
    }
  });
});

describe('two branches of a job', () => {
  const before = assignOf(job, { node: 7 });
  const known: CertifiedValue = certify(before, slotOf(before), [0, 1], job.epoch);
  const epoch = (config: ConfigId, leader: number) => ({ config, number: 1, leader: idOf(leader) });
  /** Decided by those that went on, and by those that re-seeded the job. */
  const lower = assignOf(job, { node: 8, attempt: 1 });
  const under = goOn().record.body.config;
  const off = certify(lower, slotOf(lower), [0, 1], epoch(under, 0));
  const higher = assignOf(job, { node: 9, attempt: 1, by: 2 });
  const on = certify(higher, slotOf(higher), [2, 3], epoch(good.record.body.config, 2));
  const all: readonly CertifiedValue[] = [known, goOn(), good, off, on];

  it('leave the facts of the higher one and of those before both, in whatever order they come', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([...all, ...all], { minLength: 10 }), (values) => {
        const ledger = createLedger(job.spec, job.admission);
        for (const value of values) mergeCommitted(ledger, value);
        assert.deepEqual(currentOf(ledger).config, good.record.body.config);
        assert.deepEqual(
          new Set([...ledger.committed.values()].map(({ record }) => record.id)),
          new Set([known.record.id, good.record.id, on.record.id]),
        );
        const attempts = ledger.partitions.get(0)?.attempts;
        assert.deepEqual(attempts?.get(1)?.assign.record.id, on.record.id);
        assert.equal(ledger.assigned.size, 2);
      }),
    );
  });

  it('are one when the ledger goes by the lower again', () => {
    const ledger = createLedger(job.spec, job.admission);
    for (const value of [known, good, on]) mergeCommitted(ledger, value);
    makeAnew(ledger, [goOn()], null);
    assert.deepEqual(currentOf(ledger).config, under);
    assert.equal(mergeCommitted(ledger, off), 'new');
    assert.deepEqual(ledger.partitions.get(0)?.attempts.get(1)?.assign.record.id, lower.id);
  });

  it('keep the version that was decided where they part, and no later one of the other', () => {
    const ledger = createLedger(job.spec, job.admission);
    const next = nextSpec(job.spec, jobWith({ Name: 'other' }));
    const body = { job: id, version: 2, spec: suite.envelopeOf(next), fallback: null, message: '' };
    const version = suiteOf(2).seal('version', body, at(6), 'node');
    const { config } = good.record.body;
    const turned = certify(version, slotOf(version), [2, 3], epoch(config, 2));
    for (const value of [known, good, turned]) mergeCommitted(ledger, value, suite.specIn);
    assert.equal(ledger.spec.body.version, 2);
    makeAnew(ledger, [goOn()], suite.specIn);
    assert.deepEqual([ledger.spec.id, ledger.version], [job.spec.id, null]);
    assert.ok(ledger.committed.has(slotOf(before)));
  });

  it('of one way let the later decision count, but the first end', () => {
    const early = certify(lower, slotOf(lower), [0, 1], job.epoch);
    const [ended, again] = [closeOf(job), closeOf(job, { message: 'once more' })];
    const end = certify(ended, slotOf(ended), [0, 1], job.epoch);
    const late = certify(again, slotOf(again), [2, 3], epoch(good.record.body.config, 2));
    for (const values of [
      [good, early, on, end, late],
      [good, on, early, late, end],
    ]) {
      const ledger = createLedger(job.spec, job.admission);
      for (const value of values) mergeCommitted(ledger, value);
      assert.deepEqual(ledger.committed.get(slotOf(higher))?.record.id, higher.id);
      assert.deepEqual(ledger.close?.record.id, ended.id);
    }
    const ledger = createLedger(job.spec, job.admission);
    assert.equal(mergeCommitted(ledger, end), 'new');
    const other = certify(again, slotOf(again), [0, 1], job.epoch);
    assert.equal(mergeCommitted(ledger, other), 'contradiction');
  });
});
