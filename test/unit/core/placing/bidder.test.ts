/** A node with room bids for more of a large job as soon as it got some, and for nothing else. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Cluster } from '../cluster.ts';
import { admitted, idOf, jobWith } from '../fixtures.ts';

const small = { cpuMillis: 1, memoryBytes: 1, diskBytes: 0, gpus: 0 };
const bidsOf = (cluster: Cluster): number => cluster.messages('bid').length;
const accepted = (cluster: Cluster, node: number): number =>
  cluster
    .inspect(node)
    .jobs.flatMap(({ records }) => records.committed)
    .filter(({ record }) => record.type === 'accept').length;

describe('a node that took up what it bid for', () => {
  it('goes on with the rest of a large job, without another announcement', () => {
    const cluster = new Cluster({ nodes: 3 });
    cluster.advance(10_000);
    const before = cluster.effects('gossip').length;
    cluster.submit(0, jobWith({ Count: 200 }, { resources: small }));
    cluster.advance(900);
    assert.equal(accepted(cluster, 0), 200);
    const announced = cluster
      .effects('gossip')
      .slice(before)
      .filter(({ gossip }) => gossip.type === 'announce');
    assert.equal(announced.length, 1);
  });

  it('bids once for a job that needs no more', () => {
    const cluster = new Cluster({ nodes: 1 });
    cluster.advance(10_000);
    cluster.submit(0, jobWith({}, { resources: small }));
    cluster.advance(60_000);
    assert.equal(cluster.job(0).state, 'Completed');
    assert.equal(bidsOf(cluster), 0, 'it asks itself without a message');
    assert.equal(cluster.effects('run').length, 1);
  });

  it('holds nothing of a job that found its nodes', () => {
    const cluster = new Cluster({ nodes: 3, program: () => [{ type: 'phase', phase: 'running' }] });
    cluster.advance(10_000);
    cluster.submit(0, jobWith({ Count: 40 }, { resources: small }));
    cluster.advance(1_000);
    assert.equal(cluster.effects('run').length, 40);
    for (const node of [0, 1, 2]) assert.deepEqual(cluster.inspect(node).holds, []);
  });
});

describe('a node that is full', () => {
  const capacity = { cpuMillis: 4_000, memoryBytes: 1, diskBytes: 0, gpus: 0 };
  /** Leader `node` has a job that takes all of node 0. */
  const invite = (cluster: Cluster, node: number, Priority = 0): void => {
    const nonce = String(node).padStart(32, '0');
    const wanted = jobWith({ Priority }, { resources: capacity });
    const { spec, admission } = admitted(wanted, [node], { nonce });
    const { job } = spec.body;
    const about = { job, version: 1, leader: idOf(node), admission, grant: null };
    cluster.message(0, node, {
      type: 'invite',
      announcement: { ...about, round: 0, need: 1, spec, notAgain: [] },
    });
  };

  it('serves what waits in the order in which it came, however often it is announced', () => {
    const cluster = new Cluster({ nodes: 1 });
    for (const node of [1, 2, 3]) {
      cluster.input(0, { type: 'peer-connected', node: idOf(node) });
      invite(cluster, node);
      cluster.advance(500);
    }
    invite(cluster, 2);
    assert.deepEqual(
      cluster.messages('bid').map(({ to }) => to),
      [idOf(1)],
    );
    cluster.until('its hold has run out', () => bidsOf(cluster) > 1, 30_000);
    assert.equal(cluster.messages('bid')[1]?.to, idOf(2));
  });

  it('serves what waits by priority first', () => {
    const cluster = new Cluster({ nodes: 1 });
    for (const [node, priority] of [
      [1, 0],
      [2, 5],
      [3, 7],
      [4, 7],
    ] as const) {
      cluster.input(0, { type: 'peer-connected', node: idOf(node) });
      invite(cluster, node, priority);
      cluster.advance(500);
    }
    cluster.until('three holds have run out', () => bidsOf(cluster) > 3, 60_000);
    assert.deepEqual(
      cluster.messages('bid').map(({ to }) => to),
      [1, 3, 4, 2].map(idOf),
    );
  });
});

describe('a node that is asked directly', () => {
  it('hears the round at hand, so that all who failed the job offer again in the same one as its leader', () => {
    const cluster = new Cluster({
      nodes: 2,
      profile: (node) => (node === 0 ? { engines: {} } : {}),
    });
    cluster.advance(10_000);
    // Who does not answer the announcement is asked directly.
    cluster.lose = ({ message }) => message.type === 'bid' || message.type === 'decline';
    cluster.submit(0, jobWith());
    cluster.advance(10_000);
    const announced = cluster
      .effects('gossip')
      .flatMap(({ gossip }) => (gossip.type === 'announce' ? [gossip.announcement.round] : []));
    const invited = cluster.messages('invite').map(({ message }) => message.announcement.round);
    assert.ok(invited.length >= 3, invited.join(' '));
    assert.deepEqual(invited, announced.slice(0, invited.length));
  });
});
