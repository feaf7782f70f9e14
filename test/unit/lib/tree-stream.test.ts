import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeTree,
  encodeTree,
  TreeFormatError,
  type TreeItem,
} from '../../../src/lib/tree-stream.ts';

interface Plain {
  readonly path: string;
  readonly data: Uint8Array | null;
}

async function* source(items: readonly Plain[]): AsyncGenerator<TreeItem> {
  for (const { path, data } of items) {
    const bytes = data ?? new Uint8Array(0);
    yield {
      path,
      kind: data === null ? 'directory' : 'file',
      bytes: bytes.length,
      data: (async function* () {
        yield bytes;
      })(),
    };
  }
}

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const list: Uint8Array[] = [];
  for await (const chunk of chunks) list.push(chunk);
  return Buffer.concat(list);
}

async function decoded(bytes: Uint8Array, size: number): Promise<Plain[]> {
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  };
  const items: Plain[] = [];
  for await (const { path, kind, data } of decodeTree(chunks())) {
    const all = await bytesOf(data);
    items.push({ path, data: kind === 'directory' ? null : new Uint8Array(all) });
  }
  return items;
}

const trees = fc.array(
  fc.record(
    { path: fc.string({ maxLength: 30 }), data: fc.option(fc.uint8Array({ maxLength: 200 })) },
    { noNullPrototype: true },
  ),
  { maxLength: 8 },
);

test('any tree in any portions comes back the same', async () => {
  await fc.assert(
    fc.asyncProperty(trees, fc.integer({ min: 1, max: 64 }), async (items, size) => {
      assert.deepEqual(await decoded(await bytesOf(encodeTree(source(items))), size), items);
    }),
    { numRuns: 100 },
  );
});

test('a stream that is cut anywhere, or is no tree, is refused with a TreeFormatError', async () => {
  const whole = await bytesOf(
    encodeTree(
      source([
        { path: 'a', data: Buffer.from('hello') },
        { path: 'b', data: null },
      ]),
    ),
  );
  for (let length = 0; length < whole.length; length += 1) {
    await assert.rejects(
      decoded(whole.subarray(0, length), 7),
      TreeFormatError,
      `cut at ${length}`,
    );
  }
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (bytes) => {
      await decoded(bytes, 16).catch((error: unknown) =>
        assert.ok(error instanceof TreeFormatError, String(error)),
      );
    }),
  );
});

test('a file that changes while it is read is noticed by the sender', async () => {
  const item = (bytes: number): TreeItem => ({
    path: 'a',
    kind: 'file',
    bytes,
    data: (async function* () {
      yield Buffer.from('four');
    })(),
  });
  for (const bytes of [3, 5]) {
    await assert.rejects(
      bytesOf(
        encodeTree(
          (async function* () {
            yield item(bytes);
          })(),
        ),
      ),
      TreeFormatError,
    );
  }
});
