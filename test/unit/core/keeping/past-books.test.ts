/** What a keeper has of versions that are past has a bound: of one job, of one owner, in all; live, on the shelf, after a start. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Limits } from '../../../../src/core/contract/limits.ts';
import type { JobId } from '../../../../src/core/record/ids.ts';
import { versionSlot } from '../../../../src/core/record/slot.ts';
import type { Signed } from '../../../../src/core/record/records.ts';
import type { Job, JobType } from '../../../../src/job/model.ts';
import { Cluster } from '../cluster.ts';
import {
  admitted,
  assignOf,
  at,
  certify,
  closeOf,
  committed,
  jobWith,
  nextSpec,
  stateOf,
  suite,
  suiteOf,
} from '../fixtures.ts';
import type { Admitted } from '../fixtures.ts';
import type { Suite } from '../../../../src/core/record/suite.ts';

const TEXT_BYTES = 50_000;
/** The spec, what is around it, and the votes. */
const VERSION_BYTES = TEXT_BYTES + 4_000;
const VERSIONS = 12;

const specOf = (version: number, Type: JobType, textBytes: number): Job =>
  jobWith({ Type }, { Env: { TEXT: String(version).padStart(textBytes, '.') } });

interface Made {
  readonly type?: JobType;
  readonly textBytes?: number;
  /** Another owner than the usual one. */
  readonly owner?: number;
}

/** Node 0 keeps a job with 1 and 2, of which the former leads. */
class Kept {
  readonly cluster: Cluster;
  readonly job: Admitted;
  readonly textBytes: number;
  readonly signer: Suite;
  /** What was assigned in each version, the first one first. */
  readonly assigned: Signed<'assign'>[] = [];
  latest: Signed<'spec'>;

  constructor(cluster: Cluster, n: number, made: Made = {}) {
    const { type = 'batch', textBytes = TEXT_BYTES, owner = 0 } = made;
    this.cluster = cluster;
    this.textBytes = textBytes;
    this.signer = suiteOf(0, owner);
    const change = { nonce: n.toString(16).padStart(32, '0'), owner: this.signer.owner };
    this.job = admitted(specOf(1, type, textBytes), [1, 0, 2], change, this.signer);
    this.latest = this.job.spec;
    const { spec, admission } = this.job;
    cluster.message(0, 1, { type: 'activate', spec, admission });
  }

  get id(): JobId {
    return this.job.spec.body.job;
  }

  specOf(version: number): Job {
    return specOf(version, this.latest.body.spec.Type, this.textBytes);
  }

  versionOf(spec: Signed<'spec'>): Signed<'version'> {
    const { job, version } = spec.body;
    const sealed = { spec: suite.envelopeOf(spec), fallback: null, message: '' };
    return suiteOf(1).seal('version', { job, version, ...sealed }, at(3), 'node');
  }

  turn(to = VERSIONS): this {
    while (this.latest.body.version < to) {
      const spec = this.next();
      const slot = versionSlot(spec.body.version);
      const value = certify(this.versionOf(spec), slot, [1, 2], this.job.epoch);
      this.cluster.message(0, 1, { type: 'commit', job: this.id, values: [value] });
      this.latest = spec;
    }
    return this;
  }

  /** It is over, and after that on the shelf. */
  close(): this {
    const { version } = this.latest.body;
    const values = [committed(this.job, closeOf(this.job, { outcome: 'failed', version }))];
    this.cluster.message(0, 1, { type: 'commit', job: this.id, values });
    this.cluster.advance(60_000);
    return this;
  }

  next(): Signed<'spec'> {
    return nextSpec(this.latest, this.specOf(this.latest.body.version + 1), {}, this.signer);
  }

  /** Something of the current version runs. */
  run(): this {
    const assign = assignOf({ ...this.job, spec: this.latest }, { node: 3 });
    this.assigned.push(assign);
    this.cluster.message(0, 1, {
      type: 'commit',
      job: this.id,
      values: [committed(this.job, assign)],
    });
    return this;
  }

