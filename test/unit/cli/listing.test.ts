/** What of a tree a disk can hold, on disks that are not this one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { foldOf, holdable } from '../../../src/cli/listing.ts';
import type { Entry } from '../../../src/cli/listing.ts';
import { treePlace } from '../lib/trees.ts';

const file = (path: string): Entry => ({ path, kind: 'file', bytes: 1 });
const directory = (path: string): Entry => ({ path, kind: 'directory', bytes: 0 });
const plain = (name: string): string => name;

function chosen(
  entries: readonly Entry[],
  fold: (name: string) => string,
  platform: NodeJS.Platform,
) {
  const out: string[] = [];
  const kept = holdable(entries, fold, platform, (path, why) => out.push(`${path}: ${why}`));
  return { kept: kept.map(({ path }) => path), out };
}

test('where a disk takes two names for one, the second alone is left out, with what is below it', () => {
  const entries = [
    directory('Dir'),
    file('Dir/a'),
    directory('dir'),
    file('dir/b'),
    file('Read.me'),
    file('read.ME'),
    file('other'),
  ];
  const { kept, out } = chosen(entries, (name) => name.toLowerCase(), 'darwin');
  assert.deepEqual(kept, ['Dir', 'Dir/a', 'Read.me', 'other']);
  assert.deepEqual(out, [
    'dir: this disk takes it and Dir for one name',
    'read.ME: this disk takes it and Read.me for one name',
  ]);
  assert.deepEqual(chosen(entries, plain, 'linux').out, []);
});

test('on Windows the names that no file has there are left out, and none elsewhere', () => {
  const odd = ['aux.c', 'con', 'c:', 'a\\b', 'time 10:30.log', 'dot.', 'what?'];
  const entries = [...odd.map(file), file('fine'), file('console')];
  const { kept, out } = chosen(entries, plain, 'win32');
  assert.deepEqual([kept, out.length], [['fine', 'console'], odd.length]);
  assert.deepEqual(chosen(entries, plain, 'linux').out, []);
});

test('the same name twice is there once', () => {
  const { kept, out } = chosen([file('a'), file('a')], plain, 'linux');
  assert.deepEqual([kept, out], [['a'], ['a: the name is there twice']]);
});

test('the disk itself is asked whether it tells names apart, and keeps nothing of it', async () => {
  await using here = await treePlace();
  const fold = await foldOf(here.path);
  assert.notEqual(fold('A'), fold('a'), 'this one does');
  assert.notEqual(fold('\u00e9'), fold('e\u0301'));
  const { readdir } = await import('node:fs/promises');
  assert.deepEqual(await readdir(here.path), []);
});
