/** How nodes learn of jobs that every node runs, from whoever knows of them, and that they are over. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LIVE_MAX } from '../../../../src/core/contract/limits.ts';
import type { Announcement } from '../../../../src/core/contract/messages.ts';
import { createLedger, summaryOf } from '../../../../src/core/record/ledger.ts';
import type { Job } from '../../../../src/job/model.ts';
import { Cluster, refusals } from '../cluster.ts';
import type { ClusterOptions } from '../cluster.ts';
import {
  admitted,
  announcementOf,
  closeOf,
  committed,
  idOf,
  jobWith,
  suiteOf,
} from '../fixtures.ts';

const daemon = (change: Partial<Omit<Job, 'Task'>> = {}): Job =>
  jobWith({ Type: 'daemon', Count: 0, ...change });

const mesh = (nodes: number, options: Partial<ClusterOptions> = {}): Cluster =>
  new Cluster({ nodes, program: () => [{ type: 'phase', phase: 'running' }], ...options });

const starts = (cluster: Cluster, node: number): number =>
  cluster.effects('run', node).filter(({ resume }) => !resume).length;

/** Six nodes, of which five keep the job and the last one hears of none of its calls. */
function withDeaf(heard: string[] = []): Cluster {
  const cluster = mesh(6);
  cluster.crash(5);
  cluster.submit(0, daemon());
  cluster.advance(60_000);
  cluster.lose = ({ to, message }) => {
    if (to === idOf(5)) heard.push(message.type);
    return false;
  };
  return cluster;
}

const announced = (
  n: number,
  Type: Job['Type'] = 'daemon',
  owner = 0,
  change: Partial<Omit<Job, 'Task'>> = {},
): Announcement => {
  const nonce = n.toString(16).padStart(32, '0');
  const signer = suiteOf(1, owner);
  return announcementOf(
    admitted(jobWith({ Type, Count: 0, ...change }), [1, 2, 3], { nonce }, signer),
  );
};

const epochOf = ({ leader }: Announcement) => ({
  config: { major: 0, minor: 0 },
  number: 0,
  leader,
});

/** A neighbour tells of a job and hands it on when it is asked. */
function handOn(cluster: Cluster, from: number, announcement: Announcement) {
  const { job, version } = announcement;
  cluster.message(0, from, {
    type: 'live',
    jobs: [{ job, version, epoch: epochOf(announcement) }],
  });
  return cluster.message(0, from, { type: 'live-job', announcement });
}

describe('a node that comes when nobody calls any more', () => {
  it('learns of the job from its first neighbour, and begins when its leader has answered', () => {
    const heard: string[] = [];
    const cluster = withDeaf(heard);
    cluster.restart(5);
    cluster.advance(1_000);
    assert.equal(starts(cluster, 5), 1);
    assert.ok(heard.indexOf('live') < heard.indexOf('live-job'));
    assert.ok(heard.indexOf('live-job') < heard.indexOf('renewed'));
  });

  it('asks again when what it asked for was lost', () => {
    const cluster = withDeaf();
    let lost = 0;
    cluster.lose = ({ message }) => message.type === 'live-job' && (lost += 1) < 8;
    cluster.restart(5);
    cluster.until('it runs', () => starts(cluster, 5) === 1, 120_000);
  });

  it('begins after a lease when nobody who keeps the job can be reached', () => {
    const cluster = mesh(7);
    cluster.crash(5);
    cluster.submit(0, daemon());
    cluster.advance(60_000);
    for (const keeper of [0, 1, 2, 3, 4]) cluster.crash(keeper);
    cluster.restart(5);
    cluster.advance(15_000);
    assert.equal(starts(cluster, 5), 0);
    cluster.advance(10_000);
    assert.equal(starts(cluster, 5), 1);
  });

  it('never begins what was stopped, though a neighbour has not heard of that', () => {
    const cluster = mesh(7);
    cluster.crash(5);
    cluster.submit(0, daemon());
    cluster.advance(60_000);
    cluster.pause(6);
    const { job } = cluster.job(0);
    cluster.request(0, { type: 'stop', job, reason: '' });
    cluster.advance(180_000);
    cluster.lose = ({ from, to }) => [from, to].includes(idOf(6)) && ![from, to].includes(idOf(5));
    cluster.resume(6);
    cluster.restart(5);
    cluster.advance(60_000);
    assert.equal(starts(cluster, 5), 0);
    cluster.lose = () => false;
    cluster.advance(60_000);
    assert.equal(cluster.inspect(6).executions.length, 0);
  });

  it('learns of it from a neighbour that was started again itself', () => {
    const cluster = mesh(7);
    cluster.crash(5);
    cluster.submit(0, daemon());
    cluster.advance(60_000);
    cluster.crash(6);
    cluster.lose = ({ from, message }) => from !== idOf(6) && message.type === 'live';
    cluster.restart(6);
    cluster.advance(1_000);
    cluster.restart(5);
    cluster.advance(2_000);
    assert.equal(starts(cluster, 5), 1);
  });
});

