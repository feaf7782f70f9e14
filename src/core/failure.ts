/**
 * Every way in which shoal fails towards a user: one closed union, one class, one switch that words
 * it. `api/` maps codes to HTTP status, `cli/` to exit codes; the compiler keeps both complete.
 */
import type { Problem, Unanswered } from './contract/reply.ts';

export type Failure =
  | Problem
  /** Usage and input. `problems` are complete sentences with their place. */
  | { readonly code: 'spec-invalid'; readonly problems: readonly string[] }
  | {
      readonly code: 'request-invalid';
      readonly place: string;
      readonly value: string;
      readonly expected: string;
    }
  | { readonly code: 'cid-invalid'; readonly value: string; readonly why: string }
  | { readonly code: 'multiaddr-invalid'; readonly value: string; readonly why: string }
  | { readonly code: 'config-invalid'; readonly problems: readonly string[] }
  | { readonly code: 'key-invalid'; readonly path: string; readonly why: string }
  /** Content. */
  | { readonly code: 'content-not-found'; readonly cid: string; readonly asked: number }
  | {
      readonly code: 'content-too-large';
      readonly cid: string;
      readonly bytes: number;
      readonly maxBytes: number;
    }
  | { readonly code: 'content-corrupt'; readonly cid: string; readonly why: string }
  | { readonly code: 'path-not-found'; readonly path: string }
  | { readonly code: 'path-unsafe'; readonly path: string; readonly why: string }
  /** Jobs and executions. */
  | { readonly code: 'execution-not-found'; readonly ref: string }
  | { readonly code: 'node-not-found'; readonly ref: string }
  | { readonly code: 'result-not-ready'; readonly job: string; readonly state: string }
  | { readonly code: 'logs-unavailable'; readonly execution: string; readonly why: string }
  /** The daemon and its surroundings. */
  | { readonly code: 'port-in-use'; readonly address: string }
  | { readonly code: 'data-dir-locked'; readonly path: string; readonly pid: number }
  | { readonly code: 'store-unusable'; readonly path: string; readonly why: string }
  | { readonly code: 'daemon-unreachable'; readonly address: string }
  | { readonly code: 'mesh-unreachable'; readonly why: string }
  | { readonly code: 'peer-unreachable'; readonly node: string; readonly why: string }
  | { readonly code: 'timeout'; readonly what: string; readonly ms: number }
  /** The HTTP API: what is wrong with a request before it means anything. */
  | { readonly code: 'route-not-found'; readonly method: string; readonly path: string }
  | {
      readonly code: 'method-not-allowed';
      readonly method: string;
      readonly path: string;
      readonly allowed: readonly string[];
    }
  | { readonly code: 'media-type-refused'; readonly given: string; readonly expected: string }
  | { readonly code: 'body-too-large'; readonly maxBytes: number }
  | { readonly code: 'rate-limited'; readonly retryAfterMs: number }
  | { readonly code: 'origin-refused'; readonly header: string; readonly value: string }
  | { readonly code: 'key-required' }
  | { readonly code: 'key-scope'; readonly scope: string; readonly needed: string }
  | { readonly code: 'not-supported'; readonly feature: string; readonly instead: string }
  /** The command line. */
  | { readonly code: 'usage'; readonly what: string; readonly hint: string }
  | { readonly code: 'prefix-too-short'; readonly ref: string; readonly minDigits: number }
  | { readonly code: 'output-exists'; readonly path: string }
  | {
      readonly code: 'result-conflict';
      readonly path: string;
      readonly first: string;
      readonly second: string;
    }
  | {
      readonly code: 'job-failed';
      readonly job: string;
      readonly state: string;
      readonly why: string;
    }
  | { readonly code: 'program-failed'; readonly job: string; readonly exitCodes: readonly number[] }
  | { readonly code: 'interrupted'; readonly what: string }
  | { readonly code: 'internal'; readonly what: string };

export type FailureCode = Failure['code'];

export class ShoalError extends Error {
  override readonly name = 'ShoalError';
  readonly failure: Failure;
  constructor(failure: Failure, options?: ErrorOptions) {
    super(describe(failure), options);
    this.failure = failure;
  }
}

/** Whom a question did not reach, in words. */
function unanswered({ asked, silent }: Unanswered): string {
  if (asked === 0) return 'There is no other peer to ask.';
  const names = silent.map((node) => `…${node.slice(-8)}`).join(', ');
  return `${asked} were asked; no answer from ${names}.`;
}

