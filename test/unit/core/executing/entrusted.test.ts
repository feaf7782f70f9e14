/** Accepted results go on having two holders, whichever of them is lost, and cost nothing meanwhile. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RunEvent } from '../../../../src/core/record/execution.ts';
import { asStoreId } from '../../../../src/core/record/ids.ts';
import type { NodeId } from '../../../../src/core/record/ids.ts';
import { Cluster, refusals } from '../cluster.ts';
import type { MessageOf } from '../cluster.ts';
import {
  at,
  acceptOf,
  admitted,
  assignOf,
  committed,
  idOf,
  jobWith,
  stateOf,
  suiteOf,
} from '../fixtures.ts';

const CID = 'bafyresult';
const PUBLISHED: readonly RunEvent[] = [
  { type: 'phase', phase: 'running' },
  {
    type: 'ended',
    exitCode: 0,
    result: { cid: CID, bytes: 9 },
    output: null as never,
    usage: null as never,
  },
];
const publishing = jobWith({}, { Publisher: { Type: 'ipfs', Params: {} } });
const HOLDER_LOST_MS = 60_000;

/** A job that has ended, in a mesh of six, and the numbers of the two nodes that hold its result. */
function play(limits = {}) {
  const cluster = new Cluster({
    nodes: 6,
    program: () => PUBLISHED,
    limits: { holderLostMs: HOLDER_LOST_MS, ...limits },
  });
  cluster.submit(0, publishing);
  cluster.until('the job has ended', () => cluster.job(0).state === 'Completed', 10_000);
  cluster.advance(1_000);
  const accept = cluster
    .job(0)
    .records.committed.map(({ record }) => record)
    .find((record) => record.type === 'accept');
  assert.ok(accept?.type === 'accept');
  const holders = accept.body.holders.map((node) => cluster.indexOf(node));
  const [first, second] = holders;
  assert.ok(first !== undefined && second !== undefined);
  const mark = cluster.sent.length;
  const told = () => cluster.sent.slice(mark).filter(({ message }) => message.type === 'entrust');
  const { execution } = accept.body;
  return { cluster, first, second, told, execution };
}
type Played = ReturnType<typeof play>;

/** The other holders that a node knows of, by their numbers. */
function othersOf({ cluster }: Played, node: number): readonly number[] {
  const [row] = cluster.store(node).rows('entrusted');
  return (row?.value?.others ?? []).map((other) => cluster.indexOf(other.node));
}

/** What a node that lost its disk says of itself when it is back. */
function otherStore({ cluster }: Played, index: number): void {
  const [known] = cluster
    .machine(0)
    .sightings()
    .filter(({ advert }) => advert.node === idOf(index));
  assert.ok(known);
  const store = asStoreId('f'.repeat(32));
  const later = { ...known.advert, store, sequence: known.advert.sequence + 1 };
  const advert = suiteOf(index).seal('advert', later, at(cluster.now), 'node');
  for (let node = 0; node < 6; node += 1)
    if (node !== index) cluster.message(node, index, { type: 'advert', advert });
}

describe('the holders of an accepted result', () => {
  it('know of each other, on disk, and say nothing while all is well', () => {
    const played = play();
    const { cluster, first, second, told } = played;
    assert.deepEqual(othersOf(played, first), [second]);
    assert.deepEqual(othersOf(played, second), [first]);
    cluster.advance(3_600_000);
    assert.deepEqual(told(), []);
  });

  it('are told again when the word was lost', () => {
    const cluster = new Cluster({ nodes: 6, program: () => PUBLISHED });
    let lost = 0;
    cluster.lose = ({ message }) => message.type === 'entrust' && (lost += 1) <= 4;
    cluster.submit(0, publishing);
    cluster.advance(30_000);
    const with2 = [0, 1, 2, 3, 4, 5].filter((n) => cluster.store(n).rows('entrusted').length > 0);
    assert.equal(with2.length, 2);
  });

  it('are told by another keeper when the leader died before it could', () => {
    const cluster = new Cluster({ nodes: 6, program: () => PUBLISHED });
    const silent = new Set<NodeId>();
    cluster.lose = ({ from, message }) => {
      // The leader is cut off the moment it has committed.
      if (message.type === 'entrust' && silent.size === 0) silent.add(from);
      return silent.has(from) && message.type !== 'commit' && message.type !== 'states-ack';
    };
    cluster.submit(0, publishing);
    cluster.advance(1_000);
    const [leader] = silent;
    assert.ok(leader !== undefined);
    const dead = cluster.indexOf(leader);
    cluster.crash(dead);
    cluster.advance(120_000);
    const there = [0, 1, 2, 3, 4, 5].filter((n) => cluster.store(n).rows('entrusted').length > 0);
    assert.ok(
      there.some((node) => node !== dead),
      'the holder that is left knows',
    );
  });
});

