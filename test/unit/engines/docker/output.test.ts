import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { createDemultiplexer, openOutputFiles } from '../../../../src/engines/docker/output.ts';
import type { OutputFiles } from '../../../../src/engines/docker/output.ts';

let directory = '';
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'shoal-output-'));
});
after(() => rm(directory, { recursive: true, force: true }));

type Frame = readonly ['stdout' | 'stderr', string];

const encode = (frames: readonly Frame[]): Buffer =>
  Buffer.concat(
    frames.flatMap(([stream, text]) => {
      const header = Buffer.alloc(8);
      header[0] = stream === 'stdout' ? 1 : 2;
      header.writeUInt32BE(Buffer.byteLength(text), 4);
      return [header, Buffer.from(text)];
    }),
  );

const paths = (): [string, string] => [join(directory, 'stdout'), join(directory, 'stderr')];

async function written(files: OutputFiles): Promise<[string, string]> {
  await files.close();
  const [stdout, stderr] = paths();
  return [await readFile(stdout, 'utf8'), await readFile(stderr, 'utf8')];
}

test('frames come out whole and in order however the stream is cut', () => {
  const frame = fc.tuple(fc.constantFrom('stdout' as const, 'stderr' as const), fc.string());
  fc.assert(
    fc.property(fc.array(frame), fc.array(fc.integer({ min: 1, max: 9 })), (frames, cuts) => {
      const bytes = encode(frames);
      const demultiplex = createDemultiplexer();
      const got = { stdout: '', stderr: '' };
      for (let at = 0, index = 0; at < bytes.length; index += 1) {
        const size = cuts.length === 0 ? bytes.length : (cuts[index % cuts.length] ?? 1);
        for (const part of demultiplex(bytes.subarray(at, at + size))) {
          got[part.stream] += part.bytes.toString('latin1');
        }
        at += size;
      }
      const expected = { stdout: '', stderr: '' };
      for (const [stream, text] of frames) {
        expected[stream] += Buffer.from(text).toString('latin1');
      }
      assert.deepEqual(got, expected);
    }),
  );
});

test('each file is capped by itself and what does not fit is noticed', async () => {
  const files = await openOutputFiles(...paths(), 4);
  await files.copy(
    Readable.from([
      encode([
        ['stdout', 'abc'],
        ['stderr', 'x'],
      ]),
    ]),
  );
  assert.equal(files.dropped(), false);
  await files.copy(
    Readable.from([
      encode([
        ['stdout', 'def'],
        ['stdout', 'g'],
        ['stderr', 'y'],
      ]),
    ]),
  );
  assert.equal(files.dropped(), true);
  assert.equal(files.seenBytes(), 9);
  assert.equal(files.stderrHead(), 'xy');
  assert.deepEqual(await written(files), ['abcd', 'xy']);
});

test('a stream that repeats itself after a break adds only what is new', async () => {
  const files = await openOutputFiles(...paths(), 100);
  await files.copy(
    Readable.from([
      encode([
        ['stdout', 'one'],
        ['stderr', 'a'],
      ]),
    ]),
  );
  files.rewind();
  await files.copy(
    Readable.from([
      encode([
        ['stdout', 'on'],
        ['stdout', 'etwo'],
        ['stderr', 'ab'],
      ]),
    ]),
  );
  assert.deepEqual(await written(files), ['onetwo', 'ab']);
});

test('a stream that breaks off in the middle of a frame is its end, not a failure', async () => {
  const files = await openOutputFiles(...paths(), 100);
  async function* broken(): AsyncGenerator<Buffer> {
    yield encode([['stdout', 'abcdef']]).subarray(0, 11);
    throw new Error('connection reset');
  }
  await files.copy(Readable.from(broken()));
  assert.deepEqual(await written(files), ['abc', '']);
});

test('a file that cannot be written is a failure', async () => {
  const files = await openOutputFiles('/dev/full', join(directory, 'stderr'), 100);
  await assert.rejects(files.copy(Readable.from([encode([['stdout', 'x']])])), /ENOSPC/);
  await files.close();
});
