/** The table of planted mistakes (`npm run mutate`) speaks of the tree as it is. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { MutationError, planted } from '../../mutation/mutation.ts';
import type { Mutation } from '../../mutation/mutation.ts';
import { mutations } from '../../mutation/table.ts';

const root = join(import.meta.dirname, '..', '..', '..');

describe('the table of planted mistakes', () => {
  it('names texts that stand in the sources, each in one place', () => {
    const wrong: string[] = [];
    for (const { file, mutation } of mutations) {
      const path = join(root, file);
      if (!existsSync(path)) {
        wrong.push(`${file} is gone. Correct the mutation "${mutation.name}" in test/mutation.`);
        continue;
      }
      try {
        planted(file, readFileSync(path, 'utf8'), mutation);
      } catch (error) {
        assert.ok(error instanceof MutationError, String(error));
        wrong.push(error.message);
      }
    }
    assert.deepEqual(wrong, []);
  });

  it('has a row in test/README.md for each, and no other, with their number', () => {
    const text = readFileSync(join(root, 'test', 'README.md'), 'utf8');
    const [, table = ''] = text.split('| mistake | planted in |');
    const rows = [...table.matchAll(/^\| (.+?) \| `([\w/.-]+)` \| /gm)].map(
      ([, name, file]) => `${name} | ${file}`,
    );
    const wanted = mutations.map(
      ({ file, mutation }) => `${mutation.name} | ${file.replace(/^src\/(core\/)?/, '')}`,
    );
    assert.deepEqual(rows.sort(), wanted.sort());
    assert.ok(
      text.includes(`All ${mutations.length} mistakes are in the table`),
      `${mutations.length}`,
    );
  });

  it('has a name and a reason of its own for each, and changes something', () => {
    const names = new Set(mutations.map(({ mutation }) => mutation.name));
    assert.equal(names.size, mutations.length);
    for (const { mutation } of mutations) {
      assert.notEqual(mutation.text, mutation.instead, mutation.name);
      assert.ok(mutation.why.length > 10, mutation.name);
    }
  });

  it('plants a mistake in its function only, and says what is missing', () => {
    const source = 'function one() {\n  go();\n}\n\nexport function two() {\n  go();\n}\n';
    const base: Mutation = { name: 'x', within: 'two', text: 'go()', instead: 'no()', why: 'y' };
    const two = 'function one() {\n  go();\n}\n\nexport function two() {\n  no();\n}\n';
    assert.equal(planted('f.ts', source, base), two);
    const fails = (change: Partial<Mutation>, message: RegExp): void =>
      assert.throws(() => planted('f.ts', source, { ...base, ...change }), message);
    fails({ within: null }, /f\.ts contains `go\(\)` more than once\. .*"x"/);
    fails({ within: 'three' }, /f\.ts has no function three/);
    fails({ text: 'stop()' }, /f\.ts does not contain `stop\(\)` in two/);
  });
});
