/**
 * What messages and rows would be on the wire and on disk, by the real codecs. A message that does not
 * fit its frame is never sent, one that comes out as another is refused or misunderstood, and a row that
 * cannot be read again is damage: here each is a violation.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  GOSSIP_MAX_BYTES,
  MESSAGE_MAX_BYTES,
  createMessageCodec,
} from '../../p2p/wire/messages.ts';
import { createRowCodec } from '../../p2p/wire/rows.ts';
import type { Gossip, Message } from '../../src/core/contract/messages.ts';
import type { StoreWrite } from '../../src/core/contract/stored.ts';
import type { JobId } from '../../src/core/record/ids.ts';
import { createCrypto } from '../../src/store/crypto.ts';
import type { FactsContext } from './facts.ts';
import type { NodeView, Observer } from './observer.ts';

const options = { net: 'simulated', sha256: createCrypto().sha256 };
const messages = createMessageCodec(options);
const rows = createRowCodec(options);

/** Ids of simulated nodes and contents are short, to be read by people: on the wire they have their real form. */
const NODE_ID = /n(\d{4})-([0-9a-f]{4})/g;
const CID = /bafy([0-9a-f]{64})/g;

const letters = (text: string): string => text.replaceAll('0', 'z').replaceAll(/[a-z]/g, 'x');
const realText = (text: string): string => {
  if (text.length < 10) return text;
  return text
    .replace(NODE_ID, (_, index: string, key: string) =>
      `12D3KooW${letters(index + key)}`.padEnd(52, 'N'),
    )
    .replace(CID, (_, hash: string) => `bafybei${base32(hash)}`);
};
const base32 = (hash: string): string =>
  hash.replaceAll(/[0189]/g, (digit) => 'ghij'['0189'.indexOf(digit)] ?? '').slice(0, 52);

/** Records are shared by many messages, and the codec knows an object that it has encoded. */
const known = new WeakMap<object, object>();

function real<T>(value: T): T {
  if (typeof value === 'string') return realText(value) as T;
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  const seen = known.get(value);
  if (seen !== undefined) return seen as T;
  const made = Array.isArray(value)
    ? value.map(real)
    : Object.fromEntries(Object.entries(value).map(([key, of]) => [realText(key), real(of)]));
  if (Object.isFrozen(value)) known.set(value, made);
  return made as T;
}

/** The same, but for the ids of records: their bytes make them. */
function isSame(one: unknown, other: unknown): boolean {
  if (typeof one !== 'object' || one === null) return Object.is(one, other);
  if (typeof other !== 'object' || other === null) return false;
  if (one instanceof Uint8Array || other instanceof Uint8Array)
    return isDeepStrictEqual(one, Uint8Array.from(other as Uint8Array));
  const [left, right] = [one, other] as Record<string, unknown>[];
  const signed = 'sig' in one && 'id' in one;
  const keys = Object.keys(one);
  if (left === undefined || right === undefined) return false;
  if (keys.length !== Object.keys(other).length) return false;
  return keys.every((key) => (signed && key === 'id') || isSame(left[key], right[key]));
}

/** What is wrong with it; null = it arrives as it is. */
type Fault = string | null;

function overWire<T extends { readonly type: string }>(
  what: T,
  most: number,
  encode: (what: T) => Uint8Array,
  decode: (bytes: Uint8Array) => { readonly ok: boolean; readonly code?: unknown },
  of: (decoded: never) => T,
): Fault {
  const sent = real(what);
  const bytes = encode(sent);
  if (bytes.length > most) return `a ${what.type} of ${bytes.length} bytes; ${most} fit a frame`;
  const decoded = decode(bytes);
  if (!decoded.ok) return `a ${what.type} that cannot be read: ${JSON.stringify(decoded)}`;
  return isSame(sent, of(decoded as never)) ? null : `a ${what.type} that arrives as another`;
}

function overDisk(write: StoreWrite): Fault {
  if (write.value === null) return null;
  const codec = rows[write.table] as {
    encode(row: unknown): Uint8Array;
    decode(bytes: Uint8Array): unknown;
  };
  const row = real(write.value);
  const read = codec.decode(codec.encode(row));
  const name = `a row ${write.key} of ${write.table}`;
  if (read === null) return `${name} that cannot be read again`;
  return isSame(row, read) ? null : `${name} that is read as another`;
}

/** How many bytes it is on the wire, as gossip or as a message. */
export function wireBytes(way: 'gossip', what: Gossip): number;
export function wireBytes(way: 'message', what: Message): number;
export function wireBytes(way: 'gossip' | 'message', what: Gossip | Message): number {
  const bytes =
    way === 'gossip'
      ? messages.encodeGossip(real(what as Gossip))
      : messages.encodeMessage(real(what as Message));
  return bytes.length;
}

export function createFrames(context: FactsContext): Observer {
  const say = (node: NodeView, job: JobId | null, fault: Fault): void => {
    if (fault !== null) context.violation('frames', node, job, fault);
  };
  /** One message to many is looked at once. */
  const seen = new WeakSet<object>();
  return {
    onSend: (node, _to, message) => {
      if (seen.has(message)) return;
      seen.add(message);
      const job = 'job' in message ? message.job : null;
      const { encodeMessage, decodeMessage } = messages;
      const of = (decoded: { readonly message: typeof message }) => decoded.message;
      say(node, job, overWire(message, MESSAGE_MAX_BYTES, encodeMessage, decodeMessage, of));
    },
    onGossip: (node, gossip) => {
      const { encodeGossip, decodeGossip } = messages;
      const of = (decoded: { readonly gossip: typeof gossip }) => decoded.gossip;
      say(node, null, overWire(gossip, GOSSIP_MAX_BYTES, encodeGossip, decodeGossip, of));
    },
    onDurable: (node, writes) => {
      for (const write of writes) say(node, write.job, overDisk(write));
    },
  };
}
