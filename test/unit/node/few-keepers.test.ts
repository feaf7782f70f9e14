/** What a client is told of the keepers of its job. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { demandKeepers, fewKeepers } from '../../../src/node/few-keepers.ts';
import { asJobId } from '../../../src/core/record/ids.ts';

test('nothing is said of a job that has all the keepers it could have', () => {
  assert.equal(fewKeepers(3, 3), null);
  assert.equal(fewKeepers(5, 3), null);
});

test('fewer keepers than there could be are told, with what that costs', () => {
  assert.match(fewKeepers(3, 5) ?? '', /3 peers instead of 5.*survives the loss of 1 of them/);
  assert.match(fewKeepers(1, 3) ?? '', /1 peer instead of 3.*does not survive the loss of one/);
});

test('one keeper is told also where there can be no more', () => {
  assert.match(fewKeepers(1, 1) ?? '', /one peer alone/);
});

test('a token whose job has fewer keepers than are demanded now is refused with that job', () => {
  const job = asJobId('j-1');
  demandKeepers(job, 3, 3);
  demandKeepers(job, 3, 0);
  assert.throws(() => demandKeepers(job, 1, 3), /Job j-1 was submitted before and has 1 keepers/);
});
