/**
 * Length-prefixed frames on a libp2p stream: four bytes of length, most significant first, then that
 * many bytes. Knows nothing of what is inside. Every protocol of shoal is made of these.
 */
import type { Stream } from '@libp2p/interface';
import type { Uint8ArrayList } from 'uint8arraylist';

/** Bytes of the length prefix. */
const PREFIX = 4;

export class FrameTooLarge extends Error {
  override readonly name = 'FrameTooLarge';
}

/** The other side takes nothing any more. */
export class Stalled extends Error {
  override readonly name = 'Stalled';
}

/** One buffer with all frames, each behind its length. */
export function encodeFrames(frames: readonly Uint8Array[]): Uint8Array {
  let total = 0;
  for (const frame of frames) total += PREFIX + frame.byteLength;
  const out = Buffer.allocUnsafe(total);
  let at = 0;
  for (const frame of frames) {
    out.writeUInt32BE(frame.byteLength, at);
    out.set(frame, at + PREFIX);
    at += PREFIX + frame.byteLength;
  }
  return out;
}

/** The prefix of one frame of `length` bytes, for senders that pass the body without copying it. */
export function prefixOf(length: number): Uint8Array {
  const out = Buffer.allocUnsafe(PREFIX);
  out.writeUInt32BE(length, 0);
  return out;
}

export interface FrameParser {
  /**
   * @returns how much of it was taken: less than all of it when `onFrame` asked to stop.
   * @throws FrameTooLarge before allocating, when a length above the limit is announced.
   */
  take(chunk: Uint8Array): number;
  /** Bytes set aside for a frame that has begun; 0 between two frames. */
  unfinished(): number;
}

/**
 * Cuts a byte stream back into frames. A frame that arrives within one chunk is handed over without a
 * copy; a larger one is assembled in a buffer of its final size, so each byte is copied once.
 * `onFrame` returns false to get no further frame for now.
 */
export function frameParser(
  maxBytes: number,
  onFrame: (frame: Uint8Array) => unknown,
  allocate: (length: number) => Buffer = Buffer.allocUnsafe,
): FrameParser {
  const header = Buffer.allocUnsafe(PREFIX);
  let headerBytes = 0;
  let body: Buffer | null = null;
  let bodyBytes = 0;

  const take = (chunk: Uint8Array): number => {
    let at = 0;
    while (at < chunk.byteLength) {
      if (body === null) {
        const part = Math.min(PREFIX - headerBytes, chunk.byteLength - at);
        header.set(chunk.subarray(at, at + part), headerBytes);
        headerBytes += part;
        at += part;
        if (headerBytes < PREFIX) return at;
        headerBytes = 0;
        const length = header.readUInt32BE(0);
        if (length > maxBytes) {
          throw new FrameTooLarge(`a frame of ${length} bytes; at most ${maxBytes} are allowed`);
        }
        if (chunk.byteLength - at >= length) {
          at += length;
          if (onFrame(chunk.subarray(at - length, at)) === false) return at;
          continue;
        }
        body = allocate(length);
        bodyBytes = 0;
      }
      const part = Math.min(body.byteLength - bodyBytes, chunk.byteLength - at);
      body.set(chunk.subarray(at, at + part), bodyBytes);
      bodyBytes += part;
      at += part;
      if (bodyBytes === body.byteLength) {
        const whole = body;
        body = null;
        if (onFrame(whole) === false) return at;
      }
    }
    return at;
  };
  return { take, unfinished: () => body?.byteLength ?? headerBytes };
}

/** Feeds every piece of what a stream delivers. */
export function eachPiece(
  data: Uint8Array | Uint8ArrayList,
  take: (piece: Uint8Array) => void,
): void {
  if (data instanceof Uint8Array) take(data);
  else for (const piece of data) take(piece);
}

export interface FrameReaderOptions {
  /** Largest frame accepted, bytes. */
  readonly maxBytes: number;
  /** Bytes of unread frames at which the stream is paused; the peer then stops within its window. */
  readonly highWater: number;
}

export interface FrameReader {
  /**
   * The next frame, or null when the peer ended its side cleanly.
   * @param idleMs give up when nothing complete arrives for so long.
   * @throws the stream's error, FrameTooLarge, or a timeout error.
   */
  next(idleMs: number, signal: AbortSignal | null): Promise<Uint8Array | null>;
  /**
   * Gives the memory of a large frame back for the next one: allocating a mebibyte per block is a
   * third of the work of a bulk transfer. Nothing may look at the frame afterwards.
   */
  release(frame: Uint8Array): void;
}

/** Buffers kept for reuse, per stream, and the smallest worth keeping. */
const POOL_MAX = 16;
const POOL_FROM = 256 * 1024;

