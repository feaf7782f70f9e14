/**
 * A file tree as a tar archive (ustar; pax where a path, a link or a size does not fit) that any tar program reads.
 * Of one tree always the same bytes: no times, no owners. What a path may be is not decided here.
 */
import { givenMode } from './tree-modes.ts';
import { contentOf, type TreeItem } from './tree-stream.ts';

const BLOCK = 512;
const NAME_MAX_BYTES = 100;
/** Eleven octal digits. */
const SIZE_MAX = 0o77777777777;
const TYPES = { file: '0', symlink: '2', directory: '5' } as const;

const encoder = new TextEncoder();

interface Header {
  readonly name: string;
  readonly type: string;
  readonly size: number;
  readonly mode: number;
  readonly link: string;
}

function headerOf({ name, type, size, mode, link }: Header): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, text: string, max: number): void =>
    block.set(encoder.encode(text).subarray(0, max), at);
  const octal = (at: number, value: number, digits: number): void =>
    put(at, `${value.toString(8).padStart(digits, '0')}\0`, digits + 1);
  put(0, name, NAME_MAX_BYTES);
  octal(100, mode, 7);
  octal(108, 0, 7);
  octal(116, 0, 7);
  octal(124, Math.min(size, SIZE_MAX), 11);
  octal(136, 0, 11);
  put(148, ' '.repeat(8), 8);
  put(156, type, 1);
  put(157, link, NAME_MAX_BYTES);
  put(257, 'ustar\x0000', 8);
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, '0')}\0 `, 8);
  return block;
}

/** A line of a pax header, whose length counts itself. */
function paxLine(key: string, value: string): string {
  const rest = encoder.encode(` ${key}=${value}\n`).length;
  let length = rest + 1;
  while (rest + String(length).length !== length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

const padding = (bytes: number): Uint8Array => new Uint8Array((BLOCK - (bytes % BLOCK)) % BLOCK);

function* describe(name: string, { kind, bytes, mode, link = '' }: TreeItem): Iterable<Uint8Array> {
  const isLong = (text: string): boolean => encoder.encode(text).length > NAME_MAX_BYTES;
  const pax = [
    isLong(name) ? paxLine('path', name) : '',
    isLong(link) ? paxLine('linkpath', link) : '',
    bytes > SIZE_MAX ? paxLine('size', String(bytes)) : '',
  ].join('');
  if (pax !== '') {
    const body = encoder.encode(pax);
    yield headerOf({ name: 'pax', type: 'x', size: body.length, mode: 0o644, link: '' });
    yield body;
    yield padding(body.length);
  }
  const given = kind === 'symlink' ? 0o777 : givenMode(mode, kind);
  yield headerOf({ name, type: TYPES[kind], size: bytes, mode: given, link });
}

/** @throws TreeFormatError – an item has fewer or more bytes than it said. */
export async function* encodeTar(items: AsyncIterable<TreeItem>): AsyncGenerator<Uint8Array> {
  for await (const item of items) {
    const { path, kind, bytes } = item;
    yield* describe(kind === 'directory' ? `${path}/` : path, item);
    yield* contentOf(item);
    yield padding(bytes);
  }
  yield new Uint8Array(2 * BLOCK);
}
