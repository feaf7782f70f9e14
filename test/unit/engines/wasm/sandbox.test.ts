import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Mount, Shared } from '../../../../src/engines/engine.ts';
import { runChild } from '../../../../src/engines/wasm/child.ts';
import { commandOf } from '../../../../src/engines/wasm/launch.ts';
import { commonOrder } from '../../../../src/engines/wasm/prepare.ts';
import type { RunnerOrder } from '../../../../src/engines/wasm/wire.ts';
import { configIn, createBench, exitCodeOf, failureOf, FIXTURES } from './harness.ts';
import type { Bench } from './harness.ts';

let bench: Bench;
let inputs = '';
let outputs = '';
let secret = '';
let said = '';

/** Every file below `directory` with its content, apart from what the program may write. */
function snapshot(directory = bench.directory): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.name === 'outputs' || entry.name.startsWith('scratch-')) continue;
    const path = join(directory, entry.name);
    if (entry.isDirectory()) Object.assign(found, snapshot(path));
    found[path] = entry.isFile() ? readFileSync(path, 'latin1') : 'not a file';
  }
  return found;
}

before(() => {
  bench = createBench();
  [inputs, outputs, secret] = ['inputs', 'outputs', 'secret'].map(bench.folder) as [
    string,
    string,
    string,
  ];
  mkdirSync(join(inputs, 'sub'));
  writeFileSync(join(inputs, 'plain.txt'), 'plain');
  writeFileSync(join(inputs, 'sub/deep.txt'), 'deep');
  writeFileSync(join(secret, 'secret.txt'), 'SECRET');
  symlinkSync(join(secret, 'secret.txt'), join(inputs, 'absolute-link'));
  symlinkSync('../secret/secret.txt', join(inputs, 'relative-link'));
  symlinkSync('plain.txt', join(inputs, 'inner-link'));
  symlinkSync('absolute-link', join(inputs, 'chained-link'));
  symlinkSync(secret, join(inputs, 'directory-link'));
  symlinkSync('/', join(inputs, 'root-link'));
  symlinkSync(join(secret, 'planted.txt'), join(outputs, 'planted-link'));
  symlinkSync(secret, join(outputs, 'planted-directory'));
  execFileSync('mkfifo', [join(inputs, 'pipe')]);
});
after(() => bench.remove());

function sharedOf(source: string): Shared {
  const { dev, ino } = lstatSync(source, { bigint: true });
  return { identity: `${dev}:${ino}`, exchangeable: true };
}

const mounts = (): Mount[] => [
  { source: inputs, target: '/inputs', writable: false },
  { source: outputs, target: 'outputs', writable: true },
];

test('a program reads its inputs, writes its outputs, and reaches nothing else', async () => {
  const earlier = snapshot();
  const ran = await bench.run({ module: 'escape', mounts: mounts() });
  said = ran.stdout;
  assert.equal(exitCodeOf(ran), 0);
  assert.deepEqual(snapshot(), earlier);
  const left = ['fine.txt', 'hard', 'planted-directory', 'renamed-link'];
  assert.deepEqual(readdirSync(outputs).sort(), left);
  assert.equal(readFileSync(join(outputs, 'fine.txt'), 'utf8'), 'written by the program\n');
  assert.equal(lstatSync(join(outputs, 'renamed-link')).isSymbolicLink(), true);
});

test('of all its tries only those inside its mounts were done', () => {
  const done = said.split('\n').filter((line) => / got | done$/.test(line));
  assert.deepEqual(done, [
    'read /inputs/plain.txt: got [plain]',
    'read inputs/plain.txt: got [plain]',
    'read /inputs/sub/deep.txt: got [deep]',
    'read /inputs/sub/../plain.txt: got [plain]',
    'read /inputs/inner-link: got [plain]',
    'write /outputs/fine.txt: done',
    // A link itself may be moved about; what it leads to is another matter.
    'rename link: done',
    'hard link inside: done',
  ]);
  assert.equal(said.split('\n').filter((line) => line.includes('denied')).length, 43, said);
});

test('changing an input is refused as on a read-only file system, before the host is asked', () => {
  const writes = said.split('\n').filter((line) => line.startsWith('write /inputs/'));
  assert.deepEqual(writes, [
    'write /inputs/new.txt: denied (Read-only file system)',
    'write /inputs/plain.txt: denied (Read-only file system)',
  ]);
});

test('a listing tells all that is there, and there are no descriptors but the streams and the root', () => {
  const lines = said.split('\n');
  const listed = (path: string): string[] | undefined =>
    lines
      .find((line) => line.startsWith(`list ${path}:`))
      ?.split(' ')
      .slice(2)
      .sort();
  assert.deepEqual(listed('/'), ['.', '..', 'inputs', 'main.wasm', 'outputs']);
  assert.deepEqual(listed('/inputs'), ['.', '..', ...readdirSync(inputs)].sort());
  assert.deepEqual(
    lines.filter((line) => line.startsWith('descriptor ')),
    ['descriptor 0', 'descriptor 1', 'descriptor 2', 'descriptor 3'],
  );
});

