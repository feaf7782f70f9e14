/**
 * Where inputs come from and where results go: the input sources and publishers, with their
 * parameters. Fetching and storing is the work of `src/storage`.
 */
import { normaliseCid } from './cid.ts';
import { decodeDataUrl } from './inline.ts';
import type { InputSource, ResultPath, SpecConfig } from './model.ts';
import {
  optionalBoolean,
  optionalText,
  optionalWord,
  readFreeParams,
  readParams,
  readPlugIn,
  reportMissing,
  requiredText,
  warnUnknownType,
  type ParamReader,
  type ParamReaders,
} from './params.ts';
import { own } from './own.ts';
import { cleanPath, whyNotMountable } from './paths.ts';
import { show, type Field, type Report } from './problem.ts';
import { isGiven, readInteger, readItems, readKnown, readText } from './reader.ts';

/** Bytes; an inline file travels in the spec to every node that might run the job. */
const INLINE_MAX_BYTES = 10 * 1024 * 1024;

const cid: ParamReader = (report, field) => {
  const text = readText(report, field);
  if (text.trim() === '') {
    reportMissing(report, field, 'the CID of the content');
    return '';
  }
  const result = normaliseCid(text);
  if (result.ok) return result.cid;
  report.problem(field, 'malformed', `${show(text)} ${result.why}`);
  return text;
};

const dataUrl: ParamReader = (report, field) => {
  const text = readText(report, field).trim();
  if (text === '') {
    reportMissing(report, field, 'the data: URL with the content');
    return '';
  }
  const decoded = decodeDataUrl(text);
  if (!decoded.ok) {
    report.problem(field, 'malformed', `expected a data: URL; ${show(text)} ${decoded.why}`);
  } else if (decoded.bytes.length > INLINE_MAX_BYTES) {
    const expected = `at most ${INLINE_MAX_BYTES} bytes inline`;
    report.problem(field, 'out-of-range', `expected ${expected}, got ${decoded.bytes.length}`);
  }
  return text;
};

