/**
 * The streams on which peers send us messages: cut into frames, paused while the node is busy with
 * what a peer said, and reset when a frame begins and does not end. Opens nothing; `messages.ts` does.
 */
import type { Stream } from '@libp2p/interface';
import type { NodeId } from '../../src/core/record/ids.ts';
import { reasonOf } from '../log.ts';
import type { Log } from '../log.ts';
import type { PeerFault } from '../peers/standing.ts';
import { eachPiece, FrameTooLarge, frameParser, resume } from './frames.ts';
import type { FrameParser } from './frames.ts';

/** A frame of a mebibyte takes 20 s at 420 kbit/s; slower links carry no mesh. */
export const FRAME_MS = 20_000;
/** How often that is looked at: a timer per frame would cost more than the frame. */
const SWEEP_MS = 5_000;
/** Streams of one peer: it needs one, and a second while a broken one is replaced. */
const STREAMS_MAX = 8;
/** Bytes set aside for unfinished frames of one peer: one largest message, and one begun anew. */
const UNFINISHED_MAX = 2 << 20;

interface Inbound {
  readonly stream: Stream;
  readonly parser: FrameParser;
  /** When the frame at hand began, or the stream went on after a pause; null between two frames. */
  begunAt: number | null;
  paused: boolean;
}

export interface InboundDeps {
  /** Largest frame, bytes. */
  readonly maxBytes: number;
  /** Monotonic, milliseconds. */
  readonly now: () => number;
  readonly log: Log;
  readonly fault: (peer: NodeId, fault: PeerFault) => void;
  /** A returned promise pauses the stream until it settles. */
  readonly onFrame: (from: NodeId, frame: Uint8Array) => void | Promise<void> | undefined;
}

export interface InboundStreams {
  add(stream: Stream, from: NodeId): void;
  stats(): { readonly streams: number; readonly unfinishedBytes: number };
  stop(): void;
}

export function createInbound(deps: InboundDeps): InboundStreams {
  const peers = new Map<NodeId, Set<Inbound>>();

  const reset = (one: Inbound, from: NodeId, fault: PeerFault | null, error: unknown): void => {
    deps.log.debug({ from, why: reasonOf(error) }, 'messages.refused');
    one.stream.abort(error instanceof Error ? error : new Error(String(error)));
    if (fault !== null) deps.fault(from, fault);
  };

  const unfinishedBytes = (streams: Iterable<Inbound>): number => {
    let bytes = 0;
    for (const one of streams) bytes += one.parser.unfinished();
    return bytes;
  };

  /** Notes when a frame began. @throws when the peer has too many of them under way. */
  const noteProgress = (one: Inbound, whole: boolean, streams: Set<Inbound>): void => {
    if (one.parser.unfinished() === 0) one.begunAt = null;
    else if (whole || one.begunAt === null) {
      one.begunAt = deps.now();
      if (streams.size > 1 && unfinishedBytes(streams) > UNFINISHED_MAX)
        throw new UnfinishedFrames('too many frames begun and not ended');
    }
  };

  const receive = (stream: Stream, from: NodeId, streams: Set<Inbound>): Inbound => {
    // Cut into frames only as the node takes them: a window of small frames would be far larger cut.
    const pieces: Uint8Array[] = [];
    let frames = 0;
    const parser = frameParser(deps.maxBytes, (frame) => {
      frames += 1;
      const room = deps.onFrame(from, frame);
      if (room === undefined) return true;
      one.paused = true;
      if (stream.readStatus === 'readable') stream.pause();
      room
        .catch((error: unknown) =>
          deps.log.error({ from, why: reasonOf(error) }, 'messages.handler-failed'),
        )
        .finally(goOn);
      return false;
    });
    const one: Inbound = { stream, parser, begunAt: null, paused: false };
    const pump = (): void => {
      const before = frames;
      try {
        while (!one.paused) {
          const [piece] = pieces;
          if (piece === undefined) break;
          const taken = parser.take(piece);
          if (taken < piece.byteLength) pieces[0] = piece.subarray(taken);
          else pieces.shift();
        }
        noteProgress(one, frames > before, streams);
      } catch (error) {
        pieces.length = 0;
        reset(one, from, faultOf(error), error);
      }
    };
    const goOn = (): void => {
      one.paused = false;
      // What could not come while we did not read is no delay of the peer.
      if (one.begunAt !== null) one.begunAt = deps.now();
      pump();
      if (!one.paused) resume(stream);
    };
    stream.addEventListener('message', (event) => {
      eachPiece(event.data, (piece) => pieces.push(piece));
      pump();
    });
    // What is left then is more than its share, and kept it would add up over many short streams. The
    // core repeats what has had no effect.
    stream.addEventListener('close', () => {
      pieces.length = 0;
    });
    return one;
  };

  const sweep = (): void => {
    const late = deps.now() - FRAME_MS;
    for (const [from, streams] of peers) {
      for (const one of streams) {
        if (one.paused || one.begunAt === null || one.begunAt > late) continue;
        reset(one, from, 'unfinished-frame', new Error('a frame began and did not end'));
      }
    }
  };
  const sweeper = setInterval(sweep, SWEEP_MS);
  sweeper.unref();

  return {
    add(stream, from) {
      const streams = peers.get(from) ?? new Set();
      peers.set(from, streams);
      const one = receive(stream, from, streams);
      streams.add(one);
      stream.addEventListener('close', () => {
        streams.delete(one);
        if (streams.size === 0 && peers.get(from) === streams) peers.delete(from);
      });
      // The other side ended its half: end ours, or the stream would count against the limit for ever.
      stream.addEventListener('remoteCloseWrite', () => {
        stream.close().catch(() => stream.abort(new Error('closed by the peer')));
      });
      if (streams.size > STREAMS_MAX) reset(one, from, null, new Error('too many streams'));
    },
    stats() {
      let [streams, bytes] = [0, 0];
      for (const ofPeer of peers.values()) {
        streams += ofPeer.size;
        bytes += unfinishedBytes(ofPeer);
      }
      return { streams, unfinishedBytes: bytes };
    },
    stop: () => clearInterval(sweeper),
  };
}

class UnfinishedFrames extends Error {
  override readonly name = 'UnfinishedFrames';
}

/** A stream that closes while a piece is handled is nobody's fault. */
function faultOf(error: unknown): PeerFault | null {
  if (error instanceof FrameTooLarge) return 'frame-too-large';
  return error instanceof UnfinishedFrames ? 'unfinished-frame' : null;
}
