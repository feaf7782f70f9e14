import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { covers, coversPath } from '../../../src/job/wildcard.ts';

const escaped = (text: string): string => text.replace(/[\\^$.|?+()[\]{}*]/g, '\\$&');

/** The meaning in words of a regular expression, which short texts can bear. */
const asExpression = (rule: string): RegExp =>
  new RegExp(`^${rule.split('*').map(escaped).join('.*')}$`, 's');

function asPathExpression(glob: string): RegExp {
  const source = glob.replace(/\/\*\*(?=\/|$)|\*\*|\*|\?|[^*?/]+|\//g, (part) => {
    if (part === '/**') return '(?:/.*)?';
    if (part === '**') return '.*';
    if (part === '*') return '[^/]*';
    return part === '?' ? '[^/]' : escaped(part);
  });
  return new RegExp(`^${source}$`, 's');
}

const textOf = (letters: string): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...letters), maxLength: 10 });

test('a rule means what its expression means', () => {
  fc.assert(
    fc.property(textOf('ab*.'), textOf('ab.'), (rule, text) => {
      assert.equal(covers(rule, text), asExpression(rule).test(text));
    }),
    { numRuns: 5_000 },
  );
  assert.ok(covers('APP_*', 'APP_'));
  assert.ok(!covers('AB*BC', 'ABC'), 'the ends do not share a letter');
});

test('a glob means what its expression means', () => {
  fc.assert(
    fc.property(textOf('a/*?'), textOf('a/b'), (glob, path) => {
      assert.equal(coversPath(glob, path), asPathExpression(glob).test(path), `${glob} ${path}`);
    }),
    { numRuns: 10_000 },
  );
});

test('a text that almost fits costs its length, however many wildcards there are', () => {
  const from = performance.now();
  const stars = 'A*B*B*B*B*B*B*C';
  assert.ok(!covers(stars, `A${'B'.repeat(60_000)}`));
  const deep = '/a/**/a/**/a/**/a/**/*a*a*a*a*b';
  assert.ok(!coversPath(deep, '/a'.repeat(2_000)));
  assert.ok(performance.now() - from < 5_000);
});
