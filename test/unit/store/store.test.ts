import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { StoreWrite } from '../../../src/core/contract/stored.ts';
import {
  acceptedWrite,
  grant,
  jobNumber,
  opened,
  promiseWrite,
  recordWrite,
  temporary,
} from './fixtures.ts';

const codes = (store: { readonly problems: readonly { readonly code: string }[] }): string[] =>
  store.problems.map(({ code }) => code);

/** Changes the closed store's file behind its back. */
function tamper(dir: string, work: (database: DatabaseSync) => void): void {
  const database = new DatabaseSync(join(dir, 'store.db'));
  work(database);
  database.close();
}

const ofGrant = (write: StoreWrite) =>
  write.table === 'records' && write.value !== null
    ? { job: write.job, key: write.key, id: write.value.record.id }
    : null;

test('what was written is there again, each table in order, under the same id', (context) => {
  const dir = temporary(context);
  const store = opened(context, dir);
  assert.deepEqual(codes(store), []);
  store.apply([recordWrite(2), recordWrite(1), promiseWrite(1, 7), acceptedWrite(1, 3)]);
  const before = store.restore();
  store.close();
  const again = opened(context, dir);
  assert.deepEqual(codes(again), []);
  assert.equal(again.id, store.id);
  assert.deepEqual(again.restore(), before);
  assert.deepEqual(
    before.records.map(({ job }) => job),
    [jobNumber(1), jobNumber(2)],
  );
  assert.equal(before.promises[0]?.value.number, 7);
  assert.equal(before.accepted[0]?.key, 'assign/1/3/0');
});

test('a record comes back as the very bytes that were signed', (context) => {
  const dir = temporary(context);
  const store = opened(context, dir);
  const write = recordWrite(1);
  store.apply([write]);
  store.close();
  const [row] = opened(context, dir).restore().records;
  assert.deepEqual({ job: row?.job, key: row?.key, id: row?.value.record.id }, ofGrant(write));
});

test('a later write replaces, null deletes, and restore tells the present', (context) => {
  const store = opened(context, temporary(context));
  store.apply([promiseWrite(1, 1), promiseWrite(2, 1), acceptedWrite(1, 1)]);
  store.apply([
    promiseWrite(1, 2),
    { ...promiseWrite(2, 1), value: null } as StoreWrite,
    { ...acceptedWrite(1, 1), value: null } as StoreWrite,
    { ...recordWrite(9), value: null } as StoreWrite,
  ]);
  const { promises, accepted, records } = store.restore();
  assert.deepEqual(
    promises.map(({ job, value }) => [job, value.number]),
    [[jobNumber(1), 2]],
  );
  assert.deepEqual([accepted.length, records.length], [0, 0]);
});

test('the digest of the promises follows every change: no false alarm after replacing and deleting', (context) => {
  const dir = temporary(context);
  const store = opened(context, dir);
  for (let round = 0; round < 20; round += 1) {
    store.apply([promiseWrite(round % 3, round), acceptedWrite(round % 4, round % 2)]);
    if (round % 5 === 0)
      store.apply([{ ...acceptedWrite(round % 4, round % 2), value: null } as StoreWrite]);
  }
  store.close();
  const again = opened(context, dir);
  assert.deepEqual([codes(again), again.id], [[], store.id]);
});

test('a transaction that fails in the middle leaves nothing behind', (context) => {
  const dir = temporary(context);
  const store = opened(context, dir);
  const wrong = {
    table: 'promises',
    job: jobNumber(3),
    key: Symbol('no key'),
    value: null,
  } as never;
  assert.throws(() => store.apply([promiseWrite(1, 1), wrong]), { name: 'ShoalError' });
  assert.equal(store.restore().promises.length, 0);
  store.apply([promiseWrite(1, 1)]);
  store.close();
  assert.deepEqual(codes(opened(context, dir)), []);
});

for (const table of ['records', 'promises', 'accepted'] as const) {
  test(`a damaged byte in ${table} is found, set aside and reported; the others are served`, (context) => {
    const dir = temporary(context);
    const store = opened(context, dir);
    store.apply([
      recordWrite(1),
      recordWrite(2),
      promiseWrite(1, 1),
      promiseWrite(2, 2),
      acceptedWrite(1, 1),
      acceptedWrite(2, 1),
    ]);
    store.close();
    tamper(dir, (database) => {
      const row = database.prepare(`SELECT bytes FROM ${table} WHERE job = ?`).get(jobNumber(1));
      const bytes = row?.['bytes'] as Uint8Array;
      bytes[9] = (bytes[9] ?? 0) ^ 0x10;
      database.prepare(`UPDATE ${table} SET bytes = ? WHERE job = ?`).run(bytes, jobNumber(1));
    });
    const again = opened(context, dir);
    const restored = again.restore();
    assert.deepEqual(
      restored.records.map(({ job }) => job),
      table === 'records' ? [jobNumber(2)] : [jobNumber(1), jobNumber(2)],
    );
    // Of job 1 a record is left that says whose promise it was; without it nothing is certain.
    const certain = table !== 'records';
    assert.deepEqual(codes(again), ['row-damaged', certain ? 'job-forfeited' : 'promises-damaged']);
    assert.equal(again.id === store.id, certain);
    assert.equal(restored.promises.length + restored.accepted.length, certain ? 3 : 0);
    again.close();
    const third = opened(context, dir);
    assert.deepEqual([codes(third), third.id], [[], again.id], 'it is reported once');
    third.close();
    tamper(dir, (database) => {
      const rows = database.prepare('SELECT origin, job, why FROM quarantine').all();
      assert.deepEqual(
        rows.map((row) => ({ ...row })),
        [{ origin: table, job: jobNumber(1), why: 'hash' }],
      );
    });
  });
}

