import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode as decodeAnyway, encode } from '@ipld/dag-cbor';
import fc from 'fast-check';
import {
  createEnvelopes,
  encodeBody,
  ENVELOPE_MAX_BYTES,
  wireHlc,
} from '../../../../p2p/wire/envelope.ts';
import { asHlc } from '../../../../src/core/record/ids.ts';
import type { AnyRecord } from '../../../../src/core/record/records.ts';
import { bodyArbitraries, hlcs, jobs, recordTypes } from './record-arbitraries.ts';
import { anyRecord, damage, envelopes, sha256, signed, suite } from './fixtures.ts';

const one = <T>(arbitrary: fc.Arbitrary<T>): T => {
  const [value] = fc.sample(arbitrary, { numRuns: 1, seed: 7 });
  assert.ok(value !== undefined);
  return value;
};

/** The same fact without the encoding that this process remembers for the object. */
const unremembered = (record: AnyRecord): AnyRecord => ({ ...record });

function recordOf(bytes: Uint8Array): AnyRecord {
  const decoded = envelopes.decode(bytes);
  assert.ok(decoded.ok, JSON.stringify(decoded));
  return decoded.record;
}

function codeOf(bytes: Uint8Array): string {
  const decoded = envelopes.decode(bytes);
  return decoded.ok ? 'ok' : decoded.code;
}

for (const type of recordTypes) {
  test(`a ${type} record comes back as it went, with the id of its bytes`, () => {
    fc.assert(
      fc.property(signed(type), (record) => {
        const bytes = envelopes.encode(record as AnyRecord);
        const back = recordOf(bytes);
        assert.deepEqual(back, { ...record, sig: Uint8Array.from(record.sig) });
        assert.equal(Buffer.from(sha256(bytes)).toString('hex'), record.id);
        assert.deepEqual(envelopes.encode(unremembered(back)), bytes, 'there is one encoding');
      }),
      { numRuns: 60 },
    );
  });
}

test('the envelope is the canonical encoding of all seven fields', () => {
  fc.assert(
    fc.property(anyRecord, (record) => {
      const bytes = envelopes.encode(record);
      assert.deepEqual(Uint8Array.from(encode(decodeAnyway(bytes))), Uint8Array.from(bytes));
      const fields = Object.keys(decodeAnyway<object>(bytes)).toSorted();
      assert.deepEqual(fields, ['body', 'by', 'hlc', 'net', 'sig', 't', 'v']);
    }),
    { numRuns: 60 },
  );
});

test('random bytes are refused and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.equal(envelopes.decode(bytes).ok, false);
    }),
    { numRuns: 2_000 },
  );
});

test('the same bytes are decoded once, and a damaged copy of them is still refused', () => {
  const record = one(signed('vote')) as AnyRecord;
  const bytes = envelopes.encode(record);
  const first = recordOf(Uint8Array.from(bytes));
  assert.equal(recordOf(Uint8Array.from(bytes)), first);
  const damaged = Uint8Array.from(bytes);
  damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) ^ 1;
  const again = envelopes.decode(damaged);
  assert.ok(!again.ok || again.record.id !== first.id);
});

test('records above 4 KiB are decoded anew each time, so that they cannot fill the memory', () => {
  const spec = fc
    .sample(signed('spec'), { numRuns: 500, seed: 7 })
    .map((record) => envelopes.encode(record as AnyRecord))
    .find((bytes) => bytes.length > 4_096);
  assert.ok(spec !== undefined, 'no spec of this seed is large enough');
  assert.notEqual(recordOf(Uint8Array.from(spec)), recordOf(Uint8Array.from(spec)));
  assert.deepEqual(recordOf(Uint8Array.from(spec)), recordOf(Uint8Array.from(spec)));
});

test('a damaged record is refused, or is another record with another id', () => {
  fc.assert(
    fc.property(
      anyRecord.chain((record) => fc.tuple(fc.constant(record), damage(envelopes.encode(record)))),
      ([record, bytes]) => {
        const decoded = envelopes.decode(bytes);
        if (!decoded.ok || Buffer.compare(bytes, envelopes.encode(record)) === 0) return;
        assert.notEqual(decoded.record.id, record.id);
        assert.equal(suite.verify(decoded.record), false);
        assert.deepEqual(envelopes.encode(unremembered(decoded.record)), bytes);
      },
    ),
    { numRuns: 1_500 },
  );
});

test('what arrives in a larger buffer is kept as a copy of its own', () => {
  const record = one(signed('grant')) as AnyRecord;
  const bytes = envelopes.encode(record);
  const frame = new Uint8Array(bytes.length + 100);
  frame.set(bytes, 50);
  const back = recordOf(frame.subarray(50, 50 + bytes.length));
  frame.fill(0);
  assert.deepEqual(envelopes.encode(back), bytes);
  assert.deepEqual(Uint8Array.from(back.sig), Uint8Array.from(record.sig));
});

/** The fields of a valid grant, to be changed one by one. */
function fieldsOf(record: AnyRecord): Record<string, unknown> {
  return decodeAnyway(envelopes.encode(record));
}

