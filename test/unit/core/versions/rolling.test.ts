/** A service that goes over to another version while it runs, on a few machines. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ExecutionOrder, RunEvent } from '../../../../src/core/record/execution.ts';
import type { JobId } from '../../../../src/core/record/ids.ts';
import { Cluster } from '../cluster.ts';
import { WALL, jobWith } from '../fixtures.ts';

const RUNNING: readonly RunEvent[] = [{ type: 'phase', phase: 'running' }];
const COUNT = 3;
const job = (version: string) =>
  jobWith({ Type: 'service', Count: COUNT }, { Env: { V: version } });
const exits: RunEvent = {
  type: 'ended',
  exitCode: 7,
  result: null,
  output: { stdout: '', stdoutTruncated: false, stderr: '', stderrTruncated: false },
  usage: { cpuMs: 1, peakMemoryBytes: 1, wallMs: 1 },
};
const fatal: RunEvent = {
  type: 'failed',
  failure: { code: 'image-not-found', class: 'spec', message: 'no such image' },
  output: null,
  usage: null,
};

class Service {
  readonly cluster: Cluster;
  job = '' as JobId;
  /** Programs that run at a time, least and most, since the update. */
  least = COUNT;
  most = COUNT;

  constructor(program: (order: ExecutionOrder) => readonly RunEvent[] = () => RUNNING) {
    this.cluster = new Cluster({ nodes: 5, program });
    const reply = this.cluster.reply(this.cluster.submit(0, job('1')));
    if (reply?.type === 'receipt') this.job = reply.job;
    this.cluster.until('it runs', () => this.running().length === COUNT);
  }

  running(): readonly number[] {
    return [0, 1, 2, 3, 4]
      .filter((node) => this.cluster.machine(node) !== undefined)
      .flatMap((node) =>
        this.cluster
          .inspect(node)
          .executions.filter(({ phase }) => phase === 'running')
          .map(({ version }) => version),
      )
      .sort();
  }

  update(version: string): void {
    const notAfter = WALL + 86_400_000;
    const about = { type: 'update', job: this.job, how: 'update', reason: '', notAfter } as const;
    const request = this.cluster.request(4, { ...about, spec: job(version) });
    this.until('it is decided', () => this.cluster.reply(request) !== null);
    assert.equal(this.cluster.reply(request)?.type, 'updated');
  }

  until(what: string, condition: () => boolean): void {
    this.cluster.until(
      what,
      () => {
        const now = this.running().length;
        this.least = Math.min(this.least, now);
        this.most = Math.max(this.most, now);
        return condition();
      },
      300_000,
    );
  }

  get message(): string {
    const { committed } = this.cluster.job(0).records;
    const version = committed.find(({ record }) => record.type === 'version')?.record;
    return version?.type === 'version' ? version.body.message : '';
  }
}

describe('a service with another version', () => {
  it('goes over replica by replica: never fewer than wanted run, and one more at most', () => {
    const service = new Service();
    service.update('2');
    service.until('all are of the second', () => service.running().join() === '2,2,2');
    assert.deepEqual([service.least, service.most], [COUNT, COUNT + 1]);
  });

  it('goes on under the next leader', () => {
    const service = new Service();
    service.update('2');
    service.until('one is over', () => service.running().join() === '1,1,2,2');
    const leader = [0, 1, 2, 3, 4].find((node) => service.cluster.job(node).leading !== null);
    service.cluster.crash(leader ?? assert.fail());
    service.cluster.advance(60_000);
    service.cluster.restart(leader ?? assert.fail());
    service.until('all are of the second', () => service.running().join() === '2,2,2');
    assert.ok(service.most <= COUNT + 1, `${service.most} ran`);
  });

  for (const [what, end] of [
    ['ends each time it is started', exits],
    ['cannot be right', fatal],
  ] as const)
    it(`goes back when its program ${what}, and says why`, () => {
      const service = new Service(({ version }) => (version === 2 ? [...RUNNING, end] : RUNNING));
      service.update('2');
      service.until('it is back', () => service.running().join() === '3,3,3');
      assert.ok(service.least >= COUNT, `${service.least} ran`);
      assert.match(service.message, /^Version 2 did not come up, and version 1 came back: /);
      const ran = service.cluster.effects('run').filter(({ order }) => order.version === 3);
      assert.ok(ran.every(({ order }) => order.task.Env['V'] === '1'));
    });
});
