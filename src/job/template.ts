/**
 * Go templates in a job spec: renders the text before it is read as YAML, with the user's variables
 * and a missing one as an error. The façade over the template library: what differs from Go and
 * can be mended from outside is mended here. Only the CLI renders templates, on the user's own
 * file; a peer never does.
 */
import { createEngine, TemplateError, MissingFieldError } from '@promptctl/go-template-js';
import type { FuncMap, Template } from '@promptctl/go-template-js';
import { TEXT_MAX } from './bounds.ts';
import { closest, show, type Place, type Problem } from './problem.ts';

export type Rendered =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Pieces of text that a rendered spec may have; what has more characters than `TEXT_MAX` is not read anyway. */
const PIECES_MAX = 250_000;
const TOO_LONG = 'it makes more text than a spec may have';
/** As in Go; a wider field would fill the memory. */
const WIDTH_MAX = 1_000_000;

class TooLong extends Error {
  override readonly name = 'TooLong';
}

type Variables = ReadonlyMap<string, string>;

/** What the library prints for a nil value; Go's parser refuses a nil where it would be printed. */
const NO_VALUE = '<no value>';

/** Variables without a value that are told at once. */
const MISSING_MAX = 50;

/**
 * Renders `text` with `variables` as the data (`{{.name}}`, `{{index . "na-me"}}`). Never throws. Of variables
 * without a value all are told: each is taken for empty, and the rest is read on.
 * @param sourceName file name for the place of a problem.
 */
export function renderTemplate(
  text: string,
  variables: Variables,
  sourceName = 'template',
): Rendered {
  // Own Map: what a template can reach must be nothing but texts.
  const data = new Map(variables);
  const missing: Problem[] = [];
  for (;;) {
    const once = renderOnce(text, data, sourceName, variables);
    if (once.missing === null) {
      if (missing.length > 0) return { ok: false, problems: missing };
      return once.rendered;
    }
    missing.push(...(once.rendered.ok ? [] : once.rendered.problems));
    data.set(once.missing, '');
    if (missing.length >= MISSING_MAX) return { ok: false, problems: missing };
  }
}

interface Once {
  readonly rendered: Rendered;
  /** A variable that has no value. */
  readonly missing: string | null;
}

/** @param given the variables that have a value, of which one may have been meant */
function renderOnce(text: string, data: Variables, sourceName: string, given: Variables): Once {
  const engine = createBoundedEngine();
  try {
    const template = engine.parse(text);
    const unknown = [...template.referencedFunctions()].find((name) => name in Object.prototype);
    if (unknown !== undefined) {
      const place = placeOfText(text, unknown, sourceName);
      return { rendered: failed(place, `function ${show(unknown)} is not defined`), missing: null };
    }
    return { rendered: print(template, data, text, sourceName), missing: null };
  } catch (error) {
    const name = error instanceof MissingFieldError ? (error.path[0] ?? '') : '';
    const missing = name === '' || data.has(name) ? null : name;
    return { rendered: explain(error, data, sourceName, given), missing };
  }
}

function print(
  template: Template<string>,
  data: Variables,
  text: string,
  sourceName: string,
): Rendered {
  const parts = template.evaluate(data);
  const literal = [text, ...data.values()].some((value) => value.includes(NO_VALUE));
  if (!literal && parts.includes(NO_VALUE)) {
    return failed(placeOfText(text, 'nil', sourceName), 'nil is not a value that can be printed');
  }
  return { ok: true, text: parts.join('') };
}

function explain(error: unknown, data: Variables, sourceName: string, given: Variables): Rendered {
  if (error instanceof MissingFieldError) {
    const name = error.path[0] ?? '';
    const place = { source: sourceName, line: error.pos.line, column: error.pos.column };
    if (error.path.length > 1 && data.has(name)) {
      return failed(place, `${show(name)} is a text and has no field ${show(error.path[1])}`);
    }
    const near = closest(name, [...given.keys()]);
    const hint = near === null ? '' : ` Did you mean ${show(near)}?`;
    return failed(
      place,
      `the template variable ${show(name)} has no value; give it with -V ${name}=VALUE.${hint}`,
    );
  }
  if (error instanceof TemplateError) {
    const place = { source: sourceName, line: error.pos.line, column: error.pos.column };
    return failed(place, error.message);
  }
  if (error instanceof TooLong) return failed(null, `the template cannot be rendered: ${TOO_LONG}`);
  // The library has no error of its own for endless recursion, and none for its own defects.
  const why = error instanceof RangeError ? 'it never comes to an end' : String(error);
  return failed(null, `the template cannot be rendered: ${why}`);
}

