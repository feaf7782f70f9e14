/** What a keeper has accepted binds it as much as what it has promised. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { slotOf } from '../../../../src/core/record/slot.ts';
import type { Epoch, Signed } from '../../../../src/core/record/records.ts';
import { Cluster, refusals } from '../cluster.ts';
import type { MessageOf } from '../cluster.ts';
import { admitted, assignOf, grantOf, idOf, jobWith } from '../fixtures.ts';

/** Nodes 1, 0 and 2 keep the job; 1 leads it; node 0 is the machine under test. */
const job = admitted(jobWith({ Count: 2 }), [1, 0, 2]);
const id = job.spec.body.job;
const epochOf = (number: number, node: number): Epoch => ({
  config: { major: 0, minor: 0 },
  number,
  leader: idOf(node),
});

const propose = (value: Signed<'assign'>, epoch: Epoch): MessageOf<'propose'> => ({
  type: 'propose',
  job: id,
  epoch,
  values: [{ slot: slotOf(value), value }],
  states: [],
  commands: [],
});

describe('a keeper that accepted in an epoch nobody asked it to promise', () => {
  const later = epochOf(3, 2);
  const earlier = assignOf(job, { node: 7, by: 1 }, epochOf(1, 1));
  const value = assignOf(job, { node: 8, by: 2 }, later);
  const play = (): Cluster => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
    cluster.message(0, 2, propose(value, later));
    assert.equal(cluster.messages('voted').length, 1);
    return cluster;
  };

  it('accepts nothing of a lower one', () => {
    const cluster = play();
    assert.deepEqual(refusals(cluster.message(0, 1, propose(earlier, epochOf(1, 1)))), [
      'outdated-epoch',
    ]);
    assert.equal(cluster.messages('voted').length, 1);
  });

  it('accepts nothing of a lower one after a restart either', () => {
    const cluster = play();
    cluster.crash(0);
    cluster.restart(0);
    cluster.message(0, 1, propose(earlier, epochOf(1, 1)));
    assert.equal(cluster.messages('voted').length, 1);
    assert.deepEqual(cluster.job(0).promised, later);
  });

  it('tells a later candidate of it, after a restart, too', () => {
    const cluster = play();
    cluster.crash(0);
    cluster.restart(0);
    const grant = grantOf(job, epochOf(4, 1), 1);
    cluster.message(0, 1, { type: 'prepare', job: id, grant });
    const told = cluster.messages('promise').flatMap(({ message }) => message.accepted);
    assert.deepEqual(
      told.map((accepted) => [accepted.value.id, accepted.epoch]),
      [[value.id, later]],
    );
  });
});
