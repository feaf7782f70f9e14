import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import fc from 'fast-check';
import { encodeBody } from '../../../../p2p/wire/envelope.ts';
import { createRecent } from '../../../../p2p/wire/recent.ts';
import { createSuite } from '../../../../p2p/wire/suite.ts';
import { asPublicKey } from '../../../../src/core/record/ids.ts';
import type { AnyRecord } from '../../../../src/core/record/records.ts';
import { bodyArbitraries, hlcs } from './record-arbitraries.ts';
import {
  anyRecord,
  crypto,
  envelopes,
  NET,
  nodeSeed,
  ownerSeed,
  signed,
  suite,
} from './fixtures.ts';

const fresh = (overrides: Partial<Parameters<typeof createSuite>[0]> = {}) =>
  createSuite({ net: NET, nodeSeed, ownerSeed, crypto, ...overrides });

const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 });

test('a sealed record is valid to everyone in the mesh, by object and by bytes', () => {
  fc.assert(
    fc.property(anyRecord, (record) => {
      assert.equal(suite.verify(record), true);
      assert.equal(fresh().verify(record), true);
      const decoded = envelopes.decode(envelopes.encode(record));
      assert.ok(decoded.ok && fresh().verify(decoded.record));
    }),
    { numRuns: 40 },
  );
});

test('sealing the same body twice gives the same record', () => {
  fc.assert(
    fc.property(bodyArbitraries.state, hlcs, (body, hlc) => {
      assert.deepEqual(
        fresh().seal('state', body, hlc, 'node'),
        fresh().seal('state', body, hlc, 'node'),
      );
    }),
    { numRuns: 20 },
  );
});

test('no part of a valid record can be exchanged', () => {
  fc.assert(
    fc.property(signed('assign'), signed('assign'), (one, other) => {
      fc.pre(one.id !== other.id && one.body.attempt !== other.body.attempt);
      const forgeries: readonly AnyRecord[] = [
        { ...one, body: other.body },
        { ...one, hlc: other.hlc === one.hlc ? ((one.hlc + 1) as typeof one.hlc) : other.hlc },
        { ...one, sig: other.sig },
        { ...one, by: suite.owner },
        { ...one, id: other.id },
        { ...one, sig: one.sig.map((byte, at) => (at === 5 ? byte ^ 1 : byte)) },
        { ...one, sig: one.sig.subarray(1) },
        { ...one, by: asPublicKey('zz') },
        { ...one, body: undefined } as never,
      ];
      for (const [at, forgery] of forgeries.entries()) {
        assert.equal(suite.verify(forgery), false, `forgery ${at}`);
      }
      assert.equal(suite.verify(one), true);
    }),
    { numRuns: 30 },
  );
});

test('a record whose id is right is still invalid under a signature of someone else', () => {
  fc.assert(
    fc.property(
      bodyArbitraries.command,
      hlcs,
      fc.constantFrom('node', 'random'),
      (body, hlc, who) => {
        const encoded = encodeBody('command', body);
        assert.ok(encoded.ok);
        const heading = { type: 'command', by: suite.owner, hlc } as const;
        const digest = crypto.sha256(envelopes.signingInput(heading, encoded.bytes));
        const wrong = who === 'node' ? crypto.sign(nodeSeed, digest) : new Uint8Array(64).fill(7);
        const forged = envelopes.assemble(heading, body, encoded.bytes, wrong);
        assert.equal(suite.verify(forged), false);
        const right = envelopes.assemble(
          heading,
          body,
          encoded.bytes,
          crypto.sign(ownerSeed, digest),
        );
        assert.equal(suite.verify(right), true);
      },
    ),
    { numRuns: 20 },
  );
});

test('a forged id with a forged body does not pass on the memory of the true one', () => {
  const [record] = fc.sample(signed('grant'), 1);
  const [other] = fc.sample(bodyArbitraries.grant, { numRuns: 1, seed: 3 });
  assert.ok(record !== undefined && other !== undefined);
  const reader = fresh();
  assert.equal(reader.verify(record), true);
  assert.equal(reader.verify({ ...record, body: other }), false);
});

