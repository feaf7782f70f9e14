import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { Key } from 'interface-datastore';
import { SqliteDatastore } from '../../../src/store/datastore.ts';
import { temporary } from './fixtures.ts';

function openIn(context: TestContext, dir = temporary(context)): SqliteDatastore {
  const datastore = new SqliteDatastore(join(dir, 'datastore.db'), () => {});
  datastore.open();
  context.after(() => datastore.close());
  return datastore;
}

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));
const textOf = (value: Uint8Array): string => Buffer.from(value).toString();

async function all<T>(items: Iterable<T> | AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

test('put, get, has and delete', async (context) => {
  const datastore = openIn(context);
  const key = new Key('/a/b');
  assert.equal(await datastore.has(key), false);
  assert.equal(await datastore.put(key, bytes('one')), key);
  await datastore.put(key, bytes('two'));
  assert.equal(await datastore.has(key), true);
  const value = await datastore.get(key);
  assert.ok(value instanceof Uint8Array);
  assert.equal(textOf(value), 'two');
  await datastore.delete(key);
  await datastore.delete(key);
  await assert.rejects(async () => datastore.get(key), { name: 'NotFoundError' });
});

test('an empty value is a value', async (context) => {
  const datastore = openIn(context);
  await datastore.put(new Key('/empty'), new Uint8Array());
  assert.equal((await datastore.get(new Key('/empty'))).length, 0);
});

test('many at once, in order', async (context) => {
  const datastore = openIn(context);
  const pairs = Array.from({ length: 100 }, (_, at) => ({
    key: new Key(`/many/${at}`),
    value: bytes(`v${at}`),
  }));
  const keys = await all(datastore.putMany(pairs));
  assert.deepEqual(
    keys.map(String),
    pairs.map(({ key }) => key.toString()),
  );
  const got = await all(datastore.getMany(keys));
  assert.deepEqual(
    got.map(({ value }) => textOf(value)),
    pairs.map(({ value }) => textOf(value)),
  );
  await all(datastore.deleteMany(keys.slice(1)));
  assert.deepEqual((await all(datastore.queryKeys({}))).map(String), ['/many/0']);
});

test('a batch is done when it is committed, altogether, and may be used again', async (context) => {
  const datastore = openIn(context);
  await datastore.put(new Key('/old'), bytes('x'));
  const batch = datastore.batch();
  batch.put(new Key('/one'), bytes('1'));
  batch.put(new Key('/two'), bytes('2'));
  batch.delete(new Key('/old'));
  assert.equal(await datastore.has(new Key('/one')), false);
  await batch.commit();
  assert.deepEqual((await all(datastore.queryKeys({}))).map(String), ['/one', '/two']);
  batch.delete(new Key('/one'));
  await batch.commit();
  assert.deepEqual((await all(datastore.queryKeys({}))).map(String), ['/two']);
});

test('a batch with a value that cannot be stored changes nothing', async (context) => {
  const datastore = openIn(context);
  const batch = datastore.batch();
  batch.put(new Key('/one'), bytes('1'));
  batch.put(new Key('/two'), null as never);
  await assert.rejects(async () => batch.commit());
  assert.deepEqual(await all(datastore.queryKeys({})), []);
});

test('queries: prefix, filters, orders, offset and limit', async (context) => {
  const datastore = openIn(context);
  for (const name of ['/a/1', '/a/2', '/a/3', '/ab/1', '/b/1', '/é/1'])
    await datastore.put(new Key(name), bytes(name));
  const names = async (query: Parameters<typeof datastore.query>[0]) =>
    (await all(datastore.query(query))).map(({ key, value }) => {
      assert.equal(key.toString(), textOf(value));
      return key.toString();
    });
  assert.deepEqual(await names({}), ['/a/1', '/a/2', '/a/3', '/ab/1', '/b/1', '/é/1']);
  assert.deepEqual(await names({ prefix: '/a' }), ['/a/1', '/a/2', '/a/3', '/ab/1']);
  assert.deepEqual(await names({ prefix: '/a/' }), ['/a/1', '/a/2', '/a/3']);
  assert.deepEqual(await names({ prefix: '/é' }), ['/é/1']);
  assert.deepEqual(await names({ prefix: '/none' }), []);
  assert.deepEqual(await names({ prefix: '/a/', offset: 1, limit: 1 }), ['/a/2']);
  assert.deepEqual(
    await names({ filters: [({ key }) => key.toString().endsWith('1')], limit: 2 }),
    ['/a/1', '/ab/1'],
  );
  const backwards = (a: { key: Key }, b: { key: Key }) =>
    a.key.toString() < b.key.toString() ? 1 : -1;
  assert.deepEqual(await names({ prefix: '/a/', orders: [backwards] }), ['/a/3', '/a/2', '/a/1']);
});

test('a query over many pages sees each key once, while others write and delete', async (context) => {
  const datastore = openIn(context);
  const batch = datastore.batch();
  for (let at = 0; at < 1_000; at += 1)
    batch.put(new Key(`/page/${String(at).padStart(4, '0')}`), bytes('x'));
  await batch.commit();
  assert.equal((await all(datastore.query({ prefix: '/page', limit: 2_000 }))).length, 1_000);
  const seen: string[] = [];
  for await (const key of datastore.queryKeys({ prefix: '/page' })) {
    seen.push(key.toString());
    await datastore.delete(key);
  }
  assert.deepEqual([seen.length, new Set(seen).size], [1_000, 1_000]);
  assert.deepEqual(await all(datastore.queryKeys({})), []);
});

test('an aborted signal ends each operation before it begins', async (context) => {
  const datastore = openIn(context);
  const signal = AbortSignal.abort();
  const key = new Key('/a');
  const batch = datastore.batch();
  batch.put(key, bytes('x'));
  await assert.rejects(async () => datastore.put(key, bytes('x'), { signal }));
  await assert.rejects(async () => datastore.get(key, { signal }));
  await assert.rejects(async () => datastore.has(key, { signal }));
  await assert.rejects(async () => datastore.delete(key, { signal }));
  await assert.rejects(async () => batch.commit({ signal }));
  await assert.rejects(async () => all(datastore.query({}, { signal })));
  assert.deepEqual(await all(datastore.queryKeys({})), []);
});

test('it is there again after closing and opening, and closed in between', async (context) => {
  const dir = temporary(context);
  const datastore = openIn(context, dir);
  await datastore.put(new Key('/kept'), bytes('x'));
  datastore.open();
  datastore.close();
  datastore.close();
  await assert.rejects(async () => datastore.get(new Key('/kept')), { name: 'OpenFailedError' });
  datastore.open();
  assert.equal(textOf(await datastore.get(new Key('/kept'))), 'x');
});
