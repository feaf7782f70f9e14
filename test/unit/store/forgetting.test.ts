/**
 * A store that has forgotten something of what its promises rest on never answers under its old id; one
 * damaged row of which that is certain costs the job that it is of, and nothing else.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import type { JobId } from '../../../src/core/record/ids.ts';
import type { StoreWrite } from '../../../src/core/contract/stored.ts';
import type { RowCodec, Table } from '../../../src/store/row-codec.ts';
import { openStore } from '../../../src/store/store.ts';
import type { Store } from '../../../src/store/store.ts';
import { jobNumber, temporary } from './fixtures.ts';

/** What a row says does not matter here. */
const json = {
  encode: (row: unknown) => new TextEncoder().encode(JSON.stringify(row)),
  decode: (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes)) as never,
};
const codec = new Proxy({}, { get: () => json }) as RowCodec;

function opened(context: TestContext, dir: string): Store {
  const store = openStore(dir, { codec, random: randomBytes });
  context.after(() => store.close());
  return store;
}

const row = (table: Table, job: number, key: string, value: unknown): StoreWrite =>
  ({ table, job: jobNumber(job), key, value }) as never;
const records = (job: number, round: number): readonly StoreWrite[] =>
  ['spec', 'admission', 'assign/0/0'].map((key) => row('records', job, key, { round, key }));
const shelf = (job: number): StoreWrite => row('shelved', job, 'shelved', { until: 1 });

/** Jobs 1 and 2 are open, 3 is over. */
const everything = (round: number): readonly StoreWrite[] => [
  ...[1, 2, 3].flatMap((job) => records(job, round)),
  ...[1, 2].map((job) => row('promises', job, 'p', { round })),
  ...[1, 2].map((job) => row('accepted', job, 'assign/1/0', { round })),
  ...[1, 3].map((job) => row('submissions', job, 'admission', { round })),
  shelf(3),
];

const codes = (store: Store): readonly string[] => store.problems.map(({ code }) => code);
const jobsOf = (rows: readonly { readonly job: JobId }[]): readonly JobId[] => [
  ...new Set(rows.map(({ job }) => job)),
];

function tamper(dir: string, sql: string, ...values: (string | Uint8Array)[]): void {
  const database = new DatabaseSync(join(dir, 'store.db'));
  assert.equal(Number(database.prepare(sql).run(...values).changes), 1, 'one row is changed');
  database.close();
}

/** A closed store, written twice. */
function filled(context: TestContext): { readonly dir: string; readonly id: string } {
  const dir = temporary(context);
  const store = opened(context, dir);
  store.apply(everything(1));
  store.close();
  copyFileSync(join(dir, 'store.db'), join(dir, 'older.db'));
  const again = opened(context, dir);
  again.apply(everything(2));
  again.close();
  return { dir, id: store.id };
}

const binding = ['records', 'promises', 'accepted', 'submissions'] as const;

describe('a row that promises rest on', () => {
  const lost = (context: TestContext, dir: string, id: string): void => {
    const store = opened(context, dir);
    assert.deepEqual(codes(store), ['promises-damaged']);
    assert.notEqual(store.id, id);
    const { promises, accepted, forfeits } = store.restore();
    assert.deepEqual([promises, accepted, forfeits], [[], [], []]);
    store.close();
    const again = opened(context, dir);
    assert.deepEqual([codes(again), again.id], [[], store.id], 'it is told once');
  };

  for (const table of binding) {
    test(`of ${table} that is gone costs the store its id`, (context) => {
      const { dir, id } = filled(context);
      const where = `rowid = (SELECT max(rowid) FROM ${table} WHERE job = ?)`;
      tamper(dir, `DELETE FROM ${table} WHERE ${where}`, jobNumber(1));
      lost(context, dir, id);
    });

    test(`of ${table} that is as it was before costs the store its id`, (context) => {
      const { dir, id } = filled(context);
      const older = new DatabaseSync(join(dir, 'older.db'));
      const before = older.prepare(`SELECT * FROM ${table} WHERE job = ?`).get(jobNumber(1));
      older.close();
      const { key, bytes, sha256 } = before as Record<'key', string> &
        Record<'bytes' | 'sha256', Uint8Array>;
      const sql = `UPDATE ${table} SET bytes = ?, sha256 = ? WHERE job = ? AND key = ?`;
      tamper(dir, sql, bytes, sha256, jobNumber(1), key);
      lost(context, dir, id);
    });
  }

  test('of another job that was copied over it costs the store its id', (context) => {
    const { dir, id } = filled(context);
    const database = new DatabaseSync(join(dir, 'store.db'));
    database.exec(`UPDATE accepted SET (bytes, sha256) =
      (SELECT bytes, sha256 FROM accepted WHERE job = '${jobNumber(2)}')`);
    database.close();
    const store = opened(context, dir);
    assert.deepEqual(codes(store), ['row-damaged', 'promises-damaged']);
    assert.notEqual(store.id, id);
  });

  test('which says that a job is over costs the store its id when it is gone', (context) => {
    const { dir, id } = filled(context);
    tamper(dir, 'DELETE FROM shelved');
    lost(context, dir, id);
  });

  test('of a job that is over binds nobody any more', (context) => {
    const { dir, id } = filled(context);
    tamper(dir, `DELETE FROM records WHERE job = ? AND key = 'spec'`, jobNumber(3));
    const store = opened(context, dir);
    assert.deepEqual([codes(store), store.id], [[], id]);
  });
});

