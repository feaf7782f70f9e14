import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createMetrics } from '../../../src/lib/metrics.ts';

it('two nodes in one process count apart, and gauges are read at each scrape', async () => {
  const [left, right] = [createMetrics(false), createMetrics(false)];
  let length = 3;
  for (const metrics of [left, right])
    metrics.gauge('shoal_queue_length', 'items waiting', () => length);
  const dropped = left.counter('shoal_dropped_total', 'items dropped', ['why']);
  right.gaugeBy('shoal_jobs', 'jobs by state', 'state', () =>
    length === 3 ? { running: 2 } : { queued: 1 },
  );
  dropped.inc({ why: 'full' }, 4);
  assert.match(await left.text(), /shoal_dropped_total\{why="full"\} 4/);
  assert.ok(!(await right.text()).includes('shoal_dropped_total'));
  assert.match(await right.text(), /shoal_jobs\{state="running"\} 2/);
  length = 9;
  assert.match(await right.text(), /shoal_queue_length 9/);
  assert.ok(
    !(await right.text()).includes('running'),
    'a state that is gone is no longer reported',
  );
});