test('a signature says nothing in another mesh', () => {
  const other = fresh({ net: 'other' });
  fc.assert(
    fc.property(anyRecord, (record) => assert.equal(other.verify(record), false)),
    { numRuns: 20 },
  );
});

test('a signature under one record type says nothing under another with the same body', () => {
  const [body] = fc.sample(bodyArbitraries.grant, 1);
  const [hlc] = fc.sample(hlcs, 1);
  assert.ok(body !== undefined && hlc !== undefined);
  const grant = suite.seal('grant', body, hlc, 'node');
  assert.equal(suite.verify({ ...grant, type: 'assign' } as never), false);
});

test('a record is verified once, however often and in whatever objects it comes', () => {
  let verifications = 0;
  const counting = fresh({
    nodeSeed: createHash('sha256').update('reader').digest(),
    crypto: {
      ...crypto,
      verify(key, message, signature) {
        verifications += 1;
        return crypto.verify(key, message, signature);
      },
    },
  });
  const [record] = fc.sample(signed('vote'), 1);
  assert.ok(record !== undefined);
  for (let time = 0; time < 3; time += 1) {
    assert.equal(counting.verify(record), true);
    assert.equal(counting.verify({ ...record }), true);
    const decoded = envelopes.decode(envelopes.encode(record));
    assert.ok(decoded.ok && counting.verify(decoded.record));
  }
  assert.equal(verifications, 1);
});

test('what cannot be carried is not signed', () => {
  const [body] = fc.sample(bodyArbitraries.grant, 1);
  const [hlc] = fc.sample(hlcs, 1);
  assert.ok(body !== undefined && hlc !== undefined);
  const wrong = { ...body, more: 1 };
  assert.throws(() => suite.seal('grant', wrong, hlc, 'node'), { name: 'ShoalError' });
});

test('a node is named as libp2p names the peer with its key', () => {
  return fc.assert(
    fc.asyncProperty(seeds, async (seed) => {
      const key = await generateKeyPairFromSeed('Ed25519', seed);
      const raw = crypto.publicKeyOf(seed);
      assert.deepEqual(Buffer.from(raw), Buffer.from(key.publicKey.raw));
      const name = suite.nodeOf(asPublicKey(Buffer.from(raw).toString('hex')));
      assert.equal(name, peerIdFromPrivateKey(key).toString());
    }),
    { numRuns: 30 },
  );
});

test('signatures are those that libp2p makes and takes', () => {
  return fc.assert(
    fc.asyncProperty(seeds, fc.uint8Array(), async (seed, message) => {
      const key = await generateKeyPairFromSeed('Ed25519', seed);
      const ours = crypto.sign(seed, message);
      assert.deepEqual(Buffer.from(ours), Buffer.from(await key.sign(message)));
      assert.equal(crypto.verify(key.publicKey.raw, message, ours), true);
    }),
    { numRuns: 20 },
  );
});

test('malformed keys and signatures are invalid and never throw', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 40 }),
      seeds,
      fc.uint8Array({ maxLength: 70 }),
      (short, key, sig) => {
        assert.equal(crypto.verify(short, key, sig), false);
        assert.equal(crypto.verify(key, short, sig), false);
      },
    ),
  );
});

test('texts are hashed as UTF-8', () => {
  assert.equal(suite.hash('schön'), createHash('sha256').update('schön', 'utf8').digest('hex'));
});

test('a bounded memory forgets what was used longest ago', () => {
  const recent = createRecent<string, number>(2);
  recent.set('a', 1);
  recent.set('b', 2);
  assert.equal(recent.get('a'), 1);
  recent.set('c', 3);
  assert.deepEqual(
    [recent.get('a'), recent.get('b'), recent.get('c'), recent.size],
    [1, undefined, 3, 2],
  );
});
