/** Every failure is worded: one example per code, complete by the compiler. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describe as words } from '../../../src/failures/table.ts';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import type { Failure, FailureCode } from '../../../src/failures/failure.ts';
import { asJobId, asNodeId } from '../../../src/core/record/ids.ts';
import { ownerKey } from '../../simulation/fast-suite.ts';

type Details = {
  readonly [C in FailureCode]: Omit<Extract<Failure, { readonly code: C }>, 'code'>;
};

const job = asJobId('j-00000001');
/** Values that must come out in the words stand in the example as VALUE or as 4711. */
const examples: Details = {
  'job-not-found': { ref: 'VALUE', asked: 1, silent: [] },
  'job-unreachable': { job, asked: 4711, silent: [asNodeId('VALUE')] },
  'job-ambiguous': { ref: 'VALUE', candidates: [job, asJobId('j-00000002')] },
  'job-terminal': { job, state: 'VALUE' },
  'no-changes': { name: 'VALUE' },
  'job-pending': { job, state: 'VALUE' },
  'job-changed': { job, version: 0 },
  'versions-full': { job, bytes: 4711, maxBytes: 1 },
  'not-owner': { job, owner: ownerKey(1) },
  'keepers-unreachable': { job, reached: 1, needed: 4711 },
  'too-few-keepers': { job: null, keepers: 1, minKeepers: 4711, peers: 2 },
  'not-admitted': { job, refusal: { code: 'store-full' } },
  'spec-too-large': { bytes: 4711, maxBytes: 1 },
  draining: {},
  'store-full': {},
  'spec-invalid': { problems: ['VALUE one', 'two'] },
  'request-invalid': { place: 'VALUE', value: '0', expected: 'a number' },
  'cid-invalid': { value: 'VALUE', why: 'it is too short' },
  'multiaddr-invalid': { value: 'VALUE', why: 'no port' },
  'config-invalid': { problems: ['VALUE'] },
  'key-invalid': { path: 'VALUE', why: 'it is empty' },
  'content-not-found': { cid: 'VALUE', asked: 4711 },
  'content-too-large': { cid: 'VALUE', bytes: 4711, maxBytes: 1 },
  'content-corrupt': { cid: 'VALUE', why: 'the hash differs' },
  'path-not-found': { path: 'VALUE' },
  'path-unsafe': { path: 'VALUE', why: 'it leaves the directory' },
  'execution-not-found': { ref: 'VALUE', job },
  'version-not-found': { job, version: 4711, current: 1 },
  'node-not-found': { ref: 'VALUE' },
  'node-approved': { node: 'VALUE' },
  'result-not-ready': { job: 'VALUE', state: 'Running' },
  'logs-unavailable': { execution: 'VALUE', why: 'it is gone' },
  'port-in-use': { address: 'VALUE' },
  'data-dir-locked': { path: 'VALUE', pid: 4711, bootstrap: '' },
  'store-unusable': { path: 'VALUE', why: 'it is read-only' },
  'daemon-unreachable': { address: 'VALUE' },
  'peer-unreachable': { node: 'VALUE', why: 'no route' },
  timeout: { what: 'VALUE', ms: 4711 },
  'route-not-found': { method: 'GET', path: 'VALUE' },
  'method-not-allowed': { method: 'PUT', path: 'VALUE', allowed: ['GET', 'POST'] },
  'media-type-refused': { given: 'VALUE', expected: 'JSON' },
  'body-too-large': { maxBytes: 4711 },
  'rate-limited': { retryAfterMs: 4_710_001 },
  'origin-refused': { header: 'Host', value: 'VALUE' },
  'key-required': {},
  'key-scope': { scope: 'read', needed: 'submit' },
  'not-supported': { feature: 'VALUE', instead: 'Use another.' },
  usage: { what: 'VALUE', hint: '' },
  'prefix-too-short': { ref: 'VALUE', minDigits: 4 },
  'output-exists': { path: 'VALUE' },
  'result-conflict': { path: 'VALUE', first: 'e-1', second: 'e-2' },
  'job-failed': { job: 'VALUE', state: 'Failed', why: 'it did' },
  'program-failed': { job: 'VALUE', exitCodes: [1, 4711] },
  interrupted: { what: 'VALUE' },
  internal: { what: 'VALUE' },
};

describe('the words of a failure', () => {
  for (const [code, details] of Object.entries(examples)) {
    const failure = { code, ...details } as Failure;
    it(`${code} are there, with every value filled in`, () => {
      const text = words(failure);
      assert.ok(text.trim().length >= 5, text);
      assert.doesNotMatch(text, /undefined|null|NaN|\[object/);
      for (const value of ['VALUE', '4711']) {
        if (JSON.stringify(details).includes(value))
          assert.ok(text.includes(value), `${value} in: ${text}`);
      }
    });
  }

  it('are the message of the error, which keeps its cause', () => {
    const cause = new Error('below');
    const error = new ShoalError({ code: 'internal', what: 'a test' }, { cause });
    assert.equal(error.message, words(error.failure));
    assert.equal(error.name, 'ShoalError');
    assert.equal(error.cause, cause);
    assert.ok(error instanceof Error);
  });

  it('round a waiting time up to whole seconds', () => {
    assert.match(words({ code: 'rate-limited', retryAfterMs: 1 }), / 1 s\.$/);
  });
});
