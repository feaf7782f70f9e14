/**
 * The places a setting may come from, each read into the same shape: path, value, origin. A problem
 * in one place does not hide those of another. Precedence is decided in `load.ts`.
 */
import { LineCounter, isMap, isScalar, parseDocument } from 'yaml';
import type { YAMLMap } from 'yaml';
import { serveFlags } from './flags.ts';
import { fromText, fromTexts, leaves, nearest } from './leaves.ts';
import type { Leaf, Unreadable } from './leaves.ts';

export interface Setting {
  readonly path: string;
  readonly value: unknown;
  /** For a person: `file /etc/shoal.yaml:3`, `environment SHOAL_API_PORT`, `flag --api-port`. */
  readonly origin: string;
  /** Directory that a relative path in the value is relative to; null = the working directory. */
  readonly base: string | null;
}

export interface Layer {
  readonly settings: readonly Setting[];
  /** Complete sentences. */
  readonly problems: readonly string[];
}

/** Values of the flags that were given, by flag name (`--api-port`). */
export type FlagValues = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

/** Variables that are not settings: the file itself, what a job is given, and those of tests. */
const NOT_SETTINGS =
  /^SHOAL_(CONFIG|API_KEY|API_KEY_FILE|EXECUTION_ID|JOB_ID|JOB_TYPE|PARTITION_INDEX|PARTITION_COUNT|ATTEMPT|EPOCH|(HOST_)?PORT_.*|TEST_.*)$/;

const hint = (name: string, known: Iterable<string>): string => {
  const near = nearest(name, known);
  return near === null ? '' : ` Did you mean ${near}?`;
};

export function fromEnvironment(env: Readonly<Record<string, string | undefined>>): Layer {
  const byVariable = new Map([...leaves.values()].map((leaf) => [leaf.variable, leaf]));
  const settings: Setting[] = [];
  const problems: string[] = [];
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith('SHOAL_') || text === undefined || NOT_SETTINGS.test(name)) continue;
    const leaf = byVariable.get(name);
    const origin = `environment ${name}`;
    if (leaf === undefined)
      problems.push(`${name} (environment) is no setting.${hint(name, byVariable.keys())}`);
    else add(leaf, fromText(leaf.kind, text), text, origin, settings, problems);
  }
  return { settings, problems };
}

export function fromFlags(values: FlagValues): Layer {
  const settings: Setting[] = [];
  const problems: string[] = [];
  const byFlag = new Map(serveFlags.map((entry) => [entry.flag as string, entry]));
  for (const [flag, given] of Object.entries(values)) {
    if (given === undefined || flag === '--config') continue;
    const entry = byFlag.get(flag);
    const leaf = entry === undefined ? undefined : leaves.get(entry.path);
    if (entry === undefined || leaf === undefined) {
      problems.push(`${flag} is no flag of serve.${hint(flag, byFlag.keys())}`);
    } else if (entry.sets !== null) {
      if (given !== false)
        settings.push({ path: leaf.path, value: entry.sets, origin: `flag ${flag}`, base: null });
    } else {
      const texts = typeof given === 'object' ? given : [String(given)];
      add(leaf, fromTexts(leaf.kind, texts), texts.join(' '), `flag ${flag}`, settings, problems);
    }
  }
  return { settings, problems };
}

function add(
  leaf: Leaf,
  read: { readonly value: unknown } | Unreadable,
  text: string,
  origin: string,
  settings: Setting[],
  problems: string[],
): void {
  if ('value' in read) settings.push({ path: leaf.path, value: read.value, origin, base: null });
  else
    problems.push(`${leaf.path} = ${JSON.stringify(text)} (${origin}): expected ${read.expected}.`);
}

/** Reads the text of a YAML file. `directory`: where it lies. */
export function fromFile(text: string, file: string, directory: string): Layer {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, version: '1.2' });
  const place = (offset: number | undefined): string =>
    offset === undefined ? `file ${file}` : `file ${file}:${lines.linePos(offset).line}`;
  const problems = document.errors.map(
    (error) => `${place(error.pos[0])}: ${error.message.split('\n')[0]}`,
  );
  if (problems.length > 0 || document.contents === null) return { settings: [], problems };
  if (!isMap(document.contents))
    return { settings: [], problems: [`file ${file}: expected sections such as "network:".`] };
  const settings: Setting[] = [];
  const visit = (map: YAMLMap, prefix: string): void => {
    for (const pair of map.items) {
      const key = isScalar(pair.key) ? String(pair.key.value) : '?';
      const at = place(isScalar(pair.key) ? pair.key.range?.[0] : undefined);
      const path = prefix === '' ? key : `${prefix}.${key}`;
      const isSection = [...leaves.keys()].some((leaf) => leaf.startsWith(`${path}.`));
      if (leaves.has(path)) {
        const node: unknown = pair.value;
        const value: unknown = hasJs(node) ? node.toJS(document, { maxAliasCount: 100 }) : node;
        if (value !== null && value !== undefined)
          settings.push({ path, value, origin: at, base: directory });
      } else if (!isSection) {
        problems.push(`${path} (${at}) is no setting.${hint(path, leaves.keys())}`);
      } else if (isMap(pair.value)) {
        visit(pair.value, path);
      } else if (!(isScalar(pair.value) && pair.value.value === null)) {
        problems.push(`${path} (${at}) is a section: expected keys below it.`);
      }
    }
  };
  visit(document.contents, '');
  return { settings, problems };
}

interface JsNode {
  toJS(document: unknown, options: { readonly maxAliasCount: number }): unknown;
}

const hasJs = (node: unknown): node is JsNode =>
  typeof node === 'object' && node !== null && 'toJS' in node;
