/** Laws of the frame codec. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeFrames, FrameTooLarge, frameParser } from '../../../../p2p/protocols/frames.ts';

const MAX = 5_000;

/** Cuts bytes at the given places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...new Set(places.map((place) => place % (bytes.byteLength + 1)))].sort(
    (a, b) => a - b,
  );
  return [...ends, bytes.byteLength].map((end, at) =>
    bytes.subarray(at === 0 ? 0 : ends[at - 1], end),
  );
}

test('frames come back the same however the stream is cut', () => {
  const frame = fc.uint8Array({ maxLength: MAX });
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 20 }),
      fc.array(fc.nat(), { maxLength: 30 }),
      (frames, places) => {
        const got: Buffer[] = [];
        const parser = frameParser(MAX, (one) => got.push(Buffer.from(one)));
        for (const piece of cut(encodeFrames(frames), places)) parser.take(piece);
        assert.deepEqual(
          got,
          frames.map((one) => Buffer.from(one)),
        );
      },
    ),
  );
});

test('a length above the limit is refused before anything is allocated for it', () => {
  fc.assert(
    fc.property(fc.integer({ min: MAX + 1, max: 0xffff_ffff }), (length) => {
      const header = Buffer.alloc(4);
      header.writeUInt32BE(length);
      const allocated: number[] = [];
      const parser = frameParser(
        MAX,
        () => assert.fail('no frame'),
        (size) => {
          allocated.push(size);
          return Buffer.alloc(size);
        },
      );
      assert.throws(() => parser.take(header), FrameTooLarge);
      assert.deepEqual(allocated, []);
    }),
  );
});

test('any bytes give frames or FrameTooLarge, never anything else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) => {
      const parser = frameParser(MAX, (one) => assert.ok(one.byteLength <= MAX));
      try {
        parser.take(bytes);
      } catch (error) {
        assert.ok(error instanceof FrameTooLarge);
      }
    }),
  );
});

test('a frame that has begun is known by the bytes set aside for it, until it is whole', () => {
  const parser = frameParser(MAX, () => {});
  const bytes = encodeFrames([Buffer.alloc(100)]);
  assert.equal(parser.unfinished(), 0);
  parser.take(bytes.subarray(0, 3));
  assert.equal(parser.unfinished(), 3);
  parser.take(bytes.subarray(3, 50));
  assert.equal(parser.unfinished(), 100);
  parser.take(bytes.subarray(50));
  assert.equal(parser.unfinished(), 0);
});
