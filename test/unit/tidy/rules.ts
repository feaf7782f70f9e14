/**
 * The rules of the house as functions from text to complaints. They look at text only, so that a rule
 * can be tried on a bad sample; `tidy.test.ts` reads the tree.
 */
import { posix } from 'node:path';

export interface Import {
  /** As written. */
  readonly from: string;
  /** Nothing of it is left when the types are stripped. */
  readonly typeOnly: boolean;
}

/** The text without comments; what is in quotes stays. */
export function withoutComments(text: string): string {
  return text.replace(
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    (_, quoted: string | undefined) => quoted ?? '',
  );
}

/** Everything a file imports or exports again. `import { type A }` is an import by value: it runs the file. */
export function importsOf(text: string): readonly Import[] {
  const code = withoutComments(text);
  const found: Import[] = [];
  for (const match of code.matchAll(
    /^\s*(?:import|export)\s+(type\s)?[^;'"`]*?\bfrom\s*['"]([^'"]+)['"]/gm,
  )) {
    found.push({ from: match[2] ?? '', typeOnly: match[1] !== undefined });
  }
  for (const match of code.matchAll(/^\s*import\s+['"]([^'"]+)['"]/gm)) {
    found.push({ from: match[1] ?? '', typeOnly: false });
  }
  for (const match of code.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g)) {
    found.push({ from: match[1] ?? '', typeOnly: false });
  }
  return found;
}

/** The path from the root that a relative import means. */
const resolved = (file: string, from: string): string => posix.join(posix.dirname(file), from);

/** The folders that rules speak of, the longer names first. */
const FOLDERS = [
  'p2p/wire',
  'src/job',
  'src/core',
  'src/lib',
  'src/config',
  'src/failures',
  'src/engines',
  'src/storage',
  'src/store',
  'src/api',
  'src/cli',
  'src/node',
  'p2p',
  'test',
  'scripts',
  'src',
] as const;
export type Folder = (typeof FOLDERS)[number];

export const folderOf = (file: string): Folder | null =>
  FOLDERS.find((folder) => file.startsWith(`${folder}/`)) ?? null;

/** What everything around the core may use. */
const SHARED: readonly Folder[] = ['src/core', 'src/job', 'src/lib', 'src/config', 'src/failures'];

/** What each folder may import beside itself. Folders that are not here may import anything. */
const ALLOWED: Readonly<Partial<Record<Folder, readonly Folder[]>>> = {
  'src/job': [],
  'src/core': ['src/job'],
  'src/lib': [],
  'src/failures': ['src/core'],
  'src/config': ['src/core', 'src/lib', 'src/job', 'src/failures'],
  'p2p/wire': ['src/core', 'src/job', 'src/failures'],
  p2p: ['p2p/wire', ...SHARED],
  'src/engines': SHARED,
  'src/storage': SHARED,
  'src/store': SHARED,
  'src/api': SHARED,
  'src/cli': ['src/job', 'src/lib', 'src/failures'],
};

/** Single files that a folder may import although it may not import their folder. */
const ALLOWED_FILES: Readonly<Partial<Record<Folder, readonly string[]>>> = {
  'src/cli': ['src/config/flags.ts', 'package.json'],
};

/** The pure folders have no way to the world: no clock, no files, no network. */
const PURE: readonly Folder[] = ['src/job', 'src/core', 'src/failures', 'p2p/wire'];

export function importProblems(
  file: string,
  text: string,
  apiIsPure: (path: string) => boolean,
): readonly string[] {
  const folder = folderOf(file);
  const allowed = folder === null ? undefined : ALLOWED[folder];
  if (folder === null) return [];
  const problems: string[] = [];
  for (const { from, typeOnly } of importsOf(text)) {
    if (!from.startsWith('.')) {
      if (folder === 'src/core')
        problems.push(`${file} imports the package ${from}; the core needs none`);
      else if (PURE.includes(folder) && from.startsWith('node:'))
        problems.push(`${file} imports ${from}, but is pure`);
      continue;
    }
    const target = resolved(file, from);
    if (allowed === undefined) {
      if (folder?.startsWith('src') && target.startsWith('test/'))
        problems.push(`${file} imports ${target}, a test`);
      continue;
    }
    const there = folderOf(target);
    if (there === folder || (there !== null && allowed.includes(there))) continue;
    if (ALLOWED_FILES[folder]?.includes(target)) continue;
    if (folder === 'src/cli' && there === 'src/core' && typeOnly) continue;
    if (folder === 'src/cli' && there === 'src/api' && (typeOnly || apiIsPure(target))) continue;
    problems.push(`${file} imports ${target}; ${folder} may not`);
  }
  return problems;
}

