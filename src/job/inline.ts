/**
 * `data:` URLs (RFC 2397): how a spec carries a small file in itself. Decoding and encoding only;
 * unpacking what they carry is the work of the source that mounts it.
 */
import { base64, base64pad } from 'multiformats/bases/base64';
import { fromString } from 'multiformats/bytes';

export type DataUrl =
  | { readonly ok: true; readonly bytes: Uint8Array; readonly mediaType: string }
  /** `why`: the end of a sentence that begins with the URL. */
  | { readonly ok: false; readonly why: string };

/** Characters; keeps the patterns below from reading megabytes over and over. */
const HEAD_MAX = 1024;
const DEFAULT_MEDIA_TYPE = 'text/plain;charset=US-ASCII';

/** The bytes of a `data:` URL, base64 or percent-encoded. Never throws. */
export function decodeDataUrl(url: string): DataUrl {
  const text = url.trim();
  if (!/^data:/i.test(text)) return { ok: false, why: 'does not begin with "data:"' };
  const comma = text.indexOf(',');
  if (comma < 0) return { ok: false, why: 'has no comma between its type and its data' };
  if (comma > HEAD_MAX) return { ok: false, why: `has a type longer than ${HEAD_MAX} characters` };
  const head = text.slice('data:'.length, comma);
  const isBase64 = /;\s*base64\s*$/i.test(head);
  const mediaType = head.replace(/;\s*base64\s*$/i, '').trim() || DEFAULT_MEDIA_TYPE;
  const data = text.slice(comma + 1);
  try {
    const bytes = isBase64 ? decodeBase64(data) : percentDecode(data);
    return { ok: true, bytes, mediaType };
  } catch {
    const why = isBase64 ? 'holds characters that are not base64' : 'holds text that is not UTF-8';
    return { ok: false, why };
  }
}

/** A base64 `data:` URL. */
export function encodeDataUrl(bytes: Uint8Array, mediaType = 'application/octet-stream'): string {
  return `data:${mediaType};base64,${base64pad.baseEncode(bytes)}`;
}

function decodeBase64(data: string): Uint8Array {
  const plain = data
    .replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replace(/\s/g, '')
    .replaceAll('-', '+')
    .replaceAll('_', '/');
  let end = plain.length;
  while (plain[end - 1] === '=') end -= 1;
  return base64.baseDecode(plain.slice(0, end));
}

function percentDecode(data: string): Uint8Array {
  // Beyond ASCII a character stands for its UTF-8 bytes; half of a surrogate pair throws here.
  const source = fromString(data.replace(/[^\0-\x7f]+/g, encodeURIComponent));
  const bytes = new Uint8Array(source.length);
  let length = 0;
  for (let index = 0; index < source.length; index += 1) {
    const hex = source[index] === 0x25 ? hexByte(source, index + 1) : null;
    bytes[length] = hex ?? source[index] ?? 0;
    length += 1;
    if (hex !== null) index += 2;
  }
  return bytes.slice(0, length);
}

/** The byte written as two hex digits, or null: a lone `%` then stands for itself. */
function hexByte(source: Uint8Array, start: number): number | null {
  const high = hexDigit(source[start]);
  const low = hexDigit(source[start + 1]);
  return high === null || low === null ? null : high * 16 + low;
}

function hexDigit(code: number | undefined): number | null {
  const value = code === undefined ? Number.NaN : Number.parseInt(String.fromCharCode(code), 16);
  return Number.isNaN(value) ? null : value;
}
