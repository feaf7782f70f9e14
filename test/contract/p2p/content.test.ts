/** Laws of the content store and of block transfer, with real nodes, files and faulty holders. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { withBitswap } from '@helia/bitswap';
import { withLibp2pLight } from '@helia/libp2p';
import { unixfs } from '@helia/unixfs';
import * as dagPb from '@ipld/dag-pb';
import { identify } from '@libp2p/identify';
import type { Stream } from '@libp2p/interface';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createHeliaLight } from 'helia';
import { UnixFS } from 'ipfs-unixfs';
import { CID } from 'multiformats/cid';
import { sha256 } from 'multiformats/hashes/sha2';
import { createBlockFiles } from '../../../p2p/content/blockstore.ts';
import { DAG_PB } from '../../../src/job/cid.ts';
import { encodeFrames } from '../../../p2p/protocols/frames.ts';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import type { FailureCode } from '../../../src/failures/failure.ts';
import type { ContentEntry, FetchOptions } from '../../../src/lib/content.ts';
import { first, quiet, testNodes, until } from './nodes.ts';
import type { TestNode } from './nodes.ts';

const nodes = testNodes();
after(() => nodes.stopAll());

const BLOCKS = '/shoal/test/blocks/1';
const silent = { ...quiet, error: () => {} };
const never = new AbortController().signal;

const from = (holders: readonly TestNode[], changes: Partial<FetchOptions> = {}): FetchOptions => ({
  holders: holders.map((one) => one.host.nodeId),
  maxBytes: 1 << 30,
  signal: never,
  ...changes,
});

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += 300_000) yield bytes.subarray(at, at + 300_000);
}

async function mesh(count: number): Promise<TestNode[]> {
  const seed = await nodes.start({}, { log: silent });
  const rest = await Promise.all(
    Array.from({ length: count - 1 }, () =>
      nodes.start({ bootstrap: [first(seed.host)] }, { log: silent }),
    ),
  );
  const all = [seed, ...rest];
  await until('the mesh', () => all.every((one) => one.host.peers().length === count - 1));
  return all;
}

async function fails(work: Promise<unknown>, code: FailureCode): Promise<ShoalError> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ShoalError, `expected ${code}, got ${String(error)}`);
  assert.equal(error.failure.code, code, error.message);
  return error;
}

async function tree(directory: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    const name = path.relative(directory, file);
    const mode = ((await lstat(file)).mode & 0o777).toString(8);
    if (entry.isSymbolicLink()) found[name] = `-> ${await readlink(file)}`;
    else if (entry.isDirectory()) found[name] = `/ ${mode}`;
    else found[name] = `${mode} ${(await readFile(file)).toString('base64')}`;
  }
  return found;
}

const out = (node: TestNode): string =>
  path.join(node.directory, `out-${randomBytes(4).toString('hex')}`);

/** Puts a dag-pb block with a chosen name in, as a hostile peer would. */
async function directoryOf(node: TestNode, names: readonly [string, CID][]): Promise<string> {
  const Links = names
    .map(([Name, Hash]) => ({ Name, Hash, Tsize: 1 }))
    .sort((a, b) => Buffer.compare(Buffer.from(a.Name), Buffer.from(b.Name)));
  const bytes = dagPb.encode({ Data: new UnixFS({ type: 'directory' }).marshal(), Links });
  return (await blockOf(node, bytes)).toString();
}

async function blockOf(node: TestNode, bytes: Uint8Array): Promise<CID> {
  const cid = CID.createV1(DAG_PB, await sha256.digest(bytes));
  const blocks = createBlockFiles(node.config.blocksPath, quiet);
  await blocks.open();
  await blocks.write(cid, bytes);
  return cid;
}

