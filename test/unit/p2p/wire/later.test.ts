/**
 * What a node of the next version says in a mesh of this one: messages with more fields, kinds that nobody here
 * knows, records of types and with fields of its own. It must get along, and must not be taken for a liar.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, encode } from '@ipld/dag-cbor';
import fc from 'fast-check';
import { isSendersFault } from '../../../../p2p/wire/cbor.ts';
import type { WireCode } from '../../../../p2p/wire/cbor.ts';
import { createRowCodec } from '../../../../p2p/wire/rows.ts';
import { OPAQUE_MAX_BYTES } from '../../../../src/core/record/opaque.ts';
import type { Opaque } from '../../../../src/core/record/opaque.ts';
import { asJobId } from '../../../../src/core/record/ids.ts';
import type { Message } from '../../../../src/core/contract/messages.ts';
import { messageArbitraries } from './message-arbitraries.ts';
import { bodyArbitraries } from './record-arbitraries.ts';
import { NET, crypto, envelopes, messages, nodeSeed, sha256, suite } from './fixtures.ts';

type Plain = Record<string, unknown>;
const one = <T>(arbitrary: fc.Arbitrary<T>): T =>
  fc.sample(arbitrary, { numRuns: 1, seed: 5 })[0] ?? assert.fail();

/** Signs whatever body under whatever name, as a version that has it would. */
function sealed(t: string, body: object, change: Plain = {}): Uint8Array {
  const by = crypto.publicKeyOf(nodeSeed);
  const rest = { t, v: 1, by, hlc: 1_000, net: NET, body, ...change };
  const input = Buffer.concat([encode(`shoal/record/1/${NET}/${t}`), encode(rest)]);
  return encode({ ...rest, sig: crypto.sign(nodeSeed, sha256(input)) });
}

const honest = (code: string): boolean => code !== 'ok' && !isSendersFault(code as WireCode);
const codeOf = (bytes: Uint8Array): string => {
  const decoded = envelopes.decode(bytes);
  return decoded.ok ? 'ok' : decoded.code;
};

/** The same with a field more in every map that is not signed. */
function enriched(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(enriched);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  const fields = Object.entries(value).map(([key, member]) => [key, enriched(member)]);
  return { ...Object.fromEntries(fields), zz: { later: [1, 'x', null] } };
}

/** These hold labels, a map with free keys: one key more is another fact. */
const FREE = new Set(['found', 'closed']);

test('a message with more fields, at any depth, is understood as far as it is known', () => {
  for (const [type, arbitrary] of Object.entries(messageArbitraries)) {
    if (FREE.has(type)) continue;
    fc.assert(
      fc.property(arbitrary as fc.Arbitrary<Message>, (message) => {
        const bytes = messages.encodeMessage(message);
        const read = messages.decodeMessage(encode(enriched(decode(bytes))));
        assert.ok(read.ok, JSON.stringify(read));
        assert.deepEqual(messages.encodeMessage(read.message), bytes, type);
      }),
      { numRuns: 20 },
    );
  }
});

test('a message with a kind of something that nobody here knows costs its sender nothing', () => {
  const job = one(bodyArbitraries.spec).job;
  const frames: readonly Plain[] = [
    { v: 1, type: 'sync', job },
    { v: 1, type: 'find', request: 'r', query: { type: 'history', job } },
  ];
  for (const frame of frames) {
    const read = messages.decodeMessage(encode(frame));
    assert.ok(!read.ok && read.code === 'unknown-type', JSON.stringify(read));
    assert.ok(honest(read.code));
  }
});

test('a refusal for a reason that nobody here knows is one, and a slot that nobody here has is no fault', () => {
  const job = one(bodyArbitraries.spec).job;
  const refusals = [{ code: 'draining' }, { code: 'too-hot', celsius: 90 }];
  const read = messages.decodeMessage(
    encode({ v: 1, type: 'decline', job, version: 1, round: 0, refusals }),
  );
  assert.ok(read.ok && read.message.type === 'decline', JSON.stringify(read));
  assert.deepEqual(read.message.refusals, [
    { code: 'draining' },
    { code: 'unsupported', feature: 'too-hot' },
  ]);
  const slots = ['version/2', 'accept/1/0'];
  assert.ok(messages.decodeMessage(encode({ v: 1, type: 'commit-ack', job, slots })).ok);
  const nothing = { v: 1, type: 'not-admitted', job, refusal: { code: 'No code' } };
  const wrong = messages.decodeMessage(encode(nothing));
  assert.ok(!wrong.ok);
});

test('an advert with more fields is believed as far as it is known, and passed on as it was signed', () => {
  const body = {
    ...one(bodyArbitraries.advert),
    node: suite.nodeOf(suite.owner),
    gpu: { cores: 7 },
  };
  const bytes = sealed('advert', body);
  const decoded = envelopes.decode(bytes);
  assert.ok(decoded.ok && decoded.record.type === 'advert', JSON.stringify(decoded));
  const { gpu: _, ...known } = body;
  assert.deepEqual(decoded.record.body, known);
  assert.ok(suite.verify(decoded.record));
  assert.deepEqual(Uint8Array.from(envelopes.encode(decoded.record)), Uint8Array.from(bytes));
  const message = { type: 'advert', advert: decoded.record } as const;
  const again = messages.decodeMessage(messages.encodeMessage(message));
  assert.ok(again.ok && again.message.type === 'advert' && suite.verify(again.message.advert));
});

