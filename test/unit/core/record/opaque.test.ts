/** Records of a later version: kept with their job within a bound, handed on, and without any effect. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { believed } from '../../../../src/core/asking/foreign.ts';
import {
  createLedger,
  ledgerOf,
  mergeStored,
  recordsOf,
} from '../../../../src/core/record/ledger.ts';
import {
  mayKeep,
  mergeOpaque,
  OPAQUE_MAX,
  OPAQUE_MAX_BYTES,
} from '../../../../src/core/record/opaque.ts';
import type { Opaque } from '../../../../src/core/record/opaque.ts';
import { nodeKey, ownerKey, sealOpaque } from '../../../simulation/fast-suite.ts';
import { Cluster, refusals } from '../cluster.ts';
import { WALL, admitted, closeOf, committed, grantOf, idOf, jobWith, suite } from '../fixtures.ts';

/** Nodes 1, 0 and 2 keep the job; node 0 is the machine under test. */
const job = admitted(jobWith(), [1, 0, 2]);
const id = job.spec.body.job;
const record = (n: number, by = nodeKey(1), change: Partial<Opaque> = {}): Opaque =>
  sealOpaque(by, { kind: `tally-${n}`, job: id, notAfter: null, ...change });
const many = (count: number, by = nodeKey(1)): readonly Opaque[] =>
  Array.from({ length: count }, (_, n) => record(n, by));

describe('records that nobody here understands', () => {
  it('are the same few of each signer, whatever order they come in', () => {
    const all = [...many(20), ...many(20, nodeKey(2)), ...many(3, ownerKey(0))];
    const merged = (records: readonly Opaque[]): readonly string[] => {
      const ledger = createLedger(job.spec, job.admission);
      for (const one of records) mergeOpaque(ledger, one);
      return [...ledger.opaque.keys()].sort();
    };
    const kept = merged(all);
    assert.equal(kept.length, 2 * OPAQUE_MAX + 3);
    const orders = fc.shuffledSubarray([...all], { minLength: all.length });
    fc.assert(fc.property(orders, (order) => assert.deepEqual(merged([...order, ...order]), kept)));
  });

  it('are kept of those who have a part in the job, while they are good, small and true', () => {
    const ledger = createLedger(job.spec, job.admission);
    const may = (one: Opaque, wall = WALL) => mayKeep(suite, ledger, one, wall);
    for (const by of [nodeKey(0), nodeKey(1), nodeKey(2), ownerKey(0)])
      assert.ok(may(record(1, by)));
    assert.equal(may(record(1, nodeKey(7))), false, 'a stranger');
    assert.equal(
      may(
        record(1, nodeKey(1), {
          job: admitted(jobWith(), [1], { nonce: 'e'.repeat(32) }).spec.body.job,
        }),
      ),
      false,
      'of another job',
    );
    assert.equal(may({ ...record(1), kind: 'close' }), false, 'changed');
    assert.equal(may(record(1, nodeKey(1), { notAfter: WALL - 1 })), false, 'expired');
    assert.equal(may(record(1), job.spec.body.notAfter + 1), false, 'its job expired');
    assert.equal(
      may(record(1, nodeKey(1), { kind: 'x'.repeat(OPAQUE_MAX_BYTES) })),
      false,
      'large',
    );
  });

  it('are handed over with the ledger and read back from disk, and say nothing to whoever asks for the job', () => {
    const ledger = createLedger(job.spec, job.admission);
    assert.ok(!('more' in recordsOf(ledger)));
    for (const one of many(3)) mergeStored(ledger, { record: one, votes: [] });
    const records = recordsOf(ledger);
    assert.equal(records.more?.length, 3);
    assert.deepEqual(recordsOf(ledgerOf(records)), records);
    const shown = believed(suite, records);
    assert.ok(shown.ok && !('more' in shown.records));
  });
});

describe('a keeper', () => {
  const play = (): Cluster => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
    return cluster;
  };
  const told = (cluster: Cluster, from: number, more: readonly Opaque[]) =>
    cluster.message(0, from, { type: 'commit', job: id, values: [], more });
  const onDisk = (cluster: Cluster): readonly string[] =>
    cluster
      .store(0)
      .rows('records')
      .flatMap(({ value }) => (value?.record.type === 'opaque' ? [value.record.id] : []))
      .sort();

  it('takes them from another keeper only, and keeps on disk what it keeps', () => {
    const cluster = play();
    told(cluster, 7, many(2));
    assert.deepEqual(onDisk(cluster), []);
    told(cluster, 2, many(30));
    assert.equal(onDisk(cluster).length, OPAQUE_MAX);
    assert.deepEqual(refusals(told(cluster, 2, [record(1, nodeKey(7))])), ['over-limit']);
    const before = onDisk(cluster);
    cluster.restart(0);
    assert.deepEqual(
      cluster
        .job(0)
        .records.more?.map((one) => one.id)
        .toSorted(),
      before,
    );
  });

  it('hands them to a candidate, and to a keeper that missed the end of the job', () => {
    const cluster = play();
    const [one] = many(1);
    assert.ok(one !== undefined);
    told(cluster, 2, [one]);
    const epoch = { ...job.epoch, number: 1, leader: idOf(2) };
    cluster.message(0, 2, { type: 'prepare', job: id, grant: grantOf(job, epoch, 2) });
    const { digest } = cluster.messages('promise')[0]?.message ?? assert.fail('a promise');
    const { snapshot, chunks } = digest;
    const place = { snapshot, chunk: chunks.length - 1, from: 0 };
    cluster.message(0, 2, { type: 'page-wanted', job: id, ...place });
    assert.deepEqual(cluster.messages('page')[0]?.message.more, [one]);
    cluster.message(0, 1, { type: 'commit', job: id, values: [committed(job, closeOf(job))] });
    cluster.message(0, 2, { type: 'status-wanted', jobs: [id] });
    const sent = cluster.messages('commit').flatMap(({ message }) => message.more ?? []);
    assert.deepEqual(sent, [one]);
  });
});