describe('trees', () => {
  test('a directory comes back as it was, on another node, without what was no file', async () => {
    const [a, b] = await mesh(2);
    assert.ok(a && b);
    const source = path.join(a.directory, 'in');
    await mkdir(path.join(source, 'deep/er/empty'), { recursive: true });
    await writeFile(path.join(source, 'a file.txt'), 'hello');
    await writeFile(path.join(source, 'deep/zero'), '');
    await writeFile(path.join(source, 'deep/er/großes.bin'), randomBytes(3_500_000));
    for (const odd of ['aux.c', 'c:', 'b\\s', 'Case', 'case', 'caf\u00e9', 'cafe\u0301'])
      await writeFile(path.join(source, 'deep/er', odd), odd);
    await writeFile(path.join(source, 'run'), '#!', { mode: 0o755 });
    await mkdir(path.join(source, 'closed'));
    await writeFile(path.join(source, 'closed/key'), 'k', { mode: 0o600 });
    await chmod(path.join(source, 'closed'), 0o500);
    await symlink('deep/zero', path.join(source, 'inside'));
    const expected = await tree(source);
    await symlink('/etc/passwd', path.join(source, 'outside'));
    await symlink('../../x', path.join(source, 'deep/up'));

    const ref = await a.host.content.add(source, never);
    assert.equal(ref.bytes, 3_500_037);
    assert.equal(ref.dropped.length, 2, ref.dropped.join());
    const target = out(b);
    const written = await b.host.content.writeTo(ref.cid, target, from([a]));
    assert.deepEqual([written.kind, written.bytes], ['directory', ref.bytes]);
    assert.deepEqual(await tree(target), expected);

    const entries: ContentEntry[] = [];
    for await (const entry of b.host.content.list(ref.cid, from([]))) entries.push(entry);
    assert.deepEqual(
      entries.map((one) => `${one.kind} ${one.path} ${one.bytes}`),
      [
        'directory  0',
        'file a file.txt 5',
        'directory closed 0',
        'file closed/key 1',
        'directory deep 0',
        'directory deep/er 0',
        'file deep/er/Case 4',
        'file deep/er/aux.c 5',
        'file deep/er/b\\s 3',
        'file deep/er/c: 2',
        'file deep/er/cafe\u0301 6',
        'file deep/er/caf\u00e9 5',
        'file deep/er/case 4',
        'directory deep/er/empty 0',
        'file deep/er/großes.bin 3500000',
        'file deep/zero 0',
        'symlink inside 0',
        'file run 2',
      ],
    );
    await fails(b.host.content.writeTo(ref.cid, target, from([a])), 'path-unsafe');
    assert.deepEqual(
      (await readdir(b.directory)).filter((name) => name.includes('partial')),
      [],
    );
  });

  test('two thousand small files arrive, and one of them can be read alone', async () => {
    const [a, b] = await mesh(2);
    assert.ok(a && b);
    const source = path.join(a.directory, 'in');
    await mkdir(source);
    for (let n = 0; n < 2_000; n += 1)
      await writeFile(path.join(source, `file-${n}`), randomBytes(200 + n));
    const ref = await a.host.content.add(source, never);
    const parts: Uint8Array[] = [];
    for await (const part of b.host.content.read(ref.cid, 'file-77', from([a]))) parts.push(part);
    assert.deepEqual(Buffer.concat(parts), await readFile(path.join(source, 'file-77')));
    assert.equal(await b.host.content.has(ref.cid), false, 'only what was needed came');
    const target = out(b);
    const written = await b.host.content.writeTo(ref.cid, target, from([a]));
    assert.equal(written.bytes, ref.bytes);
    assert.deepEqual(await tree(target), await tree(source));
    const missing = async (): Promise<void> => {
      for await (const _ of b.host.content.read(ref.cid, 'file-2000', from([a]))) void _;
    };
    await fails(missing(), 'path-not-found');
  });

  test('a link is written only where it stays inside, and never as the whole', async () => {
    const node = await nodes.start();
    const { content } = node.host;
    const linkTo = async (target: string): Promise<CID> => {
      const data = new UnixFS({ type: 'symlink', data: Buffer.from(target) }).marshal();
      return blockOf(node, dagPb.encode({ Data: data, Links: [] }));
    };
    for (const target of ['/etc/passwd', '../x', 'a/../../x', '']) {
      const root = await directoryOf(node, [['l', await linkTo(target)]]);
      await fails(content.writeTo(root, out(node), from([])), 'path-unsafe');
    }
    const alone = await linkTo('a.txt');
    const error = await fails(
      content.writeTo(alone.toString(), out(node), from([])),
      'path-unsafe',
    );
    assert.match(error.message, /it is a symbolic link, not a file or directory/);
  });

  test('a tree that repeats its links is stopped by what it takes when it is written', async () => {
    const node = await nodes.start();
    const { content } = node.host;
    const empty = await content.addStream(chunksOf(Buffer.alloc(0)), never);
    const file = await content.addStream(chunksOf(randomBytes(100_000)), never);
    const many = (cid: string): [string, CID][] =>
      Array.from({ length: 40 }, (_, index) => [`e${index}`, CID.parse(cid)]);
    // Four blocks; 64,000 files, and of the second 6.4 GB.
    for (const leaf of [empty, file]) {
      let root = leaf.cid;
      for (let depth = 0; depth < 3; depth += 1) root = await directoryOf(node, many(root));
      let left = 4_000_000;
      const onWrite = (bytes: number | null): void => {
        left -= bytes ?? 4_096;
        if (left < 0) throw new Error('the budget is spent');
      };
      const options = from([], { maxBytes: 100_000_000_000, onWrite });
      await assert.rejects(content.writeTo(root, out(node), options), /budget is spent/);
    }
    const rest = (await readdir(node.directory)).filter((name) => name !== 'blocks');
    assert.deepEqual(rest, []);
  });

  test('names that leave the directory, and trees that are too large, write nothing', async () => {
    const node = await nodes.start();
    const { content } = node.host;
    const file = await content.addStream(chunksOf(Buffer.from('x')), never);
    const cid = CID.parse(file.cid);
    for (const name of ['', '.', '..', 'a/b', 'a\0b', '../../up']) {
      const root = await directoryOf(node, [
        ['ok', cid],
        [name, cid],
      ]);
      await fails(content.writeTo(root, out(node), from([])), 'path-unsafe');
    }
    const twice = await directoryOf(node, [
      ['same', cid],
      ['same', cid],
    ]);
    await assert.rejects(content.writeTo(twice, out(node), from([])));
    let root = file.cid;
    for (let depth = 0; depth < 70; depth += 1)
      root = await directoryOf(node, [['d', CID.parse(root)]]);
    await fails(content.writeTo(root, out(node), from([])), 'path-unsafe');
    const large = await content.addStream(chunksOf(randomBytes(2_000_000)), never);
    await fails(
      content.writeTo(large.cid, out(node), from([], { maxBytes: 1_999_999 })),
      'content-too-large',
    );
    for (const bad of ['', 'nonsense', 'bafy', `${file.cid}/x`, '/x'])
      await fails(content.has(bad), 'cid-invalid');
    const left = (await readdir(node.directory)).filter((name) => name !== 'blocks');
    assert.deepEqual(left, []);
  });
});

