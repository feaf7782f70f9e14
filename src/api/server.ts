/**
 * The HTTP server: guards, body parsing, error answers, and the routes of the resource files. It
 * speaks Bacalhau's API under `/api/v1` and shoal's own additions under `/api/v1/shoal`. What a node
 * does is behind `ShoalService`; nothing here knows the mesh.
 */
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import websocket from '@fastify/websocket';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { ShoalError } from '../failures/shoal-error.ts';
import { TREE_MEDIA_TYPE } from '../lib/tree-stream.ts';
import { createBodyRoom, readJson } from './body.ts';
import { createConnections } from './connections.ts';
import { errorJson, failureOf } from './failures.ts';
import { checkRequest, isLoopback, RateLimit, type GuardOptions } from './guards.ts';
import { HistoryBook } from './history.ts';
import { send } from './http.ts';
import { ARCHIVE_PATH, createLinks, type Links } from './links.ts';
import { listen, type Listening } from './listen.ts';
import { addNotFound } from './not-found.ts';
import { agentRoutes } from './routes/agent.ts';
import { authRoutes } from './routes/auth.ts';
import { contentRoutes } from './routes/content.ts';
import type { RouteContext } from './routes/context.ts';
import { drainRoutes } from './routes/drain.ts';
import { fitRoutes } from './routes/fit.ts';
import { labelRoutes } from './routes/labels.ts';
import { historyRoutes } from './routes/history.ts';
import { jobRoutes } from './routes/jobs.ts';
import { logRoutes } from './routes/logs.ts';
import { nodeRoutes } from './routes/nodes.ts';
import { metricsRoute, statusRoutes } from './routes/status.ts';
import type { ShoalService } from './service.ts';
import { versionHeaders } from './version.ts';

export interface ApiOptions extends GuardOptions {
  /** 0 = any free port. */
  readonly port: number;
  /** A Unix socket beside it, which needs no key; null = none. `required`: not having it is an error. */
  readonly socket: { readonly path: string; readonly required: boolean } | null;
  /** Take requests from other machines without a key. Only looked at when `host` is not loopback. */
  readonly insecure: boolean;
  /** Directory of the daemon's own for uploads under way. */
  readonly spoolDir: string;
  /** Bytes one upload may have. */
  readonly uploadMaxBytes: number;
  /** Bytes of a DAG that may be fetched for a client. */
  readonly fetchMaxBytes: number;
  /** Requests per second and client address; as many at once. Bacalhau: 1,000. */
  readonly requestsPerSecond: number;
  /** Connections at once, and milliseconds that a client may take for things; see `API_LIMITS`. */
  readonly connectionsMax: number;
  readonly headersMaxMs: number;
  readonly stalledMs: number;
  readonly unreadMaxBytes: number;
  /** shoal's version without a leading `v`. */
  readonly version: string;
  /** Told of every error that is a defect of ours, for the log. */
  readonly onDefect: (error: unknown, requestId: string) => void;
}

export interface ApiServer {
  /** For tests (`inject`) and for routes beside the API, such as the dashboard's files. */
  readonly app: FastifyInstance;
  /** @throws ShoalError `port-in-use`, `config-invalid`. */
  start(): Promise<Listening>;
  /** Ends streams, closes connections; resolves when the port is free. */
  stop(): Promise<void>;
}

/** Names and selectors are longer than what the router takes by default. */
const PARAM_MAX_CHARACTERS = 1024;
/** Time for the last frames and answers when the server stops. */
const GOODBYE_MAX_MS = 500;
/** How often clients that keep us waiting are looked for. */
const SWEEP_MS = 1_000;

/** What a peer offers; tests use less. */
export const API_LIMITS = {
  /** Each costs a few KiB; what is beyond it is closed as `connections.ts` says. */
  connectionsMax: 512,
  /** A head that takes longer comes from a client that does not work. */
  headersMaxMs: 5_000,
  /** A byte in this time keeps an upload or a download alive over the slowest of networks. */
  stalledMs: 60_000,
  /** The longest list has some megabytes. */
  unreadMaxBytes: 128 * 1_048_576,
} as const;

const BASE = '/api/v1';

const first = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value[0] : value;

