/**
 * Templates against the output of Go 1.19's `text/template` (option `missingkey=error`) for the same
 * data, and the wording of the errors a user meets.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatProblem } from '../../../src/job/problem.ts';
import { renderTemplate } from '../../../src/job/template.ts';

interface Golden {
  readonly template: string;
  /** What Go prints. */
  readonly text?: string;
  /** Go's error. */
  readonly error?: string;
}

const GOLDEN = JSON.parse(
  readFileSync(new URL('go-templates.json', import.meta.url), 'utf8'),
) as readonly Golden[];

const VARIABLES = new Map([
  ['query', 'SELECT 1'],
  ['n', '2'],
  ['empty', ''],
  ['start-time', '2024-01-01'],
]);

/** Where we differ from Go on purpose or by the library, with what we print. */
const KNOWN_DIFFERENCES = new Map([
  // Go cannot range over a text; the library gives its characters.
  ['{{range $i, $c := (slice .query 0 2)}}{{$i}}{{end}}', '01'],
]);

function render(template: string, variables: ReadonlyMap<string, string> = VARIABLES): string {
  const result = renderTemplate(template, variables, 'job.yaml');
  return result.ok ? result.text : `error: ${result.problems.map(formatProblem).join('; ')}`;
}

describe('templates', () => {
  for (const { template, text, error } of GOLDEN) {
    const known = KNOWN_DIFFERENCES.get(template);
    if (known !== undefined) {
      it(`${template} differs from Go: it gives ${known}`, () => {
        assert.equal(render(template), known);
        assert.notEqual(known, text);
      });
    } else {
      it(`${template} gives what Go gives`, () => {
        const result = renderTemplate(template, VARIABLES);
        assert.equal(
          result.ok,
          error === undefined,
          result.ok ? result.text : result.problems[0]?.message,
        );
        if (result.ok) assert.equal(result.text, text);
      });
    }
  }

  it('names a missing variable, its place and the remedy', () => {
    assert.equal(
      render('Name: x\nquery: {{.quary}}\n'),
      'error: job.yaml:2:10: the template variable "quary" has no value; give it with -V quary=VALUE. Did you mean "query"?',
    );
  });

  it('says where the text is not a template', () => {
    assert.match(render('Name: {{ if .n }}'), /^error: job\.yaml:1:\d+: expected `\{\{end\}\}`/);
    assert.match(
      render('a\n {{ constructor }}'),
      /^error: job\.yaml:2:5: function "constructor" is not defined/,
    );
    assert.match(render('{{ .query.foo }}'), /"query" is a text and has no field "foo"/);
  });

  it('gives the empty text for an index that is not there, as Go does for a map of texts', () => {
    assert.equal(render('[{{index . "no"}}]{{eq (index . "no") ""}}{{index .n 0}}'), '[]true50');
  });

  it('pads numbers with zeros, and leaves the other verbs as they were', () => {
    const template = '{{printf "%03d|%-5s|%5.2f|%+04d|%%|%08.3f" 7 "x" 1.5 3 -3.14159}}';
    assert.equal(render(template), '007|x    | 1.50|+003|%|-003.142');
  });

  it('keeps values as they are, whatever they hold', () => {
    const values = fc.string({ unit: 'binary' });
    fc.assert(
      fc.property(values, (value) => {
        assert.equal(
          render('<{{.v}}|{{index . "v"}}>', new Map([['v', value]])),
          `<${value}|${value}>`,
        );
      }),
      { numRuns: 200 },
    );
  });

  it('never throws, and never reaches anything but the variables', () => {
    const word = fc.constantFrom(
      '{{',
      '}}',
      '.query',
      '.constructor',
      '.__proto__',
      'printf',
      '"%d"',
      'index',
      '.',
      '(',
      ')',
      'if',
      'end',
      'range',
      'nil',
      '|',
      ' ',
      '$x',
      ':=',
      '1',
      'call',
      '"constructor"',
      'define "T"',
      'template "T" .',
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 14 }), (words) => {
        const text = render(words.join(' '));
        assert.doesNotMatch(text, /native code|\[object/);
      }),
      { numRuns: 500 },
    );
  });

  it('ends for a template that calls itself', () => {
    assert.match(
      render('{{define "T"}}{{template "T" .}}{{end}}{{template "T" .}}'),
      /^error: .*never comes to an end/,
    );
  });
});
