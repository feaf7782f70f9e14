/**
 * A decoded spec into a complete `Job`: every field read, checked against Bacalhau's rules and
 * filled with its default. All problems are reported, none is thrown.
 */
import { JOB_TYPES, TYPE_NAMES } from './types.ts';
import { readConstraints } from './constraints.ts';
import { readEngine, type ReadEngine } from './engine-params.ts';
import { readEnv } from './environment.ts';
import type { InputSource, Job, JobType, ResultPath, Task, Timeouts, Network } from './model.ts';
import { readNetwork } from './network.ts';
import { wantsNetwork } from './network-hint.ts';
import { reportMissing } from './params.ts';
import { checkPolicy, refuseShoalKeys } from './partition-policy.ts';
import { targetPath } from './paths.ts';
import { hasControlCharacters, show, suggestion, type Field, type Report } from './problem.ts';
import {
  isGiven,
  readInteger,
  readItems,
  readKnown,
  readStruct,
  readText,
  readTextMap,
  type Struct,
} from './reader.ts';
import { readResources } from './resources.ts';
import { checkDuplicates, readEach, readInput, readPublisher, readResultPath } from './sources.ts';

/**
 * What becomes of a top-level key that is unknown or a server's: `strict` refuses it, as Bacalhau's
 * command line does; `lenient` passes over it with a warning, as its server does.
 */
export type Mode = 'strict' | 'lenient';

const JOB_FIELDS = [
  'Name',
  'Namespace',
  'Type',
  'Priority',
  'Count',
  'Constraints',
  'Meta',
  'Labels',
  'Tasks',
];
const SERVER_FIELDS = ['ID', 'State', 'Version', 'Revision', 'CreateTime', 'ModifyTime'];
const TASK_FIELDS = [
  'Name',
  'Engine',
  'Publisher',
  'Env',
  'Meta',
  'InputSources',
  'ResultPaths',
  'Resources',
  'Network',
  'Timeouts',
];

const DEFAULT_NAMESPACE = 'default';
const RESERVED_META = 'bacalhau.org/';
/** Replicas; every one has its own records on every keeper. */
const COUNT_MAX = 10_000;
/** Characters; longer names are accepted but no table shows them. */
const NAME_DOUBTFUL = 256;
/** Seconds: beyond the longest of Bacalhau (2⁶³ ns), and a point in time in milliseconds stays exact. */
export const TIMEOUT_MAX = 10_000_000_000;

const WHOLE = { min: 0, max: Number.MAX_SAFE_INTEGER };
const ANY_INTEGER = { min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER };

/** @returns the job, or null when `report` then holds at least one problem. Never throws. */
export function readJob(report: Report, field: Field, mode: Mode): Job | null {
  const struct = readStruct(report, field, [...JOB_FIELDS, ...SERVER_FIELDS]);
  if (struct === null) return null;
  reportForeign(report, struct, mode);
  const Type = readType(report, struct.get('Type'));
  const Task = readTasks(report, struct.get('Tasks'));
  const rest = {
    Name: readName(report, struct.get('Name')),
    Namespace: readName(report, struct.get('Namespace')) || DEFAULT_NAMESPACE,
    Priority: readInteger(report, struct.get('Priority'), ANY_INTEGER) ?? 0,
    Count: readCount(report, struct.get('Count'), Type),
    Constraints: readConstraints(report, struct.get('Constraints')),
    Meta: readMeta(report, struct.get('Meta'), Type, Task?.Timeouts.TotalTimeout ?? 0),
    Labels: plainMap(report, struct.get('Labels')),
  };
  return Type === null || Task === null || report.failed() ? null : { ...rest, Type, Task };
}

function reportForeign(report: Report, struct: Struct, mode: Mode): void {
  for (const name of SERVER_FIELDS) {
    const field = struct.get(name);
    if (isUnset(field)) continue;
    if (mode === 'strict') {
      report.problemAtKey(field, 'server-field', 'this is set by the mesh and cannot be given');
    } else {
      report.warningAtKey(field, 'ignored', 'this is set by the mesh; what is given is ignored');
    }
  }
  for (const { key, field } of struct.unknown) {
    const hint = suggestion(key, JOB_FIELDS);
    const message = `unknown field ${show(key)}`;
    if (mode === 'strict') report.problemAtKey(field, 'unknown-field', `${message}.${hint}`);
    else report.warningAtKey(field, 'unknown-field', `${message} is ignored.${hint}`);
  }
}