function failed(place: Place | null, message: string): Rendered {
  return { ok: false, problems: [{ place, path: '', code: 'template', message }] };
}

/** Where a word first stands in an action, for the cases in which the library does not say. */
function placeOfText(text: string, word: string, sourceName: string): Place | null {
  for (const action of text.matchAll(/\{\{[^]*?\}\}/g)) {
    const within = action[0].search(new RegExp(`\\b${word}\\b`));
    if (within < 0) continue;
    const before = text.slice(0, action.index + within).split('\n');
    return { source: sourceName, line: before.length, column: (before.at(-1) ?? '').length + 1 };
  }
  return null;
}

/** As in Go, where the data is a `map[string]string`: a key that is not there gives the empty text. */
function index(collection: unknown, ...keys: readonly (string | number | bigint)[]): unknown {
  let value = collection;
  for (const key of keys) {
    if (value instanceof Map && typeof key === 'string') {
      value = value.get(key) ?? '';
    } else if (typeof value === 'string' && typeof key !== 'string') {
      const code = value.charCodeAt(Number(key));
      if (Number.isNaN(code)) throw new Error(`index out of range: ${key}`);
      value = code;
    } else {
      throw new Error(`a ${typeof value} cannot be indexed with ${show(key)}`);
    }
  }
  return value;
}

const plainEngine = createEngine<string>({ fromString: (text) => text, missingKey: 'error' });

/** One value by one verb, formatted by the library. */
const formatOne = plainEngine.parse('{{printf .format .value}}');

const ZERO_PADDED = /%([-+# ]*)0([-+# 0]*)(\d+)(\.\d+)?([dfFeEgGxXob])/;
const VERB = /%[-+# 0]*\d*(?:\.\d+)?([a-zA-Z%])/g;

/** The library's printf pads numbers with blanks where the verb asks for zeros (`%03d`). */
function printf(format: string, ...args: readonly unknown[]): string {
  const verbs = [...format.matchAll(VERB)].filter((verb) => verb[1] !== '%');
  for (const [verb] of verbs)
    if ((verb.match(/\d+/g) ?? []).some((digits) => Number(digits) > WIDTH_MAX))
      throw new Error(`the width of ${show(verb)} is too large`);
  const values = args.map((value, at) => zeroPadded(verbs[at]?.[0] ?? '', value) ?? value);
  let at = 0;
  const rewritten = format.replace(VERB, (verb, letter: string) => {
    if (letter === '%') return verb;
    const padded = at < args.length && zeroPadded(verb, args[at]) !== null;
    at += 1;
    return padded ? '%s' : verb;
  });
  return formatAll(rewritten, values);
}

function zeroPadded(verb: string, value: unknown): string | null {
  const parts = ZERO_PADDED.exec(verb);
  if (parts === null || (typeof value !== 'number' && typeof value !== 'bigint')) return null;
  const flags = `${parts[1]}${parts[2]}`.replaceAll('0', '');
  if (flags.includes('-')) return null;
  const plain = formatAll(`%${flags}${parts[4] ?? ''}${parts[5]}`, [value]);
  const text = flags.includes('+') && /^\d/.test(plain) ? `+${plain}` : plain;
  const sign = /^[-+ ]/.exec(text)?.[0] ?? '';
  return sign + text.slice(sign.length).padStart(Number(parts[3]) - sign.length, '0');
}

function formatAll(format: string, values: readonly unknown[]): string {
  if (values.length === 1) {
    return formatOne
      .evaluate(
        new Map<string, unknown>([
          ['format', format],
          ['value', values[0]],
        ]),
      )
      .join('');
  }
  const names = values.map((_, at) => `v${at}`);
  const template = plainEngine.parse(
    `{{printf .format ${names.map((name) => `.${name}`).join(' ')}}}`,
  );
  const data = new Map<string, unknown>([['format', format]]);
  names.forEach((name, at) => data.set(name, values[at]));
  return template.evaluate(data).join('');
}

const functions: FuncMap = {
  index: { fn: index, argTypes: ['collection', 'index-key'] },
  printf: { fn: printf, argTypes: ['string', 'value'], returnType: 'string' },
};

/** A few nested loops or templates that call each other twice would write for ever: it counts. */
function createBoundedEngine(): ReturnType<typeof createEngine<string>> {
  let pieces = 0;
  let characters = 0;
  const fromString = (text: string): string => {
    pieces += 1;
    characters += text.length;
    if (pieces > PIECES_MAX || characters > TEXT_MAX) throw new TooLong(TOO_LONG);
    return text;
  };
  return createEngine<string>({ fromString, missingKey: 'error', funcs: functions });
}
