/** Versions that somebody makes up, that come too late or too often: they cost those who keep the job next to nothing. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Limits } from '../../../../src/core/contract/limits.ts';
import type { CertifiedValue } from '../../../../src/core/contract/messages.ts';
import type { Certified, Signed } from '../../../../src/core/record/records.ts';
import { slotOf, VERSIONS_MAX } from '../../../../src/core/record/slot.ts';
import { checkWanted } from '../../../../src/core/record/versions.ts';
import type { Job } from '../../../../src/job/model.ts';
import { Cluster, refusals } from '../cluster.ts';
import {
  WALL,
  admissionOf,
  admitted,
  at,
  certify,
  closeOf,
  committed,
  idOf,
  jobWith,
  nextSpec,
  specOf,
  storeOf,
  suite,
  suiteOf,
} from '../fixtures.ts';
import type { Admitted } from '../fixtures.ts';

/** Node 0 keeps such jobs with 1 and 2, of which the former leads. */
const jobOf = (n: number, job: Job = jobWith()): Admitted =>
  admitted(job, [1, 0, 2], { nonce: n.toString(16).padStart(32, '0') });

const keeper = (limits: Partial<Limits> = {}): Cluster =>
  new Cluster({ nodes: 1, program: () => [], limits });

function keep(cluster: Cluster, { spec, admission }: Admitted): void {
  cluster.message(0, 1, { type: 'activate', spec, admission });
}

function close(cluster: Cluster, job: Admitted): void {
  const { job: id } = job.spec.body;
  const values = [committed(job, closeOf(job, { outcome: 'failed' }))];
  cluster.message(0, 1, { type: 'commit', job: id, values });
}

const update = (cluster: Cluster, spec: Signed<'spec'>, from = 7) =>
  cluster.message(0, from, { type: 'update', job: spec.body.job, spec, fallback: null });

const acknowledged = (cluster: Cluster): number => cluster.messages('command-ack').length;

describe('an admission', () => {
  it('is of the first version: that a later one is one, nobody has decided', () => {
    const first = specOf(jobWith());
    const second = nextSpec(first, jobWith({ Count: 2 }));
    const fifth = specOf(jobWith(), { version: 5 });
    for (const [spec, admission] of [
      [second, admissionOf(first, [1, 0, 2])],
      [fifth, admissionOf(fifth, [1, 0, 2], { version: 5 })],
    ] as const) {
      const cluster = keeper();
      const effects = cluster.message(0, 7, { type: 'admit', spec, admission });
      assert.deepEqual(refusals(effects), ['contradiction']);
      assert.equal(cluster.machine(0).sizes()['pending'], 0);
    }
  });
});

describe('a version that the owner wants of a job that is over', () => {
  it('finds no place where as many jobs live as may, like a new job', () => {
    const cluster = keeper({ jobsMax: 4 });
    const jobs = [0, 1, 2, 3, 4, 5].map((n) => jobOf(n));
    for (const job of jobs) {
      keep(cluster, job);
      close(cluster, job);
    }
    for (const { spec } of jobs) update(cluster, nextSpec(spec, jobWith({ Count: 2 })));
    // One owner has half of them.
    assert.equal(acknowledged(cluster), 2);
    const { kept, warm } = cluster.machine(0).sizes();
    assert.equal(Number(kept) - Number(warm), 2);
  });

  it('finds none either when its keepers have decided it, or propose to', () => {
    const cluster = keeper({ jobsMax: 4 });
    const jobs = [0, 1, 2, 3, 4, 5].map((n) => jobOf(n));
    for (const job of jobs) {
      keep(cluster, job);
      close(cluster, job);
    }
    for (const { spec, epoch } of jobs) {
      const { job } = spec.body;
      const next = suite.envelopeOf(nextSpec(spec, jobWith({ Count: 2 })));
      const body = { job, version: 2, spec: next, fallback: null, message: '' };
      const value = suiteOf(1).seal('version', body, at(5), 'node');
      const version = certify(value, 'version/2', [1, 2], epoch);
      const values = [{ slot: 'version/2', value }] as const;
      cluster.message(0, 1, { type: 'propose', job, epoch, values, states: [], commands: [] });
      cluster.message(0, 1, { type: 'commit', job, values: [version] });
      cluster.message(0, 7, { type: 'version', job, version });
    }
    const { kept, warm } = cluster.machine(0).sizes();
    assert.equal(Number(kept) - Number(warm), 2);
  });

  it('keeps it from being over only as long as it may be voted for', () => {
    const cluster = keeper();
    const job = jobOf(1);
    keep(cluster, job);
    close(cluster, job);
    const { warm } = cluster.machine(0).sizes();
    assert.equal(warm, 1);
    update(cluster, nextSpec(job.spec, jobWith({ Count: 2 }), { notAfter: WALL + 5_000 }));
    assert.equal(cluster.machine(0).sizes()['warm'], 0);
    cluster.advance(60_000);
    assert.equal(cluster.job(0).state, 'Failed');
    assert.equal(cluster.machine(0).sizes()['shelf'], 1);
    cluster.restart(0);
    assert.equal(cluster.machine(0).sizes()['shelf'], 1);
  });
});

