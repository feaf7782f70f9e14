/**
 * Log lines as bytes, for sending them from the executor to whoever asked: one byte for the stream,
 * four for the length (big endian), then what the program wrote. Bounded, because the sender may be anybody.
 */
import { isUtf8 } from 'node:buffer';
import { ShoalError } from '../../failures/shoal-error.ts';

export interface LogLine {
  readonly stream: 'stdout' | 'stderr';
  /** With its line break, unless it is the unfinished end or a piece of a very long line. */
  readonly line: string;
  /** What was written, where that is no UTF-8; `line` then has U+FFFD in the place of what is none. */
  readonly bytes?: Buffer;
}

export function logLineOf(stream: LogLine['stream'], bytes: Buffer): LogLine {
  const line = bytes.toString('utf8');
  return isUtf8(bytes) ? { stream, line } : { stream, line, bytes };
}

/** Longer lines are sent in pieces. */
export const LINE_MAX_BYTES = 16_384;
const HEAD_BYTES = 5;
const CODES = { stdout: 1, stderr: 2 } as const;

export function encodeLogLine(line: LogLine): Uint8Array {
  const text = line.bytes ?? Buffer.from(line.line);
  const frame = Buffer.allocUnsafe(HEAD_BYTES + text.length);
  frame.writeUInt8(CODES[line.stream], 0);
  frame.writeUInt32BE(text.length, 1);
  text.copy(frame, HEAD_BYTES);
  return frame;
}

/**
 * Lines from chunks of any size.
 * @throws ShoalError `logs-unavailable` when the bytes are no frames, or end inside one.
 */
export async function* decodeLogLines(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  execution: string,
): AsyncGenerator<LogLine> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    while (rest.length >= HEAD_BYTES) {
      const code = rest.readUInt8(0);
      const length = rest.readUInt32BE(1);
      if ((code !== CODES.stdout && code !== CODES.stderr) || length > LINE_MAX_BYTES)
        throw damaged(execution);
      if (rest.length < HEAD_BYTES + length) break;
      const bytes = rest.subarray(HEAD_BYTES, HEAD_BYTES + length);
      rest = rest.subarray(HEAD_BYTES + length);
      yield logLineOf(code === CODES.stdout ? 'stdout' : 'stderr', bytes);
    }
  }
  if (rest.length > 0) throw damaged(execution);
}

const damaged = (execution: string): ShoalError =>
  new ShoalError({
    code: 'logs-unavailable',
    execution,
    why: 'what the executing node sent is damaged',
  });
