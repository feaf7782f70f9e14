/**
 * Takes a program's output apart and writes it to two files, each up to a limit. It reads on when a
 * file is full: a program that prints too much is not stopped by that, its rest is counted and
 * dropped.
 */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { createOutputPace } from '../output-pace.ts';
import type { OutputPace } from '../output-pace.ts';

/** Bytes of stderr kept in memory, enough to tell what Docker's init process complains of. */
const HEAD_BYTES = 1024;
const HEADER_BYTES = 8;

export interface OutputPart {
  readonly stream: 'stdout' | 'stderr';
  readonly bytes: Buffer;
}

/**
 * Takes apart Docker's multiplexed stream: frames of `[stream, 0, 0, 0, length (4 bytes, big
 * endian)]` and payload, cut anywhere into chunks.
 * @returns a function from chunk to the payload bytes in it, in order
 */
export function createDemultiplexer(): (chunk: Buffer) => readonly OutputPart[] {
  const header = Buffer.alloc(HEADER_BYTES);
  let headerFilled = 0;
  let left = 0;
  let stream: OutputPart['stream'] = 'stdout';
  return (chunk) => {
    const parts: OutputPart[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (left > 0) {
        const bytes = chunk.subarray(at, at + left);
        parts.push({ stream, bytes });
        at += bytes.length;
        left -= bytes.length;
        continue;
      }
      const copied = chunk.copy(header, headerFilled, at, at + HEADER_BYTES - headerFilled);
      headerFilled += copied;
      at += copied;
      if (headerFilled < HEADER_BYTES) continue;
      headerFilled = 0;
      stream = header[0] === 2 ? 'stderr' : 'stdout';
      left = header.readUInt32BE(4);
    }
    return parts;
  };
}

/** One output file with its limit. */
interface Sink {
  readonly file: FileHandle;
  /** Bytes that came by in all. */
  seen: number;
  /** Bytes of a repeated stream that are in the file already. */
  skip: number;
}

/** The two output files of one run. */
export interface OutputFiles {
  /**
   * Copies a stream to its end, also when it breaks off.
   * @throws when a file cannot be written (disk full)
   */
  copy(stream: Readable): Promise<void>;
  /** The next stream repeats everything from the beginning: what came by already is left out. */
  rewind(): void;
  /** Bytes of both streams that came by. */
  seenBytes(): number;
  /** True when something did not fit. */
  dropped(): boolean;
  stderrHead(): string;
  close(): Promise<void>;
}

export async function openOutputFiles(
  stdoutPath: string,
  stderrPath: string,
  maxBytes: number,
  pace: OutputPace = createOutputPace(),
): Promise<OutputFiles> {
  const stdout: Sink = { file: await open(stdoutPath, 'w', 0o600), seen: 0, skip: 0 };
  const stderr: Sink = { file: await open(stderrPath, 'w', 0o600), seen: 0, skip: 0 };
  const sinks = { stdout, stderr };
  let head = Buffer.alloc(0);

  const take = async (parts: readonly OutputPart[]): Promise<void> => {
    for (const name of ['stdout', 'stderr'] as const) {
      const fresh = freshBytes(sinks[name], parts, name);
      if (name === 'stderr' && head.length < HEAD_BYTES && fresh.length > 0) {
        head = Buffer.concat([head, ...fresh]).subarray(0, HEAD_BYTES);
      }
      await write(sinks[name], fresh, maxBytes);
    }
  };

  return {
    async copy(stream) {
      const demultiplex = createDemultiplexer();
      const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
      for (;;) {
        // A stream that breaks off is Docker's end, told by other means; only writing may fail
        // here.
        const next = await chunks.next().catch(() => ({ done: true as const, value: undefined }));
        if (next.done === true) return;
        await take(demultiplex(next.value));
        await pace.took(next.value.length);
      }
    },
    rewind() {
      for (const sink of [stdout, stderr]) sink.skip = sink.seen;
    },
    seenBytes: () => stdout.seen + stderr.seen,
    dropped: () => stdout.seen > maxBytes || stderr.seen > maxBytes,
    stderrHead: () => head.toString('utf8'),
    async close() {
      await Promise.all([stdout.file.close(), stderr.file.close()]);
    },
  };
}

/** What of the parts is for this sink and was not seen before a `rewind`. */
function freshBytes(sink: Sink, parts: readonly OutputPart[], name: string): readonly Buffer[] {
  const fresh: Buffer[] = [];
  for (const part of parts) {
    if (part.stream !== name) continue;
    const known = Math.min(sink.skip, part.bytes.length);
    sink.skip -= known;
    if (known < part.bytes.length) fresh.push(part.bytes.subarray(known));
  }
  return fresh;
}

async function write(sink: Sink, fresh: readonly Buffer[], maxBytes: number): Promise<void> {
  let room = Math.max(0, maxBytes - sink.seen);
  const kept: Buffer[] = [];
  for (const bytes of fresh) {
    sink.seen += bytes.length;
    if (room > 0) kept.push(bytes.subarray(0, room));
    room = Math.max(0, room - bytes.length);
  }
  if (kept.length > 0) await writeFully(sink.file, Buffer.concat(kept));
}

async function writeFully(file: FileHandle, bytes: Buffer): Promise<void> {
  let at = 0;
  while (at < bytes.length) {
    const { bytesWritten } = await file.write(bytes, at);
    at += bytesWritten;
  }
}
