/**
 * The HTTP API as a command sees it. Over `node:http`, because a fetch gives up after five minutes
 * without a byte, which a transfer over a slow mesh may take. Every answer but 200 is an error.
 */
import type { IncomingMessage, RequestOptions } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ShoalError } from '../failures/shoal-error.ts';
import { parseExact, stringifyExact } from '../lib/exact-json.ts';
import type { ErrorJson, LogFrame } from '../api/types.ts';
import { RemoteError } from './errors.ts';

/** Imports would load all that `node:http` keeps for later, a quarter of the time of a command. */
const { Agent, request: httpRequest } = process.getBuiltinModule('node:http');
const { connect } = process.getBuiltinModule('node:net');

export type Query = Readonly<
  Record<string, string | number | boolean | readonly string[] | undefined>
>;

export interface Client {
  /** For people: `127.0.0.1:1234`, or the path of a socket. */
  readonly address: string;
  get<T>(path: string, query?: Query): Promise<T>;
  send<T>(
    method: 'PUT' | 'POST' | 'DELETE',
    path: string,
    body: unknown,
    signal?: AbortSignal,
  ): Promise<T>;
  /** @throws what `bytes` throws, as it is. */
  upload<T>(
    path: string,
    query: Query,
    mediaType: string,
    bytes: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<T>;
  /** The bytes of an answer as they come; ends with an error when it breaks off. */
  download(path: string, query: Query, signal: AbortSignal): Promise<Readable>;
  /** The frames of a log stream; ends when the peer closes it or the signal fires. */
  frames(path: string, query: Query, signal: AbortSignal): AsyncIterable<LogFrame>;
  close(): void;
}

/** Longer than the slowest honest answer: an admission may take 20 s. */
const ANSWER_MAX_MS = 60_000;
const ERROR_MAX_BYTES = 1_000_000;

function withQuery(base: URL, path: string, query: Query): URL {
  const url = new URL(`${base.origin}${base.pathname.replace(/\/$/, '')}/api/v1${path}`);
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === '' || value === false) continue;
    for (const one of Array.isArray(value) ? value : [value])
      url.searchParams.append(name, String(one));
  }
  return url;
}

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'EPIPE',
  'EACCES',
  'ENOENT',
]);

function transportError(error: unknown, address: string): unknown {
  const { code } = (error ?? {}) as { readonly code?: string };
  if (code !== undefined && UNREACHABLE.has(code))
    return new ShoalError({ code: 'daemon-unreachable', address }, { cause: error });
  if (code !== undefined && code.startsWith('HPE_')) return notAPeer(address);
  return error;
}

const notAPeer = (address: string): ShoalError =>
  new ShoalError({
    code: 'peer-unreachable',
    node: address,
    why: 'what answers there is not a shoal peer',
  });

async function textOf(answer: Readable, maxBytes = Number.POSITIVE_INFINITY): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer) {
    chunks.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes > maxBytes) break;
  }
  return Buffer.concat(chunks).toString('utf8');
}

function errorOf(text: string, address: string): Error {
  try {
    const answer = JSON.parse(text) as Partial<ErrorJson>;
    if (typeof answer.Message === 'string' && typeof answer.Details?.code === 'string')
      return new RemoteError(answer as ErrorJson);
  } catch {
    // Not JSON: not one of ours, which the line below says.
  }
  return notAPeer(address);
}

/** Where a peer is asked. */
export interface Place {
  /** Of every URL; over a socket its host means nothing. */
  readonly base: URL;
  /** A Unix socket to use instead of the host of `base`. */
  readonly socket: string | null;
}

/** What is at the end of a socket answers, or its connection is refused at once. */
function isAlive(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path: socket });
    const tell = (alive: boolean): void => {
      probe.destroy();
      resolve(alive);
    };
    probe.once('connect', () => tell(true));
    probe.once('error', () => tell(false));
  });
}

export class HttpClient implements Client {
  readonly #base: URL;
  readonly #key: string;
  /** A socket that is used only when somebody listens there. */
  readonly #maybe: string | null;
  #socket: string | null;
  #looked: Promise<void> | null = null;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 });

  /** `maybe`: a socket to use instead of `place` when somebody listens there. */
  constructor(place: Place, maybe: string | null, key: string) {
    this.#base = place.base;
    this.#socket = place.socket;
    this.#maybe = maybe;
    this.#key = key;
  }

  get address(): string {
    return this.#socket ?? this.#base.host;
  }

