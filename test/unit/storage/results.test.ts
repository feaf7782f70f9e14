import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, linkSync } from 'node:fs';
import { link, mkdir, readFile, readdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { assembleResult, checkResult, resultNameProblem } from '../../../src/storage/results.ts';
import type { ResultLimits } from '../../../src/storage/results.ts';
import { makeDeep, treePlace } from '../lib/trees.ts';
import { failureOf, place } from './support.ts';

const signal = new AbortController().signal;
const limits: ResultLimits = { entriesMax: 1_000, depthMax: 10, bytesMax: 1_000_000 };

describe('a result', () => {
  it('is stdout, stderr, exitCode and one entry per name, however often it is put together', async () => {
    await using here = await place();
    const at = (path: string): string => join(here.path, path);
    await mkdir(at('outputs/data'), { recursive: true });
    await mkdir(at('outputs/1'));
    await writeFile(at('outputs/data/x'), 'x');
    await writeFile(at('outputs/1/y'), 'y');
    await writeFile(at('stdout'), 'printed');
    const parts = {
      directory: at('results'),
      stdoutPath: at('stdout'),
      stderrPath: at('stderr'),
      exitCode: 3,
      outputs: [
        { name: 'data', path: at('outputs/data') },
        { name: 'deep/er', path: at('outputs/1') },
        { name: 'never-made', path: at('outputs/never-made') },
      ],
    };
    await assembleResult(parts);
    await assembleResult(parts);
    assert.deepEqual((await readdir(at('results'))).sort(), [
      'data',
      'deep',
      'exitCode',
      'stderr',
      'stdout',
    ]);
    assert.equal(await readFile(at('results/exitCode'), 'utf8'), '3');
    assert.equal(await readFile(at('results/stdout'), 'utf8'), 'printed');
    assert.equal(await readFile(at('results/stderr'), 'utf8'), '');
    assert.equal(await readFile(at('results/data/x'), 'utf8'), 'x');
    assert.equal(await readFile(at('results/deep/er/y'), 'utf8'), 'y');
    assert.equal(await readFile(at('stdout'), 'utf8'), 'printed', 'the log stays where it is read');
  });

  it('takes only names of files, and paths of them', () => {
    for (const name of [
      '',
      '.',
      '..',
      'a//b',
      '/a',
      'stdout/x',
      '../x',
      'a\\b',
      'a\0',
      'stdout',
      'stderr',
      'exitCode',
      'x'.repeat(256),
    ]) {
      assert.notEqual(resultNameProblem(name), null, JSON.stringify(name));
    }
    for (const name of ['outputs', '.hidden', 'a b', 'ü', 'a/b', 'x'.repeat(255)])
      assert.equal(resultNameProblem(name), null, name);
  });

  it('loses special files and names that are not UTF-8, and is never left through a symlink', async () => {
    await using here = await place();
    const root = join(here.path, 'result');
    await mkdir(join(root, 'sub'), { recursive: true });
    await mkdir(join(here.path, 'outside'));
    await writeFile(join(here.path, 'outside/big'), Buffer.alloc(2_000_000));
    await symlink('../../outside', join(root, 'sub/link'));
    await symlink('../../outside/big', join(root, 'sub/link-to-file'));
    await writeFile(Buffer.concat([Buffer.from(`${root}/sub/`), Buffer.from([0xff])]), 'x');
    await writeFile(join(root, 'sub/file'), 'kept');
    execFileSync('mkfifo', [join(root, 'sub/pipe')]);
    const checked = await checkResult(root, limits, signal);
    assert.equal(checked.bytes, 4);
    assert.equal(checked.dropped.length, 2, checked.dropped.join());
    assert.deepEqual((await readdir(join(root, 'sub'))).sort(), ['file', 'link', 'link-to-file']);
    assert.ok(existsSync(join(here.path, 'outside/big')));
  });

  it('is refused when it has too many entries, bytes or levels', async () => {
    await using here = await place();
    const root = join(here.path, 'result');
    await mkdir(join(root, 'a/b/c'), { recursive: true });
    for (const name of ['1', '2', '3']) await writeFile(join(root, name), 'xxxx');
    await link(join(root, '1'), join(root, 'same'));
    const check = (less: Partial<ResultLimits>): Promise<string> =>
      failureOf(checkResult(root, { ...limits, ...less }, signal));
    assert.equal(await check({}), 'no failure');
    assert.equal(await check({ entriesMax: 7, depthMax: 3, bytesMax: 16 }), 'no failure');
    assert.equal(await check({ entriesMax: 6 }), 'limit result-too-many-files');
    assert.equal(await check({ depthMax: 2 }), 'limit result-too-deep');
    const each = 'a file is read and published for each of its names';
    assert.equal(await check({ bytesMax: 15 }), 'limit result-too-large', each);
    await writeFile(join(root, 'a/b/c/file'), '');
    const last = 'a file in the last directory has a path of one name more';
    assert.equal(await check({ depthMax: 3 }), 'limit result-too-deep', last);
    assert.equal(await check({ depthMax: 4 }), 'no failure');
    await truncate(join(root, '2'), 10_000_000_000);
    assert.equal(
      await check({}),
      'limit result-too-large',
      'a file with a hole is published at its full length',
    );
  });
});

it('a result with paths that no call takes is the fault of its job, and can be removed', async () => {
  await using here = await treePlace();
  const nested = join(here.path, 'nested');
  const long = join(here.path, 'long');
  for (const [root, levels] of [
    [nested, 300],
    [long, 18],
  ] as const) {
    await mkdir(root);
    makeDeep(root, levels, 1);
    const roomy = { ...limits, depthMax: 64 };
    assert.equal(await failureOf(checkResult(root, roomy, signal)), 'limit result-too-deep', root);
  }
});

it('paths that take more than 64 MiB together are the fault of their job', async () => {
  await using here = await place();
  const below = join(here.path, ...Array.from({ length: 11 }, () => 'd'.repeat(250)));
  await mkdir(below, { recursive: true });
  await writeFile(join(below, 'f'), '');
  // Twenty-four thousand names of 2,800 bytes, in as many links as one file may have, and less.
  for (let at = 0; at < 24_500; at += 1) linkSync(join(below, 'f'), join(below, `f${at}`));
  const roomy = { ...limits, entriesMax: 100_000, depthMax: 64 };
  assert.equal(
    await failureOf(checkResult(here.path, roomy, signal)),
    'limit result-too-many-files',
  );
});

it('a directory of a name that cannot be kept goes with all that is in it', async () => {
  await using here = await place();
  const odd = Buffer.concat([Buffer.from(`${here.path}/`), Buffer.from([0xff])]);
  await mkdir(odd);
  await writeFile(Buffer.concat([odd, Buffer.from('/file')]), 'x');
  const { dropped, entries, bytes } = await checkResult(here.path, limits, signal);
  assert.deepEqual(
    { dropped: dropped.length, entries, bytes },
    { dropped: 1, entries: 1, bytes: 0 },
  );
  assert.deepEqual(await readdir(here.path), []);
});
