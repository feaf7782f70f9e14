/**
 * Reads decoded YAML or JSON the way Go's JSON decoder does for Bacalhau: keys of structures match
 * in any case and `null` stands for "not given". Of the conversions only one is made: a number or
 * boolean where a text belongs is the text that was written.
 * Every reader is total: on a wrong type it reports a problem and returns the empty value, so that
 * reading goes on and finds the rest.
 */
import type { Json } from './model.ts';
import { show, suggestion, type Field, type Report } from './problem.ts';

/** Nesting allowed inside Params; the spec is then within the nesting limit of a record. */
const JSON_DEPTH_MAX = 8;

/** Unknown keys of one structure that are told apart; each is compared with all known ones. */
const UNKNOWN_MAX = 1000;

/** Assigning this key would replace an object's prototype instead of adding a member. */
const PROTOTYPE_KEY = '__proto__';

/** Keys of a structure in canonical spelling, and those that it does not know, as written. */
export interface Struct {
  readonly field: Field;
  get(name: string): Field;
  readonly unknown: readonly { readonly key: string; readonly field: Field }[];
}

export function isGiven(field: Field): boolean {
  return field.value !== undefined && field.value !== null;
}

/** A field below another one, by index. */
function itemOf(field: Field, index: number, value: unknown): Field {
  return { value, path: `${field.path}[${index}]`, steps: [...field.steps, index] };
}

/** A field below another one, by key. `written`: the key as the user wrote it. */
function memberOf(field: Field, name: string, written: string, value: unknown): Field {
  // A longer one is cut: the path stands in every message about what is below it.
  const plain = /^[A-Za-z_][\w-]{0,63}$/.test(name);
  const key = plain ? `${field.path === '' ? '' : '.'}${name}` : `[${show(name)}]`;
  return { value, path: `${field.path}${key}`, steps: [...field.steps, written] };
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/**
 * A structure with the given keys; one that is not given reads as an empty one.
 * @returns null when the value is not a map (reported).
 */
export function readStruct(report: Report, field: Field, names: readonly string[]): Struct | null {
  if (isGiven(field) && !isMap(field.value)) {
    const some = names.length === 0 ? '' : ` with ${names.slice(0, 4).join(', ')}`;
    const more = names.length > 4 ? ', …' : '';
    report.problem(field, 'wrong-type', `expected a map${some}${more}, got ${show(field.value)}`);
    return null;
  }
  const canonical = new Map(names.map((name) => [name.toLowerCase(), name]));
  const known = new Map<string, Field>();
  const unknown: { key: string; field: Field }[] = [];
  for (const [written, value] of Object.entries(isMap(field.value) ? field.value : {})) {
    const key = written.trim();
    const name = canonical.get(key.toLowerCase());
    const member = memberOf(field, name ?? key, written, value);
    if (name === undefined) {
      if (unknown.length >= UNKNOWN_MAX) {
        report.problemAtKey(member, 'unreadable', `more than ${UNKNOWN_MAX} unknown fields`);
        break;
      }
      if (isSafeKey(report, member, key)) unknown.push({ key, field: member });
      continue;
    }
    if (known.has(name)) {
      report.warningAtKey(member, 'duplicate', `${name} is given twice; this one is used`);
    }
    known.set(name, member);
  }
  const get = (name: string) => known.get(name) ?? memberOf(field, name, name, undefined);
  return { field, get, unknown };
}

/** As `readStruct`, with a warning for each unknown key: Bacalhau passes over them in silence. */
export function readKnown(report: Report, field: Field, names: readonly string[]): Struct | null {
  const struct = readStruct(report, field, names);
  for (const { key, field: member } of struct?.unknown ?? []) {
    const hint = suggestion(key, names);
    report.warningAtKey(member, 'unknown-field', `unknown field ${show(key)} is ignored.${hint}`);
  }
  return struct;
}

function isSafeKey(report: Report, field: Field, key: string): boolean {
  if (key === PROTOTYPE_KEY) {
    report.problemAtKey(field, 'reserved', `the key ${PROTOTYPE_KEY} cannot be used`);
    return false;
  }
  if (isStorable(key)) return true;
  const message = `the key ${show(key)} holds a NUL or half of a surrogate pair`;
  report.problemAtKey(field, 'malformed', message);
  return false;
}

/** Text; '' when not given. */
export function readText(report: Report, field: Field): string {
  if (!isGiven(field)) return '';
  const { value } = field;
  if (typeof value === 'number' || typeof value === 'boolean') return scalarText(report, field);
  if (typeof value !== 'string') {
    report.problem(field, 'wrong-type', `expected text, got ${show(value)}`);
    return '';
  }
  if (!isStorable(value)) {
    report.problem(field, 'malformed', `${show(value)} holds a NUL or half of a surrogate pair`);
    return '';
  }
  return value;
}

/** NUL ends a text in C, and half a surrogate pair has no UTF-8: neither survives a record. */
function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

/** `GPU: 1` and `VERSION: 3.10` mean the text; in JSON the number may already have lost its zero. */
function scalarText(report: Report, field: Field): string {
  const written = report.writtenAt(field);
  if (written !== null) return written;
  const text = String(field.value);
  report.warning(field, 'doubtful', `expected text; ${text} is taken as "${text}"`);
  return text;
}

/** A whole number within the range; null when not given or wrong. */
export function readInteger(
  report: Report,
  field: Field,
  range: { readonly min: number; readonly max: number },
): number | null {
  if (!isGiven(field)) return null;
  const { value } = field;
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    report.problem(field, 'wrong-type', `expected a whole number, got ${show(value)}`);
    return null;
  }
  if (value < range.min || value > range.max) {
    const { min, max } = range;
    const expected = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `${min} to ${max}`;
    report.problem(field, 'out-of-range', `expected ${expected}, got ${value}`);
    return null;
  }
  return value === 0 ? 0 : value; // -0 would not come back from a record as it was
}

