/** What a TotalTimeout and the order of adverts make of a clock that is set anew. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Cluster } from '../cluster.ts';
import { jobWith } from '../fixtures.ts';

const HOUR_MS = 3_600_000;

describe('the TotalTimeout of a job', () => {
  for (const [what, skewMs] of [
    ['ahead', HOUR_MS],
    ['back', -HOUR_MS],
  ] as const) {
    it(`counts what passed, though the clock of its keeper is an hour ${what} after a restart`, () => {
      const cluster = new Cluster({
        nodes: 1,
        program: () => [{ type: 'phase', phase: 'running' }],
      });
      const Timeouts = { ExecutionTimeout: 0, QueueTimeout: 0, TotalTimeout: 240 };
      cluster.submit(0, jobWith({}, { Timeouts }));
      cluster.advance(125_000);
      cluster.crash(0);
      cluster.skewMs = () => skewMs;
      cluster.restart(0);
      cluster.advance(100_000);
      assert.equal(cluster.job(0).state, 'Running');
      // A minute before the restart may be forgotten.
      cluster.advance(80_000);
      assert.equal(cluster.job(0).state, 'Failed');
      assert.deepEqual(
        cluster
          .store(0)
          .rows('counts')
          .filter(({ job }) => job !== ''),
        [],
      );
    });
  }
});

describe('the adverts of a node', () => {
  it('rise over restarts, whatever its clock was set to', () => {
    const cluster = new Cluster({ nodes: 2 });
    const sequences = (): readonly number[] =>
      cluster
        .effects('gossip', 0)
        .flatMap(({ gossip }) => (gossip.type === 'advert' ? [gossip.advert.body.sequence] : []));
    for (const skewMs of [24 * HOUR_MS, 0, -HOUR_MS, HOUR_MS]) {
      cluster.crash(0);
      cluster.skewMs = (node) => (node === 0 ? skewMs : 0);
      cluster.restart(0);
      cluster.advance(60_000);
    }
    const all = sequences();
    assert.ok(all.length > 4);
    assert.deepEqual(
      all,
      [...new Set(all)].sort((one, other) => one - other),
    );
  });

  it('cost a write to the disk only now and then', () => {
    const cluster = new Cluster({ nodes: 2 });
    cluster.steps.length = 0;
    cluster.advance(10 * 60_000);
    assert.deepEqual(cluster.effects('persist'), []);
  });
});