/** Files that import each other by value, as one path per cycle. */
export function cycles(files: ReadonlyMap<string, string>): readonly string[] {
  const edges = new Map<string, readonly string[]>();
  for (const [file, text] of files) {
    const targets = importsOf(text)
      .filter(({ from, typeOnly }) => from.startsWith('.') && !typeOnly)
      .map(({ from }) => resolved(file, from))
      .filter((target) => files.has(target));
    edges.set(file, targets);
  }
  const found: string[] = [];
  const finished = new Set<string>();
  const walk = (file: string, path: readonly string[]): void => {
    const start = path.indexOf(file);
    if (start >= 0) found.push([...path.slice(start), file].join(' → '));
    if (start >= 0 || finished.has(file)) return;
    for (const next of edges.get(file) ?? []) walk(next, [...path, file]);
    finished.add(file);
  };
  for (const file of edges.keys()) walk(file, []);
  return found;
}

/** What may not stand in any source file, with the reason. */
const FORBIDDEN: readonly (readonly [pattern: RegExp, why: string])[] = [
  [/^\s*export\s+default\b/m, 'a default export has no name of its own'],
  [/^\s*export\s*\{[^}]*\bas\s+default\b/m, 'a default export has no name of its own'],
  [
    /^\s*(?:export\s+)?(?:declare\s+)?(?:const\s+)?enum\s+\w/m,
    'an enum is not erasable; use a union',
  ],
  [/^\s*(?:export\s+)?(?:declare\s+)?namespace\s+\w/m, 'a namespace is not erasable; use a file'],
  [
    /\bconstructor\s*\([^)]*\b(?:private|public|protected|readonly)\s+\w+\s*[?:,)]/,
    'parameter properties are not erasable',
  ],
  [
    /^\s*(?:private|protected)\s+(?:static\s+|readonly\s+|async\s+|get\s+|set\s+)*\w+\s*[(:=<?!;]/m,
    'private is written #name',
  ],
];

