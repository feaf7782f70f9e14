/** A file that is read while its blocks arrive: real blocks on disk, and a fetch the test plays. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, test } from 'node:test';
import type { CID } from 'multiformats/cid';
import { readWhileFetched } from '../../../../p2p/content/arrivals.ts';
import { createBlockFiles } from '../../../../p2p/content/blockstore.ts';
import type { BlockFiles } from '../../../../p2p/content/blockstore.ts';
import { factsOf } from '../../../../p2p/content/dag.ts';
import type { EnsureOptions, Fetcher } from '../../../../p2p/content/fetch.ts';
import { importBytes } from '../../../../p2p/content/import.ts';

const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const MIB = 2 ** 20;
const directories: string[] = [];

afterEach(async () => {
  await Promise.all(directories.splice(0).map((one) => rm(one, { recursive: true, force: true })));
});

async function emptyBlocks(): Promise<BlockFiles> {
  const directory = await mkdtemp(path.join(tmpdir(), 'shoal-arrivals-'));
  directories.push(directory);
  const blocks = createBlockFiles(path.join(directory, 'blocks'), log);
  await blocks.open();
  return blocks;
}

/** A file of three blocks and its root, on another peer's disk. */
async function remoteFile(): Promise<{
  root: CID;
  order: readonly CID[];
  bytes: Buffer;
  remote: BlockFiles;
}> {
  const remote = await emptyBlocks();
  const bytes = Buffer.concat([1, 2, 3].map((fill) => Buffer.alloc(MIB, fill)));
  const source = async function* (): AsyncGenerator<Uint8Array> {
    yield bytes;
  };
  const root = await importBytes(source(), remote, null);
  const top = await remote.read(root);
  assert(top !== null);
  return {
    root,
    order: [root, ...factsOf(root, top).links.map((link) => link.cid)],
    bytes,
    remote,
  };
}

/** Brings blocks one by one, each when the test says so. */
function playedFetch(here: BlockFiles, remote: BlockFiles) {
  const asked = Promise.withResolvers<EnsureOptions>();
  const done = Promise.withResolvers<void>();
  const fetcher: Fetcher = {
    missing: async () => [],
    ensure: (_root, _wants, _deep, options) => {
      asked.resolve(options);
      options.signal.addEventListener('abort', () => done.reject(options.signal.reason));
      return done.promise;
    },
  };
  return {
    fetcher,
    asked: asked.promise,
    done,
    async bring(cid: CID): Promise<void> {
      const bytes = await remote.read(cid);
      assert(bytes !== null);
      const options = await asked.promise;
      const lent = Buffer.from(bytes);
      options.onBlock?.(cid, lent);
      lent.fill(0xff);
      await here.write(cid, bytes);
      options.onStored?.(cid);
    },
  };
}

async function all(reading: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const parts: Uint8Array[] = [];
  for await (const part of reading) parts.push(part);
  return parts;
}

const plain = () => ({ holders: [], maxBytes: 1e9, signal: new AbortController().signal });

test('each part is given out when its block is here, not when the last one is', async () => {
  const { root, order, bytes, remote } = await remoteFile();
  const here = await emptyBlocks();
  const fetch = playedFetch(here, remote);
  const reading = readWhileFetched({ blocks: here, fetcher: fetch.fetcher }, root, root, plain());
  const [top, ...leaves] = order;
  assert(top !== undefined);
  const parts: Uint8Array[] = [];
  let next = reading.next();
  await fetch.bring(top);
  for (const leaf of leaves) {
    await fetch.bring(leaf);
    const part = await next;
    assert(part.done !== true);
    parts.push(part.value);
    next = reading.next();
  }
  fetch.done.resolve();
  assert.equal((await next).done, true);
  assert.deepEqual(Buffer.concat(parts), bytes);
});

test('blocks may come in any order, and some may be here before', async () => {
  const { root, order, bytes, remote } = await remoteFile();
  const here = await emptyBlocks();
  const [top, ...leaves] = order;
  const last = leaves.at(-1);
  assert(top !== undefined && last !== undefined);
  const lastBytes = await remote.read(last);
  assert(lastBytes !== null);
  await here.write(last, lastBytes);
  const fetch = playedFetch(here, remote);
  const reading = readWhileFetched({ blocks: here, fetcher: fetch.fetcher }, root, root, plain());
  const read = all(reading);
  for (const cid of [...leaves.slice(0, -1).toReversed(), top]) await fetch.bring(cid);
  fetch.done.resolve();
  assert.deepEqual(Buffer.concat(await read), bytes);
});

test('a fetch that fails ends the reading with its reason, after what had come', async () => {
  const { root, order, remote } = await remoteFile();
  const here = await emptyBlocks();
  const fetch = playedFetch(here, remote);
  const reading = readWhileFetched({ blocks: here, fetcher: fetch.fetcher }, root, root, plain());
  const first = reading.next();
  for (const cid of order.slice(0, 2)) await fetch.bring(cid);
  assert.equal((await first).done, false);
  const second = reading.next();
  fetch.done.reject(new Error('the holder is gone'));
  await assert.rejects(second, /the holder is gone/);
});

test('a refusal is heard even by a reader that has everything', async () => {
  const { root, order, remote } = await remoteFile();
  const here = await emptyBlocks();
  const fetch = playedFetch(here, remote);
  const reading = readWhileFetched({ blocks: here, fetcher: fetch.fetcher }, root, root, plain());
  const read = all(reading);
  for (const cid of order) await fetch.bring(cid);
  fetch.done.reject(new Error('more than allowed'));
  await assert.rejects(read, /more than allowed/);
});

test('who stops reading ends the fetch', async () => {
  const { root, order, remote } = await remoteFile();
  const here = await emptyBlocks();
  const fetch = playedFetch(here, remote);
  const reading = readWhileFetched({ blocks: here, fetcher: fetch.fetcher }, root, root, plain());
  const first = reading.next();
  for (const cid of order.slice(0, 2)) await fetch.bring(cid);
  await first;
  await reading.return(undefined);
  assert.equal((await fetch.asked).signal.aborted, true);
});