describe('what a neighbour hands on is not believed', () => {
  it('when it was not asked for', () => {
    const cluster = mesh(1);
    cluster.message(0, 4, { type: 'live-job', announcement: announced(1) });
    assert.equal(cluster.inspect(0).executions.length, 0);
  });

  it('when nobody admitted it, when another leads it, or when it is for some nodes only', () => {
    const good = announced(1);
    const wrong: readonly (readonly [Announcement, string])[] = [
      [{ ...good, admission: { ...good.admission, votes: [] } }, 'bad-certificate'],
      [{ ...good, leader: idOf(2) }, 'wrong-signer'],
      [{ ...good, spec: null }, 'contradiction'],
      [announced(1, 'ops'), 'contradiction'],
    ];
    for (const [announcement, code] of wrong) {
      const cluster = mesh(1);
      assert.deepEqual(refusals(handOn(cluster, 4, announcement)), [code]);
      assert.equal(cluster.inspect(0).executions.length, 0);
    }
  });

  it('but what is proven is, whoever hands it on', () => {
    const cluster = mesh(1);
    assert.deepEqual(refusals(handOn(cluster, 4, announced(1))), []);
    assert.equal(cluster.inspect(0).executions.length, 1);
  });
});

describe('gossip of its end', () => {
  it('ends such a job where it is proven, and nowhere else', () => {
    const cluster = mesh(1);
    const announcement = announced(1);
    const { spec, admission } = announcement;
    assert.ok(spec);
    const job = { spec, admission, keepers: [1, 2, 3], epoch: epochOf(announcement) };
    const close = committed(job, closeOf(job, { outcome: 'stopped', code: 'stopped-by-owner' }));
    handOn(cluster, 4, announcement);
    const summary = summaryOf(createLedger(spec, admission), false);
    const tell = (votes: typeof close.votes) => {
      const gossip = { type: 'closed', close: { ...close, votes }, summary } as const;
      cluster.input(0, { type: 'gossip', from: idOf(4), gossip });
    };
    tell([]);
    assert.equal(cluster.inspect(0).executions.length, 1);
    tell(close.votes);
    assert.deepEqual(cluster.inspect(0).executions, []);
  });
});

describe('a neighbour that tells of jobs that are over', () => {
  it('hears of each that it is, once in a list, and as far as its allowance goes', () => {
    const cluster = mesh(1);
    const lines = Array.from({ length: 8 }, (_, n) => {
      const announcement = announced(n);
      const { spec, admission } = announcement;
      assert.ok(spec);
      const job = { spec, admission, keepers: [1, 2, 3], epoch: epochOf(announcement) };
      handOn(cluster, 4, announcement);
      const close = committed(job, closeOf(job, { outcome: 'stopped', code: 'stopped-by-owner' }));
      cluster.message(0, 4, { type: 'closed', job: spec.body.job, close });
      return { job: spec.body.job, version: 1, epoch: epochOf(announcement) };
    });
    const told = (): number => cluster.messages('closed').length;
    const many = Array.from({ length: LIVE_MAX }, (_, n) => lines[n % 8] ?? assert.fail());
    cluster.message(0, 5, { type: 'live', jobs: many });
    assert.equal(told(), 8);
    for (let n = 0; n < 100; n += 1) cluster.message(0, 5, { type: 'live', jobs: many });
    assert.ok(told() < 400, `${told()} proofs`);
  });
});

describe('the index of such jobs', () => {
  it('is bounded, one owner has half of it, and what runs here is the last to go', () => {
    const small = { cpuMillis: 10, memoryBytes: 1_000_000, diskBytes: 0, gpus: 0 };
    const cluster = mesh(1, { owner: () => 9, profile: () => ({ capacity: small }) });
    for (let n = 0; n < LIVE_MAX; n += 1) handOn(cluster, 4, announced(n, 'daemon', 1));
    assert.equal(cluster.machine(0).sizes()['live'], LIVE_MAX / 2);
  });

  it('keeps what runs here, however many owners somebody makes up', () => {
    const cluster = mesh(1, { owner: () => 9 });
    const honest = announced(0, 'daemon', 1);
    handOn(cluster, 4, honest);
    cluster.until('it runs', () => starts(cluster, 0) === 1);
    const Constraints = [{ Key: 'room', Operator: '=', Values: ['nowhere'] }] as const;
    for (let n = 1; n <= LIVE_MAX + 8; n += 1)
      handOn(cluster, 4, announced(n, 'daemon', 9 + n, { Constraints }));
    const lists = cluster.messages('live').length;
    cluster.input(0, { type: 'peer-connected', node: idOf(5) });
    const told = cluster
      .messages('live')
      .slice(lists)
      .flatMap(({ message }) => message.jobs);
    assert.equal(told.length, LIVE_MAX);
    assert.ok(told.some(({ job }) => job === honest.job));
  });
});
