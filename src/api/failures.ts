/** Failures as HTTP answers: the error body. Nothing about the inside of the process leaves here. */
import { describe, FAILURES } from '../failures/table.ts';
import { ShoalError } from '../failures/shoal-error.ts';
import type { Failure, FailureCode } from '../failures/failure.ts';
import type { ErrorJson } from './types.ts';

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

/** Parts of Bacalhau that say the same, for clients that look for them. */
const COMPONENTS: Readonly<Partial<Record<FailureCode, string>>> = {
  'job-not-found': 'JobStore',
  'job-ambiguous': 'JobStore',
  'version-not-found': 'JobStore',
  'execution-not-found': 'JobStore',
  'node-not-found': 'NodesManager',
  'node-approved': 'NodesManager',
};

/** The body and status of a failure. */
export function errorJson(failure: Failure, requestId: string): ErrorJson {
  const answer = FAILURES[failure.code];
  const hint = HINTS[failure.code];
  return {
    Status: answer.status,
    Message: describe(failure),
    RequestID: requestId,
    Code: answer.apiCode,
    Component: COMPONENTS[failure.code] ?? 'APIServer',
    ...(hint === undefined ? {} : { Hint: hint }),
    Details: { ...placeOf(failure), code: failure.code, retryable: String(answer.again) },
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