test('a row that was moved to another key is damaged, though its bytes are sound', (context) => {
  const dir = temporary(context);
  const store = opened(context, dir);
  store.apply([recordWrite(1)]);
  store.close();
  tamper(dir, (database) => database.exec(`UPDATE records SET key = 'close/1'`));
  const again = opened(context, dir);
  assert.deepEqual(
    [codes(again), again.restore().records],
    [['row-damaged', 'promises-damaged'], []],
  );
});

test('a row that hashes well but is no row of its table is set aside', (context) => {
  const dir = temporary(context);
  const store = opened(context, dir);
  const job = jobNumber(1);
  store.apply([
    {
      table: 'promises',
      job,
      key: 'promise',
      value: { config: { major: 0, minor: 0 }, number: 1, leader: 'nobody' } as never,
    },
  ]);
  store.close();
  assert.deepEqual(codes(opened(context, dir)), ['row-damaged', 'promises-damaged']);
});

test('a promise that is missing altogether is noticed', (context) => {
  const dir = temporary(context);
  const store = opened(context, dir);
  store.apply([promiseWrite(1, 1), promiseWrite(2, 2)]);
  store.close();
  tamper(dir, (database) =>
    database.prepare('DELETE FROM promises WHERE job = ?').run(jobNumber(2)),
  );
  const again = opened(context, dir);
  assert.deepEqual(codes(again), ['promises-damaged']);
  assert.notEqual(again.id, store.id);
});

test('a backup of the same run that is put back gets a new id, and its promises are dropped', (context) => {
  const dir = temporary(context);
  const store = opened(context, dir);
  store.apply([promiseWrite(1, 1), recordWrite(1)]);
  tamper(dir, (database) => database.exec('PRAGMA wal_checkpoint(TRUNCATE)'));
  copyFileSync(join(dir, 'store.db'), join(dir, 'backup'));
  store.apply([promiseWrite(1, 2)]);
  store.close();
  copyFileSync(join(dir, 'backup'), join(dir, 'store.db'));
  const again = opened(context, dir);
  assert.deepEqual(codes(again), ['older-backup']);
  assert.notEqual(again.id, store.id);
  assert.deepEqual([again.restore().promises.length, again.restore().records.length], [0, 1]);
  again.close();
  assert.deepEqual(codes(opened(context, dir)), []);
});

test('a store that lost its newest commits gets a new id', (context) => {
  const dir = temporary(context);
  const store = opened(context, dir);
  store.apply([promiseWrite(1, 1)]);
  store.close();
  const longer = opened(context, dir);
  longer.apply([promiseWrite(1, 2)]);
  // The log holds the second commit; without it the file is sound but old.
  for (const suffix of ['', '-shm', '-wal'])
    copyFileSync(join(dir, `store.db${suffix}`), join(dir, `copy${suffix}`));
  longer.close();
  copyFileSync(join(dir, 'copy'), join(dir, 'store.db'));
  const again = opened(context, dir);
  assert.deepEqual([codes(again), again.id === store.id], [['older-backup'], false]);
});

test('a counter that lags behind, as after a power cut, is no alarm', (context) => {
  const dir = temporary(context);
  const store = opened(context, dir);
  const early = readFileSync(join(dir, 'store.generation'));
  store.apply([promiseWrite(1, 1)]);
  store.close();
  assert.notDeepEqual(readFileSync(join(dir, 'store.generation')), early);
  writeFileSync(join(dir, 'store.generation'), early);
  const again = opened(context, dir);
  assert.deepEqual([codes(again), again.id], [[], store.id]);
});

test('a counter that is missing or damaged costs the id', (context) => {
  const dir = temporary(context);
  let last = opened(context, dir);
  last.close();
  for (const damage of [
    () => rmSync(join(dir, 'store.generation')),
    () => writeFileSync(join(dir, 'store.generation'), 'x'),
  ]) {
    damage();
    const again = opened(context, dir);
    assert.deepEqual(codes(again), ['counter-unreadable']);
    assert.notEqual(again.id, last.id);
    again.close();
    last = again;
  }
});

