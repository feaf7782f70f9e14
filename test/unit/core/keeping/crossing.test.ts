/** What keepers of the branches of a job tell each other when it is over in one of them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { firstEpoch } from '../../../../src/core/record/ballot.ts';
import { FIRST_CONFIG, reseedId } from '../../../../src/core/record/chain.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import { Cluster } from '../cluster.ts';
import {
  acceptOf,
  admitted,
  advertOf,
  assignOf,
  at,
  certify,
  closeOf,
  committed,
  idOf,
  jobWith,
  stateOf,
  stopOf,
  storeOf,
  suite,
  suiteOf,
} from '../fixtures.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** Node 0 keeps a job with 2 and 3, which 1 and 4 kept with 2 before, and learns of the end. */
function endOn(cluster: Cluster, n: number) {
  const of = admitted(jobWith(), [1, 2, 4], { nonce: String(n).padStart(32, '0') });
  const { job } = of.spec.body;
  const keepers = [2, 0, 3].map((index) => ({ node: idOf(index), store: storeOf(index) }));
  const config = reseedId(suite, job, FIRST_CONFIG, keepers);
  const body = { job, config, keepers, former: [], reseeds: FIRST_CONFIG };
  const record = suiteOf(2).seal('config', body, at(5), 'node');
  const reseeded = certify(record, slotOf(record), [2, 0], firstEpoch(body));
  cluster.message(0, 2, { type: 'activate', ...of, configs: [reseeded] });
  const command = stopOf(of);
  cluster.message(0, 2, { type: 'command', command });
  const close = closeOf(of, { outcome: 'stopped', code: 'stopped', evidence: [command.id] });
  const epoch = { config, number: 1, leader: idOf(2) };
  const over = certify(close, slotOf(close), [2, 3], epoch);
  cluster.message(0, 2, { type: 'commit', job, values: [over] });
  return { job, command };
}

function lone(): Cluster {
  const cluster = new Cluster({ nodes: 1, program: () => [], profile: () => ({ engines: {} }) });
  for (const node of [1, 2, 3, 4])
    cluster.message(0, node, { type: 'advert', advert: advertOf(node) });
  return cluster;
}

const connect = (cluster: Cluster, node: number): void => {
  cluster.input(0, { type: 'peer-connected', node: idOf(node) });
};

const toldTo = (cluster: Cluster, node: number): number =>
  cluster.messages('closed').filter(({ to }) => to === idOf(node)).length;

const stopsFor = (cluster: Cluster, node: number): number =>
  cluster.messages('command').filter(({ to }) => to === idOf(node)).length;

describe('the end of a re-seeded job', () => {
  it('is told to those that kept it before until each has it, or the stop', () => {
    const cluster = lone();
    for (const node of [1, 4]) connect(cluster, node);
    const { job, command } = endOn(cluster, 1);
    cluster.advance(2_000);
    const before = [1, 4].map((node) => toldTo(cluster, node));
    assert.ok(before.every((count) => count > 0));
    assert.ok([1, 4].every((node) => stopsFor(cluster, node) > 0));
    cluster.message(0, 1, { type: 'closed-ack', job, version: 1 });
    cluster.message(0, 4, { type: 'command-ack', job, command: command.id });
    cluster.advance(MINUTE_MS);
    assert.deepEqual(
      [1, 4].map((node) => toldTo(cluster, node)),
      before,
    );
    assert.equal(cluster.machine(0).sizes().branchEnds, 0);
  });

  it('is told for minutes to who says nothing, again when he connects, and not after a day', () => {
    const cluster = lone();
    connect(cluster, 1);
    endOn(cluster, 1);
    cluster.advance(20 * MINUTE_MS);
    const silent = toldTo(cluster, 1);
    assert.ok(silent > 10 && silent < 60, `told ${silent} times`);
    cluster.advance(20 * MINUTE_MS);
    assert.equal(toldTo(cluster, 1), silent);
    connect(cluster, 1);
    cluster.advance(2_000);
    assert.ok(toldTo(cluster, 1) > silent);
    cluster.advance(DAY_MS);
    const last = toldTo(cluster, 1);
    connect(cluster, 1);
    cluster.advance(2_000);
    assert.equal(toldTo(cluster, 1), last);
  });

  it('is told of a thousand such jobs, the newest', () => {
    const cluster = lone();
    for (let n = 1; n <= 1_005; n += 1) endOn(cluster, n);
    assert.equal(cluster.machine(0).sizes().branchEnds, 1_000);
  });
});

describe('a job that is over for those before it was re-seeded', () => {
  const of = admitted(jobWith(), [1, 0, 2]);
  const { job } = of.spec.body;
  const assign = committed(of, assignOf(of, { node: 7 }));
  const accept = committed(of, acceptOf(of, stateOf(assign.record, 7, { phase: 'completed' })));
  const close = committed(of, closeOf(of, { outcome: 'completed', code: 'completed' }));
  const whole = [assign, accept, close];

  /** Keeper 2 went on with these. */
  function reseed(keepers: readonly number[]) {
    const set = keepers.map((index) => ({ node: idOf(index), store: storeOf(index) }));
    const config = reseedId(suite, job, FIRST_CONFIG, set);
    const body = { job, config, keepers: set, former: [], reseeds: FIRST_CONFIG };
    const record = suiteOf(2).seal('config', body, at(5), 'node');
    return certify(record, slotOf(record), keepers.slice(0, 2), firstEpoch(body));
  }

  it('is told as a whole to who never kept it there, and has nobody to ask', () => {
    const cluster = lone();
    cluster.message(0, 1, { type: 'activate', ...of });
    cluster.message(0, 1, { type: 'commit', job, values: whole });
    assert.equal(cluster.inspect(0).jobs[0]?.state, 'Completed');
    const configs = [reseed([2, 3, 4])];
    const told = (node: number): readonly string[] => {
      const before = cluster.messages('commit').length;
      cluster.message(0, node, { type: 'branch', job, turn: 1, configs });
      const commits = cluster.messages('commit').slice(before);
      return commits.flatMap(({ message }) => message.values.map(({ record }) => record.type));
    };
    assert.deepEqual(told(3), ['assign', 'accept', 'close']);
    assert.deepEqual(told(2), [], 'it asks for it');
    assert.deepEqual(told(9), [], 'it keeps it nowhere');
  });

  it('is over for who goes on when it is told all of that', () => {
    const cluster = lone();
    cluster.message(0, 2, { type: 'activate', ...of, configs: [reseed([2, 0, 3])] });
    cluster.message(0, 1, { type: 'closed', job, close });
    assert.notEqual(cluster.inspect(0).jobs[0]?.state, 'Completed');
    cluster.message(0, 1, { type: 'commit', job, values: whole });
    assert.equal(cluster.inspect(0).jobs[0]?.state, 'Completed');
  });

  it('is asked about with those that brought it to its end', () => {
    const cluster = lone();
    cluster.message(0, 2, { type: 'activate', ...of, configs: [reseed([2, 0, 3])] });
    const before = cluster.messages('status-wanted').length;
    cluster.message(0, 1, { type: 'closed', job, close });
    const asked = cluster.messages('status-wanted').slice(before);
    assert.deepEqual(new Set(asked.map(({ to }) => to)), new Set([1, 2, 3].map(idOf)));
  });
});
