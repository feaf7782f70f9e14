/**
 * What is wrong or doubtful in a job spec: its place in the text, its path in the spec and a
 * sentence with the value and what was expected. Collects all of them, so that a user mends a spec
 * in one go. Does not decide what is wrong: that is done where each part is read.
 */

/** A position in the text; line and column count from 1. */
export interface Place {
  readonly source: string;
  readonly line: number;
  readonly column: number;
}

export type ProblemCode =
  /** Not YAML or JSON, or too deep, or too large. */
  | 'unreadable'
  /** The spec holds nothing. */
  | 'empty'
  /** The template cannot be rendered. */
  | 'template'
  /** A key that no part of a spec has. */
  | 'unknown-field'
  /** A key that only a server may set. */
  | 'server-field'
  | 'required'
  | 'wrong-type'
  | 'out-of-range'
  /** Text that is none of the known words. */
  | 'unknown-value'
  /** Text that does not follow its grammar. */
  | 'malformed'
  /** A name kept for the system. */
  | 'reserved'
  | 'duplicate'
  /** Two parts that exclude each other. */
  | 'conflict'
  /** It would escape from where it belongs or could never run. */
  | 'unsafe'
  /** Accepted, but left out. */
  | 'ignored'
  /** Accepted, but perhaps not what was meant. */
  | 'doubtful'
  /** Stands for those beyond the limit. */
  | 'more';

export interface Problem {
  /** Null for a value that came without text (the API's JSON). */
  readonly place: Place | null;
  /** Path in the spec, e.g. `Tasks[0].Engine.Params.Image`; '' for the whole. */
  readonly path: string;
  readonly code: ProblemCode;
  readonly message: string;
}

/** Problems shown at once; more would scroll the first, most telling one away. */
export const PROBLEMS_MAX = 20;

/** `file:line:col path: message`; what is not known is left out. */
export function formatProblem(problem: Problem): string {
  const { place, path } = problem;
  const at = place === null ? '' : `${place.source}:${place.line}:${place.column}`;
  const head = [at, path].filter((part) => part !== '').join(' ');
  return head === '' ? problem.message : `${head}: ${problem.message}`;
}

/** Key of a map as written, or index of a list. */
export type Step = string | number;

/** A value of the spec, with the way to it. */
export interface Field {
  /** `undefined` when the field is not there. */
  readonly value: unknown;
  /** For people: canonical spelling. */
  readonly path: string;
  /** For finding the place: keys as the user wrote them. */
  readonly steps: readonly Step[];
}

/** The text a spec was written in. */
export interface SourceText {
  /** The place of a value or of its key; the nearest parent's when there is none. */
  placeOf(steps: readonly Step[], part: 'value' | 'key'): Place | null;
  /** A scalar as it was written (`3.10`, not 3.1); null when that is not known. */
  writtenAt(steps: readonly Step[]): string | null;
}

/** For values that came without text. */
export const NO_SOURCE: SourceText = { placeOf: () => null, writtenAt: () => null };

/** Collects problems and warnings while a spec is read. */
export interface Report {
  problem(field: Field, code: ProblemCode, message: string): void;
  warning(field: Field, code: ProblemCode, message: string): void;
  /** As `problem` and `warning`, but the place is that of the key. */
  problemAtKey(field: Field, code: ProblemCode, message: string): void;
  warningAtKey(field: Field, code: ProblemCode, message: string): void;
  /** A scalar as it was written; null when that is not known. */
  writtenAt(field: Field): string | null;
  /** In the order of the text, at most `PROBLEMS_MAX` and one that says how many more there are. */
  problems(): readonly Problem[];
  warnings(): readonly Problem[];
  failed(): boolean;
}

export function createReport(source: SourceText): Report {
  const problems = createList();
  const warnings = createList();
  const make = (field: Field, part: 'value' | 'key', code: ProblemCode, message: string) => ({
    place: source.placeOf(field.steps, part),
    path: field.path,
    code,
    message,
  });
  return {
    problem: (field, code, message) => problems.add(make(field, 'value', code, message)),
    warning: (field, code, message) => warnings.add(make(field, 'value', code, message)),
    problemAtKey: (field, code, message) => problems.add(make(field, 'key', code, message)),
    warningAtKey: (field, code, message) => warnings.add(make(field, 'key', code, message)),
    writtenAt: (field) => source.writtenAt(field.steps),
    problems: () => problems.shown(),
    warnings: () => warnings.shown(),
    failed: () => problems.count() > 0,
  };
}

/** Kept for sorting before the first `PROBLEMS_MAX` are shown; bounds the memory of a hostile spec. */
const KEPT_MAX = 1000;

function createList() {
  const kept: Problem[] = [];
  let count = 0;
  return {
    add(problem: Problem): void {
      count += 1;
      if (kept.length < KEPT_MAX) kept.push(problem);
    },
    count: () => count,
    shown: () => firstOf(kept, count),
  };
}

/** The first `PROBLEMS_MAX` in the order of the text, and one that says how many more there are. */
export function firstOf(problems: readonly Problem[], count = problems.length): readonly Problem[] {
  const shown = problems.toSorted(byPlace).slice(0, PROBLEMS_MAX);
  const rest = count - shown.length;
  if (rest === 0) return shown;
  return [...shown, { place: null, path: '', code: 'more', message: `… and ${rest} more` }];
}

function byPlace(a: Problem, b: Problem): number {
  if (a.place === null || b.place === null) return 0;
  return a.place.line - b.place.line || a.place.column - b.place.column;
}

/** Longest text of a user's value in a message, in characters. */
const SHOWN_MAX = 60;

/** A value for a message: JSON, cut, with nothing in it that a terminal would obey. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return quote(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'a map';
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`;
  return String(value);
}

function quote(text: string): string {
  const cut = text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text;
  return JSON.stringify(cut.toWellFormed()).replace(CONTROL_ALL, escapeCharacter);
}

// Controls, zero-width and bidirectional characters, line separators. JSON escapes only the first 32.
const CONTROL = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
const CONTROL_ALL = new RegExp(CONTROL, 'gu');

function escapeCharacter(character: string): string {
  const hex = (character.codePointAt(0) ?? 0).toString(16).padStart(4, '0');
  return hex.length === 4 ? `\\u${hex}` : `\\u{${hex}}`;
}

/** True when a terminal or a table would show the text as something else than it is. */
export function hasControlCharacters(text: string): boolean {
  return CONTROL.test(text);
}

/** The candidate that was probably meant, or null when none is near. */
export function closest(text: string, candidates: readonly string[]): string | null {
  const wanted = text.trim().toLowerCase();
  if (wanted === '' || wanted.length > SHOWN_MAX) return null;
  let best: string | null = null;
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(wanted, candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** ` Did you mean "x"?`, or nothing. */
export function suggestion(text: string, candidates: readonly string[]): string {
  const near = closest(text, candidates);
  return near === null || near === text ? '' : ` Did you mean "${near}"?`;
}

/** Insertions, deletions, replacements and swaps of neighbours between two short texts. */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, replaced);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (beforePrevious[j - 2] ?? 0) + 1);
      }
      current.push(cost);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length] ?? 0;
}