describe('the version to go back to', () => {
  it('does not begin a job anew that its owner has stopped meanwhile', () => {
    const service = (V: string): Job => jobWith({ Type: 'service' }, { Env: { V } });
    const cluster = keeper();
    const job = jobOf(1, service('1'));
    const { job: id } = job.spec.body;
    const second = nextSpec(job.spec, service('2'));
    const follows = { of: second.id, how: 'rollback', reason: '' } as const;
    const third = nextSpec(second, service('1'), { follows });
    const versionOf = (spec: Signed<'spec'>, fallback: Signed<'spec'> | null) => {
      const sealed = fallback === null ? null : suite.envelopeOf(fallback);
      const of = { spec: suite.envelopeOf(spec), fallback: sealed, message: '' };
      const { version } = spec.body;
      return suiteOf(1).seal('version', { job: id, version, ...of }, at(3), 'node');
    };
    const next = versionOf(second, third);
    const end = closeOf(job, { outcome: 'stopped', version: 2 });
    keep(cluster, job);
    const propose = (): number => {
      const back = versionOf(third, null);
      const values = [{ slot: slotOf(back), value: back }];
      const about = { job: id, epoch: job.epoch, values, states: [], commands: [] };
      cluster.message(0, 1, { type: 'propose', ...about });
      return cluster.messages('voted').length;
    };
    const commit = (value: CertifiedValue): void =>
      void cluster.message(0, 1, { type: 'commit', job: id, values: [value] });
    commit(certify(next, slotOf(next), [1, 0, 2], job.epoch));
    commit(committed(job, end));
    assert.equal(propose(), 0);
    assert.equal(cluster.job(0).state, 'Stopped');
  });
});

describe('a version that nobody signed', () => {
  it('is not passed on by a node that keeps the job no more', () => {
    const cluster = keeper();
    const job = jobOf(1);
    const { job: id } = job.spec.body;
    keep(cluster, job);
    const keepersOf = (nodes: readonly number[]) =>
      nodes.map((index) => ({ node: idOf(index), store: storeOf(index) }));
    const change = (
      minor: number,
      former: readonly number[],
      voters: readonly number[],
    ): Certified<'config'> => {
      const config = { major: 0, minor };
      const body = { job: id, config, keepers: keepersOf([1, 3, 2]), former: keepersOf(former) };
      const record = suiteOf(1).seal('config', body, at(5), 'node');
      const before = { config: { major: 0, minor: minor - 1 }, number: 0, leader: idOf(1) };
      return certify(record, slotOf(record), voters, before);
    };
    const values = [change(1, [1, 0, 2], [1, 2]), change(2, [], [1, 2])];
    cluster.message(0, 1, { type: 'commit', job: id, values });
    const good = nextSpec(job.spec, jobWith({ Count: 2 }));
    const other = nextSpec(job.spec, jobWith({ Count: 3 }));
    assert.deepEqual(refusals(update(cluster, { ...other, sig: good.sig })), ['bad-signature']);
    assert.equal(cluster.messages('update').length, 0);
    update(cluster, good);
    assert.equal(cluster.messages('update').length, 3);
  });
});

describe('versions of one job', () => {
  it('are as many as there are slots, and no keeper waits for another', () => {
    const follows = { of: suite.hash('before') as never, how: 'update', reason: '' } as const;
    const last = specOf(jobWith(), { version: VERSIONS_MAX, follows });
    const beyond = { spec: nextSpec(last, jobWith()), fallback: null };
    assert.deepEqual(checkWanted(suite, last, beyond, WALL), { code: 'over-limit', fault: false });
    const before = specOf(jobWith(), { version: VERSIONS_MAX - 1, follows });
    const wanted = { spec: nextSpec(before, jobWith()), fallback: null };
    assert.equal(checkWanted(suite, before, wanted, WALL), 'good');
  });
});
