/** Every reason to refuse a job in words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explainRefusal, explainWaiting } from '../../../src/api/explain.ts';
import type { WaitingView } from '../../../src/core/contract/messages.ts';
import type { Refusal, RefusalCode } from '../../../src/core/record/refusals.ts';
import type { Constraint } from '../../../src/job/model.ts';
import { storeOf } from '../core/fixtures.ts';

type Cases = {
  readonly [Code in RefusalCode]: readonly [Omit<Extract<Refusal, { code: Code }>, 'code'>, string];
};

const region: Constraint = { Key: 'region', Operator: 'in', Values: ['eu', 'us'] };

const CASES: Cases = {
  'engine-missing': [
    { engine: 'docker', detail: '' },
    'does not support docker: the engine is not available',
  ],
  'publisher-missing': [{ publisher: 's3' }, 'does not support s3: the publisher is not available'],
  'source-missing': [{ source: 's3' }, 'does not support s3: the input source is not available'],
  constraint: [
    { constraint: region, actual: null },
    'constraint region in (eu, us) does not hold (no such label)',
  ],
  'too-big': [
    { resource: 'cpu', wanted: 64_000, capacity: 7_500 },
    'cpu: wants 64 cores, the largest has 7.5 cores in all (never fits)',
  ],
  busy: [{ resource: 'gpu', wanted: 2, free: 1 }, 'gpu: wants 2 GPUs, at most 1 GPU free (busy)'],
  network: [
    { network: 'Host', detail: 'see --allow-network' },
    'network Host is not allowed there (see --allow-network)',
  ],
  'path-not-allowed': [
    { path: '/data', writable: true },
    'the path /data may not be written there (--allow-path)',
  ],
  'env-not-allowed': [
    { variable: 'TOKEN' },
    'the variable TOKEN is not set or may not be forwarded there',
  ],
  'owner-not-allowed': [{}, 'jobs of this owner are not taken there'],
  'namespace-not-allowed': [{ namespace: 'test' }, 'jobs of namespace test are not taken there'],
  'image-not-allowed': [{ image: 'evil/x' }, 'the image evil/x is not allowed there'],
  unsupported: [{ feature: 'Network HTTP' }, 'not supported there: Network HTTP'],
  draining: [{}, 'the node is shutting down and takes nothing new'],
  'store-full': [{}, "the node's disk is full"],
  expired: [{}, 'the job has expired'],
  'other-store': [
    { store: storeOf(1) },
    'a keeper that was chosen for it has another store since: submit the job again with another idempotency token',
  ],
  over: [{}, 'the job is over'],
  'versions-full': [
    { bytes: 2, maxBytes: 1 },
    'earlier versions that still run take 2 of 1 bytes there',
  ],
  damaged: [
    {},
    'what a keeper knew of it is damaged there: submit the job again with another idempotency token',
  ],
  'wrong-time': [
    { notAfter: Date.UTC(2026, 0, 2), wall: Date.UTC(2026, 0, 3) },
    'it is good until 2026-01-02 00:00:00 UTC, which is over by the clock there, 2026-01-03 00:00:00 UTC: `shoal doctor` says whose clock is wrong',
  ],
};

test('each refusal names its rule and the values on both sides', () => {
  for (const [code, [members, text]] of Object.entries(CASES)) {
    assert.equal(explainRefusal({ code, ...members } as Refusal), text, code);
  }
});

test('each operator of a constraint reads as it is written', () => {
  const cases: readonly (readonly [Constraint, string])[] = [
    [{ Key: 'a', Operator: '=', Values: ['b'] }, 'a = b'],
    [{ Key: 'a', Operator: '!=', Values: ['b'] }, 'a != b'],
    [{ Key: 'a', Operator: 'notin', Values: ['b', 'c'] }, 'a notin (b, c)'],
    [{ Key: 'a', Operator: 'exists', Values: [] }, 'a exists'],
    [{ Key: 'a', Operator: '!', Values: [] }, 'a does not exist'],
    [{ Key: 'a', Operator: 'gt', Values: ['5'] }, 'a > 5'],
    [{ Key: 'a', Operator: 'lt', Values: ['5'] }, 'a < 5'],
  ];
  for (const [constraint, text] of cases) {
    assert.equal(
      explainRefusal({ code: 'constraint', constraint, actual: 'x' }),
      `constraint ${text} does not hold (x)`,
    );
  }
});

test('a job that waits names missing keepers first, then reasons by weight, then the silent', () => {
  const view: WaitingView = {
    nodesKnown: 5,
    nodesAnswered: 3,
    refusals: [
      { refusal: { code: 'store-full' }, nodes: 1 },
      { refusal: { code: 'draining' }, nodes: 2 },
    ],
    partitionsWaiting: 1,
    keepersReached: 2,
    keepers: 5,
  };
  assert.deepEqual(explainWaiting(view), [
    'job waits for keepers (2 of 5)',
    '2 of 5 nodes: the node is shutting down and takes nothing new',
    "1 of 5 nodes: the node's disk is full",
    '2 of 5 nodes: no answer yet',
  ]);
  const calm = {
    ...view,
    nodesKnown: 1,
    nodesAnswered: 1,
    refusals: [],
    keepersReached: 5,
    partitionsWaiting: 2,
  };
  assert.deepEqual(explainWaiting(calm), ['2 executions wait for a free node']);
  assert.deepEqual(explainWaiting({ ...calm, nodesKnown: 0, nodesAnswered: 0 }), [
    'no node is known that could run it',
  ]);
  assert.deepEqual(explainWaiting({ ...calm, partitionsWaiting: 0 }), []);
});
