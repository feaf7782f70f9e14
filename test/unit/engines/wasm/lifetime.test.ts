import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { asExecutionId } from '../../../../src/core/record/ids.ts';
import { findRunners } from '../../../../src/engines/wasm/process-table.ts';
import { createBench, failureOf, until } from './harness.ts';
import type { Bench } from './harness.ts';

let bench: Bench;
const daemons = new Set<ChildProcess>();
before(() => {
  bench = createBench();
});
after(async () => {
  for (const daemon of daemons) daemon.kill('SIGKILL');
  // Only after a failure is anything left to sweep, and then it would loop on.
  await bench.engine.sweep(new Set());
  bench.remove();
});

const never = new AbortController().signal;
const runnersOf = async (execution: string): Promise<number[]> => {
  const found = await findRunners(bench.directory);
  return found.filter((runner) => runner.execution === execution).map(({ pid }) => pid);
};

/** Starts a daemon and waits until its program runs. @returns the process and its later lines. */
async function startDaemon(
  execution: string,
  tools: 'tools' | 'no-tools',
): Promise<{ daemon: ChildProcess; lines: AsyncIterator<string> }> {
  const script = join(import.meta.dirname, 'daemon.ts');
  const args = [script, bench.directory, execution, tools];
  const daemon = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  daemons.add(daemon);
  const lines = createInterface({ input: daemon.stdout })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, 'running');
  assert.equal((await runnersOf(execution)).length, 1);
  return { daemon, lines };
}

test('a runner dies with its daemon, whether the kernel or a thread notices', async () => {
  for (const tools of ['tools', 'no-tools'] as const) {
    const execution = `e-orphan-${tools}`;
    const { daemon } = await startDaemon(execution, tools);
    daemon.kill('SIGKILL');
    await once(daemon, 'exit');
    await until(
      `the runner of ${execution} ends`,
      async () => (await runnersOf(execution)).length === 0,
    );
  }
});

test('sweep kills the runners of this node that are not to be kept, and no others', async () => {
  const swept = await startDaemon('e-swept', 'tools');
  const kept = await startDaemon('e-kept', 'tools');
  const removed = await bench.engine.sweep(new Set([asExecutionId('e-kept')]));
  assert.equal(removed.length, 1);
  assert.match(removed[0] ?? '', /e-swept/);
  const outcome = JSON.parse((await swept.lines.next()).value ?? 'null');
  assert.equal(outcome.type, 'failed');
  assert.equal((await runnersOf('e-kept')).length, 1);
  const elsewhere = createBench();
  assert.deepEqual(await elsewhere.engine.sweep(new Set()), []);
  elsewhere.remove();
  kept.daemon.kill('SIGKILL');
});

test('reattach finds nothing to take up and leaves nothing behind', async () => {
  const { lines } = await startDaemon('e-left', 'tools');
  const run = bench.runOf({ module: 'empty', execution: 'e-left' });
  assert.equal(await bench.engine.reattach(run, () => {}, never), null);
  assert.equal(JSON.parse((await lines.next()).value ?? 'null').type, 'failed');
  assert.deepEqual(await runnersOf('e-left'), []);
});

test('an own running program is none of the business of sweep', async () => {
  const controller = new AbortController();
  const run = bench.runOf({
    module: 'limits',
    params: { Parameters: ['sleep'] },
    execution: 'e-own',
  });
  const started = Promise.withResolvers<void>();
  const outcome = bench.engine.run(run, started.resolve, controller.signal);
  await started.promise;
  assert.deepEqual(await bench.engine.sweep(new Set()), []);
  controller.abort();
  assert.equal((await outcome).type, 'failed');
});

test('cancelling ends a program that loops or sleeps, and leaves no process', async () => {
  for (const what of ['spin', 'sleep']) {
    const controller = new AbortController();
    const execution = `e-cancelled-${what}`;
    const run = bench.runOf({ module: 'limits', params: { Parameters: [what] }, execution });
    const outcome = await bench.engine.run(run, () => controller.abort(), controller.signal);
    assert.equal(outcome.type === 'failed' && outcome.failure.code, 'cancelled', what);
    assert.deepEqual(await runnersOf(execution), []);
  }
});

test('what is cancelled before it begins never begins', async () => {
  const ran = await bench.run({ module: 'empty' }, AbortSignal.abort());
  assert.equal(failureOf(ran).code, 'cancelled');
  assert.equal(ran.started, false);
});

test('a runner killed from outside counts as out of memory, as the kernel would do it', async () => {
  const execution = 'e-killed';
  const run = bench.runOf({ module: 'limits', params: { Parameters: ['sleep'] }, execution });
  const kill = (): void => {
    void runnersOf(execution).then(([pid]) => process.kill(pid ?? 0, 'SIGKILL'));
  };
  const outcome = await bench.engine.run(run, kill, never);
  assert.equal(outcome.type === 'failed' && outcome.failure.code, 'out-of-memory');
});
