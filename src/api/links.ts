/**
 * Where a result of the publisher `local` is downloaded: an address of the peer that was asked, as its client reached
 * it, which fetches the content from whoever has it. Where keys are asked for, the address carries a proof that
 * this peer gave it out, as what downloads it knows no key.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { ExecutionJson, ResultJson } from './types.ts';

/** Long enough for the largest download to begin. */
const GOOD_MS = 3_600_000;
const HOLDERS_MAX = 3;

export interface Links {
  /** Adds the proof to a path without one. */
  signed(path: string): string;
  /** This process gave it out, not long ago. @param url path and query, as they were asked for */
  isGood(url: string): boolean;
}

/** `now`: wall clock, milliseconds. The secret is of this process: addresses of before its restart are worth nothing. */
export function createLinks(now: () => number, secret: Uint8Array = randomBytes(32)): Links {
  const proofOf = (path: string, until: number): Buffer =>
    createHmac('sha256', secret).update(`${until} ${path}`).digest();
  return {
    signed(path) {
      const until = now() + GOOD_MS;
      const proof = proofOf(path, until).toString('base64url');
      return `${path}${path.includes('?') ? '&' : '?'}until=${until}&proof=${proof}`;
    },
    isGood(url) {
      const match = /^(.*)[?&]until=(\d{1,15})&proof=([\w-]{43})$/.exec(url);
      if (match === null) return false;
      const [, path = '', until = '', proof = ''] = match;
      const given = Buffer.from(proof, 'base64url');
      const right = proofOf(path, Number(until));
      return (
        given.length === right.length && timingSafeEqual(given, right) && Number(until) >= now()
      );
    },
  };
}

export const ARCHIVE_PATH = /^\/api\/v1\/shoal\/content\/[^/?]+\/archive\/[^/?]+$/;

/** @param links null when no key is asked for */
export function archiveUrl(
  request: FastifyRequest,
  links: Links | null,
  { CID, ExecutionID, Holders }: ResultJson['Params'],
): string {
  const holders = Holders.slice(0, HOLDERS_MAX).map((holder) => `holder=${holder}`);
  const path = `/api/v1/shoal/content/${CID}/archive/${ExecutionID}.tar.gz?${holders.join('&')}`;
  const forwarded = request.headers['x-forwarded-proto'];
  const scheme = forwarded === 'https' || request.protocol === 'https' ? 'https' : 'http';
  return `${scheme}://${request.headers.host ?? 'localhost'}${links?.signed(path) ?? path}`;
}

const PUBLISHER = 'local';

/** Results as the publisher of their job has them: with an address for `local`. */
export const publishedResults = (
  results: readonly ResultJson[],
  publisher: string,
  urlOf: (result: ResultJson['Params']) => string,
): readonly ResultJson[] =>
  publisher === PUBLISHER
    ? results.map(({ Params }) => ({
        Type: 'urlDownload',
        Params: { URL: urlOf(Params), ...Params },
      }))
    : results;

/** The same for executions. */
export function publishedExecutions(
  executions: readonly ExecutionJson[],
  publisher: string,
  urlOf: (result: ResultJson['Params']) => string,
): readonly ExecutionJson[] {
  if (publisher !== PUBLISHER) return executions;
  return executions.map((execution) => {
    const { PublishedResult: result } = execution;
    if (!('Params' in result)) return execution;
    const URL = urlOf(result.Params);
    return {
      ...execution,
      PublishedResult: { Type: 'urlDownload', Params: { URL, ...result.Params } },
    };
  });
}
