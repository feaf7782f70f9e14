/** Trees as tar archives, read by our own reader and by the tar of the system. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstat, mkdtemp, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { encodeTar } from '../../../src/lib/tar-stream.ts';
import { TreeFormatError, type TreeItem } from '../../../src/lib/tree-stream.ts';
import { readTar } from '../../../src/storage/tar.ts';

const directory = await mkdtemp(join(tmpdir(), 'shoal-tar-'));
after(() => rm(directory, { recursive: true, force: true }));

const item = (path: string, text: string, more: Partial<TreeItem> = {}): TreeItem => ({
  path,
  kind: 'file',
  bytes: Buffer.byteLength(text),
  data: (async function* () {
    yield Buffer.from(text);
  })(),
  ...more,
});

const LONG = `${'d'.repeat(90)}/${'ü'.repeat(90)}`;

async function tar(...items: TreeItem[]): Promise<Buffer> {
  const all = (async function* () {
    yield* items;
  })();
  return buffer(encodeTar(all));
}

const tree = (): TreeItem[] => [
  item('stdout', 'hello\n'),
  item('out', '', { kind: 'directory' }),
  item('out/run', '#!/bin/sh\n', { mode: 0o755 }),
  item('out/link', '', { kind: 'symlink', link: 'run' }),
  item(LONG, 'x'.repeat(1_000)),
];

test('a tree is unpacked by the tar of the system: names, bytes, modes and links', async () => {
  execFileSync('tar', ['xf', '-', '-C', directory], { input: await tar(...tree()) });
  assert.equal(await readFile(join(directory, 'stdout'), 'utf8'), 'hello\n');
  assert.equal((await readFile(join(directory, LONG), 'utf8')).length, 1_000);
  assert.equal((await lstat(join(directory, 'out/run'))).mode & 0o777, 0o755);
  assert.equal(await readlink(join(directory, 'out/link')), 'run');
});

test('our own reader reads it, and the same tree is always the same bytes', async () => {
  const files = tree().filter(({ kind }) => kind !== 'symlink');
  const bytes = await tar(...files);
  assert.deepEqual(
    readTar(bytes, 100).map(({ path, kind, bytes: { length } }) => [path, kind, length]),
    [
      ['stdout', 'file', 6],
      ['out', 'directory', 0],
      ['out/run', 'file', 10],
      [LONG, 'file', 1_000],
    ],
  );
  assert.deepEqual(await tar(...tree()), await tar(...tree()));
});

test('a file that is longer or shorter than it said breaks the archive off', async () => {
  for (const bytes of [3, 7])
    await assert.rejects(tar(item('a', 'hello', { bytes })), TreeFormatError);
});
