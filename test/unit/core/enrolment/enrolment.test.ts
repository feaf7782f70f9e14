/** Jobs that every node which matches takes up by its own decision: who runs them, how often, and how they end. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RunEvent } from '../../../../src/core/record/execution.ts';
import type { Profile } from '../../../../src/core/contract/profile.ts';
import type { ExecutionId } from '../../../../src/core/record/ids.ts';
import type { Job, Task } from '../../../../src/job/model.ts';
import { Cluster, DONE } from '../cluster.ts';
import type { ClusterOptions, EffectOf } from '../cluster.ts';
import { profileOf } from '../../../simulation/profile.ts';
import { idOf, jobWith } from '../fixtures.ts';

const ops = (change: Partial<Omit<Job, 'Task'>> = {}, task: Partial<Task> = {}): Job =>
  jobWith({ Type: 'ops', Count: 0, ...change }, task);
const labelled = (value: string): Partial<Job> => ({
  Constraints: [{ Key: 'room', Operator: '=', Values: [value] }],
});

const failing: readonly RunEvent[] = [
  {
    type: 'failed',
    failure: { code: 'image-not-found', class: 'spec', message: 'there is no such image' },
    output: null,
    usage: null,
  },
];

/** Programs that go on until the test ends them. */
const endless = { program: () => [] };

const ENGINES = {
  docker: { available: true, detail: '' },
  wasm: { available: true, detail: '' },
};

const mesh = (options: Partial<ClusterOptions> = {}): Cluster =>
  new Cluster({ nodes: 4, ...options });

const begun = (cluster: Cluster, node: number): readonly EffectOf<'run'>[] =>
  cluster.effects('run', node).filter(({ resume }) => !resume);

/** How often each node has begun the job. */
const runs = (cluster: Cluster, nodes = 4): readonly number[] =>
  Array.from({ length: nodes }, (_, node) => begun(cluster, node).length);

function executionOn(cluster: Cluster, node: number): ExecutionId {
  const [run] = begun(cluster, node);
  assert.ok(run, `node ${node} runs it`);
  return run.order.execution;
}

function closeOf(cluster: Cluster, node: number) {
  const { records } = cluster.job(node);
  for (const { record } of records.committed) if (record.type === 'close') return record.body;
  return null;
}

function ended(cluster: Cluster, node = 0) {
  cluster.until('the job is closed', () => closeOf(cluster, node) !== null);
  return closeOf(cluster, node);
}

/** Places by node, as they were committed. */
const places = (cluster: Cluster, node = 0): readonly number[] =>
  cluster
    .job(node)
    .records.committed.flatMap(({ record }) =>
      record.type === 'assign' ? [cluster.indexOf(record.body.node)] : [],
    )
    .sort();

const leaderOf = (cluster: Cluster): number => {
  for (let node = 0; node < 4; node += 1)
    if (cluster.inspect(node).jobs.some(({ leading }) => leading !== null)) return node;
  return assert.fail('somebody leads');
};

