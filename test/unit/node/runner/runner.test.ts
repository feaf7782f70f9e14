import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { asExecutionId } from '../../../../src/core/record/ids.ts';
import { executionFiles } from '../../../../src/node/runner/files.ts';
import { encodeDataUrl } from '../../../../src/job/inline.ts';
import type { Source } from '../../../../src/storage/source.ts';
import { inputOf } from '../../storage/support.ts';
import type { Engine } from '../../../../src/engines/engine.ts';
import { createShellEngine } from '../shell-engine.ts';
import { eventually, failureOf, shell, world } from '../support.ts';

const ipfs = { Publisher: { Type: 'ipfs', Params: {} } };
const outputs = { ResultPaths: [{ Name: 'data', Path: '/out' }] };
const e1 = asExecutionId('e-1');

/** A source that waits until it is told to give up; `called` when it waits. */
function endless(): {
  readonly sources: ReadonlyMap<string, Source>;
  readonly called: Promise<void>;
} {
  let call = (): void => {};
  const called = new Promise<void>((resolve) => (call = resolve));
  const stage: Source['stage'] = (_input, { signal }) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      call();
    });
  return { sources: new Map([['inline', { type: 'inline', stage }]]), called };
}

describe('an execution', () => {
  it('goes through its phases in order and ends with result, exit code and output', async () => {
    await using w = await world();
    const input = inputOf('inline', { URL: encodeDataUrl(Buffer.from('given')) }, '/in');
    const script = 'cat "$AT_in"; echo problem >&2; echo made > "$AT_out/file"; exit 3';
    w.runner.start(shell(script, { ...ipfs, ...outputs, InputSources: [input] }), false);
    assert.deepEqual([...w.runner.keep()], ['e-1']);
    const last = await w.last();
    assert.deepEqual(w.told(), ['preparing', 'starting', 'running', 'publishing', 'ended']);
    assert.ok(last.type === 'ended' && last.result !== null);
    assert.equal(last.exitCode, 3);
    assert.deepEqual(last.output, {
      stdout: 'given',
      stdoutTruncated: false,
      stderr: 'problem\n',
      stderrTruncated: false,
    });
    assert.deepEqual(w.content.filesOf(last.result.cid), {
      stdout: 'given',
      stderr: 'problem\n',
      exitCode: '3',
      'data/file': 'made\n',
    });
    assert.ok(last.usage.wallMs > 0);
    assert.equal(w.runner.isActive(e1), false);
  });

  it('is told the variables of its place, and those of the node that its operator allows', async () => {
    await using w = await world({
      settings: { allowedEnv: ['SITE_*', 'constructor'] },
      environment: { SITE_NAME: 'north', OTHER: 'x' },
    });
    const script = 'echo "$SHOAL_EXECUTION_ID $BACALHAU_PARTITION_COUNT $SHOAL_ATTEMPT $SITE"';
    w.runner.start(
      shell(script, { Env: { SITE: 'env:SITE_NAME' } }, { partitionCount: 4, attempt: 2 }),
      false,
    );
    const last = await w.last();
    assert.ok(last.type === 'ended');
    assert.equal(last.output.stdout, 'e-1 4 2 north\n');
    assert.equal(last.result, null);
    assert.deepEqual(
      w.told(),
      ['preparing', 'starting', 'running', 'ended'],
      'nothing is published without a publisher',
    );
    for (const [execution, value, expected] of [
      ['e-2', 'env:OTHER', 'env-not-allowed'],
      ['e-3', 'env:SITE_GONE', 'env-not-set'],
      ['e-4', 'env:constructor', 'env-not-set'],
    ] as const) {
      w.runner.start(
        shell('true', { Env: { SITE: value } }, { execution: asExecutionId(execution) }),
        false,
      );
      assert.equal(failureOf(await w.last(execution)), `node ${expected}`);
    }
  });

  it('shows at most 2,048 bytes of each output, never half a character', async () => {
    await using w = await world();
    w.runner.start(
      shell(`printf 'x'; yes 'ü' | head -n 4000 | tr -d '\\n'; printf '\\377%.0s' $(seq 1000) >&2`),
      false,
    );
    const last = await w.last();
    assert.ok(last.type === 'ended');
    const { stdout, stdoutTruncated, stderr, stderrTruncated } = last.output;
    assert.equal(stdout, `x${'ü'.repeat(1_023)}`);
    assert.equal(stdoutTruncated, true);
    assert.ok(
      Buffer.byteLength(stderr) <= 2_048 && stderr.startsWith('\ufffd\ufffd'),
      String(stderr.length),
    );
    assert.equal(stderrTruncated, true);
  });

  it('fails in the class that says who is at fault', async () => {
    const cases: Readonly<Record<string, [Parameters<typeof shell>[1], string]>> = {
      'no such engine': [{ Engine: { Type: 'podman', Params: {} } }, 'node engine-missing'],
      'no such source': [{ InputSources: [inputOf('s3', {})] }, 'node source-unsupported'],
      'no such publisher': [
        { Publisher: { Type: 's3', Params: {} } },
        'node publisher-unsupported',
      ],
      'input not found': [
        { InputSources: [inputOf('ipfs', { CID: 'bafy00' })] },
        'transient input-not-found',
      ],
      'input too large': [
        { InputSources: [inputOf('inline', { URL: `data:,${'x'.repeat(1_001)}` })] },
        'limit input-too-large',
      ],
      'name of a result path': [
        { ResultPaths: [{ Name: '../x', Path: '/out' }] },
        'spec result-name-invalid',
      ],
      'name used twice': [
        {
          ResultPaths: [
            { Name: 'x', Path: '/a' },
            { Name: 'x', Path: '/b' },
          ],
        },
        'spec result-name-invalid',
      ],
    };
    await using w = await world();
    let count = 0;
    for (const [what, [task, expected]] of Object.entries(cases)) {
      count += 1;
      w.runner.start(shell('true', task, { execution: asExecutionId(`e-${count}`) }), false);
      const last = await w.last(`e-${count}`);
      assert.equal(failureOf(last), expected, what);
      assert.ok(last.type === 'failed' && last.failure.message.length > 10, what);
    }
  });

  it('whose files cannot be kept is reported all the same', async () => {
    await using w = await world();
    w.runner.start(shell('true', {}, { execution: asExecutionId('../escape') }), false);
    assert.equal(failureOf(await w.last('../escape')), 'node node-failed');
    assert.deepEqual(await readdir(w.directory), []);
  });

  it('runs only once however often it is ordered', async () => {
    await using w = await world();
    const order = shell('echo run', ipfs);
    w.runner.start(order, false);
    w.runner.start(order, true);
    const first = await w.last();
    w.runner.start(order, true);
    assert.deepEqual(await w.last(), first);
    assert.equal(w.engine.runs.length, 1);
  });

  it('goes on when the listener throws', async () => {
    await using w = await world({
      emit: () => {
        throw new Error('listener');
      },
    });
    w.runner.start(shell('true'), false);
    assert.equal((await w.last()).type, 'ended');
  });
});