function createPool(): { take(length: number): Buffer; give(frame: Uint8Array): void } {
  const free: ArrayBuffer[] = [];
  return {
    take(length) {
      if (length < POOL_FROM) return Buffer.allocUnsafe(length);
      const at = free.findIndex((one) => one.byteLength >= length);
      const [memory] = at < 0 ? [] : free.splice(at, 1);
      // A whole number of 64 KiB, so that blocks of nearly the same size share their buffers.
      const size = Math.ceil(length / 65_536) * 65_536;
      return Buffer.from(memory ?? Buffer.allocUnsafeSlow(size).buffer, 0, length);
    },
    give(frame) {
      const memory = frame.buffer;
      if (!(memory instanceof ArrayBuffer) || memory.byteLength < POOL_FROM) return;
      if (free.length < POOL_MAX && !free.includes(memory)) free.push(memory);
    },
  };
}

/**
 * Reads on from a paused stream. To do so it tells the other end, which throws when the connection broke
 * meanwhile; the stream is then of no use to anybody.
 */
export function resume(stream: Stream): void {
  if (stream.readStatus !== 'paused') return;
  try {
    stream.resume();
  } catch (error) {
    stream.abort(error instanceof Error ? error : new Error(String(error)));
  }
}

/** Pulls frames from a stream with back-pressure: the stream is paused while the reader lags. */
export function readFrames(stream: Stream, options: FrameReaderOptions): FrameReader {
  const queue: Uint8Array[] = [];
  let queued = 0;
  let ended = false;
  let failure: Error | null = null;
  let wake: (() => void) | null = null;
  const notify = (): void => {
    wake?.();
    wake = null;
  };
  const pool = createPool();
  const onFrame = (frame: Uint8Array): void => {
    queue.push(frame);
    queued += frame.byteLength;
  };
  const parser = frameParser(options.maxBytes, onFrame, pool.take);
  const finish = (error: Error | null): void => {
    ended = true;
    failure ??= error;
    notify();
  };

  stream.addEventListener('message', (event) => {
    if (failure !== null) return;
    try {
      eachPiece(event.data, parser.take);
    } catch (error) {
      const cause = error instanceof Error ? error : new Error(String(error));
      finish(cause);
      stream.abort(cause);
      return;
    }
    if (queued >= options.highWater && stream.readStatus === 'readable') stream.pause();
    notify();
  });
  stream.addEventListener('end', () => finish(null));
  stream.addEventListener('close', (event) => finish(event.error ?? null));
  if (stream.readableEnded) finish(null);

  return {
    release: pool.give,
    async next(idleMs, signal) {
      for (;;) {
        const frame = queue.shift();
        if (frame !== undefined) {
          queued -= frame.byteLength;
          if (queued < options.highWater / 2) resume(stream);
          return frame;
        }
        if (ended) {
          if (failure !== null) throw failure;
          return null;
        }
        await waitFor((resolve) => (wake = resolve), idleMs, signal);
      }
    },
  };
}

/** Resolves by the callback, rejects after `ms` or on abort; leaves no timer and no listener behind. */
function waitFor(
  arm: (resolve: () => void) => void,
  ms: number,
  signal: AbortSignal | null,
  late: (why: string) => Error = (why) => new Error(why),
): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (settle: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      settle();
    };
    const onAbort = (): void => done(() => reject(signal?.reason ?? new Error('aborted')));
    const timer = setTimeout(() => done(() => reject(late(`nothing moved for ${ms} ms`))), ms);
    if (signal?.aborted === true) return onAbort();
    signal?.addEventListener('abort', onAbort);
    arm(() => done(resolve));
  });
}

/** Writes and waits until the peer takes more. @throws when the peer does not within `ms`. */
export async function write(
  stream: Stream,
  data: Uint8Array | Uint8ArrayList,
  ms: number,
): Promise<void> {
  if (!stream.send(data)) await drained(stream, ms);
}

/**
 * Waits until the stream takes more. Not `stream.onDrain()`: libp2p 3.3 makes that promise once per
 * stream and never renews it, so from the second time on it resolves at once and the write buffer
 * grows without limit.
 * @throws Stalled when the peer takes nothing for `ms`; an error when the stream closes.
 */
export async function drained(stream: Stream, ms: number): Promise<void> {
  while (stream.writableNeedsDrain) {
    if (stream.writeStatus === 'closed') throw new Error('the stream is closed');
    let forget = (): void => {};
    try {
      await waitFor(
        (resolve) => {
          stream.addEventListener('drain', resolve, { once: true });
          stream.addEventListener('close', resolve, { once: true });
          forget = () => {
            stream.removeEventListener('drain', resolve);
            stream.removeEventListener('close', resolve);
          };
        },
        ms,
        null,
        (why) => new Stalled(why),
      );
    } finally {
      forget();
    }
  }
  if (stream.writeStatus === 'closed') throw new Error('the stream is closed');
}
