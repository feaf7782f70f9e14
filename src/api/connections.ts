/**
 * The connections of one listening address. Their number is bounded; at the bound the one goes whose
 * client has kept this peer waiting longest, so that clients that never finish what they send cannot
 * keep out one that does. On loopback all clients have one address, so a bound per address would not
 * help. A client that neither sends nor reads while it is its turn is cut off as well. What a request
 * means is not known here.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

interface Connection {
  /** Null between requests, and while the head of one comes in. */
  request: IncomingMessage | null;
  upgraded: boolean;
  /** Bytes both ways when they were last looked at. */
  moved: number;
  /** Monotonic milliseconds: when they last had changed, or this peer was last the one to act. */
  movedAt: number;
}

export interface ConnectionLimits {
  readonly max: number;
  /** Time a client may take without a byte while it sends a body or reads an answer. */
  readonly stalledMs: number;
  /** Bytes of answers that may wait in memory for clients that do not read them, all together. */
  readonly unreadMaxBytes: number;
  /** Upgraded connections that are being served; any other one that was upgraded only stands around. */
  readonly streaming: WeakSet<Socket>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export interface Connections {
  /** Takes a new connection; makes room for it, or closes it when every other one is being served. */
  take(socket: Socket): void;
  /** Closes those whose client has not moved for too long. */
  sweep(): void;
  /** Closes every one, whatever it is about. */
  closeAll(): void;
}

/** Watches the exchanges of `server`; several listeners may share it, each with its own bound. */
export function createConnections(server: Server, limits: ConnectionLimits): Connections {
  const open = new Map<Socket, Connection>();
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    trim();
    const connection = open.get(request.socket);
    if (connection === undefined) return;
    const at = { moved: movedOf(request.socket), movedAt: limits.now() };
    Object.assign(connection, { request, ...at });
    response.once('close', () => {
      if (connection.request !== request) return;
      connection.request = null;
      connection.movedAt = limits.now();
    });
  });
  server.on('upgrade', (request: IncomingMessage) => {
    const connection = open.get(request.socket);
    const at = { moved: movedOf(request.socket), movedAt: limits.now() };
    if (connection !== undefined) Object.assign(connection, { request, upgraded: true, ...at });
  });
  const isClientsTurn = (socket: Socket, { request, upgraded }: Connection): boolean => {
    if (socket.writableLength > 0) return true;
    return upgraded ? !limits.streaming.has(socket) : request === null || !request.complete;
  };

  /** Milliseconds for which the client has kept this peer waiting. */
  const waited = (socket: Socket, connection: Connection, now: number): number => {
    const moved = movedOf(socket);
    // A head is short: one that comes byte by byte has kept this peer waiting since it began.
    const moves = isTransfer(socket, connection) && moved !== connection.moved;
    if (moves || !isClientsTurn(socket, connection))
      Object.assign(connection, { moved, movedAt: now });
    return now - connection.movedAt;
  };
  const drop = (socket: Socket): void => {
    open.delete(socket);
    socket.destroy();
  };
  /** Drops readers, those first that have not read for longest, until the rest is bearable. */
  const trim = (): void => {
    let unread = 0;
    for (const socket of open.keys()) unread += socket.writableLength;
    if (unread <= limits.unreadMaxBytes) return;
    const now = limits.now();
    const readers = [...open]
      .filter(([socket]) => socket.writableLength > 0)
      .map(([socket, connection]) => ({ socket, ms: waited(socket, connection, now) }))
      .sort((a, b) => b.ms - a.ms);
    for (const { socket } of readers) {
      if (unread <= limits.unreadMaxBytes) return;
      unread -= socket.writableLength;
      drop(socket);
    }
  };
  const makeRoom = (now: number): boolean => {
    let worst: Socket | null = null;
    let longestMs = -1;
    for (const [socket, connection] of open) {
      const ms = waited(socket, connection, now);
      if (!isClientsTurn(socket, connection) || ms <= longestMs) continue;
      worst = socket;
      longestMs = ms;
    }
    if (worst !== null) drop(worst);
    return worst !== null;
  };
  return {
    take(socket) {
      const now = limits.now();
      if (open.size >= limits.max && !makeRoom(now)) {
        socket.destroy();
        return;
      }
      open.set(socket, { request: null, upgraded: false, moved: 0, movedAt: now });
      socket.once('close', () => open.delete(socket));
    },
    closeAll() {
      for (const socket of open.keys()) socket.destroy();
    },
    sweep() {
      const now = limits.now();
      for (const [socket, connection] of open) {
        const ms = waited(socket, connection, now);
        // Heads and pauses between requests have timeouts in the server itself.
        if (isTransfer(socket, connection) && ms >= limits.stalledMs) drop(socket);
      }
    },
  };
}

/** The client sends a body or reads an answer. */
const isTransfer = (socket: Socket, { request }: Connection): boolean =>
  request !== null || socket.writableLength > 0;

/** What the system has taken counts, not what waits in this process for a reader. */
const movedOf = (socket: Socket): number =>
  socket.bytesRead + socket.bytesWritten - socket.writableLength;
