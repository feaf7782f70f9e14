/** Which keepers an execution obeys when its job was re-seeded. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { firstEpoch } from '../../../../src/core/record/ballot.ts';
import { chainOf, currentOf, FIRST_CONFIG, reseedId } from '../../../../src/core/record/chain.ts';
import type { Signed } from '../../../../src/core/record/records.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import type { Job } from '../../../../src/job/model.ts';
import { Cluster } from '../cluster.ts';
import {
  admitted,
  announcementOf,
  assignOf,
  at,
  certify,
  committed,
  grantOf,
  idOf,
  jobWith,
  setOf,
  suite,
  suiteOf,
} from '../fixtures.ts';

/** Nodes 1, 2 and 3 keep the job, 1 leads it; node 0 runs it. Node 3 goes on with 4 and 5. */
function scene(spec: Job = jobWith({ Type: 'service' })) {
  const job = admitted(spec, [1, 2, 3]);
  const id = job.spec.body.job;
  const keepers = setOf([3, 4, 5]);
  const config = reseedId(suite, id, FIRST_CONFIG, keepers);
  const body = { job: id, config, keepers, former: [], reseeds: FIRST_CONFIG };
  const record: Signed<'config'> = suiteOf(3).seal('config', body, at(5), 'node');
  const configs = [certify(record, slotOf(record), [3, 4], firstEpoch(body))];
  const epoch = { config, number: 1, leader: idOf(3) };
  const grant = certify(grantOf(job, epoch, 3), 'grant', [3, 4], epoch);
  const cluster = new Cluster({ nodes: 1, program: () => [{ type: 'phase', phase: 'running' }] });
  cluster.message(0, 1, { type: 'invite', announcement: announcementOf(job) });
  const assign = committed(job, assignOf(job, { node: 0 }));
  const message = { grant: null, assigns: [assign], holders: [] };
  cluster.message(0, 1, {
    type: 'assign',
    spec: job.spec,
    admission: job.admission,
    ...message,
  });
  const [run] = cluster.effects('run');
  const execution = run?.order.execution ?? assert.fail('it runs');
  const leads = { type: 'leads', job: id, epoch, configs, grant } as const;
  const renewedBy = (from: number) =>
    cluster.message(0, from, { type: 'renewed', executions: [execution] });
  /** Whom it tells that it lives, in the next seconds. */
  const told = (): readonly string[] => {
    const before = cluster.messages('renew').length;
    cluster.advance(5_000);
    return cluster
      .messages('renew')
      .slice(before)
      .map(({ to }) => to);
  };
  return { cluster, job, id, assign, execution, configs, epoch, leads, renewedBy, told };
}

