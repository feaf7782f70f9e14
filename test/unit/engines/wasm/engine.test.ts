import assert from 'node:assert/strict';
import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Json } from '../../../../src/job/model.ts';
import {
  createBench,
  exitCodeOf,
  failureOf,
  FIXTURES,
  MIB,
  RUNNER,
  WORD_COUNT,
} from './harness.ts';
import type { Bench, Program } from './harness.ts';

let bench: Bench;
before(() => {
  bench = createBench();
});
after(() => bench.remove());

const parameters = (...values: string[]): Readonly<Record<string, Json>> => ({
  Parameters: values,
});

test('a program gets an empty argv[0], its parameters and exactly its environment', async () => {
  const ran = await bench.run({
    module: 'args',
    params: parameters('7', 'zwölf', ''),
    env: { FIRST: 'one', ÜBER: 'größe' },
  });
  assert.equal(exitCodeOf(ran), 7);
  const lines = ['arg 0 []', 'arg 1 [7]', 'arg 2 [zwölf]', 'arg 3 []'];
  lines.push('env [FIRST=one]', 'env [ÜBER=größe]', '');
  assert.equal(ran.stdout, lines.join('\n'));
  assert.equal(ran.stderr, 'to stderr\n');
  assert.equal(ran.started, true);
});

test('the runner works from its sources as from its bundle', async () => {
  const sources = createBench({ runnerPath: RUNNER });
  try {
    // 1 MiB is less than Node itself needs to strip types, and must limit the program alone.
    const ran = await sources.run({ module: 'args', resources: { memoryBytes: MIB } });
    assert.equal(exitCodeOf(ran), 0);
    const status = await sources.engine.probe(new AbortController().signal);
    assert.equal(status.available, true, status.detail);
  } finally {
    sources.remove();
  }
});

test('a plain return is exit code 0 and proc_exit its value, never turned into success', async () => {
  assert.equal(exitCodeOf(await bench.run({ module: 'empty' })), 0);
  const exit = async (code: string): Promise<unknown> =>
    exitCodeOf(await bench.run({ module: 'limits', params: parameters('exit', code) }));
  assert.equal(await exit('3'), 3);
  assert.equal(await exit('255'), 255);
  assert.equal(await exit('256'), 255);
  assert.equal(await exit('-1'), 255);
});

test('usage tells CPU time, memory and wall time', async () => {
  const { outcome } = await bench.run({ module: 'empty' });
  assert.equal(outcome.type, 'exited');
  assert.ok((outcome.usage?.cpuMs ?? 0) > 0);
  assert.ok((outcome.usage?.peakMemoryBytes ?? 0) > MIB);
  assert.ok((outcome.usage?.wallMs ?? 0) > 0);
});

test('a trap and a used-up stack are the fault of the program', async () => {
  for (const what of ['trap', 'stack']) {
    const ran = await bench.run({ module: 'limits', params: parameters(what) });
    assert.deepEqual(failureOf(ran), { code: 'wasm-trap', class: 'spec' }, what);
    assert.equal(ran.stdout, 'begun\n', what);
  }
});

test('each module that cannot run is refused by its own code, before it starts', async () => {
  const expected: Record<string, string> = {
    'bad-import': 'wasm-unknown-import',
    'old-wasi': 'wasm-unknown-import',
    'uses-add': 'wasm-unknown-import',
    'no-start': 'wasm-entry-missing',
    'two-memories': 'wasm-memory-count',
    'shared-memory': 'wasm-memory-shared',
    'wide-memory': 'wasm-memory-64',
    'big-memory': 'wasm-memory-minimum',
    'no-memory': 'wasm-memory-missing',
  };
  for (const [module, code] of Object.entries(expected)) {
    const ran = await bench.run({ module });
    assert.deepEqual(failureOf(ran), { code, class: 'spec' }, module);
    assert.equal(ran.started, false, module);
  }
});

test('the missing import is named', async () => {
  const { outcome } = await bench.run({ module: 'bad-import' });
  assert.match(
    outcome.type === 'failed' ? outcome.failure.message : '',
    /"env"\."launch_missiles"/,
  );
});

test('an entry function with arguments is refused', async () => {
  const ran = await bench.run({ module: 'takes-arguments' });
  assert.deepEqual(failureOf(ran), { code: 'wasm-entry-missing', class: 'spec' });
});