describe('limits of an execution', () => {
  it('end a program that outstays its time; waiting for inputs is not run time', async () => {
    let arrive = (): void => {};
    const slow: Source = {
      type: 'inline',
      async stage() {
        await new Promise<void>((resolve) => (arrive = resolve));
        return { mounts: [], bytes: 0, cleanup: async () => {} };
      },
    };
    await using w = await world({ sources: new Map([['inline', slow]]) });
    w.runner.start(
      shell('echo begun; sleep 60', { InputSources: [inputOf('inline', {})] }, { timeoutMs: 300 }),
      false,
    );
    await w.phase('preparing');
    // The whole budget passes before the program begins.
    const budget = performance.now() + 350;
    await eventually('the budget has passed', () => performance.now() > budget);
    arrive();
    const last = await w.last();
    assert.equal(failureOf(last), 'limit execution-timeout');
    assert.ok(last.type === 'failed');
    assert.match(last.failure.message, /Execution timed out after 0\.3s/);
    assert.equal(last.output?.stdout, 'begun\n', 'it had begun, so its time was its own');
    assert.ok(last.usage !== null && last.usage.wallMs >= 250, String(last.usage?.wallMs));
  });

  it('count no time in which its engine brings an image here', async () => {
    const shellEngine = createShellEngine(true);
    let arrive = (): void => {};
    const pulling: Engine = {
      ...shellEngine,
      async run(...call) {
        await new Promise<void>((resolve) => (arrive = resolve));
        return await shellEngine.run(...call);
      },
    };
    await using w = await world({ engines: new Map([['shell', pulling]]) });
    w.runner.start(shell('echo begun', {}, { timeoutMs: 300 }), false);
    await w.phase('starting');
    const budget = performance.now() + 350;
    await eventually('the budget has passed', () => performance.now() > budget);
    arrive();
    const last = await w.last();
    assert.equal(failureOf(last), 'ended');
    assert.equal(last.type === 'ended' && last.output?.stdout, 'begun\n');
  });

  it('end a program that fills the disk, while it runs or at its end', async () => {
    const resources = { cpuMillis: 100, memoryBytes: 1_000, diskBytes: 500_000, gpus: 0 };
    await using w = await world();
    const fill = 'head -c 1000000 /dev/zero > "$AT_out/zeros"';
    for (const [execution, script] of [
      ['e-1', `${fill}; sleep 60`],
      ['e-2', fill],
    ] as const) {
      w.runner.start(
        shell(script, { ...outputs, ...ipfs, resources }, { execution: asExecutionId(execution) }),
        false,
      );
      assert.equal(failureOf(await w.last(execution)), 'limit disk-limit-exceeded', execution);
    }
    const modest = 'head -c 100000 /dev/zero > "$AT_out/zeros"';
    w.runner.start(
      shell(modest, { ...outputs, ...ipfs, resources }, { execution: asExecutionId('e-3') }),
      false,
    );
    assert.equal((await w.last('e-3')).type, 'ended');
  });

  it('count what a job writes into its own copy of an input', async () => {
    await using w = await world();
    const resources = { cpuMillis: 100, memoryBytes: 1_000, diskBytes: 500_000, gpus: 0 };
    const input = inputOf('inline', { URL: encodeDataUrl(Buffer.from('given')) }, '/in');
    w.runner.start(
      shell('head -c 1000000 /dev/zero >> "$AT_in"', { InputSources: [input], resources }),
      false,
    );
    assert.equal(failureOf(await w.last()), 'limit disk-limit-exceeded');
  });

  it('count empty files, which take inodes', async () => {
    await using w = await world();
    const resources = { cpuMillis: 100, memoryBytes: 1_000, diskBytes: 200_000, gpus: 0 };
    const script = 'for i in $(seq 60); do : > "$AT_out/$i"; done; sleep 60';
    w.runner.start(shell(script, { ...outputs, ...ipfs, resources }), false);
    assert.equal(failureOf(await w.last()), 'limit disk-limit-exceeded');
  });

  it('count what a program prints', async () => {
    await using w = await world();
    const resources = { cpuMillis: 100, memoryBytes: 1_000, diskBytes: 500_000, gpus: 0 };
    w.runner.start(shell('head -c 1000000 /dev/zero; sleep 60', { resources }), false);
    assert.equal(failureOf(await w.last()), 'limit disk-limit-exceeded');
    // The engine is told not to keep more either.
    assert.equal(w.engine.runs[0]?.outputMaxBytes, 500_000);
    assert.equal(w.engine.runs[0]?.fileMaxBytes, 500_000);
  });

  it('end a program with more files than can be counted in time', async () => {
    await using w = await world({ settings: { diskLooksMax: 100 } });
    const script = 'cd "$AT_out"; seq 1 150 | xargs touch; sleep 60';
    w.runner.start(shell(script, { ...outputs }), false);
    const last = await w.last();
    assert.equal(failureOf(last), 'limit disk-limit-exceeded');
    assert.match(last.type === 'failed' ? last.failure.message : '', /storage\.diskLooksMax/);
  });

  it('count what the engine says it fills elsewhere, and hold for a job that asked for nothing', async () => {
    const engine = { ...createShellEngine(true), diskBytes: async () => 600_000 };
    await using w = await world({
      engines: new Map([['shell', engine]]),
      settings: { diskDefaultBytes: 500_000 },
    });
    w.runner.start(shell('sleep 60'), false);
    assert.equal(failureOf(await w.last()), 'limit disk-limit-exceeded');
  });

  it('end a program whose disk cannot be measured', async () => {
    const engine = {
      ...createShellEngine(true),
      diskBytes: () => Promise.reject(new Error('cannot look')),
    };
    await using w = await world({ engines: new Map([['shell', engine]]) });
    w.runner.start(shell('sleep 60'), false);
    const last = await w.last();
    assert.equal(failureOf(last), 'node disk-not-measured');
    assert.match(last.type === 'failed' ? last.failure.message : '', /cannot look/);
  });

  it('count inputs as they are written, all of them together', async () => {
    await using w = await world();
    const resources = { cpuMillis: 100, memoryBytes: 1_000, diskBytes: 100_000, gpus: 0 };
    const zeros = encodeDataUrl(Buffer.alloc(800));
    const inputs = (count: number) =>
      Array.from({ length: count }, (_, index) => inputOf('inline', { URL: zeros }, `/in${index}`));
    for (const [count, expected] of [
      [20, 'ended'],
      [30, 'limit input-too-large'],
    ] as const) {
      const execution = `e-${count}`;
      w.runner.start(
        shell(
          'true',
          { InputSources: inputs(count), resources },
          { execution: asExecutionId(execution) },
        ),
        false,
      );
      const last = await w.last(execution);
      assert.equal(last.type === 'ended' ? last.type : failureOf(last), expected, execution);
    }
  });

  it('keep a result that is too large from being published', async () => {
    await using w = await world({ settings: { resultMaxBytes: 1_000, resultEntriesMax: 20 } });
    w.runner.start(
      shell('head -c 2000 /dev/zero > "$AT_out/zeros"', { ...outputs, ...ipfs }),
      false,
    );
    assert.equal(failureOf(await w.last()), 'limit result-too-large');
    const many = shell(
      'for i in $(seq 30); do : > "$AT_out/$i"; done',
      { ...outputs, ...ipfs },
      { execution: asExecutionId('e-2') },
    );
    w.runner.start(many, false);
    assert.equal(failureOf(await w.last('e-2')), 'limit result-too-many-files');
  });
});

