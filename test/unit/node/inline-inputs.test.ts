/** Inline inputs of a submission that are too large for its record. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { encodeDataUrl } from '../../../src/job/inline.ts';
import { parseJobValue } from '../../../src/job/parse.ts';
import type { Job } from '../../../src/job/model.ts';
import { moveLargeInputs } from '../../../src/node/inline-inputs.ts';
import { specBytes } from '../../../src/node/open.ts';
import { encodeTar } from '../../../src/lib/tar-stream.ts';

const spoolDir = await mkdtemp(join(tmpdir(), 'shoal-inline-'));
after(() => rm(spoolDir, { recursive: true, force: true }));

/** Bytes that no compression makes less of, always the same. */
function noise(bytes: number): Buffer {
  let seed = 1;
  return Buffer.from(
    Array.from({ length: bytes }, () => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return seed >>> 24;
    }),
  );
}

async function tarOf(path: string, data: Buffer): Promise<Buffer> {
  const items = (async function* () {
    const bytes = (async function* () {
      yield data;
    })();
    yield { path, kind: 'file' as const, bytes: data.length, data: bytes };
  })();
  return buffer(encodeTar(items));
}

function jobWith(...urls: readonly string[]): Job {
  const parsed = parseJobValue({
    Type: 'batch',
    Tasks: [
      {
        Name: 'main',
        Engine: { Type: 'wasm', Params: { EntryModule: '/in/0' } },
        InputSources: urls.map((URL, at) => ({
          Source: { Type: 'inline', Params: { URL } },
          Target: `/in/${at}`,
        })),
      },
    ],
  });
  return parsed.ok ? parsed.job : assert.fail(JSON.stringify(parsed.problems));
}

/** The inputs as they travel, what was added as content, and what was said of it. */
async function moved(job: Job, maxBytes = 10_000_000) {
  const added: Record<string, string | readonly string[]>[] = [];
  const warnings: string[] = [];
  const content = {
    add: async (path: string) => {
      const names = await readdir(path).catch(() => null);
      const files = names === null ? [['', path]] : names.map((name) => [name, join(path, name)]);
      const tree: Record<string, string> = {};
      for (const [name = '', file = ''] of files) tree[name] = await readFile(file, 'latin1');
      added.push(tree);
      return { cid: `bafy${added.length}`, bytes: 0, dropped: [] };
    },
  };
  const { Task } = await moveLargeInputs({ content, spoolDir, maxBytes }, job, warnings);
  return { sources: Task.InputSources.map(({ Source }) => Source), added, warnings };
}

test('a module of 183 KB in a compressed archive becomes a tree of its own, and the spec fits its record', async () => {
  const module = noise(183_000);
  const archive = gzipSync(await tarOf('big.wasm', module));
  const job = jobWith(encodeDataUrl(archive, 'application/gzip'));
  assert.ok(specBytes(job, 60_000) > 60_000);
  const { sources, added, warnings } = await moved(job);
  assert.deepEqual(sources, [{ Type: 'ipfs', Params: { CID: 'bafy1' } }]);
  assert.deepEqual(added, [{ 'big.wasm': module.toString('latin1') }]);
  assert.deepEqual(warnings, [
    'The inline input for /in/0 (unpacked, 183000 bytes) travels as bafy1.',
  ]);
  assert.deepEqual(await readdir(spoolDir), [], 'nothing is left behind');
});

test('a large file stays the file that it is, compressed or not', async () => {
  for (const bytes of [noise(9_000), gzipSync(noise(9_000))]) {
    const { sources, added } = await moved(jobWith(encodeDataUrl(bytes)));
    assert.equal(sources[0]?.Type, 'ipfs');
    assert.deepEqual(added, [{ '': bytes.toString('latin1') }]);
  }
});

test('small inputs stay in the spec, unless together they are too large for it', async () => {
  const small = encodeDataUrl(noise(5_000));
  assert.deepEqual((await moved(jobWith(small, small))).added, []);
  const many = Array.from({ length: 12 }, () => small);
  const { sources, added } = await moved(jobWith(...many, 'data:,x'));
  assert.equal(added.length, 12);
  assert.equal(sources.at(-1)?.Type, 'inline', 'what is smaller than a CID stays');
});

test('one that unpacks to more than is allowed, or is damaged, is refused with its target', async () => {
  const bomb = gzipSync(await tarOf('zeros', Buffer.alloc(20_000_000)));
  const random = gzipSync(await tarOf('noise', noise(20_000)));
  const cases: readonly (readonly [Uint8Array, RegExp])[] = [
    [bomb, /The inline input for \/in\/0 holds more than the 1000000 bytes allowed/],
    [random.subarray(0, 9_000), /The inline input for \/in\/0 is damaged/],
  ];
  for (const [bytes, words] of cases)
    await assert.rejects(
      moved(jobWith(encodeDataUrl(bytes, 'application/gzip')), 1_000_000),
      (error: unknown) =>
        error instanceof ShoalError &&
        error.failure.code === 'spec-invalid' &&
        words.test(error.message),
    );
  assert.deepEqual(await readdir(spoolDir), []);
});

test('of a spec that cannot be encoded it is said what it takes as text', () => {
  const url = encodeDataUrl(noise(200_000));
  const bytes = specBytes(jobWith(url), 60_000);
  assert.ok(bytes > url.length && bytes < url.length + 5_000, `${bytes} bytes`);
});
