/**
 * Odd messages: the messages that the wire's generators make, aimed at what a peer really has, with
 * extreme values at random places, and every record in them signed again with keys that may have a
 * say. Seeded; shared by the fuzzers of the machine and of a real peer.
 */
import fc from 'fast-check';
import { encodeCbor } from '../../../p2p/wire/cbor.ts';
import { createEnvelopes } from '../../../p2p/wire/envelope.ts';
import { createSuite } from '../../../p2p/wire/suite.ts';
import { slotOf } from '../../../src/core/record/slot.ts';
import { asHlc, asNodeId, asPublicKey, asStoreId } from '../../../src/core/record/ids.ts';
import type { NodeId, StoreId } from '../../../src/core/record/ids.ts';
import type { Gossip, Message } from '../../../src/core/contract/messages.ts';
import type {
  AnyRecord,
  Bodies,
  Epoch,
  RecordType,
  Signed,
} from '../../../src/core/record/records.ts';
import type { Signer, Suite } from '../../../src/core/record/suite.ts';
import { createCrypto } from '../../../src/store/crypto.ts';
import type { Random } from '../../simulation/random.ts';
import { gossipArbitraries, messageArbitraries } from '../p2p/wire/message-arbitraries.ts';

export const crypto = createCrypto();

/** A member that signs whatever it is asked to. */
export interface Party {
  readonly id: NodeId;
  readonly store: StoreId;
  readonly suite: Suite;
  /** Without a look at the shape. */
  forge<T extends RecordType>(type: T, body: Bodies[T], hlc: number, signer: Signer): Signed<T>;
}

export function createParty(net: string, seed: number): Party {
  const key = crypto.sha256(`party ${seed}`);
  const suite = createSuite({ net, nodeSeed: key, ownerSeed: key, crypto });
  const by = asPublicKey(Buffer.from(crypto.publicKeyOf(key)).toString('hex'));
  const envelopes = createEnvelopes({ net, sha256: crypto.sha256 });
  return {
    id: asNodeId(suite.nodeOf(by)),
    store: asStoreId(String(seed).padStart(32, '0')),
    suite,
    forge(type, body, hlc) {
      const bytes = encodeCbor(body);
      const heading = { type, by, hlc: asHlc(hlc) };
      const digest = crypto.sha256(envelopes.signingInput(heading, bytes));
      const sig = crypto.sign(key, digest);
      return envelopes.assemble(heading, body, bytes, sig) as Signed<typeof type>;
    },
  };
}

/** What a message may be aimed at. */
export interface Aim {
  readonly parties: readonly Party[];
  /** Node ids of everybody, the target itself included. */
  readonly nodes: readonly NodeId[];
  readonly jobs: readonly string[];
  readonly executions: readonly string[];
  /** Records that the target believes. */
  readonly records: readonly AnyRecord[];
  /** Wall clock, milliseconds. */
  readonly wall: number;
}

/** A message and who says it: mostly the one that signed what is in it. */
export interface Said<U> {
  readonly from: NodeId;
  readonly said: U;
}

/** The aim of one message. */
interface Shot extends Aim {
  readonly speaker: Party;
}

const signerOf = (aim: Shot, random: Random): Party =>
  random.chance(0.8) ? aim.speaker : random.pick(aim.parties);

const MAX = Number.MAX_SAFE_INTEGER;
/** With bounds of the wire and beyond. */
const numbers: readonly number[] = [
  0,
  -0,
  1,
  -1,
  0.5,
  15,
  16,
  17,
  255,
  999_999,
  1_000_000,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_ffff,
  2 ** 48,
  2 ** 52,
  MAX - 1,
  MAX,
  -MAX,
  1e300,
  Number.EPSILON,
  Number.NaN,
  Infinity,
];
const texts: readonly string[] = [
  '', 'constructor', '__proto__', 'toString', 'hasOwnProperty', '\ud800', '\udfff\ud800', '\0',
  '‮', 'j-', 'e-', 'x'.repeat(4_000), 'close/1', 'admission', 'grant', 'accept/1/0', 'assign/1/0/0',
  'assign/1/999999/999999', '-1', 'NaN',
]; // biome-ignore format: tables read better in lines

/** Where a value is replaced by an odd one. */
const ODD_RATE = 0.06;

type Plain = Readonly<Record<string, unknown>>;
const isRecord = (value: Plain): boolean => 'sig' in value && 'body' in value && 'by' in value;
const isEpoch = (value: Plain): boolean => 'config' in value && 'leader' in value;
const isProposed = (value: Plain): boolean => 'slot' in value && 'value' in value;
const isCertified = (value: Plain): boolean => 'votes' in value && 'record' in value;

/** A value like this one, aimed and odd. `depth` bounds what an arbitrary could nest. */
function twist(value: unknown, aim: Shot, random: Random): unknown {
  if (typeof value === 'number') return random.chance(ODD_RATE) ? random.pick(numbers) : value;
  if (typeof value === 'string') return twistText(value, aim, random);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return twistList(value, aim, random);
  const map = value as Plain;
  if (isRecord(map)) return twistRecord(map as unknown as AnyRecord, aim, random);
  if (isEpoch(map) && random.chance(0.9)) return epochOf(aim.speaker, random);
  const twisted = Object.fromEntries(
    Object.entries(map).map(([key, member]) => [key, twist(member, aim, random)]),
  );
  if (isCertified(map)) return certified(twisted, aim, random);
  if (!isProposed(map) || random.chance(0.1)) return twisted;
  return { ...twisted, slot: slotOf(twisted['value'] as Signed<'close'>) };
}

