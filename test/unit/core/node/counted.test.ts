/** What is kept for days is kept for as long as it should, whatever a wall clock is set to. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RunEvent } from '../../../../src/core/record/execution.ts';
import type { Limits } from '../../../../src/core/contract/limits.ts';
import { Cluster, DONE } from '../cluster.ts';
import { jobWith } from '../fixtures.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const PUBLISHED: readonly RunEvent[] = DONE.map((event) =>
  event.type === 'ended' ? { ...event, result: { cid: 'bafyresult', bytes: 9 } } : event,
);
const token = 'a'.repeat(32);

/** Three nodes brought a job with a result to its end; its spec is good for a day. */
function ended(limits: Partial<Limits> = {}) {
  const cluster = new Cluster({ nodes: 3, program: () => PUBLISHED, limits });
  cluster.submit(0, jobWith({}, { Publisher: { Type: 'ipfs', Params: {} } }), token);
  cluster.advance(30_000);
  return cluster;
}

type Clock = (cluster: Cluster, skewMs: number) => void;
const jumps: Readonly<Record<string, Clock>> = {
  'at a restart': (cluster, skewMs) => {
    for (const node of [0, 1, 2]) cluster.crash(node);
    cluster.skewMs = () => skewMs;
    for (const node of [0, 1, 2]) cluster.restart(node);
  },
  'within a process': (cluster, skewMs) => {
    cluster.skewMs = () => skewMs;
  },
};

const shelved = (cluster: Cluster): number => cluster.store(0).rows('shelved').length;
const entrusted = (cluster: Cluster): number =>
  [0, 1, 2].reduce((sum, node) => sum + cluster.store(node).rows('entrusted').length, 0);

for (const [when, jump] of Object.entries(jumps)) {
  for (const skewMs of [HOUR_MS, -HOUR_MS, 300 * DAY_MS, -300 * DAY_MS]) {
    const what = `when all clocks are set by ${skewMs / HOUR_MS} hours ${when}`;

    describe(what, () => {
      it('a job that is over stays known for a day, and is forgotten then', () => {
        const cluster = ended({ retentionMs: HOUR_MS });
        jump(cluster, skewMs);
        cluster.advance(DAY_MS - HOUR_MS / 2);
        assert.equal(shelved(cluster), 1);
        cluster.advance(HOUR_MS);
        assert.equal(shelved(cluster), 0);
      });

      it('a result is looked after as long as it shall be, and no longer', () => {
        const cluster = ended({ resultRetentionMs: 3 * HOUR_MS });
        assert.equal(entrusted(cluster), 2);
        jump(cluster, skewMs);
        cluster.advance(3 * HOUR_MS - 120_000);
        assert.equal(entrusted(cluster), 2);
        cluster.advance(240_000);
        assert.equal(entrusted(cluster), 0);
      });
    });
  }
}

describe('a job that is over', () => {
  it('does not run again when a clock was ahead for a while', () => {
    const cluster = ended({ retentionMs: HOUR_MS });
    const [spec, admission] = [
      cluster.messages('activate')[0]?.message.spec ?? assert.fail(),
      cluster.messages('activate')[0]?.message.admission ?? assert.fail(),
    ];
    const ran = cluster.effects('run').length;
    jumps['at a restart']?.(cluster, 3 * DAY_MS);
    cluster.advance(HOUR_MS);
    jumps['at a restart']?.(cluster, 0);
    for (const node of [0, 1, 2]) {
      cluster.message(node, 9, { type: 'admit', spec, admission: admission.record });
      cluster.message(node, 9, { type: 'activate', spec, admission });
    }
    cluster.advance(60_000);
    assert.equal(cluster.effects('run').length, ran);
  });

  it('stays known, and its result is looked after, when a node has lost what it counted', () => {
    const limits = { retentionMs: HOUR_MS, resultRetentionMs: 3 * HOUR_MS };
    const cluster = ended(limits);
    cluster.advance(2 * HOUR_MS);
    cluster.countedMs = () => 0;
    jumps['at a restart']?.(cluster, 0);
    cluster.advance(2 * HOUR_MS);
    assert.deepEqual([shelved(cluster), entrusted(cluster)], [1, 2]);
    cluster.advance(2 * HOUR_MS);
    assert.deepEqual([shelved(cluster), entrusted(cluster)], [1, 0]);
  });
});
