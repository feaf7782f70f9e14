import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { EngineOutcome, EngineRun } from '../../../../src/engines/engine.ts';
import { createNoopEngine } from '../../../../src/engines/noop/engine.ts';
import type { Json } from '../../../../src/job/model.ts';
import { createBench } from '../wasm/harness.ts';
import type { Bench } from '../wasm/harness.ts';

let bench: Bench;
before(() => {
  bench = createBench();
});
after(() => bench.remove());

const engine = createNoopEngine();

function runOf(params: Readonly<Record<string, Json>>, timeoutMs = 0): EngineRun {
  const run = bench.runOf({ module: 'empty', timeoutMs });
  const task = { ...run.order.task, Engine: { Type: 'noop', Params: params } };
  return { ...run, order: { ...run.order, task } };
}

const run = (
  params: Readonly<Record<string, Json>>,
  timeoutMs = 0,
  signal = new AbortController().signal,
): Promise<EngineOutcome> => engine.run(runOf(params, timeoutMs), () => {}, signal);

const codeOf = (outcome: EngineOutcome): string | number =>
  outcome.type === 'exited' ? outcome.exitCode : outcome.failure.code;

test('it prints one line and exits as it is told', async () => {
  const one = runOf({ Milliseconds: 5, ExitCode: 7 });
  let started = 0;
  const outcome = await engine.run(
    one,
    () => {
      started += 1;
    },
    new AbortController().signal,
  );
  assert.equal(codeOf(outcome), 7);
  assert.equal(started, 1);
  assert.equal(readFileSync(one.stdoutPath, 'utf8'), `noop ${one.order.execution} partition 0\n`);
  assert.equal(readFileSync(one.stderrPath, 'utf8'), '');
  assert.equal(codeOf(await run({})), 0);
});

test('it fails with the message it is given', async () => {
  const outcome = await run({ Fail: 'on purpose' });
  assert.equal(outcome.type === 'failed' && outcome.failure.message, 'on purpose');
});

test('its failure is of the class it is given, and nothing else is taken for a class', async () => {
  const classOf = (outcome: EngineOutcome): string =>
    outcome.type === 'failed' ? `${outcome.failure.code} ${outcome.failure.class}` : 'exited';
  assert.equal(classOf(await run({ Fail: 'x' })), 'noop-failed spec');
  assert.equal(classOf(await run({ Fail: 'x', FailClass: 'transient' })), 'noop-failed transient');
  assert.equal(classOf(await run({ Fail: 'x', FailClass: 'odd' })), 'noop-params-invalid spec');
});

test('a timeout and a cancellation end it early', async () => {
  assert.equal(codeOf(await run({ Milliseconds: 3_600_000 }, 20)), 'execution-timeout');
  const soon = AbortSignal.timeout(20);
  assert.equal(codeOf(await run({ Milliseconds: 1e12 }, 0, soon)), 'cancelled');
  assert.equal(codeOf(await run({}, 0, AbortSignal.abort())), 'cancelled');
});

test('parameters of the wrong kind are refused', async () => {
  const wrong = [
    { Milliseconds: -1 },
    { Milliseconds: '5' },
    { ExitCode: 256 },
    { ExitCode: 0.5 },
    { Fail: 1 },
  ];
  for (const params of wrong) {
    assert.equal(codeOf(await run(params)), 'noop-params-invalid', JSON.stringify(params));
  }
});

test('it ends so many times, and from then on runs until it is stopped', async () => {
  const again = (restarts: number, signal: AbortSignal): Promise<EngineOutcome> => {
    const one = runOf({ ExitCode: 7, Ends: 2 });
    return engine.run({ ...one, order: { ...one.order, restarts } }, () => {}, signal);
  };
  const never = new AbortController().signal;
  assert.equal(codeOf(await again(0, never)), 7);
  assert.equal(codeOf(await again(1, never)), 7);
  assert.equal(codeOf(await again(2, AbortSignal.timeout(20))), 'cancelled');
  assert.equal(codeOf(await run({ Ends: 0.5 })), 'noop-params-invalid');
});
