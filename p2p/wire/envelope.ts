/**
 * The envelope of a signed record: the canonical dag-cbor map `{t, v, by, hlc, net, sig, body}` and
 * its way to and from `Signed`. The id of a record is the hash of exactly these bytes, so they are
 * made or checked once and kept with the record. Does not sign or verify; `suite.ts` does.
 */
import { asHlc, asPublicKey, asRecordId } from '../../src/core/record/ids.ts';
import type { Hlc, PublicKey } from '../../src/core/record/ids.ts';
import type { AnyRecord, Bodies, RecordType } from '../../src/core/record/records.ts';
import { OPAQUE_MAX_BYTES } from '../../src/core/record/opaque.ts';
import type { Opaque } from '../../src/core/record/opaque.ts';
import { bodies, isRecordType } from './bodies.ts';
import * as common from './common-shapes.ts';
import { bytesOfHex, hexOf, joinBytes, sameBytes } from './bytes.ts';
import { decodeCanonical, decodeCbor, encodeCbor, readingFault, refused } from './cbor.ts';
import type { Refused } from './cbor.ts';
import { createRecent } from './recent.ts';
import { bad, Faults, isMap, nullable } from './shape.ts';

/** Large enough for a spec with inline parameters, small enough to be held by the thousand. */
export const ENVELOPE_MAX_BYTES = 65_536;
/** Units of `cbor.ts`; a job with a thousand variables, arguments, labels and paths costs 20,000. */
const RECORD_WORK = 32_768;
/** A record that nobody here knows has no more items than one of ours of its size. */
const OPAQUE_WORK = 4_096;
/** UTF-16 units of the name of its type. */
const KIND_LENGTH_MAX = 64;
const ENVELOPE_VERSION = 1;
/** Until 2109 a double of milliseconds can tell thousandths apart. */
const HLC_MAX = 2 ** 42 * 1_000 - 1;

/** sha-256; text is hashed as UTF-8. 32 bytes. */
export type Sha256 = (data: Uint8Array | string) => Uint8Array;

/** What a signature covers and a record carries beside its body. */
export interface Heading<T extends RecordType = RecordType> {
  readonly type: T;
  readonly by: PublicKey;
  readonly hlc: Hlc;
}

export type DecodedRecord = { readonly ok: true; readonly record: AnyRecord } | Refused;
/** A record that is not understood here, and what its signature covers. */
export type DecodedOpaque =
  | {
      readonly ok: true;
      readonly opaque: Opaque;
      readonly input: Uint8Array;
      readonly sig: Uint8Array;
    }
  | Refused;
export type EncodedBody = { readonly ok: true; readonly bytes: Uint8Array } | Refused;

export interface Envelopes {
  readonly net: string;
  /** The envelope's bytes; the same array each time, not to be changed. */
  encode(record: AnyRecord): Uint8Array;
  /**
   * Checks form and shape, not the signature. Never throws; keeps no reference to `bytes`. The same
   * bytes a moment later give the same object, which is not to be changed.
   */
  decode(bytes: Uint8Array): DecodedRecord;
  /** A well-formed record about a job of this mesh, of whatever type and with whatever fields. Never throws. */
  decodeOpaque(bytes: Uint8Array): DecodedOpaque;
  /** What is hashed and signed: everything but the signature, under the record type's domain. */
  signingInput(heading: Heading, body: Uint8Array): Uint8Array;
  /** The same for an existing record. */
  signingInputOf(record: AnyRecord): Uint8Array;
  /** A record of its parts; `body` must be the encoding of `value`. */
  assemble<T extends RecordType>(
    heading: Heading<T>,
    value: Bodies[T],
    body: Uint8Array,
    sig: Uint8Array,
  ): AnyRecord;
}

interface Encoded {
  readonly net: string;
  readonly bytes: Uint8Array;
  /** Length of everything before the key `sig`. */
  readonly headLength: number;
}

/**
 * Shared by all codecs of the process: the record object is the key, so it lives as long as the
 * record.
 */
const encodings = new WeakMap<AnyRecord, Encoded>();

/**
 * Records remembered by their id, which is the hash of their bytes: specs, admissions and votes come
 * several times with each job. As many as some eighty jobs under way have.
 */
const SEEN_MAX = 2_048;
/** Nearly all records are smaller; with larger ones a stranger could fill the memory. */
const SEEN_MAX_BYTES = 4_096;

/**
 * The one type of which a part may be believed: what a node says of itself binds nobody, and one that says
 * more than is known here must be known all the same.
 */
const OPEN: RecordType = 'advert';

