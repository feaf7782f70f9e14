/**
 * A cheap, deterministic stand-in for the real cryptography, with the same laws: equal text gives an
 * equal hash, a record verifies only with the key in `by` and only unchanged. It is no cryptography:
 * anyone who reads this file can forge, which is exactly what the fault injector does.
 */
import type { Hlc, NodeId, PublicKey } from '../../src/core/record/ids.ts';
import { asNodeId, asPublicKey, asRecordId } from '../../src/core/record/ids.ts';
import type { Opaque } from '../../src/core/record/opaque.ts';
import type { AnyRecord, Bodies, RecordType, Signed } from '../../src/core/record/records.ts';
import type { StoredRecord } from '../../src/core/contract/stored.ts';
import type { Packed, Signer, Suite } from '../../src/core/record/suite.ts';

const HEX16: readonly string[] = Array.from({ length: 65_536 }, (_, value) =>
  value.toString(16).padStart(4, '0'),
);

/** Four well-mixed 32-bit words of a text. */
function words(text: string): readonly [number, number, number, number] {
  let h1 = 1779033703;
  let h2 = 3144134277;
  let h3 = 1013904242;
  let h4 = 2773480762;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    h1 = h2 ^ Math.imul(h1 ^ code, 597399067);
    h2 = h3 ^ Math.imul(h2 ^ code, 2869860233);
    h3 = h4 ^ Math.imul(h3 ^ code, 951274213);
    h4 = h1 ^ Math.imul(h4 ^ code, 2716044179);
  }
  h1 = Math.imul(h3 ^ (h1 >>> 18), 597399067);
  h2 = Math.imul(h4 ^ (h2 >>> 22), 2869860233);
  h3 = Math.imul(h1 ^ (h3 >>> 17), 951274213);
  h4 = Math.imul(h2 ^ (h4 >>> 19), 2716044179);
  return [final(h1 ^ h2 ^ h3 ^ h4), final(h2 ^ h1), final(h3 ^ h1), final(h4 ^ h1)];
}

function final(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

const hex8 = (word: number): string =>
  (HEX16[word >>> 16] as string) + (HEX16[word & 0xffff] as string);

/** 64 hex digits, evenly distributed. */
export function hashText(text: string): string {
  const [a, b, c, d] = words(text);
  return (
    hex8(a) +
    hex8(b) +
    hex8(c) +
    hex8(d) +
    hex8(final(a ^ 0x3c6ef372)) +
    hex8(final(b ^ 0xa54ff53a)) +
    hex8(final(c ^ 0x510e527f)) +
    hex8(final(d ^ 0x1f83d9ab))
  );
}

/**
 * One text per value, whatever the order of its keys.
 * @throws Error for what canonical CBOR could not carry either: undefined, NaN, functions.
 */
function canonical(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new Error(`a record holds the number ${value}`);
    return String(value);
  }
  if (value === null || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value instanceof Uint8Array) return `#${value.join('.')}`;
  if (typeof value !== 'object') throw new Error(`a record holds a ${typeof value}`);
  const entries = value as Readonly<Record<string, unknown>>;
  let text = '{';
  for (const key of Object.keys(entries).sort()) text += `${key}:${canonical(entries[key])},`;
  return `${text}}`;
}

/** The public key of node number `index`, 0 … 65,535. */
export const nodeKey = (index: number): PublicKey =>
  asPublicKey(`0000${HEX16[index] as string}${hashText(`node ${index}`).slice(8)}`);
/** The public key of owner number `index`, 0 … 65,535. */
export const ownerKey = (index: number): PublicKey =>
  asPublicKey(`ffff${HEX16[index] as string}${hashText(`owner ${index}`).slice(8)}`);

/** `n0007-3fa9`: the number of the node in sight, the rest of the key behind it. */
export function nodeIdOf(key: PublicKey): NodeId {
  const kind = key.startsWith('ffff') ? 'owner' : 'n';
  const index = String(Number.parseInt(key.slice(4, 8), 16)).padStart(4, '0');
  return asNodeId(`${kind}${index}-${key.slice(8, 12)}`);
}

/** Of everything but the body, and of up to eight node ids, which are longer in a real mesh. */
const ENVELOPE_BYTES = 600;

/** Only this file knows how a key signs. */
function signatureOf(id: string, key: PublicKey): Uint8Array {
  const bytes = new Uint8Array(64);
  const view = new DataView(bytes.buffer);
  words(`${key}|secret|${id}`).forEach((word, index) => view.setUint32(index * 4, word));
  return bytes;
}

/** Records proven good, by identity: the same object is checked once, a changed copy again. */
const proven = new WeakMap<object, boolean>();

function envelopeId(type: RecordType, body: unknown, by: PublicKey, hlc: Hlc): string {
  return hashText(`${type}|${canonical(body)}|${by}|${hlc}`);
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
  return canonical(said) === canonical(claimed) && canonical(expected) === canonical(bytes);
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
    seal: <T extends RecordType>(type: T, body: Bodies[T], hlc: Hlc, signer: Signer): Signed<T> => {
      const by = keys[signer];
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
