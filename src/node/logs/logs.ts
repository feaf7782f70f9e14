/**
 * The output of an execution of this node as lines: from its log files while they are here, else
 * from its published result. The order within a stream is exact; between the two it is that of
 * arrival when following, and stdout first otherwise.
 */
import { open, stat } from 'node:fs/promises';
import { ShoalError } from '../../failures/shoal-error.ts';
import type { ExecutionId } from '../../core/record/ids.ts';
import { pause } from '../../lib/abort.ts';
import type { ContentStore } from '../../lib/content.ts';
import { errorCode } from '../../lib/durable-file.ts';
import { LINE_MAX_BYTES, logLineOf } from './frames.ts';
import type { LogLine } from './frames.ts';
import { executionFiles } from '../runner/files.ts';

export interface LogOptions {
  /** Begin with what comes from now on. */
  readonly tail: boolean;
  /** Go on until the execution is over. */
  readonly follow: boolean;
}

/** Where the published result of an execution is. */
export interface Published {
  readonly cid: string;
  readonly holders: readonly string[];
}

export interface LogSource {
  readonly executionsDir: string;
  /** True while the execution is not over on this node. */
  readonly isActive: (execution: ExecutionId) => boolean;
  readonly content: ContentStore;
  /** Bytes of one stream that are read from a published result. */
  readonly outputMaxBytes: number;
}

/** How often the files are looked at while following; a person does not notice it. */
const POLL_MS = 100;
const CHUNK_BYTES = 65_536;
const STREAMS = ['stdout', 'stderr'] as const;

/**
 * Ends when everything there is was read and, with `follow`, the execution is over; or at once when
 * the signal aborts.
 * @throws ShoalError `logs-unavailable` when this node has neither files nor a result.
 */
export async function* readLogs(
  source: LogSource,
  execution: ExecutionId,
  options: LogOptions,
  result: Published | null,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const files = executionFiles(source.executionsDir, execution);
  const paths = { stdout: files.stdoutPath, stderr: files.stderrPath };
  const sizes = await Promise.all(STREAMS.map((stream) => sizeOf(paths[stream])));
  if (!source.isActive(execution) && sizes.every((size) => size === null)) {
    if (result === null) {
      const why = 'this node no longer has its log files, and no result was published';
      throw new ShoalError({ code: 'logs-unavailable', execution, why });
    }
    yield* readResult(source, result, options, signal);
    return;
  }
  const cursors = STREAMS.map(
    (stream, index) => new Cursor(stream, paths[stream], options.tail ? (sizes[index] ?? 0) : 0),
  );
  for (;;) {
    // Asked before reading: what was written until the end is then read in this round.
    const last = !options.follow || !source.isActive(execution);
    for (const cursor of cursors) yield* cursor.advance(signal);
    if (last || signal.aborted) break;
    if (!(await pause(POLL_MS, signal))) break;
  }
  if (!signal.aborted) for (const cursor of cursors) yield* cursor.finish();
}

/** How far one file was read. */
class Cursor {
  readonly #path: string;
  readonly #lines: LineSplitter;
  #offset: number;
  /** Which file it was: an inode's number is used again soon. */
  #identity: string | null = null;

  constructor(stream: LogLine['stream'], path: string, offset: number) {
    this.#path = path;
    this.#lines = new LineSplitter(stream);
    this.#offset = offset;
  }

  /** Whole lines up to the present end; an unfinished one when nothing followed it since last time. */
  async *advance(signal: AbortSignal): AsyncGenerator<LogLine> {
    const file = await openIfThere(this.#path);
    if (file === null) return;
    try {
      const { ino, size, birthtimeMs } = await file.stat();
      const identity = `${ino}:${birthtimeMs}`;
      // An execution that was begun anew has new files.
      if ((this.#identity !== null && this.#identity !== identity) || size < this.#offset)
        this.#offset = 0;
      this.#identity = identity;
      const before = this.#offset;
      const buffer = Buffer.alloc(CHUNK_BYTES);
      while (!signal.aborted) {
        const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, this.#offset);
        if (bytesRead === 0) break;
        this.#offset += bytesRead;
        yield* this.#lines.push(buffer.subarray(0, bytesRead));
      }
      if (before === this.#offset) yield* this.#lines.rest();
    } finally {
      await file.close();
    }
  }

  finish(): Iterable<LogLine> {
    return this.#lines.end();
  }
}

const LINE_FEED = 0x0a;

/** Bytes of one stream into lines; pieces of at most `LINE_MAX_BYTES`. Every byte comes out, whatever it is. */
class LineSplitter {
  readonly #stream: LogLine['stream'];
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: LogLine['stream']) {
    this.#stream = stream;
  }

  *push(bytes: Buffer): Iterable<LogLine> {
    const whole = Buffer.concat([this.#rest, bytes]);
    let at = 0;
    for (let end = whole.indexOf(LINE_FEED); end >= 0; end = whole.indexOf(LINE_FEED, at)) {
      yield* this.#cut(whole.subarray(at, end + 1));
      at = end + 1;
    }
    this.#rest = whole.subarray(at);
    if (this.#rest.length > LINE_MAX_BYTES) yield* this.rest();
  }

  /** What has no line break yet, but for a character that is still being written. */
  *rest(): Iterable<LogLine> {
    const whole = this.#rest;
    const end = whole.length - begunCharacter(whole);
    this.#rest = whole.subarray(end);
    yield* this.#cut(whole.subarray(0, end));
  }

  *end(): Iterable<LogLine> {
    const whole = this.#rest;
    this.#rest = Buffer.alloc(0);
    yield* this.#cut(whole);
  }

  /** Never in the middle of a character, where it is text. */
  *#cut(whole: Buffer): Iterable<LogLine> {
    for (let at = 0; at < whole.length; ) {
      const piece = whole.subarray(at, at + LINE_MAX_BYTES);
      const isLast = at + piece.length === whole.length;
      const end = at + piece.length - (isLast ? 0 : begunCharacter(piece));
      yield logLineOf(this.#stream, whole.subarray(at, end));
      at = end;
    }
  }
}

/** Bytes at the end that begin a character of UTF-8 and do not end it; 0 to 3. */
function begunCharacter(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

/** The output as it was published, wherever it ran. */
export async function* readResult(
  source: Pick<LogSource, 'content' | 'outputMaxBytes'>,
  result: Published,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  // The execution is over, so nothing comes from now on.
  if (options.tail) return;
  const fetching = { holders: result.holders, maxBytes: source.outputMaxBytes, signal };
  for (const stream of STREAMS) {
    const lines = new LineSplitter(stream);
    // A block of nothing but line ends would be four million lines at once.
    for await (const chunk of source.content.read(result.cid, stream, fetching))
      for (let at = 0; at < chunk.length; at += CHUNK_BYTES)
        yield* lines.push(Buffer.from(chunk.subarray(at, at + CHUNK_BYTES)));
    yield* lines.end();
  }
}

async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

async function openIfThere(path: string): Promise<Awaited<ReturnType<typeof open>> | null> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}
