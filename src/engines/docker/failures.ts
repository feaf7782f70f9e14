/**
 * Puts what went wrong in Docker into the words and classes of the mesh: the class decides whether
 * another node is tried. Pure. Docker tells causes apart only by its wording, so the patterns here
 * are from the engine's own messages; what none of them knows is the node's fault, which is safe:
 * it is tried elsewhere.
 */
import type { ExecutionFailure, FailureClass } from '../../core/record/execution.ts';

/** A message travels in a record: its length is bounded there. */
const MESSAGE_MAX = 1000;

export function failureOf(code: string, kind: FailureClass, message: string): ExecutionFailure {
  return { code, class: kind, message: message.slice(0, MESSAGE_MAX) };
}

/** A Docker API call that did not succeed. */
export interface ApiError {
  /** HTTP status; null when the engine could not be reached or did not answer in time. */
  readonly status: number | null;
  /** `ENOENT`, `ECONNREFUSED`, `EACCES`, `timeout`, …; null when the engine answered. */
  readonly errno: string | null;
  /** The engine's own words. */
  readonly text: string;
}

/** Reads whatever a client library threw. */
export function readApiError(error: unknown): ApiError {
  const thrown = (typeof error === 'object' && error !== null ? error : {}) as {
    readonly statusCode?: unknown;
    readonly code?: unknown;
    readonly json?: { readonly message?: unknown } | null;
    readonly message?: unknown;
  };
  const status = typeof thrown.statusCode === 'number' ? thrown.statusCode : null;
  const told = thrown.json?.message ?? thrown.message;
  const text = typeof told === 'string' ? told.trim() : 'an error without words';
  const code = typeof thrown.code === 'string' ? thrown.code : 'unreachable';
  return { status, errno: status === null ? code : null, text };
}

interface Rule {
  readonly pattern: RegExp;
  readonly code: string;
  readonly class: FailureClass;
  readonly message: string;
}

const PULL_RULES: readonly Rule[] = [
  {
    pattern: /no matching manifest|does not match the specified platform/i,
    code: 'image-platform',
    class: 'node',
    message: 'The image is not made for this kind of machine.',
  },
  {
    pattern: /toomanyrequests|too many requests|rate limit/i,
    code: 'image-pull-failed',
    class: 'transient',
    message: 'The registry limits how often images are pulled.',
  },
  {
    pattern: /no space left on device/i,
    code: 'disk-full',
    class: 'node',
    message: 'There is no room for the image on this node.',
  },
  {
    pattern: /invalid reference format|repository name must/i,
    code: 'image-reference-invalid',
    class: 'spec',
    message: 'The image reference is malformed.',
  },
  {
    pattern:
      /manifest unknown|manifest for .* not found|not found: manifest|repository .*not found|name unknown|does not exist|access denied|requested access|unauthorized|authentication required/i,
    code: 'image-not-found',
    class: 'spec',
    message: 'The image does not exist or is private. Check its spelling.',
  },
];

/** Why a registry was not reached: Docker's own words for it, and ours. */
const UNREACHED: readonly (readonly [RegExp, string])[] = [
  [/no such host|server misbehaving/i, 'its name was not found'],
  [/connection refused/i, 'it refused the connection'],
  [/no route to host|network is unreachable/i, 'there is no way to it'],
  [/timeout|deadline exceeded|request canceled/i, 'it did not answer in time'],
  [/x509|tls:|certificate|HTTP response to HTTPS/i, 'it has no certificate that is trusted'],
  [/connection reset|unexpected EOF|broke off/i, 'the connection broke off'],
];

/**
 * What is told of a registry's answer: its status and a reason of ours. Never its words, as the
 * message travels to the owner of the job, and what answered may be anything in the node's reach.
 */
function answerOf(text: string): string {
  const status = /\b(?:status(?: code)?|HTTP status):? (\d{3})\b/i.exec(text)?.[1];
  if (status !== undefined) return `the registry answered with status ${status}`;
  const why = UNREACHED.find(([pattern]) => pattern.test(text))?.[1];
  return why ?? 'the registry did not give it';
}

