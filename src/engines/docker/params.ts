/**
 * Reads a docker task's parameters into something typed, or says what is wrong with them. Pure:
 * what only Docker can know (does the image exist, is the command in it) is found out later.
 */
import { own } from '../../job/own.ts';
import type { ExecutionFailure } from '../../core/record/execution.ts';
import type { Json, Task } from '../../job/model.ts';
import { parseImageReference } from './image-reference.ts';

export interface DockerParams {
  readonly image: string;
  /** Replaces the image's ENTRYPOINT unless empty. */
  readonly entrypoint: readonly string[];
  /** Replaces the image's CMD unless empty. */
  readonly parameters: readonly string[];
  /** `K=V`, exactly as written. */
  readonly environment: readonly string[];
  /** '' = the image's own. */
  readonly workingDirectory: string;
}

export type ParamsResult =
  | { readonly ok: true; readonly params: DockerParams }
  | { readonly ok: false; readonly failure: ExecutionFailure };

/** What the node itself tells the program must not be forged by the job. */
const RESERVED = /^\s*(?:BACALHAU_|SHOAL_)/i;

const wrong = (code: string, message: string): ParamsResult => ({
  ok: false,
  failure: { code, class: 'spec', message: message.slice(0, 1000) },
});

/** @returns the parameters, or a failure of class `spec`. Never throws. */
export function readDockerParams(task: Task): ParamsResult {
  const given = task.Engine.Params;
  const image = given['Image'];
  if (typeof image !== 'string') {
    return wrong(
      'image-reference-invalid',
      'Engine.Params.Image is missing: name the image to run.',
    );
  }
  const reference = parseImageReference(image);
  if (!reference.ok) {
    const text = `Engine.Params.Image: "${image.slice(0, 200)}" is not an image reference: `;
    return wrong('image-reference-invalid', `${text}${reference.why}.`);
  }
  const lists = new Map<string, readonly string[]>();
  for (const key of ['Entrypoint', 'Parameters', 'EnvironmentVariables']) {
    const list = stringsOf(own(given, key));
    if (list === null) {
      return wrong('engine-params-invalid', `Engine.Params.${key} must be a list of texts.`);
    }
    lists.set(key, list);
  }
  const environment = lists.get('EnvironmentVariables') ?? [];
  const problem = environmentProblem(environment);
  if (problem !== null) return problem;
  const workingDirectory = given['WorkingDirectory'] ?? '';
  if (typeof workingDirectory !== 'string' || !/^(?:$|\/)/.test(workingDirectory)) {
    const text = `Engine.Params.WorkingDirectory must be an absolute path such as "/work".`;
    return wrong('engine-params-invalid', text);
  }
  return {
    ok: true,
    params: {
      image,
      entrypoint: lists.get('Entrypoint') ?? [],
      parameters: lists.get('Parameters') ?? [],
      environment,
      workingDirectory,
    },
  };
}

/** A list of texts; null or nothing counts as empty, as YAML's `Entrypoint: null` does. */
function stringsOf(value: Json | undefined): readonly string[] | null {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return null;
  const list = value as readonly Json[];
  // NUL would cut the text short on its way into the program.
  const isText = (item: Json): item is string => typeof item === 'string' && !item.includes('\0');
  return list.every(isText) ? list : null;
}

function environmentProblem(environment: readonly string[]): ParamsResult | null {
  for (const entry of environment) {
    const shown = entry.slice(0, 80).split('=')[0] ?? '';
    if (entry.indexOf('=') < 1) {
      const text = `Engine.Params.EnvironmentVariables: "${shown}" must have the form NAME=value.`;
      return wrong('environment-invalid', text);
    }
    if (RESERVED.test(entry)) {
      const text = `Engine.Params.EnvironmentVariables: names starting with BACALHAU_ or SHOAL_ are the node's own ("${shown}").`;
      return wrong('environment-reserved', text);
    }
  }
  return null;
}

/**
 * The whole environment: the node's facts and the task's variables, then the engine's own, which
 * win.
 */
export function mergeEnvironment(
  env: Readonly<Record<string, string>>,
  entries: readonly string[],
): readonly string[] {
  const merged = new Map(Object.entries(env));
  for (const entry of entries) {
    const equals = entry.indexOf('=');
    merged.set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  return [...merged].map(([key, value]) => `${key}=${value}`);
}
