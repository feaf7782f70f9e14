/**
 * A cheap, deterministic stand-in for the real cryptography, with the same laws: equal text gives an
 * equal hash, a record verifies only with the key in `by` and only unchanged. It is no cryptography:
 * anyone who reads this file can forge, which is exactly what the fault injector does.
 */
import { wireHlc } from '../../p2p/wire/envelope.ts';
import type { Hlc, NodeId, PublicKey } from '../../src/core/record/ids.ts';
import { asNodeId, asPublicKey, asRecordId } from '../../src/core/record/ids.ts';
import type { Opaque } from '../../src/core/record/opaque.ts';
import type { AnyRecord, Bodies, RecordType, Signed } from '../../src/core/record/records.ts';
import type { StoredRecord } from '../../src/core/contract/stored.ts';
import type { Packed, Signer, Suite } from '../../src/core/record/suite.ts';

/** Few enough to stay in the processor's cache. */
const HEX: readonly string[] = Array.from({ length: 256 }, (_, value) =>
  value.toString(16).padStart(2, '0'),
);
const hex2 = (byte: number): string => HEX[byte & 0xff] as string;
const hex4 = (word: number): string => hex2(word >>> 8) + hex2(word);

/**
 * The four 32-bit words of a hash that is fed piece by piece, so that no text is made of a record only to
 * be read once. Begun, fed and ended within one call: there is never more than one at a time.
 */
const state = new Int32Array(4);

function begin(): void {
  state[0] = 1779033703;
  state[1] = 3144134277;
  state[2] = 1013904242;
  state[3] = 2773480762;
}

function feed(text: string): void {
  let h1 = state[0] as number;
  let h2 = state[1] as number;
  let h3 = state[2] as number;
  let h4 = state[3] as number;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    h1 = h2 ^ Math.imul(h1 ^ code, 597399067);
    h2 = h3 ^ Math.imul(h2 ^ code, 2869860233);
    h3 = h4 ^ Math.imul(h3 ^ code, 951274213);
    h4 = h1 ^ Math.imul(h4 ^ code, 2716044179);
  }
  state[0] = h1;
  state[1] = h2;
  state[2] = h3;
  state[3] = h4;
}

/** Well mixed, from what was fed; they stay in `state`. */
function end(): void {
  let h1 = state[0] as number;
  let h2 = state[1] as number;
  let h3 = state[2] as number;
  let h4 = state[3] as number;
  h1 = Math.imul(h3 ^ (h1 >>> 18), 597399067);
  h2 = Math.imul(h4 ^ (h2 >>> 22), 2869860233);
  h3 = Math.imul(h1 ^ (h3 >>> 17), 951274213);
  h4 = Math.imul(h2 ^ (h4 >>> 19), 2716044179);
  state[0] = final(h1 ^ h2 ^ h3 ^ h4);
  state[1] = final(h2 ^ h1);
  state[2] = final(h3 ^ h1);
  state[3] = final(h4 ^ h1);
}

const SALTS: readonly number[] = [0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x1f83d9ab];

/** 64 hex digits, evenly distributed, of what was fed. */
function digest(): string {
  end();
  let text = '';
  for (const word of state) text += hex8(word);
  for (let index = 0; index < state.length; index += 1)
    text += hex8(final((state[index] as number) ^ (SALTS[index] as number)));
  return text;
}