test('files that are no modules are refused: text, a component, a broken and a huge one', async () => {
  const folder = bench.folder('no-modules');
  const file = (name: string, bytes: Buffer): string => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  };
  const huge = file('huge.wasm', readFileSync(join(FIXTURES, 'empty.wasm')));
  truncateSync(huge, 64 * MIB + 1);
  const modules: Record<string, string> = {
    'wasm-not-wasm': file('text.wasm', Buffer.from('#!/bin/sh\necho hello\n')),
    'wasm-component': file('component.wasm', Buffer.from('0061736d0d000100', 'hex')),
    'wasm-invalid': file('broken.wasm', Buffer.from('0061736d010000000a05010300aa0b', 'hex')),
    'wasm-module-too-large': huge,
  };
  for (const [code, module] of Object.entries(modules)) {
    assert.deepEqual(failureOf(await bench.run({ module })), { code, class: 'spec' }, module);
  }
});

test('the entry module may be the only .wasm file of a directory, under a relative target', async () => {
  const source = bench.folder('module-directory');
  copyFileSync(join(FIXTURES, 'args.wasm'), join(source, 'program.wasm'));
  writeFileSync(join(source, 'README'), 'not a module');
  const program: Program = {
    module: 'empty',
    params: { EntryModule: 'app', ...parameters('5') },
    mounts: [{ source, target: '/app', writable: false }],
  };
  assert.equal(exitCodeOf(await bench.run(program)), 5);
  copyFileSync(join(FIXTURES, 'args.wasm'), join(source, 'another.wasm'));
  assert.deepEqual(failureOf(await bench.run(program)), {
    code: 'wasm-module-missing',
    class: 'spec',
  });
  const nowhere = await bench.run({ module: 'empty', params: { EntryModule: '/nowhere.wasm' } });
  assert.deepEqual(failureOf(nowhere), { code: 'wasm-module-missing', class: 'spec' });
});

test('the entry module may lie inside of a directory, and a link there leads nowhere', async () => {
  const source = bench.folder('tree-with-module');
  mkdirSync(join(source, 'bin'));
  copyFileSync(join(FIXTURES, 'args.wasm'), join(source, 'bin/tool.wasm'));
  symlinkSync('../../../..', join(source, 'out'));
  const program = (EntryModule: string): Program => ({
    module: 'empty',
    params: { EntryModule, ...parameters('5') },
    mounts: [{ source, target: '/app', writable: false }],
  });
  assert.equal(exitCodeOf(await bench.run(program('/app/bin/tool.wasm'))), 5);
  assert.equal(exitCodeOf(await bench.run(program('app/bin'))), 5);
  for (const missing of ['/app/tool.wasm', '/app/out/etc/passwd', '/app/bin/tool.wasm/x'])
    assert.deepEqual(
      failureOf(await bench.run(program(missing))),
      { code: 'wasm-module-missing', class: 'spec' },
      missing,
    );
});

/** Calls `answer` of the module `from` and exits with what it says. */
const asks = (from: string): Buffer => {
  const name = Buffer.from(from);
  const imported = Buffer.concat([
    Buffer.of(2, name.length),
    name,
    Buffer.from('\x06answer\0\0'),
    Buffer.from('\x16wasi_snapshot_preview1\x09proc_exit\0\x02'),
  ]);
  return Buffer.concat([
    Buffer.from('0061736d01000000' + '010c036000017f6000006001' + '7f00' + '02', 'hex'),
    Buffer.of(imported.length),
    imported,
    Buffer.from('03020101' + '0503010001' + '071302', 'hex'),
    Buffer.from('\x06memory\x02\0\x06_start\0\x02'),
    Buffer.from('0a08010600' + '10001001' + '0b', 'hex'),
  ]);
};
const ANSWERS = Buffer.from(
  '0061736d01000000' +
    '0105016000017f' +
    '03020100' +
    '070a0106616e73776572' +
    '0000' +
    '0a06010400412a0b',
  'hex',
);

test('a module is imported by the target of its input, listed or not, and by no path of the node', async () => {
  const folder = bench.folder('by-target');
  writeFileSync(join(folder, '1'), ANSWERS);
  const ask = async (from: string, ImportModules: Json): Promise<unknown> => {
    const module = join(folder, 'main.wasm');
    writeFileSync(module, asks(from));
    const mounts = [{ source: join(folder, '1'), target: '/sub/lib.wasm', writable: false }];
    const ran = await bench.run({ module, params: { ImportModules }, mounts });
    return ran.outcome.type === 'exited' ? ran.outcome.exitCode : failureOf(ran).code;
  };
  for (const list of [['sub/lib.wasm'], []])
    for (const from of ['sub/lib.wasm', '/sub/lib.wasm', 'lib.wasm', 'lib'])
      assert.equal(await ask(from, list), 42, `${from} ${list.length}`);
  for (const from of ['1', join(folder, '1'), 'by-target', 'other'])
    assert.equal(await ask(from, ['sub/lib.wasm']), 'wasm-unknown-import', from);
});

