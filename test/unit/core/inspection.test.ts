/** Looking at a machine changes nothing: what it does next is the same as if nobody had looked. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Cluster } from './cluster.ts';
import { jobWith } from './fixtures.ts';

/** A job that waits, one that runs and one that is over, in a mesh of four of whom one dies. */
function life(look: (cluster: Cluster) => void): Cluster {
  const program = () => [{ type: 'phase', phase: 'running' }] as const;
  const cluster = new Cluster({ nodes: 4, program });
  const Timeouts = { ExecutionTimeout: 0, QueueTimeout: 600, TotalTimeout: 0 };
  const resources = { cpuMillis: 1e9, memoryBytes: 1, diskBytes: 0, gpus: 0 };
  cluster.submit(0, jobWith({}, { Timeouts, resources }), '1'.repeat(32));
  cluster.submit(1, jobWith(), '2'.repeat(32));
  cluster.submit(2, jobWith({ Constraints: [{ Key: 'x', Operator: 'exists', Values: [] }] }));
  for (let second = 0; second < 90; second += 1) {
    if (second === 30) cluster.crash(3);
    if (second === 60) cluster.restart(3);
    // Between two inputs of one moment, too, when only the order of the records tells them apart.
    cluster.input(0, { type: 'disk', full: second % 2 === 0 });
    look(cluster);
    cluster.input(0, { type: 'disk', full: second % 2 !== 0 });
    cluster.advance(1_000);
  }
  return cluster;
}

describe('a machine', () => {
  it('does the same whether it is looked at or not', () => {
    const unseen = life(() => {});
    const seen = life((cluster) => {
      for (const node of [0, 1, 2, 3]) {
        const machine = cluster.machine(node);
        machine.inspect();
        machine.sightings();
        machine.sizes();
        machine.load();
        machine.nextWake();
      }
    });
    const told = (cluster: Cluster): readonly string[] =>
      cluster.steps.map((step) => JSON.stringify(step));
    const others = told(unseen);
    const at = told(seen).findIndex((step, index) => step !== others[index]);
    assert.deepEqual(seen.steps[at], unseen.steps[at]);
    assert.equal(seen.steps.length, unseen.steps.length);
  });
});
