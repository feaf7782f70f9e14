/** A keeper that has lost a row of a job has no say in it any more, and the others finish it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Cluster } from '../cluster.ts';
import type { JobId } from '../../../../src/core/record/ids.ts';
import { jobWith, storeOf } from '../fixtures.ts';

/** Five keepers of a job that runs; a follower lost a row of it. */
function withForfeit(): { cluster: Cluster; damaged: number; others: readonly number[] } {
  const cluster = new Cluster({
    nodes: 5,
    program: () => [{ type: 'phase', phase: 'running' }],
  });
  cluster.submit(0, jobWith());
  cluster.until('it runs', () => cluster.effects('run').length === 1);
  cluster.advance(1_000);
  const [admission] = cluster.messages('activate');
  const ranks = admission?.message.admission.record.body.keepers.map(({ node }) =>
    cluster.indexOf(node),
  ) as number[];
  const runner = cluster.steps.find(({ effects }) => effects.some(({ type }) => type === 'run'));
  const damaged = ranks.slice(1).find((node) => node !== runner?.node) as number;
  const { job } = cluster.job(damaged);
  cluster.crash(damaged);
  cluster.store(damaged).forfeits.add(job);
  return { cluster, damaged, others: ranks.filter((node) => node !== damaged) };
}

const VOTES = new Set(['voted', 'promise', 'admitted', 'activated', 'prepare', 'propose']);

describe('a job of which a keeper has lost a row', () => {
  it('gets no vote of it, whoever asks, and is not taken up anew', () => {
    const { cluster, damaged, others } = withForfeit();
    const before = cluster.sent.length;
    cluster.restart(damaged);
    // Its leader is gone: somebody stands for leader, and asks everybody.
    cluster.crash(others[0] as number);
    cluster.until(
      'another leads',
      () => others.slice(1).some((node) => cluster.job(node).leading !== null),
      60_000,
    );
    cluster.advance(60_000);
    const [activate] = cluster.messages('activate');
    assert.ok(activate !== undefined);
    cluster.message(damaged, cluster.indexOf(activate.from), activate.message);
    const { node } = cluster.inspect(damaged);
    const said = cluster.sent.slice(before).filter(({ from }) => from === node);
    const types = new Set(said.map(({ message }) => message.type));
    assert.deepEqual(
      [...types].filter((type) => VOTES.has(type)),
      [],
    );
    assert.deepEqual(cluster.inspect(damaged).jobs, []);
  });

  it('is not submitted anew by the sponsor that lost it', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.submit(0, jobWith());
    const { job } = cluster.job(0);
    cluster.crash(0);
    const store = cluster.store(0);
    store.apply([{ table: 'submissions', job, key: '*', value: null }]);
    store.forfeits.add(job);
    cluster.restart(0);
    const reply = cluster.reply(cluster.submit(0, jobWith()));
    assert.ok(reply?.type === 'failed' && reply.problem.code === 'job-terminal');
    assert.deepEqual(store.rows('submissions'), []);
  });

  it('is stopped by its owner all the same', () => {
    const { cluster, damaged, others } = withForfeit();
    cluster.restart(damaged);
    const { job } = cluster.job(others[0] as number);
    const request = cluster.request(0, { type: 'stop', job, reason: 'enough' });
    cluster.until(
      'all are told',
      () => others.every((node) => cluster.job(node).state === 'Stopped'),
      60_000,
    );
    assert.notEqual(cluster.reply(request), null);
  });
});

describe('a job that goes on without a word', () => {
  it('finds a keeper that has lost a row of it, and another one takes its place', () => {
    const cluster = new Cluster({
      nodes: 4,
      program: () => [{ type: 'phase', phase: 'running' }],
      limits: { keepersMax: 3 },
    });
    cluster.submit(0, jobWith());
    cluster.advance(120_000);
    const keepers = [0, 1, 2, 3].filter((node) => cluster.inspect(node).jobs[0]?.keeper === true);
    const lost = keepers.find((node) => cluster.inspect(node).jobs[0]?.leading == null);
    assert.ok(lost !== undefined && keepers.length === 3);
    const { job } = cluster.job(lost);
    cluster.crash(lost);
    cluster.store(lost).forfeits.add(job);
    cluster.restart(lost);
    const fourth = [0, 1, 2, 3].find((node) => !keepers.includes(node)) ?? assert.fail();
    const isKeeper = () => cluster.inspect(fourth).jobs[0]?.keeper === true;
    cluster.until('another one keeps it', isKeeper, 120_000);
  });
});

describe('a submission some of whose keepers can never have a say in the job', () => {
  const HOUR_MS = 3_600_000;

  /** Three nodes; those given damaged what they knew of the job before they answered. */
  function submitted(damaged: number): { cluster: Cluster; request: string; job: JobId } {
    const cluster = new Cluster({ nodes: 3 });
    cluster.lose = ({ message }) => message.type === 'admit' || message.type === 'admitted';
    const request = cluster.submit(0, jobWith());
    const { job } = cluster.messages('admit')[0]?.message.spec.body ?? assert.fail();
    for (let node = 1; node <= damaged; node += 1) {
      cluster.crash(node);
      cluster.store(node).forfeits.add(job);
      cluster.restart(node);
    }
    cluster.lose = () => false;
    return { cluster, request, job };
  }

  it('is refused with the reason as soon as they are too many, and its sponsor asks no more', () => {
    const { cluster, request, job } = submitted(2);
    cluster.until('it is answered', () => cluster.reply(request) !== null, 5_000);
    const problem = { code: 'not-admitted', job, refusal: { code: 'damaged' } };
    assert.deepEqual(cluster.reply(request), { type: 'failed', problem });
    const asked = cluster.messages('admit').length;
    // Long enough for two repetitions, and not for its own keeper, which hands it on after ten seconds.
    cluster.advance(8_000);
    assert.equal(cluster.messages('admit').length, asked);
    // The same token finds it: a second admission of the job would be a second keeper set.
    assert.deepEqual(cluster.reply(cluster.submit(0, jobWith())), { type: 'failed', problem });
    cluster.restart(0);
    const later = cluster.submit(0, jobWith());
    cluster.until('it is answered again', () => cluster.reply(later) !== null, 30_000);
    const ids = new Set(cluster.messages('admit').map(({ message }) => message.admission.id));
    assert.equal(ids.size, 1);
  });

  it('goes on with the others while they are enough', () => {
    const { cluster, request } = submitted(1);
    cluster.until('it is answered', () => cluster.reply(request) !== null, 5_000);
    assert.equal(cluster.reply(request)?.type, 'receipt');
  });

  it('is forgotten when its time is over', () => {
    const { cluster, request } = submitted(2);
    cluster.until('it is answered', () => cluster.reply(request) !== null, 5_000);
    assert.equal(cluster.store(0).rows('submissions').length, 1);
    cluster.crash(1);
    cluster.crash(2);
    cluster.advance(25 * HOUR_MS);
    assert.deepEqual(cluster.store(0).rows('submissions'), []);
  });

  it('is not ended by an answer that is about a store it does not name', () => {
    const { cluster, request, job } = submitted(0);
    cluster.lose = () => true;
    for (const node of [1, 2]) {
      const refusal = { code: 'other-store', store: storeOf(node) } as const;
      cluster.message(0, node, { type: 'not-admitted', job, refusal });
    }
    assert.equal(cluster.reply(request), null);
  });
});