// YAML 1.1 words, which Bacalhau's YAML reader takes for booleans, stand here as text.
const TRUE_WORDS = ['true', 'yes', 'on', '1', 't', 'y'];
const FALSE_WORDS = ['false', 'no', 'off', '0', 'f', 'n', ''];

/** True or false, also as text; null when not given or wrong. */
export function readBoolean(report: Report, field: Field): boolean | null {
  if (!isGiven(field)) return null;
  const { value } = field;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string') {
    const word = value.trim().toLowerCase();
    if (TRUE_WORDS.includes(word)) return true;
    if (FALSE_WORDS.includes(word)) return false;
  }
  report.problem(field, 'wrong-type', `expected true or false, got ${show(value)}`);
  return null;
}

/** The items of a list; none when not given. */
export function readItems(report: Report, field: Field): readonly Field[] {
  if (!isGiven(field)) return [];
  if (!Array.isArray(field.value)) {
    report.problem(field, 'wrong-type', `expected a list, got ${show(field.value)}`);
    return [];
  }
  return field.value.map((value: unknown, index) => itemOf(field, index, value));
}

/** A list of texts. An empty item (`- ` in YAML) is the empty text, as in Go. */
export function readTexts(report: Report, field: Field): readonly string[] {
  return readItems(report, field).map((item) => readText(report, item));
}

/** A map of texts with free keys: their case is kept, blanks around them are not. */
export function readTextMap(
  report: Report,
  field: Field,
): ReadonlyMap<string, { text: string; field: Field }> {
  const result = new Map<string, { text: string; field: Field }>();
  if (!isGiven(field)) return result;
  if (!isMap(field.value)) {
    report.problem(field, 'wrong-type', `expected a map of texts, got ${show(field.value)}`);
    return result;
  }
  for (const [written, value] of Object.entries(field.value)) {
    const key = written.trim();
    const member = memberOf(field, key, written, value);
    if (!isSafeKey(report, member, key)) continue;
    if (result.has(key)) {
      report.warningAtKey(member, 'duplicate', `${show(key)} is given twice; this one is used`);
    }
    result.set(key, { text: readText(report, member), field: member });
  }
  return result;
}

/** Any JSON value, copied: nothing in it that a record could not hold. */
export function readJson(report: Report, field: Field, depth = 0): Json {
  const { value } = field;
  if (value === undefined || value === null) return null;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string') return readText(report, field);
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value === 0 ? 0 : value;
    report.problem(field, 'wrong-type', `expected a finite number, got ${value}`);
    return null;
  }
  if (depth >= JSON_DEPTH_MAX) {
    report.problem(field, 'unreadable', `nested deeper than ${JSON_DEPTH_MAX} levels`);
    return null;
  }
  if (Array.isArray(value)) {
    return value.map((item: unknown, index) =>
      readJson(report, itemOf(field, index, item), depth + 1),
    );
  }
  if (isMap(value)) return readJsonMap(report, field, value, depth);
  report.problem(field, 'wrong-type', 'expected text, a number, true, false, a list or a map');
  return null;
}

function readJsonMap(
  report: Report,
  field: Field,
  map: Readonly<Record<string, unknown>>,
  depth: number,
): Json {
  const entries: [string, Json][] = [];
  for (const [key, value] of Object.entries(map)) {
    const member = memberOf(field, key, key, value);
    if (!isSafeKey(report, member, key)) continue;
    entries.push([key, readJson(report, member, depth + 1)]);
  }
  return Object.fromEntries(entries);
}
