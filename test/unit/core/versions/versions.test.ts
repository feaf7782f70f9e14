/** The life of a job in several versions, on a few machines: its owner changes it, runs it again, and gives way to itself. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RunEvent } from '../../../../src/core/record/execution.ts';
import type { JobId } from '../../../../src/core/record/ids.ts';
import type { Reply } from '../../../../src/core/contract/reply.ts';
import type { Job } from '../../../../src/job/model.ts';
import { DEFAULT_LIMITS } from '../../../../src/core/contract/limits.ts';
import { Cluster, DONE } from '../cluster.ts';
import type { ClusterOptions } from '../cluster.ts';
import { WALL, idOf, jobWith } from '../fixtures.ts';

const RUNNING: readonly RunEvent[] = [{ type: 'phase', phase: 'running' }];
const NODES = [0, 1, 2, 3, 4];
const CHANGED = { Env: { VERSION: 'next' } };

class Mesh {
  readonly cluster: Cluster;
  readonly job: JobId;

  constructor(
    job: Job,
    options: Partial<ClusterOptions> = {},
    cluster = new Cluster({ nodes: 5, ...options }),
  ) {
    this.cluster = cluster;
    const jobs = cluster.inspect(0).jobs.length;
    const request = this.cluster.submit(0, job, String(jobs).padStart(32, '0'));
    const receipt = this.reply(request);
    assert.equal(receipt?.type, 'receipt');
    this.job = receipt?.type === 'receipt' ? receipt.job : assert.fail();
  }

  reply(request: string): Reply | null {
    this.cluster.until('it is answered', () => this.cluster.reply(request) !== null, 60_000);
    return this.cluster.reply(request);
  }

  ask(node: number, spec: Job, notAfter = WALL + 86_400_000): string {
    const { job } = this;
    return this.cluster.request(node, {
      type: 'update',
      job,
      spec,
      how: 'update',
      reason: '',
      notAfter,
    });
  }

  /** @returns the version that it is then */
  update(node: number, spec: Job): number {
    const reply = this.reply(this.ask(node, spec));
    assert.equal(reply?.type, 'updated', JSON.stringify(reply));
    return reply?.type === 'updated' ? reply.version : assert.fail();
  }

  version(node: number): number {
    return this.cluster.job(node).records.spec.body.version;
  }

  /** Executions that a node has not ended, with their version. */
  running(): readonly number[] {
    const { cluster } = this;
    return [0, 1, 2, 3, 4].flatMap((node) =>
      cluster
        .inspect(node)
        .executions.filter(({ phase }) => phase === 'running')
        .map(({ version }) => version),
    );
  }

  /** The versions of this job in which nodes wait for room for it. */
  waiting(): readonly number[] {
    return NODES.flatMap((node) =>
      this.cluster
        .inspect(node)
        .executions.filter(({ job, phase }) => job === this.job && phase === 'received')
        .map(({ version }) => version),
    );
  }

  runs() {
    return this.cluster.effects('run').map(({ order }) => order);
  }

  until(what: string, condition: () => boolean): void {
    this.cluster.until(what, condition);
  }
}

const state = (mesh: Mesh, node: number) => mesh.cluster.job(node).state;

