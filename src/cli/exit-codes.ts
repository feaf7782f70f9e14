/** Failures as exit codes of the command; the compiler keeps the table complete. */
import type { FailureCode } from '../core/failure.ts';

/**
 * 0 done · 1 a defect · 2 wrong usage or input · 3 refused · 4 unreachable or unavailable · 5 the job
 * failed or its program ended with a non-zero exit code · 130 interrupted by Ctrl-C.
 */
export type ExitCode = 0 | 1 | 2 | 3 | 4 | 5 | 130;

export const EXIT_CODES: Readonly<Record<FailureCode, ExitCode>> = {
  'spec-invalid': 2,
  'request-invalid': 2,
  'cid-invalid': 2,
  'multiaddr-invalid': 2,
  'config-invalid': 2,
  'key-invalid': 2,
  'content-not-found': 4,
  'content-too-large': 3,
  'content-corrupt': 4,
  'path-not-found': 2,
  'path-unsafe': 3,
  'execution-not-found': 3,
  'node-not-found': 3,
  'result-not-ready': 3,
  'logs-unavailable': 3,
  'port-in-use': 3,
  'data-dir-locked': 3,
  'store-unusable': 4,
  'daemon-unreachable': 4,
  'mesh-unreachable': 4,
  'peer-unreachable': 4,
  timeout: 4,
  'route-not-found': 1,
  'method-not-allowed': 1,
  'media-type-refused': 1,
  'body-too-large': 2,
  'rate-limited': 4,
  'origin-refused': 3,
  'key-required': 3,
  'key-scope': 3,
  'not-supported': 3,
  usage: 2,
  'prefix-too-short': 2,
  'output-exists': 3,
  'result-conflict': 3,
  'job-failed': 5,
  'program-failed': 5,
  interrupted: 130,
  internal: 1,
  'job-not-found': 3,
  'job-ambiguous': 2,
  'job-terminal': 3,
  'not-owner': 3,
  'keepers-unreachable': 4,
  'not-admitted': 3,
  'spec-too-large': 2,
  'unsupported-job-type': 3,
  draining: 4,
};
