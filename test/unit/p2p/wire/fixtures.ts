/** The mesh, keys and codecs that the wire tests share. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { createEnvelopes } from '../../../../p2p/wire/envelope.ts';
import { createMessageCodec } from '../../../../p2p/wire/messages.ts';
import { createSuite } from '../../../../p2p/wire/suite.ts';
import type { AnyRecord, Bodies, RecordType, Signed } from '../../../../src/core/record/records.ts';
import { createCrypto } from '../../../../src/store/crypto.ts';
import { bodyArbitraries, hlcs } from './record-arbitraries.ts';

export const NET = 'test';
export const crypto = createCrypto();
export const { sha256 } = crypto;
export const nodeSeed = createHash('sha256').update('node').digest();
export const ownerSeed = createHash('sha256').update('owner').digest();
export const envelopes = createEnvelopes({ net: NET, sha256 });
export const messages = createMessageCodec({ net: NET, sha256 });
export const suite = createSuite({ net: NET, nodeSeed, ownerSeed, crypto });

/** Really signed records of one type. */
export const signed = <T extends RecordType>(type: T): Arbitrary<Signed<T>> =>
  fc
    .record({ body: bodyArbitraries[type] as Arbitrary<Bodies[T]>, hlc: hlcs })
    .map(({ body, hlc }) =>
      suite.seal(type, body, hlc, type === 'spec' || type === 'command' ? 'owner' : 'node'),
    );

export const anyRecord: Arbitrary<AnyRecord> = fc
  .constantFrom(...(Object.keys(bodyArbitraries) as RecordType[]))
  .chain((type) => signed(type) as Arbitrary<AnyRecord>);

/** Any way in which a few bytes of a valid encoding can be damaged. */
export const damage = (bytes: Uint8Array): Arbitrary<Uint8Array> =>
  fc.oneof(
    fc
      .array(fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 })), {
        minLength: 1,
        maxLength: 4,
      })
      .map((changes) => {
        const copy = Uint8Array.from(bytes);
        for (const [at, change] of changes) copy[at] = (copy[at] ?? 0) ^ change;
        return copy;
      }),
    fc.nat(bytes.length - 1).map((length) => bytes.slice(0, length)),
    fc
      .uint8Array({ minLength: 1, maxLength: 8 })
      .map((more) => Uint8Array.from([...bytes, ...more])),
    fc
      .nat(bytes.length - 1)
      .map((at) => Uint8Array.from([...bytes.slice(0, at), ...bytes.slice(at + 1)])),
  );
