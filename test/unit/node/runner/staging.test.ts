/** What lies ready for an engine: own copies, places for what is mounted in them, paths that hide no other. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { InputSource } from '../../../../src/job/model.ts';
import { executionFiles } from '../../../../src/node/runner/files.ts';
import { stage } from '../../../../src/node/runner/staging.ts';
import { createInlineSource } from '../../../../src/storage/inline-source.ts';
import { createIpfsSource } from '../../../../src/storage/ipfs-source.ts';
import { StorageError } from '../../../../src/storage/source.ts';
import type { Source } from '../../../../src/storage/source.ts';
import { createFakeContent } from '../../storage/fake-content.ts';
import { inputOf, orderOf, place } from '../../storage/support.ts';

const signal = new AbortController().signal;
const inline = (target: string): InputSource => inputOf('inline', { URL: 'data:,x' }, target);

/** Stages inputs, of which `tree` is the content of every one of type ipfs. */
async function staged(
  directory: string,
  InputSources: readonly InputSource[],
  results: readonly (readonly [name: string, path: string])[],
) {
  const order = orderOf('e-1', {
    InputSources,
    ResultPaths: results.map(([Name, Path]) => ({ Name, Path })),
  });
  const files = executionFiles(directory, order.execution);
  await files.reset();
  const content = createFakeContent();
  const tree = join(directory, 'tree');
  await mkdir(join(tree, 'src'), { recursive: true });
  await writeFile(join(tree, 'a.txt'), 'A');
  const { cid } = await content.add(tree, signal);
  const named = InputSources.map((input) =>
    input.Source.Type === 'ipfs' ? inputOf('ipfs', { CID: cid }, input.Target) : input,
  );
  const sources = new Map<string, Source>([
    ['ipfs', createIpfsSource(content)],
    ['inline', createInlineSource(1_000_000)],
  ]);
  const inputMaxBytes = 1_000_000;
  const ready = { ...order, task: { ...order.task, InputSources: named } };
  return stage({ order: ready, files, sources, inputMaxBytes, signal });
}

const ipfs = (target: string): InputSource => inputOf('ipfs', { CID: '' }, target);

describe('staging', () => {
  it('gives each input as a copy of its own, that the program may write beside', async () => {
    await using here = await place();
    const { mounts, writableInputs, inputBytes } = await staged(here.path, [ipfs('/in')], []);
    assert.deepEqual(
      mounts.map(({ writable }) => writable),
      [true],
    );
    assert.deepEqual(
      writableInputs,
      mounts.map(({ source }) => source),
    );
    assert.equal(inputBytes, 0, 'it is counted while the program runs');
    assert.equal((await stat(join(mounts[0]?.source ?? '', 'a.txt'))).mode & 0o666, 0o666);
  });

  it('makes a place for what is mounted in another input, file or directory', async () => {
    await using here = await place();
    const inputs = [ipfs('/app'), inline('/app/etc/config'), ipfs('/app/src/lib'), ipfs('other')];
    const { mounts } = await staged(here.path, inputs, [
      ['build', '/app/build'],
      ['deep', '/app/src/lib/out/deep'],
    ]);
    const at = (target: string): string =>
      mounts.find((one) => one.target === target)?.source ?? '';
    const work = at('/app');
    assert.deepEqual((await readdir(work)).sort(), ['a.txt', 'build', 'etc', 'src']);
    assert.equal(await readFile(join(work, 'etc/config'), 'utf8'), '');
    assert.ok((await stat(join(work, 'src/lib'))).isDirectory());
    assert.ok(
      (await stat(join(at('/app/src/lib'), 'out/deep'))).isDirectory(),
      'in the nearest one',
    );
    assert.equal((await stat(join(work, 'build'))).mode & 0o777, 0o777);
  });

  it('says which file is in the way', async () => {
    await using here = await place();
    await assert.rejects(
      staged(here.path, [ipfs('/app')], [['out', '/app/a.txt/out']]),
      (error) =>
        error instanceof StorageError &&
        error.failure.class === 'spec' &&
        /\/app\/a\.txt\/out.*a\.txt there is a file/.test(error.message),
    );
  });

  it('makes no place through a link of an input', async () => {
    await using here = await place();
    const outside = join(here.path, 'outside');
    await mkdir(outside);
    await mkdir(join(here.path, 'tree'));
    await symlink('src', join(here.path, 'tree/link'));
    const { mounts } = await staged(here.path, [ipfs('/app')], [['out', '/app/link/out']]);
    assert.deepEqual(await readdir(join(mounts[0]?.source ?? '', 'src')), []);
  });

  it('names no path so that it begins another one, however many there are', async () => {
    await using here = await place();
    const inputs = Array.from({ length: 12 }, (_, at) => inline(`/in/${at}`));
    const { mounts } = await staged(here.path, inputs, [
      ['out', '/out'],
      ['output', '/output'],
    ]);
    const sources = mounts.map(({ source }) => source);
    for (const one of sources)
      assert.deepEqual(
        sources.filter((other) => other.startsWith(one)),
        [one],
      );
  });
});
