/** What is said of nodes that nobody reached costs those that are there nothing. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asStoreId } from '../../../../src/core/record/ids.ts';
import { Cluster, refusals } from '../cluster.ts';
import { admitted, advertOf, idOf, jobWith, storeOf } from '../fixtures.ts';

/** Numbers of nodes that do not exist. */
const FALSE_FROM = 100;
const addresses = (index: number): readonly string[] => [
  `/ip4/10.9.${index >> 8}.${index & 255}/tcp/1`,
];
/** Adverts of nodes that do not exist, brought by many neighbours so that no rate keeps them out. */
function madeUp(
  cluster: Cluster,
  nodes: readonly number[],
  count: number,
  sequence = 1,
  first = 0,
): void {
  for (let index = first; index < first + count; index += 1) {
    const advert = advertOf(FALSE_FROM + index, { addresses: addresses(index), sequence });
    const gossip = { type: 'advert', advert } as const;
    for (const node of nodes)
      cluster.input(node, { type: 'gossip', from: idOf(90 + (index % 9)), gossip });
  }
}
const keepersOf = (cluster: Cluster, index = 0): readonly string[] =>
  cluster.messages('admit')[index]?.message.admission.body.keepers.map(({ node }) => node) ?? [];

describe('among made-up adverts', () => {
  it('only nodes that were reached keep jobs, and every job is admitted and runs', () => {
    const cluster = new Cluster({ nodes: 6 });
    madeUp(cluster, [0, 1, 2, 3, 4, 5], 300);
    for (let index = 0; index < 10; index += 1) {
      const request = cluster.submit(index % 6, jobWith(), String(index).repeat(32));
      cluster.until(`job ${index} is accepted`, () => cluster.reply(request) !== null, 1_000);
      assert.equal(cluster.reply(request)?.type, 'receipt');
    }
    for (const { to, message } of cluster.messages('admit')) {
      assert.ok(cluster.indexOf(to) >= 0);
      assert.equal(message.admission.body.keepers.length, 5);
    }
    cluster.until('all ran', () => cluster.effects('run').length >= 10, 5_000);
    for (const { to } of cluster.sent)
      assert.ok(cluster.indexOf(to) >= 0, 'nobody made up is dialled');
  });

  it('a job starts as soon as without them', () => {
    const startedAt = (count: number): number => {
      const cluster = new Cluster({ nodes: 3 });
      madeUp(cluster, [0, 1, 2], count);
      cluster.submit(0, jobWith());
      const begin = cluster.now;
      cluster.until('it runs', () => cluster.effects('run').length > 0, 10_000);
      return cluster.now - begin;
    };
    assert.ok(startedAt(300) <= startedAt(0) + 200);
  });

  it('those that were reached are remembered, however many are made up', () => {
    const cluster = new Cluster({ nodes: 3 });
    madeUp(cluster, [0], 3_000);
    const { members } = cluster.machine(0).inspect();
    assert.ok(members <= 2_048 + 1, `${members} members`);
    const known = cluster
      .machine(0)
      .sightings()
      .map(({ advert }) => advert.node);
    for (const node of [1, 2]) assert.ok(known.includes(idOf(node)));
  });

  it('of those that were not, those stay that were heard of last', () => {
    const cluster = new Cluster({ nodes: 1 });
    madeUp(cluster, [0], 2_000);
    cluster.advance(60_000);
    madeUp(cluster, [0], 100, 2);
    madeUp(cluster, [0], 1_000, 1, 2_000);
    const sightings = cluster.machine(0).sightings();
    const known = new Set(sightings.map(({ advert }) => advert.node));
    const kept = (from: number, to: number): number =>
      [...Array(to - from).keys()].filter((at) => known.has(idOf(FALSE_FROM + from + at))).length;
    assert.deepEqual([kept(0, 100), kept(100, 900), kept(2_000, 3_000)], [100, 0, 1_000]);
  });
});