describe('cancelling', () => {
  it('works while inputs are fetched', async () => {
    for (const when of ['at once', 'while the source works']) {
      const source = endless();
      await using w = await world({ sources: source.sources });
      w.runner.start(shell('true', { InputSources: [inputOf('inline', {})] }), false);
      await (when === 'at once' ? w.phase('preparing') : source.called);
      w.runner.cancel(e1, 'stopped by its owner');
      assert.deepEqual(await w.last(), { type: 'cancelled', output: null }, when);
      assert.equal(w.engine.runs.length, 0, when);
    }
  });

  it('ends a running program and keeps what it printed', async () => {
    await using w = await world();
    w.runner.start(
      shell('echo begun; echo $$ > "$SCRATCH/../shell"; sleep 60; echo late', ipfs),
      false,
    );
    await w.phase('running');
    const note = join(w.executionsDir, 'e-1', 'shell');
    await eventually('the program notes that it runs', () => existsSync(note));
    w.runner.cancel(e1, 'stopped by its owner');
    const last = await w.last();
    assert.ok(last.type === 'cancelled');
    assert.equal(last.output?.stdout, 'begun\n');
    assert.deepEqual(w.told(), ['preparing', 'starting', 'running', 'cancelled']);
  });

  it('tells what the result could not hold, and of many how many', async () => {
    await using w = await world();
    const script = 'cd "$AT_out"; echo x > kept; mkfifo pipe; ln -s /etc/passwd abs';
    w.runner.start(shell(script, { ...outputs, ...ipfs }), false);
    const last = await w.last();
    assert.ok(last.type === 'ended');
    const [pipe = '', link = ''] = (last.leftOut ?? []).toSorted().reverse();
    assert.match(pipe, /data\/pipe: not a file, directory or symlink/);
    assert.match(link, /data\/abs: /);
    const many = shell(
      'cd "$AT_out"; for i in $(seq 30); do mkfifo $i; done',
      { ...outputs, ...ipfs },
      { execution: asExecutionId('e-2') },
    );
    w.runner.start(many, false);
    const other = await w.last('e-2');
    assert.ok(other.type === 'ended');
    assert.equal(other.leftOut?.length, 10);
    assert.equal(other.leftOut?.at(-1), 'and 21 more');
  });

  it('works while the result is published', async () => {
    await using w = await world();
    const release = w.content.hold();
    w.runner.start(shell('echo done', ipfs), false);
    await w.phase('publishing');
    w.runner.cancel(e1, 'stopped by its owner');
    const last = await w.last();
    assert.ok(last.type === 'cancelled');
    assert.equal(last.output?.stdout, 'done\n');
    release();
  });

  it('of what is over or was never there changes nothing', async () => {
    await using w = await world();
    w.runner.start(shell('true'), false);
    await w.last();
    w.runner.cancel(e1, 'late');
    w.runner.cancel(asExecutionId('e-9'), 'unknown');
    await w.runner.stop(5_000);
    assert.deepEqual(w.told(), ['preparing', 'starting', 'running', 'ended']);
    assert.deepEqual(w.told('e-9'), []);
  });
});

