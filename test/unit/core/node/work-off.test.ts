/** What one input causes inside a node comes to an end. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DEFAULT_LIMITS } from '../../../../src/core/contract/limits.ts';
import { asJobId } from '../../../../src/core/record/ids.ts';
import { createCore } from '../../../../src/core/node/create-core.ts';
import { touch } from '../../../../src/core/node/outbox.ts';
import { workOff } from '../../../../src/core/node/work-off.ts';
import { idOf, storeOf, suite } from '../fixtures.ts';

const job = asJobId('j-00000000-0000-8000-8000-000000000000');
const other = asJobId('j-11111111-0000-8000-8000-000000000000');
const fresh = () =>
  createCore({ node: idOf(0), store: storeOf(0), limits: DEFAULT_LIMITS, countedMs: 0 }, suite);

describe('work inside a node', () => {
  it('that causes itself without end is a defect after 10,000 steps, and nothing is left of it', () => {
    const core = fresh();
    let steps = 0;
    touch(core, job);
    workOff(core, {
      message: () => assert.fail('there is none'),
      job: () => {
        steps += 1;
        // The set is worked off in order, so that another job would have its turn in between.
        core.dirty.delete(job);
        touch(core, job);
      },
    });
    assert.equal(steps, 10_000);
    assert.equal(core.dirty.size, 0);
    const defects = core.out.filter(({ type }) => type === 'defect');
    assert.match(JSON.stringify(defects), /without an end/);
  });

  it('that messages to itself cause without end is one, too', () => {
    const core = fresh();
    let steps = 0;
    const message = { type: 'job-wanted', job } as const;
    core.inbox.push(message);
    workOff(core, {
      message: () => {
        steps += 1;
        core.inbox.push(message);
      },
      job: () => assert.fail('there is none'),
    });
    assert.equal(steps, 10_000);
    assert.deepEqual(core.inbox, []);
  });

  it('that ends is no defect', () => {
    const core = fresh();
    const seen: string[] = [];
    for (const one of [job, other]) touch(core, one);
    workOff(core, {
      message: () => assert.fail('there is none'),
      job: (_core, one) => {
        core.dirty.delete(one);
        seen.push(one);
      },
    });
    assert.deepEqual(seen, [job, other]);
    assert.deepEqual(core.out, []);
  });
});
