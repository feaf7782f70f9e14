/** The datastore holds what can be learned again: nothing that happens to its file ends a peer. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { Key } from 'interface-datastore';
import { SqliteDatastore } from '../../../src/store/datastore.ts';
import { temporary } from './fixtures.ts';

const PAGE = 4_096;
const COUNT = 400;
const keyOf = (at: number): Key => new Key(`/peers/${String(at).padStart(4, '0')}`);
const valueOf = (at: number): Uint8Array => new Uint8Array(200).fill(at % 251);

interface Opened {
  readonly datastore: SqliteDatastore;
  readonly troubles: string[];
}

function openAt(context: TestContext, path: string): Opened {
  const troubles: string[] = [];
  const datastore = new SqliteDatastore(path, (what) => troubles.push(what));
  datastore.open();
  context.after(() => datastore.close());
  return { datastore, troubles };
}

/** A file with many pages; closed. */
async function filled(context: TestContext): Promise<string> {
  const path = join(temporary(context), 'peers.db');
  const { datastore } = openAt(context, path);
  const batch = datastore.batch();
  for (let at = 0; at < COUNT; at += 1) batch.put(keyOf(at), valueOf(at));
  await batch.commit();
  datastore.close();
  return path;
}

/** Everything that is there, which must be what was put. */
async function soundCount(datastore: SqliteDatastore): Promise<number> {
  let count = 0;
  for await (const { key, value } of datastore.query({ prefix: '/peers' })) {
    const at = Number(key.name());
    assert.deepEqual(Buffer.from(value), Buffer.from(valueOf(at)), key.toString());
    count += 1;
  }
  return count;
}

function change(path: string, from: number, bytes: Uint8Array): void {
  const content = readFileSync(path);
  content.set(bytes, from);
  writeFileSync(path, content);
}

const halfway = (path: string): number => Math.floor(statSync(path).size / PAGE / 2) * PAGE;

/** Least number of rows that must survive. */
const damages: readonly (readonly [string, (path: string) => void, number])[] = [
  ['is empty', (path) => writeFileSync(path, ''), 0],
  ['is cut short', (path) => truncateSync(path, halfway(path)), 0],
  ['is cut within a page', (path) => truncateSync(path, halfway(path) + 100), 0],
  ['has a zeroed page', (path) => change(path, halfway(path), new Uint8Array(PAGE)), 100],
  [
    'has a page of noise',
    (path) => change(path, halfway(path), new Uint8Array(PAGE).fill(0xa5)),
    100,
  ],
  ['has a header of noise', (path) => change(path, 0, new Uint8Array(100).fill(0xa5)), 0],
  ['has a first page of zeros', (path) => change(path, 0, new Uint8Array(PAGE)), 0],
  [
    'has a changed byte inside a value',
    (path) => change(path, readFileSync(path).indexOf(valueOf(77)) + 50, Uint8Array.of(1)),
    COUNT - 1,
  ],
  ['is text', (path) => writeFileSync(path, 'no database at all. '.repeat(500)), 0],
  [
    'has a log that is noise',
    (path) => writeFileSync(`${path}-wal`, new Uint8Array(9_000).fill(7)),
    0,
  ],
];

describe('a datastore whose file', () => {
  for (const [what, damage, least] of damages) {
    test(`${what} opens, reads only what was put, and takes new things`, async (context) => {
      const path = await filled(context);
      damage(path);
      const { datastore } = openAt(context, path);
      assert.ok((await soundCount(datastore)) >= least);
      await datastore.put(new Key('/new'), valueOf(1));
      datastore.close();
      const again = openAt(context, path);
      assert.deepEqual(again.troubles, [], 'it is mended');
      assert.ok(await again.datastore.has(new Key('/new')));
    });

    test(`${what} while it is used goes on`, async (context) => {
      const path = await filled(context);
      const { datastore } = openAt(context, path);
      damage(path);
      await soundCount(datastore);
      for (let at = 0; at < COUNT; at += 1) await datastore.put(keyOf(at), valueOf(at));
      await datastore.delete(keyOf(0));
      assert.ok(await datastore.has(keyOf(1)));
    });
  }

  test('is a directory is set aside', async (context) => {
    const path = join(temporary(context), 'peers.db');
    mkdirSync(join(path, 'below'), { recursive: true });
    const { datastore, troubles } = openAt(context, path);
    assert.deepEqual(troubles, ['set-aside']);
    await datastore.put(keyOf(1), valueOf(1));
    assert.ok(statSync(path).isFile());
    assert.ok(readdirSync(`${path}.damaged-1`).includes('below'));
  });

  test('nobody may read is none', async (context) => {
    const path = await filled(context);
    chmodSync(path, 0);
    const { datastore } = openAt(context, path);
    await datastore.put(keyOf(1), valueOf(1));
    assert.ok(await datastore.has(keyOf(1)));
  });

  test('cannot be had at all stays in memory', async (context) => {
    const dir = temporary(context);
    writeFileSync(join(dir, 'file'), '');
    const { datastore, troubles } = openAt(context, join(dir, 'file', 'below-a-file'));
    assert.deepEqual(troubles, ['in-memory']);
    await datastore.put(keyOf(1), valueOf(1));
    assert.equal(await soundCount(datastore), 1);
  });
});