/** What pages of other origins may read of an answer beside its body. */
const READABLE = { 'access-control-expose-headers': 'x-request-id, x-shoal-limit, retry-after' };
/** What they may send; asked for first by their browser, which sends no key with that. */
const PREFLIGHT = {
  'access-control-allow-methods': 'GET, PUT, POST, DELETE',
  'access-control-allow-headers': 'authorization, content-type, idempotency-key, x-request-id',
  'access-control-max-age': '600',
};

const isPreflight = ({ method, headers }: FastifyRequest): boolean =>
  method === 'OPTIONS' &&
  headers.origin !== undefined &&
  headers['access-control-request-method'] !== undefined;

/** `trusted`: connections through the Unix socket. */
function addGuards(
  app: FastifyInstance,
  options: ApiOptions,
  trusted: WeakSet<Socket>,
  links: Links | null,
): void {
  const limit = new RateLimit(options.requestsPerSecond, () => performance.now());
  const headers = versionHeaders(options.version);
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ ...headers, 'x-request-id': request.id, 'x-content-type-options': 'nosniff' });
    const path = request.url.split('?', 1)[0] ?? '';
    const origin = first(request.headers.origin);
    if (origin !== undefined && options.allowedOrigins.includes(origin))
      reply.headers({ 'access-control-allow-origin': origin, vary: 'Origin', ...READABLE });
    const own = trusted.has(request.raw.socket);
    checkRequest(
      {
        method: request.method,
        trusted: own,
        host: request.headers.host,
        origin,
        fetchSite: first(request.headers['sec-fetch-site']),
        authorization: request.headers.authorization,
        linked:
          request.method === 'GET' &&
          ARCHIVE_PATH.test(path) &&
          links?.isGood(request.url) === true,
        path,
      },
      options,
    );
    if (isPreflight(request)) return reply.headers(PREFLIGHT).code(204).send();
    if (path !== `${BASE}/agent/alive` && path !== '/livez')
      limit.take(own ? 'socket' : request.ip);
  });
}

function addParsers(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  const room = createBodyRoom();
  app.addContentTypeParser('application/json', async (_request: FastifyRequest, body: Readable) =>
    readJson(body, room),
  );
  const asStream = async (_request: FastifyRequest, body: Readable): Promise<Readable> => body;
  app.addContentTypeParser('application/octet-stream', asStream);
  app.addContentTypeParser(TREE_MEDIA_TYPE, asStream);
  // A page of another site can send a form or plain text without asking, but not these types.
  app.addHook('preParsing', async (request) => {
    const mutates = request.method === 'PUT' || request.method === 'POST';
    if (!mutates || request.headers['content-type'] !== undefined) return;
    throw new ShoalError({
      code: 'media-type-refused',
      given: 'of no type',
      expected: 'application/json',
    });
  });
  app.addHook('preHandler', async (request) => {
    const streams = request.routeOptions.url === `${BASE}/shoal/content`;
    const sent = request.headers['content-type'] ?? '';
    if (!streams && request.body !== undefined && !sent.startsWith('application/json')) {
      throw new ShoalError({
        code: 'media-type-refused',
        given: sent.slice(0, 80),
        expected: 'application/json',
      });
    }
  });
}

function answerError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  options: ApiOptions,
): FastifyReply {
  const { failure, defect } = failureOf(error);
  if (defect) options.onDefect(error, request.id);
  if (failure.code === 'rate-limited')
    reply.header('retry-after', Math.ceil(failure.retryAfterMs / 1000));
  if (failure.code === 'method-not-allowed') reply.header('allow', failure.allowed.join(', '));
  if (failure.code === 'key-required') reply.header('www-authenticate', 'Bearer');
  const body = errorJson(failure, request.id);
  return send(reply, body, body.Status);
}

function addRoutes(app: FastifyInstance, context: RouteContext): void {
  const redirects = { '/': 'agent/version', '/version': 'agent/version', '/livez': 'agent/alive' };
  for (const [from, to] of Object.entries(redirects)) {
    app.get(from, async (_request, reply) => reply.redirect(`${BASE}/${to}`, 301));
  }
  metricsRoute(app, context);
  app.register(
    async (api) => {
      agentRoutes(api, context);
      authRoutes(api);
      jobRoutes(api, context);
      historyRoutes(api, context);
      logRoutes(api, context);
      nodeRoutes(api, context);
      contentRoutes(api, context);
      statusRoutes(api, context);
      drainRoutes(api, context);
      fitRoutes(api, context);
      labelRoutes(api, context);
    },
    { prefix: BASE },
  );
}

