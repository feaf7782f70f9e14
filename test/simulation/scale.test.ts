/** What a job costs a mesh does not grow with the mesh: counts only, no clock. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { measureScale } from './scale.ts';
import { scaleOptions } from './scale-report.ts';

describe('a mesh that is four times as large', () => {
  const [small, large] = [40, 160].map((nodes) => measureScale(scaleOptions(nodes, 60, 3)));
  assert.ok(small !== undefined && large !== undefined);

  it('runs all that it is given, and a job for every node on each', () => {
    for (const figures of [small, large]) {
      assert.equal(figures.jobsClosed, figures.jobs);
      assert.equal(figures.ranOn, figures.nodes);
    }
  });

  it('tells a node that has no part in a job of its beginning and its end, and nothing else', () => {
    for (const { heardPerJob } of [small, large]) assert.ok(heardPerJob <= 2, `${heardPerJob}`);
  });

  it('sends hardly more messages for a job', () => {
    const [few, many] = [small.messagesPerJob, large.messagesPerJob];
    assert.ok(many < 1.5 * few, `${few} and ${many} messages for each job`);
  });

  it('leads every job again whose leader died', () => {
    for (const { failoverMs } of [small, large]) {
      assert.ok(failoverMs.length > 5, `${failoverMs.length} leaders died`);
      assert.ok((failoverMs.at(-1) ?? Infinity) <= 20_000, failoverMs.join(' '));
    }
  });
});