describe('a node that heard of thousands of others', () => {
  it('does not leave bids to them, of whom its connections make few credible', () => {
    const cluster = new Cluster({ nodes: 1 });
    madeUp(cluster, [0], 2_000);
    assert.ok(cluster.machine(0).inspect().members > 1_900);
    cluster.message(0, 1, { type: 'ping', nonce: 1 });
    for (let index = 0; index < 12; index += 1) {
      const nonce = String(index).padStart(32, '0');
      const { spec, admission } = admitted(jobWith(), [1, 2, 3], { nonce });
      const about = { job: spec.body.job, version: 1, leader: idOf(1), admission, spec };
      // With 128 others everybody is drawn in this round, with 2,000 one of nine.
      const announcement = { ...about, grant: null, round: 2, need: 1, notAgain: [] };
      const gossip = { type: 'announce', announcement } as const;
      cluster.input(0, { type: 'gossip', from: idOf(90), gossip });
    }
    const answers = cluster.messages('bid').length + cluster.messages('decline').length;
    assert.equal(answers, 12);
  });
});

describe('adverts of one neighbour', () => {
  it('are looked at at a bounded rate', () => {
    const cluster = new Cluster({ nodes: 1 });
    const bring = (from: number, count: number): number => {
      const before = cluster.effects('refuse').length;
      for (let index = 0; index < count; index += 1) {
        const advert = advertOf(1_000 + from + index);
        cluster.input(0, { type: 'gossip', from: idOf(9), gossip: { type: 'advert', advert } });
      }
      return cluster.effects('refuse').length - before;
    };
    assert.equal(bring(0, 1_000), 600);
    assert.equal(bring(1_000, 100), 100);
    cluster.advance(15_000);
    assert.equal(bring(2_000, 500), 100);
  });
});

describe('the store of a node', () => {
  const other = asStoreId('f'.repeat(32));
  const told = (cluster: Cluster): string | undefined =>
    cluster
      .machine(0)
      .sightings()
      .find(({ advert }) => advert.node === idOf(9))?.advert.store;
  const cluster = (): Cluster => {
    const fresh = new Cluster({ nodes: 1 });
    const advert = advertOf(9, { store: other, sequence: 7 });
    fresh.message(0, 9, { type: 'advert', advert });
    return fresh;
  };

  it('is not brought back by an advert of before', () => {
    const own = cluster();
    const old = advertOf(9, { sequence: 6 });
    own.input(0, { type: 'gossip', from: idOf(9), gossip: { type: 'advert', advert: old } });
    own.message(0, 8, { type: 'advert', advert: old });
    assert.equal(told(own), other);
  });

  it('is the one the node itself names now, even if its clock went back', () => {
    const own = cluster();
    own.message(0, 9, { type: 'advert', advert: advertOf(9, { sequence: 6 }) });
    assert.equal(told(own), storeOf(9));
  });
});

describe('a false advert', () => {
  it('is not the fault of the neighbour that gossip came through', () => {
    const cluster = new Cluster({ nodes: 1 });
    const advert = { ...advertOf(9), by: advertOf(8).by };
    const effects = cluster.input(0, {
      type: 'gossip',
      from: idOf(7),
      gossip: { type: 'advert', advert },
    });
    assert.deepEqual(refusals(effects), ['wrong-signer']);
    assert.ok(effects.every((effect) => effect.type !== 'refuse' || !effect.fault));
  });
});

describe('keepers', () => {
  it('are spread over hosts as connections show them, whatever adverts say', () => {
    const cluster = new Cluster({
      nodes: 8,
      profile: (index) => ({ addresses: addresses(index) }),
    });
    // Nodes 4 to 7 run on one host, though each names another.
    for (let node = 1; node < 8; node += 1) {
      const host = node < 4 ? `10.0.0.${node}` : '10.0.0.4';
      cluster.input(0, { type: 'peer-host', node: idOf(node), host });
    }
    for (let index = 0; index < 20; index += 1) {
      cluster.submit(0, jobWith(), String(index).padStart(32, '0'));
    }
    const seen = new Set(cluster.messages('admit').map(({ message }) => message.admission));
    for (const { body } of seen) {
      const together = body.keepers.filter(({ node }) => cluster.indexOf(node) >= 4);
      assert.equal(together.length, 1);
    }
    assert.equal(keepersOf(cluster).length, 5);
  });
});
