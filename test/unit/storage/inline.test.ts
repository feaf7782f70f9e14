import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { encodeDataUrl } from '../../../src/job/inline.ts';
import { createInlineSource } from '../../../src/storage/inline-source.ts';
import { ENTRY_BYTES } from '../../../src/lib/walk-tree.ts';
import { TarError, isTar, readTar } from '../../../src/storage/tar.ts';
import { failureOf, inputOf, place } from './support.ts';

const source = createInlineSource(100_000);
const urlOf = (bytes: Uint8Array, type: string) =>
  inputOf('inline', { URL: encodeDataUrl(bytes, type) }, '/in');

/** One ustar entry, for archives that no tar program would make. */
function entry(name: string, body: string, type = '0', size = body.length): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write('0000644\0', 100);
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  header.write('        ', 148);
  header.write(type, 156);
  header.write('ustar\0', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([
    header,
    Buffer.from(body),
    Buffer.alloc((512 - (body.length % 512)) % 512),
  ]);
}
const archive = (...entries: readonly Buffer[]): Buffer =>
  Buffer.concat([...entries, Buffer.alloc(1_024)]);

describe('inline inputs', () => {
  it('become one file that the job may write to', async () => {
    await using here = await place();
    const staged = await source.stage(
      inputOf('inline', { URL: 'data:text/plain,hello%20there' }),
      here.context('a'),
    );
    assert.equal(await readFile(join(here.path, 'a'), 'utf8'), 'hello there');
    assert.deepEqual(staged.mounts, [
      { source: join(here.path, 'a'), target: '/in', writable: true },
    ]);
    assert.equal(staged.bytes, 11);
  });

  it('become a directory when they are a packed archive of any tar program', async () => {
    for (const format of ['ustar', 'pax', 'gnu']) {
      await using here = await place();
      const long = `${'d'.repeat(90)}/${'f'.repeat(90)}`;
      await mkdir(join(here.path, 'src', 'd'.repeat(90)), { recursive: true });
      await mkdir(join(here.path, 'src/empty'));
      await writeFile(join(here.path, 'src', long), 'long name');
      await writeFile(join(here.path, 'src/run.sh'), '#!/bin/sh\n', { mode: 0o755 });
      const packed = execFileSync('tar', [
        '-C',
        join(here.path, 'src'),
        `--format=${format}`,
        '-cz',
        '.',
      ]);
      const staged = await source.stage(urlOf(packed, 'application/gzip'), here.context('a'));
      assert.equal(await readFile(join(here.path, 'a', long), 'utf8'), 'long name', format);
      assert.notEqual((await stat(join(here.path, 'a/run.sh'))).mode & 0o100, 0, format);
      assert.deepEqual(
        (await readdir(join(here.path, 'a'))).sort(),
        ['d'.repeat(90), 'empty', 'run.sh'],
        format,
      );
      assert.equal(staged.bytes, 19, format);
    }
  });

  it('stay packed when they are compressed but no archive', async () => {
    await using here = await place();
    const packed = gzipSync('just text');
    await source.stage(urlOf(packed, 'application/gzip'), here.context('a'));
    assert.deepEqual(await readFile(join(here.path, 'a')), packed);
  });

  it('are refused when they hold too much, packed or unpacked, and nothing is written', async () => {
    await using here = await place();
    const bomb = gzipSync(archive(entry('zeros', '\0'.repeat(200_000))));
    assert.ok(bomb.length < 2_000);
    const many = gzipSync(Buffer.alloc(50_000_000));
    assert.equal(
      await failureOf(source.stage(urlOf(bomb, 'application/gzip'), here.context('a'))),
      'limit input-too-large',
    );
    assert.equal(
      await failureOf(source.stage(urlOf(many, 'application/gzip'), here.context('a'))),
      'limit input-too-large',
    );
    assert.equal(
      await failureOf(source.stage(urlOf(Buffer.alloc(100_001), 'text/plain'), here.context('a'))),
      'limit input-too-large',
    );
    assert.equal(
      await failureOf(
        source.stage(urlOf(Buffer.alloc(11), 'text/plain'), here.context('a', { maxBytes: 10 })),
      ),
      'limit input-too-large',
    );
    assert.deepEqual(await readdir(here.path), []);
  });

  it('count the directories that are only part of a path', async () => {
    await using here = await place();
    const deep = (top: number): Buffer => {
      const path = `${top}/${'d/'.repeat(1_200)}f`;
      return Buffer.concat([entry('long', `${path}\0`, 'L'), entry('f', '')]);
    };
    let spent = 0;
    const spend = (bytes: number): void => void (spent += bytes);
    const generous = createInlineSource(1_000_000);
    const one = urlOf(gzipSync(archive(deep(0))), 'application/gzip');
    await generous.stage(one, here.context('a', { spend }));
    assert.equal(spent, 1_202 * ENTRY_BYTES);
    const bomb = gzipSync(archive(...Array.from({ length: 20 }, (_, top) => deep(top))));
    assert.ok(bomb.length < 2_000);
    assert.equal(
      await failureOf(generous.stage(urlOf(bomb, 'application/gzip'), here.context('b'))),
      'limit input-too-large',
    );
    assert.deepEqual(await readdir(here.path), ['a']);
  });

  it('never write outside of their directory, and take no links or devices', async () => {
    const bad: Readonly<Record<string, Buffer>> = {
      upwards: entry('../escape', 'x'),
      'upwards inside': entry('a/../../escape', 'x'),
      absolute: entry('/tmp/escape', 'x'),
      symlink: entry('link', '', '2'),
      'hard link': entry('link', '', '1'),
      device: entry('null', '', '3'),
      fifo: entry('pipe', '', '6'),
      'cut off': entry('file', 'short', '0', 5_000),
      'file as directory': Buffer.concat([entry('a', 'x'), entry('a/b', 'x')]),
      'directory as file': Buffer.concat([entry('a/b', 'x'), entry('a', 'x')]),
    };
    for (const [what, bytes] of Object.entries(bad)) {
      await using here = await place();
      const packed = gzipSync(what === 'cut off' ? bytes : archive(bytes));
      assert.equal(
        await failureOf(source.stage(urlOf(packed, 'application/gzip'), here.context('in'))),
        'spec input-invalid',
        what,
      );
      assert.deepEqual(
        (await readdir(here.path)).filter((name) => name !== 'in'),
        [],
        what,
      );
    }
  });

  it('are refused when they cannot be read', async () => {
    await using here = await place();
    const damaged = gzipSync(Buffer.alloc(5_000, 'x')).subarray(0, 20);
    for (const [what, input] of Object.entries({
      'not a data URL': inputOf('inline', { URL: 'http://example.org' }),
      'no URL': inputOf('inline', {}),
      damaged: urlOf(damaged, 'application/gzip'),
    })) {
      assert.equal(
        await failureOf(source.stage(input, here.context('a'))),
        'spec input-invalid',
        what,
      );
    }
  });
});