const SIG_BYTES = 64;
/** dag-cbor sorts keys by length first, so `sig` and `body` always come last, in this order. */
const SIG_KEY = Uint8Array.of(0x63, 0x73, 0x69, 0x67, 0x58, SIG_BYTES);
const BODY_KEY = Uint8Array.of(0x64, 0x62, 0x6f, 0x64, 0x79);
const MAP_OF_6 = Uint8Array.of(0xa6);
const MAP_OF_7 = Uint8Array.of(0xa7);
const KEYS = 7;

/**
 * Checks and encodes a body that this process is about to sign.
 * The 1 KiB kept free is for the rest of the envelope.
 */
export function encodeBody<T extends RecordType>(type: T, body: Bodies[T]): EncodedBody {
  const faults = new Faults();
  if (bodies[type].read(body, faults) === bad) return refused('bad-shape', faults.place);
  const bytes = tryEncode(body);
  if (bytes === null) return refused('bad-shape');
  if (bytes.length > ENVELOPE_MAX_BYTES - 1_024) return refused('too-large');
  // The envelope itself is one level.
  const fault = readingFault(bytes, 1, RECORD_WORK);
  return fault === null ? { ok: true, bytes } : refused(fault);
}

/** null for the odd map that the encoder takes for an IPLD link. */
function tryEncode(body: unknown): Uint8Array | null {
  try {
    return encodeCbor(body);
  } catch {
    return null;
  }
}

/** Milliseconds with a counter in thousandths, as the whole number that is signed. */
function hlcNumber(hlc: Hlc): number {
  // Taken apart before it is multiplied: times a thousand as a whole it would be rounded to a
  // neighbour.
  const wall = Math.floor(hlc);
  return wall * 1_000 + Math.round((hlc - wall) * 1_000);
}

const hlcOf = (number: number): Hlc => asHlc(Math.floor(number / 1_000) + (number % 1_000) / 1_000);

/**
 * The value that a time has after a journey; seal with this one so that both ends hold the same.
 */
export const wireHlc = (hlc: Hlc): Hlc => hlcOf(hlcNumber(hlc));

/** `net` separates meshes: records of another one are refused with `wrong-net`. */
export function createEnvelopes(options: {
  readonly net: string;
  readonly sha256: Sha256;
}): Envelopes {
  const { net, sha256 } = options;
  const domains = domainsOf(net);
  const seen = createRecent<string, AnyRecord>(SEEN_MAX);

  function head(heading: Heading): Uint8Array {
    const by = bytesOfHex(heading.by);
    if (by === null) throw new TypeError(`${heading.by} is not a public key`);
    const fields = { t: heading.type, v: ENVELOPE_VERSION, by, hlc: hlcNumber(heading.hlc), net };
    return encodeCbor(fields).subarray(1);
  }

  function encodingOf(record: AnyRecord): Encoded {
    const known = encodings.get(record);
    if (known?.net === net) return known;
    const start = head(record);
    const body = encodeCbor(record.body);
    const bytes = joinBytes(MAP_OF_7, start, SIG_KEY, record.sig, BODY_KEY, body);
    const encoded = { net, bytes, headLength: 1 + start.length };
    encodings.set(record, encoded);
    return encoded;
  }

  function assemble<T extends RecordType>(
    heading: Heading<T>,
    value: Bodies[T],
    body: Uint8Array,
    sig: Uint8Array,
  ) {
    const start = head(heading);
    const bytes = joinBytes(MAP_OF_7, start, SIG_KEY, sig, BODY_KEY, body);
    const sigAt = 1 + start.length + SIG_KEY.length;
    const { type, by, hlc } = heading;
    const id = asRecordId(hexOf(sha256(bytes)));
    const own = bytes.subarray(sigAt, sigAt + SIG_BYTES);
    // The pair of type and body is correlated by the signature of this function.
    const record = { type, body: value, by, hlc, sig: own, id } as unknown as AnyRecord;
    encodings.set(record, { net, bytes, headLength: 1 + start.length });
    return record;
  }

  function decode(bytes: Uint8Array): DecodedRecord {
    if (bytes.length > SEEN_MAX_BYTES) return decodeAnew(bytes);
    const known = seen.get(hexOf(sha256(bytes)));
    if (known !== undefined) return { ok: true, record: known };
    const decoded = decodeAnew(bytes);
    if (decoded.ok) seen.set(decoded.record.id, decoded.record);
    return decoded;
  }

  function decodeAnew(bytes: Uint8Array): DecodedRecord {
    const decoded = decodeCbor(bytes, ENVELOPE_MAX_BYTES, RECORD_WORK);
    if (!decoded.ok) return decoded;
    const parts = readParts(decoded.value, net);
    if (!parts.ok) return parts;
    const body = tryEncode(parts.signed);
    if (body === null) return refused('bad-shape', parts.heading.type);
    const record = assemble(parts.heading, parts.body, body, parts.sig);
    return sameBytes(encodingOf(record).bytes, bytes)
      ? { ok: true, record }
      : refused('not-canonical');
  }

  function decodeOpaque(bytes: Uint8Array): DecodedOpaque {
    const decoded = decodeCanonical(bytes, OPAQUE_MAX_BYTES, OPAQUE_WORK);
    if (!decoded.ok) return decoded;
    const parts = readEnvelope(decoded.value, net);
    if (!parts.ok) return parts;
    const { by, sig, signed, type } = parts;
    if (!isMap(signed) || type.length > KIND_LENGTH_MAX) return refused('bad-shape', 'body');
    const [job, until] = [signed['job'], signed['notAfter'] ?? null];
    const faults = new Faults();
    const notAfter = nullable(common.moment).read(until, faults);
    const about = common.jobId.read(job, faults);
    if (about === bad || notAfter === bad) return refused('bad-shape', 'body');
    const id = asRecordId(hexOf(sha256(bytes)));
    // A copy: what a frame was read from is large, and not ours.
    const own = Uint8Array.from(bytes);
    const { sig: _, ...rest } = decoded.value as Readonly<Record<string, unknown>>;
    const input = joinBytes(domainOf(net, type), encodeCbor(rest));
    const opaque: Opaque = {
      type: 'opaque',
      id,
      kind: type,
      by: asPublicKey(hexOf(by)),
      job: about,
      notAfter,
      bytes: own,
    };
    return { ok: true, opaque, input, sig };
  }

  return {
    net,
    encode: (record) => encodingOf(record).bytes,
    decode,
    decodeOpaque,
    signingInput: (heading, body) =>
      joinBytes(domains[heading.type], MAP_OF_6, head(heading), BODY_KEY, body),
    signingInputOf(record) {
      const { bytes, headLength } = encodingOf(record);
      const rest = bytes.subarray(headLength + SIG_KEY.length + SIG_BYTES);
      return joinBytes(domains[record.type], MAP_OF_6, bytes.subarray(1, headLength), rest);
    },
    assemble,
  };
}

