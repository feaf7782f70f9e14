/** What members can do to a node with jobs that it takes up by itself, and to the leader of one: not much. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Announcement } from '../../../../src/core/contract/messages.ts';
import type { RunEvent } from '../../../../src/core/record/execution.ts';
import { executionIdOf } from '../../../../src/core/record/execution-id.ts';
import type { NodeId } from '../../../../src/core/record/ids.ts';
import type { Signed } from '../../../../src/core/record/records.ts';
import type { Job } from '../../../../src/job/model.ts';
import { forge, nodeKey } from '../../../simulation/fast-suite.ts';
import { Cluster, DONE, refusals } from '../cluster.ts';
import {
  acceptOf,
  admitted,
  assignOf,
  at,
  closeOf,
  committed,
  idOf,
  jobWith,
  stateOf,
  suiteOf,
} from '../fixtures.ts';
import type { Admitted } from '../fixtures.ts';

const CPU = 1_000;
const ops = (cpuMillis: number): Job =>
  jobWith(
    { Type: 'ops', Count: 0 },
    { resources: { cpuMillis, memoryBytes: 1_000, diskBytes: 0, gpus: 0 } },
  );
/** Of an owner of whom this node knows nothing, kept by nodes 1, 2 and 3. */
const foreign = (number: number, job = ops(CPU), owner = 7): Admitted =>
  admitted(job, [1, 2, 3], { nonce: String(number).padStart(32, '0') }, suiteOf(0, owner));

const calling = ({ spec, admission }: Admitted, leader = 1): Announcement => ({
  job: spec.body.job,
  version: 1,
  leader: idOf(leader),
  admission,
  grant: null,
  round: 0,
  need: 10_000,
  spec,
  notAgain: [],
});

/** A node with 4 cores that is connected with nodes 1, 2 and 3; its programs go on. */
function lonely(): Cluster {
  const cluster = new Cluster({ nodes: 1, program: () => [] });
  for (const node of [1, 2, 3]) cluster.input(0, { type: 'peer-connected', node: idOf(node) });
  return cluster;
}

const running = (cluster: Cluster): number => cluster.effects('run', 0).length;
const invite = (cluster: Cluster, announcement: Announcement) =>
  cluster.message(0, 1, { type: 'invite', announcement });