describe('an execution whose job was re-seeded', () => {
  it('obeys those when it has not heard its leader for a lease, and tells them of itself', () => {
    const { cluster, assign, leads, told } = scene();
    cluster.message(0, 3, leads);
    assert.ok(!told().includes(idOf(3)), 'its leader was heard just now');
    cluster.advance(20_000);
    cluster.message(0, 3, leads);
    assert.deepEqual(told(), [idOf(3)]);
    const taught = () =>
      cluster
        .messages('commit')
        .flatMap(({ to, message }) =>
          to === idOf(3) ? message.values.map(({ record }) => record.id) : [],
        );
    assert.deepEqual(
      [...new Set(taught())],
      [assign.record.id],
      'they may not know that it was assigned',
    );
    const before = taught().length;
    cluster.advance(5_000);
    assert.ok(taught().length > before, 'nobody has said that he heard it');
  });

  it('goes on with its leader as long as that answers', () => {
    const { cluster, leads, renewedBy, told } = scene();
    for (let turn = 0; turn < 8; turn += 1) {
      cluster.advance(5_000);
      renewedBy(1);
    }
    cluster.message(0, 3, leads);
    assert.deepEqual(told(), [idOf(1)]);
  });

  it('believes in none when its program must not run beside another', () => {
    const { cluster, leads, told } = scene(
      jobWith({ Meta: { 'shoal/partition-policy': 'wait', 'shoal/lost-after': '10m' } }),
    );
    cluster.advance(30_000);
    cluster.message(0, 3, leads);
    for (let turn = 0; turn < 3; turn += 1) assert.ok(!told().includes(idOf(4)));
  });

  it('goes back to those before when a quorum of the others has, and not on the word of one', () => {
    const { cluster, job, leads, told } = scene();
    cluster.advance(30_000);
    cluster.message(0, 3, leads);
    const back = { type: 'leads', job: leads.job, epoch: job.epoch, grant: null } as const;
    cluster.message(0, 4, back);
    cluster.message(0, 4, back);
    cluster.message(0, 9, back);
    assert.deepEqual(
      told().filter((to) => to === idOf(1)),
      [],
    );
    cluster.message(0, 5, back);
    assert.ok(told().includes(idOf(1)));
  });

  it('asks those before, too, when it hears none of these for long, and obeys who leads those then', () => {
    const { cluster, job, leads, told } = scene();
    cluster.advance(30_000);
    cluster.message(0, 3, leads);
    const back = { type: 'leads', job: leads.job, epoch: job.epoch, grant: null } as const;
    cluster.advance(55_000);
    cluster.message(0, 1, back);
    assert.ok(!told().includes(idOf(1)), 'those may come back');
    cluster.advance(5_000);
    const asked = new Set(Array.from({ length: 8 }, () => told()).flat());
    for (const node of [1, 2, 3, 4, 5]) assert.ok(asked.has(idOf(node)), idOf(node));
    cluster.message(0, 2, back);
    assert.equal(cluster.messages('renew').at(-1)?.to, idOf(1), 'it is asked whether it leads');
    assert.ok(told().includes(idOf(3)));
    cluster.message(0, 9, { ...back, epoch: { ...job.epoch, leader: idOf(9) } });
    assert.ok(told().includes(idOf(3)), 'a stranger says that it does');
    cluster.message(0, 1, back);
    assert.deepEqual(told(), [idOf(1)]);
  });

  it('keeps its node from keeping the job with those before, which has lost nothing for all that', () => {
    const { cluster, job, id, leads } = scene();
    const next: Signed<'config'> = suiteOf(1).seal(
      'config',
      {
        job: id,
        config: { major: 0, minor: 1 },
        keepers: setOf([1, 2, 0]),
        former: setOf([1, 2, 3]),
      },
      at(6),
      'node',
    );
    const { spec, admission } = job;
    cluster.advance(30_000);
    cluster.message(0, 3, leads);
    cluster.message(0, 1, { type: 'join', spec, admission, next });
    assert.equal(cluster.messages('not-admitted').length, 0, 'it would be asked never again');
    assert.equal(cluster.messages('change-agreed').length, 0);
    const back = { type: 'leads', job: id, epoch: job.epoch, grant: null } as const;
    for (const from of [4, 5]) cluster.message(0, from, back);
    cluster.message(0, 1, { type: 'join', spec, admission, next });
    assert.equal(cluster.messages('change-agreed').length, 1);
  });

  it('that the keepers which it obeys now did not assign ends', () => {
    const { job, id, epoch, configs, leads } = scene();
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    const theirs = assignOf(job, { node: 0, by: 3 }, epoch);
    const assigns = [certify(theirs, slotOf(theirs), [3, 4], epoch)];
    const { grant } = leads;
    const announcement = announcementOf(job, { leader: idOf(3), configs, grant });
    cluster.message(0, 3, { type: 'invite', announcement });
    const { spec, admission } = job;
    const message = { spec, admission, configs, grant, assigns, holders: [] };
    cluster.message(0, 3, { type: 'assign', ...message });
    assert.equal(cluster.effects('run').length, 1);
    const back = { type: 'leads', job: id, epoch: job.epoch, grant: null } as const;
    cluster.message(0, 4, back);
    assert.equal(cluster.effects('cancel-run').length, 0);
    cluster.message(0, 5, back);
    assert.equal(cluster.effects('cancel-run').length, 1);
  });

  it('ends when another was begun in its place, as nobody there knew of it', () => {
    const { cluster, job, id, epoch, configs, execution, leads } = scene();
    cluster.advance(30_000);
    cluster.message(0, 3, leads);
    const other = assignOf(job, { node: 7, by: 3 }, epoch);
    const because = certify(other, slotOf(other), [3, 4], epoch);
    const before = assignOf(job, { node: 8 });
    const wrong = committed(job, before);
    cluster.message(0, 3, { type: 'cancel', job: id, execution, because: wrong, configs });
    assert.equal(cluster.effects('cancel-run').length, 0, 'one keeper alone may have lied');
    cluster.message(0, 3, { type: 'cancel', job: id, execution, because, configs });
    assert.equal(cluster.effects('cancel-run').length, 1);
  });
});

