/** DAGs that other programs made: other hashes, blocks inside of CIDs, sizes that are wrong, paths below a CID. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import * as dagPb from '@ipld/dag-pb';
import { UnixFS } from 'ipfs-unixfs';
import { CID } from 'multiformats/cid';
import { create } from 'multiformats/hashes/digest';
import { sha256, sha512 } from 'multiformats/hashes/sha2';
import type { MultihashDigest } from 'multiformats/hashes/interface';
import { createBlockFiles } from '../../../p2p/content/blockstore.ts';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { DAG_PB, IDENTITY, RAW } from '../../../src/job/cid.ts';
import type { FetchOptions } from '../../../src/lib/content.ts';
import { first, quiet, testNodes, until } from './nodes.ts';
import type { TestNode } from './nodes.ts';

const nodes = testNodes();
after(() => nodes.stopAll());

type Hash = (bytes: Uint8Array) => MultihashDigest | Promise<MultihashDigest>;
const identity: Hash = (bytes) => create(IDENTITY, bytes);
const sha2: Hash = (bytes) => sha256.digest(bytes);
const long: Hash = (bytes) => sha512.digest(bytes);

async function put(node: TestNode, codec: number, bytes: Uint8Array, hash: Hash): Promise<CID> {
  const cid = CID.createV1(codec, await hash(bytes));
  const blocks = createBlockFiles(node.config.blocksPath, quiet);
  await blocks.open();
  await blocks.write(cid, bytes);
  return cid;
}

interface Link {
  readonly name: string;
  readonly cid: CID;
  readonly size?: number;
}

function directory(node: TestNode, links: readonly Link[], hash: Hash): Promise<CID> {
  const Links = links.map(({ name, cid, size }) =>
    size === undefined ? { Name: name, Hash: cid } : { Name: name, Hash: cid, Tsize: size },
  );
  const Data = new UnixFS({ type: 'directory' }).marshal();
  return put(node, DAG_PB, dagPb.encode({ Data, Links }), hash);
}

const text = (node: TestNode, words: string, hash: Hash): Promise<CID> =>
  put(node, RAW, Buffer.from(words), hash);

async function pair(): Promise<[TestNode, TestNode]> {
  const a = await nodes.start();
  const b = await nodes.start({ bootstrap: [first(a.host)] });
  await until('the pair', () => a.host.peers().length === 1 && b.host.peers().length === 1);
  return [a, b];
}

const from = (holders: readonly TestNode[], maxBytes = 1 << 20): FetchOptions => ({
  holders: holders.map((one) => one.host.nodeId),
  maxBytes,
  signal: new AbortController().signal,
});

/** Writes it out at `node` and tells what lies there. */
async function files(node: TestNode, cid: string, options: FetchOptions): Promise<object> {
  const target = path.join(node.directory, `out-${randomBytes(4).toString('hex')}`);
  const { kind } = await node.host.content.writeTo(cid, target, options);
  if (kind === 'file') return { '': await readFile(target, 'utf8') };
  const found: Record<string, string> = {};
  for (const entry of await readdir(target, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    if (entry.isFile()) found[path.relative(target, file)] = await readFile(file, 'utf8');
  }
  return found;
}

describe('DAGs of others', () => {
  test('blocks that a CID carries in itself need nobody, at any place of a DAG', async () => {
    const node = await nodes.start();
    const leaf = await text(node, 'tiny', identity);
    assert.deepEqual(await files(node, leaf.toString(), from([])), { '': 'tiny' });
    const small = await directory(node, [{ name: 'a.txt', cid: leaf }], identity);
    assert.deepEqual(await files(node, small.toString(), from([])), { 'a.txt': 'tiny' });
    const names = await readdir(node.config.blocksPath, { recursive: true }).catch(() => []);
    assert.deepEqual(
      names.filter((name) => name.endsWith('.data')),
      [],
    );
    const sizes = await node.host.content.replicate(small.toString(), from([]));
    assert.equal(sizes.bytes, 4);
  });

  test('what lies below a block that is inlined is fetched, and whether all is here is known', async () => {
    const [a, b] = await pair();
    const big = await text(a, 'x'.repeat(500), sha2);
    const inlined = await directory(a, [{ name: 'big', cid: big }], identity);
    const root = await directory(a, [{ name: 'sub', cid: inlined }], sha2);
    assert.equal(await b.host.content.has(inlined.toString()), false);
    assert.deepEqual(await files(b, root.toString(), from([a])), { 'sub/big': 'x'.repeat(500) });
    assert.equal(await b.host.content.has(root.toString()), true);
  });

  test('blocks that are named by sha2-512 are fetched and verified', async () => {
    const [a, b] = await pair();
    const root = await directory(a, [{ name: 'a', cid: await text(a, 'hello', long) }], long);
    assert.deepEqual(await files(b, root.toString(), from([a])), { a: 'hello' });
    const false_ = CID.createV1(RAW, await sha512.digest(Buffer.from('right')));
    const blocks = createBlockFiles(a.config.blocksPath, quiet);
    await blocks.open();
    await blocks.write(false_, Buffer.from('wrong'));
    await assert.rejects(files(b, false_.toString(), from([a])), ShoalError);
  });

  test('how large a link says that something is decides nothing', async () => {
    const [a, b] = await pair();
    const leaf = await text(a, 'first half,', sha2);
    for (const size of [999, 0, undefined, 2 ** 50]) {
      const link =
        size === undefined ? { name: 'a.txt', cid: leaf } : { name: 'a.txt', cid: leaf, size };
      const root = (await directory(a, [link], sha2)).toString();
      assert.deepEqual(await files(b, root, from([a])), { 'a.txt': 'first half,' }, String(size));
      const { bytes } = await b.host.content.replicate(root, from([a]));
      assert.equal(bytes, 11, String(size));
    }
  });

  test('a path below a CID is fetched alone, file or directory, and one that is not there is named', async () => {
    const [a, b] = await pair();
    const [one, two] = [await text(a, 'one', sha2), await text(a, 'two', sha2)];
    const sub = await directory(a, [{ name: 'x', cid: one }], sha2);
    const links = [
      { name: 'other', cid: two },
      { name: 'sub', cid: sub },
    ];
    const root = (await directory(a, links, sha2)).toString();
    assert.deepEqual(await files(b, `${root}/sub`, from([a])), { x: 'one' });
    assert.deepEqual(await files(b, `ipfs://${root}/sub/x`, from([a])), { '': 'one' });
    assert.equal(await b.host.content.has(two.toString()), false, 'only what was asked for came');
    const listed: string[] = [];
    for await (const entry of b.host.content.list(`${root}/sub`, from([]))) listed.push(entry.path);
    assert.deepEqual(listed, ['', 'x']);
    await assert.rejects(files(b, `${root}/sub/y`, from([a])), /sub\/y.*does not exist/);
    await assert.rejects(files(b, `${root}/../x`, from([a])), ShoalError);
  });
});
