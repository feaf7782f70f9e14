/**
 * Where the API listens: a TCP address, and a Unix socket beside it that only this user can open. On
 * a host of many users whoever reaches loopback is the owner of this peer; whoever opens the socket
 * has shown the system who he is.
 */
import { chmodSync, lstatSync, statSync, unlinkSync, type Stats } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { ShoalError } from '../failures/shoal-error.ts';
import { errorCode } from '../lib/durable-file.ts';

/** What the system's address of a socket holds, without the zero at its end. */
const SOCKET_PATH_MAX_BYTES = process.platform === 'darwin' ? 103 : 107;

export interface Listening {
  readonly host: string;
  readonly port: number;
  /** The path of the Unix socket; null when there is none. */
  readonly socket: string | null;
  /** Why there is none although one was wanted; '' for no problem. */
  readonly socketProblem: string;
}

/** Where to listen; see `ApiOptions`. */
interface Places {
  readonly host: string;
  readonly port: number;
  readonly socket: { readonly path: string; readonly required: boolean } | null;
}

/**
 * Listens at both. `take`: what becomes of a connection through the socket.
 * @throws ShoalError `port-in-use`, `config-invalid`.
 */
export async function listen(
  app: FastifyInstance,
  { host, port, socket }: Places,
  take: (socket: Socket) => void,
): Promise<Listening & { readonly close: () => void }> {
  let socketProblem = '';
  const server =
    socket === null
      ? null
      : await listenSocket(socket.path, take).catch((error: unknown) => {
          if (socket.required || !(error instanceof ShoalError)) throw error;
          socketProblem = error.message;
          return null;
        });
  const close = (): void => void server?.close();
  try {
    const path = server === null ? null : (socket?.path ?? null);
    return { host, port: await listenTcp(app, host, port), socket: path, socketProblem, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** @throws ShoalError `port-in-use`. @returns the port. */
async function listenTcp(app: FastifyInstance, host: string, port: number): Promise<number> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    if (errorCode(error) !== 'EADDRINUSE') throw error;
    throw new ShoalError({ code: 'port-in-use', address: `${host}:${port}` }, { cause: error });
  }
  const address = app.server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}

const unusable = (path: string, why: string, cause?: unknown): ShoalError =>
  new ShoalError(
    {
      code: 'config-invalid',
      problems: [`api.socket: ${path} ${why}. Set it to another path, or to "none".`],
    },
    { cause },
  );

/**
 * Listens at `path`, mode 0600; what a dead peer left there is replaced.
 * @throws ShoalError `port-in-use` when somebody listens there, `config-invalid` when nobody can.
 */
async function listenSocket(path: string, take: (socket: Socket) => void): Promise<Server> {
  const bytes = Buffer.byteLength(path);
  if (bytes > SOCKET_PATH_MAX_BYTES) {
    const why = `has ${bytes} bytes; the path of a socket has at most ${SOCKET_PATH_MAX_BYTES}`;
    throw unusable(path, why);
  }
  try {
    checkDirectory(path);
    await removeStale(path);
    return await listening(path, take);
  } catch (error) {
    if (error instanceof ShoalError) throw error;
    throw unusable(path, `cannot be listened at (${errorCode(error) ?? String(error)})`, error);
  }
}

/** Whoever can write to the directory can put a socket of their own there. */
function checkDirectory(path: string): void {
  const { mode } = statSync(dirname(path));
  const writable = (mode & 0o022) !== 0 && (mode & 0o1000) === 0;
  if (writable) throw unusable(path, 'lies in a directory that others can write to');
}

async function removeStale(path: string): Promise<void> {
  let found: Stats;
  try {
    found = lstatSync(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  if (!found.isSocket()) throw unusable(path, 'is there and is no socket');
  if (await answers(path)) throw new ShoalError({ code: 'port-in-use', address: path });
  unlinkSync(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    const tell = (alive: boolean): void => {
      probe.destroy();
      resolve(alive);
    };
    probe.once('connect', () => tell(true));
    probe.once('error', () => tell(false));
  });
}

function listening(path: string, take: (socket: Socket) => void): Promise<Server> {
  // As an HTTP server has it: a client may end its side and still read the answer.
  const server = createServer({ allowHalfOpen: true }, take);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // The socket is made within the call, so nobody finds it with another mode even for a moment.
    const before = process.umask(0o177);
    try {
      server.listen({ path }, () => {
        server.off('error', reject);
        chmodSync(path, 0o600);
        resolve(server);
      });
    } finally {
      process.umask(before);
    }
  });
}
