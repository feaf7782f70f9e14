/** What looks for jobs that are over and treated as open sees those, and no job that is run once more. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Effect } from '../../src/core/contract/effect.ts';
import type { StoreWrite } from '../../src/core/contract/stored.ts';
import { asJobId, asStoreId } from '../../src/core/record/ids.ts';
import { createFinished } from './finished.ts';
import type { NodeView } from './observer.ts';
import { createSimStore } from './sim-store.ts';

const JOB = asJobId('j-1');

const row = (type: 'close' | 'version' | 'spec', version: number): StoreWrite =>
  ({
    table: 'records',
    job: JOB,
    key: type === 'spec' ? 'wanted' : `${type}/${version}`,
    value: { record: { type, body: { job: JOB, version } }, votes: [] },
  }) as unknown as StoreWrite;

const prepares = { type: 'send', message: { type: 'prepare', job: JOB } } as unknown as Effect;
const writes = (...rows: readonly StoreWrite[]): Effect => ({ type: 'persist', writes: rows });

describe('a job that is over', () => {
  /** Each list is what a node does with one input, all of it on its disk before the next; then it starts again. */
  function seen(...inputs: readonly (readonly Effect[])[]): number {
    let count = 0;
    const finished = createFinished({
      violation: () => {
        count += 1;
      },
    });
    const node = {
      store: createSimStore(asStoreId('0'.repeat(32))),
      inspect: () => ({ jobs: [] }),
    } as unknown as NodeView;
    finished.onStart(node);
    for (const effects of inputs) {
      finished.onHandled(node, effects);
      for (const effect of effects)
        if (effect.type === 'persist') finished.onDurable(node, effect.writes);
      finished.onStart(node);
    }
    return count;
  }

  it('is treated as open by who speaks of it after its end, whatever its version', () => {
    assert.equal(seen([writes(row('close', 1))], [prepares]), 1);
    const again = [[writes(row('close', 1))], [writes(row('version', 2))]];
    assert.equal(seen(...again, [writes(row('close', 2))], [prepares]), 1);
  });

  it('is not, by who speaks of it with the input that ends it', () => {
    assert.equal(seen([prepares, writes(row('close', 1))]), 0);
  });

  it('is not, when its owner wants another version, or has one, from the input on that says so', () => {
    for (const type of ['spec', 'version'] as const) {
      assert.equal(seen([writes(row('close', 1))], [writes(row(type, 2)), prepares]), 0, type);
      assert.equal(seen([writes(row('close', 1))], [writes(row(type, 2))], [prepares]), 0, type);
    }
  });

  it('is, when the version that is told again is not a later one', () => {
    assert.equal(seen([writes(row('close', 2))], [writes(row('version', 2)), prepares]), 1);
  });
});
