/**
 * Resolves the configuration, once, at start: defaults < file < `SHOAL_*` environment < flags. A
 * list or map given in a later place replaces the earlier one as a whole. Reports every problem at
 * once, and says where each effective value came from.
 */
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { ShoalError } from '../failures/shoal-error.ts';
import type { Limits } from '../core/contract/limits.ts';
import { DEFAULT_LIMITS } from '../core/contract/limits.ts';
import { errorCode } from '../lib/durable-file.ts';
import { fromEnvironment, fromFile, fromFlags } from './layers.ts';
import type { FlagValues, Layer, Setting } from './layers.ts';
import { leaves } from './leaves.ts';
import { apiHostProblem, configSchema, looksLikeKey } from './schema.ts';
import type { Config } from './schema.ts';

export interface LoadInput {
  /** By flag name (`--api-port`); see `serveFlags`. */
  readonly flags: FlagValues;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What `~` stands for. */
  readonly home: string;
  readonly cwd: string;
}

export interface LoadedConfig {
  readonly config: Config;
  /** Path of each setting that is not at its default → where its value came from. */
  readonly origins: ReadonlyMap<string, string>;
  /** The file that was read; null when there was none. */
  readonly file: string | null;
}

export interface ExplainedSetting {
  readonly path: string;
  /** JSON text; `"(redacted)"` for a secret. */
  readonly value: string;
  /** `default`, `file …:line`, `environment …` or `flag …`. */
  readonly origin: string;
  readonly description: string;
}

/** Settings that name a file or directory. */
const PATH_SETTINGS = [
  'node.dataDir',
  'node.ownerKey',
  'network.swarmKey',
  'api.socket',
  'api.keys',
  'engines.docker.socket',
];
const REDACTED = '(redacted)';

/** @throws ShoalError `config-invalid` with every problem, each with its path, value and origin. */
export async function loadConfig(input: LoadInput): Promise<LoadedConfig> {
  const environment = fromEnvironment(input.env);
  const flags = fromFlags(input.flags);
  const { file, layer } = await readLayer(input, [environment, flags]);
  const layers = [layer, environment, flags];
  const chosen = new Map<string, Setting>();
  for (const setting of layers.flatMap((each) => each.settings)) {
    chosen.set(setting.path, { ...setting, value: expanded(setting, input) });
  }
  for (const path of ['node.dataDir', 'node.ownerKey']) {
    if (!chosen.has(path)) chosen.set(path, defaultPath(path, input));
  }
  const problems = layers.flatMap((each) => each.problems);
  const parsed = configSchema.safeParse(treeOf(chosen.values()));
  if (!parsed.success)
    problems.push(...parsed.error.issues.map((issue) => problemOf(issue, chosen)));
  const hostProblem = apiHostProblem(
    chosen.get('api.host')?.value ?? '127.0.0.1',
    chosen.get('api.insecure')?.value,
    chosen.get('api.keys')?.value,
  );
  if (hostProblem !== null)
    problems.push(problemOf({ path: ['api', 'host'], message: hostProblem }, chosen));
  if (!parsed.success || problems.length > 0) {
    throw new ShoalError({ code: 'config-invalid', problems });
  }
  const origins = new Map(
    [...chosen.values()]
      .filter((setting) => setting.origin !== 'default')
      .map((setting) => [setting.path, setting.origin]),
  );
  return { config: deepFreeze(parsed.data), origins, file };
}

/** Every effective value with its origin, in the order of the schema; what `shoal config` prints. */
export function explainConfig(loaded: LoadedConfig): readonly ExplainedSetting[] {
  return [...leaves.values()].map((leaf) => ({
    path: leaf.path,
    value: JSON.stringify(shown(valueAt(loaded.config, leaf.path.split('.')))),
    origin: loaded.origins.get(leaf.path) ?? 'default',
    description: leaf.description,
  }));
}

