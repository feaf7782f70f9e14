/**
 * A file tree as one stream of bytes: for each entry a 4-byte big-endian length, that many bytes of
 * JSON (`{path, kind, bytes}`, and `mode` or `link` where there is one), then exactly `bytes` bytes of data; a length of 0 ends it. A stream
 * that stops earlier is an error, so a broken upload is never taken for a whole one. What a path may
 * be is not decided here.
 */

export interface TreeEntry {
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'symlink';
  /** 0 for what is no file. */
  readonly bytes: number;
  /** Permission bits, where they are not those of any file or directory. */
  readonly mode?: number;
  /** Of a symlink: what it holds. */
  readonly link?: string;
}

/** `data` must be read to its end before the next entry is asked for. */
export interface TreeItem extends TreeEntry {
  readonly data: AsyncIterable<Uint8Array>;
}

export const TREE_MEDIA_TYPE = 'application/x-shoal-tree';

/** A header longer than this is no header of ours. */
const HEADER_MAX_BYTES = 16_384;

/** Thrown for a stream that is not a tree, or not a whole one. */
export class TreeFormatError extends Error {
  override readonly name = 'TreeFormatError';
}

function lengthBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, length);
  return bytes;
}

/** What is in an item. @throws TreeFormatError – fewer or more bytes than it said. */
export async function* contentOf({ path, bytes, data }: TreeItem): AsyncGenerator<Uint8Array> {
  let sent = 0;
  for await (const chunk of data) {
    sent += chunk.length;
    if (sent > bytes) break;
    yield chunk;
  }
  if (sent !== bytes) throw new TreeFormatError(`${path} changed while it was read`);
}

/** @throws TreeFormatError – an item has fewer or more bytes than it said. */
export async function* encodeTree(items: AsyncIterable<TreeItem>): AsyncGenerator<Uint8Array> {
  for await (const item of items) {
    const { data: _, ...entry } = item;
    const header = new TextEncoder().encode(JSON.stringify(entry));
    yield lengthBytes(header.length);
    yield header;
    yield* contentOf(item);
  }
  yield lengthBytes(0);
}

/** Takes bytes from a stream in the portions asked for. */
class Portions {
  readonly #source: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** The next bytes, at least one and at most `max`. */
  async some(max: number): Promise<Uint8Array> {
    while (this.#rest.length === 0) {
      const next = await this.#source.next();
      if (next.done === true) throw new TreeFormatError('the stream ends too early');
      this.#rest = next.value;
    }
    const taken = this.#rest.subarray(0, max);
    this.#rest = this.#rest.subarray(taken.length);
    return taken;
  }

  async exactly(count: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(count);
    for (let filled = 0; filled < count; ) {
      const part = await this.some(count - filled);
      bytes.set(part, filled);
      filled += part.length;
    }
    return bytes;
  }
}

function entryOf(header: Uint8Array): TreeEntry {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(header));
  } catch (cause) {
    throw new TreeFormatError('an entry has no readable header', { cause });
  }
  const { path, kind, bytes, mode, link } = (value ?? {}) as Readonly<Record<string, unknown>>;
  const isKind = kind === 'file' || kind === 'directory' || kind === 'symlink';
  if (typeof path !== 'string' || !isKind)
    throw new TreeFormatError('an entry has neither path nor kind');
  if (
    typeof bytes !== 'number' ||
    !Number.isSafeInteger(bytes) ||
    bytes < 0 ||
    (kind !== 'file' && bytes > 0)
  ) {
    throw new TreeFormatError(`${path} has no usable size`);
  }
  if (mode !== undefined && (typeof mode !== 'number' || !Number.isInteger(mode) || mode < 0))
    throw new TreeFormatError(`${path} has no usable mode`);
  if (kind === 'symlink') {
    if (typeof link !== 'string') throw new TreeFormatError(`${path} is a link to nothing`);
    return { path, kind, bytes, link };
  }
  return { path, kind, bytes, ...(mode === undefined ? {} : { mode }) };
}

/** @throws TreeFormatError – not a tree, or it ends too early. */
export async function* decodeTree(source: AsyncIterable<Uint8Array>): AsyncGenerator<TreeItem> {
  const portions = new Portions(source);
  for (;;) {
    const head = await portions.exactly(4);
    const length = new DataView(head.buffer).getUint32(0);
    if (length === 0) return;
    if (length > HEADER_MAX_BYTES)
      throw new TreeFormatError('an entry has a header that is too long');
    const entry = entryOf(await portions.exactly(length));
    let left = entry.bytes;
    const data = async function* (): AsyncGenerator<Uint8Array> {
      while (left > 0) {
        const part = await portions.some(left);
        left -= part.length;
        yield part;
      }
    };
    yield { ...entry, data: data() };
    if (left > 0) throw new TreeFormatError(`${entry.path} was not read to its end`);
  }
}
