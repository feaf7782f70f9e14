/**
 * The output of an execution of this node as lines: from its log files while they are here, else
 * from its published result. The order within a stream is exact; between the two it is that of
 * arrival when following, and stdout first otherwise.
 */
import { open, stat } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';
import { ShoalError } from '../../failures/shoal-error.ts';
import type { ExecutionId } from '../../core/record/ids.ts';
import { pause } from '../../lib/abort.ts';
import type { ContentStore } from '../../lib/content.ts';
import { errorCode } from '../../lib/durable-file.ts';
import { LINE_MAX_BYTES } from './frames.ts';
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

/** Bytes of one stream into lines; pieces of at most `LINE_MAX_BYTES`. */
class LineSplitter {
  readonly #stream: LogLine['stream'];
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';

  constructor(stream: LogLine['stream']) {
    this.#stream = stream;
  }

  *push(bytes: Buffer): Iterable<LogLine> {
    const pieces = (this.#rest + this.#decoder.write(bytes)).split(/(?<=\n)/);
    const last = pieces.at(-1) ?? '';
    this.#rest = last.endsWith('\n') ? '' : last;
    for (const piece of this.#rest === '' ? pieces : pieces.slice(0, -1)) yield* this.#cut(piece);
    if (this.#rest.length > LINE_MAX_BYTES) yield* this.rest();
  }

  /** What has no line break yet. */
  *rest(): Iterable<LogLine> {
    const piece = this.#rest;
    this.#rest = '';
    yield* this.#cut(piece);
  }

  *end(): Iterable<LogLine> {
    this.#rest += this.#decoder.end();
    yield* this.rest();
  }

  /** A character takes at most three bytes per UTF-16 unit. Never cuts a pair of surrogates. */
  *#cut(text: string): Iterable<LogLine> {
    const step = Math.floor(LINE_MAX_BYTES / 3) - 1;
    for (let at = 0; at < text.length; ) {
      let end = Math.min(text.length, at + step);
      const code = text.charCodeAt(end - 1);
      if (end < text.length && code >= 0xd800 && code <= 0xdbff) end += 1;
      yield { stream: this.#stream, line: text.slice(at, end) };
      at = end;
    }
  }
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