  /** Decides once between the socket and the host. */
  async #look(): Promise<void> {
    const maybe = this.#maybe;
    if (maybe === null) return;
    this.#looked ??= isAlive(maybe).then((alive) => {
      if (alive) this.#socket = maybe;
    });
    await this.#looked;
  }

  #optionsOf(url: URL): RequestOptions {
    if (this.#socket !== null) return { agent: this.#agent, socketPath: this.#socket };
    return url.protocol === 'http:' ? { agent: this.#agent } : {};
  }

  #headersOf(headers: Readonly<Record<string, string>>): Record<string, string> {
    return this.#key === '' ? { ...headers } : { ...headers, authorization: `Bearer ${this.#key}` };
  }

  async #request(
    method: string,
    url: URL,
    headers: Record<string, string>,
    body: Readable | null,
    signal: AbortSignal | null,
    waitMs: number,
  ) {
    await this.#look();
    const options = { ...this.#optionsOf(url), method, headers: this.#headersOf(headers) };
    if (signal !== null) Object.assign(options, { signal });
    const send = await senderOf(url);
    const request = send(url, options);
    if (waitMs > 0) {
      request.setTimeout(waitMs, () => {
        request.destroy(
          new ShoalError({ code: 'timeout', what: `The answer of ${this.address}`, ms: waitMs }),
        );
      });
    }
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve);
      // What went wrong with our own bytes says nothing about the peer.
      request.once('error', (error) =>
        reject(error === body?.errored ? error : transportError(error, this.address)),
      );
    });
    // What breaks the body breaks the request, and so the answer; nothing to wait for here.
    if (body === null) request.end();
    else pipeline(body, request).catch(() => {});
    const answer = await answered;
    if (answer.statusCode === 200) return answer;
    throw errorOf(await textOf(answer, ERROR_MAX_BYTES), this.address);
  }

  async #json<T>(answer: IncomingMessage): Promise<T> {
    const text = await textOf(answer).catch((error: unknown) => {
      throw transportError(error, this.address);
    });
    try {
      return parseExact(text) as T;
    } catch {
      throw notAPeer(this.address);
    }
  }

  async get<T>(path: string, query: Query = {}): Promise<T> {
    return this.#json<T>(
      await this.#request('GET', withQuery(this.#base, path, query), {}, null, null, ANSWER_MAX_MS),
    );
  }

  async send<T>(
    method: 'PUT' | 'POST' | 'DELETE',
    path: string,
    body: unknown,
    signal?: AbortSignal,
  ): Promise<T> {
    const text = stringifyExact(body, 0);
    const headers = {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(text)),
    };
    const url = withQuery(this.#base, path, {});
    return this.#json<T>(
      await this.#request(
        method,
        url,
        headers,
        Readable.from([text]),
        signal ?? null,
        ANSWER_MAX_MS,
      ),
    );
  }

  async upload<T>(
    path: string,
    query: Query,
    mediaType: string,
    bytes: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<T> {
    const body = Readable.from(bytes, { objectMode: false });
    const url = withQuery(this.#base, path, query);
    const headers = { 'content-type': mediaType };
    return this.#json<T>(await this.#request('POST', url, headers, body, signal, 0));
  }

  async download(path: string, query: Query, signal: AbortSignal): Promise<Readable> {
    return this.#request('GET', withQuery(this.#base, path, query), {}, null, signal, 0);
  }

  async *frames(path: string, query: Query, signal: AbortSignal): AsyncGenerator<LogFrame> {
    await this.#look();
    const url = withQuery(this.#base, path, query);
    const { socketFrames } = await import('./frames.ts');
    const send = await senderOf(url);
    const { address } = this;
    const source = {
      open: (headers: Readonly<Record<string, string>>) =>
        // Not of the agent: a connection that is upgraded never comes back to it.
        send(url, { ...this.#optionsOf(url), agent: false, headers: this.#headersOf(headers) }),
      unreachable: (cause: unknown) =>
        new ShoalError({ code: 'daemon-unreachable', address }, { cause }),
      refused: async (answer: IncomingMessage) =>
        errorOf(await textOf(answer, ERROR_MAX_BYTES), address),
    };
    yield* socketFrames(source, signal);
  }

  close(): void {
    this.#agent.destroy();
  }
}

const senderOf = async (url: URL): Promise<typeof httpRequest> =>
  url.protocol === 'https:' ? (await import('node:https')).request : httpRequest;
