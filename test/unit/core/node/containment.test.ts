/** What a defect of the core costs: the step it shows in, then the job, and never the node. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asJobId, asRequestId } from '../../../../src/core/record/ids.ts';
import type { JobId } from '../../../../src/core/record/ids.ts';
import type { StoredExecution } from '../../../../src/core/contract/stored.ts';
import type { Bodies, RecordType } from '../../../../src/core/record/records.ts';
import { Cluster, DONE } from '../cluster.ts';
import type { ClusterOptions } from '../cluster.ts';
import { assignOf, committed, admitted, grantOf, idOf, jobWith, stateOf } from '../fixtures.ts';

/** What throws when it is to be signed: records of one type, of all jobs or of one. */
interface Flaw {
  type: RecordType | null;
  job: JobId | null;
  times: number;
}

function flawed(options: Partial<ClusterOptions> = {}): { cluster: Cluster; flaw: Flaw } {
  const flaw: Flaw = { type: null, job: null, times: Infinity };
  const cluster = new Cluster({
    nodes: 1,
    ...options,
    suite: (suite) => ({
      ...suite,
      seal<T extends RecordType>(type: T, body: Bodies[T], ...rest: [never, never]) {
        const job = 'job' in body ? body.job : null;
        if (type === flaw.type && (flaw.job ?? job) === job && flaw.times > 0) {
          flaw.times -= 1;
          throw new Error('a flaw');
        }
        return suite.seal(type, body, ...rest);
      },
    }),
  });
  cluster.defectsExpected = true;
  return { cluster, flaw };
}

/** Ends without having run. */
const nowhere = jobWith({ Constraints: [{ Key: 'zone', Operator: '=', Values: ['nowhere'] }] });
const nonces = ['b', 'c', 'd'].map((letter) => letter.repeat(32));
const defects = (cluster: Cluster): readonly string[] =>
  cluster.effects('defect').map(({ where }) => where);
const jobsOf = (cluster: Cluster): readonly JobId[] =>
  cluster
    .machine(0)
    .inspect()
    .jobs.map(({ job }) => job);
const closed = (cluster: Cluster, job: JobId | undefined): string | undefined =>
  cluster
    .machine(0)
    .inspect()
    .jobs.find((kept) => kept.job === job)?.state;

describe('a message that cannot be handled', () => {
  /** Node 0 keeps a job of nodes 1 and 2. */
  function keeper() {
    const world = flawed();
    const job = admitted(jobWith(), [1, 2, 0]);
    const { spec, admission } = job;
    world.cluster.message(0, 1, { type: 'activate', spec, admission });
    return { ...world, job, id: spec.body.job };
  }

  it('is dropped whole, and what is on disk of its job is what is known', () => {
    const { cluster, flaw, job, id } = keeper();
    const epoch = { config: { major: 0, minor: 0 }, number: 7, leader: idOf(1) };
    const prepare = { type: 'prepare', job: id, grant: grantOf(job, epoch, 1) } as const;
    flaw.type = 'vote';
    const effects = cluster.message(0, 1, prepare);
    assert.deepEqual(
      effects.map(({ type }) => type),
      ['defect', 'reload'],
      'the promise that came before the throw is not written',
    );
    assert.equal(cluster.job(0).promised?.number, 0);
    flaw.type = null;
    cluster.message(0, 1, prepare);
    assert.equal(cluster.job(0).promised?.number, 7);
    assert.equal(cluster.messages('promise').length, 1);
  });

  it('keeps what an earlier one had written', () => {
    const { cluster, flaw, job, id } = keeper();
    const prepare = (number: number) => {
      const epoch = { config: { major: 0, minor: 0 }, number, leader: idOf(1) };
      return { type: 'prepare', job: id, grant: grantOf(job, epoch, 1) } as const;
    };
    cluster.message(0, 1, prepare(7));
    flaw.type = 'vote';
    cluster.message(0, 1, prepare(8));
    assert.equal(cluster.job(0).promised?.number, 7);
  });

  it('cannot have the job set aside, however often it comes', () => {
    const { cluster, flaw, job, id } = keeper();
    flaw.type = 'vote';
    for (let number = 1; number < 20; number += 1) {
      const epoch = { config: { major: 0, minor: 0 }, number, leader: idOf(1) };
      cluster.message(0, 1, { type: 'prepare', job: id, grant: grantOf(job, epoch, 1) });
    }
    assert.equal(defects(cluster).length, 19);
    assert.deepEqual(cluster.machine(0).inspect().setAside, []);
    assert.deepEqual(jobsOf(cluster), [id]);
  });
});