/** One or two sentences for a person: the place, the value and the remedy. */
export function describe(failure: Failure): string {
  switch (failure.code) {
    case 'spec-invalid':
      return failure.problems.join('\n');
    case 'request-invalid':
      return `${failure.place}: ${failure.value} is not valid; expected ${failure.expected}.`;
    case 'cid-invalid':
      return `"${failure.value}" is not a CID: ${failure.why}.`;
    case 'multiaddr-invalid':
      return `"${failure.value}" is not a usable multiaddr: ${failure.why}.`;
    case 'config-invalid':
      return failure.problems.join('\n');
    case 'key-invalid':
      return `The key file ${failure.path} cannot be used: ${failure.why}.`;
    case 'content-not-found':
      return `Nobody of the ${failure.asked} peers asked has ${failure.cid}. Check the CID, or start the peer that holds it.`;
    case 'content-too-large':
      return `${failure.cid} holds ${failure.bytes} bytes, more than the ${failure.maxBytes} allowed here.`;
    case 'content-corrupt':
      return `${failure.cid} cannot be read: ${failure.why}.`;
    case 'path-not-found':
      return `${failure.path} does not exist.`;
    case 'path-unsafe':
      return `The path "${failure.path}" is refused: ${failure.why}.`;
    case 'execution-not-found':
      return `No execution ${failure.ref}. \`shoal job executions <job>\` lists them.`;
    case 'node-not-found':
      return `No node ${failure.ref} is known here. \`shoal node list\` lists them.`;
    case 'result-not-ready':
      return `Job ${failure.job} is ${failure.state}: its results are not there yet. \`shoal job describe ${failure.job}\` says how far it is.`;
    case 'logs-unavailable':
      return `The logs of ${failure.execution} cannot be had: ${failure.why}.`;
    case 'port-in-use':
      return `${failure.address} is in use by another program. Choose another one, or stop that program.`;
    case 'data-dir-locked':
      return `${failure.path} is in use by the shoal peer with process id ${failure.pid}. Stop it, or use another --data-dir.`;
    case 'store-unusable':
      return `The store ${failure.path} cannot be used: ${failure.why}.`;
    case 'daemon-unreachable':
      return `No shoal peer answers at ${failure.address}. Start one with \`shoal serve\`, or name another with --api-host and --api-port.`;
    case 'mesh-unreachable':
      return `The mesh cannot be reached: ${failure.why}.`;
    case 'peer-unreachable':
      return `Node ${failure.node} cannot be reached: ${failure.why}.`;
    case 'timeout':
      return `${failure.what} took longer than ${failure.ms} ms.`;
    case 'route-not-found':
      return `There is nothing at ${failure.method} ${failure.path}.`;
    case 'method-not-allowed':
      return `${failure.path} does not take ${failure.method}; it takes ${failure.allowed.join(', ')}.`;
    case 'media-type-refused':
      return `The body is ${failure.given}; ${failure.expected} is expected.`;
    case 'body-too-large':
      return `The body is larger than the ${failure.maxBytes} bytes allowed. Add large data with \`shoal cid add\` and name it by CID.`;
    case 'rate-limited':
      return `Too many requests. Try again in ${Math.ceil(failure.retryAfterMs / 1000)} s.`;
    case 'origin-refused':
      return `The ${failure.header} header "${failure.value}" is not one of this peer. Use 127.0.0.1 or localhost.`;
    case 'key-required':
      return 'This peer wants an API key. Set SHOAL_API_KEY to one of its keys.';
    case 'key-scope':
      return `The API key may ${failure.scope}, and this needs one that may ${failure.needed}.`;
    case 'not-supported':
      return `${failure.feature} is not supported by shoal. ${failure.instead}`;
    case 'usage':
      return failure.what;
    case 'prefix-too-short':
      return `${failure.ref} is too short: give at least ${failure.minDigits} digits of the id.`;
    case 'output-exists':
      return `${failure.path} exists already. Choose another --output-dir, or replace it with --overwrite.`;
    case 'result-conflict':
      return `Both ${failure.first} and ${failure.second} contain ${failure.path}. Use --raw to keep the results apart.`;
    case 'job-failed':
      return `Job ${failure.job} ended ${failure.state}: ${failure.why}`;
    case 'program-failed':
      return `Job ${failure.job} is done, but its program ended with exit code ${failure.exitCodes.join(', ')}.`;
    case 'interrupted':
      return failure.what;
    case 'internal':
      return `A defect in shoal: ${failure.what}.`;
    case 'job-not-found':
      return failure.silent.length === 0
        ? `No job ${failure.ref} is known in this mesh. \`shoal job list\` lists them.`
        : `No job ${failure.ref} is known to the peers that answered. ${unanswered(failure)} Ask again when they are back.`;
    case 'job-unreachable':
      return `Job ${failure.job} exists, but none of those who keep it answers. ${unanswered(failure)} It goes on without this peer; ask again, or through another one.`;
    case 'job-ambiguous':
      return `${failure.ref} stands for ${failure.candidates.length} jobs: ${failure.candidates.join(', ')}. Use more digits.`;
    case 'job-terminal':
      return `Job ${failure.job} is already ${failure.state}.`;
    case 'not-owner':
      return `Job ${failure.job} belongs to the owner key ${failure.owner.slice(0, 16)}…, which this peer does not hold. Stop it through a peer started with that --owner-key.`;
    case 'keepers-unreachable':
      return `Only ${failure.reached} of the ${failure.needed} keepers needed answered for job ${failure.job}. It is kept and goes on when they answer; submitting the same spec with the same idempotency token again is safe.`;
    case 'not-admitted':
      return `Job ${failure.job} was not admitted: ${failure.refusal.code}.`;
    case 'spec-too-large':
      return `The spec has ${failure.bytes} bytes, more than the ${failure.maxBytes} a record may have. Add large inputs with \`shoal cid add\` and name them by CID.`;
    case 'unsupported-job-type':
      return `Jobs of type ${failure.jobType} are not run by this version of shoal.`;
    case 'draining':
      return 'This peer is shutting down and takes no jobs. Submit to another one.';
    case 'store-full':
      return 'The disk of this peer is full, and it takes nothing new. Free some space there, or submit to another peer.';
  }
}
