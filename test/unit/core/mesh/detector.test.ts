/** Who is believed to be alive: whom this node hears, and whom several that it asked can hear. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Cluster } from '../cluster.ts';
import { idOf, jobWith } from '../fixtures.ts';

const NODES = [0, 1, 2, 3, 4, 5, 6];
const leaders = (cluster: Cluster, among: readonly number[]): readonly number[] =>
  among.filter((node) =>
    cluster
      .machine(node)
      .inspect()
      .jobs.some(({ leading }) => leading !== null),
  );

/** Seven nodes and a job that goes on; its leader is told apart. */
function led(): { readonly cluster: Cluster; readonly leader: number } {
  const cluster = new Cluster({ nodes: NODES.length, program: () => [] });
  cluster.submit(0, jobWith());
  cluster.advance(20_000);
  const [leader] = leaders(cluster, NODES);
  return { cluster, leader: leader ?? assert.fail() };
}

describe('a leader', () => {
  it('that is dead is not kept alive by one member that answers for it', () => {
    const { cluster, leader } = led();
    const others = NODES.filter((node) => node !== leader);
    const liar = others.find((node) => cluster.machine(node).inspect().jobs.length === 0);
    assert.ok(liar !== undefined, 'somebody does not keep the job');
    cluster.crash(leader);
    const victims = others.filter((node) => node !== liar);
    for (let turn = 0; turn < 300 && leaders(cluster, victims).length === 0; turn += 1) {
      cluster.advance(100);
      for (const victim of victims) {
        for (let nonce = 0; nonce < 400; nonce += 1)
          cluster.message(victim, liar, { type: 'pong', nonce });
      }
    }
    assert.equal(leaders(cluster, victims).length, 1, 'another leads within 30 s');
  });

  it('that is dead is not kept alive by two members that answer for it', () => {
    const many = Array.from({ length: 10 }, (_, node) => node);
    const cluster = new Cluster({ nodes: many.length, program: () => [] });
    cluster.submit(0, jobWith());
    cluster.advance(20_000);
    const leader = leaders(cluster, many)[0] ?? assert.fail();
    const liars = many
      .filter((node) => cluster.machine(node).inspect().jobs.length === 0)
      .slice(0, 2);
    assert.equal(liars.length, 2);
    // Its connection stays open, as that of a process that stands still does.
    cluster.pause(leader);
    const victims = many.filter((node) => node !== leader && !liars.includes(node));
    for (let turn = 0; turn < 600 && leaders(cluster, victims).length === 0; turn += 1) {
      const before = cluster.sent.length;
      cluster.advance(100);
      for (const { from, to, message } of cluster.sent.slice(before)) {
        const liar = cluster.indexOf(to);
        if (message.type !== 'ping-for-me' || !liars.includes(liar)) continue;
        cluster.message(cluster.indexOf(from), liar, { type: 'pong', nonce: message.nonce });
      }
    }
    assert.equal(leaders(cluster, victims).length, 1, 'another leads within a minute');
  });

  it('that only some cannot hear is not given up while those whom they ask can', () => {
    const { cluster, leader } = led();
    const deaf = NODES.find(
      (node) => node !== leader && cluster.machine(node).inspect().jobs.length > 0,
    );
    assert.ok(deaf !== undefined);
    const between = new Set([idOf(leader), idOf(deaf)]);
    cluster.lose = ({ from, to }) => between.has(from) && between.has(to);
    cluster.advance(60_000);
    assert.deepEqual(leaders(cluster, NODES), [leader]);
    const notes = cluster.effects('note', deaf).map((note) => JSON.stringify(note));
    assert.ok(!notes.some((note) => note.includes('peer.dead')), 'nobody was given up');
  });

  it('that is found dead is followed at once by the first of the other keepers', () => {
    const { cluster, leader } = led();
    cluster.crash(leader);
    const before = cluster.messages('prepare').length;
    const dead = (): boolean => cluster.effects('note').some(({ event }) => event === 'peer.dead');
    cluster.until('it is found dead', dead);
    cluster.advance(1_000);
    assert.ok(cluster.messages('prepare').length > before);
  });
});

describe('an executor', () => {
  it('that is dead is replaced before its lease is over', () => {
    const { cluster, leader } = led();
    const [run] = cluster.effects('run');
    const where = cluster.steps.find(({ effects }) => run && effects.includes(run))?.node;
    assert.ok(where !== undefined && where !== leader, 'it runs elsewhere');
    const diedAt = cluster.now;
    cluster.crash(where);
    cluster.input(leader, { type: 'unreachable', node: idOf(where) });
    cluster.advance(800);
    cluster.input(leader, { type: 'unreachable', node: idOf(where) });
    cluster.until('it runs again', () => cluster.effects('run').length > 1);
    assert.ok(cluster.now - diedAt < 12_000, `after ${cluster.now - diedAt} ms`);
  });

  it('that lives is not given up for what failed while it was away, though all of that is heard of at once', () => {
    const { cluster, leader } = led();
    const [run] = cluster.effects('run');
    const where = cluster.steps.find(({ effects }) => run && effects.includes(run))?.node;
    assert.ok(where !== undefined && where !== leader, 'it runs elsewhere');
    for (let message = 0; message < 5; message += 1)
      cluster.input(leader, { type: 'unreachable', node: idOf(where) });
    cluster.advance(60_000);
    const dead = cluster.effects('note', leader).filter(({ event }) => event === 'peer.dead');
    assert.deepEqual(dead, []);
    assert.equal(cluster.effects('run').length, 1, 'nothing is run again');
  });
});

describe('a node that did not run for a while', () => {
  it('gives nobody up for what it did not hear meanwhile', () => {
    const { cluster, leader } = led();
    const late = NODES.find(
      (node) => node !== leader && cluster.machine(node).inspect().jobs.length > 0,
    );
    assert.ok(late !== undefined);
    const notes = (event: string): number =>
      cluster.effects('note', late).filter((note) => note.event === event).length;
    const between = new Set([idOf(leader), idOf(late)]);
    // It hears neither the leader nor what others say of it, until it has its doubts.
    cluster.lose = ({ from, to, message }) =>
      to === idOf(late) && (between.has(from) || message.type === 'pong');
    cluster.until('it has its doubts', () => notes('peer.suspect') > 0, 30_000);
    cluster.pause(late);
    cluster.lose = () => false;
    cluster.advance(30_000);
    cluster.resume(late);
    cluster.advance(3_000);
    assert.equal(notes('peer.dead'), 0);
  });
});