/** A value at the head of a file that is the same in every run. */
const CONSTANT =
  /^(?:export )?const ([a-z]\w*)(?:: [^=\n]+)? = (?:-?\d[^(\n]*;|'[^'\n]*';|\/(?![*/])|new (?:Set|Map)\(\[)/gm;

/** Constants that do not look like what they are. */
export const casingProblems = (file: string, text: string): readonly string[] =>
  [...withoutComments(text).matchAll(CONSTANT)].map(
    ([, name]) => `${file}: ${name} is a constant, and written in CAPITALS`,
  );

/** What may not stand in a test: a test that does not run proves nothing. */
const FORBIDDEN_IN_TESTS: readonly (readonly [pattern: RegExp, why: string])[] = [
  [/\b(?:it|test|describe|suite)\.(?:only|skip|todo)\b/, 'a test that does not run'],
  [/\b(?:skip|todo|only):\s*(?:true|'|"|`)/, 'a test that never runs'],
];

export function sourceProblems(file: string, text: string): readonly string[] {
  // Declarations of what others wrote have the form that those chose.
  if (file.endsWith('.d.ts')) return [];
  const code = withoutComments(text);
  const rules = file.startsWith('test/') ? [...FORBIDDEN, ...FORBIDDEN_IN_TESTS] : FORBIDDEN;
  return rules.filter(([pattern]) => pattern.test(code)).map(([, why]) => `${file}: ${why}`);
}

/** What may stand in no text, code or not. `root`: where the tree lies on this machine. */
export function textProblems(file: string, text: string, root: string): readonly string[] {
  const problems: string[] = [];
  if (new RegExp(`\\b(?:${['TO', 'DO'].join('')}|${['FIX', 'ME'].join('')})\\b`).test(text)) {
    problems.push(`${file}: something is left to be done`);
  }
  if (text.includes(root)) problems.push(`${file}: names the directory ${root} of one machine`);
  if (new RegExp(['(?<![\\w.])', 'Users', '\\w'].join('/')).test(text))
    problems.push(`${file}: names a home directory`);
  if (text.includes('\r\n')) problems.push(`${file}: lines end in carriage returns`);
  return problems;
}

/** A map whose keys are any text, as the sources write its type. */
const TEXT_KEYED = String.raw`(?:Readonly<|Partial<)*Record<string,`;

/** Types that are such a map, by their names. */
export const textKeyedTypes = (files: Iterable<string>): readonly string[] =>
  [...files].flatMap((text) => declared(withoutComments(text), `type (\\w+) = ${TEXT_KEYED}`));

/** Fields of such a type: they have it wherever they are spoken of. */
export const textKeyedFields = (files: Iterable<string>, types: readonly string[]) =>
  new Set(
    [...files].flatMap((text) =>
      declared(withoutComments(text), `readonly (\\w+)\\??: (?:${anyOf(types)})`),
    ),
  );

const anyOf = (types: readonly string[]): string =>
  [TEXT_KEYED, ...types.map((type) => `${type}\\b(?!\\[)`)].join('|');

const declared = (code: string, pattern: string): readonly string[] =>
  [...code.matchAll(new RegExp(`\\b${pattern}`, 'g'))].map((match) => match[1] ?? '');

/** A literal, one of our constants, or a template with a part in capitals: nobody's words. */
const OWN_KEY = /^(?:['"]|\d|[A-Z][A-Z_]+\b|`.*[A-Z_]{3})/;

/** These walk the keys that a value has itself, or objects that inherit nothing. */
const WALKERS: ReadonlySet<string> = new Set([
  'src/job/own.ts',
  'p2p/wire/shape.ts',
  'src/engines/wasm/load.ts',
  'src/engines/wasm/runner.ts',
  'src/engines/wasm/system.ts',
]);
/** Here others' words come in. */
const LISTENERS = /^(?:p2p|src\/(?:job|core|node|engines|api|cli))\//;

/**
 * A map keyed by text is read with `own` (`src/job/own.ts`) and made with `Object.fromEntries` or as a
 * `Map`: in brackets `constructor` finds what nobody put there, and `__proto__` changes the map.
 */
export function keyProblems(
  file: string,
  text: string,
  types: readonly string[],
  fields: ReadonlySet<string>,
): readonly string[] {
  if (!LISTENERS.test(file) || WALKERS.has(file)) return [];
  const code = withoutComments(text);
  const local = new Set([
    ...declared(code, `(\\w+)\\??: (?:${anyOf(types)})`),
    ...declared(code, `function (\\w+)(?:<[^>]*>)?\\([^)]*\\): (?:${anyOf(types)})`),
  ]);
  const named = [...code.matchAll(/(\w+)(?:\([^()]*\))?(?:\?\.)?\[([^\]\n]+)\]/g)]
    .filter(([, name]) => local.has(name ?? '') || fields.has(name ?? ''))
    .map(([access, , key]) => ({ access, key: key ?? '' }));
  const cast = new RegExp(`as (?:${anyOf(types)})[^()\\n]*\\)\\[([^\\]\\n]+)\\]`, 'g');
  const casts = [...code.matchAll(cast)].map(([access, key]) => ({ access, key: key ?? '' }));
  return [...named, ...casts]
    .filter(({ key }) => !OWN_KEY.test(key))
    .map(({ access }) => `${file}: ${access}: read it with own()`);
}

/** The tests that a document points to, as paths below `test/`: `unit/core/bounds`. */
export const testsNamed = (markdown: string): readonly string[] =>
  [...markdown.matchAll(/`((?:unit|contract|docker|mesh|simulation)\/[a-z0-9/-]+)`/g)].map(
    (match) => match[1] ?? '',
  );

export interface Documented {
  readonly code: string;
  readonly status: number;
  readonly exit: number;
  readonly again: boolean;
}

/** The failure codes that a document explains: a heading and the line of numbers below it. */
export function documentedCodes(markdown: string): readonly Documented[] {
  const pattern = /^### `([a-z0-9-]+)`\n+HTTP (\d+) · exit code (\d+)( · again)?$/gm;
  return [...markdown.matchAll(pattern)].map(([, code, status, exit, again]) => ({
    code: code ?? '',
    status: Number(status),
    exit: Number(exit),
    again: again !== undefined,
  }));
}

/** Failure codes that nothing in these sources makes: whoever reads of them waits for ever. */
export const neverMade = (
  codes: readonly string[],
  sources: Iterable<string>,
): readonly string[] => {
  const made = new Set(
    [...sources].flatMap((text) => declared(withoutComments(text), `code: '([a-z0-9-]+)'`)),
  );
  return codes.filter((code) => !made.has(code));
};

/** Headings without a code, codes without a heading, headings twice. */
export function headingProblems(
  headings: readonly string[],
  codes: readonly string[],
): readonly string[] {
  return [
    ...codes.filter((code) => !headings.includes(code)).map((code) => `${code} has no heading`),
    ...headings
      .filter((heading) => !codes.includes(heading))
      .map((heading) => `${heading} is no failure code`),
    ...headings
      .filter((heading, at) => headings.indexOf(heading) !== at)
      .map((heading) => `${heading} has two headings`),
  ];
}
