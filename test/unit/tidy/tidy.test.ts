/** The rules of the house, checked on the whole tree, and the check on bad samples of its own. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { FAILURES } from '../../../src/failures/table.ts';
import { leaves } from '../../../src/config/leaves.ts';
import type { FailureCode } from '../../../src/failures/failure.ts';
import {
  casingProblems,
  cycles,
  documentedCodes,
  folderOf,
  headingProblems,
  importProblems,
  importsOf,
  keyProblems,
  neverMade,
  sourceProblems,
  textKeyedFields,
  textKeyedTypes,
  testsNamed,
  textProblems,
  withoutComments,
} from './rules.ts';

const ROOT = join(import.meta.dirname, '../../..');
const TOP = ['src', 'p2p', 'test', 'scripts', 'examples'];
const TEXTS = /\.(?:ts|mts|js|mjs|json|md|yaml|yml|sh|c|wat|txt)$/;

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

function tree(pattern: RegExp): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const top of TOP) {
    for (const entry of readdirSync(join(ROOT, top), { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name).slice(ROOT.length + 1);
      if (entry.isFile() && pattern.test(path) && !path.includes('node_modules/'))
        files.set(path, read(path));
    }
  }
  return files;
}

const sources = tree(/\.ts$/);
const texts = new Map(tree(TEXTS));
for (const entry of readdirSync(ROOT, { withFileTypes: true })) {
  if (entry.isFile() && TEXTS.test(entry.name)) texts.set(entry.name, read(entry.name));
}
const all = (
  check: (file: string, text: string) => readonly string[],
  files = sources,
): readonly string[] => [...files].flatMap(([file, text]) => check(file, text));

/** A file of the API that, with all it imports by value, leads nowhere but to itself and the pure core. */
function apiIsPure(path: string, seen = new Set<string>()): boolean {
  if (seen.has(path)) return true;
  seen.add(path);
  const folder = folderOf(path);
  if (folder === 'src/job' || folder === 'src/lib' || folder === 'src/core') return true;
  if (folder !== 'src/api') return false;
  return importsOf(sources.get(path) ?? '')
    .filter(({ typeOnly }) => !typeOnly)
    .every(({ from }) => from.startsWith('.') && apiIsPure(join(path, '..', from), seen));
}