describe('a damaged row', () => {
  for (const table of binding) {
    test(`of ${table} costs the job that it is of, for good, and nothing else`, (context) => {
      const { dir, id } = filled(context);
      const sql = `UPDATE ${table} SET bytes = x'7b7d'
        WHERE rowid = (SELECT max(rowid) FROM ${table} WHERE job = ?)`;
      tamper(dir, sql, jobNumber(1));
      const store = opened(context, dir);
      assert.deepEqual(codes(store), ['row-damaged', 'job-forfeited']);
      assert.match(store.problems[1]?.detail ?? '', new RegExp(`${jobNumber(1)} no longer`));
      assert.equal(store.id, id);
      const { forfeits, promises, records: left } = store.restore();
      assert.deepEqual(forfeits, [jobNumber(1)]);
      assert.deepEqual([jobsOf(promises).includes(jobNumber(2)), left.length >= 5], [true, true]);
      store.apply(everything(3));
      store.close();
      const again = opened(context, dir);
      assert.deepEqual([codes(again), again.id], [[], id]);
      assert.deepEqual(again.restore().forfeits, [jobNumber(1)]);
    });
  }

  test('and another that is gone cost the store its id', (context) => {
    const { dir, id } = filled(context);
    tamper(dir, `UPDATE promises SET bytes = x'7b7d' WHERE job = ?`, jobNumber(1));
    tamper(dir, `DELETE FROM accepted WHERE job = ?`, jobNumber(2));
    assert.notEqual(opened(context, dir).id, id);
  });

  test('of a job of which nothing else is left costs the store its id', (context) => {
    const { dir, id } = filled(context);
    tamper(dir, `UPDATE promises SET job = 'j-9' WHERE job = ?`, jobNumber(1));
    assert.notEqual(opened(context, dir).id, id);
  });

  test('in each of more than 64 jobs says that the disk is not to be trusted', (context) => {
    for (const [jobs, kept] of [
      [64, true],
      [65, false],
    ] as const) {
      const dir = temporary(context);
      const store = opened(context, dir);
      store.apply(Array.from({ length: jobs }, (_, job) => records(job, 1)).flat());
      store.close();
      const database = new DatabaseSync(join(dir, 'store.db'));
      database.exec(`UPDATE records SET bytes = x'7b7d' WHERE key = 'admission'`);
      database.close();
      assert.equal(opened(context, dir).id === store.id, kept, `${jobs} jobs`);
    }
  });

  test('costs the store its id when what was written down of it is gone later', (context) => {
    const { dir, id } = filled(context);
    tamper(dir, `UPDATE promises SET bytes = x'7b7d' WHERE job = ?`, jobNumber(1));
    opened(context, dir).close();
    tamper(dir, 'DELETE FROM forfeits');
    assert.notEqual(opened(context, dir).id, id);
  });

  test('of an execution costs neither', (context) => {
    const { dir, id } = filled(context);
    const store = opened(context, dir);
    store.apply([row('executions', 1, 'e', {}), row('entrusted', 1, 'e', {})]);
    store.close();
    tamper(dir, `UPDATE executions SET bytes = x'7b'`);
    const again = opened(context, dir);
    assert.deepEqual([codes(again), again.id], [['row-damaged'], id]);
    assert.deepEqual(again.restore().forfeits, []);
  });
});

test('whatever page of an older file is put back, nothing is served as it was then', (context) => {
  const PAGE = 4_096;
  const dir = temporary(context);
  let store = opened(context, dir);
  const write = (round: number): void => {
    const jobs = Array.from({ length: 40 }, (_, job) => job);
    store.apply(jobs.flatMap((job) => [...records(job, round), row('promises', job, 'p', round)]));
    store.close();
  };
  write(1);
  const older = readFileSync(join(dir, 'store.db'));
  store = opened(context, dir);
  write(2);
  const newer = readFileSync(join(dir, 'store.db'));
  const counter = readFileSync(join(dir, 'store.generation'));
  let differing = 0;
  for (let at = 0; at < Math.min(older.length, newer.length); at += PAGE) {
    const page = older.subarray(at, at + PAGE);
    if (page.equals(newer.subarray(at, at + PAGE))) continue;
    differing += 1;
    const mixed = Buffer.from(newer);
    mixed.set(page, at);
    writeFileSync(join(dir, 'store.db'), mixed);
    writeFileSync(join(dir, 'store.generation'), counter);
    const again = opened(context, dir);
    if (again.id === store.id) {
      for (const { value } of again.restore().records)
        assert.equal((value as unknown as { round: number }).round, 2, `page ${at / PAGE}`);
      assert.equal(again.restore().promises.length, 40, `page ${at / PAGE}`);
    }
    again.close();
    rmSync(join(dir, 'store.db'));
  }
  assert.ok(differing > 5, `${differing} pages differ`);
});

test('whatever is written, deleted, shelved and taken from the shelf, there is no false alarm', (context) => {
  const tables = [...binding, 'shelved', 'executions'] as const;
  const write = fc
    .record({
      table: fc.constantFrom(...tables),
      job: fc.nat(2),
      key: fc.constantFrom('a', 'b', '*'),
      value: fc.option(fc.nat(3)),
    })
    .filter(({ key, value }) => key !== '*' || value === null)
    .map(({ table, job, key, value }) => row(table, job, key, value));
  const history = fc.array(fc.array(write, { maxLength: 8 }), { maxLength: 6 });
  fc.assert(
    fc.property(history, (batches) => {
      const dir = temporary(context);
      const store = opened(context, dir);
      for (const batch of batches) store.apply(batch);
      store.close();
      const again = opened(context, dir);
      assert.deepEqual([codes(again), again.id], [[], store.id]);
      again.close();
    }),
    { numRuns: 40 },
  );
});