describe('a holder that is lost', () => {
  it('is replaced once it is away for long enough, and the new one is a holder like any other', () => {
    const played = play();
    const { cluster, first, second, told } = played;
    cluster.crash(first);
    cluster.advance(HOLDER_LOST_MS / 2);
    assert.deepEqual(told(), [], 'it may only be started again');
    cluster.until(
      'another has a copy',
      () => othersOf(played, second)[0] !== first,
      HOLDER_LOST_MS,
    );
    const [third] = othersOf(played, second);
    assert.ok(third !== undefined && third !== first);
    assert.deepEqual(othersOf(played, third), [second]);
    assert.equal(cluster.effects('replicate', third).length, 1);
    assert.deepEqual(cluster.effects('replicate', third)[0]?.holders, [idOf(second)]);
    cluster.crash(second);
    const fourth = (): number | undefined => othersOf(played, third).find((n) => n !== second);
    cluster.until('and another', () => fourth() !== undefined, 2 * HOLDER_LOST_MS);
  });

  it('is replaced soon when it is back with another store', () => {
    const played = play();
    const { cluster, first, second } = played;
    // It knows nothing any more of what it held, and is as good a holder as any other.
    cluster.store(first).drop(['entrusted']);
    otherStore(played, first);
    cluster.until(
      'another copy',
      () => cluster.effects('note', second).some(({ event }) => event === 'result.copied'),
      5_000,
    );
    assert.equal(othersOf(played, second).length, 1);
  });

  it('is none again because a keeper repeats who they were when the result was accepted', () => {
    const played = play();
    const { cluster, first, second } = played;
    const [told = assert.fail('nobody was told')] = cluster.messages('entrust');
    cluster.crash(first);
    cluster.until('another copy', () => othersOf(played, second)[0] !== first, 2 * HOLDER_LOST_MS);
    const others = othersOf(played, second);
    const { keepers } = told.message.admission.record.body;
    for (const { node } of keepers)
      if (node !== idOf(first)) cluster.message(second, cluster.indexOf(node), told.message);
    assert.deepEqual(othersOf(played, second), others);
  });

  it('is replaced soon when it says that the result is gone', () => {
    const played = play();
    const { cluster, first, second } = played;
    cluster.input(first, { type: 'content', cid: CID, local: false });
    cluster.until('another copy', () => othersOf(played, second).some((n) => n !== first), 5_000);
    assert.equal(cluster.store(first).rows('entrusted').length, 0);
  });

  it('is not asked again at once when it has lost the result, but somebody else is', () => {
    const played = play();
    const { cluster, first, second } = played;
    const { execution } = played;
    const [row] = cluster.store(second).rows('entrusted');
    assert.ok(row);
    const about = { job: row.job, execution, cid: CID, outcome: 'missing' } as const;
    for (let round = 0; round < 3; round += 1) {
      const [other] = othersOf(played, second);
      assert.ok(other !== undefined);
      cluster.message(second, other, { type: 'replicated', ...about });
      cluster.advance(2_000);
      assert.notEqual(othersOf(played, second)[0], other);
    }
    assert.notEqual(othersOf(played, second)[0], first);
  });

  it('is replaced by the other one after its restart, too', () => {
    const played = play();
    const { cluster, first, second } = played;
    cluster.crash(second);
    cluster.crash(first);
    cluster.advance(1_000);
    cluster.restart(second);
    const third = (): boolean => othersOf(played, second).some((node) => node !== first);
    cluster.until('another copy', third, 2 * HOLDER_LOST_MS);
  });

  it('is replaced by the next node when the first one that is asked refuses, dies or says nothing', () => {
    const played = play({ replicateTimeoutMs: 20_000 });
    const { cluster, first, second, told } = played;
    const asked: number[] = [];
    cluster.copy = (node) => {
      if (!asked.includes(node)) asked.push(node);
      if (asked[0] === node) return 'refused';
      return asked[1] === node ? null : 'made';
    };
    cluster.crash(first);
    const third = (): boolean => othersOf(played, second).some((node) => node !== first);
    cluster.until('another copy', third, 3 * HOLDER_LOST_MS);
    assert.equal(asked.length, 3);
    assert.ok(told().length <= 12, `${told().length} requests`);
  });

  it('is replaced by a node that made no copy when it was asked as soon as that connects', () => {
    const played = play({ replicateTimeoutMs: 20_000 });
    const { cluster, first, second, told } = played;
    cluster.copy = () => null;
    cluster.crash(first);
    const asked = (): ReadonlySet<NodeId> => new Set(told().map(({ to }) => to));
    cluster.until('each of the other four was asked', () => asked().size === 4, 300_000);
    cluster.advance(60_000);
    cluster.copy = () => 'made';
    const before = told().length;
    cluster.advance(60_000);
    assert.equal(told().length, before, 'nobody is asked again that soon');
    const [back = assert.fail()] = [...asked()].map((node) => cluster.indexOf(node));
    cluster.crash(back);
    cluster.restart(back);
    cluster.until('it has a copy', () => othersOf(played, second).includes(back), 5_000);
  });

  it('is replaced eight times by the same holder, and no more', () => {
    const played = play();
    const { cluster, first, second } = played;
    cluster.crash(first);
    for (let round = 0; round < 12; round += 1) {
      cluster.advance(2 * HOLDER_LOST_MS);
      for (const other of othersOf(played, second)) {
        const about = { job: cluster.store(second).rows('entrusted')[0]?.job, cid: CID };
        const { execution } = played;
        const lost = { type: 'replicated', ...about, execution, outcome: 'missing' } as never;
        cluster.message(second, other, lost);
      }
    }
    const copied = cluster.effects('note', second).filter(({ event }) => event === 'result.copied');
    assert.equal(copied.length, 8);
  });
});

