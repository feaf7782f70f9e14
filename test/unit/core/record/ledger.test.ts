/** What a ledger says; that merging knows no order is in `test/simulation/merge.test.ts`. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Phase } from '../../../../src/core/record/execution.ts';
import {
  attemptsOf,
  createLedger,
  isTerminal,
  ledgerOf,
  mergeCommand,
  mergeCommitted,
  mergeGrant,
  mergeState,
  recordsOf,
  stateOf as stateOfJob,
  summaryOf,
} from '../../../../src/core/record/ledger.ts';
import type { Ledger } from '../../../../src/core/record/ledger.ts';
import type { CloseOutcome } from '../../../../src/core/record/records.ts';
import {
  WALL,
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
  stopOf,
} from '../fixtures.ts';

const job = admitted(jobWith({ Labels: { team: 'a' } }), [0]);
const fresh = (): Ledger => createLedger(job.spec, job.admission);
const assign = (attempt: number, node = 1) => assignOf(job, { attempt, node });

describe('a slot', () => {
  it('takes one value for ever; the same again is known, another contradicts and changes nothing', () => {
    const ledger = fresh();
    const first = committed(job, assign(0, 1));
    assert.equal(mergeCommitted(ledger, first), 'new');
    assert.equal(mergeCommitted(ledger, first), 'known');
    assert.equal(mergeCommitted(ledger, committed(job, assign(0, 2))), 'contradiction');
    assert.deepEqual([...ledger.committed.values()], [first]);
    assert.equal(attemptsOf(ledger.partitions.get(0))[0]?.assign, first);
  });
});

describe('a state', () => {
  const phases: Readonly<Record<Phase, boolean>> = {
    received: false,
    preparing: false,
    starting: false,
    running: false,
    publishing: false,
    completed: true,
    failed: true,
    cancelled: true,
    lost: true,
  };
  for (const [phase, terminal] of Object.entries(phases) as [Phase, boolean][]) {
    it(`${phase} is ${terminal ? 'terminal and stands against any later one that is not' : 'not terminal'}`, () => {
      assert.equal(isTerminal(phase), terminal);
      const ledger = fresh();
      mergeState(ledger, stateOf(assign(0), 1, { phase, sequence: 1 }));
      const later = stateOf(assign(0), 1, { phase: 'running', sequence: 2 });
      assert.equal(mergeState(ledger, later), terminal ? 'known' : 'new');
    });
  }

  it('with a lower sequence is old news', () => {
    const ledger = fresh();
    mergeState(ledger, stateOf(assign(0), 1, { phase: 'running', sequence: 2 }));
    assert.equal(
      mergeState(ledger, stateOf(assign(0), 1, { phase: 'starting', sequence: 1 })),
      'known',
    );
  });

  it('that came before its assignment is found by it', () => {
    const ledger = fresh();
    const state = stateOf(assign(0), 1, {});
    mergeState(ledger, state);
    assert.equal(ledger.partitions.size, 0);
    mergeCommitted(ledger, committed(job, assign(0)));
    assert.equal(attemptsOf(ledger.partitions.get(0))[0]?.state, state);
  });

  it('of another execution is not that of the attempt', () => {
    const ledger = fresh();
    mergeCommitted(ledger, committed(job, assign(0, 1)));
    mergeState(ledger, stateOf(assign(0, 2), 2, {}));
    assert.equal(attemptsOf(ledger.partitions.get(0))[0]?.state, null);
  });
});

describe('attempts', () => {
  it('come first to last, however they were learned', () => {
    const ledger = fresh();
    for (const attempt of [2, 0, 11, 1]) mergeCommitted(ledger, committed(job, assign(attempt)));
    const numbers = attemptsOf(ledger.partitions.get(0)).map(
      ({ assign: { record } }) => record.body.attempt,
    );
    assert.deepEqual(numbers, [0, 1, 2, 11]);
    assert.deepEqual(attemptsOf(undefined), []);
  });
});

describe('a grant', () => {
  it('replaces a lower one only', () => {
    const ledger = fresh();
    const granted = (number: number) => {
      const epoch = { config: { major: 0, minor: 0 }, number, leader: idOf(0) };
      return certify(grantOf(job, epoch, 0), 'grant', [0], epoch);
    };
    assert.equal(mergeGrant(ledger, granted(2)), 'new');
    assert.equal(mergeGrant(ledger, granted(1)), 'known');
    assert.equal(mergeGrant(ledger, granted(2)), 'known');
    assert.equal(mergeGrant(ledger, granted(3)), 'new');
    assert.equal(ledger.grant?.record.body.epoch.number, 3);
  });
});

/** A ledger with some of everything. */
function full(): Ledger {
  const ledger = fresh();
  mergeCommitted(ledger, committed(job, assign(0)));
  const state = stateOf(assign(0), 1, { phase: 'completed', sequence: 3 });
  mergeState(ledger, state);
  mergeCommitted(ledger, committed(job, acceptOf(job, state)));
  mergeCommand(ledger, stopOf(job));
  const epoch = { config: { major: 0, minor: 0 }, number: 1, leader: idOf(0) };
  mergeGrant(ledger, certify(grantOf(job, epoch, 0), 'grant', [0], epoch));
  mergeCommitted(ledger, committed(job, closeOf(job, { outcome: 'stopped' })));
  return ledger;
}

describe('a ledger handed over', () => {
  it('is the same ledger at its receiver', () =>
    assert.deepEqual(ledgerOf(recordsOf(full())), full()));
});

describe('the state of a job', () => {
  const outcomes: Readonly<Record<CloseOutcome, string>> = {
    completed: 'Completed',
    failed: 'Failed',
    stopped: 'Stopped',
  };
  for (const [outcome, state] of Object.entries(outcomes) as [CloseOutcome, string][]) {
    it(`closed as ${outcome} is ${state}, whatever waits`, () => {
      const ledger = fresh();
      mergeCommitted(ledger, committed(job, assign(0)));
      mergeCommitted(ledger, committed(job, closeOf(job, { outcome })));
      assert.equal(stateOfJob(ledger, true), state);
    });
  }

  it('is Pending before anything happened, Queued when nobody takes it', () => {
    assert.equal(stateOfJob(fresh(), false), 'Pending');
    assert.equal(stateOfJob(fresh(), true), 'Queued');
  });

  it('is Running from the first assignment on, also between two attempts', () => {
    const ledger = fresh();
    mergeCommitted(ledger, committed(job, assign(0)));
    assert.equal(stateOfJob(ledger, true), 'Running');
    mergeState(ledger, stateOf(assign(0), 1, { phase: 'failed' }));
    assert.equal(stateOfJob(ledger, true), 'Running');
  });
});

describe('a summary', () => {
  it('dates from the spec and changes with the newest record', () => {
    const { createdAt, modifiedAt, ...rest } = summaryOf(full(), false);
    assert.deepEqual([createdAt - WALL, modifiedAt - WALL], [0, 5]);
    assert.deepEqual(rest, {
      job: job.spec.body.job,
      version: 1,
      name: 'sum',
      namespace: 'default',
      jobType: 'batch',
      engine: 'docker',
      state: 'Stopped',
      count: 1,
      labels: { team: 'a' },
    });
    assert.equal(summaryOf(fresh(), false).modifiedAt, WALL);
  });
});