describe('a job that cannot be handled', () => {
  it('is read again once, then set aside with its reason; others go on', () => {
    const { cluster, flaw } = flawed();
    cluster.submit(0, nowhere, nonces[0]);
    const [poisoned] = jobsOf(cluster);
    flaw.type = 'close';
    flaw.job = poisoned ?? null;
    cluster.advance(60_000);
    const { setAside, jobs } = cluster.machine(0).inspect();
    assert.deepEqual(
      setAside.map(({ job }) => job),
      [poisoned],
    );
    assert.match(setAside[0]?.why ?? '', /a flaw/);
    assert.deepEqual(jobs, []);
    assert.equal(cluster.effects('reload').length, 1);
    assert.equal(
      cluster.effects('note').filter(({ event }) => event === 'job.set-aside').length,
      1,
    );
    assert.equal(cluster.machine(0).load().jobsSetAside, 1);

    cluster.submit(0, jobWith(), nonces[1]);
    cluster.until('the other job ends', () => closed(cluster, jobsOf(cluster)[0]) === 'Completed');
    assert.equal(defects(cluster).length, 2, 'it is not looked at any more');
  });

  it('is led by nobody here any more, and those who keep it are told so at once', () => {
    const { cluster, flaw } = flawed();
    const { spec, admission } = admitted(nowhere, [0, 1, 2]);
    cluster.message(0, 1, { type: 'activate', spec, admission });
    flaw.type = 'close';
    cluster.until('it is read again', () => defects(cluster).length === 1);
    assert.deepEqual(cluster.messages('not-leading'), []);
    flaw.type = 'grant';
    cluster.until('it is aside', () => cluster.machine(0).load().jobsSetAside === 1);
    const told = cluster.messages('not-leading').map(({ to, message }) => [to, ...message.jobs]);
    assert.deepEqual(told, [
      [idOf(1), spec.body.job],
      [idOf(2), spec.body.job],
    ]);
  });

  it('is not spoken of while it is aside: no vote, no promise, no second start', () => {
    const { cluster, flaw } = flawed();
    const job = admitted(jobWith(), [1, 2, 0]);
    const { spec, admission } = job;
    cluster.message(0, 1, { type: 'activate', spec, admission });
    flaw.type = 'grant';
    cluster.message(0, 1, { type: 'not-leading', jobs: [spec.body.job] });
    cluster.until('it is aside', () => cluster.machine(0).load().jobsSetAside === 1);
    flaw.type = null;
    const before = cluster.sent.length;
    cluster.message(0, 1, { type: 'activate', spec, admission });
    cluster.message(0, 1, { type: 'admit', spec, admission: admission.record });
    const epoch = { config: { major: 0, minor: 0 }, number: 9, leader: idOf(1) };
    const grant = grantOf(job, epoch, 1);
    cluster.message(0, 1, { type: 'prepare', job: spec.body.job, grant });
    assert.deepEqual(cluster.sent.slice(before), []);
    assert.deepEqual(jobsOf(cluster), []);
  });

  it('is tried again at the next start', () => {
    const { cluster, flaw } = flawed();
    cluster.submit(0, nowhere, nonces[0]);
    const [job] = jobsOf(cluster);
    flaw.type = 'close';
    cluster.advance(60_000);
    assert.deepEqual(jobsOf(cluster), []);
    cluster.crash(0);
    flaw.type = null;
    cluster.restart(0);
    cluster.until('it ends', () => closed(cluster, job) === 'Failed');
  });

  it('takes up its execution where it is', () => {
    const { cluster, flaw } = flawed({ program: () => DONE.slice(0, 1) });
    cluster.submit(0, jobWith());
    const [run] = cluster.effects('run');
    const execution = run?.order.execution ?? assert.fail();
    flaw.type = 'state';
    flaw.times = 1;
    cluster.report(0, execution, DONE.slice(1));
    assert.deepEqual(
      cluster.effects('run').map(({ resume }) => resume),
      [false, true],
    );
    cluster.report(0, execution, DONE);
    const { job } = run?.order ?? assert.fail();
    cluster.until('it ends', () => closed(cluster, job) === 'Completed');
  });

  it('does not keep a round of all jobs from the others, nor from its next time', () => {
    const { cluster, flaw } = flawed({ nodes: 3, program: () => DONE.slice(0, 1) });
    for (const nonce of nonces) cluster.submit(0, jobWith(), nonce);
    const leader = [0, 1, 2].find((node) =>
      cluster
        .machine(node)
        .inspect()
        .jobs.some(({ leading }) => leading !== null),
    );
    const { jobs } = cluster.machine(leader ?? 0).inspect();
    const led = jobs.filter(({ leading }) => leading !== null).map(({ job }) => job);
    flaw.type = 'grant';
    flaw.job = led[0] ?? null;
    // Cut off, it confirms what it leads: a round over all its jobs.
    cluster.lose = () => true;
    cluster.advance(120_000);
    const { setAside } = cluster.machine(leader ?? 0).inspect();
    assert.deepEqual(
      setAside.map(({ job }) => job),
      [led[0]],
    );
    const asked = cluster.messages('prepare').map(({ message }) => message.job);
    assert.deepEqual(
      led.slice(1).filter((job) => !asked.includes(job)),
      [],
    );
  });
});

