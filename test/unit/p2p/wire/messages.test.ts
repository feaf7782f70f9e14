import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode as decodeAnyway, encode } from '@ipld/dag-cbor';
import fc from 'fast-check';
import {
  createMessageCodec,
  GOSSIP_MAX_BYTES,
  MESSAGE_MAX_BYTES,
} from '../../../../p2p/wire/messages.ts';
import { createSuite } from '../../../../p2p/wire/suite.ts';
import { asExecutionId, asHlc, asJobId, asStoreId } from '../../../../src/core/record/ids.ts';
import { DEFAULT_LIMITS } from '../../../../src/core/contract/limits.ts';
import type { Gossip, Message } from '../../../../src/core/contract/messages.ts';
import type { Signed } from '../../../../src/core/record/records.ts';
import { jobWith } from '../../core/fixtures.ts';
import { anyRecord, crypto, damage, envelopes, messages, NET, sha256, signed } from './fixtures.ts';
import { gossipArbitraries, messageArbitraries } from './message-arbitraries.ts';

/** Signatures are views of larger arrays on one side and Buffers on the other; only bytes count. */
const comparable = (value: unknown): string =>
  JSON.stringify(value, (_, member: unknown) =>
    member instanceof Uint8Array ? Buffer.from(member).toString('hex') : member,
  );

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => [k, sorted(v)]),
  );
};

function assertSame(actual: unknown, expected: unknown): void {
  const plain = (value: unknown): unknown => sorted(JSON.parse(comparable(value)));
  assert.deepEqual(plain(actual), plain(expected));
}

const anyMessage: fc.Arbitrary<Message> = fc.oneof(
  ...Object.values<fc.Arbitrary<Message>>(messageArbitraries),
);

for (const [type, arbitrary] of Object.entries<fc.Arbitrary<Message>>(messageArbitraries)) {
  test(`a ${type} message comes back as it went, and has one encoding`, () => {
    fc.assert(
      fc.property(arbitrary, (message) => {
        const bytes = messages.encodeMessage(message);
        const decoded = messages.decodeMessage(bytes);
        assert.ok(decoded.ok, JSON.stringify(decoded));
        assertSame(decoded.message, message);
        assert.deepEqual(messages.encodeMessage(decoded.message), bytes);
      }),
      { numRuns: 15 },
    );
  });
}

for (const [type, arbitrary] of Object.entries<fc.Arbitrary<Gossip>>(gossipArbitraries)) {
  test(`gossip of type ${type} comes back as it went`, () => {
    fc.assert(
      fc.property(arbitrary, (gossip) => {
        const decoded = messages.decodeGossip(messages.encodeGossip(gossip));
        assert.ok(decoded.ok, JSON.stringify(decoded));
        assertSame(decoded.gossip, gossip);
      }),
      { numRuns: 25 },
    );
  });
}

test('random bytes are refused and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.equal(messages.decodeMessage(bytes).ok, false);
      assert.equal(messages.decodeGossip(bytes).ok, false);
    }),
    { numRuns: 2_000 },
  );
});

test('any CBOR value that is no message is refused and never throws', () => {
  fc.assert(
    fc.property(
      fc.jsonValue(),
      fc.constantFrom(...Object.keys(messageArbitraries)),
      (value, type) => {
        assert.equal(messages.decodeMessage(encode(value)).ok, false);
        const framed = typeof value === 'object' && !Array.isArray(value) ? value : { job: value };
        const decoded = messages.decodeMessage(encode({ ...framed, type, v: 1 }));
        assert.ok(!decoded.ok && decoded.code === 'bad-shape', JSON.stringify(decoded));
      },
    ),
    { numRuns: 500 },
  );
});

/** A damaged code of a refusal looks like one of a later version. */
const READ_AS_LATER = Uint8Array.from(
  messages.encodeMessage({
    type: 'not-admitted',
    job: asJobId('j-3fb8575b-033b-88fb-9930-c1e2438c9a7b'),
    refusal: { code: 'expired' },
  }),
  (byte) => (byte === 'x'.charCodeAt(0) ? 'y'.charCodeAt(0) : byte),
);

