/** What `doctor` finds about the keepers of jobs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keeperFindings } from '../../../src/node/doctor.ts';
import { Cluster, DONE } from '../core/cluster.ts';
import { idOf, jobWith } from '../core/fixtures.ts';

const findings = (cluster: Cluster, missed: readonly number[] = []) =>
  keeperFindings({ machine: cluster.machine(0), host: { missed: () => missed.map(idOf) } }).map(
    ({ level, detail }) => `${level}: ${detail}`,
  );

test('jobs with fewer keepers than there could be are warned of, and those that are over are not', () => {
  const cluster = new Cluster({ nodes: 3, program: () => [{ type: 'phase', phase: 'running' }] });
  for (const node of [1, 2]) cluster.crash(node);
  cluster.advance(90_000);
  for (const nonce of ['a', 'b']) cluster.submit(0, jobWith(), nonce.repeat(32));
  cluster.advance(1_000);
  const [now, kept] = findings(cluster);
  assert.match(now ?? '', /^warning: a job submitted now is kept by 1 .* 3 /);
  assert.match(kept ?? '', /^warning: 2 of the 2 jobs .* fewer keepers than the 3 .* j-\S+ has 1$/);
  const [{ order } = assert.fail()] = cluster.effects('run');
  cluster.report(0, order.execution, DONE);
  for (const node of [1, 2]) cluster.restart(node);
  cluster.advance(1_000);
  const [better, left] = findings(cluster);
  assert.match(better ?? '', /^ok: a job submitted now is kept by 3 /);
  assert.match(left ?? '', /^warning: 1 of the 1 jobs /);
});

test('members of before that are not there yet count as those that there could be', () => {
  const cluster = new Cluster({ nodes: 1 });
  assert.deepEqual(findings(cluster), ['ok: a job submitted now is kept by 1 of the peers here']);
  assert.match(findings(cluster, [1, 2])[0] ?? '', /^warning: .* kept by 1 .* 3 /);
});