describe('holders', () => {
  test('with nobody who has it, the error counts who was asked', async () => {
    const [a] = await mesh(3);
    assert.ok(a);
    const cid = CID.createV1(0x55, await sha256.digest(randomBytes(10))).toString();
    const error = await fails(a.host.content.replicate(cid, from([])), 'content-not-found');
    assert.match(error.message, /Nobody of the 2 peers/);
  });

  test('a peer that nobody named is found when it has it', async () => {
    const [a, b] = await mesh(3);
    assert.ok(a && b);
    const ref = await a.host.content.addStream(chunksOf(randomBytes(2_500_000)), never);
    assert.equal((await b.host.content.replicate(ref.cid, from([]))).bytes, ref.bytes);
    assert.ok(await b.host.content.has(ref.cid));
  });

  test('more than the budget is refused before it fills the disk', async () => {
    const [a, b] = await mesh(2);
    assert.ok(a && b);
    const ref = await a.host.content.addStream(chunksOf(randomBytes(5_000_000)), never);
    await fails(
      b.host.content.replicate(ref.cid, from([a], { maxBytes: 4_000_000 })),
      'content-too-large',
    );
    assert.ok((await b.host.content.usedBytes()) < 1_000_000);
  });

  test('holders that lie, hang or break off are left for the next one, and nothing is fetched twice', async () => {
    const [good, evil, b] = await mesh(3);
    assert.ok(good && evil && b);
    const bytes = randomBytes(12_000_000);
    const ref = await good.host.content.addStream(chunksOf(bytes), never);
    await evil.host.content.replicate(ref.cid, from([good]));
    const honest = honestHandler(evil);
    const faults: Record<
      string,
      (data: Uint8Array, seen: number, stream: Stream) => Uint8Array | null
    > = {
      lies: (data, seen) => (seen < 5_000_000 ? data : flipped(data)),
      hangs: (data, seen) => (seen < 5_000_000 ? data : null),
      'breaks off': (data, seen, stream) => {
        if (seen >= 5_000_000) stream.abort(new Error('cut by the test'));
        return data;
      },
    };
    for (const [name, fault] of Object.entries(faults)) {
      const reader = await nodes.start({ bootstrap: [first(good.host)] }, { log: silent });
      await until('the mesh', () => reader.host.peers().length === 3, reader.host.status);
      await evil.host.libp2p.unhandle(BLOCKS);
      await evil.host.libp2p.handle(BLOCKS, faulty(honest, fault));
      const servedBefore = good.host.gauges().blocks.servedBytes;
      const target = out(reader);
      await reader.host.content.writeTo(ref.cid, target, from([evil, good]));
      assert.ok(bytes.equals(await readFile(target)), name);
      const served = good.host.gauges().blocks.servedBytes - servedBefore;
      assert.ok(
        served < 9_000_000,
        `${name}: the second holder served ${served}, more than was missing`,
      );
      await reader.host.stop();
    }
  });

  test('when the only holder lies, the error says who and nothing is kept of it', async () => {
    const [evil, b] = await mesh(2);
    assert.ok(evil && b);
    const ref = await evil.host.content.addStream(chunksOf(randomBytes(2_000_000)), never);
    const honest = honestHandler(evil);
    await evil.host.libp2p.unhandle([BLOCKS, '/ipfs/bitswap/1.2.0']);
    await evil.host.libp2p.handle(BLOCKS, faulty(honest, flipped));
    const error = await fails(b.host.content.replicate(ref.cid, from([evil])), 'content-corrupt');
    assert.ok(error.message.includes(evil.host.nodeId), error.message);
    assert.ok((await b.host.content.usedBytes()) < 1_000_000);
  });

  test('a block that nobody asked for is refused, although its hash is right', async () => {
    const [evil, b] = await mesh(2);
    assert.ok(evil && b);
    const ref = await evil.host.content.addStream(chunksOf(randomBytes(2_000_000)), never);
    const extra = randomBytes(1_000);
    const cid = CID.createV1(0x55, await sha256.digest(extra));
    const honest = honestHandler(evil);
    await evil.host.libp2p.unhandle([BLOCKS, '/ipfs/bitswap/1.2.0']);
    const frame = Buffer.concat([Uint8Array.of(11, cid.bytes.byteLength), cid.bytes, extra]);
    await evil.host.libp2p.handle(
      BLOCKS,
      faulty(honest, (data, seen) =>
        seen > 0 ? data : Buffer.concat([encodeFrames([frame]), data]),
      ),
    );
    await fails(b.host.content.replicate(ref.cid, from([evil])), 'content-corrupt');
    assert.equal(await b.host.content.has(cid.toString()), false);
  });

  test('a plain IPFS node fetches a result by its CID with bitswap, and we fetch from it', async () => {
    const ours = await nodes.start({}, { log: silent });
    const bytes = randomBytes(3_300_000);
    const ref = await ours.host.content.addStream(chunksOf(bytes), never);
    const plain = withBitswap(
      withLibp2pLight(createHeliaLight(), {
        addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
        transports: [tcp()],
        connectionEncrypters: [noise()],
        streamMuxers: [yamux()],
        services: { identify: identify() },
      }),
    );
    await plain.start();
    try {
      await plain.libp2p.dial(multiaddr(first(ours.host)));
      const parts: Uint8Array[] = [];
      for await (const part of unixfs(plain).cat(CID.parse(ref.cid), {
        signal: AbortSignal.timeout(20_000),
      })) {
        parts.push(part);
      }
      assert.ok(bytes.equals(Buffer.concat(parts)));
      const theirs = await unixfs(plain).addBytes(randomBytes(2_200_000));
      await until('identified', async () =>
        (await ours.host.libp2p.peerStore.get(plain.libp2p.peerId)).protocols.some((one) =>
          one.includes('bitswap'),
        ),
      );
      const got = await ours.host.content.replicate(theirs.toString(), from([]));
      assert.equal(got.bytes, 2_200_000);
      assert.deepEqual(ours.host.peers(), [], 'a guest is no member');
    } finally {
      await plain.stop();
    }
  });

  test('the DHT names a holder that is not connected', async () => {
    const a = await nodes.start({ dht: true });
    const b = await nodes.start({ dht: true, bootstrap: [first(a.host)] });
    await until('the pair', () => a.host.peers().length === 1 && b.host.peers().length === 1);
    const ref = await a.host.content.addStream(chunksOf(randomBytes(100_000)), never);
    const named = async (): Promise<boolean> => {
      for await (const one of b.host.libp2p.contentRouting.findProviders(CID.parse(ref.cid), {
        signal: AbortSignal.timeout(1_000),
      })) {
        if (one.id.toString() === a.host.nodeId) return true;
      }
      return false;
    };
    await until(
      'the provider record',
      () => named().catch(() => false),
      () => '',
      30_000,
    );
  });
});