function twistText(text: string, aim: Shot, random: Random): string {
  if (random.chance(ODD_RATE / 2)) return random.pick(texts);
  if (text.startsWith('j-')) return random.chance(0.9) ? random.pick(aim.jobs) : text;
  if (text.startsWith('e-') && aim.executions.length > 0)
    return random.chance(0.9) ? random.pick(aim.executions) : text;
  if (text.startsWith('12D3')) return random.chance(0.9) ? random.pick(aim.nodes) : text;
  if (/^[0-9a-f]{64}$/.test(text) && aim.records.length > 0)
    return random.chance(0.5) ? random.pick(aim.records).id : text;
  if (/^[0-9a-f]{32}$/.test(text))
    return random.chance(0.8) ? random.pick(aim.parties).store : text;
  return text;
}

/** Many of many of many would be more than any machine can encode, and no frame can carry. */
const WEIGHT_MAX = 100_000;

/** How many values it is made of. */
function weightOf(value: unknown): number {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return 1;
  return Object.values(value).reduce((sum: number, member) => sum + weightOf(member), 1);
}

function twistList(list: readonly unknown[], aim: Shot, random: Random): readonly unknown[] {
  const twisted = list.map((member) => twist(member, aim, random));
  if (!random.chance(ODD_RATE)) return twisted;
  const many = 300 * weightOf(twisted) <= WEIGHT_MAX ? 300 : 2;
  const times = random.pick([0, 2, many]);
  return Array.from({ length: times }, () => twisted).flat();
}

function twistRecord(record: AnyRecord, aim: Shot, random: Random): AnyRecord {
  // A record that is believed, in a place where it was not expected.
  const alike = aim.records.filter(({ type }) => type === record.type);
  if (alike.length > 0 && random.chance(0.4)) return random.pick(alike);
  const party = signerOf(aim, random);
  const body = likely(twist(record.body, aim, random), record.type, aim, party, random);
  const hlc = random.chance(0.8) ? aim.wall : record.hlc;
  try {
    return party.forge(record.type, body as never, hlc, 'node') as AnyRecord;
  } catch {
    // There is no encoding of it, so nobody can send it.
    return record;
  }
}

/** What may really be said, at the places where nearly everything else is refused at once. */
function likely(body: unknown, type: RecordType, aim: Aim, party: Party, random: Random): unknown {
  const fields = { ...(body as Record<string, unknown>) };
  const low = (key: string): void => {
    if (key in fields && random.chance(0.7))
      fields[key] = random.pick([0, 1, 2, 999_999, 1_000_000, 0xffff_ffff]);
  };
  for (const key of ['partition', 'attempt', 'sequence']) low(key);
  if ('version' in fields && random.chance(0.9)) fields['version'] = 1;
  if ('notAfter' in fields && random.chance(0.8)) fields['notAfter'] = aim.wall + 86_400_000;
  if ('epoch' in fields && random.chance(0.8)) fields['epoch'] = epochOf(party, random);
  if ('node' in fields && type !== 'assign' && random.chance(0.8)) fields['node'] = party.id;
  if ('sponsor' in fields && random.chance(0.8)) fields['sponsor'] = party.id;
  return fields;
}

const epochOf = (party: Party, random: Random): Epoch => ({
  config: { major: 0, minor: 0 },
  number: random.pick([0, 1, 2, 5, 99_999, 100_001, 0x7fff_ffff, 0x8000_0000, MAX - 1, MAX]),
  leader: party.id,
});

/** With the votes of two parties: where both are keepers, that is a majority of three. */
function certified(twisted: Plain, aim: Shot, random: Random): Plain {
  if (!random.chance(0.8)) return twisted;
  const record = twisted['record'] as AnyRecord;
  const job = (record.body as { readonly job?: string }).job;
  if (job === undefined) return twisted;
  const slot =
    record.type === 'assign' || record.type === 'accept' || record.type === 'close'
      ? slotOf(record)
      : record.type;
  const epoch = epochOf(aim.speaker, random);
  const votes = aim.parties
    .slice(0, 2)
    .map(({ forge, store }) =>
      forge('vote', { job, of: record.id, slot, epoch, store } as never, aim.wall, 'node'),
    );
  return { ...twisted, votes };
}

/** Messages of every type, `each` of each, in a random order. */
export function oddMessages(aim: Aim, random: Random, each: number): readonly Said<Message>[] {
  return random.shuffled(odd<Message>(messageArbitraries, aim, random, each));
}

export function oddGossip(aim: Aim, random: Random, each: number): readonly Said<Gossip>[] {
  return random.shuffled(odd<Gossip>(gossipArbitraries, aim, random, each));
}

function odd<U>(
  table: Readonly<Record<string, fc.Arbitrary<unknown>>>,
  aim: Aim,
  random: Random,
  each: number,
): readonly Said<U>[] {
  return Object.entries(table).flatMap(([type, arbitrary]) =>
    fc.sample(arbitrary, { numRuns: each, seed: random.integer(0, 0x7fff_ffff) }).map((message) => {
      const speaker = random.pick(aim.parties);
      const said = { ...(twist(message, { ...aim, speaker }, random) as object), type } as U;
      // Now and then as if it came from anybody, the target itself included.
      return { from: random.chance(0.9) ? speaker.id : random.pick(aim.nodes), said };
    }),
  );
}