describe('a node that is called to jobs', () => {
  it('runs none that nobody admitted, or whose caller does not lead it', () => {
    const cluster = lonely();
    const job = foreign(1);
    const [vote] = job.admission.votes;
    assert.ok(vote);
    const few = { ...calling(job), admission: { ...job.admission, votes: [vote] } };
    assert.deepEqual(refusals(invite(cluster, few)), ['bad-certificate']);
    const forged = { ...calling(job), spec: forge(job.spec, nodeKey(5)) };
    assert.ok(refusals(invite(cluster, forged)).length > 0);
    const usurped = calling(job, 2);
    const message = { type: 'invite', announcement: usurped } as const;
    assert.deepEqual(refusals(cluster.message(0, 2, message)), ['wrong-signer']);
    assert.deepEqual([running(cluster), cluster.machine(0).sizes()['own']], [0, 0]);
  });

  it('runs nothing that somebody says it called for itself', () => {
    const cluster = lonely();
    const job = admitted(ops(CPU), [0, 1, 2], {}, suiteOf(0));
    const unadmitted = { ...calling(job, 0), admission: { ...job.admission, votes: [] } };
    const unsigned = { ...calling(job, 0), spec: forge(job.spec, nodeKey(5)) };
    for (const announcement of [unadmitted, unsigned]) {
      const gossip = { type: 'announce', announcement } as const;
      cluster.input(0, { type: 'gossip', from: idOf(1), gossip });
      assert.equal(running(cluster), 0);
    }
  });

  it('gives half of itself to owners of whom nothing ever ran here, all together', () => {
    const cluster = lonely();
    for (let number = 1; number <= 20; number += 1)
      invite(cluster, calling(foreign(number, ops(CPU), number)));
    assert.equal(running(cluster), 2);
    assert.equal(cluster.inspect(0).reserved.cpuMillis, 2 * CPU);
    // They have all enrolled, and wait.
    assert.equal(cluster.machine(0).sizes()['own'], 20);
  });

  it('runs what is larger than that when it is alone, or it could never run', () => {
    const cluster = lonely();
    invite(cluster, calling(foreign(1, ops(4 * CPU))));
    assert.equal(running(cluster), 1);
  });

  it('has room for a job that was placed, of an unknown owner, too, however long the others run', () => {
    const cluster = lonely();
    for (let number = 1; number <= 3; number += 1)
      invite(cluster, calling(foreign(number, ops(CPU), number)));
    assert.equal(running(cluster), 2);
    cluster.advance(3_600_000);
    const job = foreign(4, { ...ops(CPU), Type: 'batch', Count: 1 }, 9);
    invite(cluster, { ...calling(job), need: 1 });
    assert.equal(cluster.messages('bid').length, 1);
  });

  it('gives more to who has shown that his jobs come to an end', () => {
    const cluster = lonely();
    invite(cluster, calling(foreign(1)));
    const [first] = cluster.effects('run', 0);
    assert.ok(first);
    cluster.report(0, first.order.execution, [
      { type: 'phase', phase: 'running' },
      {
        type: 'ended',
        exitCode: 0,
        result: null,
        output: { stdout: '', stdoutTruncated: false, stderr: '', stderrTruncated: false },
        usage: { cpuMs: 1, peakMemoryBytes: 1, wallMs: 1 },
      },
    ]);
    for (let number = 2; number <= 9; number += 1) invite(cluster, calling(foreign(number)));
    assert.equal(running(cluster), 1 + 4);
  });

  it('lets only so many wait, of one leader and of all, and says that it is busy', () => {
    const cluster = lonely();
    for (let number = 1; number <= 300; number += 1)
      invite(cluster, calling(foreign(number, ops(CPU), number % 50)));
    assert.equal(cluster.machine(0).sizes()['own'], 2 + 256);
    const declined = cluster.messages('decline').map(({ message }) => message.refusals);
    assert.equal(declined.length, 300 - 258);
    assert.ok(declined.every((list) => list.some(({ code }) => code === 'busy')));
  });

  it('has a place for others though thousands ended of which nobody ever says that they are over', () => {
    const failed: RunEvent = {
      type: 'failed',
      failure: { code: 'entry-point', class: 'spec', message: 'no' },
      output: null,
      usage: null,
    };
    const cluster = new Cluster({
      nodes: 1,
      program: ({ jobName }) => (jobName === 'x' ? [] : [failed]),
    });
    cluster.input(0, { type: 'peer-connected', node: idOf(1) });
    for (let number = 1; number <= 2_100; number += 1)
      invite(cluster, calling(foreign(number, ops(CPU), number % 50)));
    assert.equal(cluster.machine(0).sizes()['own'], 2_048);
    assert.equal(cluster.store(0).rows('executions').length, 2_048);
    assert.equal(cluster.messages('decline').length, 0);
    // None of them is run again.
    const before = running(cluster);
    invite(cluster, calling(foreign(1, ops(CPU), 1)));
    assert.equal(running(cluster), before);
  });

  it('runs an old one no more when somebody repeats its announcement', () => {
    const cluster = lonely();
    const job = foreign(1);
    cluster.advance(660_000);
    const gossip = { type: 'announce', announcement: calling(job) } as const;
    cluster.input(0, { type: 'gossip', from: idOf(2), gossip });
    assert.equal(running(cluster), 0);
    // The leader itself may be right, and this clock wrong.
    invite(cluster, calling(job));
    assert.equal(running(cluster), 1);
    invite(cluster, calling(job));
    assert.equal(running(cluster), 1);
  });
});

describe('an announcement that somebody changed on its way', () => {
  /** Node 3 was away when the job began, and node 1 tells it what it heard. */
  function told(
    change: Partial<Announcement>,
    passMs = 1_000,
    program: () => readonly RunEvent[] = () => [],
  ): Cluster {
    const cluster = new Cluster({ nodes: 4, program });
    cluster.crash(3);
    cluster.submit(0, ops(CPU));
    const [announce] = cluster
      .effects('gossip')
      .flatMap(({ gossip }) => (gossip.type === 'announce' ? [gossip] : []));
    assert.ok(announce);
    cluster.advance(passMs);
    cluster.lose = ({ to, message }) => to === idOf(3) && message.type === 'invite';
    cluster.restart(3);
    const announcement = { ...announce.announcement, ...change };
    cluster.input(3, { type: 'gossip', from: idOf(1), gossip: { ...announce, announcement } });
    return cluster;
  }

  it('has nobody run another version than was admitted, which the job would wait for without end', () => {
    const cluster = told({ version: 7 }, 1_000, () => DONE);
    assert.equal(cluster.effects('run', 3).length, 0);
    cluster.advance(30_000);
    assert.equal(cluster.job(0).state, 'Completed');
  });

  it('calls nobody to an old job, though the leader answers when it is asked for the spec', () => {
    for (const change of [{}, { spec: null }]) {
      const cluster = told(change, 660_000);
      assert.equal(cluster.effects('run', 3).length, 0);
    }
    assert.equal(told({ spec: null }).effects('run', 3).length, 1, 'a young one is taken up');
  });
});

