/** A service on five machines that goes over to other versions, and how many of its programs run meanwhile. */
import assert from 'node:assert/strict';
import type { ExecutionOrder, RunEvent } from '../../../../src/core/record/execution.ts';
import type { JobId } from '../../../../src/core/record/ids.ts';
import type { Job, Task } from '../../../../src/job/model.ts';
import { Cluster } from '../cluster.ts';
import { WALL, jobWith } from '../fixtures.ts';

export const RUNNING: readonly RunEvent[] = [{ type: 'phase', phase: 'running' }];
export const exits: RunEvent = {
  type: 'ended',
  exitCode: 7,
  result: null,
  output: { stdout: '', stdoutTruncated: false, stderr: '', stderrTruncated: false },
  usage: { cpuMs: 1, peakMemoryBytes: 1, wallMs: 1 },
};

/** Nodes have 4,000 and 8 GiB. */
export const taking = (cpuMillis: number): Partial<Task> => ({
  resources: { cpuMillis, memoryBytes: 1_000_000_000, diskBytes: 0, gpus: 0 },
});

export class Service {
  readonly cluster: Cluster;
  /** Of the next version. */
  count: number;
  readonly task: Partial<Task>;
  job = '' as JobId;
  /** Programs that run at a time, least and most, since it first ran. */
  least: number;
  most: number;

  constructor(
    program: (order: ExecutionOrder) => readonly RunEvent[] = () => RUNNING,
    { count = 3, task = {} }: { readonly count?: number; readonly task?: Partial<Task> } = {},
  ) {
    [this.count, this.least, this.most, this.task] = [count, count, count, task];
    this.cluster = new Cluster({
      nodes: 5,
      program: (order) => (order.job === this.job || this.job === '' ? program(order) : RUNNING),
    });
    const reply = this.cluster.reply(this.cluster.submit(0, this.#spec('1', task)));
    if (reply?.type === 'receipt') this.job = reply.job;
    this.cluster.until('it runs', () => this.running().length === count);
  }

  #spec(version: string, task: Partial<Task>): Job {
    return jobWith({ Type: 'service', Count: this.count }, { ...task, Env: { V: version } });
  }

  running(): readonly number[] {
    return [0, 1, 2, 3, 4]
      .filter((node) => this.cluster.machine(node) !== undefined)
      .flatMap((node) =>
        this.cluster
          .inspect(node)
          .executions.filter(({ job, phase }) => job === this.job && phase === 'running')
          .map(({ version }) => version),
      )
      .sort();
  }

  /** Programs of another job run on so many nodes from now on. */
  fill(count: number, task: Partial<Task>): void {
    this.cluster.submit(1, jobWith({ Count: count }, task), 'f'.repeat(32));
    const others = (): number =>
      this.cluster.effects('run').filter(({ order }) => order.job !== this.job).length;
    this.until('the other job runs', () => others() === count);
  }

  update(version: string, task = this.task): void {
    const notAfter = WALL + 86_400_000;
    const about = { type: 'update', job: this.job, how: 'update', reason: '', notAfter } as const;
    const request = this.cluster.request(4, { ...about, spec: this.#spec(version, task) });
    this.until('it is decided', () => this.cluster.reply(request) !== null);
    assert.equal(this.cluster.reply(request)?.type, 'updated');
  }

  #count(): void {
    const now = this.running().length;
    this.least = Math.min(this.least, now);
    this.most = Math.max(this.most, now);
  }

  until(what: string, condition: () => boolean): void {
    const done = (): boolean => {
      this.#count();
      return condition();
    };
    this.cluster.until(what, done, 300_000);
  }

  goOn(ms: number): void {
    const end = this.cluster.now + ms;
    this.until('time has passed', () => this.cluster.now >= end);
  }

  get message(): string {
    const known = this.cluster.inspect(0).jobs.find(({ job }) => job === this.job);
    const version = known?.records.committed.find(
      ({ record }) => record.type === 'version',
    )?.record;
    return version?.type === 'version' ? version.body.message : '';
  }
}