describe('a job that each node takes up by its own decision', () => {
  it('runs once on every node, at once, and is completed when its time to enrol is over', () => {
    const cluster = mesh();
    cluster.submit(0, ops());
    assert.deepEqual(runs(cluster), [1, 1, 1, 1]);
    cluster.advance(9_000);
    assert.equal(closeOf(cluster, 0), null);
    const close = ended(cluster);
    assert.deepEqual(
      [close?.outcome, close?.enrolled, close?.message],
      ['completed', 4, 'All 4 nodes completed it.'],
    );
    assert.deepEqual(places(cluster), [0, 1, 2, 3]);
    cluster.advance(60_000);
    assert.deepEqual(runs(cluster), [1, 1, 1, 1]);
  });

  it('does not run where it does not match, which keeps it from no end', () => {
    const cluster = mesh({ profile: (node) => ({ labels: { room: node < 2 ? 'a' : 'b' } }) });
    cluster.submit(3, ops(labelled('a')));
    assert.equal(ended(cluster)?.enrolled, 2);
    assert.deepEqual(runs(cluster), [1, 1, 0, 0]);
  });

  it('fails when no node matches, and says why', () => {
    const cluster = mesh();
    cluster.submit(0, ops(labelled('nowhere')));
    const close = ended(cluster);
    assert.deepEqual([close?.outcome, close?.code], ['failed', 'not-enough-nodes']);
    assert.match(close?.message ?? '', /4 of 4 nodes: constraint room = nowhere does not hold/);
  });

  it('tells each program what Bacalhau tells it: no number among others', () => {
    const cluster = mesh();
    cluster.submit(0, ops());
    for (let node = 0; node < 4; node += 1) {
      const { order } = begun(cluster, node)[0] ?? assert.fail('it runs');
      assert.deepEqual([order.jobType, order.partition, order.partitionCount], ['ops', 0, 0]);
    }
  });

  it('runs on a node that comes while others are called, and on none that comes later', () => {
    const cluster = mesh();
    cluster.crash(2);
    cluster.crash(3);
    cluster.submit(0, ops());
    cluster.advance(5_000);
    cluster.restart(2);
    cluster.until('the newcomer runs it', () => begun(cluster, 2).length === 1, 5_000);
    assert.equal(ended(cluster)?.enrolled, 3);
    cluster.restart(3);
    cluster.advance(60_000);
    assert.deepEqual(runs(cluster), [1, 1, 1, 0]);
  });

  it('has its spec fetched once by each node when that is too large to be called out', () => {
    const cluster = mesh(endless);
    cluster.submit(0, ops({}, { Meta: { text: 'x'.repeat(20_000) } }));
    cluster.advance(20_000);
    assert.deepEqual(runs(cluster), [1, 1, 1, 1]);
    const asked = cluster.messages('spec-wanted').map(({ from }) => from);
    assert.ok(asked.length > 0 && new Set(asked).size === asked.length);
  });

  it('reaches nodes that gossip and the first invitations do not', () => {
    const cluster = mesh();
    let calls = 0;
    cluster.lose = ({ message }) => message.type === 'states' && (calls += 1) < 12;
    cluster.submit(0, ops({}, { resources: { ...jobWith().Task.resources, cpuMillis: 100 } }));
    assert.equal(ended(cluster)?.enrolled, 4);
    assert.deepEqual(runs(cluster), [1, 1, 1, 1]);
  });
});