/** A pull that failed. */
export function pullFailure(image: string, error: ApiError): ExecutionFailure {
  // 404 is the engine's answer for what a registry does not have; its wording varies by registry.
  const known = PULL_RULES.find((rule) => rule.pattern.test(error.text));
  const shown = image.slice(0, 300);
  if (known !== undefined) {
    return failureOf(known.code, known.class, `${known.message} Image ${shown}.`);
  }
  if (error.status === 404) {
    const text = `The image ${shown} does not exist or is private. Check its spelling.`;
    return failureOf('image-not-found', 'spec', text);
  }
  const text = `The image ${shown} could not be pulled: ${answerOf(error.text)}.`;
  return failureOf('image-pull-failed', 'transient', text);
}

const START_RULES: readonly Rule[] = [
  {
    pattern: /cannot be mounted because it is|unable to setup user: stat \/dev\//i,
    code: 'docker-refused',
    class: 'spec',
    message:
      'A path of the job lies where every container has something else, as in /proc, /sys or /dev. Name another one.',
  },
  {
    pattern: /no command specified/i,
    code: 'no-command',
    class: 'spec',
    message: 'The image names no command: give Engine.Params.Entrypoint or Parameters.',
  },
  {
    pattern: /could not select device driver|nvidia-container|no known GPU vendor/i,
    code: 'gpu-unavailable',
    class: 'node',
    message: 'This node cannot give a GPU to a container.',
  },
  {
    pattern: /exec format error/i,
    code: 'image-platform',
    class: 'node',
    message: 'The program is not made for this kind of machine.',
  },
  {
    pattern: /no space left on device/i,
    code: 'disk-full',
    class: 'node',
    message: 'There is no room for the container on this node.',
  },
  {
    pattern: /port is already allocated|address already in use/i,
    code: 'host-port-taken',
    class: 'node',
    message: 'A port that the job asks for is in use on this node.',
  },
  {
    pattern: /range of cpus|bind source path does not exist|error while creating mount source/i,
    code: 'docker-refused',
    class: 'node',
    message: 'Docker on this node cannot carry out the order.',
  },
  {
    pattern:
      /executable file not found|no such file or directory: unknown|exec: .*(?:not found|permission denied|is a directory)/i,
    code: 'entrypoint-not-found',
    class: 'spec',
    message: 'The command is not in the image or cannot be executed.',
  },
];

/**
 * Docker's words without what they tell of this machine: where it keeps containers, and where this node
 * has its data. The message travels to the owner of the job. What lies inside the container stays.
 */
function toldElsewhere(text: string): string {
  return text
    .slice(0, 4 * MESSAGE_MAX)
    .replace(/ mounting "[^"]*"/g, ' mounting')
    .replace(/\/[^\s"]*?\/overlay2\/[^\s"/]+\/\w+/g, '')
    .replace(/\/[^\s"]*?\/executions\/[^\s"]*/g, '…');
}

/** Creating or starting a container failed. */
export function startFailure(error: ApiError): ExecutionFailure {
  if (error.status === null) return unavailable(error);
  const known = START_RULES.find((rule) => rule.pattern.test(error.text));
  if (known !== undefined) {
    return failureOf(
      known.code,
      known.class,
      `${known.message} Docker: ${toldElsewhere(error.text)}`,
    );
  }
  const isSpec = error.status === 400;
  return failureOf(
    'docker-refused',
    isSpec ? 'spec' : 'node',
    `Docker refused to start the container: ${toldElsewhere(error.text)}`,
  );
}

/** The engine did not answer at all. */
export function unavailable(error: ApiError): ExecutionFailure {
  return failureOf('docker-unavailable', 'node', `Docker does not answer: ${error.text}`);
}

/**
 * Docker's init process reports a command that it cannot execute on the program's stderr and with
 * exit code 126 or 127, as the container itself did start.
 * @param stderrHead the first bytes of stderr
 * @returns the failure; null when the program itself ran.
 */
export function initFailure(exitCode: number, stderrHead: string): ExecutionFailure | null {
  if (exitCode !== 126 && exitCode !== 127) return null;
  const match = /^\[FATAL tini \(\d+\)\] exec (.{1,300}) failed: (.{1,200})$/m.exec(stderrHead);
  if (match === null) return null;
  const [, command = '', why = ''] = match;
  if (/exec format error/i.test(why)) {
    const text = `${command} is not made for this kind of machine.`;
    return failureOf('image-platform', 'node', text);
  }
  const text = `The command ${command} is not in the image or cannot be executed: ${why}. Check Engine.Params.Entrypoint and Parameters.`;
  return failureOf('entrypoint-not-found', 'spec', text);
}
