/**
 * Reads tar archives (ustar, pax, GNU long names) from memory: regular files and directories only.
 * Paths that would leave the directory are refused; links and devices are refused too, because what
 * they name is not part of the archive. Writes nothing.
 */

export interface TarEntry {
  /** Relative, `/`-separated, without `.` or `..`; '' is the root directory. */
  readonly path: string;
  readonly kind: 'file' | 'directory';
  readonly bytes: Uint8Array;
  /** True when any execute bit is set. */
  readonly executable: boolean;
}

/** The end of a sentence that begins with the archive. */
export class TarError extends Error {
  override readonly name = 'TarError';
}

const BLOCK = 512;
/** Digits of the length of a pax line; lines are shorter than a gigabyte. */
const PAX_DIGITS = 9;
/** Bytes of a header that describes a file; the longest path is 4 KiB. A megabyte takes 0.1 s to read. */
const DESCRIPTION_MAX = 1_000_000;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** True when the bytes begin with a tar header whose checksum is right. */
export function isTar(archive: Uint8Array): boolean {
  return archive.length >= BLOCK && checksumRight(archive.subarray(0, BLOCK));
}

/**
 * At most `maxEntries` and one more, so that the caller sees that there are too many.
 * @throws TarError
 */
export function readTar(archive: Uint8Array, maxEntries: number): readonly TarEntry[] {
  const entries: TarEntry[] = [];
  let at = 0;
  let longName: string | null = null;
  while (at + BLOCK <= archive.length && entries.length <= maxEntries) {
    const header = archive.subarray(at, at + BLOCK);
    if (header.every((byte) => byte === 0)) return entries;
    if (!checksumRight(header)) throw new TarError(`has a damaged header at byte ${at}`);
    const size = octal(header.subarray(124, 136));
    const body = archive.subarray(at + BLOCK, at + BLOCK + size);
    if (body.length < size) throw new TarError('ends in the middle of a file');
    const type = String.fromCharCode(header[156] ?? 0);
    if ((type === 'L' || type === 'x') && size > DESCRIPTION_MAX)
      throw new TarError(`has a header of more than ${DESCRIPTION_MAX} bytes`);
    if (type === 'L') longName = text(body);
    else if (type === 'x') longName = paxPath(body) ?? longName;
    else if (type !== 'g') {
      entries.push(entryOf(header, body, type, longName));
      longName = null;
    }
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  return entries;
}

function entryOf(
  header: Uint8Array,
  body: Uint8Array,
  type: string,
  longName: string | null,
): TarEntry {
  const prefix = text(header.subarray(257, 262)) === 'ustar' ? text(header.subarray(345, 500)) : '';
  const name =
    longName ?? [prefix, text(header.subarray(0, 100))].filter((part) => part !== '').join('/');
  const path = safePath(name);
  const isDirectory = type === '5' || (type !== '5' && name.endsWith('/') && body.length === 0);
  if (isDirectory) return { path, kind: 'directory', bytes: new Uint8Array(0), executable: true };
  if (type !== '0' && type !== '\0' && type !== '7') {
    throw new TarError(`holds "${name}", which is neither a file nor a directory`);
  }
  if (path === '') throw new TarError('holds a file without a name');
  return {
    path,
    kind: 'file',
    bytes: body,
    executable: (octal(header.subarray(100, 108)) & 0o111) !== 0,
  };
}

function safePath(name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (name.startsWith('/') || parts.includes('..') || name.includes('\0')) {
    throw new TarError(`holds "${name}", which lies outside of it`);
  }
  return parts.join('/');
}

function checksumRight(header: Uint8Array): boolean {
  let sum = 0;
  for (const [index, byte] of header.entries()) sum += index >= 148 && index < 156 ? 32 : byte;
  try {
    return sum === octal(header.subarray(148, 156));
  } catch {
    return false;
  }
}

function octal(field: Uint8Array): number {
  // GNU writes sizes above 8 GB in binary; such an archive does not fit here anyway.
  if (((field[0] ?? 0) & 0x80) !== 0) throw new TarError('holds a file of more than 8 GB');
  const digits = text(field).trim();
  if (!/^[0-7]*$/.test(digits)) throw new TarError('has a header that cannot be read');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

function text(field: Uint8Array): string {
  const end = field.indexOf(0);
  try {
    return decoder.decode(end < 0 ? field : field.subarray(0, end));
  } catch {
    throw new TarError('holds a name that is not UTF-8');
  }
}

/** The `path` of a pax header: lines of `<length> <key>=<value>\n`, the length counting bytes. */
function paxPath(body: Uint8Array): string | null {
  let at = 0;
  let path: string | null = null;
  while (at < body.length) {
    const blank = body.indexOf(32, at);
    const digits = blank - at;
    // Leading zeros without end would be read again from each of them.
    const length = digits > 0 && digits <= PAX_DIGITS ? Number(text(body.subarray(at, blank))) : 0;
    // Without a blank, or with one at once, there is no length, and no next line to come to.
    if (!Number.isInteger(length) || length <= Math.max(0, digits) || at + length > body.length)
      throw new TarError('has a damaged pax header');
    const line = text(body.subarray(blank + 1, at + length - 1));
    if (line.startsWith('path=')) path = line.slice('path='.length);
    at += length;
  }
  return path;
}
