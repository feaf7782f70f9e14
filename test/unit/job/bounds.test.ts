/** Nothing that a spec may hold costs more than its size: the bounds, and texts made to be slow. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseJob, parseJobValue } from '../../../src/job/parse.ts';
import { formatProblem } from '../../../src/job/problem.ts';
import { parseSelector } from '../../../src/job/selector.ts';
import { decodeDataUrl } from '../../../src/job/inline.ts';
import { renderTemplate } from '../../../src/job/template.ts';

/** A hang takes minutes; a loaded machine does not need this much for what is linear. */
const MAX_MS = 5_000;

function quickly<T>(what: string, work: () => T): T {
  const from = performance.now();
  const result = work();
  const ms = performance.now() - from;
  assert.ok(ms < MAX_MS, `${what} took ${Math.round(ms)} ms`);
  return result;
}

const parse = (text: string) => parseJob(text, { sourceName: 'job.yaml' });
const lines = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => line(index)).join('\n');

test('a spec of 300,000 keys is refused at once, as YAML, as JSON and as a value', () => {
  const map = Object.fromEntries(Array.from({ length: 300_000 }, (_, index) => [`k${index}`, '1']));
  const results = [
    quickly('yaml', () => parse(`Labels:\n${lines(300_000, (index) => `  k${index}: 1`)}`)),
    quickly('json', () => parse(JSON.stringify({ Labels: map }))),
    quickly('value', () => parseJobValue({ Labels: map })),
    quickly('list', () => parseJobValue({ Tasks: Array.from({ length: 300_000 }, () => 1) })),
  ];
  for (const result of results) {
    assert.ok(!result.ok);
    assert.match(result.problems[0]?.message ?? '', /more than 32768 values/);
  }
});

test('what is below the bounds costs no more than its size', () => {
  const texts = {
    'keys of a map': `Labels:\n${lines(30_000, (index) => `  k${index}: ${index}`)}`,
    'unknown keys': lines(30_000, (index) => `k${index}: 1`),
    'one key over and over': lines(30_000, () => 'k: 1'),
    'numbers as texts': `Tasks: [{Env: {${Array.from({ length: 30_000 }, (_, index) => `k${index}: ${index}`).join(', ')}}}]`,
    anchors: lines(20_000, (index) => `k${index}: &a${index} 1`),
    'wrong escapes': `a: "${'\\x'.repeat(50_000)}"`,
    'open brackets': '['.repeat(20_000),
    'open maps': '{a: '.repeat(10_000),
    dashes: '- '.repeat(20_000),
    questions: '? '.repeat(20_000),
    documents: '---\n'.repeat(50_000),
    'blank lines': `a: |\n${'\n'.repeat(100_000)} x`,
    'long words': `a: ${'b '.repeat(1_000_000)}`,
  };
  for (const [what, text] of Object.entries(texts)) {
    const result = quickly(what, () => parse(text));
    assert.ok(!result.ok, what);
    assert.ok(result.problems.length <= 21, what);
  }
});

test('maps that take each other over do not multiply', () => {
  const levels = lines(9, (level) =>
    level === 0
      ? 'a0: &a0 {x: 1}'
      : `a${level}:\n  &a${level}\n  <<: [${Array.from({ length: 10 }, () => `*a${level - 1}`).join(', ')}]`,
  );
  assert.ok(!quickly('merges', () => parse(levels)).ok);
  assert.ok(!quickly('aliases', () => parse(`a: &a 1\nb: [${'*a, '.repeat(20_000)}]`)).ok);
});

test('a key that is there twice is reported at its place, and a merge may be repeated', () => {
  const twice = parse('Type: batch\nName: a\nName: b\n');
  assert.ok(!twice.ok);
  assert.deepEqual(twice.problems[0]?.place, { source: 'job.yaml', line: 3, column: 1 });
  assert.equal(twice.problems[0]?.code, 'duplicate');
});

/** Texts at which expressions that backtrack take quadratic time or more. */
const SLOW_TEXTS = ['a', '-', '.', '/', ' ', '0', '=', ',', 'a.', 'a-', '../', ':', '%', '&a', '!'];

