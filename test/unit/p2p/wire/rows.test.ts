import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { StoredExecution } from '../../../../src/core/contract/stored.ts';
import type { Arbitrary } from 'fast-check';
import { createRowCodec } from '../../../../p2p/wire/rows.ts';
import type { RowOf, Table, TableCodec } from '../../../../p2p/wire/rows.ts';
import type { ExecutionOrder } from '../../../../src/core/record/execution.ts';
import type { Certified, RecordType, Signed } from '../../../../src/core/record/records.ts';
import { anyRecord, damage, sha256, signed } from './fixtures.ts';
import {
  counts,
  indexes,
  moments,
  epochs,
  executionIds,
  few,
  jobIds,
  jobTypes,
  publicKeys,
  storeIds,
  nodeIds,
  ordinals,
  record,
  tasks,
  texts,
} from './record-arbitraries.ts';

const codec = createRowCodec({ net: 'test', sha256 });
const votes = fc.array(signed('vote'), { maxLength: 5 });
const certified = <T extends RecordType>(type: T): Arbitrary<Certified<T>> =>
  record<Certified<T>>({ record: signed(type) as Arbitrary<Signed<T>>, votes });

const orders: Arbitrary<ExecutionOrder> = record<ExecutionOrder>({
  execution: executionIds,
  job: jobIds,
  jobType: jobTypes,
  jobName: texts,
  namespace: texts,
  version: ordinals,
  partition: indexes,
  partitionCount: indexes,
  attempt: indexes,
  restarts: counts,
  epoch: counts,
  task: tasks,
  holders: few(nodeIds),
  timeoutMs: moments,
});

const execution = {
  order: orders,
  spec: signed('spec'),
  assign: fc.option(certified('assign')),
  admission: certified('admission'),
  state: signed('state'),
};

const rows: { readonly [T in Table]: Arbitrary<RowOf<T>> } = {
  records: record<RowOf<'records'>>({ record: anyRecord, votes }),
  promises: epochs,
  accepted: record<RowOf<'accepted'>>({
    epoch: epochs,
    value: fc.oneof(signed('assign'), signed('accept'), signed('close'), signed('config')),
  }),
  executions: fc.oneof(
    record<RowOf<'executions'>>(execution),
    record<RowOf<'executions'>>({ ...execution, queued: fc.constant<true>(true) }),
    record<RowOf<'executions'>>({ ...execution, version: certified('version') }),
    record<RowOf<'executions'>>({
      ...execution,
      backoff: record<NonNullable<StoredExecution['backoff']>>({
        inRow: counts,
        until: fc.option(moments),
      }),
    }),
  ),
  submissions: record<RowOf<'submissions'>>({
    spec: signed('spec'),
    admission: signed('admission'),
  }),
  entrusted: record<RowOf<'entrusted'>>({
    spec: signed('spec'),
    admission: certified('admission'),
    accept: certified('accept'),
    others: few(record({ node: nodeIds, store: fc.option(storeIds) })),
    since: moments,
    made: counts,
  }),
  shelved: fc.oneof(
    record<RowOf<'shelved'>>({
      until: moments,
      what: fc.constantFrom('records', 'token', 'nothing'),
    }),
    record<RowOf<'shelved'>>({
      until: moments,
      what: fc.constant('records' as const),
      past: record({ owner: publicKeys, bytes: counts }),
    }),
  ),
  counts: record<RowOf<'counts'>>({ count: moments }),
};

for (const table of Object.keys(rows) as Table[]) {
  // Rows and codec belong to the same table.
  const tableCodec = codec[table] as TableCodec<RowOf<Table>>;
  const arbitrary = rows[table] as Arbitrary<RowOf<Table>>;

  test(`a row of ${table} comes back as it went, in one encoding`, () => {
    fc.assert(
      fc.property(arbitrary, (row) => {
        const bytes = tableCodec.encode(row);
        const back = tableCodec.decode(bytes);
        assert.ok(back !== null);
        assert.deepEqual(tableCodec.encode(back), bytes);
        // Signatures are Buffers here and views there; everything else must be equal as it is.
        assert.equal(JSON.stringify(normal(back)), JSON.stringify(normal(row)));
      }),
      { numRuns: 40 },
    );
  });

  test(`damaged rows of ${table} never throw`, () => {
    fc.assert(
      fc.property(
        arbitrary.chain((row) => damage(tableCodec.encode(row))),
        (bytes) => {
          const row = tableCodec.decode(bytes);
          if (row !== null)
            assert.deepEqual(Buffer.from(tableCodec.encode(row)), Buffer.from(bytes));
        },
      ),
      { numRuns: 100 },
    );
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void tableCodec.decode(bytes)));
  });
}

/** Sorted keys, bytes as hex. */
function normal(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, member]) => [key, normal(member)] as const);
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
