/** What a keeper has of versions that are past has a bound: of one job, of one owner, in all; live, on the shelf, after a start. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Limits } from '../../../../src/core/contract/limits.ts';
import type { JobId } from '../../../../src/core/record/ids.ts';
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
  suite,
  suiteOf,
} from '../fixtures.ts';
import type { Admitted } from '../fixtures.ts';

const TEXT_BYTES = 50_000;
/** The spec, what is around it, and the votes. */
const VERSION_BYTES = TEXT_BYTES + 4_000;
const VERSIONS = 12;

const specOf = (version: number, Type: JobType): Job =>
  jobWith({ Type }, { Env: { TEXT: String(version).padStart(TEXT_BYTES, '.') } });

/** Node 0 keeps a job with 1 and 2, of which the former leads. */
class Kept {
  readonly cluster: Cluster;
  readonly job: Admitted;
  latest: Signed<'spec'>;

  constructor(cluster: Cluster, n: number, type: JobType = 'batch') {
    this.cluster = cluster;
    const nonce = n.toString(16).padStart(32, '0');
    this.job = admitted(specOf(1, type), [1, 0, 2], { nonce });
    this.latest = this.job.spec;
    const { spec, admission } = this.job;
    cluster.message(0, 1, { type: 'activate', spec, admission });
  }

  get id(): JobId {
    return this.job.spec.body.job;
  }

  turn(to = VERSIONS): this {
    while (this.latest.body.version < to) {
      const version = this.latest.body.version + 1;
      const spec = nextSpec(this.latest, specOf(version, this.latest.body.spec.Type));
      const sealed = { spec: suite.envelopeOf(spec), fallback: null, message: '' };
      const body = { job: this.id, version, ...sealed };
      const record = suiteOf(1).seal('version', body, at(3), 'node');
      const value = certify(record, `version/${version}`, [1, 2], this.job.epoch);
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

  /** Something of the current version runs. */
  run(): this {
    const { body, hlc } = assignOf(this.job, { node: 3 });
    const { version } = this.latest.body;
    const assign = suiteOf(1).seal('assign', { ...body, version }, hlc, 'node');
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

  update() {
    const spec = nextSpec(this.latest, specOf(VERSIONS + 1, this.latest.body.spec.Type));
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
  });

  it('of all owners make room, whoever has more', () => {
    const cluster = keeper({ pastMaxBytes: 15 * VERSION_BYTES });
    const [first, second] = [1, 2].map((n) => new Kept(cluster, n).turn());
    assert.deepEqual(first?.versions, [VERSIONS]);
    assert.deepEqual(second?.versions, all);
  });

  it('that still run keep a further one away, and its owner is told', () => {
    const cluster = keeper({ pastOwnerMaxBytes: 5 * VERSION_BYTES });
    const kept = new Kept(cluster, 1, 'service');
    const few = new Kept(cluster, 2, 'service');
    for (let version = 1; version < VERSIONS; version += 1) kept.run().turn(version + 1);
    assert.deepEqual(kept.versions, all);
    kept.update();
    const [told] = cluster.messages('command-refused');
    assert.equal(told?.message.refusal.code, 'versions-full');
    assert.equal(cluster.messages('command-ack').length, 0);
    few.update();
    assert.equal(cluster.messages('command-refused').length, 2, 'of each job of this owner');
  });
});
