/** A leader is watched by what it does for the job: one that only lives loses it, a healthy one does not. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asJobId, asRequestId } from '../../../../src/core/record/ids.ts';
import type { JobId } from '../../../../src/core/record/ids.ts';
import type { JobRecords, Message, MessageType } from '../../../../src/core/contract/messages.ts';
import type { Epoch } from '../../../../src/core/record/records.ts';
import { FIRST_CONFIG } from '../../../../src/core/record/chain.ts';
import { Cluster } from '../cluster.ts';
import type { ClusterOptions } from '../cluster.ts';
import { grantOf, idOf, jobWith } from '../fixtures.ts';

const NODES = [0, 1, 2, 3];
const hostileIn = ({ leader }: Epoch): number =>
  NODES.find((node) => idOf(node) === leader) ?? assert.fail();
const running = () => [{ type: 'phase', phase: 'running' }] as const;

/** What a keeper says that never leads, and yet lives. */
const ALIVE: readonly MessageType[] = [
  'ping',
  'pong',
  'advert',
  'admitted',
  'activated',
  'commit-ack',
  'bid',
];
/** What a leader says that only claims to lead. */
const CLAIMS: readonly MessageType[] = [...ALIVE, 'leading', 'leads', 'renewed', 'command-ack'];

const leads = (cluster: Cluster, node: number): boolean =>
  cluster
    .machine(node)
    .inspect()
    .jobs.some(({ leading }) => leading !== null);
const leaderOf = (cluster: Cluster): number | null =>
  NODES.find((node) => leads(cluster, node)) ?? null;
const jobOf = (cluster: Cluster, node: number) => cluster.machine(node).inspect().jobs[0];
const keepersOf = (cluster: Cluster): readonly number[] =>
  NODES.filter((node) => jobOf(cluster, node) !== undefined);

/** Four nodes and a job whose first leader says nothing but `says` from the moment it is submitted. */
function withLeader(says: readonly MessageType[], options: Partial<ClusterOptions> = {}) {
  const cluster = new Cluster({ nodes: NODES.length, ...options });
  let bad: number | null = null;
  cluster.lose = ({ from, to, message }) => {
    if (message.type === 'activate' && bad === null)
      bad = cluster.indexOf(message.admission.record.body.keepers[0]?.node ?? assert.fail());
    return bad !== null && from === idOf(bad) && to !== from && !says.includes(message.type);
  };
  const request = cluster.submit(0, jobWith());
  const reply = cluster.reply(request);
  assert.ok(reply?.type === 'receipt');
  const hostile: number = bad ?? assert.fail('somebody was to lead');
  return { cluster, hostile, job: reply.job };
}

const others = (hostile: number): readonly number[] => NODES.filter((node) => node !== hostile);
const endedElsewhere = (cluster: Cluster, hostile: number, state: string): boolean =>
  others(hostile).some((node) => jobOf(cluster, node)?.state === state);

describe('a keeper that was to lead', () => {
  it('and lives, but never leads, keeps the job from running for half a minute, not for good', () => {
    const { cluster, hostile } = withLeader(ALIVE);
    cluster.until('it is done', () => endedElsewhere(cluster, hostile, 'Completed'), 40_000);
  });

  it('and says that it leads, but does nothing, loses a job that another could run', () => {
    const { cluster, hostile } = withLeader(CLAIMS);
    cluster.until('it is done', () => endedElsewhere(cluster, hostile, 'Completed'), 120_000);
  });

  it('and does not hear the stop of the owner is not obeyed by the others', () => {
    const { cluster, hostile, job } = withLeader(CLAIMS, { profile: () => ({ engines: {} }) });
    const asker = others(hostile)[0] ?? assert.fail();
    cluster.input(asker, { type: 'stop', request: asRequestId('s'), job, reason: '' });
    cluster.until('it is stopped', () => endedElsewhere(cluster, hostile, 'Stopped'), 120_000);
  });

  it('gets no promise for a while from those who saw that it did nothing', () => {
    const { cluster, hostile } = withLeader(ALIVE, { program: running });
    cluster.until('another leads', () => others(hostile).some((node) => leads(cluster, node)));
    const leader = others(hostile).find((node) => leads(cluster, node)) ?? assert.fail();
    const admitted = jobOf(cluster, leader)?.records ?? assert.fail();
    const { promised } = jobOf(cluster, leader) ?? assert.fail();
    const epoch = {
      config: { major: 0, minor: 0 },
      number: (promised?.number ?? 0) + 1,
      leader: idOf(hostile),
    };
    const job = asJobId(admitted.spec.body.job);
    const of = { spec: admitted.spec, admission: admitted.admission, keepers: [], epoch };
    const grant = grantOf(of, epoch, hostile);
    cluster.message(leader, hostile, { type: 'prepare', job, grant });
    assert.deepEqual(jobOf(cluster, leader)?.promised, promised);
    cluster.advance(60_000);
    cluster.message(leader, hostile, { type: 'prepare', job, grant });
    assert.deepEqual(jobOf(cluster, leader)?.promised, epoch, 'but not for ever');
  });
});