describe('the disk', () => {
  test('a damaged block is noticed after a restart, and fetched again', async () => {
    const [a, b] = await mesh(2);
    assert.ok(a && b);
    const bytes = randomBytes(3_000_000);
    const ref = await a.host.content.addStream(chunksOf(bytes), never);
    await b.host.content.replicate(ref.cid, from([a]));
    const restarted = await b.restart();
    const files = await readdir(b.config.blocksPath, { recursive: true, withFileTypes: true });
    const sizes = await Promise.all(
      files
        .filter((one) => one.isFile())
        .map(async (one) => {
          const file = path.join(one.parentPath, one.name);
          return { file, size: (await stat(file)).size };
        }),
    );
    const [victim] = sizes.filter((one) => one.size > 900_000);
    assert.ok(victim !== undefined);
    await writeFile(victim.file, (await readFile(victim.file)).subarray(0, 500_000));
    assert.equal(await restarted.host.content.has(ref.cid), false);
    await until('the holder', () => restarted.host.peers().length === 1);
    const target = out(b);
    await restarted.host.content.writeTo(ref.cid, target, from([a]));
    assert.ok(bytes.equals(await readFile(target)));
  });

  test('a disk that fails is not "not found"', async () => {
    const node = await nodes.start();
    const ref = await node.host.content.addStream(chunksOf(randomBytes(100)), never);
    const again = await node.restart();
    const blocks = createBlockFiles(node.config.blocksPath, quiet);
    const key = blocks.keyOf(CID.parse(ref.cid));
    const file = path.join(node.config.blocksPath, key.slice(-7, -5), key);
    assert.ok((await stat(file)).isFile());
    await rm(file);
    await mkdir(file);
    await assert.rejects(again.host.content.has(ref.cid), /EISDIR/);
  });

  test('collecting removes what no pin holds, keeps what one holds, also where they share blocks', async () => {
    const node = await nodes.start({ contentQuotaBytes: 4_000_000 });
    const { content } = node.host;
    const shared = randomBytes(1 << 20);
    const add = (tail: Uint8Array) =>
      content.addStream(chunksOf(Buffer.concat([shared, tail])), never);
    const keep = await add(randomBytes(1 << 20));
    const drop = await add(randomBytes(3 << 20));
    assert.deepEqual(
      await content.collect(false).then((done) => done.removedBlocks),
      0,
      'all are pinned',
    );
    await content.unpin(drop.cid);
    const done = await content.collect(false);
    assert.ok(done.removedBytes >= 1 << 20 && done.keptBytes <= 4_000_000, JSON.stringify(done));
    assert.deepEqual([await content.has(keep.cid), await content.has(drop.cid)], [true, false]);
    const pins: string[] = [];
    for await (const cid of content.pins()) pins.push(cid);
    assert.deepEqual(pins, [keep.cid]);
    const again = await content.collect(false);
    assert.equal(again.removedBlocks, 0, 'below the quota nothing goes');
    const more = await content.addStream(chunksOf(randomBytes(1_000)), never);
    await content.unpin(more.cid);
    assert.ok((await content.collect(true)).removedBlocks > 0, 'unless all is to go that can');
    assert.deepEqual([await content.has(keep.cid), await content.has(more.cid)], [true, false]);
  });
});

