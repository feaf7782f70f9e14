/** Exact JSON, quantities, and safe paths. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseExact, stringifyExact, stringifySorted } from '../../../src/lib/exact-json.ts';
import { whyUnsafe } from '../../../src/lib/safe-path.ts';
import { escapedName } from '../../../src/lib/escaped-name.ts';
import { whyLinkLeaves } from '../../../src/lib/tree-modes.ts';
import { formatBytes, formatDuration } from '../../../src/lib/units.ts';

test('moments of any size survive JSON', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }), (value) => {
      const text = stringifyExact({ CreateTime: value }, 0);
      assert.equal(text, `{"CreateTime":${value}}`);
      const read = parseExact(text) as { CreateTime: bigint | number };
      assert.equal(BigInt(read.CreateTime), value);
    }),
  );
  assert.deepEqual(parseExact('{"Memory":9007199254740993}'), { Memory: 2 ** 53 });
  assert.deepEqual(parseExact('[1.5, 1e300, 123, "9007199254740993"]'), [
    1.5,
    1e300,
    123,
    '9007199254740993',
  ]);
});

test('bytes and durations as people read them', () => {
  const bytes = {
    0: '0 B',
    999: '999 B',
    1000: '1.0 kB',
    999_949: '999.9 kB',
    999_950: '1.0 MB',
    4e9: '4.0 GB',
    1e18: '1000.0 PB',
  };
  for (const [value, text] of Object.entries(bytes))
    assert.equal(formatBytes(Number(value)), text, value);
  const durations = {
    0: '0s',
    1500: '1.5s',
    45_000: '45s',
    192_000: '3m12s',
    7_500_000: '2h05m',
    273_600_000: '3d4h',
  };
  for (const [value, text] of Object.entries(durations))
    assert.equal(formatDuration(Number(value)), text, value);
});

test('a path is safe only when each of its names is', () => {
  for (const path of [
    'a',
    'a/b.txt',
    '.hidden',
    'ä/ö',
    'a b',
    'console',
    '...',
    'a\\b',
    'c:',
    'NUL',
    'com1.txt',
    `${'x'.repeat(200)}/`.repeat(14) + 'b',
  ])
    assert.equal(whyUnsafe(path), null, path);
  const bad = [
    '',
    '/',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    'a/..',
    'a/./b',
    'a\0',
    'x'.repeat(256),
    'a/'.repeat(70) + 'b',
    `${'x'.repeat(200)}/`.repeat(15) + 'b',
  ];
  for (const path of bad) assert.notEqual(whyUnsafe(path), null, JSON.stringify(path));
});

test('a link is kept only when it stays inside, whatever other links lead to', () => {
  const stays = { l: 'a', 'd/l': '../a/b', 'a/b/l': '../..', 'd/self': '.', 'd/m': './x/./y' };
  for (const [at, link] of Object.entries(stays)) assert.equal(whyLinkLeaves(at, link), null, link);
  const leaves = { l: '..', 'd/l': '../../x', m: '/etc', n: 'a/../b', 'a/o': '', p: 'x\0' };
  for (const [at, link] of Object.entries(leaves))
    assert.notEqual(whyLinkLeaves(at, link), null, link);
});

test('a name that is no text is shown with its bytes', () => {
  const latin = Buffer.from([0x63, 0x61, 0x66, 0xe9, 0x2e, 0xc3, 0xa9, 0xc3]);
  assert.equal(escapedName('', latin), 'caf\\xe9.\u00e9\\xc3');
  assert.equal(escapedName('d', Buffer.from('a')), 'd/a');
});

test('the same job gives the same text, in whatever order its keys came', () => {
  const one = { b: { '10': 1, a: [{ y: 1, x: 2 }] }, a: null };
  const other = { a: null, b: { a: [{ x: 2, y: 1 }], '10': 1 } };
  assert.equal(stringifySorted(one, 2), stringifySorted(other, 2));
  assert.notEqual(stringifySorted(one, 0), stringifySorted({ ...one, a: 1 }, 0));
});