test('files behave as a program expects: seeking, renaming, listing, times, descriptors', async () => {
  for (const shared of [false, true]) {
    const source = bench.folder(`outputs/files-${shared}`);
    const mount = { source, target: '/outputs', writable: true };
    const mounts = [shared ? { ...mount, shared: sharedOf(source) } : mount];
    const ran = await bench.run({ module: 'files', mounts });
    assert.equal(ran.stdout, 'all right\n', `shared: ${shared}`);
    assert.equal(exitCodeOf(ran), 0);
  }
});

test('directories, links, times and names of files are as on any system', async () => {
  const source = bench.folder('conform');
  mkdirSync(join(source, 'sub'));
  writeFileSync(join(source, 'a'), 'A');
  writeFileSync(join(source, 'sub/b'), 'B');
  for (const [name, target] of Object.entries({ link: 'a', up: './sub/../sub', round: 'round' }))
    symlinkSync(target, join(source, name));
  symlinkSync('not/there', join(source, 'gone'));
  const ran = await bench.run({
    module: 'conform',
    env: { 'any.name-at all': 'x' },
    mounts: [
      { source, target: '/inputs', writable: false },
      { source: bench.folder('results-of-it'), target: '/outputs', writable: true },
    ],
  });
  assert.equal(ran.stdout, 'all right\nany.name-at all=x\n');
  assert.equal(exitCodeOf(ran), 0);
});

test('a place that others write to is refused when it is not the one that was looked at', async () => {
  const source = bench.folder('outputs/exchanged');
  const shared = sharedOf(source);
  renameSync(source, `${source}-away`);
  mkdirSync(source);
  const ran = await bench.run({
    module: 'escape',
    mounts: [{ source, target: '/outputs', writable: true, shared }],
  });
  assert.equal(ran.started, true);
  assert.deepEqual(readdirSync(source), []);
});

test('wild pointers and lengths are errors of the call, and nothing worse', async () => {
  const ran = await bench.run({ module: 'hostile-pointers', mounts: mounts() });
  assert.equal(exitCodeOf(ran), 0);
});

test('a mount that is a symlink, missing, or has an asterisk in its path is refused', async () => {
  symlinkSync(secret, join(bench.directory, 'outputs/mount-link'));
  const sources = [
    join(bench.directory, 'outputs/mount-link'),
    join(bench.directory, 'missing'),
    bench.folder('outputs/star*'),
  ];
  for (const source of sources) {
    const ran = await bench.run({
      module: 'empty',
      mounts: [{ source, target: '/x', writable: true }],
    });
    assert.deepEqual(failureOf(ran), { code: 'mount-unusable', class: 'node' }, source);
  }
});

test('a module behind a symlink is not run', async () => {
  const link = join(bench.directory, 'outputs/module-link');
  symlinkSync(join(secret, 'secret.txt'), link);
  assert.deepEqual(failureOf(await bench.run({ module: link })), {
    code: 'mount-unusable',
    class: 'node',
  });
});

test('what the walk would let through, the permission model of the process refuses', async () => {
  const module = join(FIXTURES, 'escape.wasm');
  const scratchDir = bench.folder('scratch-wall');
  const config = configIn(bench.directory, { runnerPath: join(bench.directory, 'wasm-runner.js') });
  const limits = { cpuSeconds: config.cpuSecondsMax, openFilesMax: config.openFilesMax };
  const command = await commandOf({
    nodePath: config.nodePath,
    runnerPath: config.runnerPath,
    tools: { prlimit: null, setpriv: null },
    readable: [module],
    writable: [],
    limits,
    execution: 'e-wall',
    scratchDir,
  });
  const order: RunnerOrder = {
    ...commonOrder(config),
    module,
    imports: [],
    entrypoint: '_start',
    args: [''],
    env: {},
    mounts: ['inputs', 'outputs'].map((name) => ({
      source: join(bench.directory, name),
      target: [name],
      writable: true,
      identity: null,
    })),
    memoryPagesMax: 1024,
    diskBytes: 1024,
    watchParent: true,
  };
  const earlier = snapshot();
  const stdoutPath = join(scratchDir, 'stdout');
  const outcome = await runChild(
    {
      ...command,
      order,
      stdoutPath,
      stderrPath: join(scratchDir, 'stderr'),
      outputMaxBytes: 100_000,
      timeoutMs: 30_000,
      cpuSeconds: 30,
      residentBytesMax: 2 ** 31,
      pollMs: 50,
    },
    () => {},
    () => {},
    new AbortController().signal,
  );
  assert.equal(outcome.type, 'exited');
  const tries = readFileSync(stdoutPath, 'utf8').split('\n');
  assert.deepEqual(
    tries.filter((line) => / got | done$/.test(line)),
    [],
  );
  assert.deepEqual(snapshot(), earlier);
});
