/**
 * A job spec from its text (YAML or JSON) or from a decoded request body to the normalised `Job`.
 * Templates are rendered before (`template.ts`); what each field means is read in `normalise.ts`.
 */
import { isAlias, isMap, isScalar, isSeq, parseDocument, visit } from 'yaml';
import type { Document, YAMLMap } from 'yaml';
import { ALIASES_MAX, TEXT_MAX, whyTooMuch, whyTooMuchText } from './bounds.ts';
import type { Job } from './model.ts';
import { readJob, type Mode } from './normalise.ts';
import {
  createReport,
  firstOf,
  NO_SOURCE,
  type Place,
  type Problem,
  type SourceText,
  type Step,
} from './problem.ts';

export type ParseResult =
  | { readonly ok: true; readonly job: Job; readonly warnings: readonly Problem[] }
  | {
      readonly ok: false;
      readonly problems: readonly Problem[];
      readonly warnings: readonly Problem[];
    };

export interface ParseOptions {
  /** File name for places. */
  readonly sourceName: string;
  /** Default `strict`. */
  readonly mode?: Mode;
}

/** May stand in a map several times; each takes the keys of another map over. */
const MERGE_KEY = '<<';

/** A spec from its text. An empty `Name` stands for the job's id, which is not known yet. Never throws. */
export function parseJob(text: string, options: ParseOptions): ParseResult {
  const source = options.sourceName;
  const start: Place = { source, line: 1, column: 1 };
  if (text.length > TEXT_MAX) {
    const message = `the spec has ${text.length} characters; at most ${TEXT_MAX} are read`;
    return refused([{ place: start, path: '', code: 'unreadable', message }]);
  }
  const tooMuch = whyTooMuchText(text);
  if (tooMuch !== null) {
    const message = `not readable as a spec: ${tooMuch}`;
    return refused([{ place: start, path: '', code: 'unreadable', message }]);
  }
  const at = createPlaces(text, source);
  let decoded: Decoded;
  try {
    decoded = decode(text, at);
  } catch (error) {
    const message = `not readable as YAML or JSON: ${whyUndecodable(error)}`;
    return refused([{ place: start, path: '', code: 'unreadable', message }]);
  }
  if (decoded.problems.length > 0) return refused(decoded.problems);
  if (decoded.value === null || decoded.value === undefined) {
    return refused([{ place: start, path: '', code: 'empty', message: 'the spec is empty' }]);
  }
  return read(
    decoded.value,
    createSourceText(decoded.document, at),
    options.mode ?? 'strict',
    decoded.warnings,
  );
}

/** A spec from decoded JSON; problems have a path but no place. Never throws. */
export function parseJobValue(value: unknown, options: { readonly mode?: Mode } = {}): ParseResult {
  if (value === null || value === undefined) {
    return refused([{ place: null, path: '', code: 'empty', message: 'the spec is empty' }]);
  }
  return read(value, NO_SOURCE, options.mode ?? 'lenient', []);
}

function read(
  value: unknown,
  source: SourceText,
  mode: Mode,
  earlier: readonly Problem[],
): ParseResult {
  const tooMuch = whyTooMuch(value);
  if (tooMuch !== null) {
    const message = `not readable as a spec: ${tooMuch}`;
    return refused([{ place: null, path: '', code: 'unreadable', message }]);
  }
  const report = createReport(source);
  const job = readJob(report, { value, path: '', steps: [] }, mode);
  const warnings = [...earlier, ...report.warnings()];
  if (job === null) return { ok: false, problems: report.problems(), warnings };
  return { ok: true, job, warnings };
}

function refused(problems: readonly Problem[]): ParseResult {
  return { ok: false, problems: firstOf(problems), warnings: [] };
}

