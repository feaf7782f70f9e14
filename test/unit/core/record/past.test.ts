/** The versions of a job in its ledger: the latest that is committed counts, in whatever order their records come. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { JobType } from '../../../../src/job/model.ts';
import type { CertifiedValue } from '../../../../src/core/contract/messages.ts';
import { createLedger, mergeCommitted, mergeState } from '../../../../src/core/record/ledger.ts';
import type { Ledger } from '../../../../src/core/record/ledger.ts';
import { mergeWanted, PAST_MAX, pastOf } from '../../../../src/core/record/past.ts';
import { pastBytes, trimPast } from '../../../../src/core/record/past-room.ts';
import type { Signed } from '../../../../src/core/record/records.ts';
import { closeSlot, versionSlot } from '../../../../src/core/record/slot.ts';
import { checkWanted, mayBeNext } from '../../../../src/core/record/versions.ts';
import {
  admitted,
  assignOf,
  at,
  certify,
  closeOf,
  jobWith,
  nextSpec,
  stateOf,
  suite,
  WALL,
} from '../fixtures.ts';
import type { Admitted } from '../fixtures.ts';

const job = admitted(jobWith({ Type: 'service' }), [0, 1, 2]);

/** The job as it is in each of its versions, the first one first. */
const versionsOf = (Type: JobType, first: Admitted): readonly Admitted[] =>
  Array.from({ length: PAST_MAX + 5 }).reduce<Admitted[]>(
    (known) => {
      const last = known.at(-1) ?? first;
      const spec = nextSpec(last.spec, jobWith({ Type }, { Env: { V: String(known.length) } }));
      return [...known, { ...first, spec }];
    },
    [first],
  );
const versions = versionsOf('service', job);

function versionOf(spec: Signed<'spec'>, fallback: Signed<'spec'> | null = null): CertifiedValue {
  const body = {
    job: spec.body.job,
    version: spec.body.version,
    spec: suite.envelopeOf(spec),
    fallback: fallback === null ? null : suite.envelopeOf(fallback),
    message: '',
  };
  const record = suite.seal('version', body, at(3), 'node');
  return certify(record, versionSlot(spec.body.version), [0, 1, 2], job.epoch);
}

/** What was committed of each version: that it is one, an assignment, and its end. */
const valuesOf = (of: Admitted): readonly CertifiedValue[] => {
  const { version } = of.spec.body;
  const { body, hlc } = assignOf(of, { node: 1 });
  const assign = suite.seal('assign', { ...body, version }, hlc, 'node');
  const close = closeOf(of, { outcome: 'failed', version });
  return [
    ...(version === 1 ? [] : [versionOf(of.spec)]),
    certify(assign, `assign/${version}/0/0`, [0, 1, 2], job.epoch),
    certify(close, closeSlot(version), [0, 1, 2], job.epoch),
  ];
};

function merged(values: readonly CertifiedValue[], of = job): Ledger {
  const ledger = createLedger(of.spec, of.admission);
  for (const value of values) mergeCommitted(ledger, value, suite.specIn);
  return ledger;
}

const told = ({ spec, close, committed, assigned, others }: Ledger) => ({
  version: spec.body.version,
  close: close?.record.id,
  committed: [...committed.keys()].sort(),
  assigned: [...assigned.keys()].sort(),
  others: [...others]
    .map(([version, facts]) => [version, [...facts.committed.keys()].sort()])
    .sort(),
});

describe('the versions of a job', () => {
  it('are the same whatever order their records come in', () => {
    const values = versions.slice(0, 3).flatMap(valuesOf);
    const expected = told(merged(values));
    assert.equal(expected.version, 3);
    const orders = fc.shuffledSubarray(values, { minLength: values.length });
    fc.assert(
      fc.property(orders, (order) =>
        assert.deepEqual(told(merged([...order, ...order])), expected),
      ),
    );
  });

  for (const [type, count] of [
    ['service', PAST_MAX],
    ['batch', 2],
  ] as const)
    it(`leave of those before what there is room for: of a ${type} the executions of ${count}`, () => {
      const first = admitted(jobWith({ Type: type }), [0, 1, 2]);
      const all = versionsOf(type, first);
      const ledger = merged(all.flatMap(valuesOf), first);
      const latest = ledger.spec.body.version;
      assert.equal(latest, all.length);
      assert.equal(ledger.others.size, PAST_MAX);
      const full = [...ledger.others].filter(([, { committed }]) => committed.size > 0);
      assert.deepEqual(
        full.map(([version]) => latest - version).sort((a, b) => a - b),
        Array.from({ length: count }, (_, at) => at + 1),
      );
      const oldest = latest - PAST_MAX;
      assert.equal(pastOf(ledger, oldest)?.close?.record.body.version, oldest);
      assert.equal(pastOf(ledger, 1), null);
    });

  it('take states of their own executions only', () => {
    const ledger = merged(versions.slice(0, 2).flatMap(valuesOf));
    const old = stateOf(assignOf(job, { node: 1 }), 1, { phase: 'running' });
    assert.equal(mergeState(ledger, old), 'new');
    assert.equal(ledger.states.size, 0);
    assert.equal(ledger.others.get(1)?.states.size, 1);
  });
});

