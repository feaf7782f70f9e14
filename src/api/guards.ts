/**
 * What every request must pass before it is routed: the rate limit, the Host and Origin checks
 * against pages of other sites (DNS rebinding), and the API key where one is asked for. Decides only.
 */
import { isIP } from 'node:net';
import { ShoalError } from '../failures/shoal-error.ts';
import { includes, neededScope, scopeOf, type ApiKey } from './keys.ts';

export interface GuardOptions {
  /** The address listened on; anything but loopback widens the hosts that are taken. */
  readonly host: string;
  /** Host names beside `localhost` under which this peer may be reached. */
  readonly allowedHosts: readonly string[];
  /** Origins of pages that may call this API beside its own. */
  readonly allowedOrigins: readonly string[];
  /** Keys of which a request must carry one; empty = none asked for. */
  readonly apiKeys: readonly ApiKey[];
}

export interface GuardedRequest {
  readonly method: string;
  /** It came through the Unix socket, which only the owner of this peer can open. */
  readonly trusted: boolean;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly fetchSite: string | undefined;
  readonly authorization: string | undefined;
  /** It is an address that this peer gave out for a download, to somebody who had a key. */
  readonly linked: boolean;
  readonly path: string;
}

const LOOPBACK_NAMES: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);

/** Paths that answer without a key: a load balancer and a client that has not logged in ask them. */
const OPEN_PATHS = new Set([
  '/livez',
  '/version',
  '/api/v1/agent/alive',
  '/api/v1/agent/version',
  '/api/v1/agent/authconfig',
]);

/**
 * The port is not compared: a tunnel or a published container port changes it, and a page that
 * rebinds a name still shows that name. An address instead of a name cannot be rebound.
 */
function hostAllowed(header: string, options: GuardOptions): boolean {
  const match = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::\d{1,5})?$/i.exec(header);
  const name = match?.[1]?.toLowerCase();
  if (name === undefined) return false;
  if (LOOPBACK_NAMES.has(name) || options.allowedHosts.includes(name)) return true;
  return !isLoopback(options.host) && isIP(name.replace(/^\[|\]$/g, '')) !== 0;
}

function originAllowed(origin: string, host: string, options: GuardOptions): boolean {
  if (options.allowedOrigins.includes(origin)) return true;
  return origin === `http://${host}` || origin === `https://${host}`;
}

const clip = (text: string): string => text.slice(0, 80);

/** @throws ShoalError `origin-refused`, `key-required`, `key-scope`. */
export function checkRequest(request: GuardedRequest, options: GuardOptions): void {
  const host = request.host ?? '';
  if (!request.trusted && !hostAllowed(host, options))
    throw new ShoalError({ code: 'origin-refused', header: 'Host', value: clip(host) });
  const { origin, fetchSite } = request;
  if (origin !== undefined && !originAllowed(origin, host, options)) {
    throw new ShoalError({ code: 'origin-refused', header: 'Origin', value: clip(origin) });
  }
  const foreign = fetchSite === 'cross-site' || fetchSite === 'same-site';
  if (foreign && (origin === undefined || !options.allowedOrigins.includes(origin))) {
    throw new ShoalError({ code: 'origin-refused', header: 'Sec-Fetch-Site', value: fetchSite });
  }
  // The question of a browser whether a page of an allowed origin may send something carries no key, and does nothing.
  const asksFirst = request.method === 'OPTIONS' && origin !== undefined;
  if (!request.trusted && !request.linked && !asksFirst) checkKey(request, options.apiKeys);
}

function checkKey(request: GuardedRequest, keys: readonly ApiKey[]): void {
  const { method, path } = request;
  if (keys.length === 0 || OPEN_PATHS.has(path) || /^\/api\/v1\/auth(\/|$)/.test(path)) return;
  const scope = scopeOf(request.authorization, keys);
  if (scope === null) throw new ShoalError({ code: 'key-required' });
  const needed = neededScope(method, path);
  if (!includes(scope, needed)) throw new ShoalError({ code: 'key-scope', scope, needed });
}

/** Clients remembered by the rate limit; beyond that those that are not limited are forgotten. */
const CLIENTS_MAX = 4096;

/** A token bucket per client: `perSecond` requests, as many at once. */
export class RateLimit {
  readonly #perSecond: number;
  readonly #now: () => number;
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  /** `now`: monotonic milliseconds. */
  constructor(perSecond: number, now: () => number) {
    this.#perSecond = perSecond;
    this.#now = now;
  }

  /** @throws ShoalError `rate-limited`. */
  take(client: string): void {
    const at = this.#now();
    const bucket = this.#buckets.get(client) ?? { tokens: this.#perSecond, at };
    bucket.tokens = Math.min(
      this.#perSecond,
      bucket.tokens + ((at - bucket.at) / 1000) * this.#perSecond,
    );
    bucket.at = at;
    this.#buckets.set(client, bucket);
    if (this.#buckets.size > CLIENTS_MAX) this.#forgetFull(at);
    if (bucket.tokens < 1) {
      throw new ShoalError({
        code: 'rate-limited',
        retryAfterMs: Math.ceil(((1 - bucket.tokens) / this.#perSecond) * 1000),
      });
    }
    bucket.tokens -= 1;
  }

  #forgetFull(at: number): void {
    for (const [client, bucket] of this.#buckets) {
      if (at - bucket.at >= 1000) this.#buckets.delete(client);
    }
  }
}