describe('the keepers of such a job', () => {
  /** What somebody says who has enrolled, or says that another did. */
  function stateBy(job: Admitted, node: NodeId, by: number, version = 1): Signed<'state'> {
    const about = { job: job.spec.body.job, version, partition: 0, attempt: 0, node };
    const execution = executionIdOf(suiteOf(0), 'ops', about);
    return suiteOf(by).seal(
      'state',
      {
        ...about,
        execution,
        sequence: 0,
        phase: 'received',
        exitCode: null,
        result: null,
        failure: null,
        output: null,
        usage: null,
        restarts: 0,
        retryMs: null,
      },
      at(1),
      'node',
    );
  }
  const job = admitted(ops(CPU), [0, 1, 2]);
  function keeper(): Cluster {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
    return cluster;
  }
  const enrolled = (cluster: Cluster): number =>
    cluster
      .messages('propose')
      .flatMap(({ to, message }) => (to === idOf(1) ? message.values : []))
      .filter(({ value }) => value.type === 'assign').length;

  it('take no word for another node, no wrong name, and no second place', () => {
    const cluster = keeper();
    const before = enrolled(cluster);
    const own = stateBy(job, idOf(5), 5);
    cluster.message(0, 6, { type: 'states', states: [own] });
    cluster.message(0, 5, { type: 'states', states: [stateBy(job, idOf(6), 5)] });
    const misnamed = { ...own.body, execution: stateBy(job, idOf(6), 6).body.execution };
    const state = suiteOf(5).seal('state', misnamed, at(1), 'node');
    cluster.message(0, 5, { type: 'states', states: [state] });
    assert.equal(enrolled(cluster), before);
    for (let time = 0; time < 3; time += 1)
      cluster.message(0, 5, { type: 'states', states: [own] });
    assert.equal(enrolled(cluster), before + 1);
    const others = [2, 3, 4].map((version) => stateBy(job, idOf(5), 5, version));
    cluster.message(0, 5, { type: 'states', states: others });
    assert.equal(enrolled(cluster), before + 1, 'nor one for each version that it makes up');
  });

  it('believe no end before as many results as it says', () => {
    const assign = assignOf(job, { node: 5 });
    const state = stateOf(assign, 5, { phase: 'completed', exitCode: 0 });
    const end = closeOf(job, { outcome: 'completed', code: 'completed', enrolled: 1 });
    const none = closeOf(job, { outcome: 'completed', code: 'completed' });
    const [place, result] = [committed(job, assign), committed(job, acceptOf(job, state))];
    for (const close of [end, none].map((one) => committed(job, one))) {
      const cluster = keeper();
      cluster.message(0, 1, { type: 'commit', job: job.spec.body.job, values: [close] });
      assert.notEqual(cluster.job(0).state, 'Completed');
      const values = [place, result, close];
      cluster.message(0, 1, { type: 'commit', job: job.spec.body.job, values });
      const isTrue = close.record.body.enrolled === 1;
      assert.equal(cluster.job(0).state, isTrue ? 'Completed' : 'Running');
    }
  });

  it('that do not lead it remember 64 that enrolled before they hear of their places', () => {
    const other = admitted(ops(CPU), [1, 0, 2]);
    const cluster = new Cluster({ nodes: 1 });
    cluster.message(0, 1, { type: 'activate', spec: other.spec, admission: other.admission });
    for (let node = 10; node < 210; node += 1)
      cluster.message(0, node, { type: 'states', states: [stateBy(other, idOf(node), node)] });
    assert.equal(cluster.job(0).records.states.length, 64);
  });
});