describe('reading tar archives', () => {
  it('never fails but with a TarError, whatever the bytes', () => {
    const good = archive(
      entry('a', 'hello'),
      entry('b/', '', '5'),
      entry('pax', '20 path=somewhere/x\n', 'x'),
      entry('c', 'x'),
    );
    assert.deepEqual(
      readTar(good, 100).map(({ path, kind }) => `${kind} ${path}`),
      ['file a', 'directory b', 'file somewhere/x'],
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 8 }),
        fc.nat(good.length),
        (changes, cut) => {
          const bytes = Buffer.from(good);
          for (const [at, byte] of changes) bytes[at] = byte;
          for (const each of [bytes, bytes.subarray(0, cut)]) {
            try {
              isTar(each);
              for (const { path } of readTar(each, 100))
                assert.ok(!path.split('/').includes('..') && !path.startsWith('/'), path);
            } catch (error) {
              assert.ok(error instanceof TarError, String(error));
            }
          }
        },
      ),
    );
  });

  it('reads a pax header once, however its lengths are written', () => {
    const body = `${'0'.repeat(2_000_000)}1 `;
    const from = performance.now();
    assert.throws(() => readTar(archive(entry('pax', body, 'x')), 100), TarError);
    assert.ok(performance.now() - from < 5_000);
  });

  it('comes to the end of a pax header that has none', () => {
    for (const body of ['x', ' ', ' a=\n', '5 a=\nx', '4 a=\n5 a=\n', '0 a=\n', '1 \n'])
      assert.throws(() => readTar(archive(entry('pax', body, 'x')), 100), TarError, body);
  });

  it('reads no name or header without end', () => {
    for (const type of ['L', 'x']) {
      const lines = '5 a=\n'.repeat(200_000);
      assert.equal(readTar(archive(entry('head', lines, type)), 100).length, 0);
      const longer = archive(entry('head', `${lines}5 a=\n`, type));
      assert.throws(() => readTar(longer, 100), /header of more than/);
    }
  });

  it('stops at the number of entries that are allowed', () => {
    const many = archive(...Array.from({ length: 50 }, (_, index) => entry(`f${index}`, '')));
    assert.equal(readTar(many, 10).length, 11);
  });
});
