/** A program that does not end is started again: each run is a fresh one, whatever happened in between. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { asExecutionId } from '../../../../src/core/record/ids.ts';
import type { ExecutionOrder } from '../../../../src/core/record/execution.ts';
import { createRunner } from '../../../../src/node/runner/runner.ts';
import { createLog } from '../../../../src/lib/log.ts';
import { executionFiles } from '../../../../src/node/runner/files.ts';
import { createShellEngine } from '../shell-engine.ts';
import { eventually, failureOf, settings, shell, world } from '../support.ts';

const e1 = asExecutionId('e-1');
const ipfs = { Publisher: { Type: 'ipfs', Params: {} } };
const outputs = { ResultPaths: [{ Name: 'data', Path: '/out' }] };

const service = (script: string, restarts: number, task: object = {}): ExecutionOrder =>
  shell(script, task, { jobType: 'service', restarts });

describe('a program that does not end', () => {
  it('runs anew from the beginning each time, with nothing of the run before, and publishes nothing', async () => {
    await using w = await world();
    const script = 'ls "$AT_out"; echo "run $SHOAL_RESTARTS"; echo left > "$AT_out/file"; exit 3';
    const ended = (): number => w.told().filter((what) => what === 'ended').length;
    for (const restarts of [0, 1, 2]) {
      w.runner.start(service(script, restarts, { ...ipfs, ...outputs }), false);
      // At once: clearing up after the run before is still under way.
      await eventually(`run ${restarts} ends`, () => ended() === restarts + 1);
      const { stdoutPath } = executionFiles(w.executionsDir, e1);
      assert.equal(await readFile(stdoutPath, 'utf8'), `run ${restarts}\n`);
    }
    const once = ['preparing', 'starting', 'running', 'ended'];
    assert.deepEqual(w.told(), [...once, ...once, ...once]);
    const last = await w.last();
    assert.ok(last.type === 'ended' && last.result === null);
  });

  it('is not begun again by an order that was carried out: its end is told again', async () => {
    await using w = await world();
    w.runner.start(service('exit 3', 1), false);
    await w.last();
    await eventually('it is cleared up', () => w.runner.keep().size === 0);
    w.runner.start(service('exit 3', 1), true);
    await eventually('it is told', () => w.told().filter((what) => what === 'ended').length === 2);
    assert.equal(w.engine.runs.length, 1);
  });

  it('counts as active between two runs, for who follows its logs, until it is forgotten', async () => {
    await using w = await world();
    w.runner.start(service('exit 0', 0), false);
    await w.last();
    assert.equal(w.runner.isActive(e1), true);
    assert.equal(w.runner.keep().size, 0);
    w.runner.forget(e1);
    assert.equal(w.runner.isActive(e1), false);
  });

  it('may be started again by its node when that was restarted and nothing of it is left', async () => {
    await using w = await world();
    const files = executionFiles(w.executionsDir, e1);
    await files.reset();
    await files.write('order', service('sleep 9', 4));
    await files.write('prepared', { mounts: [], inputBytes: 0, writableInputs: [] });
    await files.write('started', { at: 1 });
    const events: string[] = [];
    const engine = createShellEngine(false);
    const runner = createRunner({
      engines: new Map([['shell', engine]]),
      sources: new Map(),
      publishers: new Map(),
      settings,
      environment: {},
      now: Date.now,
      onDiskFull: () => {},
      executionsDir: w.executionsDir,
      log: createLog('error', { write: () => {} }),
      emit: (_, event) => events.push(event.type === 'phase' ? event.phase : failureOf(event)),
    });
    runner.start(service('sleep 9', 4), true);
    await eventually('it is told', () => events.includes('transient lost-in-restart'));
    runner.start(service('exit 0', 5), false);
    await eventually('it ran again', () => events.includes('ended'));
    assert.equal(engine.runs.length, 1);
    await runner.stop(1_000);
  });
});
