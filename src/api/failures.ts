/**
 * Failures as HTTP answers: the table from failure code to status and Bacalhau's code, and the error
 * body. The compiler keeps the table complete; nothing about the inside of the process leaves here.
 */
import { describe, ShoalError, type Failure, type FailureCode } from '../core/failure.ts';
import type { ErrorJson } from './types.ts';

interface Answer {
  readonly status: number;
  readonly code:
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
  /** The same request may succeed later. */
  readonly retryable: boolean;
}

const no = (status: number, code: Answer['code']): Answer => ({ status, code, retryable: false });
const later = (status: number, code: Answer['code']): Answer => ({ status, code, retryable: true });

const ANSWERS: Readonly<Record<FailureCode, Answer>> = {
  'spec-invalid': no(400, 'ValidationError'),
  'request-invalid': no(400, 'BadRequest'),
  'cid-invalid': no(400, 'BadRequest'),
  'multiaddr-invalid': no(400, 'BadRequest'),
  'config-invalid': no(400, 'BadRequest'),
  'key-invalid': no(400, 'BadRequest'),
  'content-not-found': later(404, 'NotFound'),
  'content-too-large': no(413, 'BadRequest'),
  'content-corrupt': no(422, 'BadRequest'),
  'path-not-found': no(404, 'NotFound'),
  'path-unsafe': no(400, 'BadRequest'),
  'execution-not-found': no(404, 'NotFound'),
  'node-not-found': no(404, 'NotFound'),
  'result-not-ready': later(409, 'ResourceInUse'),
  'logs-unavailable': no(404, 'NotFound'),
  'port-in-use': no(409, 'ResourceInUse'),
  'data-dir-locked': no(409, 'ResourceInUse'),
  'store-unusable': no(503, 'ServiceUnavailable'),
  'daemon-unreachable': later(503, 'ServiceUnavailable'),
  'mesh-unreachable': later(503, 'ServiceUnavailable'),
  'peer-unreachable': later(503, 'ServiceUnavailable'),
  timeout: later(504, 'TimeOut'),
  'route-not-found': no(404, 'NotFound'),
  'method-not-allowed': no(405, 'BadRequest'),
  'media-type-refused': no(415, 'BadRequest'),
  'body-too-large': no(413, 'BadRequest'),
  'rate-limited': later(429, 'ResourceExhausted'),
  'origin-refused': no(403, 'Forbidden'),
  'key-required': no(401, 'Unauthorized'),
  'key-scope': no(403, 'Forbidden'),
  'not-supported': no(501, 'NotImplemented'),
  usage: no(400, 'BadRequest'),
  'prefix-too-short': no(400, 'BadRequest'),
  'output-exists': no(409, 'ResourceInUse'),
  'result-conflict': no(409, 'ResourceInUse'),
  'job-failed': no(409, 'ResourceInUse'),
  'program-failed': no(409, 'ResourceInUse'),
  interrupted: later(503, 'ServiceUnavailable'),
  internal: no(500, 'InternalError'),
  'job-not-found': no(404, 'NotFound'),
  'job-unreachable': later(503, 'ServiceUnavailable'),
  'job-ambiguous': no(400, 'BadRequest'),
  'job-terminal': no(409, 'ResourceInUse'),
  'not-owner': no(403, 'Forbidden'),
  'keepers-unreachable': later(503, 'ServiceUnavailable'),
  'not-admitted': no(403, 'Forbidden'),
  'spec-too-large': no(400, 'ValidationError'),
  'unsupported-job-type': no(501, 'NotImplemented'),
  draining: later(503, 'ServiceUnavailable'),
  'store-full': later(503, 'ResourceExhausted'),
};

function placeOf(failure: Failure): Readonly<Record<string, string>> {
  if (failure.code === 'request-invalid') return { path: failure.place };
  if (failure.code === 'job-ambiguous') return { candidates: failure.candidates.join(',') };
  return {};
}

const HINTS: Readonly<Partial<Record<FailureCode, string>>> = {
  'route-not-found': 'The base of every path is /api/v1; see the README for the list.',
  'job-ambiguous': 'Give more digits of the id.',
  'keepers-unreachable': 'Submit the same spec with the same idempotency token again.',
};

/** The body and status of a failure. */
export function errorJson(failure: Failure, requestId: string): ErrorJson {
  const answer = ANSWERS[failure.code];
  const hint = HINTS[failure.code];
  return {
    Status: answer.status,
    Message: describe(failure),
    RequestID: requestId,
    Code: answer.code,
    Component: 'APIServer',
    ...(hint === undefined ? {} : { Hint: hint }),
    Details: { ...placeOf(failure), code: failure.code, retryable: String(answer.retryable) },
  };
}

/** What fastify says about a request, as a failure of ours; null when it is not about the request. */
function frameworkFailure(error: {
  readonly code?: unknown;
  readonly statusCode?: unknown;
}): Failure | null {
  switch (error.code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return { code: 'media-type-refused', given: 'of another type', expected: 'application/json' };
    case 'FST_ERR_BAD_URL':
      return {
        code: 'request-invalid',
        place: 'URL',
        value: 'the path',
        expected: 'well-formed percent-encoding',
      };
    default:
      break;
  }
  if (typeof error.statusCode === 'number' && error.statusCode >= 400 && error.statusCode < 500) {
    return {
      code: 'request-invalid',
      place: 'request',
      value: 'it',
      expected: 'a well-formed HTTP request',
    };
  }
  return null;
}

/**
 * Any thrown value as a failure. `defect` is true when it says something about this program instead
 * of about the request; such an error is for the log only.
 */
export function failureOf(thrown: unknown): {
  readonly failure: Failure;
  readonly defect: boolean;
} {
  if (thrown instanceof ShoalError)
    return { failure: thrown.failure, defect: thrown.failure.code === 'internal' };
  const known = typeof thrown === 'object' && thrown !== null ? frameworkFailure(thrown) : null;
  if (known !== null) return { failure: known, defect: false };
  return {
    failure: {
      code: 'internal',
      what: 'the request could not be carried out; the log of the peer says more',
    },
    defect: true,
  };
}
