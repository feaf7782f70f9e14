/**
 * Canonical dag-cbor, in and out. Bytes from outside are scanned before anything is built from them
 * (size, nesting, work, forms dag-cbor does not have), then decoded, then encoded again and compared,
 * because the decoder alone accepts unsorted keys and would give one value several encodings. Knows
 * no shapes: `shape.ts` does.
 */
import { decode, decodeOptions, encode } from '@ipld/dag-cbor';
import { sameBytes } from './bytes.ts';
import { decodeWithMarks, hasMark } from './byte-order-mark.ts';
import { scan, scanInside } from './scan.ts';

export { NESTING_MAX } from './scan.ts';

/**
 * What the decoder may be made to build of one message or record, in units of about 100 ns and 100
 * bytes; `scan.ts` says what costs how much. The largest honest message is a list of a thousand
 * jobs, 41 units each and three per label. Without this a mebibyte of empty maps, which no message
 * has, costs a quarter of a second and 67 MB before its shape is looked at.
 */
export const MESSAGE_WORK = 65_536;

/** Why bytes were refused. */
export type WireCode =
  | 'too-large'
  | 'too-deep'
  /** More items than any message has: refused before anything is built of them. */
  | 'too-many'
  | 'not-cbor'
  | 'not-canonical'
  | 'bad-shape'
  | 'wrong-net'
  | 'wrong-version'
  /** Well formed, but of a type this version does not know: not the sender's fault. */
  | 'unknown-type'
  /** A signed record with a field this version does not know: nor is that. */
  | 'unknown-field';

/** Codes that an honest peer may come to cause: it is newer, or its list is longer than ours. */
const HONEST: ReadonlySet<WireCode> = new Set<WireCode>([
  'unknown-type',
  'unknown-field',
  'wrong-version',
  'too-many',
]);

/** Whether no honest peer sends what was refused with this code. */
export const isSendersFault = (code: WireCode): boolean => !HONEST.has(code);

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

/**
 * Never throws. `maxBytes` is checked before the bytes are looked at, `maxWork` (in the units of
 * {@link MESSAGE_WORK}) before anything is built.
 */
export function decodeCbor(bytes: Uint8Array, maxBytes: number, maxWork = MESSAGE_WORK): Decoded {
  if (bytes.length > maxBytes) return refused('too-large');
  const fault = scan(bytes, maxWork);
  if (fault !== null) return refused(fault);
  let value: unknown;
  try {
    value = hasMark(bytes) ? decodeWithMarks(bytes, decodeOptions) : decode<unknown>(bytes);
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
export function decodeCanonical(
  bytes: Uint8Array,
  maxBytes: number,
  maxWork = MESSAGE_WORK,
): Decoded {
  const decoded = decodeCbor(bytes, maxBytes, maxWork);
  if (!decoded.ok) return decoded;
  return isEncodingOf(bytes, decoded.value) ? decoded : refused('not-canonical');
}

/**
 * Why these bytes, which must be one complete item, could not be read again once `around` levels are
 * put around them; null when they could.
 */
export function readingFault(
  bytes: Uint8Array,
  around: number,
  maxWork: number,
): 'too-deep' | 'too-many' | null {
  const fault = scanInside(bytes, around, maxWork);
  return fault === 'too-deep' || fault === 'too-many' ? fault : null;
}