const domainOf = (net: string, type: string): Uint8Array =>
  encodeCbor(`shoal/record/1/${net}/${type}`);

/** One domain per mesh and type, as a cbor text so that it ends where it says it does. */
function domainsOf(net: string): Readonly<Record<RecordType, Uint8Array>> {
  const entries = Object.keys(bodies).map((type) => [type, domainOf(net, type)]);
  return Object.fromEntries(entries) as Record<RecordType, Uint8Array>;
}

type Parts =
  | {
      readonly ok: true;
      readonly heading: Heading;
      /** What is known of it here. */
      readonly body: Bodies[RecordType];
      /** All of it, as it was signed. */
      readonly signed: unknown;
      readonly sig: Uint8Array;
    }
  | Refused;

const isBytes = (value: unknown, length: number): value is Uint8Array =>
  value instanceof Uint8Array && value.length === length;

type Envelope =
  | {
      readonly ok: true;
      readonly type: string;
      readonly by: Uint8Array;
      readonly hlc: number;
      readonly sig: Uint8Array;
      /** The body as it was signed. */
      readonly signed: unknown;
    }
  | Refused;

/** The parts of an envelope of this mesh, whatever is in it. */
function readEnvelope(value: unknown, net: string): Envelope {
  if (!isMap(value)) return refused('bad-shape');
  if (value['v'] !== ENVELOPE_VERSION)
    return refused(typeof value['v'] === 'number' ? 'wrong-version' : 'bad-shape', 'v');
  if (value['net'] !== net)
    return refused(typeof value['net'] === 'string' ? 'wrong-net' : 'bad-shape', 'net');
  const { t: type, by, hlc, sig } = value;
  if (Object.keys(value).length !== KEYS || !('body' in value)) return refused('bad-shape');
  if (!isBytes(by, 32) || !isBytes(sig, SIG_BYTES)) return refused('bad-shape', 'by');
  if (typeof hlc !== 'number' || !Number.isSafeInteger(hlc) || hlc < 0 || hlc > HLC_MAX) {
    return refused('bad-shape', 'hlc');
  }
  if (typeof type !== 'string') return refused('bad-shape', 't');
  return { ok: true, type, by, hlc, sig, signed: value['body'] };
}

function readParts(value: unknown, net: string): Parts {
  const envelope = readEnvelope(value, net);
  if (!envelope.ok) return envelope;
  const { type, signed, sig } = envelope;
  if (!isRecordType(type)) return refused('unknown-type', 't');
  const faults = new Faults(type === OPEN);
  const body = bodies[type].read(signed, faults);
  if (body === bad) return refused(faults.code, `${type}.${faults.place}`);
  const heading = { type, by: asPublicKey(hexOf(envelope.by)), hlc: hlcOf(envelope.hlc) };
  return { ok: true, heading, body, signed, sig };
}