describe('the tree', () => {
  it('is read', () => {
    assert.ok(sources.size > 150, `${sources.size} source files`);
    assert.ok(sources.has('src/core/machine.ts') && sources.has('test/unit/tidy/tidy.test.ts'));
    assert.ok(texts.has('README.md') && texts.has('src/README.md'));
  });

  it('imports only as its folders allow', () => {
    assert.deepEqual(
      all((file, text) => importProblems(file, text, apiIsPure)),
      [],
    );
  });

  it('has no two files that import each other by value', () =>
    assert.deepEqual(cycles(sources), []));

  it('has no import of a file that does not exist', () => {
    const missing = [...sources].flatMap(([file, text]) =>
      importsOf(text)
        .filter(({ from }) => from.startsWith('.') && from.endsWith('.ts'))
        .map(({ from }) => join(file, '..', from))
        .filter((target) => !sources.has(target) && !file.startsWith('test/unit/tidy/'))
        .map((target) => `${file} → ${target}`),
    );
    assert.deepEqual(missing, []);
  });

  it('has no default exports, enums, namespaces or parameter properties, and no test that does not run', () => {
    assert.deepEqual(all(sourceProblems), []);
  });

  it('writes constants in capitals', () => {
    assert.deepEqual(all(casingProblems), []);
  });

  it('reads no map with the words of others as if nothing were inherited', () => {
    const product = new Map([...sources].filter(([file]) => /^(?:src|p2p)\//.test(file)));
    const types = textKeyedTypes(product.values());
    const fields = textKeyedFields(product.values(), types);
    assert.ok(types.includes('Labels') && fields.has('labels') && fields.has('Params'));
    assert.deepEqual(
      all((file, text) => keyProblems(file, text, types, fields), product),
      [],
    );
  });

  it('leaves nothing to be done and names no directory of one machine', () => {
    assert.deepEqual(
      all((file, text) => textProblems(file, text, ROOT), texts),
      [],
    );
  });

  it('begins every source file of the product with its purpose', () => {
    const mute = [...sources.keys()].filter(
      (file) =>
        /^(?:src|p2p)\//.test(file) && !/^(?:#![^\n]*\n)?\/\*\*/.test(sources.get(file) ?? ''),
    );
    assert.deepEqual(mute, []);
  });
});

describe('the documents', () => {
  const documented = documentedCodes(`${read('README.md')}\n${read('src/README.md')}`);
  const codes = Object.keys(FAILURES);

  it('explain every failure code once, and no other', () => {
    assert.deepEqual(
      headingProblems(
        documented.map(({ code }) => code),
        codes,
      ),
      [],
    );
  });

  it('name only tests that exist', () => {
    const named = ['src/README.md', 'p2p/README.md', 'test/README.md'].flatMap((file) =>
      testsNamed(read(file)).map((name) => ({ file, name })),
    );
    assert.ok(named.length > 50, `${named.length} tests named`);
    const missing = named.filter(
      ({ name }) =>
        ![...sources.keys()].some(
          (path) => path === `test/${name}.test.ts` || path.startsWith(`test/${name}/`),
        ),
    );
    assert.deepEqual(missing, []);
  });

  it('say of each failure code what its row of the table says', () => {
    for (const { code, status, exit, again } of documented) {
      const { status: s, exitCode, again: a } = FAILURES[code as FailureCode];
      assert.deepEqual([status, exit, again], [s, exitCode, a], code);
    }
  });

  it('explain no code that nothing makes', () => {
    const makers = [...sources.keys()].filter(
      (file) =>
        /^(?:src|p2p)\//.test(file) &&
        !/^src\/(?:failures|core\/contract|core\/record)\//.test(file),
    );
    assert.deepEqual(
      neverMade(
        codes,
        makers.map((file) => sources.get(file) ?? ''),
      ),
      [],
    );
  });
});

describe('the settings', () => {
  it('all have a description and a name of their own', () => {
    const list = [...leaves.values()];
    assert.ok(list.length > 20);
    assert.deepEqual(
      list.filter(({ description }) => description.length < 8).map(({ path }) => path),
      [],
    );
    assert.equal(new Set(list.map(({ variable }) => variable)).size, list.length);
  });
});

/** Put together here, so that this file itself is clean. */
const word = (...parts: readonly string[]): string => parts.join('');
const from = (path: string, kind = ''): string => word('im', `port ${kind}{ x } from '${path}';`);

describe('the check of imports', () => {
  const bad: Readonly<Record<string, readonly [string, string]>> = {
    'of the world by the core': ['src/core/a.ts', from('node:fs')],
    'of a package by the core': ['src/core/a.ts', from('zod')],
    'of a wire format by the core': ['src/core/a.ts', from('../../p2p/wire/cbor.ts')],
    'of the core by the job': ['src/job/a.ts', from('../core/ids.ts')],
    'of the core by the job, as a type': ['src/job/a.ts', from('../core/ids.ts', 'type ')],
    'of the store by an engine': ['src/engines/wasm/a.ts', from('../../store/store.ts')],
    'of an engine by the API': ['src/api/a.ts', from('../engines/engine.ts')],
    'of p2p by the storage': ['src/storage/a.ts', from('../../p2p/content.ts')],
    'of an API route by the command line': ['src/cli/a.ts', from('../api/server.ts')],
    'of the core by the command line': ['src/cli/commands/a.ts', from('../../core/machine.ts')],
    'of a test by the product': ['src/node/a.ts', from('../../test/simulation/world.ts')],
    'written as a call': [
      'src/core/a.ts',
      word('const x = await im', "port('../store/store.ts');"),
    ],
    'that exports again': ['src/core/a.ts', word('ex', "port * from '../store/store.ts';")],
  };
  for (const [what, [file, text]] of Object.entries(bad)) {
    it(`catches that ${what}`, () =>
      assert.equal(importProblems(file, text, () => false).length, 1));
  }

  it('lets pass what is allowed', () => {
    const good: readonly (readonly [string, string])[] = [
      ['src/core/a.ts', from('../job/model.ts')],
      ['src/cli/a.ts', from('../api/types.ts', 'type ')],
      ['src/cli/a.ts', from('../failures/table.ts')],
      ['src/node/a.ts', from('../../p2p/host.ts')],
      ['test/unit/a.ts', from('../../src/store/store.ts')],
      ['src/core/a.ts', `// ${from('node:fs')}`],
    ];
    for (const [file, text] of good)
      assert.deepEqual(
        importProblems(file, text, () => false),
        [],
        text,
      );
    assert.deepEqual(
      importProblems('src/cli/a.ts', from('../api/paging.ts'), () => true),
      [],
    );
  });

  it('finds cycles by value, and not those by type', () => {
    const files = (kind: string): ReadonlyMap<string, string> =>
      new Map([
        ['a/x.ts', from('./y.ts')],
        ['a/y.ts', from('../b/z.ts')],
        ['b/z.ts', from('../a/x.ts', kind)],
      ]);
    assert.deepEqual(cycles(files('')), ['a/x.ts → a/y.ts → b/z.ts → a/x.ts']);
    assert.deepEqual(cycles(files('type ')), []);
  });

  it('takes an import of a type in braces for one by value, which it is when it runs', () => {
    assert.deepEqual(importsOf(word('im', "port { type A } from './a.ts';")), [
      { from: './a.ts', typeOnly: false },
    ]);
  });
});

describe('the check of sources', () => {
  const bad: readonly string[] = [
    word('ex', 'port default 1;'),
    word('ex', 'port { a as default };'),
    word('en', 'um A { B }'),
    word('ex', 'port const en', 'um A { B }'),
    word('name', 'space A {}'),
    word('class A { constructor(pri', 'vate a: string) {} }'),
    word('class A { constructor(read', 'only a: string) {} }'),
    word('class A {\n  pri', 'vate a = 1;\n}'),
    word('it.', "only('x', () => {});"),
    word('describe.', "skip('x', () => {});"),
    word('test.', "todo('x');"),
    word("it('x', { sk", 'ip: true }, () => {});'),
  ];
  for (const sample of bad) {
    it(`catches ${sample.split('\n').join(' ')}`, () => {
      assert.equal(sourceProblems('test/a.ts', sample).length, 1);
    });
  }

  it('lets pass what merely looks like it', () => {
    const good = [
      'const kinds = { enum: 1 };',
      'z.enum([1]);',
      'constructor(options: readonly string[]) {}',
      "it('x', { skip: await missing() }, () => {});",
      'const only = 1;',
      'class A { readonly a = 1; }',
    ];
    for (const sample of good) assert.deepEqual(sourceProblems('test/a.ts', sample), [], sample);
  });

  it('looks into code, not into comments', () => {
    assert.equal(withoutComments("a; // b\n/* c */ d('// e');"), "a; \n d('// e');");
  });
});

describe('the check of keys', () => {
  const model = 'type Labels = Readonly<Record<string, string>>;\nreadonly engines: Labels;';
  const types = textKeyedTypes([model]);
  const fields = textKeyedFields([model], types);
  const problems = (code: string): readonly string[] =>
    keyProblems('src/core/a.ts', code, types, fields);

  for (const code of [
    'const x = profile.engines[Engine.Type];',
    'const aliases: Readonly<Record<string, string>> = { a: "b" };\naliases[word]',
    'function f(labels: Labels) { return labels[key]; }',
    'function queryOf(r: R): Readonly<Record<string, string>> { return r.q; }\nqueryOf(r)[name]',
    'return (value as Record<string, unknown>)[key];',
    'const env: Record<string, string> = {};\nenv[name] = value;',
    'profile.engines?.[`${word}/x`]',
  ]) {
    it(`catches ${code.split('\n').join(' ')}`, () => assert.equal(problems(code).length, 1));
  }

  it('lets pass what no word of others decides, and what is no such map', () => {
    const good = [
      'own(profile.engines, Engine.Type)',
      "profile.engines['docker']",
      'container.engines[LABELS.node]',
      'engines[`SHOAL_PORT_${name}`]',
      'const phases: Readonly<Record<Phase, number>> = {};\nphases[body.phase]',
      'const list: readonly string[] = [];\nlist[index]',
    ];
    for (const code of good) assert.deepEqual(problems(code), [], code);
    assert.deepEqual(keyProblems('src/store/a.ts', 'engines[word]', types, fields), []);
  });
});

describe('the check of texts', () => {
  it('catches what is left to be done, paths of one machine and foreign line ends', () => {
    for (const sample of [
      word('// TO', 'DO later'),
      word('FIX', 'ME'),
      '/srv/x/src',
      word('/Us', 'ers/me'),
      'a\r\nb',
    ]) {
      assert.equal(textProblems('a.md', sample, '/srv/x').length, 1, sample);
    }
    assert.deepEqual(textProblems('a.md', 'todo lists, /srv/y', '/srv/x'), []);
  });
});

describe('the check of casing', () => {
  it('finds values at the head of a file, and neither functions nor what is made there', () => {
    const found = (text: string): number => casingProblems('a.ts', text).length;
    for (const bad of ['const aMs = 5;', "export const a: Name = 'b';", 'const a = /b/;'])
      assert.equal(found(bad), 1, bad);
    for (const good of [
      'const A_MS = 5;',
      'const a = () => 5;',
      'const a = make(5);',
      '  const a = 5;',
    ])
      assert.equal(found(good), 0, good);
  });
});

describe('the check of documents', () => {
  it('reads headings with their numbers and compares them with the codes', () => {
    const text = '### `a-b`\n\nHTTP 404 · exit code 3 · again\n\nWords.\n\n### Other\n';
    assert.deepEqual(documentedCodes(text), [{ code: 'a-b', status: 404, exit: 3, again: true }]);
    assert.deepEqual(neverMade(['a-b', 'c'], ["fail({ code: 'c' }); // code: 'a-b'"]), ['a-b']);
    assert.deepEqual(headingProblems(['a', 'b', 'b'], ['b', 'c']), [
      'c has no heading',
      'a is no failure code',
      'b has two headings',
    ]);
  });
});
