/**
 * The first bytes of what a program printed, for records and job lists. The whole output is in the
 * log files and in the published result.
 */
import { open } from 'node:fs/promises';
import type { OutputHead } from '../../core/record/execution.ts';
import { errorCode } from '../../lib/durable-file.ts';

/** Bytes of stdout and of stderr each; as in Bacalhau's `RunOutput`. */
const HEAD_MAX_BYTES = 2_048;

export async function outputHead(stdoutPath: string, stderrPath: string): Promise<OutputHead> {
  const [stdout, stderr] = await Promise.all([headOf(stdoutPath), headOf(stderrPath)]);
  return {
    stdout: stdout.text,
    stdoutTruncated: stdout.truncated,
    stderr: stderr.text,
    stderrTruncated: stderr.truncated,
  };
}

async function headOf(
  path: string,
): Promise<{ readonly text: string; readonly truncated: boolean }> {
  try {
    const file = await open(path, 'r');
    try {
      const { bytesRead, buffer } = await file.read(
        Buffer.alloc(HEAD_MAX_BYTES + 1),
        0,
        HEAD_MAX_BYTES + 1,
        0,
      );
      return headText(buffer.subarray(0, bytesRead), HEAD_MAX_BYTES);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { text: '', truncated: false };
    throw error;
  }
}

/**
 * At most `max` bytes of UTF-8, never cut inside a character. Bytes that are not UTF-8 become U+FFFD,
 * which is longer than they were, so the text is measured after decoding.
 */
function headText(
  bytes: Uint8Array,
  max: number,
): { readonly text: string; readonly truncated: boolean } {
  const tooLong = bytes.length > max;
  // In stream mode the decoder holds back an incomplete character at the end.
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, max), {
    stream: tooLong,
  });
  if (Buffer.byteLength(text) <= max) return { text, truncated: tooLong };
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(max));
  return { text: text.slice(0, read), truncated: true };
}