type Handler = (stream: Stream) => Promise<void>;

/** What the node does for an honest block request, as the registrar knows it. */
function honestHandler(node: TestNode): Handler {
  const { components } = node.host.libp2p as unknown as {
    components: {
      registrar: {
        getHandler(name: string): { handler(stream: Stream, connection: unknown): Promise<void> };
      };
    };
  };
  const { handler } = components.registrar.getHandler(BLOCKS);
  return (stream) => handler(stream, { remotePeer: 'test' });
}

/** The honest handler behind a stream whose `send` goes through a fault. */
function faulty(
  honest: Handler,
  fault: (data: Uint8Array, seen: number, stream: Stream) => Uint8Array | null,
): Handler {
  return (stream) => {
    const send = stream.send.bind(stream);
    let seen = 0;
    stream.send = (data) => {
      const bytes = data.subarray();
      const kept = fault(bytes, seen, stream);
      seen += bytes.byteLength;
      return kept === null ? true : send(kept);
    };
    return honest(stream);
  };
}

/** One bit in the middle of a block is wrong; short frames stay as they are. */
function flipped(data: Uint8Array): Uint8Array {
  if (data.byteLength < 500_000) return data;
  const copy = new Uint8Array(data);
  copy[400_000] = (copy[400_000] ?? 0) ^ 1;
  return copy;
}
