/** Blocks that name each other again and again: a few kilobytes that stand for more than there is. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import * as dagPb from '@ipld/dag-pb';
import { UnixFS } from 'ipfs-unixfs';
import { CID } from 'multiformats/cid';
import { create } from 'multiformats/hashes/digest';
import type { BlockFiles } from '../../../../p2p/content/blockstore.ts';
import { createFetcher } from '../../../../p2p/content/fetch.ts';
import type { FetchDeps } from '../../../../p2p/content/fetch.ts';
import { readFileBytes, resolvePath, walkTree } from '../../../../p2p/content/files.ts';
import type { Loader } from '../../../../p2p/content/files.ts';
import { count, createJudge } from '../../../../p2p/content/wanted.ts';
import { asNodeId } from '../../../../src/core/record/ids.ts';
import { DAG_PB, RAW } from '../../../../src/job/cid.ts';
import { quiet } from '../../../contract/p2p/nodes.ts';

const LEVELS = 40;
const WIDTH = 100;
/** Links of one block, which a block of 4 MiB has room for. */
const MANY = 30_000;
/** Together they name more than may wait. */
const FEW_LEVELS = 8;

type NodeType = 'file' | 'directory' | 'hamt-sharded-directory';

const never = new AbortController().signal;

class Blocks {
  readonly #byCid = new Map<string, Uint8Array>();
  /** Blocks that were read. */
  reads = 0;

  add(code: number, bytes: Uint8Array): CID {
    const digest = create(0x12, createHash('sha256').update(bytes).digest());
    const cid = CID.createV1(code, digest);
    this.#byCid.set(cid.toString(), bytes);
    return cid;
  }

  node(type: NodeType, names: readonly string[], below: CID): CID {
    const data = new UnixFS({ type, ...(type.startsWith('hamt') ? SHARD : {}) }).marshal();
    const Links = names.map((Name) => ({ Name, Tsize: 0, Hash: below }));
    return this.add(DAG_PB, dagPb.encode({ Data: data, Links }));
  }

  /** Each level names the one below again and again. */
  tower(type: NodeType, names: readonly string[], levels = LEVELS): CID {
    let top = this.node(type, [], this.add(RAW, new Uint8Array(0)));
    for (let level = 0; level < levels; level += 1) top = this.node(type, names, top);
    return top;
  }

  readonly loader: Loader = {
    load: async (cid) => {
      this.reads += 1;
      return this.get(cid);
    },
    prefetch: async () => {},
  };

  get(cid: CID): Uint8Array {
    const bytes = this.#byCid.get(cid.toString());
    if (bytes === undefined) throw new Error(`no block ${cid.toString()}`);
    return bytes;
  }
}

const SHARD = { fanout: 256n, hashType: 0x22n };
const numbers = (length: number, width: number): string[] =>
  Array.from({ length }, (_, at) => at.toString(16).toUpperCase().padStart(width, '0'));
const shards = numbers(WIDTH, 2);
const nameless = Array.from({ length: WIDTH }, () => '');

async function drain(items: AsyncIterable<unknown>): Promise<void> {
  for await (const item of items) void item;
}

describe('a tree is not walked on when', () => {
  it('its file has blocks without end and no bytes', async () => {
    const blocks = new Blocks();
    const file = blocks.tower('file', nameless);
    const why = 'it has more blocks than its bytes need';
    await assert.rejects(drain(readFileBytes(file, blocks.loader)), {
      failure: { code: 'content-corrupt', cid: file.toString(), why },
    });
    assert.ok(blocks.reads < 300_000, `${blocks.reads} blocks were read`);
  });

  it('its shards name each other without end and hold no entry', async () => {
    const blocks = new Blocks();
    const directory = blocks.tower('hamt-sharded-directory', shards);
    await assert.rejects(drain(walkTree(directory, blocks.loader)), /more than 100000 entries/);
    await assert.rejects(resolvePath(directory, 'a', blocks.loader), /more than 100000 entries/);
    assert.ok(blocks.reads < 5_000, `${blocks.reads} blocks were read`);
  });

  it('its directories have more entries than a tree, before they are kept in mind', async () => {
    const blocks = new Blocks();
    const directory = blocks.tower('directory', numbers(MANY, 5), FEW_LEVELS);
    await assert.rejects(drain(walkTree(directory, blocks.loader)), /more than 100000 entries/);
    assert.ok(blocks.reads < 10, `${blocks.reads} blocks were read`);
  });

  it('the blocks of its file wait in larger numbers than there are', async () => {
    const blocks = new Blocks();
    const names = Array.from({ length: MANY }, () => '');
    const file = blocks.tower('file', names, FEW_LEVELS);
    await assert.rejects(drain(readFileBytes(file, blocks.loader)), /more blocks than its bytes/);
    assert.ok(blocks.reads < 20, `${blocks.reads} blocks were read`);
  });

  it('its paths take more memory than a list may', async () => {
    const blocks = new Blocks();
    let leaf = blocks.node('directory', numbers(30_000, 250), blocks.add(RAW, Buffer.from('x')));
    for (let level = 0; level < 10; level += 1)
      leaf = blocks.node('directory', ['d'.repeat(250)], leaf);
    await assert.rejects(drain(walkTree(leaf, blocks.loader)), /bytes of paths/);
  });
});