test('a store that is gone is begun anew, and said so', (context) => {
  const dir = temporary(context);
  const store = opened(context, dir);
  store.apply([recordWrite(1)]);
  store.close();
  rmSync(join(dir, 'store.db'));
  const again = opened(context, dir);
  assert.deepEqual(
    [codes(again), again.restore().records, again.id === store.id],
    [['store-lost'], [], false],
  );
});

test('a damaged identity is replaced', (context) => {
  const dir = temporary(context);
  const store = opened(context, dir);
  store.apply([recordWrite(1), promiseWrite(1, 1)]);
  store.close();
  const forged = 'f'.repeat(32);
  tamper(dir, (database) => database.prepare('UPDATE meta SET store = ?').run(forged));
  const again = opened(context, dir);
  assert.deepEqual(codes(again), ['identity-damaged']);
  assert.ok(again.id !== store.id && again.id !== forged);
  assert.deepEqual([again.restore().records.length, again.restore().promises.length], [1, 0]);
});

test('a file that is no database is set aside and a new one begun', (context) => {
  const dir = temporary(context);
  for (const number of [1, 2]) {
    writeFileSync(
      join(dir, 'store.db'),
      'this is not a database, however long one looks at it'.repeat(50),
    );
    const store = opened(context, dir);
    assert.deepEqual(codes(store), ['store-damaged']);
    store.apply([recordWrite(1)]);
    assert.equal(store.restore().records.length, 1);
    store.close();
    assert.ok(existsSync(join(dir, `store.db.damaged-${number}`)), readdirSync(dir).join(' '));
  }
});

test('whatever bytes of the file are damaged, the store opens and serves only what is sound', (context) => {
  const dir = temporary(context);
  const store = opened(context, dir);
  store.apply(Array.from({ length: 60 }, (_, number) => recordWrite(number)));
  store.apply(Array.from({ length: 20 }, (_, number) => promiseWrite(number, number)));
  store.close();
  const sound = readFileSync(join(dir, 'store.db'));
  const counter = readFileSync(join(dir, 'store.generation'));
  const ids = new Map(
    Array.from({ length: 60 }, (_, number) => [
      jobNumber(number),
      grant(jobNumber(number), number).id,
    ]),
  );
  // A fixed walk over the file, so that a failure can be repeated.
  let state = 7;
  const next = (max: number): number => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) % max;
  for (let round = 0; round < 40; round += 1) {
    const bytes = Buffer.from(sound);
    for (let flips = 0; flips <= round % 6; flips += 1) {
      const at = next(bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << next(8));
    }
    writeFileSync(join(dir, 'store.db'), bytes);
    writeFileSync(join(dir, 'store.generation'), counter);
    const again = opened(context, dir);
    const restored = again.restore();
    for (const { job, value } of restored.records)
      assert.equal(value.record.id, ids.get(job), `round ${round}`);
    // A promise that is damaged costs its job, or all that this store promised.
    const kept = new Set([...restored.promises.map(({ job }) => job), ...restored.forfeits]);
    for (let number = 0; number < 20 && again.id === store.id; number += 1)
      assert.ok(kept.has(jobNumber(number)), `round ${round}: ${number}`);
    for (const { job, value } of restored.promises)
      assert.equal(job, jobNumber(value.number), `round ${round}`);
    again.close();
    for (const name of readdirSync(dir)) if (name.startsWith('store.db')) rmSync(join(dir, name));
  }
});

test('a file that claims a format SQLite cannot write is damaged', (context) => {
  const dir = temporary(context);
  const store = opened(context, dir);
  store.apply([recordWrite(1)]);
  store.close();
  const bytes = readFileSync(join(dir, 'store.db'));
  // Bytes 18 and 19 of the header: the versions for writing and reading.
  for (const at of [18, 19]) {
    const damaged = Buffer.from(bytes);
    damaged[at] = 9;
    writeFileSync(join(dir, 'store.db'), damaged);
    const again = opened(context, dir);
    assert.deepEqual(codes(again), ['store-damaged'], `byte ${at}`);
    again.close();
  }
});

for (const [schema, age] of [
  [99, 'newer'],
  [1, 'older'],
] as const) {
  test(`a store of ${age === 'older' ? 'an' : 'a'} ${age} version is left alone, and said to be one`, (context) => {
    const dir = temporary(context);
    opened(context, dir).close();
    tamper(dir, (database) => database.exec(`UPDATE meta SET schema = ${schema}`));
    assert.throws(() => opened(context, dir), {
      name: 'ShoalError',
      message: new RegExp(`${age} version of shoal.*schema ${schema}.*--data-dir`),
    });
    assert.equal(existsSync(join(dir, 'store.db.damaged-1')), false);
  });
}