describe('a start', () => {
  it('is not kept from coming by rows that cannot be taken up', () => {
    const { cluster } = flawed({ program: () => DONE.slice(0, 1) });
    cluster.submit(0, jobWith(), nonces[0]);
    const [sound] = jobsOf(cluster);
    const job = admitted(jobWith(), [1, 2, 0]);
    const assign = assignOf(job, { node: 0 });
    const [run] = cluster.effects('run');
    const order = { ...(run?.order ?? assert.fail()), job: job.spec.body.job };
    const stored: StoredExecution = {
      order,
      spec: job.spec,
      admission: job.admission,
      // No certificate: nothing says under which epoch it was chosen.
      assign: { ...committed(job, assign), votes: [] },
      state: stateOf(assign, 0, {}),
    };
    const row = {
      table: 'executions',
      job: order.job,
      key: order.execution,
      value: stored,
    } as const;
    cluster.crash(0);
    cluster.store(0).apply([row]);
    cluster.restart(0);
    const { jobs, setAside } = cluster.machine(0).inspect();
    assert.deepEqual(
      jobs.map((kept) => kept.job),
      [sound],
    );
    assert.deepEqual(
      setAside.map((aside) => aside.job),
      [order.job],
    );
  });
});

describe('a request that cannot be handled', () => {
  it('is answered', () => {
    const { cluster, flaw } = flawed();
    flaw.type = 'spec';
    const request = cluster.submit(0, jobWith());
    const reply = cluster.reply(request);
    assert.ok(reply?.type === 'failed' && reply.problem.code === 'internal');
  });

  it('is answered when its job is read again', () => {
    const { cluster, flaw } = flawed({ nodes: 3 });
    // Nobody votes, so the submission waits.
    cluster.lose = () => true;
    const request = cluster.submit(0, jobWith());
    assert.equal(cluster.reply(request), null);
    const { job } =
      cluster.effects('note').find(({ event }) => event === 'job.submitted')?.data ?? {};
    flaw.type = 'vote';
    cluster.lose = () => false;
    cluster.advance(2_000);
    assert.ok(defects(cluster).length > 0, 'a keeper could not vote');
    const again = asRequestId('again');
    const query = {
      type: 'job',
      ref: asJobId(String(job)),
      namespace: 'default',
      from: 0,
    } as const;
    cluster.input(0, { type: 'query', request: again, query });
    cluster.advance(30_000);
    assert.notEqual(cluster.reply(request), null);
    assert.notEqual(cluster.reply(again), null);
  });
});
