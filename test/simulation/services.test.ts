/** What looks at jobs that do not end sees what it is there for, and nothing else. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Effect } from '../../src/core/contract/effect.ts';
import type { ExecutionOrder } from '../../src/core/record/execution.ts';
import { asExecutionId, asJobId, asStoreId } from '../../src/core/record/ids.ts';
import type { CheckersContext } from './checkers.ts';
import type { NodeView } from './observer.ts';
import { createRestartsChecker } from './services.ts';
import { createSimStore } from './sim-store.ts';

const EXECUTION = asExecutionId('e-1');

describe('a program that is started again', () => {
  const play = () => {
    let now = 0;
    const seen: string[] = [];
    const context = {
      now: () => now,
      violation: (checker: string) => seen.push(checker),
    } as unknown as CheckersContext;
    const checker = createRestartsChecker(context);
    const store = createSimStore(asStoreId('0'.repeat(32)));
    const node = { store } as unknown as NodeView;
    const order = { execution: EXECUTION, job: asJobId('j-1'), jobType: 'service', restarts: 0 };
    const run = {
      type: 'run',
      order: order as unknown as ExecutionOrder,
      resume: false,
    } satisfies Effect;
    /** It is started, and ends at once; then so much time goes by. */
    const runThen = (ms: number): void => {
      checker.onEffect?.(node, run);
      const event = { type: 'cancelled', output: null } as const;
      checker.onHandled?.(node, { type: 'run-event', execution: EXECUTION, event }, []);
      now += ms;
    };
    return { checker, node, runThen, seen };
  };

  it('too soon after so many ends in a row is seen', () => {
    const { runThen, seen } = play();
    runThen(1_000);
    runThen(1_000);
    assert.deepEqual(seen, []);
    runThen(0);
    assert.deepEqual(seen, ['S19']);
  });

  it('by a node whose disk has lost what it knew of it is started for the first time', () => {
    const { checker, node, runThen, seen } = play();
    runThen(1_000);
    runThen(1_000);
    checker.onStart?.(node);
    runThen(1_000);
    runThen(0);
    assert.deepEqual(seen, []);
  });
});