describe('the files of an execution', () => {
  it('that are only begun are there when they are settled, or that tells why not', async () => {
    await using w = await world();
    const files = executionFiles(w.executionsDir, e1);
    await files.settled();
    await files.reset();
    files.beginWrite('order', shell('true'));
    files.beginWrite('started', { at: 7 });
    await files.settled();
    assert.equal((await files.read('order'))?.execution, e1);
    assert.deepEqual(await files.read('started'), { at: 7 });
    await files.remove();
    files.beginWrite('started', { at: 8 });
    await assert.rejects(files.settled(), { code: 'ENOENT' });
  });

  it('are cleared at the end but for the logs, and go after their time once nobody needs them', async () => {
    let now = 1_000_000;
    await using w = await world({ now: () => now });
    w.runner.start(shell('echo done', { ...outputs, ...ipfs }), false);
    await w.last();
    w.runner.forget(e1);
    const at = (path: string): string => join(w.executionsDir, 'e-1', path);
    await eventually(
      'the working files are gone',
      () => existsSync(at('forgotten.json')) && !existsSync(at('scratch')),
    );
    for (const gone of ['inputs', 'outputs', 'results', 'scratch'])
      assert.ok(!existsSync(at(gone)), gone);
    assert.equal(await readFile(at('logs/stdout'), 'utf8'), 'done\n');
    now += 999;
    await w.runner.sweep();
    assert.ok(existsSync(at('logs/stdout')), 'the retention time is not over');
    now += 1;
    await w.runner.sweep();
    assert.deepEqual(await readdir(w.executionsDir), []);
  });

  it('are cleared by the first sweep when the process that was about to do so died', async () => {
    for (const forgotten of [false, true]) {
      await using w = await world();
      const at = (path: string): string => join(w.executionsDir, 'e-1', path);
      w.runner.start(shell('echo done', { ...outputs, ...ipfs }), false);
      await w.last();
      await eventually('the working files are gone', () => !existsSync(at('scratch')));
      if (forgotten) w.runner.forget(e1);
      await eventually('it is forgotten', () => existsSync(at('forgotten.json')) === forgotten);
      for (const left of ['results', 'scratch']) await mkdir(at(left));
      await writeFile(at('results/large'), 'x');
      await w.runner.sweep();
      for (const gone of ['results', 'scratch']) assert.ok(!existsSync(at(gone)), gone);
      assert.equal(await readFile(at('logs/stdout'), 'utf8'), 'done\n');
    }
  });

  it('make room for later ones when the logs of all take too much, the oldest first', async () => {
    let now = 1_000_000;
    await using w = await world({ now: () => now, settings: { logsMaxBytes: 2_500 } });
    const at = (name: string): string => join(w.executionsDir, name, 'forgotten.json');
    for (const name of ['e-3', 'e-1', 'e-2']) {
      const execution = asExecutionId(name);
      now += 1;
      w.runner.start(shell('head -c 1000 /dev/zero', {}, { execution }), false);
      await w.last(name);
      w.runner.forget(execution);
      await eventually('nobody needs it', () => existsSync(at(name)));
    }
    await w.runner.sweep();
    assert.deepEqual((await readdir(w.executionsDir)).sort(), ['e-1', 'e-2']);
  });

  it('of running executions are left alone, and engines are told which those are', async () => {
    await using w = await world({ sources: endless().sources });
    w.runner.start(shell('true', { InputSources: [inputOf('inline', {})] }), false);
    const order = join(w.executionsDir, 'e-1', 'order.json');
    await eventually('the order is written', () => existsSync(order));
    await w.runner.sweep();
    assert.deepEqual(
      w.engine.swept.map((keep) => [...keep]),
      [['e-1']],
    );
    assert.ok(existsSync(order));
  });

  it('that are not over and that nobody took up are given up at once, whatever started before', async () => {
    let now = 1_000_000;
    await using w = await world({ now: () => now });
    const files = executionFiles(w.executionsDir, e1);
    await files.reset();
    await files.write('order', shell('true'));
    await w.runner.sweep();
    assert.deepEqual(
      w.engine.swept.map((keep) => [...keep]),
      [[]],
    );
    assert.ok(!existsSync(files.scratch));
    now += 1_000;
    await w.runner.sweep();
    assert.ok(!existsSync(files.directory));
  });
});
