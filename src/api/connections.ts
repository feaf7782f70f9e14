/**
 * The connections of one listening address. Their number is bounded; at the bound the one that keeps
 * this peer waiting goes, so that clients that never finish what they send cannot keep out one that
 * does. On loopback all clients have one address, so a bound per address would not help. A client
 * that neither sends nor reads while it is its turn is cut off as well. What a request means is not
 * known here.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** What a connection waits for; in this order they are given up when there are too many. */
const STANDINGS = ['first head', 'next head', 'body', 'reader', 'us'] as const;
type Standing = (typeof STANDINGS)[number];

interface Connection {
  request: IncomingMessage | null;
  upgraded: boolean;
  /** It has made a whole request before. */
  served: boolean;
  /** Monotonic milliseconds: since when it waits for what it waits for now. */
  since: number;
  /** Bytes both ways when `stalledSince` was set. */
  moved: number;
  stalledSince: number;
}

export interface ConnectionLimits {
  readonly max: number;
  /** Time a client may take without a byte while it is its turn to send or to read. */
  readonly stalledMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export interface Connections {
  /** Takes a new connection; makes room for it, or closes it when every other one is being served. */
  take(socket: Socket): void;
  /** Closes those whose client has not moved for too long. */
  sweep(): void;
  readonly size: number;
  /** Closed for lack of room so far. */
  readonly shed: number;
}

/** Watches the exchanges of `server`; several listeners may share it, each with its own bound. */
export function createConnections(server: Server, limits: ConnectionLimits): Connections {
  const open = new Map<Socket, Connection>();
  let shed = 0;
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const connection = open.get(request.socket);
    if (connection === undefined) return;
    Object.assign(connection, { request, served: true, since: limits.now() });
    response.once('close', () => {
      if (connection.request === request)
        Object.assign(connection, { request: null, since: limits.now() });
    });
  });
  server.on('upgrade', (request: IncomingMessage, socket) => {
    const connection = open.get(socket as Socket);
    if (connection !== undefined) Object.assign(connection, { request, upgraded: true });
  });

  const drop = (socket: Socket): void => {
    open.delete(socket);
    socket.destroy();
  };
  return {
    take(socket) {
      const now = limits.now();
      if (open.size >= limits.max) {
        shed += 1;
        const victim = leastUseful(open);
        if (victim === null) {
          socket.destroy();
          return;
        }
        drop(victim);
      }
      open.set(socket, {
        request: null,
        upgraded: false,
        served: false,
        since: now,
        moved: 0,
        stalledSince: now,
      });
      socket.once('close', () => open.delete(socket));
    },
    sweep() {
      const now = limits.now();
      for (const [socket, connection] of open) {
        const moved = movedOf(socket);
        const waits = ['body', 'reader'].includes(standingOf(socket, connection));
        if (!waits || moved !== connection.moved)
          Object.assign(connection, { moved, stalledSince: now });
        else if (now - connection.stalledSince >= limits.stalledMs) drop(socket);
      }
    },
    get size() {
      return open.size;
    },
    get shed() {
      return shed;
    },
  };
}

function standingOf(socket: Socket, { request, upgraded, served }: Connection): Standing {
  if (socket.writableLength > 0) return 'reader';
  if (upgraded) return 'us';
  if (request === null) return served ? 'next head' : 'first head';
  return request.complete ? 'us' : 'body';
}

/** What the system has taken counts, not what waits in this process for a reader. */
const movedOf = (socket: Socket): number =>
  socket.bytesRead + socket.bytesWritten - socket.writableLength;

/** The one that may go for a new one; null when all are being served. */
function leastUseful(open: ReadonlyMap<Socket, Connection>): Socket | null {
  let best: Socket | null = null;
  let bestRank = STANDINGS.indexOf('us');
  let bestSince = 0;
  for (const [socket, connection] of open) {
    const rank = STANDINGS.indexOf(standingOf(socket, connection));
    if (rank < bestRank || (best !== null && rank === bestRank && connection.since < bestSince)) {
      best = socket;
      bestRank = rank;
      bestSince = connection.since;
    }
  }
  return best;
}
