/** Whoever lets honest nodes hear different things of one job brings none of them into disrepute. */
import { firstConfiguration } from '../../../src/core/record/chain.ts';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { firstEpoch } from '../../../src/core/record/ballot.ts';
import type { Certified, Signed } from '../../../src/core/record/records.ts';
import { Cluster } from './cluster.ts';
import { admissionOf, certify, grantOf, idOf, jobWith, specOf } from './fixtures.ts';

const spec = specOf(jobWith());

/** The job of one owner as these nodes are to keep it, admitted by those of them that are hostile (7 to 9). */
function admitted(keepers: readonly number[]): Certified<'admission'> {
  const record = admissionOf(spec, keepers);
  const hostile = keepers.filter((index) => index >= 7);
  return certify(record, 'admission', hostile, firstEpoch(firstConfiguration(record.body)));
}

const world = (): Cluster => new Cluster({ nodes: 2, program: () => [] });
const activate = (cluster: Cluster, node: number, admission: Certified<'admission'>): void =>
  void cluster.message(node, 7, { type: 'activate', spec, admission });
const admit = (cluster: Cluster, node: number, admission: Signed<'admission'>): void =>
  void cluster.message(node, 7, { type: 'admit', spec, admission });

/** What honest nodes hold against each other, after some minutes. */
function grudges(cluster: Cluster): readonly string[] {
  cluster.advance(300_000);
  return cluster.steps.flatMap(({ node, effects }) =>
    effects
      .filter((effect) => effect.type === 'refuse')
      .filter(({ from, fault }) => fault && cluster.indexOf(from) >= 0)
      .map(({ from, code }) => `${node} of ${cluster.indexOf(from)}: ${code}`),
  );
}

describe('two honest nodes hold nothing against each other', () => {
  it('that were asked to keep one job with different keepers', () => {
    const cluster = world();
    admit(cluster, 0, admitted([7, 0, 1]).record);
    admit(cluster, 1, admitted([8, 0, 1]).record);
    assert.deepEqual(grudges(cluster), []);
    assert.ok(cluster.messages('admit').length > 0, 'they did speak of it');
  });

  it('of whom one believes that the other leads a job that it keeps with others', () => {
    const cluster = world();
    activate(cluster, 0, admitted([0, 7, 8]));
    activate(cluster, 1, admitted([0, 1, 7, 8, 9]));
    assert.deepEqual(grudges(cluster), []);
    assert.ok(cluster.messages('status-wanted').length > 0, 'one did ask the other');
  });

  it('of whom one asks for a job that the other keeps with others', () => {
    const cluster = world();
    activate(cluster, 0, admitted([0, 7, 8]));
    cluster.message(1, 9, { type: 'admit', spec, admission: admitted([0, 1, 9]).record });
    cluster.message(0, 1, { type: 'job-wanted', job: spec.body.job });
    assert.deepEqual(grudges(cluster), []);
  });

  it('of whom one leads a job that the other keeps under another leader', () => {
    const cluster = world();
    activate(cluster, 1, admitted([7, 1, 8]));
    activate(cluster, 0, admitted([0, 1, 7, 8, 9]));
    cluster.message(0, 7, { type: 'not-leading', jobs: [spec.body.job] });
    assert.deepEqual(grudges(cluster), []);
    assert.ok(cluster.messages('propose').length + cluster.messages('activate').length > 0);
  });

  it('of whom one has voted for other keepers than the other leads it with', () => {
    const cluster = world();
    admit(cluster, 1, admitted([7, 1, 8]).record);
    activate(cluster, 0, admitted([0, 1, 7, 8, 9]));
    assert.deepEqual(grudges(cluster), []);
    assert.ok(cluster.messages('activate').length > 0, 'one did hand it to the other');
  });

  it('of whom one was led to an epoch far above the one that the other knows', () => {
    const cluster = world();
    const admission = admitted([7, 0, 1, 8, 9]);
    for (const node of [0, 1]) activate(cluster, node, admission);
    const job = {
      spec,
      admission,
      keepers: [7],
      epoch: firstEpoch(firstConfiguration(admission.record.body)),
    };
    for (let number = 90_000; number <= 360_000; number += 90_000) {
      const grant = grantOf(job, { config: { major: 0, minor: 0 }, number, leader: idOf(7) }, 7);
      cluster.message(0, 7, { type: 'prepare', job: spec.body.job, grant });
    }
    for (const node of [0, 1])
      cluster.message(node, 7, { type: 'not-leading', jobs: [spec.body.job] });
    assert.deepEqual(grudges(cluster), []);
    assert.ok(cluster.messages('prepare').length > 0, 'they did stand for leader');
  });
});
