/** A job that came to its end in the lower of two branches is over for those that go by the higher one, too. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FIRST_CONFIG } from '../../../../src/core/record/chain.ts';
import type { CertifiedValue } from '../../../../src/core/contract/messages.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import {
  acceptOf,
  admitted,
  assignOf,
  certify,
  closeOf,
  committed,
  idOf,
  jobWith,
  stateOf,
} from '../fixtures.ts';
import { epochOf, Lone, reseed } from './lone.ts';

const trio = [1, 0, 2];
const three = admitted(jobWith(), trio);
const ours = reseed(three, 2, [2, 0, 3]);
const failed = { outcome: 'failed', code: 'attempts-exhausted' } as const;
const completed = { outcome: 'completed', code: 'completed', message: '' } as const;

const stateOn = (lone: Lone) => lone.inspect(0).jobs[0]?.state;

describe('a keeper that goes by a higher branch, and hears that the job came to its end in the lower one', () => {
  it('goes back to that end, and forgets what was decided after it, on its disk, too', () => {
    for (const way of ['closed', 'commit'] as const) {
      const lone = new Lone(trio);
      lone.tell(2, ours);
      const epoch = epochOf(ours.record.body.config, 2);
      const assign = assignOf(lone.of, { node: 7, by: 2 }, epoch);
      lone.tell(2, certify(assign, slotOf(assign), [2, 3], epoch));
      assert.ok(lone.rows('records').includes(slotOf(assign)));
      const end = committed(lone.of, closeOf(lone.of, failed));
      if (way === 'commit') lone.tell(1, end);
      else lone.message(0, 1, { type: 'closed', job: lone.id, close: end });
      assert.equal(stateOn(lone), 'Failed');
      assert.deepEqual(lone.config, FIRST_CONFIG);
      for (const slot of [slotOf(assign), slotOf(ours.record)])
        assert.ok(!lone.rows('records').includes(slot));
      lone.restart(0);
      assert.equal(stateOn(lone), 'Failed');
    }
  });

  it('does so though it never kept the job there, once it has the results', () => {
    const of = admitted(jobWith(), [1, 2, 3]);
    const lone = new Lone([1, 2, 3], [reseed(of, 2, [2, 0, 4])]);
    const assign = assignOf(of, { node: 7 });
    const state = stateOf(assign, 7, { phase: 'completed', exitCode: 0 });
    const end = committed(of, closeOf(of, completed));
    lone.message(0, 1, { type: 'closed', job: lone.id, close: end });
    const before = lone.messages('branch').length;
    lone.pass(25_000);
    const asked = lone.messages('branch').slice(before);
    assert.ok(asked.some(({ to }) => to === idOf(1)));
    const results: CertifiedValue[] = [committed(of, assign), committed(of, acceptOf(of, state))];
    lone.tell(1, ...results, end);
    assert.equal(stateOn(lone), 'Completed');
    assert.deepEqual(lone.config, FIRST_CONFIG);
  });

  it('keeps the end that it came to itself, which it has told others of', () => {
    const lone = new Lone(trio);
    lone.tell(2, ours);
    const epoch = epochOf(ours.record.body.config, 2);
    const own = closeOf(lone.of, { ...failed, message: 'apart' });
    lone.tell(2, certify(own, slotOf(own), [2, 3], epoch));
    lone.tell(1, committed(lone.of, closeOf(lone.of, { ...failed, message: 'before' })));
    const { records } = lone.inspect(0).jobs[0] ?? assert.fail('it knows the job');
    assert.ok(records.committed.some(({ record }) => record.id === own.id));
  });

  it('tells who goes by that higher branch still, and asks for its vote there', () => {
    const lone = new Lone(trio);
    lone.tell(1, committed(lone.of, closeOf(lone.of, failed)));
    const before = lone.messages('closed').length;
    lone.promises(3, epochOf(ours.record.body.config, 3));
    const told = lone.messages('closed').slice(before);
    assert.deepEqual(
      told.map(({ to }) => to),
      [idOf(3)],
    );
  });
});