/** True for what clients send when they leave a server's field alone. */
function isUnset({ value }: Field): boolean {
  if (value === undefined || value === null || value === '' || value === 0) return true;
  if (typeof value !== 'object') return false;
  return Object.values(value).every((member) => ['', 0, null, 'Undefined'].includes(member));
}

function readType(report: Report, field: Field): JobType | null {
  const text = readText(report, field);
  const type = TYPE_NAMES.find((name) => name === text);
  if (type !== undefined) return type;
  if (text === '') reportMissing(report, field, `the job type (${TYPE_NAMES.join(', ')})`);
  else {
    const hint = suggestion(text, TYPE_NAMES);
    report.problem(
      field,
      'unknown-value',
      `expected one of ${TYPE_NAMES.join(', ')}, got ${show(text)}.${hint}`,
    );
  }
  return null;
}

function readName(report: Report, field: Field): string {
  const text = readText(report, field);
  if (text !== '' && text.trim() === '') {
    report.problem(field, 'malformed', 'expected a name, got only blanks');
  } else if (hasControlCharacters(text)) {
    report.warning(
      field,
      'doubtful',
      `${show(text)} holds control characters, which are shown escaped`,
    );
  } else if (text.length > NAME_DOUBTFUL) {
    report.warning(
      field,
      'doubtful',
      `the name is ${text.length} characters long and is shown cut`,
    );
  }
  return text;
}

function readCount(report: Report, field: Field, type: JobType | null): number {
  if (type !== null && !JOB_TYPES[type].counted) {
    const count = readInteger(report, field, WHOLE) ?? 0;
    if (count > 1) {
      const message = `a job of type ${type} runs on every node that matches and takes no Count, got ${count}`;
      report.problem(field, 'conflict', message);
    }
    return 0;
  }
  return readInteger(report, field, { min: 0, max: COUNT_MAX }) ?? 1;
}

function readMeta(
  report: Report,
  field: Field,
  type: JobType | null,
  totalTimeout: number,
): Readonly<Record<string, string>> {
  const entries: [string, string][] = [];
  const fields = readTextMap(report, field);
  checkPolicy(report, fields, type, totalTimeout);
  for (const [key, { text, field: at }] of fields) {
    if (key.startsWith(RESERVED_META)) {
      const message = `${show(key)} is ignored: keys beginning with ${RESERVED_META} are the system's`;
      report.warningAtKey(at, 'reserved', message);
    } else entries.push([key, text]);
  }
  return Object.fromEntries(entries);
}

function readTaskMeta(report: Report, field: Field): Readonly<Record<string, string>> {
  const fields = readTextMap(report, field);
  refuseShoalKeys(report, fields);
  return textsOf(fields);
}

function plainMap(report: Report, field: Field): Readonly<Record<string, string>> {
  return textsOf(readTextMap(report, field));
}

const textsOf = (fields: ReadonlyMap<string, { readonly text: string }>) =>
  Object.fromEntries([...fields].map(([key, { text }]) => [key, text]));

function readTasks(report: Report, field: Field): Task | null {
  const items = readItems(report, field);
  const [first, second] = items;
  if (first === undefined) {
    if (!isGiven(field) || Array.isArray(field.value)) {
      report.problem(field, 'required', 'a job needs a task: add Tasks with one entry');
    }
    return null;
  }
  if (second !== undefined) {
    const message = `only one task is supported per job; the first of ${items.length} is used`;
    report.warning(second, 'ignored', message);
  }
  return readTask(report, first);
}

