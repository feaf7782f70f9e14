/**
 * Log frames from a websocket, as an async iterable. A small client of our own, loaded only when logs
 * are read: Node's cannot speak over a Unix socket, shows nothing of a refusal, and would keep in
 * memory what the terminal is too slow to take.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { LogFrame } from '../api/types.ts';

export interface FrameSource {
  /** Begins the request with these headers beside the usual ones. */
  readonly open: (headers: Readonly<Record<string, string>>) => ClientRequest;
  /** What is thrown when the connection fails or is cut. */
  readonly unreachable: (cause: unknown) => Error;
  /** What is thrown when the peer answers instead of upgrading. */
  readonly refused: (answer: IncomingMessage) => Promise<Error>;
}

const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
const NORMAL_CLOSE = 1000;
/** A log line has 16 KiB, six times that as JSON. */
const FRAME_MAX_BYTES = 1_048_576;
/** From RFC 6455; shows that whoever answers speaks websocket. */
const MAGIC = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Ends at a normal close or at the signal. @throws what `source` makes. */
export async function* socketFrames(
  source: FrameSource,
  signal: AbortSignal,
): AsyncGenerator<LogFrame> {
  const socket = await upgraded(source, signal);
  if (socket === null) return;
  const leave = (): void => void socket.destroy();
  signal.addEventListener('abort', leave, { once: true });
  try {
    for await (const { kind, body } of framesOf(socket)) {
      if (kind === TEXT) yield JSON.parse(body.toString('utf8')) as LogFrame;
      else if (kind === PING) socket.write(clientFrame(PONG, body));
      else if (kind === CLOSE) {
        socket.end(clientFrame(CLOSE, body.subarray(0, 2)));
        if (body.length >= 2 && body.readUInt16BE(0) === NORMAL_CLOSE) return;
        break;
      }
    }
  } catch (error) {
    if (signal.aborted) return;
    throw source.unreachable(error);
  } finally {
    signal.removeEventListener('abort', leave);
    socket.destroySoon();
  }
  if (!signal.aborted) throw source.unreachable(null);
}

interface Upgraded extends Duplex {
  destroySoon(): void;
}

/** The connection once it speaks websocket; null when the signal came first. */
function upgraded(source: FrameSource, signal: AbortSignal): Promise<Upgraded | null> {
  const key = randomBytes(16).toString('base64');
  const accept = createHash('sha1').update(`${key}${MAGIC}`).digest('base64');
  return new Promise((resolve, reject) => {
    const request = source.open({
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': key,
    });
    const leave = (): void => {
      resolve(null);
      request.destroy();
    };
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
    request.once('close', () => signal.removeEventListener('abort', leave));
    request.once('error', (error) => reject(source.unreachable(error)));
    request.once('response', (answer) => void source.refused(answer).then(reject, reject));
    request.once('upgrade', (answer, socket, head) => {
      // A cut shows as the end of the stream; without a listener it would end the process.
      socket.on('error', () => {});
      if (answer.headers['sec-websocket-accept'] !== accept) {
        socket.destroy();
        reject(source.unreachable(null));
        return;
      }
      if (head.length > 0) socket.unshift(head);
      resolve(socket as unknown as Upgraded);
    });
    request.end();
  });
}

interface Frame {
  readonly kind: number;
  readonly body: Buffer;
}

/** Whole messages and control frames, from chunks of any size. @throws Error – no frames of a server. */
async function* framesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Frame> {
  let rest: Buffer = Buffer.alloc(0);
  let parts: Buffer[] = [];
  let kind = 0;
  for await (const chunk of chunks) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let head = headOf(rest); head !== null; head = headOf(rest)) {
      const body = rest.subarray(head.start, head.end);
      rest = rest.subarray(head.end);
      if (head.kind >= CLOSE) {
        yield { kind: head.kind, body };
        continue;
      }
      kind = head.kind === 0 ? kind : head.kind;
      parts.push(body);
      if (parts.reduce((total, part) => total + part.length, 0) > FRAME_MAX_BYTES) throw tooLong();
      if (!head.last) continue;
      yield { kind, body: Buffer.concat(parts) };
      parts = [];
    }
  }
}

const tooLong = (): Error => new Error('a frame of the peer is too long');

/** Where the first frame lies in `bytes`; null when it is not all there yet. */
function headOf(bytes: Buffer): {
  readonly kind: number;
  readonly last: boolean;
  readonly start: number;
  readonly end: number;
} | null {
  if (bytes.length < 2) return null;
  const first = bytes.readUInt8(0);
  const second = bytes.readUInt8(1);
  if (second >= 0x80) throw new Error('the peer masks its frames');
  const start = second === 127 ? 10 : second === 126 ? 4 : 2;
  if (bytes.length < start) return null;
  const length =
    second === 127
      ? Number(bytes.readBigUInt64BE(2))
      : second === 126
        ? bytes.readUInt16BE(2)
        : second;
  if (length > FRAME_MAX_BYTES) throw tooLong();
  const end = start + length;
  return bytes.length < end ? null : { kind: first & 0x0f, last: first >= 0x80, start, end };
}

/** A control frame of a client, which must be masked; its body has at most 125 bytes. */
function clientFrame(kind: number, body: Buffer): Buffer {
  const mask = randomBytes(4);
  const masked = Buffer.from(body.map((byte, at) => byte ^ (mask[at % 4] ?? 0)));
  return Buffer.concat([Buffer.from([0x80 | kind, 0x80 | body.length]), mask, masked]);
}