describe('a keeper that wants to lead, and does not', () => {
  /** The highest epoch that anybody else has promised, and the one that follows it. */
  const nextOf = (cluster: Cluster, hostile: number): Epoch => {
    const promised = others(hostile).map((node) => jobOf(cluster, node)?.promised?.number ?? 0);
    return { config: FIRST_CONFIG, number: Math.max(...promised) + 1, leader: idOf(hostile) };
  };
  /** What it says ten times a second, for as long as the job is open. */
  const meddle = (say: (epoch: Epoch, job: JobId, records: JobRecords) => Message): void => {
    const { cluster, hostile } = withLeader(ALIVE, { program: running });
    const leading = (): boolean => others(hostile).some((node) => leads(cluster, node));
    const records = jobOf(cluster, others(hostile)[0] ?? 0)?.records ?? assert.fail();
    let calm = 0;
    // A minute in which a job has one honest leader is enough for it to be placed and to end.
    for (let passed = 0; passed < 300_000 && calm < 60_000; passed += 100) {
      cluster.advance(100);
      const message = say(nextOf(cluster, hostile), records.spec.body.job, records);
      for (const node of keepersOf(cluster)) cluster.message(node, hostile, message);
      calm = leading() ? calm + 100 : 0;
    }
    assert.ok(calm >= 59_000, `led for ${calm} ms at a time`);
  };

  it('keeps a job from being led for minutes, not for good, by asking for promises', () =>
    meddle((epoch, job, { spec, admission }) => {
      const grant = grantOf({ spec, admission, keepers: [], epoch }, epoch, hostileIn(epoch));
      return { type: 'prepare', job, grant };
    }));

  it('nor by proposing nothing', () =>
    meddle((epoch, job) => {
      const nothing = { values: [], states: [], commands: [] };
      return { type: 'propose', job, epoch, ...nothing };
    }));

  it('nor by saying that it follows another', () =>
    meddle((epoch, job, { admission }) => {
      const { keepers } = admission.record.body;
      const other = keepers.find(({ node }) => node !== epoch.leader)?.node ?? assert.fail();
      return { type: 'outdated', job, promised: { ...epoch, leader: other } };
    }));
});

describe('a leader is not given up', () => {
  const calm = (cluster: Cluster, ms: number): void => {
    const leader = leaderOf(cluster) ?? assert.fail('a leader');
    cluster.advance(ms);
    assert.equal(leaderOf(cluster), leader);
    assert.equal(cluster.effects('note').filter((n) => n.event === 'job.leading').length, 1);
  };

  it('while the program runs on for an hour', () => {
    const cluster = new Cluster({ nodes: NODES.length, program: running });
    cluster.submit(0, jobWith());
    cluster.advance(1_000);
    calm(cluster, 3_600_000);
  });

  it('while nobody can take the job', () => {
    const cluster = new Cluster({ nodes: NODES.length, profile: () => ({ engines: {} }) });
    const Timeouts = { ExecutionTimeout: 0, QueueTimeout: 3_600, TotalTimeout: 0 };
    cluster.submit(0, jobWith({}, { Timeouts }));
    cluster.advance(1_000);
    calm(cluster, 600_000);
  });

  it('when every fifth question or answer is lost', () => {
    const cluster = new Cluster({ nodes: NODES.length, program: running });
    cluster.submit(0, jobWith());
    cluster.advance(1_000);
    let count = 0;
    cluster.lose = ({ message }) =>
      (message.type === 'status-wanted' || message.type === 'leading') && (count += 1) % 5 === 0;
    calm(cluster, 600_000);
  });

  it('by a keeper that itself did not run for a while', () => {
    const cluster = new Cluster({ nodes: NODES.length, program: running });
    cluster.submit(0, jobWith());
    cluster.advance(1_000);
    const leader = leaderOf(cluster) ?? assert.fail();
    const sleeper = keepersOf(cluster).find((node) => node !== leader) ?? assert.fail();
    cluster.pause(sleeper);
    cluster.advance(60_000);
    cluster.resume(sleeper);
    calm(cluster, 60_000);
  });

  it('when it leads more jobs than one question has room for', () => {
    const cluster = new Cluster({ nodes: 3, program: running, profile: () => ({ engines: {} }) });
    const Timeouts = { ExecutionTimeout: 0, QueueTimeout: 3_600, TotalTimeout: 0 };
    for (let count = 0; count < 600; count += 1)
      cluster.submit(0, jobWith({}, { Timeouts }), String(count).padStart(32, '0'));
    cluster.advance(45_000);
    assert.equal(cluster.effects('note').filter((n) => n.event === 'job.leading').length, 600);
  });
});