test('no text in any field of a spec takes time out of proportion', () => {
  const set = (text: string): Record<string, unknown>[] => {
    const task = (more: Readonly<Record<string, unknown>>) => ({
      Type: 'batch',
      Tasks: [{ Name: 'main', Engine: { Type: 'docker', Params: { Image: 'a' } }, ...more }],
    });
    return [
      { Name: text, Namespace: text, Type: text, Labels: { [text]: text }, [text]: 1 },
      { Type: 'batch', Constraints: [{ Key: text, Operator: 'in', Values: [text] }] },
      { Type: 'batch', Constraints: [{ Key: 'a', Operator: 'gt', Values: [text] }] },
      task({ Engine: { Type: 'docker', Params: { Image: text, WorkingDirectory: text } } }),
      task({ Resources: { CPU: text, Memory: text, Disk: text, GPU: text } }),
      task({
        Network: { Type: text, Domains: [text], Ports: [{ Name: text, HostNetwork: text }] },
      }),
      task({ Network: { Type: 'HTTP', Domains: [text] } }),
      task({ Env: { [text]: text }, ResultPaths: [{ Name: text, Path: text }] }),
      task({ InputSources: [{ Target: text, Source: { Type: 'ipfs', Params: { CID: text } } }] }),
      task({ InputSources: [{ Target: '/a', Source: { Type: 'inline', Params: { URL: text } } }] }),
      task({
        InputSources: [
          { Target: '/a', Source: { Type: 'localDirectory', Params: { SourcePath: text } } },
        ],
      }),
      task({
        InputSources: [{ Target: '/a', Source: { Type: 'urlDownload', Params: { URL: text } } }],
      }),
      task({
        InputSources: [
          {
            Target: '/a',
            Source: { Type: 's3', Params: { Bucket: text, Key: text, Endpoint: text } },
          },
        ],
      }),
      task({ Publisher: { Type: text, Params: { Bucket: text } } }),
    ];
  };
  for (const piece of SLOW_TEXTS) {
    const text = piece.repeat(Math.ceil(200_000 / piece.length));
    for (const ending of ['', '!', '\n', '\u0000'])
      for (const [index, spec] of set(`${text}${ending}`).entries())
        quickly(`spec ${index} of ${JSON.stringify(piece)}`, () => parseJobValue(spec));
    quickly(`selector of ${piece}`, () => parseSelector(text));
    quickly(`data of ${piece}`, () => decodeDataUrl(`data:;base64,${text}`));
    quickly(`type of data of ${piece}`, () => decodeDataUrl(`data:${text}`));
  }
});

test('a template that writes without end is ended', () => {
  const doubling = Array.from({ length: 60 }, (_, level) => {
    const call = `{{template "a${level - 1}" .}}`;
    return `{{define "a${level}"}}${level === 0 ? 'x' : call + call}{{end}}`;
  }).join('');
  const wide = '{{range (printf "%1000s" "x")}}';
  const texts = {
    doubling: `${doubling}{{template "a59" .}}`,
    'nested loops': `${wide.repeat(5)}x${'{{end}}'.repeat(5)}`,
    recursion: '{{define "a"}}x{{template "a" .}}{{end}}{{template "a" .}}',
    'a wide field': '{{printf "%999999999d" 1}}',
    'a wide field of zeros': '{{printf "%0999999999d" 1}}',
  };
  for (const [what, text] of Object.entries(texts)) {
    const result = quickly(what, () => renderTemplate(text, new Map()));
    assert.equal(result.ok, false, what);
  }
});

test('what is said about a spec is short, however long its words are', () => {
  const long = 'k'.repeat(1_000_000);
  const specs = [
    { [long]: 1, Type: long, Tasks: long },
    { Labels: { [long]: [1] }, Constraints: [{ [long]: long, Key: long, Operator: long }] },
    { Tasks: [{ Engine: { Type: 'x', Params: { [long]: { [long]: [[[[[[[[[[1]]]]]]]]]] } } } }] },
    { Tasks: [{ Env: { [long]: long }, Network: { Ports: [{ Name: long, [long]: 1 }] } }] },
  ];
  for (const [index, spec] of specs.entries()) {
    const result = parseJobValue(spec);
    assert.ok(!result.ok);
    const said = [...result.problems, ...result.warnings].map(formatProblem).join('\n');
    assert.ok(said.length < 20_000, `${index}: ${said.length} characters`);
  }
});