interface Decoded {
  readonly document: Document;
  readonly value: unknown;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** @throws what the YAML library throws for alias bombs and bottomless nesting. */
function decode(text: string, at: (offset: number) => Place): Decoded {
  const document = parseDocument(text, {
    merge: true,
    prettyErrors: false,
    stringKeys: true,
    // The library compares every key with every other one; see `duplicateKeys`.
    uniqueKeys: false,
  });
  const several = document.errors.find((error) => error.code === 'MULTIPLE_DOCS');
  const bottomless = document.errors.find(isTooDeep);
  if (bottomless !== undefined) throw bottomless;
  // One slip makes several errors at one position; only the first of them tells what it was.
  const errors = new Map(
    document.errors
      .filter((error) => error !== several)
      .map((error) => [error.pos[0], error] as const)
      .reverse(),
  );
  const unreadable = [...errors.values()].map(
    (error): Problem => ({
      place: at(error.pos[0]),
      path: '',
      code: 'unreadable',
      message: `not readable as YAML or JSON: ${error.message}`,
    }),
  );
  const problems = [...unreadable, ...duplicateKeys(document, at)];
  const warnings = document.warnings.map(
    (warning): Problem => ({
      place: at(warning.pos[0]),
      path: '',
      code: 'doubtful',
      message: warning.message,
    }),
  );
  if (several !== undefined) {
    const message = 'only the first document of the file is read';
    warnings.push({ place: at(several.pos[0]), path: '', code: 'ignored', message });
  }
  const value: unknown = problems.length > 0 ? null : document.toJS({ maxAliasCount: ALIASES_MAX });
  return { document, value, problems, warnings: firstOf(warnings) };
}

/** Every key that a map has already. */
function duplicateKeys(document: Document, at: (offset: number) => Place): Problem[] {
  const problems: Problem[] = [];
  visit(document, {
    Map(_, map) {
      const seen = new Set<unknown>();
      for (const { key } of map.items) {
        const value: unknown = isScalar(key) ? key.value : key;
        if (seen.has(value) && value !== MERGE_KEY) {
          const message = 'not readable as YAML or JSON: Map keys must be unique';
          problems.push({ place: at(startOf(key) ?? 0), path: '', code: 'duplicate', message });
        }
        seen.add(value);
      }
    },
  });
  return problems;
}

function whyUndecodable(error: unknown): string {
  if (isTooDeep(error)) return 'it is nested too deeply';
  return error instanceof Error ? error.message : String(error);
}

/** The YAML library has no limit of its own: it reports that the engine ran out of stack. */
function isTooDeep(error: unknown): boolean {
  return error instanceof Error && /call stack/i.test(error.message);
}

/** Line and column of an offset, kept inside the text. (The library's own counter loses lines.) */
function createPlaces(text: string, source: string): (offset: number) => Place {
  const starts = [0];
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', end + 1))
    starts.push(end + 1);
  return (offset) => {
    const inside = Math.min(Math.max(offset, 0), text.length);
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((starts[middle] ?? 0) <= inside) low = middle;
      else high = middle - 1;
    }
    return { source, line: low + 1, column: inside - (starts[low] ?? 0) + 1 };
  };
}

function createSourceText(document: Document, at: (offset: number) => Place): SourceText {
  return {
    placeOf(steps, part) {
      const found = find(document, steps);
      return at(part === 'key' ? found.keyOffset : found.offset);
    },
    writtenAt(steps) {
      const { node } = find(document, steps);
      return isScalar(node) ? (node.source ?? null) : null;
    },
  };
}

interface Found {
  /** Null when the way leads to nothing; the offsets are then those of the nearest parent. */
  readonly node: unknown;
  readonly offset: number;
  readonly keyOffset: number;
}

type Pairs = ReadonlyMap<unknown, YAMLMap['items'][number]>;

/** The pairs of each map by key: a spec may ask for the place of each of its values. */
const pairsOf = new WeakMap<YAMLMap, Pairs>();

function pairOf(map: YAMLMap, key: Step): YAMLMap['items'][number] | undefined {
  let pairs = pairsOf.get(map);
  if (pairs === undefined) {
    const scalars = map.items.filter((item) => isScalar(item.key)).toReversed();
    pairs = new Map(scalars.map((item) => [String((item.key as { value: unknown }).value), item]));
    pairsOf.set(map, pairs);
  }
  return pairs.get(key);
}

function find(document: Document, steps: readonly Step[]): Found {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  let keyOffset = offset;
  const nothing = (): Found => ({ node: null, offset, keyOffset: offset });
  for (const step of steps) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = pairOf(node, step);
      if (pair === undefined) return nothing();
      keyOffset = startOf(pair.key) ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof step === 'number') {
      node = node.items[step];
      keyOffset = startOf(node) ?? offset;
    } else return nothing();
    // Nothing after the colon has no place of its own worth pointing at.
    const blank = node === null || (isScalar(node) && node.value === null && !node.source);
    offset = blank ? keyOffset : (startOf(node) ?? keyOffset);
  }
  if (isAlias(node)) node = node.resolve(document);
  return { node, offset, keyOffset };
}

function startOf(node: unknown): number | null {
  const ranged = node as
    | { readonly range?: readonly [number, number, number] | null }
    | null
    | undefined;
  return ranged?.range?.[0] ?? null;
}
