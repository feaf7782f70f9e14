/**
 * Reads the newline-delimited JSON that Docker's long answers consist of (pulls, events,
 * statistics). A stream that breaks off just ends; what that means is the caller's business.
 */
import type { Readable } from 'node:stream';

/** Longest line taken; a longer one is skipped, so that an answer cannot fill the memory. */
const LINE_MAX_BYTES = 1024 * 1024;

/**
 * Yields each line that is JSON. @returns true when the stream ended by itself, false when it
 * broke.
 */
export async function* jsonLines(stream: Readable): AsyncGenerator<unknown, boolean> {
  let rest = '';
  stream.setEncoding('utf8');
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<string>;
  for (;;) {
    const next = await chunks.next().catch(() => null);
    if (next === null || next.done === true) {
      yield* parsed(rest);
      return next !== null;
    }
    const lines = (rest + next.value).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LINE_MAX_BYTES) rest = '';
    for (const line of lines) yield* parsed(line);
  }
}

function* parsed(line: string): Generator<unknown> {
  if (line.trim() === '') return;
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return;
  }
  yield value;
}