describe('an update of a job that runs', () => {
  it('is its next version at every keeper, and what ran before is stopped', () => {
    const mesh = new Mesh(jobWith({ Count: 2 }), { program: () => RUNNING });
    mesh.until('it runs', () => mesh.running().length === 2);
    assert.equal(mesh.update(4, jobWith({ Count: 3 }, CHANGED)), 2);
    mesh.until('only the new one runs', () => mesh.running().join() === '2,2,2');
    for (const node of [0, 1, 2, 3, 4]) assert.equal(mesh.version(node), 2);
    const ran = mesh.runs().filter(({ version }) => version === 2);
    assert.ok(ran.every(({ task }) => task.Env['VERSION'] === 'next'));
    mesh.until('nothing of the first is left', () =>
      [0, 1, 2, 3, 4].every((node) =>
        mesh.cluster.inspect(node).executions.every(({ version }) => version === 2),
      ),
    );
  });

  it('that nobody voted for in time makes room for the next one, while the same node leads', () => {
    const mesh = new Mesh(jobWith(), { program: () => RUNNING });
    const { cluster } = mesh;
    cluster.lose = ({ message }) =>
      message.type === 'propose' && message.values.some(({ value }) => value.type === 'version');
    mesh.ask(4, jobWith({}, { Env: { BY: '4' } }), WALL + cluster.now + 10_000);
    cluster.advance(20_000);
    const leads = (): readonly boolean[] =>
      NODES.map((node) => cluster.inspect(node).jobs[0]?.leading !== null);
    const leader = leads();
    cluster.lose = () => false;
    const asked = mesh.ask(3, jobWith({}, CHANGED));
    cluster.until('it is decided', () => cluster.reply(asked) !== null, 20_000);
    assert.equal(cluster.reply(asked)?.type, 'updated');
    assert.equal(mesh.version(3), 2);
    assert.deepEqual(leads(), leader);
  });

  it('is all that its leader proposes from then on', () => {
    const mesh = new Mesh(jobWith(), { program: () => RUNNING });
    const { cluster } = mesh;
    const [running] = NODES.flatMap((node) =>
      cluster.inspect(node).executions.map(({ execution }) => ({ node, execution })),
    );
    assert.ok(running !== undefined);
    const proposed = (version: number, from = 0): number =>
      cluster.sent
        .slice(from)
        .filter(
          ({ message }) =>
            message.type === 'propose' &&
            message.values.some(({ slot }) => slot.startsWith(`assign/${version}/`)),
        ).length;
    cluster.lose = ({ message }) =>
      message.type === 'voted' &&
      message.votes.some(({ body }) => body.slot.startsWith('assign/1/'));
    const before = proposed(1);
    const failure = { code: 'it-broke', class: 'node', message: 'it broke' } as const;
    cluster.report(running.node, running.execution, [
      { type: 'failed', failure, output: null, usage: null },
    ]);
    mesh.until('another attempt is proposed', () => proposed(1) > before);
    mesh.update(4, jobWith({}, CHANGED));
    const after = cluster.sent.length;
    mesh.until('it runs', () => mesh.running().join() === '2');
    cluster.advance(60_000);
    assert.equal(proposed(1, after), 0);
  });

  it('is one of two that come at once, and the other is told which', () => {
    const mesh = new Mesh(jobWith(), { program: () => RUNNING });
    mesh.cluster.lose = ({ message }) => message.type === 'update';
    const asked = [1, 4].map((node) => mesh.ask(node, jobWith({}, { Env: { BY: String(node) } })));
    mesh.cluster.lose = () => false;
    const replies = asked.map((request) => mesh.reply(request));
    assert.deepEqual(
      replies.map((reply) => (reply?.type === 'failed' ? reply.problem.code : reply?.type)).sort(),
      ['job-changed', 'updated'],
    );
    mesh.until('it runs once', () => mesh.running().join() === '2');
  });
});

describe('an update of a service', () => {
  it('waits while more than there is room for still runs in versions before, and its owner is told', () => {
    const limits = { ...DEFAULT_LIMITS, pastOwnerMaxBytes: 1 };
    const mesh = new Mesh(jobWith({ Type: 'service' }), { program: () => RUNNING, limits });
    mesh.until('it runs', () => mesh.running().join() === '1');
    assert.equal(mesh.update(4, jobWith({ Type: 'service' }, CHANGED)), 2);
    const spec = jobWith({ Type: 'service' }, { Env: { VERSION: 'third' } });
    const reply = mesh.reply(mesh.ask(3, spec));
    assert.ok(reply?.type === 'failed' && reply.problem.code === 'versions-full');
    assert.equal(reply.problem.maxBytes, 1);
    mesh.until('it has gone over', () => mesh.running().join() === '2');
    mesh.cluster.advance(60_000);
    assert.equal(mesh.update(3, spec), 3);
  });
});

