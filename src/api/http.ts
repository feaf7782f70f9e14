/** The small words in which the route files are written: parameters in, JSON out. */
import { own } from '../job/own.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ShoalError } from '../failures/shoal-error.ts';
import { VERSIONS_MAX } from '../core/record/slot.ts';
import { matches } from '../job/constraints.ts';
import type { Constraint } from '../job/model.ts';
import { parseSelector } from '../job/selector.ts';
import { stringifyExact } from '../lib/exact-json.ts';
import { decodeToken, LIMIT_MAX, type Page } from './paging.ts';

/** Each is compared with the labels of every job or node. */
const SELECTORS_MAX = 64;

const clip = (text: string): string => text.slice(0, 80);

export function invalid(place: string, value: string, expected: string): ShoalError {
  return new ShoalError({ code: 'request-invalid', place, value: clip(value), expected });
}

function queryOf(request: FastifyRequest): Readonly<Record<string, unknown>> {
  return (request.query ?? {}) as Readonly<Record<string, unknown>>;
}

/** A query parameter given at most once; '' when it is not given. @throws ShoalError `request-invalid`. */
export function text(request: FastifyRequest, name: string): string {
  const value = own(queryOf(request), name);
  if (value === undefined) return '';
  if (typeof value !== 'string') throw invalid(name, 'several values', 'one value');
  return value;
}

/** A query parameter that may be repeated. */
export function texts(request: FastifyRequest, name: string): readonly string[] {
  const value = own(queryOf(request), name);
  if (value === undefined) return [];
  return (Array.isArray(value) ? value : [value]).map(String);
}

/** `true`, `1` and the bare name are true. @throws ShoalError `request-invalid`. */
export function flag(request: FastifyRequest, name: string): boolean {
  const value = text(request, name).toLowerCase();
  if (own(queryOf(request), name) === undefined || ['false', '0', 'f'].includes(value))
    return false;
  if (['', 'true', '1', 't'].includes(value)) return true;
  throw invalid(name, value, 'true or false');
}

/** A whole number ≥ 0; null when it is not given. @throws ShoalError `request-invalid`. */
export function count(request: FastifyRequest, name: string): number | null {
  const value = text(request, name);
  if (value === '') return null;
  if (!/^\d{1,15}$/.test(value)) throw invalid(name, value, 'a whole number');
  return Number(value);
}

/** A path parameter. */
export function param(request: FastifyRequest, name: string): string {
  return own(request.params as Readonly<Record<string, string | undefined>>, name) ?? '';
}

/** What the wire carries of a namespace, and of a version: other peers would take more for a fault of this one. */
const NAMESPACE_MAX = 1_024;

/** @throws ShoalError `request-invalid`. */
export function namespaceIn(given: string): string {
  if (given.length <= NAMESPACE_MAX) return given;
  throw invalid('namespace', given, `at most ${NAMESPACE_MAX} characters`);
}

/** A version of a job; 0: the current one. @throws ShoalError `request-invalid`. */
export function versionIn(place: string, given: unknown): number {
  if (typeof given === 'number' && Number.isInteger(given) && given >= 0 && given <= VERSIONS_MAX)
    return given;
  const expected = `a whole number of at most ${VERSIONS_MAX}; 0 is the current one`;
  throw invalid(place, JSON.stringify(given), expected);
}

/** The version asked for; 0: the current one. */
export const versionOf = (request: FastifyRequest): number =>
  versionIn('job_version', count(request, 'job_version') ?? 0);

/** The namespace of a lookup; Bacalhau's default is the namespace `default`. */
export const namespaceOf = (request: FastifyRequest): string =>
  namespaceIn(text(request, 'namespace')) || 'default';

/** The body as an object. @throws ShoalError `request-invalid`. */
export function bodyOf(request: FastifyRequest): Readonly<Record<string, unknown>> {
  const body: unknown = request.body ?? {};
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw invalid('body', JSON.stringify(body), 'a JSON object');
  }
  return body as Readonly<Record<string, unknown>>;
}

/** A member of the body whatever the case of its name, as Go reads it. */
export function member(body: Readonly<Record<string, unknown>>, name: string): unknown {
  if (Object.hasOwn(body, name)) return own(body, name);
  const key = Object.keys(body).find((one) => one.toLowerCase() === name.toLowerCase());
  return key === undefined ? undefined : own(body, key);
}

/** The page asked for: a token decides alone; a limit beyond the maximum is cut and said so. */
export function pageOf(request: FastifyRequest, reply: FastifyReply): Page {
  const token = text(request, 'next_token');
  if (token !== '') return decodeToken(token);
  const asked = count(request, 'limit') ?? 0;
  if (asked > LIMIT_MAX) reply.header('x-shoal-limit', String(LIMIT_MAX));
  return {
    orderBy: text(request, 'order_by'),
    reverse: flag(request, 'reverse'),
    limit: Math.min(asked, LIMIT_MAX),
    offset: 0,
  };
}

/** A test for labels from the repeatable selector parameter. @throws ShoalError `request-invalid`. */
export function labelFilter(
  request: FastifyRequest,
): (labels: Readonly<Record<string, string>>) => boolean {
  const constraints: Constraint[] = [];
  const selectors = texts(request, 'labels');
  if (selectors.length > SELECTORS_MAX)
    throw invalid('labels', `${selectors.length} selectors`, `at most ${SELECTORS_MAX}`);
  for (const selector of selectors) {
    const parsed = parseSelector(selector);
    if (!parsed.ok)
      throw invalid('labels', selector, `a selector; column ${parsed.column}: ${parsed.message}`);
    constraints.push(...parsed.constraints);
  }
  if (constraints.length > SELECTORS_MAX)
    throw invalid('labels', `${constraints.length} constraints`, `at most ${SELECTORS_MAX}`);
  return (labels) => constraints.every((constraint) => matches(constraint, labels));
}

/** Sends JSON; `?pretty` indents it. */
export function send(reply: FastifyReply, value: unknown, status = 200): FastifyReply {
  const pretty = (reply.request.query as Readonly<Record<string, unknown>> | undefined)?.['pretty'];
  const indent = pretty === undefined || pretty === 'false' ? 0 : 2;
  return reply
    .code(status)
    .type('application/json; charset=utf-8')
    .send(stringifyExact(value, indent));
}

/** A signal that fires when the client is gone before its answer is complete, or the server stops. */
export function clientSignal(reply: FastifyReply, stopping: AbortSignal): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished)
      gone.abort(new ShoalError({ code: 'interrupted', what: 'The client is gone.' }));
  });
  return AbortSignal.any([gone.signal, stopping]);
}
