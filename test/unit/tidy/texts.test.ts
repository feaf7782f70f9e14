/** What the READMEs list is what the tree has: invariants, checkers of the simulator, trouble and promises to ask for. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { hardKinds } from '../../simulation/hard-faults.ts';
import { STRICT_NAMES } from '../../simulation/strict.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** The text below a heading, up to the next one of any level. */
function section(text: string, heading: string): string {
  const from = text.indexOf(`\n${heading}\n`);
  assert.ok(from >= 0, heading);
  return text.slice(from, text.indexOf('\n#', from + heading.length + 1));
}

const invariants = section(read('src/README.md'), '## Invariants');
const testing = read('test/README.md');
const found = (text: string, pattern: RegExp): readonly string[] =>
  [...text.matchAll(pattern)].map((match) => match[1] ?? '');

/** What the sources of the simulator call their checkers, as they report what they see. */
function checkers(): ReadonlySet<string> {
  const names = new Set<string>();
  for (const file of readdirSync(join(ROOT, 'test/simulation'))) {
    if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue;
    for (const name of found(read(`test/simulation/${file}`), /'([SL]\d+)'/g)) names.add(name);
  }
  return names;
}

/** Tests that are named, and are neither a file nor a folder. */
const testsMissing = (text: string): readonly string[] =>
  found(text, /`((?:unit|mesh|docker|contract|simulation)\/[a-z\d/-]+)`/g).filter((name) => {
    const path = join(ROOT, 'test', name);
    return !existsSync(`${path}.test.ts`) && !existsSync(path);
  });

describe('the invariants in src/README.md', () => {
  it('are numbered one after the other, each once', () => {
    const numbers = found(invariants, /^\| I(\d+) \|/gm).map(Number);
    assert.deepEqual(
      numbers,
      numbers.map((_, index) => index + 1),
    );
    assert.ok(numbers.length > 20);
  });

  it('name tests that are there, or folders of them', () => {
    assert.deepEqual(testsMissing(invariants), []);
  });

  it('rest on every checker of the simulator, and on no other', () => {
    const named = new Set(found(invariants, /\b([SL]\d+)\b/g));
    // Merging is looked at by itself, in `merge.test.ts`.
    assert.deepEqual([...named].sort(), [...checkers(), 'S16'].sort());
  });
});

describe('the limits in src/README.md and p2p/README.md', () => {
  for (const file of ['src/README.md', 'p2p/README.md']) {
    const limits = section(read(file), '## Limits');

    it(`name the tests that look at them, which are there: ${file}`, () => {
      assert.deepEqual(testsMissing(limits), []);
    });
  }
});

describe('test/README.md', () => {
  it('tells what each checker looks for', () => {
    const rows = found(testing, /^\| ((?:[SL]\d+(?:, )?)+) \|/gm).flatMap((row) => row.split(', '));
    assert.deepEqual([...rows].sort(), [...checkers(), 'S16'].sort());
  });

  it('tells what each kind of trouble is, and each promise that is looked at to the letter', () => {
    const listed = (option: string): readonly string[] =>
      found(testing, new RegExp(`^\\| \`--${option} ([^|]*) \\|`, 'gm'))
        .flatMap((row) => row.split(/[`, ]+/))
        .filter((name) => name !== '')
        .sort();
    assert.deepEqual(listed('hard'), [...hardKinds].sort());
    assert.deepEqual(listed('strict'), [...STRICT_NAMES].sort());
  });

  it('names tests of real peers that are there', () => {
    const table = section(testing, '## Real peers');
    const named = found(table, /^\| (`.*?) \|/gm).flatMap((row) => found(row, /`([a-z-]+)`/g));
    const gone = named.filter((name) => !existsSync(join(ROOT, `test/mesh/${name}.test.ts`)));
    assert.deepEqual(gone, []);
    assert.ok(named.length > 30);
  });
});
