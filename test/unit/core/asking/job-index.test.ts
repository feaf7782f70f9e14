/** What a node remembers of jobs it does not keep: little, of each owner only so much, and only what is signed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asRequestId } from '../../../../src/core/record/ids.ts';
import type { ListedJob } from '../../../../src/core/contract/messages.ts';
import type { Signed } from '../../../../src/core/record/records.ts';
import { forge, ownerKey } from '../../../simulation/fast-suite.ts';
import { Cluster, refusals } from '../cluster.ts';
import { WALL, closeOf, admitted, committed, idOf, jobWith, specOf, suiteOf } from '../fixtures.ts';

function hear(cluster: Cluster, spec: Signed<'spec'>, job = spec.body.job, leader = idOf(9)) {
  const { admission } = admitted(jobWith(), [9]);
  const rest = { version: 1, admission, grant: null, round: 0, need: 1, notAgain: [] };
  return cluster.input(0, {
    type: 'gossip',
    from: leader,
    gossip: { type: 'announce', announcement: { job, leader, spec, ...rest } },
  });
}

/** The spec of job number `digit` of an owner. */
function spec(owner: number, digit: number, labels: Readonly<Record<string, string>> = {}) {
  const nonce = String(digit).padStart(32, '0');
  const name = `job ${owner}/${digit}`;
  return specOf(jobWith({ Name: name, Labels: labels }), { nonce }, suiteOf(0, owner));
}

function list(cluster: Cluster): readonly ListedJob[] {
  const request = asRequestId(`list ${cluster.steps.length}`);
  const query = { type: 'jobs', namespace: null, limit: 100_000 } as const;
  cluster.input(0, { type: 'query', request, query });
  const reply = cluster.reply(request);
  assert.ok(reply?.type === 'listed');
  return reply.jobs;
}

describe('the index of jobs', () => {
  it('takes no spec that its owner did not sign, or that is of another job, or expired', () => {
    const cluster = new Cluster({ nodes: 1 });
    const good = spec(5, 1);
    assert.ok(refusals(hear(cluster, forge(good, ownerKey(6)))).length > 0);
    assert.ok(refusals(hear(cluster, good, spec(5, 2).body.job)).length > 0);
    const over = specOf(jobWith(), { notAfter: WALL - 1 });
    assert.ok(refusals(hear(cluster, over)).length > 0);
    assert.deepEqual(list(cluster), []);
  });

  it('holds at most 2 KiB of a job, however large its spec is', () => {
    const cluster = new Cluster({ nodes: 1 });
    const labels = Object.fromEntries(
      Array.from({ length: 60 }, (_, n) => [`label-${n}`, 'x'.repeat(200)]),
    );
    hear(cluster, spec(5, 1, labels));
    const [job] = list(cluster);
    assert.ok(job);
    assert.ok(JSON.stringify(job).length <= 2_048, `${JSON.stringify(job).length} bytes`);
  });

  it('still asks who was named first, whomever others name for the job later', () => {
    const cluster = new Cluster({ nodes: 1 });
    const { body } = spec(5, 1);
    hear(cluster, spec(5, 1));
    for (let node = 20; node < 40; node += 1) hear(cluster, spec(5, 1), body.job, idOf(node));
    hear(cluster, spec(5, 1));
    for (let node = 40; node < 60; node += 1) hear(cluster, spec(5, 1), body.job, idOf(node));
    const query = { type: 'job', ref: body.job, namespace: 'default', from: 0 } as const;
    cluster.input(0, { type: 'query', request: asRequestId('one'), query });
    const asked = cluster.messages('find').map(({ to }) => to);
    assert.ok(asked.includes(idOf(9)));
    assert.ok(asked.includes(idOf(59)), 'and who was named last');
    assert.ok(asked.length <= 5);
  });

  it('believes no date in the future, so that nobody is first for ever', () => {
    const cluster = new Cluster({ nodes: 1 });
    const signer = suiteOf(0, 5);
    const { body } = spec(5, 1);
    const century = Date.UTC(2100, 0) as never;
    hear(cluster, signer.seal('spec', body, century, 'owner'));
    const [job] = list(cluster);
    assert.ok(job !== undefined && job.createdAt <= WALL + cluster.now + 60_000);
  });

  it('keeps the jobs of everybody when one owner announces without end', () => {
    const cluster = new Cluster({ nodes: 1 });
    hear(cluster, spec(0, 1));
    hear(cluster, spec(6, 1));
    for (let digit = 0; digit < 2_500; digit += 1) hear(cluster, spec(5, digit));
    const jobs = list(cluster);
    assert.equal(jobs.length, 2 + 2_000);
    assert.equal(jobs[0]?.name, 'job 0/1');
    assert.ok(jobs.some(({ name }) => name === 'job 6/1'));
    assert.ok(
      jobs.some(({ name }) => name === 'job 5/2499'),
      'its newest is there',
    );
  });

  it('holds 10,000 jobs at most, and never gives up an own one for those of many owners', () => {
    const cluster = new Cluster({ nodes: 1 });
    hear(cluster, spec(0, 1));
    for (let owner = 1; owner <= 10; owner += 1) {
      for (let digit = 0; digit < 1_100; digit += 1) hear(cluster, spec(owner, digit));
    }
    assert.equal(cluster.machine(0).sizes()['index'], 10_000);
    assert.equal(list(cluster)[0]?.name, 'job 0/1');
  });

  it('learns from gossip that a job is over only when it knows the job, and holds nothing else of it', () => {
    const cluster = new Cluster({ nodes: 1 });
    const job = admitted(jobWith(), [1, 2, 3]);
    const summary = { ...list(cluster)[0], job: job.spec.body.job } as never;
    const gossip = { type: 'closed', close: committed(job, closeOf(job)), summary } as const;
    cluster.input(0, { type: 'gossip', from: idOf(9), gossip });
    assert.deepEqual(list(cluster), []);
    hear(cluster, job.spec);
    cluster.input(0, { type: 'gossip', from: idOf(9), gossip });
    assert.equal(list(cluster)[0]?.state, 'Failed');
  });
});