function final(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

const hex8 = (word: number): string => hex4(word >>> 16) + hex4(word);

/** 64 hex digits, evenly distributed. */
export function hashText(text: string): string {
  begin();
  feed(text);
  return digest();
}

/** What JSON writes otherwise than as it is. */
const ESCAPED = /["\\\p{Cc}\p{Cs}]/u;

/**
 * Feeds a value as one text, whatever the order of its keys.
 * @throws Error for what canonical CBOR could not carry either: undefined, NaN, functions.
 */
function feedValue(value: unknown): void {
  if (typeof value === 'string') return feedString(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new Error(`a record holds the number ${value}`);
    return feed(String(value));
  }
  if (value === null || typeof value === 'boolean') return feed(String(value));
  if (value instanceof Uint8Array) return feed(`#${value.join('.')}`);
  if (typeof value !== 'object') throw new Error(`a record holds a ${typeof value}`);
  if (Array.isArray(value)) feedList(value);
  else feedEntries(value as Readonly<Record<string, unknown>>);
}

function feedString(text: string): void {
  if (ESCAPED.test(text)) return feed(JSON.stringify(text));
  feed('"');
  feed(text);
  feed('"');
}

function feedList(values: readonly unknown[]): void {
  feed('[');
  let comma = '';
  for (const value of values) {
    feed(comma);
    feedValue(value);
    comma = ',';
  }
  feed(']');
}

function feedEntries(entries: Readonly<Record<string, unknown>>): void {
  feed('{');
  for (const key of sorted(Object.keys(entries))) {
    feed(key);
    feed(':');
    feedValue(entries[key]);
    feed(',');
  }
  feed('}');
}

/** Most maps are written in order. */
function sorted(keys: string[]): readonly string[] {
  for (let index = 1; index < keys.length; index += 1)
    if ((keys[index - 1] as string) > (keys[index] as string)) return keys.sort();
  return keys;
}

function hashValue(value: unknown): string {
  begin();
  feedValue(value);
  return digest();
}

/** The public key of node number `index`, 0 … 65,535. */
export const nodeKey = (index: number): PublicKey =>
  asPublicKey(`0000${hex4(index)}${hashText(`node ${index}`).slice(8)}`);
/** The public key of owner number `index`, 0 … 65,535. */
export const ownerKey = (index: number): PublicKey =>
  asPublicKey(`ffff${hex4(index)}${hashText(`owner ${index}`).slice(8)}`);

const nodeIds = new Map<PublicKey, NodeId>();
/** More keys than any mesh has; those that somebody makes up come and go. */
const NODE_IDS_MAX = 131_072;

/** `n0007-3fa9`: the number of the node in sight, the rest of the key behind it. */
export function nodeIdOf(key: PublicKey): NodeId {
  const known = nodeIds.get(key);
  if (known !== undefined) return known;
  if (nodeIds.size >= NODE_IDS_MAX) nodeIds.clear();
  const id = madeNodeId(key);
  nodeIds.set(key, id);
  return id;
}

function madeNodeId(key: PublicKey): NodeId {
  const kind = key.startsWith('ffff') ? 'owner' : 'n';
  const index = String(Number.parseInt(key.slice(4, 8), 16)).padStart(4, '0');
  return asNodeId(`${kind}${index}-${key.slice(8, 12)}`);
}

/** Of everything but the body, and of up to eight node ids, which are longer in a real mesh. */
const ENVELOPE_BYTES = 600;

/** Only this file knows how a key signs. */
function signatureOf(id: string, key: PublicKey): Uint8Array {
  begin();
  feed(key);
  feed('|secret|');
  feed(id);
  end();
  const bytes = new Uint8Array(64);
  for (let index = 0; index < 16; index += 1)
    bytes[index] = (state[index >> 2] as number) >>> (24 - 8 * (index & 3));
  return bytes;
}

/** Records proven good, by identity: the same object is checked once, a changed copy again. */
const proven = new WeakMap<object, boolean>();

function envelopeId(type: RecordType, body: unknown, by: PublicKey, hlc: Hlc): string {
  begin();
  feed(`${type}|`);
  feedValue(body);
  feed(`|${by}|${hlc}`);
  return digest();
}

function verifyNow(record: AnyRecord): boolean {
  try {
    if (envelopeId(record.type, record.body, record.by, record.hlc) !== record.id) return false;
    const expected = signatureOf(record.id, record.by);
    if (!(record.sig instanceof Uint8Array) || record.sig.length !== 64) return false;
    return expected.every((byte, index) => byte === record.sig[index]);
  } catch {
    return false;
  }
}

/** A record of a later version, as the real suite would take it from its bytes. */
export function sealOpaque(
  by: PublicKey,
  about: Pick<Opaque, 'kind' | 'job' | 'notAfter'>,
): Opaque {
  const text = JSON.stringify([about.kind, about.job, about.notAfter, by]);
  const bytes = new TextEncoder().encode(`${text}${hashText(`${by}|secret|${text}`)}`);
  const id = asRecordId(hashText(new TextDecoder().decode(bytes)));
  return { type: 'opaque', id, by, bytes, ...about };
}

function verifyOpaque({ bytes, ...claimed }: Opaque): boolean {
  const { kind, job, notAfter, by } = claimed;
  const { bytes: expected, ...said } = sealOpaque(by, { kind, job, notAfter });
  return hashValue([said, expected]) === hashValue([claimed, bytes]);
}

const envelopes = new WeakMap<Signed<'spec'>, Uint8Array>();
const specs = new WeakMap<Uint8Array, Signed<'spec'> | null>();

/** Its text as bytes; what comes back is the same object. */
function envelopeOf(spec: Signed<'spec'>): Uint8Array {
  const known = envelopes.get(spec);
  if (known !== undefined) return known;
  const bytes = new TextEncoder().encode(JSON.stringify({ ...spec, sig: [...spec.sig] }));
  envelopes.set(spec, bytes);
  specs.set(bytes, spec);
  return bytes;
}

function specIn(envelope: Uint8Array): Signed<'spec'> | null {
  const known = specs.get(envelope);
  if (known !== undefined) return known;
  const spec = specOfText(new TextDecoder().decode(envelope));
  specs.set(envelope, spec);
  return spec;
}

function specOfText(text: string): Signed<'spec'> | null {
  try {
    const read: Signed<'spec'> = JSON.parse(text);
    return read.type === 'spec' ? { ...read, sig: Uint8Array.from(read.sig) } : null;
  } catch {
    return null;
  }
}

export interface FastSuiteKeys {
  readonly node: PublicKey;
  readonly owner: PublicKey;
  /** Freeze every sealed record, to catch whoever changes one later. */
  readonly freeze: boolean;
}

export function createFastSuite(keys: FastSuiteKeys): Suite {
  return {
    owner: keys.owner,
    hash: hashText,
    nodeOf: nodeIdOf,
    verifyOpaque,
    sizeOf: (record) => ENVELOPE_BYTES + JSON.stringify(record.body).length,
    envelopeOf,
    specIn,
    pack: (records) => ({ records }) as unknown as Packed,
    unpack: (packed) =>
      (packed as unknown as { readonly records: readonly StoredRecord[] }).records,
    verify: (record) => {
      const known = proven.get(record);
      if (known !== undefined) return known;
      const good = verifyNow(record);
      proven.set(record, good);
      return good;
    },
    seal: <T extends RecordType>(type: T, body: Bodies[T], at: Hlc, signer: Signer): Signed<T> => {
      const by = keys[signer];
      // A clock that is not rounded would come back from the wire and the disk as another one.
      const hlc = wireHlc(at);
      const id = envelopeId(type, body, by, hlc);
      const record: Signed<T> = {
        type,
        body,
        by,
        hlc,
        sig: signatureOf(id, by),
        id: asRecordId(id),
      };
      if (keys.freeze) freezeDeep(record);
      proven.set(record, true);
      return record;
    },
  };
}

/** Signs as if it were `by`, with another key's secret: what a forger can do. Never verifies. */
export function forge<T extends RecordType>(record: Signed<T>, by: PublicKey): Signed<T> {
  const id = envelopeId(record.type, record.body, by, record.hlc);
  return { ...record, by, id: asRecordId(id), sig: signatureOf(id, record.by) };
}

/** Freezes a value and all it holds (byte arrays cannot be frozen and are left out). */
export function freezeDeep(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  if (ArrayBuffer.isView(value)) return;
  Object.freeze(value);
  for (const part of Object.values(value)) freezeDeep(part);
}
