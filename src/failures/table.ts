/**
 * One row for each failure code: what an HTTP client, a script and a person are told. The compiler asks
 * for every row, and the tidy tests compare them with the headings of `src/README.md`.
 */
import type { Failure, FailureCode } from './failure.ts';
import type { Unanswered } from '../core/contract/reply.ts';
import type { Refusal } from '../core/record/refusals.ts';
import { noSay } from './no-say.ts';
import { wrongTime } from './wrong-time.ts';

const whyRefused = (refusal: Refusal): string => {
  if (refusal.code === 'wrong-time') return wrongTime(refusal);
  const isForGood = refusal.code === 'other-store' || refusal.code === 'damaged';
  return isForGood ? noSay(refusal) : refusal.code;
};

/** The code that Bacalhau's clients know. */
export type ApiCode =
  | 'BadRequest'
  | 'ValidationError'
  | 'Unauthorized'
  | 'Forbidden'
  | 'NotFound'
  | 'ResourceInUse'
  | 'ResourceExhausted'
  | 'NotImplemented'
  | 'ServiceUnavailable'
  | 'TimeOut'
  | 'InternalError';

/**
 * 0 done · 1 a defect · 2 wrong usage or input · 3 refused · 4 unreachable or unavailable · 5 the job
 * failed or its program ended with a non-zero exit code · 130 interrupted by Ctrl-C.
 */
export type ExitCode = 0 | 1 | 2 | 3 | 4 | 5 | 130;

interface Row<F> {
  /** HTTP status. */
  readonly status: number;
  readonly apiCode: ApiCode;
  readonly exitCode: ExitCode;
  /** The same request may succeed later. */
  readonly again: boolean;
  /** One or two sentences for a person: the place, the value and the remedy. */
  readonly words: (failure: F) => string;
}

type Rows = { readonly [C in FailureCode]: Row<Extract<Failure, { readonly code: C }>> };

/** A failure that the same request will meet again. */
const final = <F>(
  status: number,
  apiCode: ApiCode,
  exitCode: ExitCode,
  words: Row<F>['words'],
): Row<F> => ({ status, apiCode, exitCode, again: false, words });

/** A failure that may go away by itself. */
const passing = <F>(
  status: number,
  apiCode: ApiCode,
  exitCode: ExitCode,
  words: Row<F>['words'],
): Row<F> => ({ status, apiCode, exitCode, again: true, words });

/** Whom a question did not reach, in words. */
function unanswered({ asked, silent }: Unanswered): string {
  if (asked === 0) return 'There is no other peer to ask.';
  const names = silent.map((node) => `…${node.slice(-8)}`).join(', ');
  return `${asked} were asked; no answer from ${names}.`;
}

type TooFew = Extract<Failure, { readonly code: 'too-few-keepers' }>;

function tooFewKeepers({ job, keepers, minKeepers, peers }: TooFew): string {
  if (job !== null) {
    return `Job ${job} was submitted before and has ${keepers} keepers, fewer than the ${minKeepers} asked for. Keepers are not replaced: stop it and submit it anew, or ask for fewer.`;
  }
  return `The job would have ${keepers} keepers, fewer than the ${minKeepers} asked for: ${peers} peers can keep one now, and their number is made odd. Nothing was submitted. Wait until more peers are there (\`shoal node list\`), or ask for fewer.`;
}