test('each field that is wrong has its code', () => {
  const fields = fieldsOf(one(signed('grant')) as AnyRecord);
  const body = fields['body'] as Record<string, unknown>;
  const cases: readonly (readonly [string, string, Record<string, unknown>])[] = [
    ['another mesh', 'wrong-net', { ...fields, net: 'other' }],
    ['a mesh that is no text', 'bad-shape', { ...fields, net: 1 }],
    ['another version', 'wrong-version', { ...fields, v: 2 }],
    ['an unknown type', 'unknown-type', { ...fields, t: 'tombstone' }],
    ['a type that objects inherit', 'unknown-type', { ...fields, t: 'constructor' }],
    ['a type that is no text', 'bad-shape', { ...fields, t: 3 }],
    ['a short key', 'bad-shape', { ...fields, by: new Uint8Array(31) }],
    ['a key as text', 'bad-shape', { ...fields, by: 'aa'.repeat(32) }],
    ['a short signature', 'bad-shape', { ...fields, sig: new Uint8Array(63) }],
    ['a time with a fraction', 'bad-shape', { ...fields, hlc: 1.5 }],
    ['a time before 1970', 'bad-shape', { ...fields, hlc: -1 }],
    ['a time beyond what survives', 'bad-shape', { ...fields, hlc: 2 ** 42 * 1_000 }],
    ['an unknown field', 'bad-shape', { ...fields, extra: 1 }],
    [
      'a field in place of another',
      'bad-shape',
      {
        t: fields['t'],
        v: 1,
        by: fields['by'],
        net: fields['net'],
        hlc: 1,
        sig: fields['sig'],
        boddy: body,
      },
    ],
    ['an unknown field in the body', 'unknown-field', { ...fields, body: { ...body, extra: 1 } }],
    ['a field missing in the body', 'bad-shape', { ...fields, body: { job: body['job'] } }],
    [
      'a field exchanged in the body',
      'bad-shape',
      { ...fields, body: { job: body['job'], toString: 1 } },
    ],
    ['a body that is a list', 'bad-shape', { ...fields, body: [] }],
    ['a body that is missing', 'bad-shape', { ...fields, body: null }],
  ];
  assert.equal(codeOf(encode(fields)), 'ok');
  for (const [name, code, changed] of cases) assert.equal(codeOf(encode(changed)), code, name);
});

test('a record over 64 KiB is refused, whether it arrives or is about to be signed', () => {
  assert.equal(codeOf(new Uint8Array(ENVELOPE_MAX_BYTES + 1)), 'too-large');
  const body = one(bodyArbitraries.spec);
  const Env = { LARGE: 'x'.repeat(65_000) };
  const encoded = encodeBody('spec', {
    ...body,
    spec: { ...body.spec, Task: { ...body.spec.Task, Env } },
  });
  assert.deepEqual(encoded, { ok: false, code: 'too-large', place: '' });
});

test('a spec that nests too deeply, or that would become a link, cannot be signed', () => {
  const body = one(bodyArbitraries.spec);
  const job = one(jobs);
  const withParams = (Params: Record<string, never>) => ({
    ...body,
    spec: { ...job, Task: { ...job.Task, Engine: { Type: 'docker', Params } } },
  });
  let deep: unknown = 1;
  for (let level = 0; level < 11; level += 1) deep = [deep];
  assert.equal(encodeBody('spec', withParams({ deep } as never)).ok, false);
  deep = (deep as unknown[])[0];
  assert.equal(encodeBody('spec', withParams({ deep } as never)).ok, true, 'one level less fits');
  for (let level = 0; level < 50_000; level += 1) deep = [deep];
  assert.equal(encodeBody('spec', withParams({ deep } as never)).ok, false, 'far too deep');
  const link = { '/': 'x', bytes: 'x' };
  assert.equal(encodeBody('spec', withParams({ link } as never)).ok, false, 'link in parameters');
  const labelled = { ...body, spec: { ...job, Labels: link } };
  assert.equal(encodeBody('spec', labelled).ok, false, 'link in labels');
});

test('a map that looks like a link is refused on arrival without throwing', () => {
  const fields = fieldsOf(one(signed('advert')) as AnyRecord);
  const bytes = encode({
    ...fields,
    body: { ...(fields['body'] as object), labels: { '/': 'x', bytez: 'x' } },
  });
  // The encoder would not write it, so the key is made by hand: `bytez` becomes `bytes`.
  const at = Buffer.from(bytes).indexOf('bytez');
  bytes[at + 4] = 's'.charCodeAt(0);
  assert.equal(codeOf(bytes), 'bad-shape');
});

test('keys that objects treat specially survive', () => {
  const body = one(bodyArbitraries.advert);
  const labels = JSON.parse('{"__proto__":"a","constructor":"b"}') as Record<string, string>;
  const record = suite.seal('advert', { ...body, labels }, asHlc(1), 'node') as AnyRecord;
  const back = recordOf(envelopes.encode(record));
  assert.equal(back.type, 'advert');
  assert.deepEqual(Object.entries((back.body as typeof body).labels).toSorted(), [
    ['__proto__', 'a'],
    ['constructor', 'b'],
  ]);
  assert.equal(suite.verify(back), true);
});

test('a time is the same on both ends', () => {
  fc.assert(fc.property(hlcs, (hlc) => assert.equal(wireHlc(hlc), hlc)));
  // Thousandths added one after another in floating point.
  let hlc = 1_800_000_000_000;
  for (let count = 0; count < 10; count += 1) hlc += 0.001;
  assert.equal(wireHlc(asHlc(hlc)), 1_800_000_000_000.01);
});

test('the same fact has other bytes to sign in another mesh', () => {
  const other = createEnvelopes({ net: 'other', sha256 });
  const record = one(signed('grant')) as AnyRecord;
  assert.notDeepEqual(other.signingInputOf(record), envelopes.signingInputOf(record));
  assert.notDeepEqual(other.encode(record), envelopes.encode(record));
  assert.deepEqual(envelopes.encode(record), envelopes.encode(unremembered(record)));
});