test('a directory that cannot be used is told by a failure of its own', (context) => {
  const dir = temporary(context);
  writeFileSync(join(dir, 'file'), '');
  assert.throws(() => opened(context, join(dir, 'file')), {
    name: 'ShoalError',
    message: /cannot be used/,
  });
});

test('closing twice is closing once', (context) => {
  const dir = temporary(context);
  const store = opened(context, dir);
  store.apply([recordWrite(1)]);
  store.close();
  store.close();
  assert.equal(existsSync(join(dir, 'store.db-wal')), false, 'the log is written back');
});

test('small facts: put, replace, list in order of writing, expire and trim', (context) => {
  const dir = temporary(context);
  const { kv, ...store } = opened(context, dir);
  kv.putAll(
    [1, 2, 3].map((number) => ({
      key: `token/${number}`,
      value: `job ${number}`,
      until: number * 10,
    })),
  );
  kv.put('tokens', 'another kind', null);
  kv.put('token/1', 'job 1 again', null);
  const names = (prefix: string) => kv.list(prefix).map(({ key }) => key);
  assert.deepEqual(names('token/'), ['token/2', 'token/3', 'token/1']);
  assert.deepEqual(kv.get('token/1'), { key: 'token/1', value: 'job 1 again', until: null });
  assert.equal(kv.expire(25), 1);
  assert.deepEqual(names('token'), ['token/3', 'tokens', 'token/1']);
  assert.equal(kv.trim('token/', 1), 1);
  assert.deepEqual(names(''), ['tokens', 'token/1']);
  kv.delete('tokens');
  assert.equal(kv.get('tokens'), null);
  store.close();
  tamper(dir, (database) => {
    assert.equal(database.prepare('SELECT value FROM kv').get()?.['value'], 'job 1 again');
    database.exec(`UPDATE kv SET value = 'job 2'`);
  });
  const again = opened(context, dir);
  assert.deepEqual(
    [again.kv.get('token/1'), again.kv.list('')],
    [null, []],
    'a damaged fact is none',
  );
});

test('one job is read back alone, as it is now; half of one is none', (context) => {
  const dir = temporary(context);
  const store = opened(context, dir);
  store.restore();
  store.apply([recordWrite(1), recordWrite(2), promiseWrite(1, 3), acceptedWrite(1, 3)]);
  store.apply([promiseWrite(1, 7), promiseWrite(2, 9)]);
  const rows = store.restoreJob(jobNumber(1));
  assert.deepEqual(
    [rows.records.map(({ job }) => job), rows.promises.map(({ value }) => value.number)],
    [[jobNumber(1)], [7]],
  );
  assert.equal(rows.accepted.length, 1);
  assert.deepEqual(store.restoreJob(jobNumber(3)).records, []);
  tamper(dir, (database) =>
    database.exec("UPDATE promises SET sha256 = x'00' WHERE job LIKE '%1'"),
  );
  assert.throws(() => store.restoreJob(jobNumber(1)), /promise/);
  assert.equal(store.restoreJob(jobNumber(2)).promises.length, 1);
});

test('a job that is over is not read at the start, and whole when it is asked for', (context) => {
  const dir = temporary(context);
  const shelf = (number: number): StoreWrite => ({
    table: 'shelved',
    job: jobNumber(number),
    key: 'shelved',
    value: { until: 1_000 + number, what: 'records' },
  });
  const first = opened(context, dir);
  first.apply([recordWrite(1), recordWrite(2), recordWrite(3), shelf(3), shelf(1)]);
  first.close();
  const again = opened(context, dir);
  const { records, shelved } = again.restore();
  assert.deepEqual(
    records.map(({ job }) => job),
    [jobNumber(2)],
  );
  assert.deepEqual(
    shelved.map(({ job, value }) => [job, value.until]),
    [
      [jobNumber(3), 1_003],
      [jobNumber(1), 1_001],
    ],
    'in the order in which they were shelved',
  );
  assert.equal(again.restoreJob(jobNumber(1)).records.length, 1);
});

test('all rows of a job in a table go at once, and what was promised is known to be gone', (context) => {
  const dir = temporary(context);
  const first = opened(context, dir);
  first.apply([acceptedWrite(1, 1), acceptedWrite(1, 2), acceptedWrite(2, 1), recordWrite(1)]);
  first.apply([{ table: 'accepted', job: jobNumber(1), key: '*' as never, value: null }]);
  const { id } = first;
  first.close();
  const again = opened(context, dir);
  assert.deepEqual([again.id, again.problems], [id, []]);
  assert.deepEqual(
    again.restore().accepted.map(({ job }) => job),
    [jobNumber(2)],
  );
  assert.equal(again.restoreJob(jobNumber(1)).records.length, 1);
});