describe('a spec that is wanted', () => {
  const [first, second, third] = versions as readonly [Admitted, Admitted, Admitted];
  const wants = (spec: Signed<'spec'>, current = first.spec) =>
    checkWanted(suite, current, { spec, fallback: null }, WALL);

  it('opens a job that is over, and of two the same one counts at every keeper', () => {
    const ledger = merged(valuesOf(job));
    assert.notEqual(ledger.close, null);
    const other = nextSpec(first.spec, jobWith({ Type: 'service' }, { Env: { OTHER: '1' } }));
    const [less, more] = [second.spec, other].sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const spec of [more, less, more])
      if (spec !== undefined) mergeWanted(ledger, { spec, fallback: null });
    assert.equal(ledger.wanted?.spec.id, less?.id);
    assert.equal(ledger.close, null);
  });

  it('is good for the version after the one that it names, of the same type and name', () => {
    assert.equal(wants(second.spec), 'good');
    assert.notEqual(wants(third.spec), 'good');
    assert.notEqual(wants(second.spec, second.spec), 'good');
    for (const change of [{ Type: 'batch' as const }, { Name: 'another' }, { Namespace: 'other' }])
      assert.notEqual(wants(nextSpec(first.spec, jobWith({ Type: 'service', ...change }))), 'good');
    const late = { of: third.spec.id, how: 'update', reason: '' } as const;
    assert.notEqual(wants(nextSpec(first.spec, second.spec.body.spec, { follows: late })), 'good');
    const follows = { of: first.spec.id, how: 'rollback', reason: '' } as const;
    assert.notEqual(wants(nextSpec(first.spec, first.spec.body.spec, { follows })), 'good');
  });

  it('lets a leader go back to nothing but what its owner signed with it', () => {
    const back = { of: second.spec.id, how: 'rollback', reason: '' } as const;
    const fallback = nextSpec(second.spec, first.spec.body.spec, { follows: back });
    const changed = jobWith({ Type: 'service' }, { Env: { OTHER: '1' } });
    const other = nextSpec(second.spec, changed, { follows: back });
    const ledger = merged([versionOf(second.spec, fallback)]);
    const may = (spec: Signed<'spec'>): boolean => {
      const { record } = versionOf(spec);
      return record.type === 'version' && mayBeNext(suite, ledger, record.body, WALL);
    };
    assert.equal(may(fallback), true);
    assert.equal(may(other), false);
    assert.equal(may(third.spec), true);
    assert.equal(may(versions[3]?.spec ?? assert.fail()), false);
  });
});

describe('versions that are past', () => {
  const values = versionsOf('batch', admitted(jobWith(), [0, 1, 2]));
  const ofBatch = (): Ledger => merged(values.slice(0, 6).flatMap(valuesOf), values[0]);
  /** The version, and whether it is known how it ran. */
  const left = ({ others }: Ledger) =>
    [...others].map(([version, { committed }]) => [version, committed.size > 0]);

  it('make room from the oldest on: first how they ran, then all of them', () => {
    const ledger = ofBatch();
    const all = pastBytes(ledger);
    const full = [1, 2, 3, 4, 5].map((version) => [version, version > 3]);
    assert.deepEqual(left(ledger), full);
    assert.equal(trimPast(ledger, all), all);
    assert.deepEqual(left(ledger), full);
    assert.ok(trimPast(ledger, all - 1) < all);
    assert.deepEqual(left(ledger)[3], [4, false]);
    assert.deepEqual(left(ledger)[4], [5, true]);
    for (let bytes = pastBytes(ledger); bytes > 0; ) {
      const before = left(ledger).length;
      bytes = trimPast(ledger, bytes - 1);
      assert.equal(bytes, pastBytes(ledger));
      assert.ok(before - left(ledger).length <= 1);
    }
    assert.equal(ledger.spec.body.version, 6);
  });

  it('do not come back when somebody shows them again', () => {
    const ledger = ofBatch();
    trimPast(ledger, 0);
    for (const value of values.slice(0, 5).flatMap(valuesOf))
      mergeCommitted(ledger, value, suite.specIn);
    assert.deepEqual(left(ledger), []);
  });

  it('make room where the job might go back to them, too, once it is over', () => {
    const [first, second] = values as [Admitted, Admitted];
    const follows = { of: second.spec.id, how: 'rollback', reason: '' } as const;
    const fallback = nextSpec(second.spec, first.spec.body.spec, { follows });
    const ledger = merged([...valuesOf(first), versionOf(second.spec, fallback)], first);
    trimPast(ledger, 0);
    assert.deepEqual(left(ledger), [[1, false]]);
    for (const value of valuesOf(second).slice(-1)) mergeCommitted(ledger, value);
    trimPast(ledger, 0);
    assert.deepEqual(left(ledger), []);
  });

  it('stay where a replica of them still runs, and where the job may go back to them', () => {
    const past = versions.slice(0, 4);
    const runs = (of: Admitted) => valuesOf(of).filter(({ record }) => record.type !== 'close');
    const ledger = merged(past.flatMap(runs));
    const ended = (of: Admitted): void => {
      const { version } = of.spec.body;
      const known = ledger.others.get(version)?.partitions.get(0)?.attempts.get(0)?.assign.record;
      if (known !== undefined) mergeState(ledger, stateOf(known, 1, { phase: 'cancelled' }));
    };
    const [first, second, third] = past as [Admitted, Admitted, Admitted];
    for (const one of [first, third]) ended(one);
    trimPast(ledger, 0);
    assert.deepEqual(left(ledger), [
      [2, true],
      [3, false],
    ]);
    ended(second);
    trimPast(ledger, 0);
    assert.deepEqual(left(ledger), []);
    const fourth = past[3] as Admitted;
    const follows = { of: fourth.spec.id, how: 'rollback', reason: '' } as const;
    const back = nextSpec(fourth.spec, third.spec.body.spec, { follows });
    const again = merged([...past.slice(0, 3).flatMap(valuesOf), versionOf(fourth.spec, back)]);
    for (const { partitions } of again.others.values()) partitions.clear();
    trimPast(again, 0);
    assert.deepEqual(left(again), [[3, false]]);
  });
});