describe('a tree is walked when', () => {
  it('its file is large and in small pieces', async () => {
    const blocks = new Blocks();
    const piece = blocks.add(RAW, Buffer.alloc(1_024, 1));
    let top = blocks.node(
      'file',
      Array.from({ length: 350 }, () => ''),
      piece,
    );
    top = blocks.node(
      'file',
      Array.from({ length: 350 }, () => ''),
      top,
    );
    let bytes = 0;
    for await (const chunk of readFileBytes(top, blocks.loader)) bytes += chunk.byteLength;
    assert.equal(bytes, 350 * 350 * 1_024);
  });

  it('it has as many entries as it may, in shards', async () => {
    const blocks = new Blocks();
    const file = blocks.add(RAW, Buffer.from('x'));
    const names = numbers(256, 2).map((prefix) => `${prefix}name`);
    const shard = blocks.node('hamt-sharded-directory', names, file);
    const directory = blocks.node('hamt-sharded-directory', numbers(256, 2), shard);
    let entries = 0;
    for await (const entry of walkTree(directory, blocks.loader))
      entries += entry.path === '' ? 0 : 1;
    assert.equal(entries, 65_536);
  });
});

describe('of what is missing', () => {
  const fetcherOf = (blocks: Blocks, missing: (cid: CID) => boolean) => {
    const has = (cid: CID): boolean => !missing(cid);
    const files = {
      has: async (cid: CID) => has(cid),
      read: async (cid: CID) => {
        blocks.reads += 1;
        return has(cid) ? blocks.get(cid) : null;
      },
    } as unknown as BlockFiles;
    const deps = { self: asNodeId('self'), blocks: files, log: quiet };
    return createFetcher(deps as unknown as FetchDeps);
  };

  it('each block is looked at once, however often it is named', async () => {
    const blocks = new Blocks();
    const file = blocks.tower(
      'file',
      Array.from({ length: MANY }, () => ''),
      FEW_LEVELS,
    );
    assert.deepEqual(await fetcherOf(blocks, () => false).missing([file], true, never), []);
    assert.ok(blocks.reads <= FEW_LEVELS + 1, `${blocks.reads} blocks were read`);
  });

  it('nothing is looked for any more once nobody wants it', async () => {
    const blocks = new Blocks();
    const file = blocks.tower('file', nameless);
    const stop = new AbortController();
    const fetcher = fetcherOf(blocks, () => {
      if (blocks.reads === 3) stop.abort(new Error('not wanted'));
      return false;
    });
    await assert.rejects(fetcher.missing([file], true, stop.signal), /not wanted/);
    assert.equal(blocks.reads, 3);
  });

  it('two large ones are looked through at a time, and a small one waits for neither', async () => {
    const blocks = new Blocks();
    const file = blocks.tower(
      'file',
      Array.from({ length: MANY }, () => ''),
      FEW_LEVELS,
    );
    const fetcher = fetcherOf(blocks, () => false);
    const many = Array.from({ length: 4 }, () => fetcher.missing([file], true, never));
    await Promise.all(many.slice(0, 2));
    const early = blocks.reads;
    await Promise.all(many);
    // Until then the others read no more than made them large.
    assert.ok(early <= 4 * (FEW_LEVELS + 1) - 6, `${early} of ${blocks.reads} blocks`);
    assert.deepEqual(await fetcher.missing([blocks.tower('file', [''], 1)], true, never), []);
  });

  it('no more is asked for at once than a hundred thousand', async () => {
    const blocks = new Blocks();
    const names = Array.from({ length: 35_000 }, (_, at) => at);
    const leaves = (from: number) =>
      names.map((at) => ({
        Name: '',
        Tsize: 0,
        Hash: blocks.add(RAW, Buffer.from(`${from} ${at}`)),
      }));
    const data = new UnixFS({ type: 'file' }).marshal();
    const parts = [1, 2, 3].map((part) =>
      blocks.add(DAG_PB, dagPb.encode({ Data: data, Links: leaves(part) })),
    );
    const Links = parts.map((Hash) => ({ Name: '', Tsize: 0, Hash }));
    const file = blocks.add(DAG_PB, dagPb.encode({ Data: data, Links }));
    const found = await fetcherOf(blocks, (cid) => cid.code === RAW).missing([file], true, never);
    assert.equal(found.length, 100_000);
  });

  it('and of what a holder sends, blocks that name more than a tree may have are refused', () => {
    const data = new UnixFS({ type: 'file' }).marshal();
    const blocks = new Blocks();
    let next = blocks.add(RAW, Buffer.from('x'));
    const parts: CID[] = [];
    for (let part = 0; part < 4; part += 1) {
      const Links = Array.from({ length: 52_000 }, (_, at) => ({
        Name: '',
        Tsize: 0,
        Hash: at === 0 ? next : blocks.add(RAW, Buffer.from(`${part} ${at}`)),
      }));
      next = blocks.add(DAG_PB, dagPb.encode({ Data: data, Links }));
      parts.unshift(next);
    }
    const judge = createJudge([next], true);
    assert.throws(() => {
      for (const cid of parts) assert.equal(judge(cid, blocks.get(cid)), null);
    }, /more blocks than a tree may have/);
  });

  it('and of a few bytes no more blocks are taken than a tree of them can have', () => {
    const blocks = new Blocks();
    const cid = blocks.add(RAW, Buffer.from('x'));
    const tally = { received: 0, blocks: 300_000, total: 0 };
    const agreed = { root: cid, maxBytes: 16_384 };
    assert.equal(count(tally, agreed, cid, Buffer.from('x')), null);
    assert.throws(() => count(tally, agreed, cid, Buffer.from('x')), /more blocks than its bytes/);
  });
});