  /** Versions that lie on the disk. */
  get versions(): readonly number[] {
    return this.cluster
      .store(0)
      .restoreJob(this.id)
      .records.flatMap(({ value }) =>
        value.record.type === 'version' ? [value.record.body.version] : [],
      )
      .sort((a, b) => a - b);
  }

  /** Keys of its rows on the disk that begin so. */
  rows(prefix: string): readonly string[] {
    const { records } = this.cluster.store(0).restoreJob(this.id);
    return records.map(({ key }) => key).filter((key) => key.startsWith(prefix));
  }

  /** Its leader brings the next version. */
  propose(): void {
    const value = this.versionOf(this.next());
    const { epoch } = this.job;
    const values = [{ slot: versionSlot(value.body.version), value }];
    const support = { states: [], commands: [] };
    this.cluster.message(0, 1, { type: 'propose', job: this.id, epoch, values, ...support });
  }

  update(spec = this.next()) {
    return this.cluster.message(0, 7, { type: 'update', job: this.id, spec, fallback: null });
  }
}

const keeper = (limits: Partial<Limits>): Cluster =>
  new Cluster({ nodes: 1, program: () => [], limits });
const all = Array.from({ length: VERSIONS - 1 }, (_, at) => at + 2);

describe('versions that are past', () => {
  it('of one job leave the oldest out when they are too large together', () => {
    const cluster = keeper({ pastJobMaxBytes: 3 * VERSION_BYTES });
    const kept = new Kept(cluster, 1).turn();
    assert.deepEqual(kept.versions, [9, 10, 11, 12]);
    cluster.restart(0);
    kept.turn(VERSIONS + 1);
    assert.deepEqual(kept.versions, [10, 11, 12, 13]);
  });

  it('of one owner make room where nothing has changed for longest, on the shelf and after a start, too', () => {
    const cluster = keeper({ pastOwnerMaxBytes: 25 * VERSION_BYTES });
    const first = new Kept(cluster, 1).turn().close();
    const second = new Kept(cluster, 2).turn().close();
    assert.deepEqual([first.versions, second.versions], [all, all]);
    assert.equal(cluster.machine(0).sizes()['kept'], 0);
    cluster.restart(0);
    const later = new Kept(cluster, 3).turn();
    assert.deepEqual(later.versions, all);
    assert.deepEqual(second.versions, all);
    assert.deepEqual(first.versions, [VERSIONS], 'the last one is what it is');
    assert.equal(cluster.machine(0).sizes()['past'], 2);
    const onShelf = cluster
      .store(0)
      .rows('shelved')
      .filter(({ value }) => value?.past !== undefined);
    assert.deepEqual(
      onShelf.map(({ job }) => job),
      [second.id],
    );
  });

  it('of all owners make room, whoever has more', () => {
    const cluster = keeper({ pastMaxBytes: 15 * VERSION_BYTES });
    const [first, second] = [1, 2].map((n) => new Kept(cluster, n).turn());
    assert.deepEqual(first?.versions, [VERSIONS]);
    assert.deepEqual(second?.versions, all);
  });

  it('that still run keep a further one away, and its owner is told', () => {
    const cluster = keeper({ pastOwnerMaxBytes: 5 * VERSION_BYTES });
    const kept = new Kept(cluster, 1, { type: 'service' });
    const few = new Kept(cluster, 2, { type: 'service' });
    for (let version = 1; version < VERSIONS; version += 1) kept.run().turn(version + 1);
    assert.deepEqual(kept.versions, all);
    kept.update();
    const [told] = cluster.messages('command-refused');
    assert.equal(told?.message.refusal.code, 'versions-full');
    assert.equal(cluster.messages('command-ack').length, 0);
    few.update();
    assert.equal(cluster.messages('command-refused').length, 2, 'of each job of this owner');
  });

  it('of jobs that are over make room, whatever was last heard of what ran', () => {
    const cluster = keeper({ pastOwnerMaxBytes: 5 * VERSION_BYTES });
    const over = [1, 2].map((n) => {
      const kept = new Kept(cluster, n, { type: 'service' });
      for (let version = 1; version < 5; version += 1) kept.run().turn(version + 1);
      return kept.close();
    });
    const live = new Kept(cluster, 3).turn(4);
    live.update();
    assert.equal(cluster.messages('command-refused').length, 0);
    assert.deepEqual(over[0]?.versions, [5]);
  });

  it('of more jobs than are in memory make room a few at a time, until there is enough', () => {
    const cluster = keeper({ pastOwnerMaxBytes: 400_000 });
    const many = Array.from({ length: 140 }, (_, n) =>
      new Kept(cluster, n, { type: 'service', textBytes: 1 }).run().turn(2).close(),
    );
    const left = (): number => many.filter((kept) => kept.rows('assign/').length > 0).length;
    assert.equal(left(), 140);
    new Kept(cluster, 200).turn(3);
    assert.equal(left(), 132);
    cluster.advance(60_000);
    const settled = left();
    assert.ok(settled < 130 && settled > 100, `${settled} are left`);
    cluster.advance(60_000);
    assert.equal(left(), settled);
  });

  it('are left in peace when all of them are needed', () => {
    const timers = ([pastOwnerMaxBytes]: readonly number[]): number | undefined => {
      const cluster = keeper(pastOwnerMaxBytes === undefined ? {} : { pastOwnerMaxBytes });
      for (let n = 1; n <= 10; n += 1) {
        const kept = new Kept(cluster, n, { type: 'service', textBytes: 1 });
        kept.run().turn(2).run().turn(3);
      }
      cluster.advance(60_000);
      return cluster.machine(0).sizes()['timers'];
    };
    assert.equal(timers([1]), timers([]));
  });

  it('grow as long as their executions tell of themselves, and are counted with that', () => {
    const cluster = keeper({ pastJobMaxBytes: 200_000 });
    const kept = new Kept(cluster, 1, { type: 'service', textBytes: 1 });
    for (let version = 1; version < VERSIONS; version += 1) kept.run().turn(version + 1);
    const text = '€'.repeat(2_048);
    const output = { stdout: text, stderr: text, stdoutTruncated: true, stderrTruncated: true };
    const failure = { code: 'crashed', class: 'node', message: text } as const;
    const end = { phase: 'failed', output, failure } as const;
    for (const assign of kept.assigned) {
      const states = [stateOf(assign, 3, end)];
      cluster.message(0, 3, { type: 'states', states });
    }
    const rows = kept.rows('state/').length;
    assert.ok(rows > 5 && rows <= 10, `${rows} of ${kept.assigned.length}`);
  });

  it('refuse no version that was taken up already', () => {
    const cluster = keeper({ pastOwnerMaxBytes: 2 * VERSION_BYTES });
    const kept = new Kept(cluster, 1);
    const other = new Kept(cluster, 2, { type: 'service' });
    kept.update();
    for (let version = 1; version < 5; version += 1) other.run().turn(version + 1);
    kept.update();
    assert.equal(cluster.messages('command-ack').length, 2);
    other.update();
    assert.equal(cluster.messages('command-refused').length, 1);
  });

  it('of a few owners that have filled all there is keep no other from another version', () => {
    const cluster = keeper({ pastMaxBytes: 4 * VERSION_BYTES });
    const large = new Kept(cluster, 1, { type: 'service', owner: 1 });
    const small = new Kept(cluster, 2, { type: 'service', owner: 2 });
    for (let version = 1; version < 7; version += 1) large.run().turn(version + 1);
    small.run().turn(2);
    for (const kept of [large, small]) kept.update();
    assert.equal(cluster.messages('command-refused').length, 1);
    const [taken] = cluster.messages('command-ack');
    assert.equal(taken?.message.job, small.id);
  });

  it('have no room for what a leader proposes unasked either', () => {
    const cluster = keeper({ pastOwnerMaxBytes: 2 * VERSION_BYTES });
    const kept = new Kept(cluster, 1, { type: 'service' });
    const votes = () => cluster.messages('voted').length;
    kept.run().turn(2).run().propose();
    assert.equal(votes(), 1);
    for (let version = 2; version < 5; version += 1) kept.turn(version + 1).run();
    kept.propose();
    assert.equal(votes(), 1);
  });
});