describe('the end of such a job', () => {
  it('waits for the last node, and is a failure with the reason of each that failed', () => {
    const cluster = mesh({ program: (_, node) => (node === 1 ? failing : []) });
    cluster.submit(0, ops());
    cluster.advance(60_000);
    assert.equal(closeOf(cluster, 0), null);
    for (const node of [0, 2, 3]) cluster.report(node, executionOn(cluster, node), DONE);
    const close = ended(cluster);
    assert.deepEqual([close?.outcome, close?.code], ['failed', 'nodes-failed']);
    assert.match(
      close?.message ?? '',
      /^1 of 4 nodes did not complete it: n-.{8}: there is no such/,
    );
    // What the others made is accepted all the same.
    const { records } = cluster.job(0);
    assert.equal(records.committed.filter(({ record }) => record.type === 'accept').length, 3);
  });

  it('takes an exit code other than 0 for an end like any other, as for batch jobs', () => {
    const three = DONE.map((event) => (event.type === 'ended' ? { ...event, exitCode: 3 } : event));
    const cluster = mesh({ program: (_, node) => (node === 1 ? three : DONE) });
    cluster.submit(0, ops());
    assert.equal(ended(cluster)?.outcome, 'completed');
  });

  it('is a failure when a node is lost, and counts its result when it comes back before', () => {
    const back = mesh(endless);
    back.submit(0, ops());
    const leader = leaderOf(back);
    const away = leader === 3 ? 2 : 3;
    back.crash(away);
    back.advance(60_000);
    assert.equal(closeOf(back, leader), null);
    back.restart(away);
    for (let node = 0; node < 4; node += 1) back.report(node, executionOn(back, node), DONE);
    assert.equal(ended(back, leader)?.outcome, 'completed');

    const gone = mesh(endless);
    gone.submit(0, ops());
    const first = leaderOf(gone);
    const lost = first === 3 ? 2 : 3;
    gone.crash(lost);
    for (let node = 0; node < 4; node += 1)
      if (node !== lost) gone.report(node, executionOn(gone, node), DONE);
    const close = ended(gone, first);
    assert.equal(close?.outcome, 'failed');
    assert.match(close?.message ?? '', /1 of 4 nodes did not complete it: .*: the node was lost/);
  });

  it('comes with a stop, which reaches what waits, what runs, and who comes back', () => {
    const cluster = mesh(endless);
    cluster.submit(0, ops());
    const away = [3, 2, 1].find((node) => node !== leaderOf(cluster)) ?? 1;
    cluster.crash(away);
    const { job } = cluster.job(leaderOf(cluster));
    cluster.request(0, { type: 'stop', job, reason: 'enough' });
    assert.equal(closeOf(cluster, 0)?.outcome, 'stopped');
    cluster.advance(30_000);
    cluster.restart(away);
    cluster.advance(10_000);
    for (let node = 0; node < 4; node += 1)
      assert.deepEqual(cluster.machine(node).inspect().executions, [], `node ${node}`);
    cluster.advance(60_000);
    assert.deepEqual(runs(cluster), [1, 1, 1, 1]);
  });

  it('comes with the TotalTimeout, though a node runs on', () => {
    const cluster = mesh(endless);
    const Timeouts = { ExecutionTimeout: 0, QueueTimeout: 0, TotalTimeout: 30 };
    cluster.submit(0, ops({}, { Timeouts }));
    assert.equal(ended(cluster)?.code, 'total-timeout');
    cluster.advance(5_000);
    for (let node = 0; node < 4; node += 1)
      assert.deepEqual(cluster.machine(node).inspect().executions, [], `node ${node}`);
  });
});

