/**
 * Writes one output stream of a program into a host file, up to a number of bytes, and reads the
 * rest away so that the program neither blocks nor fills the disk.
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { OutputPace } from '../output-pace.ts';

/** The operator's, and nobody else's, to read: output may hold what the job keeps secret. */
const MODE = 0o600;

/**
 * Takes a stream to its end.
 * @returns how many bytes were dropped.
 * @throws the error of the file system when the file cannot be written.
 */
export async function capture(
  stream: Readable,
  path: string,
  bytesMax: number,
  pace: OutputPace,
): Promise<number> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  await using file = await open(path, flags, MODE);
  let kept = 0;
  let dropped = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const part = chunk.subarray(0, bytesMax - kept);
    // Awaited: a slow disk then slows the program down instead of filling our memory.
    if (part.length > 0) await file.appendFile(part);
    kept += part.length;
    dropped += chunk.length - part.length;
    await pace.took(chunk.length);
  }
  return dropped;
}
