/**
 * `/orchestrator/jobs/<id>/logs`: lines over a websocket. Clients expect the upgrade first and every
 * error as a frame after it, then a normal close.
 */
import type { WebSocket } from '@fastify/websocket';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { describe } from '../../failures/table.ts';
import { failureOf } from '../failures.ts';
import { flag, namespaceOf, param, text, versionOf } from '../http.ts';
import type { LogRequest } from '../service.ts';
import { Permits } from '../permits.ts';
import type { LogFrame } from '../types.ts';
import type { RouteContext } from './context.ts';

/** A client that is gone without a word is noticed after two of these. */
const HEARTBEAT_MS = 15_000;
const NORMAL_CLOSE = 1000;
/** Each follower has a timer here and perhaps a stream to another peer. */
const FOLLOWERS_MAX = 64;
/** Clients have nothing to say; what they say anyway is thrown away, and this many are no mistake. */
const WORDS_MAX = 100;

function requestOf(request: FastifyRequest): LogRequest {
  return {
    job: param(request, 'id'),
    namespace: namespaceOf(request),
    execution: text(request, 'execution_id') || null,
    version: versionOf(request),
    tail: flag(request, 'tail'),
    follow: flag(request, 'follow'),
    allVersions: flag(request, 'all_job_versions'),
  };
}

/** Resolves when the frame has left, so that a slow reader slows the source. */
function sendFrame(socket: WebSocket, frame: LogFrame): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(JSON.stringify(frame), (error?: Error | null) =>
      error ? reject(error) : resolve(),
    );
  });
}

/** Cuts off a client that talks without end. (One that pings and reads no answer the library cuts off.) */
function boundWords(socket: WebSocket): void {
  let words = 0;
  socket.on('message', () => {
    words += 1;
    if (words > WORDS_MAX) socket.terminate();
  });
}

/** Pings the client; one that did not answer the last ping is cut off. @returns what stops it. */
function keepAlive(socket: WebSocket): () => void {
  let answered = true;
  socket.on('pong', () => {
    answered = true;
  });
  const timer = setInterval(() => {
    if (!answered) socket.terminate();
    answered = false;
    if (socket.readyState === socket.OPEN) socket.ping();
  }, HEARTBEAT_MS);
  return () => clearInterval(timer);
}

async function stream(
  socket: WebSocket,
  request: FastifyRequest,
  context: RouteContext,
  followers: Permits,
): Promise<void> {
  const gone = new AbortController();
  socket.on('close', () => gone.abort());
  socket.on('error', () => gone.abort());
  const signal = AbortSignal.any([gone.signal, context.stopping]);
  const quiet = keepAlive(socket);
  boundWords(socket);
  let leave = (): void => {};
  try {
    leave = followers.take();
    context.streaming.add(request.raw.socket);
    for await (const line of context.service.logs(requestOf(request), signal)) {
      if (signal.aborted) break;
      const exact = line.bytes === undefined ? {} : { Bytes: line.bytes.toString('base64') };
      const Type = line.stream === 'stdout' ? 1 : 2;
      await sendFrame(socket, { value: { Type, Line: line.line, ...exact } });
    }
  } catch (error) {
    if (gone.signal.aborted) return;
    const { failure, defect } = failureOf(error);
    if (defect) context.onDefect(error, request.id);
    await sendFrame(socket, {
      error: describe(failure),
      code: failure.code,
      value: { Type: 0, Line: '' },
    }).catch(() => {});
  } finally {
    quiet();
    leave();
    context.streaming.delete(request.raw.socket);
    socket.close(NORMAL_CLOSE);
  }
}

export function logRoutes(app: FastifyInstance, context: RouteContext): void {
  const followers = new Permits(FOLLOWERS_MAX);
  app.get('/orchestrator/jobs/:id/logs', { websocket: true }, (socket, request) => {
    void stream(socket, request, context, followers);
  });
}
