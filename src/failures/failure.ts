/**
 * Every way in which shoal fails towards a user, as one closed union. What each code means to a person,
 * a script and an HTTP client is one row of `table.ts`. Types only.
 */
import type { Problem } from '../core/contract/reply.ts';

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
  | { readonly code: 'no-changes'; readonly name: string }
  | { readonly code: 'job-pending'; readonly job: string; readonly state: string }
  /** `ref` '': the job has none at all. */
  | { readonly code: 'execution-not-found'; readonly ref: string; readonly job: string }
  | { readonly code: 'node-not-found'; readonly ref: string }
  | { readonly code: 'node-approved'; readonly node: string }
  | { readonly code: 'result-not-ready'; readonly job: string; readonly state: string }
  | { readonly code: 'logs-unavailable'; readonly execution: string; readonly why: string }
  /** The daemon and its surroundings. */
  | { readonly code: 'port-in-use'; readonly address: string }
  /** `bootstrap`: an address of the peer that has it; '' when it does not say. */
  | {
      readonly code: 'data-dir-locked';
      readonly path: string;
      readonly pid: number;
      readonly bootstrap: string;
    }
  | { readonly code: 'store-unusable'; readonly path: string; readonly why: string }
  | { readonly code: 'daemon-unreachable'; readonly address: string }
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
  /** A version of a job that it never had, or of which nothing is kept any more. */
  | {
      readonly code: 'version-not-found';
      readonly job: string;
      readonly version: number;
      readonly current: number;
    }
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