describe('a node that runs a job which it is to keep', () => {
  /** It is the first that was chosen to keep the job, and voted for that or not; it never heard that the job began. */
  function chosen(hasVoted: boolean) {
    const job = admitted(jobWith(), [0, 1, 2]);
    const id = job.spec.body.job;
    const keepers = setOf([2, 3, 4]);
    const config = reseedId(suite, id, FIRST_CONFIG, keepers);
    const body = { job: id, config, keepers, former: [], reseeds: FIRST_CONFIG };
    const record: Signed<'config'> = suiteOf(2).seal('config', body, at(5), 'node');
    const configs = [certify(record, slotOf(record), [2, 3], firstEpoch(body))];
    const epoch = { config, number: 1, leader: idOf(2) };
    const grant = certify(grantOf(job, epoch, 2), 'grant', [2, 3], epoch);
    const assign = assignOf(job, { node: 0, by: 2 }, epoch);
    const assigns = [certify(assign, slotOf(assign), [2, 3], epoch)];
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    const { spec, admission } = job;
    if (hasVoted) cluster.message(0, 1, { type: 'admit', spec, admission: admission.record });
    const announcement = announcementOf(job, { leader: idOf(2), configs, grant });
    cluster.message(0, 2, { type: 'invite', announcement });
    const told = { spec, admission, configs, grant };
    cluster.message(0, 2, { type: 'assign', ...told, assigns, holders: [] });
    assert.equal(cluster.effects('run').length, 1);
    return { cluster, job, epoch };
  }

  it('keeps it by those that it was re-seeded with, when it is told late that the job began', () => {
    for (const hasVoted of [true, false]) {
      const { cluster, job, epoch } = chosen(hasVoted);
      const { spec, admission } = job;
      cluster.message(0, 1, { type: 'activate', spec, admission });
      const [kept] = cluster.inspect(0).jobs;
      assert.ok(kept !== undefined);
      assert.equal(kept.leading, null, 'it was to lead those before');
      assert.deepEqual(currentOf(chainOf(kept.records)).config, epoch.config);
      const grant = grantOf(job, { ...job.epoch, number: 3, leader: idOf(1) }, 1);
      cluster.message(0, 1, { type: 'prepare', job: spec.body.job, grant });
      assert.equal(cluster.messages('promise').length, 0);
      const promised = cluster.store(0).rows('promises').at(-1);
      assert.deepEqual(promised?.value, epoch);
    }
  });

  it('keeps it by the leader that it obeys, though nobody re-seeded it', () => {
    const job = admitted(jobWith(), [0, 1, 2]);
    const { spec, admission } = job;
    const id = spec.body.job;
    const epoch = { ...job.epoch, number: 2, leader: idOf(1) };
    const grant = certify(grantOf(job, epoch, 1), 'grant', [1, 2], epoch);
    const assign = assignOf(job, { node: 0, by: 1 }, epoch);
    const assigns = [certify(assign, slotOf(assign), [1, 2], epoch)];
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, {
      type: 'invite',
      announcement: announcementOf(job, { leader: idOf(1), grant }),
    });
    cluster.message(0, 1, { type: 'assign', spec, admission, grant, assigns, holders: [] });
    assert.equal(cluster.effects('run').length, 1);
    cluster.message(0, 2, { type: 'activate', spec, admission });
    assert.equal(cluster.inspect(0).jobs[0]?.leading, null);
    const lower = grantOf(job, { ...epoch, number: 1 }, 1);
    cluster.message(0, 1, { type: 'prepare', job: id, grant: lower });
    assert.equal(cluster.messages('promise').length, 0);
    cluster.message(0, 2, {
      type: 'prepare',
      job: id,
      grant: grantOf(job, { ...epoch, number: 3, leader: idOf(2) }, 2),
    });
    assert.equal(cluster.messages('promise').length, 1);
  });
});