test('a damaged message is refused, or read as another message, which travels as what was read', () => {
  fc.assert(
    fc.property(
      anyMessage.chain((message) => damage(messages.encodeMessage(message))),
      (bytes) => {
        const decoded = messages.decodeMessage(bytes);
        if (!decoded.ok) return;
        // What a later version might have said is left out.
        const again = messages.decodeMessage(messages.encodeMessage(decoded.message));
        assert.deepEqual(again, decoded);
      },
    ),
    { numRuns: 600, examples: [[READ_AS_LATER]] },
  );
});

test('a record travels as the bytes that were signed', () => {
  fc.assert(
    fc.property(signed('spec'), (spec) => {
      const frame: { spec: Uint8Array } = decodeAnyway(
        messages.encodeMessage({ type: 'spec', spec }),
      );
      assert.deepEqual(Buffer.from(frame.spec), Buffer.from(envelopes.encode(spec)));
    }),
    { numRuns: 20 },
  );
});

const codeOf = (value: unknown): string => {
  const decoded = messages.decodeMessage(encode(value));
  return decoded.ok ? 'ok' : decoded.code;
};

test('each way in which a frame is wrong has its code', () => {
  const job = asJobId('j-00000000-0000-8000-8000-000000000000');
  const execution = asExecutionId('e-00000000-0000-8000-8000-000000000000');
  const cases: readonly (readonly [string, string, unknown])[] = [
    ['a message', 'ok', { v: 1, type: 'ping', nonce: 1 }],
    ['a later version', 'wrong-version', { v: 2, type: 'ping', nonce: 1 }],
    ['no version', 'bad-shape', { type: 'ping', nonce: 1 }],
    ['an unknown type', 'unknown-type', { v: 1, type: 'sync', nonce: 1 }],
    ['a type that objects inherit', 'unknown-type', { v: 1, type: 'toString' }],
    ['a type that is no text', 'bad-shape', { v: 1, type: 1 }],
    [
      'an unknown name',
      'unknown-type',
      { v: 1, type: 'replicated', job, execution, cid: 'bafybeigdyrzt5', outcome: 'sold' },
    ],
    ['a missing field', 'bad-shape', { v: 1, type: 'ping' }],
    ['a field of another type', 'bad-shape', { v: 1, type: 'ping', nonce: '1' }],
    ['a number with a fraction', 'bad-shape', { v: 1, type: 'ping', nonce: 0.5 }],
    ['a number beyond 2^53', 'bad-shape', { v: 1, type: 'ping', nonce: 2n ** 60n }],
    ['no map', 'bad-shape', [1, 'ping', 1]],
    ['an execution id for a job id', 'bad-shape', { v: 1, type: 'job-wanted', job: execution }],
    ['a short id', 'bad-shape', { v: 1, type: 'job-wanted', job: job.slice(0, 10) }],
    ['a record that is none', 'not-cbor', { v: 1, type: 'spec', spec: new Uint8Array(0) }],
    ['a record as a map', 'bad-shape', { v: 1, type: 'spec', spec: {} }],
    [
      'a slot with a leading zero',
      'bad-shape',
      { v: 1, type: 'commit-ack', job, slots: ['accept/01'] },
    ],
    ['too many jobs', 'bad-shape', { v: 1, type: 'status-wanted', jobs: Array(257).fill(job) }],
  ];
  for (const [name, code, value] of cases) assert.equal(codeOf(value), code, name);
});

test('a record of another mesh or of another type is refused inside a message', () => {
  const [grant] = fc.sample(signed('grant'), 1);
  const [spec] = fc.sample(signed('spec'), 1);
  assert.ok(grant !== undefined && spec !== undefined);
  assert.equal(codeOf({ v: 1, type: 'spec', spec: envelopes.encode(grant) }), 'bad-shape');
  const elsewhere = createMessageCodec({ net: 'other', sha256 });
  const refusal = elsewhere.decodeMessage(messages.encodeMessage({ type: 'spec', spec }));
  assert.deepEqual(refusal, { ok: false, code: 'wrong-net', place: 'spec.spec.net' });
});