/** The core's constants with what the operator may change of them. */
export function limitsOf(config: Config): Limits {
  return {
    ...DEFAULT_LIMITS,
    maxAttempts: config.jobs.maxAttempts,
    retentionMs: config.jobs.retentionMs,
    keeperReplaceAfterMs: config.jobs.keeperReplaceAfterMs,
    reseedAfterMs: config.jobs.reseedAfterMs,
    resultRetentionMs: config.results.retentionMs,
    holderLostMs: config.results.holderLostMs,
  };
}

async function readLayer(
  input: LoadInput,
  later: readonly Layer[],
): Promise<{ readonly file: string | null; readonly layer: Layer }> {
  const named = input.flags['--config'] ?? input.env['SHOAL_CONFIG'];
  const dataDir = later
    .flatMap((layer) => layer.settings)
    .findLast((setting) => setting.path === 'node.dataDir');
  const directory =
    dataDir === undefined ? defaultPath('node.dataDir', input).value : expanded(dataDir, input);
  const file =
    typeof named === 'string'
      ? absolute(named, input.cwd, input)
      : join(String(directory), 'config.yaml');
  try {
    return { file, layer: fromFile(await readFile(file, 'utf8'), file, dirname(file)) };
  } catch (error) {
    if (typeof named !== 'string' && errorCode(error) === 'ENOENT')
      return { file: null, layer: { settings: [], problems: [] } };
    const problem = `The configuration file ${file} cannot be read: ${errorCode(error) ?? String(error)}.`;
    return { file, layer: { settings: [], problems: [problem] } };
  }
}

function defaultPath(path: string, input: LoadInput): Setting {
  const name = path === 'node.dataDir' ? '' : 'owner.key';
  return { path, value: join(input.home, '.shoal', name), origin: 'default', base: null };
}

function expanded(setting: Setting, input: LoadInput): unknown {
  const { value } = setting;
  if (
    !PATH_SETTINGS.includes(setting.path) ||
    typeof value !== 'string' ||
    value === '' ||
    value === 'none' ||
    looksLikeKey(value)
  )
    return value;
  return absolute(value, setting.base ?? input.cwd, input);
}

function absolute(path: string, base: string, input: LoadInput): string {
  if (path === '~') return input.home;
  return path.startsWith('~/') ? join(input.home, path.slice(2)) : resolve(base, path);
}

type Tree = { [key: string]: unknown };

function treeOf(settings: Iterable<Setting>): Tree {
  const root: Tree = {};
  for (const { path, value } of settings) {
    const keys = path.split('.');
    let at = root;
    for (const key of keys.slice(0, -1)) at = (at[key] ??= {}) as Tree;
    at[keys.at(-1) ?? path] = value;
  }
  return root;
}

function problemOf(
  issue: { readonly path: readonly PropertyKey[]; readonly message: string },
  chosen: ReadonlyMap<string, Setting>,
): string {
  const keys = issue.path.map(String);
  let depth = keys.length;
  while (depth > 0 && !leaves.has(keys.slice(0, depth).join('.'))) depth -= 1;
  const path = keys.slice(0, depth).join('.');
  const setting = chosen.get(path);
  const rest = keys.slice(depth);
  const value = shown(valueAt(setting?.value, rest));
  const place = [path, ...rest.map((key) => `[${key}]`)].join('');
  const what = issue.message.replace(/^Invalid (input|string): /, '');
  return `${place} = ${JSON.stringify(value) ?? 'nothing'} (${setting?.origin ?? 'default'}): ${what.replace(/\.$/, '')}.`;
}

function valueAt(value: unknown, keys: readonly string[]): unknown {
  return keys.reduce<unknown>(
    (at, key) =>
      typeof at === 'object' && at !== null
        ? (at as Readonly<Record<string, unknown>>)[key]
        : undefined,
    value,
  );
}

/** Owner keys in policy lists are public and shown; whatever else looks like a key is not. */
function shown(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (looksLikeKey(value)) return REDACTED;
  return value.length > 200 ? `${value.slice(0, 200)}…` : value;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const child of Object.values(value)) deepFreeze(child);
  }
  return value;
}