export const FAILURES: Rows = {
  'spec-invalid': final(400, 'ValidationError', 2, ({ problems }) => problems.join('\n')),
  'request-invalid': final(
    400,
    'BadRequest',
    2,
    ({ place, value, expected }) => `${place}: ${value} is not valid; expected ${expected}.`,
  ),
  'cid-invalid': final(
    400,
    'BadRequest',
    2,
    ({ value, why }) => `"${value}" is not a CID: ${why}.`,
  ),
  'multiaddr-invalid': final(
    400,
    'BadRequest',
    2,
    ({ value, why }) => `"${value}" is not a usable multiaddr: ${why}.`,
  ),
  'config-invalid': final(400, 'BadRequest', 2, ({ problems }) => problems.join('\n')),
  'key-invalid': final(
    400,
    'BadRequest',
    2,
    ({ path, why }) => `The key file ${path} cannot be used: ${why}.`,
  ),
  'content-not-found': passing(
    404,
    'NotFound',
    4,
    ({ asked, cid }) =>
      `Nobody of the ${asked} peers asked has ${cid}. Check the CID, or start the peer that holds it.`,
  ),
  'content-too-large': final(
    413,
    'BadRequest',
    3,
    ({ cid, bytes, maxBytes }) =>
      `${cid} holds ${bytes} bytes, more than the ${maxBytes} allowed here.`,
  ),
  'content-corrupt': final(
    422,
    'BadRequest',
    4,
    ({ cid, why }) => `${cid} cannot be read: ${why}.`,
  ),
  'path-not-found': final(404, 'NotFound', 2, ({ path }) => `${path} does not exist.`),
  'path-unsafe': final(
    400,
    'BadRequest',
    3,
    ({ path, why }) => `The path "${path}" is refused: ${why}.`,
  ),
  'execution-not-found': final(404, 'NotFound', 3, ({ ref, job }) =>
    ref === ''
      ? `no executions found for job ${job}. It has not run anywhere yet; \`shoal job describe ${job}\` says why.`
      : `execution not found: ${ref}. \`shoal job executions <job>\` lists them.`,
  ),
  'version-not-found': final(
    404,
    'NotFound',
    3,
    ({ job, version, current }) =>
      `job version ${version} not found for job ${job}. Its present version is ${current}; \`shoal job versions ${job}\` lists those that are still known.`,
  ),
  'node-not-found': final(
    404,
    'NotFound',
    3,
    ({ ref }) => `node not found: ${ref}. \`shoal node list\` lists those known here.`,
  ),
  'node-approved': final(
    409,
    'ResourceInUse',
    3,
    ({ node }) =>
      `node ${node} already approved: whoever knows the network id and the swarm key belongs to the mesh.`,
  ),
  'result-not-ready': passing(
    409,
    'ResourceInUse',
    3,
    ({ job, state }) =>
      `Job ${job} is ${state}: its results are not there yet. \`shoal job describe ${job}\` says how far it is.`,
  ),
  'logs-unavailable': final(
    404,
    'NotFound',
    3,
    ({ execution, why }) => `The logs of ${execution} cannot be had: ${why}.`,
  ),
  'port-in-use': final(
    409,
    'ResourceInUse',
    3,
    ({ address }) =>
      `${address} is in use by another program. Choose another one, or stop that program.`,
  ),
  'data-dir-locked': final(
    409,
    'ResourceInUse',
    3,
    ({ path, pid, bootstrap }) =>
      `${path} is in use by the shoal peer with process id ${pid}. Stop it, or start a second one beside it: shoal serve --data-dir ${path}-2 --bootstrap ${bootstrap || 'ADDRESS (which that one printed after "bootstrap")'}`,
  ),
  'store-unusable': final(
    503,
    'ServiceUnavailable',
    4,
    ({ path, why }) => `The store ${path} cannot be used: ${why}.`,
  ),
  'daemon-unreachable': passing(
    503,
    'ServiceUnavailable',
    4,
    ({ address }) =>
      `No shoal peer answers at ${address}. Start one with \`shoal serve\`, or name another with --api-host and --api-port.`,
  ),
  'peer-unreachable': passing(
    503,
    'ServiceUnavailable',
    4,
    ({ node, why }) => `Node ${node} cannot be reached: ${why}.`,
  ),
  timeout: passing(504, 'TimeOut', 4, ({ what, ms }) => `${what} took longer than ${ms} ms.`),
  'route-not-found': final(
    404,
    'NotFound',
    1,
    ({ method, path }) => `There is nothing at ${method} ${path}.`,
  ),
  'method-not-allowed': final(
    405,
    'BadRequest',
    1,
    ({ path, method, allowed }) =>
      `${path} does not take ${method}; it takes ${allowed.join(', ')}.`,
  ),
  'media-type-refused': final(
    415,
    'BadRequest',
    1,
    ({ given, expected }) => `The body is ${given}; ${expected} is expected.`,
  ),
  'body-too-large': final(
    413,
    'BadRequest',
    2,
    ({ maxBytes }) =>
      `The body is larger than the ${maxBytes} bytes allowed. Add large data with \`shoal cid add\` and name it by CID.`,
  ),
  'rate-limited': passing(
    429,
    'ResourceExhausted',
    4,
    ({ retryAfterMs }) => `Too many requests. Try again in ${Math.ceil(retryAfterMs / 1000)} s.`,
  ),
  'origin-refused': final(
    403,
    'Forbidden',
    3,
    ({ header, value }) =>
      `The ${header} header "${value}" is not one of this peer. Use 127.0.0.1 or localhost.`,
  ),
  'key-required': final(
    401,
    'Unauthorized',
    3,
    () => 'This peer wants an API key. Set SHOAL_API_KEY to one of its keys.',
  ),
  'key-scope': final(
    403,
    'Forbidden',
    3,
    ({ scope, needed }) => `The API key may ${scope}, and this needs one that may ${needed}.`,
  ),
  'not-supported': final(
    501,
    'NotImplemented',
    3,
    ({ feature, instead }) => `${feature} is not supported by shoal. ${instead}`,
  ),
  usage: final(400, 'BadRequest', 2, ({ what }) => what),
  'prefix-too-short': final(
    400,
    'BadRequest',
    2,
    ({ ref, minDigits }) => `${ref} is too short: give at least ${minDigits} digits of the id.`,
  ),
  'output-exists': final(
    409,
    'ResourceInUse',
    3,
    ({ path }) =>
      `${path} exists already. Choose another --output-dir, or replace it with --overwrite.`,
  ),
  'result-conflict': final(
    409,
    'ResourceInUse',
    3,
    ({ first, second, path }) =>
      `Both ${first} and ${second} contain ${path}. Use --raw to keep the results apart.`,
  ),
  'job-failed': final(
    409,
    'ResourceInUse',
    5,
    ({ job, state, why }) => `Job ${job} ended ${state}: ${why}`,
  ),
  'program-failed': final(
    409,
    'ResourceInUse',
    5,
    ({ job, exitCodes }) =>
      `Job ${job} is done, but its program ended with exit code ${exitCodes.join(', ')}.`,
  ),
  interrupted: passing(503, 'ServiceUnavailable', 130, ({ what }) => what),
  internal: final(500, 'InternalError', 1, ({ what }) => `A defect in shoal: ${what}.`),
  'job-not-found': final(404, 'NotFound', 3, (failure) =>
    failure.silent.length === 0
      ? `job not found: ${failure.ref}. Nobody in this mesh knows it; \`shoal job list\` lists the jobs.`
      : `job not found: ${failure.ref}. No peer that answered knows it. ${unanswered(failure)} Ask again when they are back.`,
  ),
  'job-unreachable': passing(
    503,
    'ServiceUnavailable',
    4,
    (failure) =>
      `Job ${failure.job} exists, but none of those who keep it answers. ${unanswered(failure)} It goes on without this peer; ask again, or through another one.`,
  ),
  'job-ambiguous': final(
    400,
    'BadRequest',
    2,
    ({ ref, candidates }) =>
      `${ref} stands for ${candidates.length} jobs: ${candidates.join(', ')}. Use more digits.`,
  ),
  'job-terminal': final(
    409,
    'ResourceInUse',
    3,
    ({ job, state }) => `Job ${job} is already ${state}.`,
  ),
  'no-changes': final(
    409,
    'ResourceInUse',
    3,
    ({ name }) =>
      `no changes detected for new job spec: the job ${name} has this very one. \`shoal job rerun ${name}\` runs it once more, \`--force\` makes it a new version all the same.`,
  ),
  'job-pending': passing(
    409,
    'ResourceInUse',
    3,
    ({ job, state }) =>
      `cannot rerun job in state ${state}: ${job} has not run yet. Wait until it runs, or stop it.`,
  ),
  'job-changed': passing(
    409,
    'ResourceInUse',
    3,
    ({ job, version }) =>
      `Job ${job} changed meanwhile: it is version ${version} now. Look at it and decide anew.`,
  ),
  'versions-full': passing(
    503,
    'ResourceExhausted',
    4,
    ({ job, bytes, maxBytes }) =>
      `Job ${job} gets no further version for now: earlier versions that still run take ${bytes} of the ${maxBytes} bytes that its keepers have for them. Wait until services have gone over to their latest versions, or stop some.`,
  ),
  'not-owner': final(
    403,
    'Forbidden',
    3,
    ({ job, owner }) =>
      `Job ${job} belongs to the owner key ${owner.slice(0, 16)}…, which this peer does not hold. Stop it through a peer started with that --owner-key.`,
  ),
  'keepers-unreachable': passing(
    503,
    'ServiceUnavailable',
    4,
    ({ reached, needed, job }) =>
      `Only ${reached} of the ${needed} keepers needed answered for job ${job}. It is kept and goes on when they answer; submitting the same spec with the same idempotency token again is safe.`,
  ),
  'too-few-keepers': passing(503, 'ServiceUnavailable', 4, tooFewKeepers),
  'not-admitted': final(
    403,
    'Forbidden',
    3,
    ({ job, refusal }) => `Job ${job} was not admitted: ${whyRefused(refusal)}.`,
  ),
  'spec-too-large': final(
    400,
    'ValidationError',
    2,
    ({ bytes, maxBytes }) =>
      `The spec has ${bytes} bytes, more than the ${maxBytes} bytes a record may have. Add large inputs with \`shoal cid add\` and name them by CID.`,
  ),
  draining: passing(
    503,
    'ServiceUnavailable',
    4,
    () => 'This peer is shutting down and takes no jobs. Submit to another one.',
  ),
  'store-full': passing(
    503,
    'ResourceExhausted',
    4,
    () =>
      'The disk of this peer is full, and it takes nothing new. Free some space there, or submit to another peer.',
  ),
};

/** What the user is told. */
export function describe<C extends FailureCode>(
  failure: Extract<Failure, { readonly code: C }>,
): string {
  return FAILURES[failure.code as C].words(failure);
}
