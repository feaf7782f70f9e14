/** What runs and what is held never exceed what a node has, whatever it is asked (invariant I9). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { fits, plus } from '../../../../src/core/placing/resources.ts';
import type { Resources } from '../../../../src/job/model.ts';
import { Cluster, DONE } from '../cluster.ts';
import type { Admitted } from '../fixtures.ts';
import { admitted, assignOf, committed, idOf, jobWith } from '../fixtures.ts';

/** Jobs of several sizes; nodes 1, 2 and 3 keep them, node 0 is asked to run them. */
const jobs: readonly Admitted[] = [500, 1_000, 1_500, 2_500, 4_000].map((cpuMillis, index) => {
  const resources: Resources = {
    cpuMillis,
    memoryBytes: 100_000_000 + 1_000_000_000 * index,
    diskBytes: 0,
    gpus: 0,
  };
  return admitted(jobWith({ Count: 8 }, { resources }), [1, 2, 3], {
    nonce: String(index).repeat(32),
  });
});

type Step = readonly [action: 'invite' | 'assign' | 'end' | 'wait', job: number, count: number];
const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.tuple(
    fc.constantFrom('invite', 'assign', 'end', 'wait'),
    fc.nat(jobs.length - 1),
    fc.integer({ min: 1, max: 4 }),
  ),
  { maxLength: 40 },
);

function perform(
  cluster: Cluster,
  [action, index, count]: Step,
  attempts: Map<Admitted, number>,
  from = jobs,
): void {
  const job = from[index] ?? assert.fail('a job');
  const { spec, admission } = job;
  const about = { job: spec.body.job, version: 1, leader: idOf(1), admission, grant: null };
  switch (action) {
    case 'invite':
      cluster.message(0, 1, {
        type: 'invite',
        announcement: { ...about, round: 0, need: count, spec, notAgain: [] },
      });
      return;
    case 'assign': {
      const first = attempts.get(job) ?? 0;
      attempts.set(job, first + count);
      const assigns = Array.from({ length: count }, (_, n) =>
        committed(job, assignOf(job, { node: 0, attempt: first + n })),
      );
      cluster.message(0, 1, { type: 'assign', spec, admission, grant: null, assigns, holders: [] });
      return;
    }
    case 'end': {
      const running = cluster
        .machine(0)
        .inspect()
        .executions.filter(({ phase }) => phase === 'received');
      const own = running[index % Math.max(1, running.length)];
      if (own !== undefined) cluster.report(0, own.execution, DONE);
      return;
    }
    case 'wait':
      cluster.advance(count * 3_000);
  }
}

describe('a node', () => {
  it('reserves what the process of an engine takes beside what its job asks for', () => {
    const none = jobWith().Task.resources;
    const small = admitted(
      jobWith({ Count: 12 }, { resources: { ...none, cpuMillis: 10, memoryBytes: 1_000_000 } }),
      [1, 2, 3],
    );
    const slotsOf = (overhead: number): number | undefined => {
      const profile = () => ({
        // A leader that never ran anything here may have half of it held: a gigabyte.
        capacity: { ...none, memoryBytes: 2_000_000_000 },
        overheads: { docker: overhead },
      });
      const cluster = new Cluster({ nodes: 1, program: () => [], profile });
      perform(cluster, ['invite', 0, 12], new Map(), [small]);
      const { held } = cluster.machine(0).inspect();
      const executions = cluster.messages('bid')[0]?.message.executions;
      assert.equal(held.memoryBytes, (executions ?? 0) * (1_000_000 + overhead));
      return executions;
    };
    assert.equal(slotsOf(0), 12);
    assert.equal(slotsOf(99_000_000), 10);
  });

  it('never promises more than it has, and bids with what is really free', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const profile = () => ({ overheads: { docker: 700_000_000 } });
        const cluster = new Cluster({ nodes: 1, program: () => [], profile });
        const attempts = new Map<Admitted, number>();
        for (const step of list) {
          perform(cluster, step, attempts);
          const { reserved, held, capacity } = cluster.machine(0).inspect();
          assert.ok(fits(plus(reserved, held), capacity), JSON.stringify({ step, reserved, held }));
        }
        for (const { message } of cluster.messages('bid')) {
          assert.ok(message.executions >= 1);
          assert.ok(fits(message.free, message.capacity));
        }
      }),
      { numRuns: 60 },
    );
  });

  it('has everything free again when all ended and no bid stands', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const cluster = new Cluster({ nodes: 1, program: () => [] });
        const attempts = new Map<Admitted, number>();
        for (const step of list) perform(cluster, step, attempts);
        for (const { execution, phase } of cluster.machine(0).inspect().executions) {
          if (phase === 'received') cluster.report(0, execution, DONE);
        }
        // A job it had no room for is bid for when the hold of another runs out, one after the other.
        cluster.advance(11_000 * jobs.length);
        const { reserved, held } = cluster.machine(0).inspect();
        assert.deepEqual([reserved.cpuMillis, held.cpuMillis], [0, 0]);
      }),
      { numRuns: 30 },
    );
  });
});
