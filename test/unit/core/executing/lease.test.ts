/** Whom an executor tells that it lives, and whose word it takes for a sign of its leader. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Epoch } from '../../../../src/core/record/records.ts';
import { Cluster } from '../cluster.ts';
import {
  admitted,
  announcementOf,
  assignOf,
  certify,
  committed,
  grantOf,
  idOf,
  jobWith,
} from '../fixtures.ts';

/** Nodes 1, 2 and 3 keep the job, 1 leads it; node 0 is the executor and no keeper. */
const job = admitted(jobWith(), [1, 2, 3]);
const id = job.spec.body.job;

function running(): Cluster {
  const { spec, admission } = job;
  const cluster = new Cluster({ nodes: 1, program: () => [] });
  cluster.message(0, 1, { type: 'invite', announcement: announcementOf(job) });
  const assigns = [committed(job, assignOf(job, { node: 0 }))];
  cluster.message(0, 1, { type: 'assign', spec, admission, grant: null, assigns, holders: [] });
  assert.equal(cluster.effects('run').length, 1);
  return cluster;
}

describe('an executor', () => {
  it('tells the one who leads by the word of a keeper that it lives', () => {
    const cluster = running();
    const epoch = { config: { major: 0, minor: 0 }, number: 1, leader: idOf(2) };
    for (const [from, told] of [
      [7, []],
      [1, [idOf(2)]],
    ] as const) {
      const effects = cluster.message(0, from, { type: 'leads', job: id, epoch, grant: null });
      assert.deepEqual(
        effects.flatMap((effect) => (effect.type === 'send' ? [effect.to] : [])),
        told,
      );
    }
  });

  it('tells it so with every renewal also when it obeys a higher epoch, under which nobody leads', () => {
    const cluster = running();
    const epochOf = (number: number, leader: number): Epoch => ({
      config: { major: 0, minor: 0 },
      number,
      leader: idOf(leader),
    });
    const grantFor = (epoch: Epoch, by: number) =>
      certify(grantOf(job, epoch, by), 'grant', [2, 3], epoch);
    const [high, low] = [epochOf(9, 3), epochOf(4, 2)];
    const says = (from: number, epoch: Epoch, by: number) =>
      cluster.message(0, from, { type: 'leads', job: id, epoch, grant: grantFor(epoch, by) });
    says(3, high, 3);
    says(1, low, 2);
    for (let turn = 0; turn < 4; turn += 1) cluster.advance(5_000);
    const told = cluster.messages('renew').filter(({ to }) => to === idOf(2));
    assert.ok(told.length >= 5, `${told.length} times`);
    says(3, epochOf(10, 3), 3);
    const before = cluster.messages('renew').filter(({ to }) => to === idOf(2)).length;
    cluster.advance(5_000);
    const after = cluster.messages('renew').filter(({ to }) => to === idOf(2)).length;
    assert.equal(after, before, 'and no more once somebody leads above it');
  });

  it('tells its leader anew how far it is when that asks, as it may have been started again', () => {
    const cluster = running();
    const [run] = cluster.effects('run');
    cluster.report(0, run?.order.execution ?? assert.fail(), [{ type: 'phase', phase: 'running' }]);
    const told = () => cluster.messages('states').filter(({ to }) => to === idOf(1));
    const { execution, sequence } = told().at(-1)?.message.states[0]?.body ?? assert.fail();
    cluster.message(0, 1, { type: 'states-ack', seen: [{ execution, sequence }] });
    const before = told().length;
    cluster.advance(5_000);
    assert.equal(told().length, before, 'it was heard');
    cluster.message(0, 1, { type: 'leads', job: id, epoch: job.epoch, grant: null });
    assert.equal(told().length, before + 1);
  });

  it('takes nobody else for its leader, who would keep it from looking for that', () => {
    for (const [from, isAsked] of [
      [7, true],
      [1, false],
    ] as const) {
      const cluster = running();
      const [run] = cluster.effects('run');
      assert.ok(run);
      for (let turn = 0; turn < 8; turn += 1) {
        cluster.advance(5_000);
        cluster.message(0, from, { type: 'renewed', executions: [run.order.execution] });
      }
      assert.equal(
        cluster.messages('renew').some(({ to }) => to === idOf(3)),
        isAsked,
      );
    }
  });

  it('looks for another leader when the one it knows says again and again that it leads no more', () => {
    const cluster = running();
    const asked = (): boolean => cluster.messages('renew').some(({ to }) => to === idOf(3));
    const play = (epoch: Epoch): void => {
      for (let turn = 0; turn < 8; turn += 1) {
        cluster.advance(5_000);
        cluster.message(0, 1, { type: 'leads', job: id, epoch, grant: null });
      }
    };
    play(job.epoch);
    assert.equal(asked(), false);
    play({ config: { major: 0, minor: 0 }, number: 1, leader: idOf(2) });
    assert.equal(asked(), true);
  });
});