describe('what is looked after', () => {
  const job = admitted(publishing, [1, 2, 3]);
  const of = (nonce: number): MessageOf<'entrust'> => {
    const one = admitted(publishing, [1, 2, 3], { nonce: String(nonce).padStart(32, '0') });
    const result = { cid: `bafy${nonce}`, bytes: 1 };
    const state = stateOf(assignOf(one, { node: 4 }), 4, { phase: 'completed', result });
    const accept = committed(one, acceptOf(one, state)) as MessageOf<'entrust'>['accept'];
    const { spec, admission } = one;
    return { type: 'entrust', spec, admission, accept, holders: [idOf(4)] };
  };

  it('was accepted by the keepers of its job', () => {
    const cluster = new Cluster({ nodes: 1 });
    const message = of(1);
    const forged = {
      ...message,
      accept: { ...message.accept, votes: message.accept.votes.slice(1, 2) },
    };
    assert.deepEqual(refusals(cluster.message(0, 9, forged)), ['bad-certificate']);
    assert.deepEqual(refusals(cluster.message(0, 9, { ...message, spec: job.spec })), [
      'contradiction',
    ]);
    assert.equal(cluster.effects('replicate').length, 0);
  });

  it('is fetched first by a node that does not have it, also for somebody who leads nothing', () => {
    const cluster = new Cluster({ nodes: 1 });
    cluster.message(0, 9, of(1));
    assert.deepEqual(cluster.effects('replicate')[0]?.holders, [idOf(4), idOf(9)]);
    assert.equal(cluster.messages('replicated').at(-1)?.message.outcome, 'made');
    cluster.message(0, 9, of(1));
    assert.equal(cluster.effects('replicate').length, 1);
  });

  it('is not more than 4,096 results, and none for longer than they are kept', () => {
    const cluster = new Cluster({ nodes: 1, limits: { resultRetentionMs: 3_600_000 } });
    const size = (): number => cluster.machine(0).sizes()['entrusted'] ?? 0;
    for (let n = 0; n < 4_200; n += 1) cluster.message(0, 9, of(n));
    assert.equal(size(), 4_096);
    assert.equal(cluster.store(0).rows('entrusted').length, 4_096);
    cluster.advance(3_700_000);
    assert.equal(size(), 0);
    assert.equal(cluster.store(0).rows('entrusted').length, 0);
  });

  it('is not said by strangers to have more holders', () => {
    const played = play();
    const { cluster, second, first } = played;
    const { message } = cluster.messages('entrust')[0] ?? assert.fail('nobody was told');
    cluster.message(second, 77, { ...message, holders: [idOf(4), idOf(5)] });
    assert.deepEqual(othersOf(played, second), [first]);
  });
});