test('features are names, and not more than versions will ever differ in', () => {
  const body = one(bodyArbitraries.advert);
  const code = (features: readonly unknown[]) => codeOf(sealed('advert', { ...body, features }));
  assert.equal(code(Array.from({ length: 32 }, (_, at) => `feature-${at}`)), 'ok');
  assert.equal(code(Array.from({ length: 33 }, (_, at) => `feature-${at}`)), 'bad-shape');
  assert.deepEqual([code(['']), code(['x'.repeat(33)]), code([1])], Array(3).fill('bad-shape'));
});

test('any other record with more fields is not believed in part, and costs its sender nothing', () => {
  for (const [type, arbitrary] of Object.entries(bodyArbitraries)) {
    if (type === 'advert') continue;
    // A command of an unknown kind has fields of its own.
    const body = { ...one<object>(arbitrary), ...(type === 'command' ? { command: 'stop' } : {}) };
    assert.equal(codeOf(sealed(type, body)), 'ok', type);
    assert.equal(codeOf(sealed(type, { ...body, provisional: true })), 'unknown-field', type);
    assert.ok(honest('unknown-field'));
  }
});

test('a command of an unknown kind is read with fields of its own, byte for byte', () => {
  const body = {
    ...one(bodyArbitraries.command),
    command: 'update',
    version: 2,
    spec: { cid: 'b' },
  };
  const bytes = sealed('command', body);
  const decoded = envelopes.decode(bytes);
  assert.ok(decoded.ok && decoded.record.type === 'command');
  assert.ok(suite.verify(decoded.record));
  assert.deepEqual(decoded.record.body, body);
  assert.equal(codeOf(sealed('command', { ...body, sequence: -1 })), 'bad-shape');
  assert.equal(codeOf(sealed('command', { ...body, command: 'no kind' })), 'bad-shape');
});

const { job } = one(bodyArbitraries.spec);
const opaqueOf = (bytes: Uint8Array): Opaque => {
  const decoded = envelopes.decodeOpaque(bytes);
  assert.ok(decoded.ok, JSON.stringify(decoded));
  return decoded.opaque;
};
const strangers = [
  sealed('tally', { job, enrolled: 3, nodes: ['a', 'b'] }),
  sealed('tally', { job, notAfter: 5_000 }),
  sealed('close', { ...one(bodyArbitraries.close), job, rolledBack: true }),
];

test('a record of a type or with a field that nobody here knows is verified, and comes back byte for byte', () => {
  const rows = createRowCodec({ net: NET, sha256 });
  for (const bytes of strangers) {
    const opaque = opaqueOf(bytes);
    assert.ok(suite.verifyOpaque(opaque));
    assert.deepEqual([opaque.job, Uint8Array.from(opaque.bytes)], [job, Uint8Array.from(bytes)]);
    const [packed] = suite.unpack(suite.pack([{ record: opaque, votes: [] }]));
    assert.deepEqual(packed?.record, opaque);
    const row = rows.records.encode({ record: opaque, votes: [] });
    assert.deepEqual(rows.records.decode(row)?.record, opaque);
  }
  assert.deepEqual(
    strangers.map((bytes) => opaqueOf(bytes).notAfter),
    [null, 5_000, null],
  );
});

test('a record that is not what its bytes say, or that somebody changed, does not verify', () => {
  const [bytes, other] = strangers;
  assert.ok(bytes !== undefined && other !== undefined);
  const opaque = opaqueOf(bytes);
  for (const change of [
    { kind: 'close' },
    { notAfter: 7 },
    { by: suite.owner },
    { job: asJobId(job.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'))) },
    { id: opaqueOf(other).id },
    { bytes: other },
    { bytes: bytes.slice(1) },
  ])
    assert.equal(suite.verifyOpaque({ ...opaque, ...change }), false, JSON.stringify(change));
  const forged = sealed('tally', { job }, { by: new Uint8Array(32).fill(9) });
  assert.equal(suite.verifyOpaque(opaqueOf(forged)), false);
});

test('a record that names no job, is large, not canonical or of another mesh, is none to keep', () => {
  const code = (bytes: Uint8Array): string => {
    const decoded = envelopes.decodeOpaque(bytes);
    return decoded.ok ? 'ok' : decoded.code;
  };
  assert.equal(code(sealed('tally', { enrolled: 3 })), 'bad-shape');
  assert.equal(code(sealed('tally', { job, notAfter: 'never' })), 'bad-shape');
  assert.equal(code(sealed('t'.repeat(65), { job })), 'bad-shape');
  assert.equal(code(sealed('tally', { job }, { net: 'other' })), 'wrong-net');
  assert.equal(code(sealed('tally', { job, text: 'x'.repeat(OPAQUE_MAX_BYTES) })), 'too-large');
});

test('such records travel with a job, and what is known among them is left to where it belongs', () => {
  const known = sealed('close', one(bodyArbitraries.close));
  const frame = { v: 1, type: 'commit', job, values: [], more: [...strangers, known] };
  const read = messages.decodeMessage(encode(frame));
  assert.ok(read.ok && read.message.type === 'commit', JSON.stringify(read));
  assert.deepEqual(read.message.more, strangers.map(opaqueOf));
  const again = messages.decodeMessage(messages.encodeMessage(read.message));
  assert.deepEqual(again, read);
});