function readTask(report: Report, field: Field): Task | null {
  if (!isGiven(field)) {
    report.problem(field, 'required', 'a job needs a task, and this one is empty');
    return null;
  }
  const struct = readKnown(report, field, TASK_FIELDS);
  if (struct === null) return null;
  const name = struct.get('Name');
  const Name = readText(report, name);
  if (Name.trim() === '') reportMissing(report, name, 'the name of the task');
  const read = readEngine(report, struct.get('Engine'));
  const engine = read.engine.Type;
  const Publisher = readPublisher(report, struct.get('Publisher'));
  const InputSources = readInputs(report, struct.get('InputSources'), read);
  const ResultPaths = readResultPaths(report, struct.get('ResultPaths'), engine, InputSources);
  if (ResultPaths.length > 0 && Publisher.Type === '') {
    const hint = 'add "Publisher: {Type: ipfs}" to the task';
    report.problemAtKey(
      struct.get('ResultPaths'),
      'required',
      `result paths need a publisher; ${hint}`,
    );
  }
  const { texts, resources } = readResources(report, struct.get('Resources'));
  return {
    Name,
    Engine: read.engine,
    Publisher,
    Env: readEnv(report, struct.get('Env')),
    Meta: readTaskMeta(report, struct.get('Meta')),
    InputSources,
    ResultPaths,
    ResourcesConfig: texts,
    resources,
    Network: networkOf(report, struct, read),
    Timeouts: readTimeouts(report, struct.get('Timeouts')),
  };
}

/** An image runs anything, so what it is called with is all there is to guess by. */
function networkOf(report: Report, struct: Struct, { engine }: ReadEngine): Network {
  const network = readNetwork(report, struct.get('Network'));
  const hint = engine.Type === 'docker' ? wantsNetwork(engine.Params, network) : null;
  if (hint !== null) report.warningAtKey(struct.get('Engine'), 'doubtful', hint);
  return network;
}

function readInputs(report: Report, field: Field, read: ReadEngine): readonly InputSource[] {
  const engine = read.engine.Type;
  const own = readEach(report, field, (item) =>
    readInput(report, item, { engine, defaultTarget: '' }),
  );
  const all = [...own, ...read.inputs];
  checkDuplicates(report, all, 'the alias', (input) => input.Alias);
  checkDuplicates(report, all, 'the target', (input) =>
    input.Target === '' ? '' : targetPath(input.Target),
  );
  const targets = all.map(({ value }) => targetPath(value.Target));
  for (const { target, field: at } of read.modules) {
    // It may lie in an input that is a directory; whether it does is seen when that is here.
    const path = targetPath(target);
    if (targets.some((one) => path === one || path.startsWith(one === '/' ? one : `${one}/`)))
      continue;
    const message = `no input source has the target ${show(target)}; the module must be one of the inputs, or lie in one`;
    report.problem(at, 'conflict', message);
  }
  return all.map(({ value }) => value);
}

function readResultPaths(
  report: Report,
  field: Field,
  engine: string,
  inputs: readonly InputSource[],
): readonly ResultPath[] {
  const all = readEach(report, field, (item) => readResultPath(report, item, engine));
  checkDuplicates(report, all, 'the name', (result) => result.Name);
  checkDuplicates(report, all, 'the path', (result) =>
    result.Path === '' ? '' : targetPath(result.Path),
  );
  for (const { value, field: at } of all) {
    const inside = all.find((other) => value.Name.startsWith(`${other.value.Name}/`));
    if (inside === undefined || inside.value.Name === '') continue;
    const message = `the name ${show(value.Name)} lies inside of the result ${show(inside.value.Name)}`;
    report.problem(at, 'conflict', message);
  }
  const targets = new Set(inputs.map((input) => targetPath(input.Target)));
  for (const { value, field: at } of all) {
    if (engine !== 'docker' || !targets.has(targetPath(value.Path))) continue;
    report.problem(at, 'conflict', `${show(value.Path)} is already the target of an input`);
  }
  return all.map(({ value }) => value);
}

function readTimeouts(report: Report, field: Field): Timeouts {
  const struct = readKnown(report, field, ['ExecutionTimeout', 'QueueTimeout', 'TotalTimeout']);
  const seconds = (name: string): number =>
    struct === null
      ? 0
      : (readInteger(report, struct.get(name), { min: 0, max: TIMEOUT_MAX }) ?? 0);
  const timeouts: Timeouts = {
    ExecutionTimeout: seconds('ExecutionTimeout'),
    QueueTimeout: seconds('QueueTimeout'),
    TotalTimeout: seconds('TotalTimeout'),
  };
  const parts = timeouts.ExecutionTimeout + timeouts.QueueTimeout;
  if (timeouts.TotalTimeout > 0 && parts > timeouts.TotalTimeout) {
    const message = `ExecutionTimeout and QueueTimeout together (${parts} s) exceed TotalTimeout (${timeouts.TotalTimeout} s)`;
    report.problem(struct?.get('TotalTimeout') ?? field, 'conflict', message);
  }
  return timeouts;
}
