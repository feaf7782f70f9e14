import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { Mount } from '../../../../src/engines/engine.ts';
import { createBench, exitCodeOf, failureOf, MIB } from './harness.ts';
import type { Bench, Program } from './harness.ts';

let bench: Bench;
before(() => {
  bench = createBench();
});
after(() => bench.remove());

const limits = (what: string, more: Partial<Program> = {}): Program => ({
  module: 'limits',
  params: { Parameters: [what] },
  ...more,
});

function outputs(name: string): Mount {
  return { source: bench.folder(name), target: '/outputs', writable: true };
}

test('memory ends at what the task asks for', async () => {
  for (const mib of [4, 64, 200]) {
    const ran = await bench.run(limits('allocate', { resources: { memoryBytes: mib * MIB } }));
    assert.equal(exitCodeOf(ran), 3, ran.stdout);
    const refused = Number(/refused after (\d+) MiB/.exec(ran.stdout)?.[1]);
    assert.ok(refused < mib && refused >= mib - 3, `${mib} MiB: ${ran.stdout}`);
  }
});

test('a trap with the memory full is out of memory', async () => {
  const ran = await bench.run(limits('allocate-or-trap'));
  assert.deepEqual(failureOf(ran), { code: 'out-of-memory', class: 'limit' });
});

test('a process that holds more than its share and the allowance is killed', async () => {
  const small = createBench({ memoryAllowanceBytes: 8 * MIB, pollMs: 5 });
  try {
    // Node alone holds more than 8 MiB beside a memory of 1 MiB.
    const ran = await small.run(limits('sleep', { resources: { memoryBytes: MIB } }));
    assert.deepEqual(failureOf(ran), { code: 'out-of-memory', class: 'limit' });
  } finally {
    small.remove();
  }
});

/** A module that loops for ever, with that many tables of a million elements beside a small memory. */
function tables(count: number): Buffer {
  const section = (id: number, body: readonly number[]): number[] => [id, body.length, ...body];
  const million = [0xc0, 0x84, 0x3d];
  const table = [0x70, 0x00, ...million];
  return Buffer.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 0, 0]),
    ...section(3, [1, 0]),
    ...section(4, [count, ...Array.from({ length: count }, () => table).flat()]),
    ...section(5, [1, 0, 1]),
    ...section(7, [1, 6, ...Buffer.from('_start'), 0, 0]),
    ...section(10, [1, 7, 0, 0x03, 0x40, 0x0c, 0, 0x0b, 0x0b]),
  ]);
}

test('what a program takes beside its memory ends at what is reserved for that', async () => {
  for (const [count, expected] of [
    [1, 'execution-timeout'],
    [20, 'out-of-memory'],
  ] as const) {
    const module = `${bench.directory}/tables-${count}.wasm`;
    writeFileSync(module, tables(count));
    const resources = { memoryBytes: MIB };
    const ran = await bench.run({ module, resources, timeoutMs: 1_500 });
    assert.deepEqual(failureOf(ran), { code: expected, class: 'limit' }, String(count));
  }
});

test('memory above 2 GiB can be pointed at', async () => {
  const ran = await bench.run(limits('high', { resources: { memoryBytes: 4096 * MIB } }));
  assert.equal(exitCodeOf(ran), 0);
  assert.equal(ran.stdout, 'begun\nfrom above two gibibytes\n');
});

test('a program that loops, sleeps or never reaches its entry is stopped at its timeout', async () => {
  const programs = [limits('spin'), limits('sleep'), { module: 'loop-at-start' }];
  for (const program of programs) {
    const ran = await bench.run({ ...program, timeoutMs: 400 });
    const expected = { code: 'execution-timeout', class: 'limit' };
    assert.deepEqual(failureOf(ran), expected, JSON.stringify(program.params));
  }
});

test('CPU time is limited by the kernel, and by polling where prlimit is missing', async () => {
  for (const toolDirectories of [['/usr/bin', '/bin'], []]) {
    const one = createBench({ cpuSecondsMax: 1, toolDirectories });
    try {
      const ran = await one.run(limits('spin'));
      const expected = { code: 'cpu-time-exceeded', class: 'limit' };
      assert.deepEqual(failureOf(ran), expected, toolDirectories.join());
      assert.ok((ran.outcome.usage?.cpuMs ?? 0) > 500, JSON.stringify(ran.outcome));
    } finally {
      one.remove();
    }
  }
});

test('a waiting program does not spin: its timeout comes before its CPU limit', async () => {
  const one = createBench({ cpuSecondsMax: 1 });
  try {
    const ran = await one.run(limits('sleep', { timeoutMs: 2_500 }));
    assert.equal(failureOf(ran).code, 'execution-timeout');
  } finally {
    one.remove();
  }
});

test('output is kept up to its limit and the program does not notice', async () => {
  const ran = await bench.run(limits('flood', { outputMaxBytes: 100_001 }));
  assert.equal(exitCodeOf(ran), 0);
  assert.equal(ran.outcome.type === 'exited' && ran.outcome.outputDropped, true);
  assert.equal(ran.stdout.length, 100_001);
  const whole = await bench.run(limits('flood', { outputMaxBytes: 100 * MIB }));
  assert.equal(whole.outcome.type === 'exited' && whole.outcome.outputDropped, false);
  assert.equal(whole.stdout.length, 40_000 * 80 + 'begun\n'.length);
});

test('output that cannot be stored fails the run on this node', async () => {
  const run = bench.runOf(limits('flood'));
  const broken = { ...run, stdoutPath: '/dev/full' };
  const outcome = await bench.engine.run(broken, () => {}, new AbortController().signal);
  assert.equal(outcome.type === 'failed' && outcome.failure.code, 'output-unwritable');
});

test('files may grow to the disk share in bytes, holes included, and not further', async () => {
  const quota = async (what: string): Promise<string> => {
    const mount = outputs(`quota-${what}`);
    const ran = await bench.run({
      module: 'quota',
      params: { Parameters: [what] },
      mounts: [mount],
      resources: { diskBytes: MIB },
    });
    assert.equal(exitCodeOf(ran), 0, what);
    return ran.stdout;
  };
  assert.equal(await quota('bytes'), `wrote ${MIB}\n`);
  assert.equal(statSync(`${bench.directory}/quota-bytes/big`).size, MIB);
  assert.equal(await quota('sparse'), 'truncate -1\nwrite -1\n');
  assert.equal(await quota('orphans'), `wrote ${MIB}\nwrote 0\nwrote 0\n`);
  assert.equal(await quota('rewrite'), `then wrote ${MIB}\n`);
  assert.equal(await quota('files'), 'created 1000, mkdir -1\nafter unlink 0\n');
});
