/** A keeper that has lost a row of a job has no say in it any more, and the others finish it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Cluster } from '../cluster.ts';
import { jobWith } from '../fixtures.ts';

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
