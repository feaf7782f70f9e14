import assert from 'node:assert/strict';
import { readdirSync, renameSync } from 'node:fs';
import { chmod, link, mkdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  ENTRY_BYTES,
  LOOKS_UNBOUNDED,
  chargedBytes,
  measureTree,
  walkTree,
} from '../../../src/lib/walk-tree.ts';
import { asNobody, isRoot, makeDeep, treePlace } from './trees.ts';

const signal = new AbortController().signal;
const everything = { bytesMax: Number.POSITIVE_INFINITY, entriesMax: Number.POSITIVE_INFINITY };
const openDescriptors = (): number => readdirSync('/proc/self/fd').length;

async function pathsIn(root: string, also: (path: string) => void = () => {}): Promise<string[]> {
  const paths: string[] = [];
  for await (const walked of walkTree(root, signal)) {
    paths.push(walked.path().toString());
    also(paths.at(-1) ?? '');
  }
  return paths.sort();
}

describe('measuring a tree', () => {
  it('counts what is allocated, each file once, and follows no link', async () => {
    await using here = await treePlace();
    const at = (path: string): string => join(here.path, path);
    await mkdir(at('out/sub'), { recursive: true });
    await writeFile(at('big'), Buffer.alloc(1_000_000, 1));
    const before = await measureTree(at('out'), everything, signal);
    await symlink('../..', at('out/sub/up'));
    await symlink('../big', at('out/link'));
    await writeFile(at('out/hole'), '');
    await truncate(at('out/hole'), 1_000_000_000);
    await writeFile(at('out/sub/full'), Buffer.alloc(100_000, 1));
    await link(at('out/sub/full'), at('out/again'));
    const { bytes, entries, closed } = await measureTree(at('out'), everything, signal);
    const used = bytes - before.bytes;
    assert.ok(used >= 100_000 && used < 200_000, `used ${used}`);
    assert.deepEqual({ entries, closed }, { entries: 6, closed: 0 });
    assert.ok((await measureTree(at('big'), everything, signal)).bytes >= 1_000_000);
    assert.deepEqual(await measureTree(at('none'), everything, signal), {
      bytes: 0,
      entries: 0,
      closed: 0,
    });
  });

  it('reaches what lies below paths that no call takes, with the same few descriptors', async () => {
    await using here = await treePlace();
    makeDeep(here.path, 500, 300_000);
    const before = openDescriptors();
    let most = 0;
    const { bytes, entries } = await measureTree(here.path, everything, signal);
    assert.ok(bytes >= 300_000, `${bytes} bytes`);
    assert.equal(entries, 501);
    const paths = await pathsIn(here.path, () => {
      most = Math.max(most, openDescriptors());
    });
    assert.equal(Math.max(...paths.map((path) => path.length)), 500 * 201 + 'bottom'.length);
    assert.ok(most <= before + 5, `${most} descriptors, ${before} before`);
    assert.equal(openDescriptors(), before);
  });

  it('counts what is empty as well, so that a limit of bytes bounds the number of names', async () => {
    await using here = await treePlace();
    for (let at = 0; at < 100; at += 1) await writeFile(join(here.path, `empty-${at}`), '');
    const { bytes } = await measureTree(here.path, everything, signal);
    assert.ok(bytes >= 100 * 512, `${bytes} bytes`);
    const { entries } = await measureTree(here.path, { ...everything, bytesMax: 20_000 }, signal);
    assert.ok(entries < 50, `${entries} entries looked at`);
  });

  it('tells names of any bytes', async () => {
    await using here = await treePlace();
    const odd = Buffer.from([0xff, 0x0a, 0xc3, 0xa9]);
    await mkdir(Buffer.concat([Buffer.from(`${here.path}/`), odd]));
    await writeFile(Buffer.concat([Buffer.from(`${here.path}/`), odd, Buffer.from('/ü')]), 'x');
    const paths: Buffer[] = [];
    for await (const walked of walkTree(here.path, signal)) paths.push(walked.path());
    assert.deepEqual(paths, [odd, Buffer.concat([odd, Buffer.from('/ü')])]);
  });

  it('charges each entry for its inode, and no more when it takes more', async () => {
    await using here = await treePlace();
    const charged = async (): Promise<number> =>
      (await chargedBytes(here.path, Number.POSITIVE_INFINITY, LOOKS_UNBOUNDED, signal)).bytes;
    for (let at = 0; at < 100; at += 1) await writeFile(join(here.path, `empty${at}`), '');
    assert.equal(await charged(), 100 * ENTRY_BYTES);
    await writeFile(join(here.path, 'full'), Buffer.alloc(1_000_000, 1));
    const full = await charged();
    assert.ok(full >= 1_000_000 && full < 1_100_000, String(full));
    assert.ok((await chargedBytes(here.path, 50_000, LOOKS_UNBOUNDED, signal)).bytes > 50_000);
  });

  it('looks at no more than it may, all trees of one look together, a directory ten times', async () => {
    await using here = await treePlace();
    for (let at = 0; at < 3; at += 1) await mkdir(join(here.path, `d${at}`));
    for (let at = 0; at < 20; at += 1) await writeFile(join(here.path, `f${at}`), '');
    const looks = { left: 99 };
    const charged = async (): Promise<number> =>
      (await chargedBytes(here.path, Number.POSITIVE_INFINITY, looks, signal)).bytes;
    assert.equal(await charged(), 23 * ENTRY_BYTES);
    assert.equal(looks.left, 49);
    assert.equal(await charged(), Number.POSITIVE_INFINITY);
  });

  it('stops at its limits', async () => {
    await using here = await treePlace();
    for (let at = 0; at < 20; at += 1)
      await writeFile(join(here.path, `f${at}`), 'x'.repeat(4_096));
    const few = await measureTree(here.path, { ...everything, entriesMax: 5 }, signal);
    assert.equal(few.entries, 6);
    const small = await measureTree(here.path, { ...everything, bytesMax: 10_000 }, signal);
    assert.ok(small.bytes > 10_000 && small.entries < 20, JSON.stringify(small));
  });

  it('goes on when a directory that it is in is moved away', async () => {
    await using here = await treePlace();
    const at = (path: string): string => join(here.path, path);
    for (const name of ['a', 'b']) {
      await mkdir(at(`tree/${name}/c/d`), { recursive: true });
      await writeFile(at(`tree/${name}/c/d/file`), 'x');
    }
    await mkdir(at('outside/z'), { recursive: true });
    let moved = '';
    const paths = await pathsIn(at('tree'), (path) => {
      const inside = /^(a|b)\/c\/d$/.exec(path)?.[1];
      if (inside === undefined || moved !== '') return;
      moved = inside;
      renameSync(at(`tree/${moved}/c`), at('outside/c'));
    });
    const other = moved === 'a' ? 'b' : 'a';
    assert.ok(paths.includes(`${other}/c/d/file`), paths.join());
    assert.ok(!paths.some((path) => path.includes('z')), 'what is outside is not walked');
  });

  it('tells of directories of others that it may not read, and opens up its own', {
    skip: !isRoot && 'needs root',
  }, async () => {
    await using here = await treePlace();
    await chmod(here.path, 0o777);
    const mine = join(here.path, 'mine');
    await mkdir(join(here.path, 'theirs/sub'), { recursive: true });
    await writeFile(join(here.path, 'theirs/big'), Buffer.alloc(500_000, 1));
    for (const mode of [0o700, 0o711, 0o744]) {
      await chmod(join(here.path, 'theirs'), mode);
      const { closed } = await asNobody(() => measureTree(here.path, everything, signal));
      assert.equal(closed, 1, mode.toString(8));
    }
    const { bytes, closed } = await asNobody(async () => {
      await mkdir(mine);
      await writeFile(join(mine, 'big'), Buffer.alloc(500_000, 1));
      await chmod(mine, 0);
      return measureTree(mine, everything, signal);
    });
    assert.ok(bytes >= 500_000, `${bytes} bytes`);
    assert.equal(closed, 0);
  });
});