test('frames over the limit are refused unread', () => {
  const message = messages.decodeMessage(new Uint8Array(MESSAGE_MAX_BYTES + 1));
  assert.ok(!message.ok && message.code === 'too-large');
  const gossip = messages.decodeGossip(new Uint8Array(GOSSIP_MAX_BYTES + 1));
  assert.ok(!gossip.ok && gossip.code === 'too-large');
});

test('gossip may cost less work than a message, because it never is a long list', () => {
  const value = { v: 1, type: 'ping', nonce: Array(8_192).fill(1) };
  const bytes = encode(value);
  assert.ok(bytes.length < GOSSIP_MAX_BYTES);
  const [gossip, message] = [messages.decodeGossip(bytes), messages.decodeMessage(bytes)];
  assert.ok(!gossip.ok && gossip.code === 'too-many');
  assert.ok(!message.ok && message.code === 'bad-shape');
});

const at = asHlc(1_800_000_000_000);
const job = asJobId('j-00000000-0000-8000-8000-000000000000');
const stop = { job, sequence: 1, command: 'stop', reason: '', notAfter: 0 } as const;

test('an announcement fits gossip with the largest spec that travels in it and all its proofs', () => {
  const suites = Array.from({ length: 5 }, (_, index) =>
    createSuite({
      net: NET,
      nodeSeed: sha256(`node ${index}`),
      ownerSeed: sha256('owner'),
      crypto,
    }),
  );
  const nodes = suites.map((one) => one.nodeOf(one.seal('command', stop, at, 'node').by));
  const store = asStoreId('e'.repeat(32));
  const keepers = nodes.map((node) => ({ node, store }));
  const [leader = assert.fail('a node')] = nodes;
  const epoch = { config: { major: 0, minor: 0 }, number: 1_000_000, leader };
  const certify = <T extends 'admission' | 'grant'>(record: Signed<T>) => ({
    record,
    votes: suites.map((one) =>
      one.seal('vote', { job, of: record.id, slot: 'admission', epoch, store }, at, 'node'),
    ),
  });
  const [signer = assert.fail('a suite')] = suites;
  const [drawn = assert.fail('a spec')] = fc.sample(signed('spec'), 1);
  const text = 'x'.repeat(DEFAULT_LIMITS.announceSpecMaxBytes - 2_000);
  const large = { ...jobWith(), Meta: { text } };
  assert.ok(JSON.stringify(large).length <= DEFAULT_LIMITS.announceSpecMaxBytes);
  const spec = signer.seal(
    'spec',
    { ...drawn.body, job, sponsor: leader, spec: large },
    at,
    'owner',
  );
  const of = { job, version: 1, spec: spec.id, keepers, sponsor: leader };
  const gossip: Gossip = {
    type: 'announce',
    announcement: {
      job,
      version: 1,
      leader,
      admission: certify(signer.seal('admission', of, at, 'node')),
      grant: certify(signer.seal('grant', { job, epoch }, at, 'node')),
      round: 1,
      need: 10_000,
      spec,
      notAgain: Array.from({ length: 64 }, () => leader),
    },
  };
  const bytes = messages.encodeGossip(gossip);
  assert.ok(bytes.length < GOSSIP_MAX_BYTES, `${bytes.length} bytes`);
  assert.ok(messages.decodeGossip(bytes).ok);
});

test('gossip is no message and a message is no gossip, unless they share a name and a form', () => {
  fc.assert(
    fc.property(gossipArbitraries.announce, messageArbitraries.bid, (gossip, message) => {
      assert.equal(messages.decodeMessage(messages.encodeGossip(gossip)).ok, false);
      assert.equal(messages.decodeGossip(messages.encodeMessage(message)).ok, false);
    }),
    { numRuns: 10 },
  );
});

test('every record can be encoded again from its parts alone', () => {
  fc.assert(
    fc.property(anyRecord, (record) => {
      assert.deepEqual(envelopes.encode({ ...record }), envelopes.encode(record));
    }),
    { numRuns: 50 },
  );
});
