/** A node that leaves hands its leads over, and moves what would never end. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
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
