/**
 * Canonical dag-cbor, in and out. Bytes from outside are scanned before anything is built from them
 * (size, nesting, forms dag-cbor does not have), then decoded, then encoded again and compared,
 * because the decoder alone accepts unsorted keys and would give one value several encodings. Knows
 * no shapes: `shape.ts` does.
 */
import { decode, encode } from '@ipld/dag-cbor';
import { sameBytes } from './bytes.ts';

/** Maps and lists inside each other; a job with generous parameters needs about 10. */
export const MAX_NESTING = 16;

/** Why bytes were refused. */
export type WireCode =
  | 'too-large'
  | 'too-deep'
  | 'not-cbor'
  | 'not-canonical'
  | 'bad-shape'
  | 'wrong-net'
  | 'wrong-version'
  /** Well formed, but of a type this version does not know: not the sender's fault. */
  | 'unknown-type';

export interface Refused {
  readonly ok: false;
  readonly code: WireCode;
  /** Where, for a log line at debug level; '' when the bytes as a whole are meant. */
  readonly place: string;
}

export type Decoded = { readonly ok: true; readonly value: unknown } | Refused;

export const refused = (code: WireCode, place = ''): Refused => ({ ok: false, code, place });

/**
 * Encodes canonically. @throws Error for what dag-cbor has no form for (undefined, NaN, functions).
 */
export function encodeCbor(value: unknown): Uint8Array {
  return encode(value);
}

/** Never throws. `maxBytes` is checked before the bytes are looked at. */
export function decodeCbor(bytes: Uint8Array, maxBytes: number): Decoded {
  if (bytes.length > maxBytes) return refused('too-large');
  const fault = scan(bytes);
  if (fault !== null) return refused(fault);
  let value: unknown;
  try {
    value = decode<unknown>(bytes);
  } catch {
    return refused('not-cbor');
  }
  return { ok: true, value };
}

/** True when `value` encodes to exactly these bytes. Never throws. */
function isEncodingOf(bytes: Uint8Array, value: unknown): boolean {
  try {
    return sameBytes(encode(value), bytes);
  } catch {
    return false;
  }
}

/** `decodeCbor`, and refuses every encoding but the canonical one. Never throws. */
export function decodeCanonical(bytes: Uint8Array, maxBytes: number): Decoded {
  const decoded = decodeCbor(bytes, maxBytes);
  if (!decoded.ok) return decoded;
  return isEncodingOf(bytes, decoded.value) ? decoded : refused('not-canonical');
}

/**
 * True when maps and lists nest deeper than allowed. `around`: levels that will be put around these
 * bytes, which must be one complete item.
 */
export const nestingFault = (bytes: Uint8Array, around: number): boolean =>
  scanItem(bytes, 0, around) === 'too-deep';

type Fault = 'too-deep' | 'not-cbor' | 'not-canonical' | 'bad-shape';

/** A fault, or where the item ends. */
type Scanned = Fault | number;

/**
 * Walks the bytes once without building anything.
 * @returns null when they are one complete item of allowed forms.
 */
function scan(bytes: Uint8Array): Fault | null {
  const end = scanItem(bytes, 0, 0);
  if (typeof end !== 'number') return end;
  return end === bytes.length ? null : 'not-canonical';
}

function scanItem(bytes: Uint8Array, start: number, depth: number): Scanned {
  const first = bytes[start];
  if (first === undefined) return 'not-cbor';
  const major = first >> 5;
  const minor = first & 31;
  if (major === 7) return scanSimple(bytes, start, minor);
  if (minor > 27) return minor === 31 && major > 1 ? 'not-canonical' : 'not-cbor';
  const width = minor < 24 ? 0 : 1 << (minor - 24);
  const next = start + 1 + width;
  if (next > bytes.length) return 'not-cbor';
  if (major <= 1) return next;
  if (major === 6) return 'bad-shape';
  const count = width === 0 ? minor : lengthAt(bytes, start + 1, width);
  // Each element or byte needs at least one byte: a longer claim cannot be true.
  if (count > bytes.length - next) return 'not-cbor';
  if (major <= 3) return next + count;
  if (depth === MAX_NESTING) return 'too-deep';
  return scanMembers(bytes, next, major === 5 ? count * 2 : count, depth + 1);
}

function scanMembers(bytes: Uint8Array, start: number, count: number, depth: number): Scanned {
  let at = start;
  for (let member = 0; member < count; member += 1) {
    const end = scanItem(bytes, at, depth);
    if (typeof end !== 'number') return end;
    at = end;
  }
  return at;
}

/** false, true, null and 64-bit floats; dag-cbor has no other simple values. */
function scanSimple(bytes: Uint8Array, start: number, minor: number): Scanned {
  if (minor >= 20 && minor <= 22) return start + 1;
  if (minor === 27) return start + 9 <= bytes.length ? start + 9 : 'not-cbor';
  return minor > 27 && minor < 31 ? 'not-cbor' : 'not-canonical';
}

/** Big-endian; exact below 2^53, and anything larger is refused by its caller anyway. */
function lengthAt(bytes: Uint8Array, at: number, width: number): number {
  let length = 0;
  for (let index = 0; index < width; index += 1) length = length * 256 + (bytes[at + index] ?? 0);
  return length;
}
