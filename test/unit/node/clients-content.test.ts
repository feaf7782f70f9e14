/** What clients may do with content on a full disk: have what is here, and nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import type { ContentStore } from '../../../src/lib/content.ts';
import { clientsContent } from '../../../src/node/clients-content.ts';

const signal = new AbortController().signal;
const options = { holders: [], maxBytes: 1, signal };

async function* bytes(): AsyncGenerator<Uint8Array> {
  yield Uint8Array.of(1);
}

/** Holds one DAG, `here`; everything else would be fetched. */
const store = {
  add: async () => ({ cid: 'new', bytes: 1, dropped: [] }),
  addStream: async () => ({ cid: 'new', bytes: 1 }),
  writeTo: async (cid: string) => ({ cid, bytes: 1, kind: 'file' }),
  replicate: async (cid: string) => ({ cid, bytes: 1 }),
  list: bytes,
  read: bytes,
  has: async (cid: string) => cid === 'here',
  pin: async () => {},
  unpin: async () => {},
} as unknown as ContentStore;

async function all(items: AsyncIterable<unknown>): Promise<void> {
  for await (const item of items) assert.ok(item);
}

const uses: readonly (readonly [
  string,
  (content: ContentStore, cid: string) => Promise<unknown>,
])[] = [
  ['read', (content, cid) => all(content.read(cid, '', options))],
  ['listed', (content, cid) => all(content.list(cid, options))],
  ['copied', (content, cid) => content.replicate(cid, options)],
];

const full = (error: unknown): boolean =>
  error instanceof ShoalError && error.failure.code === 'store-full';

test('what is here is served from a full disk, what is not is not fetched onto it', async () => {
  const content = clientsContent(store, () => true);
  for (const [what, use] of uses) {
    await use(content, 'here');
    await assert.rejects(use(content, 'elsewhere'), full, what);
  }
});

test('nothing is added to a full disk, and everything may be when there is room', async () => {
  let isFull = true;
  const content = clientsContent(store, () => isFull);
  const adding = [
    () => content.add('/file', signal),
    () => content.addStream(bytes(), signal),
    () => content.writeTo('here', '/file', options),
  ];
  for (const add of adding) await assert.rejects(add(), full);
  isFull = false;
  for (const add of adding) await add();
  for (const [, use] of uses) await use(content, 'elsewhere');
});