const HTTP_URL = /^https?:\/\/([^/?#\s]+)(\/[^?#\s]*)?(?:\?[^#\s]*)?(?:#\S*)?$/i;

const httpUrl: ParamReader = (report, field) => {
  const text = readText(report, field).trim();
  if (text === '') {
    reportMissing(report, field, 'the URL to download');
    return '';
  }
  const parts = HTTP_URL.exec(text);
  if (parts === null) {
    report.problem(field, 'malformed', `expected an http or https URL, got ${show(text)}`);
  } else if (parts[2] === undefined) {
    report.problem(field, 'malformed', `${show(text)} names no file: it has no path`);
  } else if (parts[1]?.includes('@') === true) {
    report.warning(
      field,
      'doubtful',
      'the URL holds a password, and every peer of the mesh can read a spec',
    );
  }
  return text;
};

const sourcePath: ParamReader = (report, field) => {
  const text = readText(report, field).trim();
  if (text === '') {
    reportMissing(report, field, 'the path of the directory on the node');
    return '';
  }
  if (!text.startsWith('/') || text.split('/').includes('..')) {
    report.warning(
      field,
      'doubtful',
      `${show(text)} is no plain absolute path; nodes allow only such`,
    );
    return text;
  }
  return cleanPath(text);
};

const count: ParamReader = (report, field) =>
  readInteger(report, field, { min: 0, max: Number.MAX_SAFE_INTEGER }) ?? undefined;

const PARTITION_TYPES = ['none', 'object', 'regex', 'substring', 'date'];

const partition: ParamReader = (report, field) => {
  if (!isGiven(field)) return undefined;
  const params = readParams(report, field, {
    Type: optionalWord(PARTITION_TYPES),
    Pattern: optionalText,
    StartIndex: count,
    EndIndex: count,
    DateFormat: optionalText,
  });
  const { Type, Pattern, StartIndex = 0, EndIndex = 0, DateFormat } = params;
  if (Type === 'regex' && Pattern === undefined) {
    report.problem(field, 'required', 'partition type regex needs a Pattern');
  }
  if (Type === 'substring' && Number(EndIndex) <= Number(StartIndex)) {
    report.problem(
      field,
      'conflict',
      'partition type substring needs an EndIndex above the StartIndex',
    );
  }
  if (Type === 'date' && DateFormat === undefined) {
    report.problem(field, 'required', 'partition type date needs a DateFormat');
  }
  return params;
};

const s3Place: ParamReaders = {
  Bucket: requiredText('the name of the bucket'),
  Key: optionalText,
  Filter: optionalText,
  Region: optionalText,
  Endpoint: optionalText,
  VersionID: optionalText,
  ChecksumSHA256: optionalText,
};

const localDirectory: ParamReaders = {
  SourcePath: sourcePath,
  ReadWrite: optionalBoolean,
  CreateAs: optionalWord(['noCreate', 'dir', 'file']),
};

const SOURCES: ReadonlyMap<string, ParamReaders> = new Map([
  ['ipfs', { CID: cid }],
  ['inline', { URL: dataUrl }],
  ['urldownload', { URL: httpUrl }],
  ['localdirectory', localDirectory],
  ['s3', { ...s3Place, Partition: partition }],
  ['s3presigned', { ...s3Place, PreSignedURL: httpUrl }],
]);

const PUBLISHERS: ReadonlyMap<string, ParamReaders> = new Map<string, ParamReaders>([
  ['ipfs', {}],
  ['local', {}],
  ['noop', {}],
  ['s3managed', {}],
  [
    's3',
    {
      Bucket: requiredText('the name of the bucket'),
      Key: requiredText('the key to store the results under'),
      Region: optionalText,
      Endpoint: optionalText,
      Encoding: optionalWord(['gzip', 'plain']),
    },
  ],
]);

const SOURCE_ALIASES: Readonly<Record<string, string>> = { local: 'localdirectory' };

function readSource(report: Report, field: Field): SpecConfig {
  const plugIn = readPlugIn(report, field);
  const Type = own(SOURCE_ALIASES, plugIn.type) ?? plugIn.type;
  if (Type === '') {
    reportMissing(report, plugIn.typeField, 'the type of the source');
    return { Type, Params: readFreeParams(report, plugIn.params) };
  }
  const readers = SOURCES.get(Type);
  if (readers !== undefined) return { Type, Params: readParams(report, plugIn.params, readers) };
  warnUnknownType(report, plugIn, 'input source', [...SOURCES.keys()]);
  return { Type, Params: readFreeParams(report, plugIn.params) };
}

/** The `Publisher` of a task; `none` is the same as no publisher. */
export function readPublisher(report: Report, field: Field): SpecConfig {
  const plugIn = readPlugIn(report, field);
  const Type = plugIn.type === 'none' ? '' : plugIn.type;
  const readers = PUBLISHERS.get(Type);
  if (readers !== undefined) return { Type, Params: readParams(report, plugIn.params, readers) };
  if (Type !== '') warnUnknownType(report, plugIn, 'publisher', [...PUBLISHERS.keys()]);
  return { Type, Params: readFreeParams(report, plugIn.params) };
}

/** One entry of `InputSources`. `defaultTarget`: for the old form of wasm modules, which have none. */
export function readInput(
  report: Report,
  field: Field,
  options: { readonly engine: string; readonly defaultTarget: string },
): InputSource | null {
  const struct = readKnown(report, field, ['Source', 'Alias', 'Target']);
  if (struct === null) return null;
  const target = struct.get('Target');
  const Target = readText(report, target).trim() || options.defaultTarget;
  if (Target === '') {
    reportMissing(report, target, 'the path at which the program sees this input');
  } else {
    const why = whyNotMountable(Target, options.engine);
    if (why !== null)
      report.problem(target, 'unsafe', `${show(Target)} cannot be a target: ${why}`);
  }
  const Source = readSource(report, struct.get('Source'));
  return { Source, Alias: readText(report, struct.get('Alias')), Target };
}

const isResultName = (name: string): boolean =>
  !name.includes('\\') && name.split('/').every((part) => !['', '.', '..'].includes(part));

/** Names in a result's root that the node writes itself. */
const RESULT_FILES = ['stdout', 'stderr', 'exitcode'];

export function readResultPath(report: Report, field: Field, engine: string): ResultPath | null {
  const struct = readKnown(report, field, ['Name', 'Path']);
  if (struct === null) return null;
  const name = struct.get('Name');
  const given = readText(report, name).trim();
  // Guides name a result like its path: it then lies there below the result.
  const Name = given.replace(/^\/+|\/+$/g, '');
  if (given === '') reportMissing(report, name, 'the name of the result');
  else if (!isResultName(Name)) {
    const expected = 'a name for a directory, or a path of such names';
    report.problem(name, 'unsafe', `expected ${expected}, got ${show(given)}`);
  } else if (RESULT_FILES.includes((Name.split('/')[0] ?? '').toLowerCase())) {
    report.problem(name, 'reserved', `${show(Name)} is where the node puts a file of its own`);
  }
  const path = struct.get('Path');
  const Path = readText(report, path).trim();
  if (Path === '') reportMissing(report, path, 'the path of the result');
  else if (!Path.startsWith('/')) {
    report.problem(path, 'malformed', `expected an absolute path, got ${show(Path)}`);
  } else {
    const why = whyNotMountable(Path, engine);
    if (why !== null)
      report.problem(path, 'unsafe', `${show(Path)} cannot be a result path: ${why}`);
  }
  return { Name, Path };
}

/** Reports values given to more than one entry. '' stands for "not given". */
export function checkDuplicates<T>(
  report: Report,
  entries: readonly { readonly value: T; readonly field: Field }[],
  what: string,
  keyOf: (value: T) => string,
): void {
  const seen = new Set<string>();
  for (const { value, field } of entries) {
    const key = keyOf(value);
    if (key !== '' && seen.has(key)) {
      report.problem(field, 'duplicate', `${what} ${show(key)} is given more than once`);
    }
    seen.add(key);
  }
}

/** Fields of a list that were readable, with what was read from them. */
export function readEach<T>(
  report: Report,
  field: Field,
  read: (item: Field) => T | null,
): readonly { readonly value: T; readonly field: Field }[] {
  return readItems(report, field).flatMap((item) => {
    const value = read(item);
    return value === null ? [] : [{ value, field: item }];
  });
}
