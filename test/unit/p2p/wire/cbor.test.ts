import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeCanonical, decodeCbor, encodeCbor, NESTING_MAX } from '../../../../p2p/wire/cbor.ts';

const bytesOf = (hex: string): Uint8Array =>
  Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));

const codeOf = (hex: string): string => {
  const decoded = decodeCanonical(bytesOf(hex), 1_000);
  return decoded.ok ? 'ok' : decoded.code;
};

test('every JSON value has one encoding, which decodes to it', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const bytes = encodeCbor(value);
      const decoded = decodeCanonical(bytes, bytes.length);
      assert.ok(decoded.ok, JSON.stringify(decoded));
      assert.deepEqual(decoded.value, JSON.parse(JSON.stringify(value)));
    }),
  );
});

test('a text keeps the byte order marks that it begins with, as key and as value', () => {
  const texts = [
    '\ufeff',
    '\ufeffhello',
    '\ufeff\ufeff',
    'in\ufeffside',
    `\ufeff${'x'.repeat(300)}`,
  ];
  for (const text of texts) {
    const value = { [text]: [text, { a: text }], other: new Uint8Array([0xef, 0xbb, 0xbf]) };
    const bytes = encodeCbor(value);
    const decoded = decodeCanonical(bytes, bytes.length);
    assert.ok(decoded.ok, `${JSON.stringify(text)}: ${JSON.stringify(decoded)}`);
    assert.deepEqual(decoded.value, value);
  }
});

test('random bytes never throw, and what is accepted encodes to the same bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const decoded = decodeCanonical(bytes, 40);
      if (decoded.ok) assert.deepEqual(Uint8Array.from(encodeCbor(decoded.value)), bytes);
    }),
    { numRuns: 5_000 },
  );
});

test('encodings that are not the canonical one are refused', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['sorted keys', 'a2 6161 01 6162 02', 'ok'],
    ['unsorted keys', 'a2 6162 02 6161 01', 'not-canonical'],
    ['keys sorted by bytes before length', 'a2 626161 01 6162 02', 'not-canonical'],
    ['a key twice', 'a2 6161 01 6161 01', 'not-cbor'],
    ['64-bit float', 'fb 3ff8000000000000', 'ok'],
    ['32-bit float', 'fa 3fc00000', 'not-canonical'],
    ['16-bit float', 'f9 3e00', 'not-canonical'],
    ['a whole number as float', 'fb 3ff0000000000000', 'not-canonical'],
    ['not a number', 'fb 7ff8000000000000', 'not-cbor'],
    ['infinity', 'fb 7ff0000000000000', 'not-cbor'],
    ['undefined', 'f7', 'not-canonical'],
    ['a simple value', 'f8 20', 'not-canonical'],
    ['the smallest form of a number', '17', 'ok'],
    ['a longer form of a number', '18 17', 'not-cbor'],
    ['a longer form of a length', '78 01 61', 'not-cbor'],
    ['a list without end', '9f 01 ff', 'not-canonical'],
    ['a map without end', 'bf 6161 01 ff', 'not-canonical'],
    ['a text in pieces', '7f 6161 ff', 'not-canonical'],
    ['bytes in pieces', '5f 4101 ff', 'not-canonical'],
    ['a break on its own', 'ff', 'not-canonical'],
    ['something behind it', '01 01', 'not-canonical'],
    ['a tag', 'c1 01', 'bad-shape'],
    ['a link', 'd82a 45 0001550000', 'bad-shape'],
    ['a key that is no text', 'a1 01 01', 'not-cbor'],
    ['text that is not UTF-8', '62 c328', 'not-canonical'],
    ['a reserved length', '1c', 'not-cbor'],
    ['a number without end', '1f', 'not-cbor'],
    ['nothing', '', 'not-cbor'],
    ['a list cut short', '82 01', 'not-cbor'],
    ['a text cut short', '62 61', 'not-cbor'],
    ['a list of four billion', '9a ffffffff', 'not-cbor'],
    ['a list of 2^64 - 1', '9b ffffffffffffffff', 'not-cbor'],
    ['a map of 2^63', 'bb 8000000000000000', 'not-cbor'],
    ['a text of 2^64 - 1', '7b ffffffffffffffff', 'not-cbor'],
  ];
  for (const [name, hex, code] of cases) assert.equal(codeOf(hex), code, name);
});

test('nesting is counted before anything is built', () => {
  const nested = (levels: number) => Uint8Array.from([...Array<number>(levels).fill(0x81), 0x01]);
  assert.equal(decodeCanonical(nested(NESTING_MAX), 1_000).ok, true);
  const deeper = decodeCanonical(nested(NESTING_MAX + 1), 1_000);
  assert.deepEqual(deeper, { ok: false, code: 'too-deep', place: '' });
  const bomb = decodeCanonical(new Uint8Array(1_000_000).fill(0x81), 1_000_000);
  assert.deepEqual(bomb, { ok: false, code: 'too-deep', place: '' });
});

test('size is checked before anything else', () => {
  assert.deepEqual(decodeCbor(new Uint8Array(11), 10), { ok: false, code: 'too-large', place: '' });
});

/** A list of `count` times `item`, written by hand: the encoder would take as long as the decoder. */
function listOf(count: number, item: (index: number) => Uint8Array): Uint8Array {
  const head = Buffer.alloc(5, 0x9a);
  head.writeUInt32BE(count, 1);
  return Buffer.concat([head, ...Array.from({ length: count }, (_, index) => item(index))]);
}

const key = (index: number): string => index.toString(36).padStart(6, '0');

test('a frame that only costs work is refused before anything is built of it', () => {
  const mebibyte = 1 << 20;
  const frames: Record<string, Uint8Array> = {
    'a million empty maps': listOf(1_000_000, () => Uint8Array.of(0xa0)),
    'a million empty lists': listOf(1_000_000, () => Uint8Array.of(0x80)),
    'a million numbers': listOf(1_000_000, () => Uint8Array.of(1)),
    'a million empty texts': listOf(1_000_000, () => Uint8Array.of(0x60)),
    'numbers of eight bytes': listOf(100_000, () => bytesOf('1b 0fffffffffffffff')),
    'maps of one pair': listOf(250_000, () => bytesOf('a1 6161 00')),
    'bytes of one byte': listOf(500_000, () => bytesOf('41 00')),
    'maps whose key none before had': listOf(4_000, (index) => encodeCbor({ [key(index)]: 0 })),
    'a map of many keys': encodeCbor(
      Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [key(index), 0])),
    ),
  };
  for (const [name, bytes] of Object.entries(frames)) {
    assert.ok(bytes.length <= mebibyte + 8, name);
    const decoded = decodeCanonical(bytes, 2 * mebibyte);
    assert.equal(decoded.ok ? 'decoded' : decoded.code, 'too-many', name);
  }
});

test('a key that many maps share is weighed once, so that a list of a thousand jobs passes', () => {
  const job = (index: number) => ({
    ...Object.fromEntries(['job', 'name', 'state', 'engine'].map((field) => [field, key(index)])),
    ...Object.fromEntries(['count', 'version', 'namespace', 'jobType'].map((field) => [field, 1])),
    createdAt: 1_800_000_000_000 + index,
    modifiedAt: 1_800_000_000_001 + index,
    labels: { region: 'eu', team: key(index), stage: 'test', kind: 'night' },
  });
  const jobs = Array.from({ length: 1_000 }, (_, index) => job(index));
  assert.equal(decodeCanonical(encodeCbor({ jobs }), 1 << 20).ok, true);
});