const REQUEST_ID = /^[\w.:-]{1,64}$/;

function createApp(
  options: ApiOptions,
  trusted: WeakSet<Socket>,
  streaming: WeakSet<Socket>,
): FastifyInstance {
  const app: FastifyInstance = fastify({
    logger: false,
    forceCloseConnections: true,
    http: {
      headersTimeout: options.headersMaxMs,
      connectionsCheckingInterval: Math.min(SWEEP_MS, options.headersMaxMs),
    },
    routerOptions: { maxParamLength: PARAM_MAX_CHARACTERS, ignoreTrailingSlash: true },
    genReqId: (raw) => {
      const given = first(raw.headers['x-request-id']);
      return given !== undefined && REQUEST_ID.test(given) ? given : randomUUID();
    },
    frameworkErrors: (error, request, reply) => {
      void answerError(error, request, reply as FastifyReply, options);
    },
  });
  boundConnections(app, options, trusted, streaming);
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply, options));
  return app;
}

/** Bounds the connections over TCP and those of the socket apart: who floods one leaves the other open. */
function boundConnections(
  app: FastifyInstance,
  options: ApiOptions,
  trusted: WeakSet<Socket>,
  streaming: WeakSet<Socket>,
): void {
  const { connectionsMax, stalledMs, unreadMaxBytes } = options;
  const now = (): number => performance.now();
  const limits = { max: connectionsMax, stalledMs, unreadMaxBytes, streaming, now };
  const tcp = createConnections(app.server, limits);
  const own = createConnections(app.server, limits);
  app.server.on('connection', (socket) => (trusted.has(socket) ? own : tcp).take(socket));
  const sweep = (): void => {
    tcp.sweep();
    own.sweep();
  };
  const timer = setInterval(sweep, Math.min(SWEEP_MS, stalledMs / 2));
  timer.unref();
  app.addHook('preClose', async () => {
    clearInterval(timer);
    const closeAll = (): void => {
      tcp.closeAll();
      own.closeAll();
    };
    // A websocket ends when its client agrees, which one that means ill never does.
    setTimeout(closeAll, GOODBYE_MAX_MS).unref();
  });
}

/** @throws ShoalError `config-invalid` – it would be open to other machines without key or `insecure`. */
export async function createApiServer(
  service: ShoalService,
  options: ApiOptions,
): Promise<ApiServer> {
  if (!isLoopback(options.host) && options.apiKeys.length === 0 && !options.insecure) {
    const problem = `api.host: ${options.host} is open to other machines; give API keys, or say --insecure.`;
    throw new ShoalError({ code: 'config-invalid', problems: [problem] });
  }
  const stopping = new AbortController();
  const trusted = new WeakSet<Socket>();
  const streaming = new WeakSet<Socket>();
  const app = createApp(options, trusted, streaming);
  // First: its hook must have marked an upgrade before a guard can refuse it, or its socket stays open.
  await app.register(websocket, { options: { maxPayload: 4096 } });
  addNotFound(app);
  const links = options.apiKeys.length === 0 ? null : createLinks(Date.now);
  addGuards(app, options, trusted, links);
  addParsers(app);
  const { version, spoolDir, uploadMaxBytes, fetchMaxBytes, onDefect } = options;
  addRoutes(app, {
    service,
    history: new HistoryBook(),
    links,
    version,
    spoolDir,
    uploadMaxBytes,
    fetchMaxBytes,
    streaming,
    stopping: stopping.signal,
    onDefect,
  });
  let closeSocket = (): void => {};
  return {
    app,
    start: async () => {
      const { close, ...where } = await listen(app, options, (socket) => {
        trusted.add(socket);
        app.server.emit('connection', socket);
      });
      closeSocket = close;
      return where;
    },
    stop: async () => {
      closeSocket();
      stopping.abort(new ShoalError({ code: 'interrupted', what: 'The peer is stopping.' }));
      await app.close();
    },
  };
}
