/** Blocks that a disk damages or loses after they were read, on real nodes: nobody gets a wrong byte. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import type { FetchOptions } from '../../../src/lib/content.ts';
import { first, quiet, testNodes, until } from './nodes.ts';
import type { TestNode } from './nodes.ts';

const nodes = testNodes();
after(() => nodes.stopAll());

const never = new AbortController().signal;
const from = (holders: readonly TestNode[]): FetchOptions => ({
  holders: holders.map((one) => one.host.nodeId),
  maxBytes: 1 << 30,
  signal: never,
});

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function bytesOf(node: TestNode, cid: string, holders: TestNode[]): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of node.host.content.read(cid, '', from(holders))) parts.push(part);
  return Buffer.concat(parts);
}

async function mesh(count: number): Promise<TestNode[]> {
  const seed = await nodes.start({}, { log: quiet });
  const joining = { bootstrap: [first(seed.host)] };
  const rest = await Promise.all(
    Array.from({ length: count - 1 }, () => nodes.start(joining, { log: quiet })),
  );
  const all = [seed, ...rest];
  await until('the mesh', () => all.every((one) => one.host.peers().length === count - 1));
  return all;
}

/** The block files of a node. */
async function blocksOf(node: TestNode): Promise<string[]> {
  const { blocksPath } = node.config;
  const names = await readdir(blocksPath, { recursive: true });
  return names.filter((name) => name.endsWith('.data')).map((name) => path.join(blocksPath, name));
}

type Damage = (file: string) => Promise<void>;

/** As a program writes it: the file looks changed. */
const overwrite: Damage = async (file) => {
  const bytes = await readFile(file);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0xff;
  await writeFile(file, bytes);
};
/** As a disk rots: the file looks the same. */
const rot: Damage = async (file) => {
  const before = await stat(file);
  await overwrite(file);
  await utimes(file, before.atime, before.mtime);
};
const damages: readonly (readonly [string, Damage])[] = [
  ['changed', overwrite],
  ['rotten', rot],
  ['cut short', async (file) => writeFile(file, (await readFile(file)).subarray(0, 20))],
  ['empty', (file) => writeFile(file, '')],
  ['gone', (file) => rm(file)],
];

describe('a block that is damaged after it was read', () => {
  for (const [what, damage] of damages) {
    test(`${what}: whoever reads it gets it from another holder`, async (context) => {
      const [sound, damaged] = await mesh(2);
      assert.ok(sound && damaged);
      const bytes = randomBytes(2_500_000);
      const { cid } = await sound.host.content.addStream(once(bytes), never);
      await damaged.host.content.replicate(cid, from([sound]));
      assert.ok((await bytesOf(damaged, cid, [])).equals(bytes), 'read once');
      if (what === 'rotten') {
        // Trust ends with time alone: nothing else tells.
        const now = performance.now.bind(performance);
        context.mock.method(performance, 'now', () => now() + 301_000);
      }
      const hurt = async (): Promise<void> => {
        for (const file of await blocksOf(damaged)) await damage(file);
      };
      const target = (name: string): string => path.join(damaged.directory, `${what}-${name}`);
      await hurt();
      assert.ok((await bytesOf(damaged, cid, [])).equals(bytes), 'by the gateway');
      await hurt();
      await damaged.host.content.writeTo(cid, target('staged'), from([]));
      assert.ok((await readFile(target('staged'))).equals(bytes), 'for a job');
      await hurt();
      await damaged.host.content.replicate(cid, from([]));
      assert.ok(await damaged.host.content.has(cid));
    });
  }

  test('a peer that asks for it is sent nothing wrong, goes on with the others, and it is mended', async () => {
    const [sound, damaged, reader] = await mesh(3);
    assert.ok(sound && damaged && reader);
    const bytes = randomBytes(2_500_000);
    const { cid } = await sound.host.content.addStream(once(bytes), never);
    await damaged.host.content.replicate(cid, from([sound]));
    assert.ok((await bytesOf(damaged, cid, [])).equals(bytes), 'read once');
    const files = await blocksOf(damaged);
    const before = new Map<string, Buffer>();
    for (const file of files) before.set(file, await readFile(file));
    for (const file of files) await overwrite(file);
    assert.ok((await bytesOf(reader, cid, [damaged])).equals(bytes));
    await until('what was met is mended', async () => {
      const now = await Promise.all(files.map((file) => readFile(file).catch(() => null)));
      return now.some((content, at) => content?.equals(before.get(files[at] ?? '') ?? bytes));
    });
  });

  test('a holder that lost its disk says so at once, and the next one is asked', async () => {
    const [sound, emptied, reader] = await mesh(3);
    assert.ok(sound && emptied && reader);
    const bytes = randomBytes(2_500_000);
    const { cid } = await sound.host.content.addStream(once(bytes), never);
    await emptied.host.content.replicate(cid, from([sound]));
    await rm(emptied.config.blocksPath, { recursive: true });
    const began = performance.now();
    assert.ok((await bytesOf(reader, cid, [emptied, sound])).equals(bytes));
    assert.ok(performance.now() - began < 4_000, 'without waiting for a holder that stalls');
    await emptied.host.content.replicate(cid, from([]));
    assert.ok(await emptied.host.content.has(cid), 'it can hold it again');
  });
});