test('what is built for another world is told from the rest, with what to build instead', async () => {
  const folder = bench.folder('other-worlds');
  const worlds = {
    wasi_unstable: /before preview 1/,
    'wasi:cli/run@0.2.0': /preview 2/,
    wbg: /wasm-bindgen/,
  };
  for (const [from, words] of Object.entries(worlds)) {
    const module = join(folder, 'module.wasm');
    writeFileSync(module, asks(from));
    const { outcome } = await bench.run({ module });
    const message = outcome.type === 'failed' ? outcome.failure.message : '';
    assert.match(message, words);
    assert.match(message, /wasm32-wasip1/);
  }
  const emscripten = join(folder, 'emscripten.wasm');
  const wat = readFileSync(join(FIXTURES, 'bad-import.wasm')).toString('latin1');
  writeFileSync(emscripten, wat.replace('launch_missiles', 'emscripten_exit'), 'latin1');
  const { outcome } = await bench.run({ module: emscripten });
  assert.match(
    outcome.type === 'failed' ? outcome.failure.message : '',
    /Emscripten.*STANDALONE_WASM/,
  );
});

test('parameters of the wrong kind are refused', async () => {
  const wrong: Readonly<Record<string, Json>>[] = [
    { EntryModule: '' },
    { EntryModule: 3 },
    { Entrypoint: 7 },
    { Parameters: 'one' },
    { Parameters: ['nul\0byte'] },
    { ImportModules: [null] },
  ];
  for (const params of wrong) {
    const ran = await bench.run({ module: 'empty', params });
    const expected = { code: 'wasm-params-invalid', class: 'spec' };
    assert.deepEqual(failureOf(ran), expected, JSON.stringify(params));
  }
});

test('another entry point is called, and imported modules are linked by their name', async () => {
  const add = { source: join(FIXTURES, 'add.wasm'), target: '/lib/add.wasm', writable: false };
  const program: Program = {
    module: 'uses-add',
    params: { ImportModules: ['/lib/add.wasm'] },
    mounts: [add],
  };
  assert.equal(exitCodeOf(await bench.run(program)), 42);
  const other = await bench.run({
    ...program,
    params: { ...program.params, Entrypoint: 'other_entry' },
  });
  assert.deepEqual(failureOf(other), { code: 'wasm-trap', class: 'spec' });
});

test('a node whose runner is missing says so instead of failing jobs', async () => {
  const broken = createBench({ runnerPath: join(bench.directory, 'missing.js') });
  try {
    const status = await broken.engine.probe(new AbortController().signal);
    assert.equal(status.available, false);
    assert.match(status.detail, /missing\.js/);
    const ran = await broken.run({ module: 'empty' });
    assert.deepEqual(failureOf(ran), { code: 'wasm-runner-crashed', class: 'node' });
  } finally {
    broken.remove();
  }
});

test('the example counts words of every file, sorted by count then word', async () => {
  const inputs = bench.folder('texts');
  mkdirSync(join(inputs, 'deep/er'), { recursive: true });
  writeFileSync(join(inputs, 'one.txt'), 'The cat and the dog.\nThe end');
  writeFileSync(join(inputs, 'deep/er/two.txt'), "A dog's life; a CAT's too, and größe größe");
  writeFileSync(join(inputs, 'empty'), '');
  const outputs = bench.folder('counts');
  const program: Program = {
    module: WORD_COUNT,
    params: parameters('4'),
    mounts: [
      { source: inputs, target: '/inputs', writable: false },
      { source: outputs, target: '/outputs', writable: true },
    ],
  };
  const ran = await bench.run(program);
  assert.equal(exitCodeOf(ran), 0);
  assert.equal(ran.stdout, '16 words, 11 different, in 3 files\n');
  const counts = (): string => readFileSync(join(outputs, 'counts.txt'), 'utf8');
  assert.equal(counts(), '3 the\n2 a\n2 and\n2 größe\n');
  assert.equal(exitCodeOf(await bench.run({ ...program, params: {} })), 0);
  assert.equal(counts().split('\n').length, 11);
  assert.equal(exitCodeOf(await bench.run({ ...program, params: parameters('many') })), 64);
});
