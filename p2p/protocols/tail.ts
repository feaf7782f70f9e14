/**
 * `/shoal/<net>/tail/1`: one small request, then a stream of pieces for as long as both sides like;
 * logs are read over it. What request and pieces mean is the caller's affair.
 */
import type { Connection, Libp2p, Stream } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { ShoalError } from '../../src/failures/shoal-error.ts';
import { asNodeId } from '../../src/core/record/ids.ts';
import type { NodeId } from '../../src/core/record/ids.ts';
import { reasonOf } from '../log.ts';
import type { Log } from '../log.ts';
import { encodeFrames, readFrames, write } from './frames.ts';

export const tailProtocol = (network: string): string => `/shoal/${network}/tail/1`;

const REQUEST_MAX_BYTES = 16 * 1024;
const PIECE_MAX_BYTES = 1024 * 1024;
const OPEN_MS = 5_000;
/** A reader that takes nothing for so long is gone. */
const STALL_MS = 60_000;
/** Sent when there is nothing to say, so that a dead peer is told from a quiet job. */
const BEAT_MS = 10_000;
const SILENT_MS = 3 * BEAT_MS;
const REQUEST_MS = 10_000;

/** First byte of an answer frame. */
const PIECE = 1;
const BEAT = 2;
const END = 3;
const REFUSED = 4;

/** @throws anything: its message is sent to the reader, cut to 300 characters. */
export type TailHandler = (
  request: Uint8Array,
  from: NodeId,
  signal: AbortSignal,
) => AsyncIterable<Uint8Array>;

export interface Tail {
  /** Once: who answers. */
  handleTail(handler: TailHandler): void;
  /**
   * @throws ShoalError `peer-unreachable` when it cannot be dialled, breaks off or refuses; the
   *   reason says which. Ends normally when the other side has said everything.
   */
  openTail(peer: NodeId, request: Uint8Array, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface TailService extends Tail {
  handle(stream: Stream, connection: Connection): Promise<void>;
}

export function createTail(deps: {
  readonly network: () => Libp2p;
  readonly protocol: string;
  readonly log: Log;
}): TailService {
  let handler: TailHandler | null = null;

  return {
    handleTail(given) {
      handler = given;
    },
    async handle(stream, connection) {
      const gone = new AbortController();
      stream.addEventListener('close', () => gone.abort(new Error('the reader left')));
      const beat = setInterval(() => {
        if (stream.writeStatus === 'writable' && !stream.writableNeedsDrain) {
          stream.send(encodeFrames([Uint8Array.of(BEAT)]));
        }
      }, BEAT_MS);
      try {
        const reader = readFrames(stream, {
          maxBytes: REQUEST_MAX_BYTES,
          highWater: REQUEST_MAX_BYTES,
        });
        const request = await reader.next(REQUEST_MS, null);
        if (request === null) return;
        if (handler === null) throw new Error('nothing is served yet');
        const from = asNodeId(connection.remotePeer.toString());
        for await (const piece of handler(request, from, gone.signal))
          await sendPiece(stream, piece);
        await write(stream, encodeFrames([Uint8Array.of(END)]), STALL_MS);
        await stream.close({ signal: AbortSignal.timeout(STALL_MS) });
      } catch (error) {
        deps.log.debug({ why: reasonOf(error) }, 'tail.ended');
        refuse(stream, error);
      } finally {
        clearInterval(beat);
        gone.abort(new Error('ended'));
      }
    },
    async *openTail(peer, request, signal) {
      let stream: Stream | null = null;
      try {
        stream = await deps.network().dialProtocol(peerIdFromString(peer), deps.protocol, {
          signal: AbortSignal.any([signal, AbortSignal.timeout(OPEN_MS)]),
        });
        const reader = readFrames(stream, {
          maxBytes: PIECE_MAX_BYTES + 1,
          highWater: PIECE_MAX_BYTES,
        });
        await write(stream, encodeFrames([request]), STALL_MS);
        for (;;) {
          const frame = await reader.next(SILENT_MS, signal);
          if (frame === null) throw new Error('it broke off');
          if (frame[0] === END) return;
          if (frame[0] === REFUSED)
            throw new Error(Buffer.from(frame.subarray(1)).toString('utf8'));
          if (frame[0] === PIECE) yield frame.subarray(1);
        }
      } catch (error) {
        if (signal.aborted) return;
        const why = error instanceof Error ? error.message : String(error);
        throw new ShoalError({ code: 'peer-unreachable', node: peer, why }, { cause: error });
      } finally {
        stream?.abort(new Error('done'));
      }
    },
  };
}

async function sendPiece(stream: Stream, piece: Uint8Array): Promise<void> {
  for (let at = 0; at < piece.byteLength; at += PIECE_MAX_BYTES) {
    const part = piece.subarray(at, at + PIECE_MAX_BYTES);
    await write(stream, encodeFrames([Buffer.concat([Uint8Array.of(PIECE), part])]), STALL_MS);
  }
}

/** Tells the reader why; a stream that is broken already just ends. */
function refuse(stream: Stream, error: unknown): void {
  const text = (error instanceof Error ? error.message : String(error)).slice(0, 300);
  try {
    stream.send(encodeFrames([Buffer.concat([Uint8Array.of(REFUSED), Buffer.from(text)])]));
    stream
      .close({ signal: AbortSignal.timeout(OPEN_MS) })
      .catch(() => stream.abort(new Error('refused')));
  } catch {
    stream.abort(new Error('refused'));
  }
}