describe('another leader of such a job', () => {
  it('counts who enrolled with the one before, whether that had told or not', () => {
    const cluster = mesh(endless);
    const told = new Set<number>();
    // The leader hears of two of them, and nobody else learns of either.
    cluster.lose = ({ from, message }) =>
      message.type === 'states' && cluster.indexOf(from) > 1 && told.add(1).size > 0;
    cluster.submit(0, ops());
    const first = leaderOf(cluster);
    cluster.advance(3_000);
    cluster.lose = () => false;
    cluster.crash(first);
    cluster.until('another leads', () =>
      [0, 1, 2, 3].some((node) => node !== first && isLeading(cluster, node)),
    );
    const second = [0, 1, 2, 3].find((node) => node !== first && isLeading(cluster, node)) ?? 0;
    const others = [0, 1, 2, 3].filter((node) => node !== first);
    for (const node of others) cluster.report(node, executionOn(cluster, node), DONE);
    cluster.restart(first);
    cluster.report(first, executionOn(cluster, first), DONE);
    const close = ended(cluster, second);
    assert.deepEqual([close?.outcome, close?.enrolled], ['completed', 4]);
    assert.deepEqual(runs(cluster), [1, 1, 1, 1]);
  });

  it('waits for those of whom nobody has heard yet', () => {
    const cluster = mesh();
    let unheard = -1;
    cluster.lose = ({ from, message }) =>
      message.type === 'states' && cluster.indexOf(from) === unheard;
    unheard = 3;
    cluster.submit(0, ops());
    const first = leaderOf(cluster);
    const keepers = [0, 1, 2, 3].filter((node) => cluster.inspect(node).jobs.length > 0);
    unheard =
      [0, 1, 2, 3].find((node) => !keepers.includes(node)) ?? assert.fail('one keeps it not');
    cluster.advance(9_000);
    cluster.crash(first);
    const others = keepers.filter((node) => node !== first);
    cluster.until('another leads', () => others.some((node) => isLeading(cluster, node)));
    unheard = -1;
    const close = ended(cluster, others[0]);
    assert.deepEqual([close?.outcome, close?.enrolled], ['completed', 4]);
  });

  it('calls all when nobody has enrolled yet, however old the job is', () => {
    let room = 'b';
    const profile = (): Partial<Profile> => ({ labels: { room } });
    const cluster = mesh({ ...endless, profile });
    cluster.submit(0, ops(labelled('a')));
    const all = [0, 1, 2, 3];
    cluster.advance(2_000);
    for (const node of all) cluster.crash(node);
    cluster.advance(120_000);
    room = 'a';
    for (const node of all) cluster.restart(node);
    cluster.until('all run it', () => all.every((node) => begun(cluster, node).length === 1));
  });

  it('calls nobody when it was started again, and cannot tell how old the job is', () => {
    const cluster = mesh({ ...endless, nodes: 5 });
    cluster.crash(4);
    cluster.submit(0, ops());
    cluster.advance(90_000);
    for (const node of [0, 1, 2, 3]) cluster.crash(node);
    for (const node of [0, 1, 2, 3]) cluster.restart(node);
    cluster.until('one leads', () => [0, 1, 2, 3].some((node) => isLeading(cluster, node)));
    cluster.restart(4);
    cluster.advance(60_000);
    assert.deepEqual(runs(cluster, 5), [1, 1, 1, 1, 0]);
  });

  it('calls nobody when the job is old: who comes then is late', () => {
    const cluster = mesh({ ...endless, nodes: 5 });
    cluster.crash(4);
    cluster.submit(0, ops());
    const first = leaderOf(cluster);
    cluster.advance(90_000);
    cluster.crash(first);
    cluster.until('another leads', () =>
      [0, 1, 2, 3].some((node) => node !== first && isLeading(cluster, node)),
    );
    cluster.restart(4);
    cluster.advance(60_000);
    assert.deepEqual(runs(cluster, 5), [1, 1, 1, 1, 0]);
  });
});

const isLeading = (cluster: Cluster, node: number): boolean =>
  cluster
    .machine(node)
    .inspect()
    .jobs.some(({ leading }) => leading !== null);

