/** What others tell a keeper of executions: a stranger fills no ledger with them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Signed } from '../../../../src/core/record/records.ts';
import { Cluster, refusals } from '../cluster.ts';
import { admitted, assignOf, committed, idOf, jobWith, stateOf, suiteOf } from '../fixtures.ts';

/** Nodes 1, 0 and 2 keep the job; node 0 is the machine under test. */
const job = admitted(jobWith(), [1, 0, 2]);
const keeper = (): Cluster => {
  const cluster = new Cluster({ nodes: 1, program: () => [] });
  cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
  return cluster;
};
const running = (node: number, attempt = 0): Signed<'state'> =>
  stateOf(assignOf(job, { node, attempt }), node, { phase: 'running', sequence: 3 });
const tell = (cluster: Cluster, from: number, state: Signed<'state'>) =>
  cluster.message(0, from, { type: 'states', states: [state] });
const known = (cluster: Cluster): number => cluster.job(0).records.states.length;

describe('a state of an execution that this keeper does not know to be assigned', () => {
  it('is not taken from its executor, who may have made it up', () => {
    const cluster = keeper();
    assert.deepEqual(refusals(tell(cluster, 8, running(8))), ['unknown-job']);
    assert.equal(known(cluster), 0);
    assert.deepEqual(cluster.messages('states-ack'), []);
  });

  it('is taken from a keeper, who may know of the assignment first, up to a bound', () => {
    const cluster = keeper();
    tell(cluster, 2, running(8));
    assert.equal(known(cluster), 1);
    for (let attempt = 1; attempt < 100; attempt += 1) tell(cluster, 2, running(8, attempt));
    assert.equal(known(cluster), 64);
  });

  it('is taken from its executor once the assignment is known', () => {
    const cluster = keeper();
    const value = committed(job, assignOf(job, { node: 8 }));
    cluster.message(0, 1, { type: 'commit', job: job.spec.body.job, values: [value] });
    tell(cluster, 8, running(8));
    assert.equal(known(cluster), 1);
    const acks = cluster.messages('states-ack').map(({ to }) => to);
    assert.deepEqual(acks, [idOf(8)]);
  });
});

describe('a state', () => {
  it('that says it is of another part or version of the job than its execution is not taken', () => {
    const cluster = keeper();
    const value = committed(job, assignOf(job, { node: 8 }));
    cluster.message(0, 1, { type: 'commit', job: job.spec.body.job, values: [value] });
    const changes = [
      [{ partition: 1 }, 'contradiction'],
      [{ version: 0 }, 'unknown-job'],
      [{ version: 2 }, 'unknown-job'],
      [{ attempt: 3 }, 'contradiction'],
    ] as const;
    for (const [change, why] of changes) {
      const { body, hlc } = running(8);
      const untrue = suiteOf(8).seal('state', { ...body, ...change }, hlc, 'node');
      assert.deepEqual(refusals(tell(cluster, 8, untrue)), [why]);
    }
    assert.equal(known(cluster), 0);
  });
});
