/** How the job sees each of its executions: why one is not wanted any more, and what goes on in other versions. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { executionsJson } from '../../../src/api/job-json.ts';
import type { JobRecords } from '../../../src/core/contract/messages.ts';
import type { ReplacedFor, Signed, StateBody } from '../../../src/core/record/records.ts';
import { admitted, assignOf, closeOf, jobWith, stateOf } from '../core/fixtures.ts';

const job = admitted(jobWith({ Type: 'service' }), [1, 2, 3]);
const first = assignOf(job, { node: 0 });
const second = (replaces: ReplacedFor) => assignOf(job, { node: 1, attempt: 1, replaces });

function told(
  values: readonly JobRecords['committed'][number]['record'][],
  states: readonly Signed<'state'>[] = [],
  current = 1,
  rolls = false,
) {
  const committed = values.map(
    (record) => ({ record, votes: [] }) as JobRecords['committed'][number],
  );
  const { spec, admission } = job;
  const records = { spec, admission, grant: null, commands: [], committed, states };
  const [one = assert.fail()] = executionsJson({ records, current }, () => false, rolls);
  return [one.Phase, one.DesiredState.StateType, one.ComputeState.Message];
}
const stateWith = (change: Partial<StateBody>) => stateOf(first, 0, change);

describe('an execution in whose place there is another', () => {
  const running = [stateWith({ phase: 'running' })];

  it('is told with the reason that was committed, and as lost only when it was', () => {
    const reasons: readonly (readonly [ReplacedFor, string, string])[] = [
      ['lost', 'lost', 'nothing was heard of it; attempt 2 replaced it'],
      ['overdue', 'lost', 'it ran for longer than it may; attempt 2 replaced it'],
      ['failed', 'failed', 'it failed; attempt 2 replaced it'],
      ['missed', 'cancelled', 'its node did not begin it; attempt 2 replaced it'],
      ['surplus', 'cancelled', 'an older replica was back; attempt 2 replaced it'],
    ];
    for (const [replaces, phase, why] of reasons)
      assert.deepEqual(told([first, second(replaces)], running), [phase, 2, why]);
  });

  it('stays what it was when the job is over', () => {
    const close = closeOf(job, { outcome: 'stopped' });
    assert.equal(told([first, second('lost'), close], running)[0], 'lost');
    assert.deepEqual(told([first, close], running), ['cancelled', 2, 'the job is stopped']);
  });

  it('moved when its node left', () => {
    const failure = { code: 'draining', class: 'node', message: 'its node is leaving' } as const;
    const left = [stateWith({ phase: 'cancelled', failure })];
    const moved = ['cancelled', 2, 'its node is leaving; attempt 2 replaced it'];
    assert.deepEqual(told([first, second('missed')], left), moved);
    const close = closeOf(job, { outcome: 'stopped' });
    assert.deepEqual(told([first, second('missed'), close], left), moved);
  });
});

describe('an execution of an earlier version', () => {
  it('of a service runs on until one of the next takes its place, and is not wanted after that', () => {
    const running = [stateWith({ phase: 'running' })];
    assert.deepEqual(told([first], running, 2, true), ['running', 2, 'version 2 takes its place']);
    assert.deepEqual(told([first], running, 2, false), [
      'cancelled',
      2,
      'version 2 took its place',
    ]);
  });
});
