/**
 * Walks CBOR once without building anything: are these bytes one complete item of the forms that
 * dag-cbor has, not too deep, and not more than a decoder should be made to build? What an item
 * costs is weighed here, because the decoder has no limit of its own. `cbor.ts` decodes.
 */

/** Maps and lists inside each other; a job with generous parameters needs about 10. */
export const NESTING_MAX = 16;

/** Units of work; see `MESSAGE_WORK` in `cbor.ts`. Measured with @ipld/dag-cbor 9, in and out again. */
const TEXT_WORK = 2;
/** Numbers of eight bytes pass through a bigint or a DataView. */
const WIDE_WORK = 4;
const MAP_WORK = 4;
/** A view of the bytes is an object of 300 bytes. */
const BYTES_WORK = 8;
/** An object with a key that none before had gets a form of its own in the engine: 2 µs, 1 KiB. */
const NEW_KEY_WORK = 16;
/** Until here nobody asks whether a key is new, so that small messages pay nothing for it. */
const UNWEIGHED = 512;
const KEY_SLOTS = 256;

export type ScanFault = 'too-deep' | 'too-many' | 'not-cbor' | 'not-canonical' | 'bad-shape';

/** A fault, or where the item ends. */
type Scanned = ScanFault | number;

interface Scan {
  readonly bytes: Uint8Array;
  /** Units left. */
  left: number;
  readonly weighFrom: number;
  /** Where a key was met last, by a hash of it; made when the first key is weighed. */
  keys: Int32Array | null;
}

const newScan = (bytes: Uint8Array, maxWork: number): Scan => ({
  bytes,
  left: maxWork,
  weighFrom: maxWork - UNWEIGHED,
  keys: null,
});

/** @returns null when the bytes are one complete item of allowed forms that costs at most `maxWork`. */
export function scan(bytes: Uint8Array, maxWork: number): ScanFault | null {
  const end = scanItem(newScan(bytes, maxWork), 0, 0);
  if (typeof end !== 'number') return end;
  return end === bytes.length ? null : 'not-canonical';
}

/**
 * Why an item could not be read again once `around` levels are put around it; null when it could.
 * The bytes must be one complete item.
 */
export function scanInside(bytes: Uint8Array, around: number, maxWork: number): ScanFault | null {
  const end = scanItem(newScan(bytes, maxWork), 0, around);
  return typeof end === 'number' ? null : end;
}

function scanItem(state: Scan, start: number, depth: number): Scanned {
  const { bytes } = state;
  const first = bytes[start];
  if (first === undefined) return 'not-cbor';
  const major = first >> 5;
  const minor = first & 31;
  state.left -= WORK[major] ?? 1;
  if (minor === 27) state.left -= WIDE_WORK - 1;
  if (state.left < 0) return 'too-many';
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
  if (depth === NESTING_MAX) return 'too-deep';
  return major === 5
    ? scanPairs(state, next, count, depth + 1)
    : scanMembers(state, next, count, depth + 1);
}

/** By major type: numbers, negative numbers, bytes, text, lists, maps, tags, the rest. */
const WORK = [1, 1, BYTES_WORK, TEXT_WORK, MAP_WORK, MAP_WORK, 1, 1];

function scanMembers(state: Scan, start: number, count: number, depth: number): Scanned {
  let at = start;
  for (let member = 0; member < count; member += 1) {
    const end = scanItem(state, at, depth);
    if (typeof end !== 'number') return end;
    at = end;
  }
  return at;
}

function scanPairs(state: Scan, start: number, count: number, depth: number): Scanned {
  let at = start;
  for (let pair = 0; pair < count; pair += 1) {
    const value = scanItem(state, at, depth);
    if (typeof value !== 'number') return value;
    // A key that was met before costs no string of its own.
    state.left += TEXT_WORK - 1;
    if (state.left < state.weighFrom && isNewKey(state, at, value)) state.left -= NEW_KEY_WORK;
    const end = scanItem(state, value, depth);
    if (typeof end !== 'number') return end;
    at = end;
  }
  return at;
}

/**
 * Whether this key, with its head, was not the last one met in its slot. Two keys that share a slot
 * count as new each time: that makes a few honest messages dearer, and none of a stranger cheaper.
 */
function isNewKey(state: Scan, start: number, end: number): boolean {
  const { bytes } = state;
  let hash = end - start;
  for (let at = start; at < end; at += 1) hash = (Math.imul(hash, 31) + (bytes[at] ?? 0)) | 0;
  const slot = (hash ^ (hash >>> 8)) & (KEY_SLOTS - 1);
  state.keys ??= new Int32Array(KEY_SLOTS).fill(-1);
  const known = state.keys[slot] ?? -1;
  state.keys[slot] = start;
  if (known < 0) return true;
  for (let at = 0; at < end - start; at += 1) {
    if (bytes[known + at] !== bytes[start + at]) return true;
  }
  return false;
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