describe('an update of a job that is over', () => {
  it('runs it once more, also when nobody has it in memory', () => {
    const mesh = new Mesh(jobWith(), { program: () => DONE });
    mesh.until('it is completed', () => state(mesh, 0) === 'Completed');
    mesh.cluster.advance(120_000);
    assert.equal(mesh.cluster.machine(0).inspect().jobs.length, 0, 'it is on the shelf');
    assert.equal(mesh.update(3, jobWith({}, CHANGED)), 2);
    mesh.until('it is completed again', () =>
      [0, 1, 2, 3, 4].every(
        (node) => mesh.version(node) === 2 && state(mesh, node) === 'Completed',
      ),
    );
    assert.deepEqual(
      mesh.runs().map(({ version }) => version),
      [1, 2],
    );
  });

  it('is decided by all who keep it, though only one of them heard of it before its owner was gone', () => {
    const mesh = new Mesh(jobWith(), { program: () => DONE });
    mesh.until('it is completed', () => state(mesh, 0) === 'Completed');
    mesh.cluster.advance(120_000);
    let heard: string | null = null;
    mesh.cluster.lose = ({ from, to, message }) => {
      if (message.type !== 'update' || from === to) return false;
      heard ??= to;
      return to !== heard;
    };
    mesh.ask(4, jobWith({}, CHANGED));
    mesh.cluster.crash(4);
    mesh.cluster.lose = () => false;
    mesh.until('it is completed again', () =>
      [0, 1, 2, 3].every((node) => mesh.version(node) === 2 && state(mesh, node) === 'Completed'),
    );
  });

  it('runs, though the version before was stopped', () => {
    const mesh = new Mesh(jobWith(), { program: () => RUNNING });
    mesh.until('it runs', () => mesh.running().length === 1);
    const request = mesh.cluster.request(4, { type: 'stop', job: mesh.job, reason: '' });
    mesh.until('it is stopped', () => mesh.cluster.reply(request) !== null);
    assert.equal(mesh.update(4, jobWith({}, CHANGED)), 2);
    mesh.until('it runs again', () => mesh.running().join() === '2');
    mesh.cluster.advance(60_000);
    assert.equal(mesh.running().join(), '2');
  });

  it('survives a restart of all keepers before it is decided', () => {
    const mesh = new Mesh(jobWith(), { program: () => DONE });
    mesh.until('it is completed', () => state(mesh, 0) === 'Completed');
    mesh.cluster.advance(120_000);
    mesh.cluster.lose = ({ message }) => message.type === 'propose' || message.type === 'promise';
    mesh.ask(3, jobWith({}, CHANGED));
    for (const node of [0, 1, 2, 3, 4]) mesh.cluster.crash(node);
    mesh.cluster.lose = () => false;
    for (const node of [0, 1, 2, 3, 4]) mesh.cluster.restart(node);
    mesh.until('it is completed again', () =>
      [0, 1, 2, 3, 4].every(
        (node) => mesh.version(node) === 2 && state(mesh, node) === 'Completed',
      ),
    );
  });

  it('that was voted for while it ran is not forgotten with its end', () => {
    const mesh = new Mesh(jobWith(), { program: () => RUNNING });
    const { cluster } = mesh;
    mesh.until('it runs', () => mesh.running().length === 1);
    const leader = NODES.find((node) => cluster.job(node).leading !== null) ?? assert.fail();
    // The others vote for a version of which they have not heard that it is wanted, and nobody hears their votes.
    cluster.lose = ({ to, message }) =>
      (message.type === 'update' && to !== idOf(leader)) ||
      (message.type === 'voted' && message.votes.some(({ body }) => body.slot === 'version/2'));
    mesh.ask(leader, jobWith({}, CHANGED));
    const [order] = mesh.runs();
    const runner = NODES.find((node) => cluster.inspect(node).executions.length > 0);
    cluster.report(runner ?? assert.fail(), order?.execution ?? assert.fail(), DONE.slice(1));
    const others = NODES.filter((node) => node !== leader);
    mesh.until('it is over for the others', () =>
      others.every((node) => state(mesh, node) === 'Completed'),
    );
    for (const node of others) {
      const slots = cluster
        .store(node)
        .rows('accepted')
        .map(({ key }) => key);
      assert.deepEqual(slots, ['version/2']);
    }
    cluster.lose = () => false;
    mesh.until('it is the next one', () => NODES.every((node) => mesh.version(node) === 2));
  });
});

describe('a job that each node runs and that waits for room', () => {
  it('waits no more where its leader says that it has another version', () => {
    const whole = { resources: { ...jobWith().Task.resources, cpuMillis: 3_000 } };
    const daemon = jobWith({ Type: 'daemon', Count: 0 }, whole);
    const mesh = new Mesh(daemon, { program: () => RUNNING });
    mesh.until('it runs', () => mesh.running().length === NODES.length);
    const waiting = new Mesh(daemon, {}, mesh.cluster);
    waiting.until('it waits', () => waiting.waiting().join() === '1,1,1,1,1');
    const jobs = (node: number) => mesh.cluster.inspect(node).jobs;
    const leads = (node: number) =>
      jobs(node).some(({ job, leading }) => job === waiting.job && leading !== null);
    const leader = NODES.find(leads) ?? assert.fail();
    const deaf = NODES.find((node) => node !== leader) ?? assert.fail();
    mesh.cluster.lose = ({ to, message }) => to === idOf(deaf) && message.type !== 'cancel';
    waiting.update(leader, { ...daemon, Task: { ...daemon.Task, ...CHANGED } });
    waiting.until('only the next one waits', () => waiting.waiting().join() === '2,2,2,2,2');
  });
});
