/** A job from its submission to its end, on one to five machines without faults. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ExecutionOrder, RunEvent } from '../../../src/core/record/execution.ts';
import { executionIdOf } from '../../../src/core/record/execution-id.ts';
import { Cluster, DONE } from './cluster.ts';
import { admitted, idOf, jobWith, suite } from './fixtures.ts';
import { majority } from '../../../src/core/record/keeper-set.ts';

const CID = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi';
const published = (): readonly RunEvent[] =>
  DONE.map((event) =>
    event.type === 'ended' ? { ...event, result: { cid: CID, bytes: 9 } } : event,
  );
const failing = (code: 'node' | 'spec') => (): readonly RunEvent[] => [
  {
    type: 'failed',
    failure: { code: `${code}-broken`, class: code, message: 'no' },
    output: null,
    usage: null,
  },
];

describe('one machine alone', () => {
  it('keeps, leads, runs, accepts and closes a whole job in the moment it is submitted', () => {
    const cluster = new Cluster({ nodes: 1 });
    const reply = cluster.reply(cluster.submit(0, jobWith({ Count: 3 })));
    assert.equal(reply?.type, 'receipt');
    assert.ok(reply.type === 'receipt' && reply.receipt.votes.length === 1);
    const { state, records, keeper } = cluster.job(0);
    assert.equal(state, 'Completed');
    assert.ok(keeper);
    assert.equal(records.committed.length, 3 + 3 + 1);
    assert.equal(cluster.effects('run').length, 3);
    assert.equal(cluster.effects('forget-run').length, 3);
    assert.equal(cluster.effects('send').length, 0);
    assert.deepEqual(cluster.machine(0).inspect().refused, {});
  });

  it('gives back everything it had reserved', () => {
    const cluster = new Cluster({ nodes: 1 });
    cluster.submit(0, jobWith());
    const { executions, reserved, held, holds } = cluster.machine(0).inspect();
    assert.deepEqual([executions, holds], [[], []]);
    assert.deepEqual([reserved.cpuMillis, held.cpuMillis], [0, 0]);
  });

  it('tries a node failure again after the back-off and gives up after the last attempt', () => {
    const cluster = new Cluster({ nodes: 1, program: failing('node') });
    cluster.submit(0, jobWith());
    assert.equal(cluster.effects('run').length, 1);
    cluster.until('the job ends', () => cluster.job(0).state === 'Failed');
    const attempts = cluster.effects('run').map(({ order }) => order.attempt);
    assert.deepEqual(attempts, [0, 1, 2]);
  });

  it('tells with its end the first exit code that is not 0', () => {
    const exits = (codes: readonly number[]): Cluster =>
      new Cluster({
        nodes: 1,
        program: ({ partition }) =>
          DONE.map((event) =>
            event.type === 'ended' ? { ...event, exitCode: codes[partition] ?? 0 } : event,
          ),
      });
    const told = (codes: readonly number[]): unknown => {
      const cluster = exits(codes);
      cluster.submit(0, jobWith({ Count: codes.length }));
      const { records } = cluster.job(0);
      const close = records.committed.find(({ record }) => record.type === 'close');
      assert.ok(close?.record.type === 'close');
      const query = { type: 'jobs', namespace: null, limit: 9 } as const;
      const reply = cluster.reply(cluster.request(0, { type: 'query', query }));
      assert.ok(reply?.type === 'listed');
      assert.equal(reply.jobs[0]?.exitCode, close.record.body.exitCode);
      return close.record.body.exitCode;
    };
    assert.equal(told([0, 0]), undefined);
    assert.equal(told([0, 7, 9]), 7);
  });

  it('does not try a wrong spec again', () => {
    const cluster = new Cluster({ nodes: 1, program: failing('spec') });
    cluster.submit(0, jobWith());
    assert.equal(cluster.job(0).state, 'Failed');
    assert.equal(cluster.effects('run').length, 1);
  });

  it('runs no more at once than it has room for, and the rest afterwards', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.submit(0, jobWith({ Count: 6 }));
    cluster.advance(1_000);
    const first = cluster.effects('run').map(({ order }) => order.execution);
    assert.equal(first.length, 4);
    const { reserved, held, capacity } = cluster.machine(0).inspect();
    assert.ok(reserved.cpuMillis + held.cpuMillis <= capacity.cpuMillis);
    for (const execution of first) cluster.report(0, execution, DONE);
    cluster.until('the others run', () => cluster.effects('run').length === 6);
    for (const { order } of cluster.effects('run').slice(4))
      cluster.report(0, order.execution, DONE);
    cluster.until('the job ends', () => cluster.job(0).state === 'Completed');
  });

  it('finds the same submission again instead of making a second job', () => {
    const cluster = new Cluster({ nodes: 1 });
    const first = cluster.reply(cluster.submit(0, jobWith()));
    const second = cluster.reply(cluster.submit(0, jobWith()));
    assert.ok(first?.type === 'receipt' && second?.type === 'receipt');
    assert.deepEqual([first.again, second.again], [false, true]);
    assert.equal(second.job, first.job);
    assert.equal(cluster.effects('run').length, 1);
  });

  it('names a job without a name by its id', () => {
    const cluster = new Cluster({ nodes: 1 });
    cluster.submit(0, jobWith({ Name: '' }));
    const { job, records } = cluster.job(0);
    assert.equal(records.spec.body.spec.Name, job);
  });

  it('fails a job that no node could ever run, and says why', () => {
    const cluster = new Cluster({ nodes: 1 });
    cluster.submit(0, jobWith({}, { Engine: { Type: 'lua', Params: {} } }));
    cluster.until('the job ends', () => cluster.job(0).state === 'Failed');
    const close = cluster
      .job(0)
      .records.committed.find(({ record }) => record.type === 'close')?.record;
    assert.ok(close?.type === 'close');
    assert.equal(close.body.code, 'not-enough-nodes');
    assert.equal(
      close.body.message,
      'not enough nodes to run job. requested: 1, available: 1, suitable: 0.\n' +
        '• 1 of 1 node: does not support lua: the engine is not available (no such engine here)\n' +
        'No node of the mesh can run the job, and its QueueTimeout is 0.',
    );
  });

  it('says of a job that is too big for all of them what the largest has', () => {
    const sizes = [2_000, 4_000, 3_000];
    const rest = { memoryBytes: 1e9, diskBytes: 1e9, gpus: 0 };
    const cluster = new Cluster({
      nodes: 3,
      profile: (index) => ({ capacity: { ...rest, cpuMillis: sizes[index] ?? 0 } }),
    });
    const resources = { ...rest, cpuMillis: 8_000 };
    cluster.submit(0, jobWith({}, { resources }));
    cluster.until('the job ends', () => cluster.job(0).state === 'Failed');
    const [close] = cluster.job(0).records.committed.map(({ record }) => record);
    assert.ok(close?.type === 'close');
    assert.match(
      close.body.message,
      /available: 3, suitable: 0\.\n• 3 of 3 nodes: cpu: wants 8 cores, the largest has 4 cores in all/,
    );
  });

  it('ends a job at its TotalTimeout and stops what runs', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    const Timeouts = { ExecutionTimeout: 0, QueueTimeout: 0, TotalTimeout: 7 };
    cluster.submit(0, jobWith({}, { Timeouts }));
    cluster.advance(6_900);
    assert.equal(cluster.job(0).state, 'Running');
    cluster.advance(200);
    assert.equal(cluster.job(0).state, 'Failed');
    assert.equal(cluster.effects('cancel-run').length, 1);
  });

  it('hands the program everything it needs, complete enough to be resumed', () => {
    const cluster = new Cluster({ nodes: 1 });
    const Timeouts = { ExecutionTimeout: 5, QueueTimeout: 0, TotalTimeout: 9 };
    cluster.submit(0, jobWith({ Count: 2, Namespace: 'lab' }, { Timeouts }));
    const { order } = cluster.effects('run')[1] ?? assert.fail('two runs');
    const { job, records } = cluster.job(0);
    const about = { job, version: 1, partition: 1, attempt: 0 };
    const expected: ExecutionOrder = {
      ...about,
      execution: executionIdOf(suite, 'batch', { ...about, node: idOf(0) }),
      jobType: 'batch',
      jobName: 'sum',
      namespace: 'lab',
      partitionCount: 2,
      restarts: 0,
      epoch: 0,
      holders: [],
      timeoutMs: 5_000,
      task: records.spec.body.spec.Task,
    };
    assert.deepEqual(order, expected);
  });
});

describe('several machines', () => {
  for (const nodes of [2, 3, 4, 5]) {
    it(`of which there are ${nodes} all come to know the same end of a job`, () => {
      const cluster = new Cluster({ nodes });
      cluster.submit(0, jobWith({ Count: nodes }));
      cluster.advance(2_000);
      const views = Array.from({ length: nodes }, (_, index) => cluster.machine(index).inspect());
      const kept = views.flatMap(({ jobs }) => jobs);
      assert.equal(kept.length, nodes - 1 + (nodes % 2));
      const ends = kept.map(({ records }) =>
        records.committed.map(({ record }) => record.id).sort(),
      );
      for (const end of ends) assert.deepEqual(end, ends[0]);
      for (const { state } of kept) assert.equal(state, 'Completed');
      for (const { node, refused, executions, holds } of views) {
        assert.deepEqual(
          { refused, executions, holds },
          { refused: {}, executions: [], holds: [] },
          node,
        );
      }
    });
  }

  it('send the receipt only when W keepers have the job on disk', () => {
    const cluster = new Cluster({ nodes: 5 });
    let through = 0;
    cluster.lose = ({ message }) => message.type === 'admitted' && ++through > 2;
    const request = cluster.submit(0, jobWith());
    const own = cluster.messages('admitted').length;
    assert.ok(own >= 3, 'the keepers vote');
    // This machine's own vote and two others make W = 3 of 5.
    const reply = cluster.reply(request);
    assert.ok(reply?.type === 'receipt');
    assert.equal(reply.receipt.votes.length, majority(5));
  });

  it('send no receipt below W votes, and say so when the time is over', () => {
    const cluster = new Cluster({ nodes: 5 });
    let through = 0;
    cluster.lose = ({ message }) => message.type === 'admitted' && ++through > 1;
    const request = cluster.submit(0, jobWith());
    cluster.advance(19_000);
    assert.equal(cluster.reply(request), null);
    cluster.advance(2_000);
    const reply = cluster.reply(request);
    assert.ok(reply?.type === 'failed' && reply.problem.code === 'keepers-unreachable');
    assert.deepEqual([reply.problem.reached, reply.problem.needed], [2, 3]);
  });

  it('run a job whose sponsor was gone before it could activate it', () => {
    const cluster = new Cluster({ nodes: 3 });
    cluster.lose = ({ message, from }) => message.type === 'activate' && from === idOf(0);
    cluster.submit(0, jobWith());
    cluster.crash(0);
    cluster.lose = () => false;
    cluster.until('the others end it', () =>
      [1, 2].every((index) => cluster.machine(index).inspect().jobs[0]?.state === 'Completed'),
    );
  });

  it('accept a result only when a second node has it', () => {
    const cluster = new Cluster({ nodes: 3, program: published });
    cluster.submit(0, jobWith({}, { Publisher: { Type: 'ipfs', Params: {} } }));
    cluster.advance(1_000);
    const { records, state } = cluster.job(0);
    assert.equal(state, 'Completed');
    const accept = records.committed.find(({ record }) => record.type === 'accept')?.record;
    assert.ok(accept?.type === 'accept');
    assert.equal(accept.body.holders.length, 2);
    assert.equal(new Set(accept.body.holders).size, 2);
    assert.equal(accept.body.holders[0], accept.body.node);
    assert.equal(cluster.effects('replicate').length, 1);
  });

  it('stop a job for its owner through any of them, once W keepers have the command', () => {
    const cluster = new Cluster({ nodes: 4, program: () => [] });
    const submitted = cluster.reply(cluster.submit(0, jobWith({ Count: 2 })));
    assert.ok(submitted?.type === 'receipt');
    cluster.advance(1_000);
    const by = 3;
    const request = 'stop-1' as never;
    cluster.input(by, { type: 'stop', request, job: submitted.job, reason: 'enough' });
    cluster.advance(1_000);
    const reply = cluster.reply(request);
    assert.ok(reply?.type === 'stopping' && reply.job === submitted.job);
    assert.ok(reply.signed >= reply.needed);
    const kept = [0, 1, 2, 3].flatMap((index) => cluster.machine(index).inspect().jobs);
    assert.deepEqual(
      kept.map(({ state }) => state),
      ['Stopped', 'Stopped', 'Stopped'],
    );
    assert.equal(cluster.effects('cancel-run').length, 2);
  });

  it('do not stop a job of another owner', () => {
    const cluster = new Cluster({
      nodes: 3,
      program: () => [],
      owner: (node) => (node === 2 ? 1 : 0),
    });
    const submitted = cluster.reply(cluster.submit(0, jobWith()));
    assert.ok(submitted?.type === 'receipt');
    cluster.advance(500);
    cluster.input(2, { type: 'stop', request: 'stop-1' as never, job: submitted.job, reason: '' });
    cluster.advance(3_000);
    const reply = cluster.reply('stop-1');
    assert.ok(reply?.type === 'failed' && reply.problem.code === 'not-owner');
    assert.equal(cluster.job(0).state, 'Running');
  });

  it('replace an executor that died with another node', () => {
    const cluster = new Cluster({ nodes: 4, program: () => [{ type: 'phase', phase: 'running' }] });
    cluster.submit(0, jobWith());
    // For its first ten seconds a node does not conclude that others are gone.
    cluster.advance(12_000);
    const [first] = cluster.effects('run');
    assert.ok(first);
    const where =
      [0, 1, 2, 3].find((index) => cluster.effects('run', index).length > 0) ?? assert.fail();
    cluster.crash(where);
    cluster.until('another node runs it', () => cluster.effects('run').length === 2, 30_000);
    const second = cluster.effects('run')[1]?.order;
    assert.equal(second?.attempt, 1);
    assert.equal(cluster.effects('run', where).length, 1);
  });

  it('follow another leader when the first one is gone, and lose nothing', () => {
    const cluster = new Cluster({ nodes: 5, program: () => [{ type: 'phase', phase: 'running' }] });
    cluster.submit(0, jobWith({ Count: 2 }));
    cluster.advance(12_000);
    const leader =
      [0, 1, 2, 3, 4].find((index) => cluster.job(index).leading !== null) ?? assert.fail();
    cluster.crash(leader);
    const alive = [0, 1, 2, 3, 4].filter((index) => index !== leader);
    const leads = () => alive.filter((index) => cluster.job(index).leading !== null);
    cluster.until('somebody leads', () => leads().length === 1, 20_000);
    const epoch = cluster.job(leads()[0] ?? 0).leading;
    assert.ok(epoch !== null && epoch.number > 0);
    for (const index of alive) {
      for (const { execution, phase } of cluster.machine(index).inspect().executions) {
        if (phase === 'running') cluster.report(index, execution, DONE);
      }
    }
    // What ran on the dead leader runs again elsewhere.
    cluster.until('all runs are replaced', () => {
      for (const index of alive) {
        for (const { execution, phase } of cluster.machine(index).inspect().executions) {
          if (phase === 'running') cluster.report(index, execution, DONE);
        }
      }
      return alive.every((index) => cluster.job(index).state === 'Completed');
    });
  });
});

describe('an execution', () => {
  it('has an id that says which job, version, partition, attempt and node it is', () => {
    const { spec } = admitted(jobWith(), [0]);
    const about = { job: spec.body.job, version: 1, partition: 0, attempt: 0, node: idOf(0) };
    const changes = [{}, { version: 2 }, { partition: 1 }, { attempt: 1 }, { node: idOf(1) }];
    const ids = changes.map((change) => executionIdOf(suite, 'batch', { ...about, ...change }));
    assert.equal(new Set(ids).size, ids.length);
    assert.equal(executionIdOf(suite, 'batch', about), ids[0]);
    for (const id of ids)
      assert.match(id, /^e-[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});
