import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import type { ExecutionOrder, RunEvent } from '../../../../src/core/record/execution.ts';
import { asExecutionId } from '../../../../src/core/record/ids.ts';
import { executionFiles } from '../../../../src/node/runner/files.ts';
import { inputOf } from '../../storage/support.ts';
import type { CrashOptions } from '../crash-child.ts';
import type { Engine } from '../../../../src/engines/engine.ts';
import { createShellEngine } from '../shell-engine.ts';
import { eventually, failureOf, shell, world } from '../support.ts';
import type { Last } from '../support.ts';

const child = join(import.meta.dirname, '../crash-child.ts');

interface Life {
  readonly told: string[];
  readonly last: Last | null;
}

/** One life of the process: until it told `killAt`, then SIGKILL; or to its own end. */
async function live(
  directory: string,
  order: ExecutionOrder,
  options: CrashOptions,
  killAt: string | null,
): Promise<Life> {
  const life = spawn(
    process.execPath,
    [child, directory, JSON.stringify(order), JSON.stringify(options)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const told: string[] = [];
  let last: Last | null = null;
  for await (const line of createInterface({ input: life.stdout })) {
    const event = JSON.parse(line) as RunEvent;
    told.push(event.type === 'phase' ? event.phase : event.type);
    if (event.type !== 'phase') last = event;
    // What the process does just before it dies must be durable, so it dies at once.
    if (told.at(-1) === killAt) life.kill('SIGKILL');
  }
  return { told, last };
}

/** Kills the first life at an event and lets the second one end. `runs`: how often the program ran. */
async function twoLives(killAt: string, options: Omit<CrashOptions, 'resume'>, script: string) {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-crash-'));
  const runs = join(directory, 'runs');
  try {
    const order = shell(`echo run >> ${runs}; ${script}`, {
      InputSources: [inputOf('slow', {})],
      Publisher: { Type: 'slow', Params: {} },
    });
    const first = await live(directory, order, { ...options, resume: false }, killAt);
    const second = await live(
      directory,
      order,
      { ...options, hangs: 'nothing', resume: true },
      null,
    );
    return {
      first,
      second,
      runs: existsSync(runs) ? readFileSync(runs, 'utf8').split('\n').length - 1 : 0,
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

describe('a process that is killed', () => {
  it('while inputs are fetched leaves an execution that is begun anew', async () => {
    const { first, second, runs } = await twoLives(
      'preparing',
      { reattaches: false, hangs: 'source' },
      'echo out',
    );
    assert.deepEqual(first.told, ['preparing']);
    assert.deepEqual(second.told, ['preparing', 'starting', 'running', 'publishing', 'ended']);
    assert.equal(runs, 1);
  });

  it('while the program runs leaves one that is taken up again and not repeated', async () => {
    const { first, second, runs } = await twoLives(
      'running',
      { reattaches: true, hangs: 'nothing' },
      'sleep 0.5; echo out; exit 4',
    );
    assert.deepEqual(first.told, ['preparing', 'starting', 'running']);
    assert.deepEqual(second.told, ['running', 'publishing', 'ended']);
    assert.ok(second.last?.type === 'ended');
    assert.equal(second.last.exitCode, 4);
    assert.equal(second.last.output.stdout, 'out\n');
    assert.equal(runs, 1);
  });

  it('while the result is published leaves one that is published again and not repeated', async () => {
    const { second, runs } = await twoLives(
      'publishing',
      { reattaches: false, hangs: 'publisher' },
      'echo out; exit 5',
    );
    assert.deepEqual(second.told, ['publishing', 'ended']);
    assert.ok(second.last?.type === 'ended');
    assert.equal(second.last.exitCode, 5);
    assert.deepEqual(second.last.result, { cid: 'bafy0', bytes: 1 });
    assert.equal(runs, 1);
  });

  it('after the end leaves one that tells its end again', async () => {
    const { first, second, runs } = await twoLives(
      'ended',
      { reattaches: false, hangs: 'nothing' },
      'echo out',
    );
    assert.deepEqual(second.told, ['ended']);
    assert.deepEqual(second.last, first.last);
    assert.equal(runs, 1);
  });
});

describe('an execution taken up by a new process', () => {
  it('is lost when its program had begun and nothing of it is left', async () => {
    const noted = await prepared({ started: { at: Date.now() } });
    const { second } = await secondLife(noted);
    assert.equal(second.last === null ? '' : failureOf(second.last), 'node lost-in-restart');
    assert.deepEqual(second.told, ['failed']);
  });

  for (const [what, at, elapsedMs] of [
    ['has the time behind it that its node has counted', 200_000, 500_000],
    ['has its time anew when its node has lost what it counted', 900_000, 0],
  ] as const) {
    it(what, async () => {
      const told: number[] = [];
      const engine: Engine = {
        ...createShellEngine(true),
        reattach: async (run, onStarted) => {
          told.push(run.elapsedMs);
          onStarted();
          const usage = { cpuMs: null, peakMemoryBytes: null, wallMs: 0 };
          return { type: 'exited', exitCode: 0, usage, outputDropped: false };
        },
      };
      await using w = await world({ engines: new Map([['shell', engine]]), now: () => 700_000 });
      const order = shell('true', {}, { timeoutMs: 600_000 });
      const files = executionFiles(w.executionsDir, order.execution);
      await files.reset();
      await files.write('order', order);
      await files.write('prepared', { mounts: [], inputBytes: 0, writableInputs: [] });
      await files.write('started', { at });
      w.runner.start(order, true);
      assert.equal((await w.last()).type, 'ended');
      assert.deepEqual(told, [elapsedMs]);
    });
  }

  it('is begun anew when its program had not begun', async () => {
    const { second } = await secondLife(await prepared({}));
    assert.deepEqual(second.told, ['preparing', 'starting', 'running', 'ended']);
  });
});

/** The directory that a process leaves when it dies after its inputs are there. */
async function prepared(facts: { readonly started?: { readonly at: number } }): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-crash-'));
  const order = shell('echo out');
  const files = executionFiles(join(directory, 'executions'), order.execution);
  await files.reset();
  await files.write('order', order);
  await files.write('prepared', { mounts: [], inputBytes: 0, writableInputs: [] });
  if (facts.started !== undefined) await files.write('started', facts.started);
  return directory;
}

async function secondLife(directory: string): Promise<{ readonly second: Life }> {
  try {
    const second = await live(
      directory,
      shell('echo out'),
      { reattaches: false, hangs: 'nothing', resume: true },
      null,
    );
    return { second };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

describe('stopping the node', () => {
  it('ends its programs without a word and leaves their end open for the next process', async () => {
    await using w = await world();
    w.runner.start(shell('echo begun; sleep 60'), false);
    await w.phase('running');
    const directory = join(w.executionsDir, 'e-1');
    const pid = Number(readFileSync(join(directory, 'scratch/pid'), 'utf8'));
    await w.runner.stop(10_000);
    await eventually('the program is gone', () => !isAlive(pid));
    assert.deepEqual(w.told(), ['preparing', 'starting', 'running']);
    for (const fact of ['outcome', 'final'])
      assert.ok(!existsSync(join(directory, `${fact}.json`)), fact);
    w.runner.start(shell('true', {}, { execution: asExecutionId('e-2') }), false);
    assert.deepEqual(w.told('e-2'), [], 'a runner that stopped takes nothing new');
  });
});

/** A process that ended but was not waited for counts as gone. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
