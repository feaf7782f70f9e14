/** A node that leaves hands its leads over, and moves what would never end. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ExecutionOrder, RunEvent } from '../../../../src/core/record/execution.ts';
import { Cluster } from '../cluster.ts';
import { jobWith } from '../fixtures.ts';

/** Three keepers, of whom node 0 leads a job that runs. */
function running(): Cluster {
  const cluster = new Cluster({ nodes: 3, program: () => [] });
  cluster.submit(0, jobWith());
  cluster.until('it leads', () => leaders(cluster).length === 1, 2_000);
  return cluster;
}

const leaders = (cluster: Cluster): readonly number[] =>
  [0, 1, 2].filter((node) => cluster.inspect(node).jobs.some(({ leading }) => leading !== null));

describe('a leader that leaves', () => {
  it('is followed by another keeper while it is still there', () => {
    const cluster = running();
    const [leader = 0] = leaders(cluster);
    cluster.input(leader, { type: 'drain', on: true });
    const isOther = (): boolean => leaders(cluster).some((node) => node !== leader);
    cluster.until('another leads', isOther, 500);
    assert.deepEqual(leaders(cluster).length, 1, 'and it no more');
  });

  it('does not stand again for what it handed over, as long as another can lead', () => {
    const cluster = running();
    const [leader = 0] = leaders(cluster);
    cluster.input(leader, { type: 'drain', on: true });
    cluster.advance(60_000);
    const [next, ...others] = leaders(cluster);
    assert.notEqual(next, leader);
    assert.deepEqual(others, []);
  });

  it('leads on where all leave: it is handed round by nobody', () => {
    const cluster = running();
    for (const node of [0, 1, 2]) cluster.input(node, { type: 'drain', on: true });
    cluster.advance(15_000);
    const elections = (): number =>
      cluster.effects('note').filter(({ event }) => event === 'job.leading').length;
    const before = elections();
    cluster.advance(300_000);
    assert.equal(elections(), before);
    assert.equal(leaders(cluster).length, 1);
  });

  it('tells it again until somebody follows', () => {
    const cluster = running();
    const [leader = 0] = leaders(cluster);
    const others = [0, 1, 2].filter((node) => node !== leader);
    for (const node of others) cluster.crash(node);
    cluster.input(leader, { type: 'drain', on: true });
    cluster.advance(300);
    for (const node of others) cluster.restart(node);
    const isOther = (): boolean => leaders(cluster).some((node) => node !== leader);
    cluster.until('another leads', isOther, 12_000);
  });

  it('stands last for the leads of others', () => {
    const cluster = running();
    const [leader = 0] = leaders(cluster);
    const keepers = cluster
      .job(leader)
      .records.admission.record.body.keepers.map(({ node }) => cluster.indexOf(node));
    const [next = 0, last] = keepers.filter((node) => node !== leader);
    cluster.input(next, { type: 'drain', on: true });
    cluster.crash(leader);
    cluster.until('another leads', () => leaders(cluster).some((node) => node !== leader), 30_000);
    assert.ok(leaders(cluster).includes(last ?? 0));
  });

  it('leads on when it is alone', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.submit(0, jobWith());
    cluster.until('it leads', () => cluster.machine(0).inspect().jobs[0]?.leading != null, 2_000);
    cluster.input(0, { type: 'drain', on: true });
    cluster.advance(30_000);
    assert.notEqual(cluster.machine(0).inspect().jobs[0]?.leading, null);
  });
});

describe('a replica of a service on a node that leaves', () => {
  /** Node 0 leads a service with one replica. @returns where that runs */
  function serving(program: (order: ExecutionOrder) => readonly RunEvent[]): {
    cluster: Cluster;
    node: number;
  } {
    const cluster = new Cluster({ nodes: 3, program });
    cluster.submit(0, jobWith({ Type: 'service' }));
    let node = -1;
    const isUp = (): boolean => {
      node = [0, 1, 2].findIndex((one) => cluster.inspect(one).executions.length > 0);
      return node >= 0;
    };
    cluster.until('it runs', isUp, 5_000);
    return { cluster, node };
  }
  const elsewhere = (cluster: Cluster, node: number): boolean =>
    [0, 1, 2].some((one) => one !== node && cluster.inspect(one).executions.length > 0);

  it('is ended at once, and runs elsewhere', () => {
    const { cluster, node } = serving(() => [{ type: 'phase', phase: 'running' }]);
    cluster.advance(1_000);
    const told = cluster.input(node, { type: 'drain', on: true });
    assert.ok(told.some(({ type }) => type === 'cancel-run'));
    const [execution] = cluster.inspect(node).executions;
    assert.ok(execution);
    cluster.report(node, execution.execution, [{ type: 'cancelled', output: null }]);
    cluster.until('it runs elsewhere', () => elsewhere(cluster, node), 5_000);
  });

  it('runs elsewhere at once, too, when its program was to be started again later', () => {
    const failed = {
      type: 'failed',
      failure: { code: 'odd', class: 'transient', message: 'It fell over.' },
      output: null,
      usage: null,
    } as const;
    const { cluster, node } = serving(() => [{ type: 'phase', phase: 'running' }, failed]);
    cluster.until(
      'it waits to be started again',
      () => cluster.inspect(node).executions.every(({ phase }) => phase === 'running'),
      5_000,
    );
    cluster.input(node, { type: 'drain', on: true });
    cluster.until('it runs elsewhere', () => elsewhere(cluster, node), 5_000);
  });
});