describe('a node that enrolled', () => {
  const large = { resources: { ...jobWith().Task.resources, cpuMillis: 3_000 } };

  it('waits for room, and begins by priority and then age', () => {
    const cluster = mesh({ nodes: 1, program: () => [] });
    cluster.submit(0, ops({ Name: 'a' }, large), '1'.repeat(32));
    cluster.submit(0, ops({ Name: 'b' }, large), '2'.repeat(32));
    cluster.submit(0, ops({ Name: 'c' }, large), '3'.repeat(32));
    cluster.submit(0, ops({ Name: 'd', Priority: 5 }, large), '4'.repeat(32));
    const names = (): readonly string[] => begun(cluster, 0).map(({ order }) => order.jobName);
    assert.deepEqual(names(), ['a']);
    for (const expected of [
      ['a', 'd'],
      ['a', 'd', 'b'],
      ['a', 'd', 'b', 'c'],
    ]) {
      const last = begun(cluster, 0).at(-1) ?? assert.fail('it runs');
      cluster.report(0, last.order.execution, DONE);
      assert.deepEqual(names(), expected);
    }
  });

  it('waits over a restart, is not lost meanwhile, and goes when its job is stopped', () => {
    const cluster = mesh({ nodes: 1, program: () => [] });
    cluster.submit(0, ops({ Name: 'a' }, large), '1'.repeat(32));
    cluster.submit(0, ops({ Name: 'b' }, large), '2'.repeat(32));
    cluster.submit(0, ops({ Name: 'c' }, large), '3'.repeat(32));
    cluster.advance(60_000);
    cluster.crash(0);
    cluster.restart(0);
    cluster.advance(60_000);
    const jobs = cluster
      .machine(0)
      .inspect()
      .jobs.filter(({ state }) => state === 'Running');
    assert.equal(jobs.length, 3);
    const job = jobs.find(({ records }) => records.spec.body.spec.Name === 'b')?.job;
    assert.ok(job);
    cluster.request(0, { type: 'stop', job, reason: 'enough' });
    const [first] = begun(cluster, 0);
    cluster.report(0, first?.order.execution ?? assert.fail('it runs'), DONE);
    const names = begun(cluster, 0).map(({ order }) => order.jobName);
    assert.deepEqual(names, ['a', 'c']);
  });

  it('begins nothing that was stopped while it was off, and asks nobody in vain for long', () => {
    const two = (): Cluster => {
      const cluster = mesh({ nodes: 2, program: () => [] });
      // Node 0 keeps both, as node 1 is not there yet; that has room for one of them.
      cluster.crash(1);
      for (const [at, Name] of ['a', 'b'].entries())
        cluster.submit(0, ops({ Name }, large), String(at + 1).repeat(32));
      cluster.restart(1);
      cluster.advance(20_000);
      assert.equal(cluster.inspect(1).executions.length, 2);
      assert.equal(begun(cluster, 1).length, 1);
      cluster.crash(1);
      return cluster;
    };
    const stopped = two();
    for (const { job } of stopped.inspect(0).jobs)
      stopped.request(0, { type: 'stop', job, reason: 'enough' });
    stopped.advance(120_000);
    // It takes some seconds to be connected again.
    stopped.lose = () => true;
    stopped.restart(1);
    stopped.report(1, executionOn(stopped, 1), DONE);
    stopped.advance(4_000);
    stopped.lose = () => false;
    stopped.advance(60_000);
    assert.equal(begun(stopped, 1).length, 1);
    assert.deepEqual(stopped.inspect(1).executions, []);

    const cut = two();
    cut.crash(0);
    cut.restart(1);
    cut.report(1, executionOn(cut, 1), DONE);
    assert.equal(begun(cut, 1).length, 1);
    cut.advance(30_000);
    assert.equal(begun(cut, 1).length, 2);
  });

  it('does what it has taken up before it leaves, and takes up nothing more', () => {
    const cluster = mesh({ nodes: 1, program: () => [] });
    cluster.submit(0, ops({ Name: 'a' }, large), '1'.repeat(32));
    cluster.submit(0, ops({ Name: 'b' }, large), '2'.repeat(32));
    cluster.input(0, { type: 'drain', on: true });
    cluster.report(0, executionOn(cluster, 0), DONE);
    assert.deepEqual(
      begun(cluster, 0).map(({ order }) => order.jobName),
      ['a', 'b'],
    );
  });

  it('that slept begins nothing that it was called to meanwhile, unless it is called again', () => {
    const cluster = mesh({ nodes: 5, ...endless });
    cluster.advance(10_000);
    cluster.pause(4);
    cluster.submit(0, ops());
    const [call] = cluster.effects('gossip').filter(({ gossip }) => gossip.type === 'announce');
    assert.ok(call);
    cluster.advance(6_000);
    cluster.resume(4);
    const again = { type: 'gossip', from: idOf(1), gossip: call.gossip } as const;
    cluster.input(4, again);
    assert.deepEqual(runs(cluster, 5), [1, 1, 1, 1, 0]);
    cluster.advance(2_500);
    cluster.input(4, again);
    assert.deepEqual(runs(cluster, 5), [1, 1, 1, 1, 1]);
  });

  it('has all its time when it begins, however long it waited', () => {
    const cluster = mesh({ nodes: 1, program: () => [] });
    cluster.submit(0, ops({ Name: 'a' }, large), '1'.repeat(32));
    const Timeouts = { ExecutionTimeout: 5, QueueTimeout: 0, TotalTimeout: 0 };
    const Engine = { Type: 'wasm', Params: {} };
    cluster.input(0, { type: 'profile', profile: { ...profileOf(0, idOf(0)), engines: ENGINES } });
    cluster.submit(0, ops({ Name: 'b' }, { ...large, Timeouts, Engine }), '2'.repeat(32));
    cluster.advance(120_000);
    cluster.report(0, executionOn(cluster, 0), DONE);
    const last = begun(cluster, 0)[1] ?? assert.fail('the second one runs');
    assert.equal(last.order.timeoutMs, 5_000);
    cluster.advance(4_000);
    cluster.report(0, last.order.execution, DONE);
    const states = cluster.inspect(0).jobs.map(({ state }) => state);
    assert.deepEqual(states, ['Completed', 'Completed']);
  });

  it('tells its leader of itself until that has heard it, when nobody calls any more', () => {
    const cluster = mesh(endless);
    let isLate = false;
    cluster.lose = ({ from, to, message: { type } }) => {
      const lost = type === 'renew' || type === 'leads' || (type === 'states' && !isLate);
      return lost && [from, to].includes(idOf(2));
    };
    cluster.submit(0, ops());
    const leader = leaderOf(cluster);
    assert.notEqual(leader, 2);
    assert.deepEqual(places(cluster, leader), [0, 1, 3]);
    cluster.advance(15_000);
    isLate = true;
    cluster.advance(30_000);
    assert.deepEqual(places(cluster, leader), [0, 1, 2, 3]);
  });

  it('is not run again though its row is damaged', () => {
    const cluster = mesh(endless);
    cluster.submit(0, ops());
    const [node] = [0, 1, 2, 3].filter((one) => one !== leaderOf(cluster));
    const execution = executionOn(cluster, node ?? 0);
    const { job } = cluster.job(leaderOf(cluster));
    cluster.crash(node ?? 0);
    cluster.store(node ?? 0).apply([{ table: 'executions', job, key: execution, value: null }]);
    cluster.restart(node ?? 0);
    cluster.advance(60_000);
    assert.deepEqual(runs(cluster), [1, 1, 1, 1]);
  });

  it('is not cancelled by the result of another node', () => {
    const cluster = mesh(endless);
    cluster.submit(0, ops());
    const leader = leaderOf(cluster);
    const [first] = cluster
      .job(leader)
      .records.committed.flatMap(({ record }) =>
        record.type === 'assign' && record.body.partition === 0 ? [record.body.node] : [],
      );
    const done = cluster.indexOf(first ?? assert.fail('one has the first place'));
    const other = done === 3 ? 2 : 3;
    cluster.report(done, executionOn(cluster, done), DONE);
    const { job, records } = cluster.job(leader);
    const because = records.committed.find(({ record }) => record.type === 'accept');
    assert.ok(because);
    const execution = executionOn(cluster, other);
    cluster.message(other, leader, { type: 'cancel', job, execution, because });
    assert.deepEqual(cluster.effects('cancel-run'), []);
  });

  it('does not run it again when an announcement is repeated, over restarts too', () => {
    const cluster = mesh();
    cluster.submit(0, ops());
    const gossips = cluster.effects('gossip').filter(({ gossip }) => gossip.type === 'announce');
    ended(cluster);
    const again = (): void => {
      for (const { gossip } of gossips)
        for (let node = 0; node < 4; node += 1)
          cluster.input(node, { type: 'gossip', from: 'x' as never, gossip });
    };
    assert.ok(gossips.length > 0);
    again();
    cluster.advance(30_000);
    for (let node = 0; node < 4; node += 1) cluster.crash(node);
    for (let node = 0; node < 4; node += 1) cluster.restart(node);
    again();
    cluster.advance(30_000);
    assert.deepEqual(runs(cluster), [1, 1, 1, 1]);
  });
});
