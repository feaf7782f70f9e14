/**
 * The shape of a job inside a spec record. Says only what can be carried; whether a job makes sense
 * is decided by `src/job` before it is signed, and again by each node that bids.
 */
import type {
  Constraint,
  InputSource,
  Job,
  Json,
  Network,
  Port,
  ResourceTexts,
  ResultPath,
  SpecConfig,
  Task,
  Timeouts,
} from '../../src/job/model.ts';
import { TIMEOUT_MAX } from '../../src/job/normalise.ts';
import { NESTING_MAX } from './cbor.ts';
import { labels, name, partitions, resources } from './common-shapes.ts';
import { bad, dictionary, integer, isMap, list, map, oneOf, test, text } from './shape.ts';
import type { Shape } from './shape.ts';

/** The envelope limits the whole record to 64 KiB, so these only bound the work of checking. */
const ENTRIES_MAX = 1_024;
const TEXT_MAX = 65_536;

const long = text(TEXT_MAX);

/**
 * JSON as a user may write it in parameters; the depth bound keeps a hostile value off the stack.
 */
function isJson(value: unknown, depth: number): boolean {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (depth === 0) return false;
  if (Array.isArray(value)) return value.every((member) => isJson(member, depth - 1));
  if (!isMap(value) || isLink(value)) return false;
  return Object.values(value).every((member) => isJson(member, depth - 1));
}

/** The encoder takes such an object for an IPLD link, which JSON does not have. */
const isLink = (value: Readonly<Record<string, unknown>>): boolean =>
  value['/'] !== undefined && value['/'] === value['bytes'];

const json: Shape<Json> = test((value) => isJson(value, NESTING_MAX));

const params: Shape<Readonly<Record<string, Json>>> = {
  ...dictionary(json, ENTRIES_MAX, 256),
  read: (value) =>
    isMap(value) && isJson(value, NESTING_MAX) ? (value as Readonly<Record<string, Json>>) : bad,
};

const specConfig: Shape<SpecConfig> = map<SpecConfig>({ Type: text(64), Params: params });

const texts: Shape<Readonly<Record<string, string>>> = dictionary(long, ENTRIES_MAX, 1_024);

export const constraint: Shape<Constraint> = map<Constraint>({
  Key: text(1_024),
  Operator: oneOf({
    '=': true,
    '!=': true,
    in: true,
    notin: true,
    exists: true,
    '!': true,
    gt: true,
    lt: true,
  }),
  Values: list(text(4_096), ENTRIES_MAX),
});

const inputSource: Shape<InputSource> = map<InputSource>({
  Source: specConfig,
  Alias: name,
  Target: text(4_096),
});

const resultPath: Shape<ResultPath> = map<ResultPath>({ Name: name, Path: text(4_096) });

const resourceTexts: Shape<ResourceTexts> = map<ResourceTexts>({
  CPU: text(256),
  Memory: text(256),
  Disk: text(256),
  GPU: text(256),
});

const port: Shape<Port> = map<Port>({
  Name: name,
  Static: integer(0, 65_535),
  Target: integer(0, 65_535),
  HostNetwork: text(256),
});

const network: Shape<Network> = map<Network>({
  Type: oneOf({ Default: true, None: true, Host: true, Full: true, HTTP: true, Bridge: true }),
  Domains: list(text(256), ENTRIES_MAX),
  Ports: list(port, ENTRIES_MAX),
});

const timeouts: Shape<Timeouts> = map<Timeouts>({
  ExecutionTimeout: integer(0, TIMEOUT_MAX),
  QueueTimeout: integer(0, TIMEOUT_MAX),
  TotalTimeout: integer(0, TIMEOUT_MAX),
});

export const task: Shape<Task> = map<Task>({
  Name: name,
  Engine: specConfig,
  Publisher: specConfig,
  Env: texts,
  Meta: texts,
  InputSources: list(inputSource, ENTRIES_MAX),
  ResultPaths: list(resultPath, ENTRIES_MAX),
  ResourcesConfig: resourceTexts,
  resources,
  Network: network,
  Timeouts: timeouts,
});

export const jobType: Shape<Job['Type']> = oneOf({
  batch: true,
  ops: true,
  daemon: true,
  service: true,
});

export const job: Shape<Job> = map<Job>({
  Name: name,
  Namespace: name,
  Type: jobType,
  Priority: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  Count: partitions,
  Constraints: list(constraint, ENTRIES_MAX),
  Meta: texts,
  Labels: labels,
  Task: task,
});
