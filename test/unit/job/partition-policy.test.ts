/** What becomes of executions that are cut off: the owner's choice, and what is refused of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { JobType } from '../../../src/job/model.ts';
import { parseJob, parseJobValue } from '../../../src/job/parse.ts';
import { lostAfterOf, partitionPolicyOf } from '../../../src/job/partition-policy.ts';
import { formatProblem } from '../../../src/job/problem.ts';
import { TYPE_NAMES } from '../../../src/job/types.ts';

const POLICY = 'shoal/partition-policy';
const LOST_AFTER = 'shoal/lost-after';
const task = { Name: 'main', Engine: { Type: 'docker', Params: { Image: 'ubuntu:24.04' } } };

function read(
  Type: JobType,
  Meta: Readonly<Record<string, string>>,
  more: Readonly<Record<string, unknown>> = {},
) {
  return parseJobValue({ Type, Meta, Tasks: [{ ...task, ...more }] });
}

function policyOf(type: JobType, meta: Readonly<Record<string, string>>): string {
  const result = read(type, meta);
  if (!result.ok) return result.problems.map(formatProblem).join('\n');
  const lostAfterMs = lostAfterOf(result.job);
  return partitionPolicyOf(result.job) + (lostAfterMs === null ? '' : ` ${lostAfterMs}`);
}

describe('the policy of a job', () => {
  it('is by default what its type makes of a node that is cut off', () => {
    assert.deepEqual(
      TYPE_NAMES.map((type) => [type, policyOf(type, {})]),
      [
        ['batch', 'rerun'],
        ['ops', 'keep'],
        ['daemon', 'keep'],
        ['service', 'keep'],
      ],
    );
  });

  it('is one of those that its type can have', () => {
    const may = (type: JobType, policy: string): boolean =>
      policyOf(type, {
        [POLICY]: policy,
        ...(policy === 'wait' ? { [LOST_AFTER]: '10m' } : {}),
      }).startsWith(policy);
    const table = TYPE_NAMES.map((type) => [
      type,
      ['rerun', 'keep', 'wait', 'exclusive'].filter((policy) => may(type, policy)).join(' '),
    ]);
    assert.deepEqual(table, [
      ['batch', 'rerun wait exclusive'],
      ['ops', 'keep wait'],
      ['daemon', 'keep'],
      ['service', 'keep wait exclusive'],
    ]);
    assert.equal(
      policyOf('batch', { [POLICY]: 'keep' }),
      `Meta["${POLICY}"]: a job of type batch takes rerun, wait, exclusive, not keep`,
    );
  });

  it('names the time to wait in seconds, minutes, hours or days', () => {
    const waits = (text: string) => policyOf('batch', { [POLICY]: 'wait', [LOST_AFTER]: text });
    assert.equal(waits('20s'), 'wait 20000');
    assert.equal(waits('10m'), 'wait 600000');
    assert.equal(waits('2h'), 'wait 7200000');
    assert.equal(waits('30d'), 'wait 2592000000');
  });

  /** [what is wrong, Meta, the problem without its place]. */
  const refused: readonly (readonly [string, Readonly<Record<string, string>>, string])[] = [
    [
      'a key that means nothing',
      { 'shoal/partition-polcy': 'wait' },
      `Meta["shoal/partition-polcy"]: keys beginning with shoal/ are the mesh's, which knows ${POLICY} and ${LOST_AFTER}, not "shoal/partition-polcy". Did you mean "${POLICY}"?`,
    ],
    [
      'a policy that there is not',
      { [POLICY]: 'exclusiv' },
      `Meta["${POLICY}"]: expected one of rerun, keep, wait, exclusive, got "exclusiv". Did you mean "exclusive"?`,
    ],
    [
      'to wait without end',
      { [POLICY]: 'wait' },
      `Meta["${POLICY}"]: policy wait needs to know for how long; add ${LOST_AFTER}, for example "10m"`,
    ],
    ...['10', '0s', '1.5h', '10 m', '-1m', ''].map(
      (text) =>
        [
          `the time ${JSON.stringify(text)}`,
          { [POLICY]: 'wait', [LOST_AFTER]: text },
          `Meta["${LOST_AFTER}"]: expected a whole number with s, m, h or d, such as 90s, 10m or 1d, got ${JSON.stringify(text)}`,
        ] as const,
    ),
    ...['19s', '31d'].map(
      (text) =>
        [
          `to wait for ${text}`,
          { [POLICY]: 'wait', [LOST_AFTER]: text },
          `Meta["${LOST_AFTER}"]: expected 20s to 30d, got "${text}"`,
        ] as const,
    ),
    [
      'a time without waiting',
      { [LOST_AFTER]: '10m' },
      `Meta["${LOST_AFTER}"]: ${LOST_AFTER} needs ${POLICY}: wait; leave it out, or add that`,
    ],
    [
      'a time to be waited for by what is exclusive',
      { [POLICY]: 'exclusive', [LOST_AFTER]: '10m' },
      `Meta["${LOST_AFTER}"]: ${LOST_AFTER} needs ${POLICY}: wait; leave it out, or add that`,
    ],
  ];
  for (const [what, meta, problem] of refused)
    it(`refuses ${what}`, () => assert.equal(policyOf('batch', meta), problem));

  it('refuses to wait for longer than the whole job may take', () => {
    const Timeouts = { TotalTimeout: 600 };
    const result = read('batch', { [POLICY]: 'wait', [LOST_AFTER]: '10m' }, { Timeouts });
    assert.deepEqual(result.ok ? [] : result.problems.map(formatProblem), [
      `Meta["${LOST_AFTER}"]: the job ends with its TotalTimeout (600 s) before 10m are over; raise that, or wait for less`,
    ]);
  });

  it("is the job's, not its task's", () => {
    const result = read('batch', {}, { Meta: { [POLICY]: 'exclusive' } });
    assert.deepEqual(result.ok ? [] : result.problems.map(formatProblem), [
      `Tasks[0].Meta["${POLICY}"]: "${POLICY}" is a key of the job's own Meta; move it there`,
    ]);
  });

  it('is refused with its line in the text', () => {
    const text = `Type: batch\nMeta:\n  ${POLICY}: never\nTasks: [${JSON.stringify(task)}]\n`;
    const result = parseJob(text, { sourceName: 'job.yaml' });
    assert.deepEqual(
      result.ok ? [] : result.problems.map(({ place }) => [place?.source, place?.line]),
      [['job.yaml', 3]],
    );
  });
});
