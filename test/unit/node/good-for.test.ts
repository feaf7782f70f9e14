import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { goodForMs } from '../../../src/node/good-for.ts';
import { jobWith } from '../core/fixtures.ts';

const HOUR = 3_600_000;
const timed = (ExecutionTimeout: number, QueueTimeout: number, TotalTimeout: number) =>
  jobWith({}, { Timeouts: { ExecutionTimeout, QueueTimeout, TotalTimeout } });

describe('a job is good for', () => {
  it('as long as it may take and its end is remembered', () => {
    assert.equal(goodForMs(timed(0, 0, 0), HOUR), HOUR);
    assert.equal(goodForMs(timed(5, 6, 0), HOUR), HOUR + 11_000);
    assert.equal(goodForMs(timed(5, 6, 20), HOUR), HOUR + 20_000);
  });

  it('sixty days at most, and for all of them when it does not end', () => {
    assert.equal(goodForMs(timed(0, 0, 1e9), HOUR), 60 * 24 * HOUR);
    assert.equal(goodForMs(jobWith({ Type: 'service' }), HOUR), 60 * 24 * HOUR);
  });
});
