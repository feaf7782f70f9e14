/**
 * Frames: one message or one gossip as bytes and back. A frame is the canonical dag-cbor map of the
 * message itself with the version under `v`; records in it are byte strings that hold their
 * envelopes. Shapes are in `message-shapes.ts`; who may send what is the core's business.
 */
import type { Gossip, Message } from '../../src/core/contract/messages.ts';
import { decodeCanonical, encodeCbor, MESSAGE_WORK, refused } from './cbor.ts';
import type { Refused } from './cbor.ts';
import { createEnvelopes } from './envelope.ts';
import type { Sha256 } from './envelope.ts';
import { createGossipShapes, createMessageShapes } from './message-shapes.ts';
import { bad, Faults, isMap } from './shape.ts';
import type { Shape } from './shape.ts';

const MESSAGE_VERSION = 1;
/** A part of a long answer stays well below; a larger frame is refused before it is read. */
export const MESSAGE_MAX_BYTES = 1_048_576;
/**
 * An announcement with the largest inline spec (16 KiB) or a certified close, with room to spare.
 */
export const GOSSIP_MAX_BYTES = 32_768;
/** Gossip is one announcement, advert or close; 256 labels and 64 nodes make it cost 2,600 at most. */
const GOSSIP_WORK = 8_192;

export type DecodedMessage = { readonly ok: true; readonly message: Message } | Refused;
export type DecodedGossip = { readonly ok: true; readonly gossip: Gossip } | Refused;

/** Decoding never throws. Encoding throws only for a value that breaks its own type. */
export interface MessageCodec {
  /**
   * May exceed `MESSAGE_MAX_BYTES` if the core put too much into one message; the sender checks.
   */
  encodeMessage(message: Message): Uint8Array;
  decodeMessage(bytes: Uint8Array): DecodedMessage;
  encodeGossip(gossip: Gossip): Uint8Array;
  decodeGossip(bytes: Uint8Array): DecodedGossip;
}

export function createMessageCodec(options: {
  readonly net: string;
  readonly sha256: Sha256;
}): MessageCodec {
  const envelopes = createEnvelopes(options);
  const messages = frames<Message>(createMessageShapes(envelopes), {
    maxBytes: MESSAGE_MAX_BYTES,
    maxWork: MESSAGE_WORK,
  });
  const gossips = frames<Gossip>(createGossipShapes(envelopes), {
    maxBytes: GOSSIP_MAX_BYTES,
    maxWork: GOSSIP_WORK,
  });
  return {
    encodeMessage: (message) => messages.encode(message),
    decodeMessage(bytes) {
      const read = messages.decode(bytes);
      return read.ok ? { ok: true, message: read.value } : read;
    },
    encodeGossip: (gossip) => gossips.encode(gossip),
    decodeGossip(bytes) {
      const read = gossips.decode(bytes);
      return read.ok ? { ok: true, gossip: read.value } : read;
    },
  };
}

type Read<U> = { readonly ok: true; readonly value: U } | Refused;

function frames<U extends { readonly type: string }>(
  table: Readonly<Record<U['type'], unknown>>,
  limits: { readonly maxBytes: number; readonly maxWork: number },
) {
  // Each shape fits the member of the union whose type is its key, which the table's type has
  // checked.
  const shapes = new Map(Object.entries(table)) as unknown as ReadonlyMap<unknown, Shape<U>>;
  return {
    encode(value: U): Uint8Array {
      const shape = shapes.get(value.type);
      if (shape === undefined) throw new TypeError(`no shape for ${value.type}`);
      return encodeCbor({ ...(shape.write(value) as object), v: MESSAGE_VERSION });
    },
    decode(bytes: Uint8Array): Read<U> {
      const decoded = decodeCanonical(bytes, limits.maxBytes, limits.maxWork);
      if (!decoded.ok) return decoded;
      if (!isMap(decoded.value)) return refused('bad-shape');
      const { v: version, ...fields } = decoded.value;
      if (version !== MESSAGE_VERSION) {
        return refused(typeof version === 'number' ? 'wrong-version' : 'bad-shape', 'v');
      }
      const { type } = fields;
      const shape = shapes.get(type);
      if (shape === undefined)
        return refused(typeof type === 'string' ? 'unknown-type' : 'bad-shape', 'type');
      // A message means what is known of it; whatever must be taken whole is a record inside.
      const faults = new Faults(true);
      const value = shape.read(fields, faults);
      return value === bad
        ? refused(faults.code, `${String(type)}.${faults.place}`)
        : { ok: true, value };
    },
  };
}
