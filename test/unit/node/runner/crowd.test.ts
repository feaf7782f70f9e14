/** What the executions of one node do side by side: no more than it has memory and peers for. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asExecutionId, asJobId } from '../../../../src/core/record/ids.ts';
import type { Publisher, Source } from '../../../../src/storage/source.ts';
import { inputOf } from '../../storage/support.ts';
import { eventually, shell, world } from '../support.ts';

const MANY_FILES = 'cd "$AT_out"; seq 5001 | xargs touch';
const task = {
  Publisher: { Type: 'ipfs', Params: {} },
  ResultPaths: [{ Name: 'data', Path: '/out' }],
};
const roomy = { diskDefaultBytes: 1e9, diskLooksMax: 100_000, resultEntriesMax: 10_000 };

/** Publishes when it is told to. */
function patient(): {
  readonly publishers: ReadonlyMap<string, Publisher>;
  readonly begun: string[];
  readonly finish: () => void;
} {
  const begun: string[] = [];
  const waiting: (() => void)[] = [];
  const publish: Publisher['publish'] = async (directory) => {
    begun.push(/e-[\w-]+/.exec(directory)?.[0] ?? directory);
    await new Promise<void>((resolve) => waiting.push(resolve));
    return { result: null, dropped: [] };
  };
  return {
    publishers: new Map([['ipfs', { type: 'ipfs', publish }]]),
    begun,
    finish: () => waiting.shift()?.(),
  };
}

describe('of results with many entries', () => {
  const begin = async () => {
    const publisher = patient();
    const w = await world({ publishers: publisher.publishers, settings: roomy });
    const start = (script: string, job: string, execution: string): void =>
      w.runner.start(
        shell(script, task, { job: asJobId(job), execution: asExecutionId(execution) }),
        false,
      );
    return { ...publisher, w, start };
  };

  it('two are published at a time, one of each job, and small ones wait for none', async () => {
    const { w, start, begun, finish } = await begin();
    await using _ = w;
    start(MANY_FILES, 'j-greedy', 'e-1');
    start(MANY_FILES, 'j-greedy', 'e-2');
    await eventually('the first is published', () => begun.length === 1);
    for (const execution of ['e-1', 'e-2']) await w.phase('publishing', execution);
    start(MANY_FILES, 'j-other', 'e-3');
    start('true', 'j-greedy', 'e-4');
    await eventually('another job and a small result', () => begun.length === 3);
    assert.deepEqual(begun.slice(1).sort(), ['e-3', 'e-4']);
    start(MANY_FILES, 'j-third', 'e-5');
    await w.phase('publishing', 'e-5');
    finish();
    await eventually('the next one', () => begun.length === 4);
    for (let left = 0; left < 4; left += 1) finish();
    await eventually('the last one', () => begun.length === 5);
    finish();
    for (const execution of ['e-1', 'e-2', 'e-3', 'e-4', 'e-5'])
      assert.equal((await w.last(execution)).type, 'ended');
  });

  it('one that waits for its turn can be cancelled', async () => {
    const { w, start, begun, finish } = await begin();
    await using _ = w;
    start(MANY_FILES, 'j-greedy', 'e-1');
    await eventually('the first is published', () => begun.length === 1);
    start(MANY_FILES, 'j-greedy', 'e-2');
    await w.phase('publishing', 'e-2');
    w.runner.cancel(asExecutionId('e-2'), 'not wanted');
    assert.equal((await w.last('e-2')).type, 'cancelled');
    finish();
    assert.equal((await w.last('e-1')).type, 'ended');
    assert.deepEqual(begun, ['e-1']);
  });
});

it('of the inputs of an execution eight are brought here at a time', async () => {
  let under = 0;
  let most = 0;
  let all = 0;
  const stage: Source['stage'] = async (input, { destination }) => {
    under += 1;
    most = Math.max(most, under);
    all += 1;
    await new Promise((resolve) => setImmediate(resolve));
    under -= 1;
    const mounts = [{ source: destination, target: input.Target, writable: true, shared: SHARED }];
    return { mounts, bytes: 0, cleanup: async () => {} };
  };
  await using w = await world({ sources: new Map([['inline', { type: 'inline', stage }]]) });
  const InputSources = Array.from({ length: 40 }, (_, at) => inputOf('inline', {}, `/${at}`));
  w.runner.start(shell('true', { InputSources }), false);
  await w.last();
  assert.deepEqual({ all, most }, { all: 40, most: 8 });
});

const SHARED = { identity: '1:1', exchangeable: false };
