/** When a leader may say that no node of the mesh can run a job whose `QueueTimeout` is 0. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AdvertBody, Signed } from '../../../../src/core/record/records.ts';
import { Cluster } from '../cluster.ts';
import { admitted, advertOf, idOf, jobWith, stateOf } from '../fixtures.ts';
import type { Admitted } from '../fixtures.ts';

const job = admitted(jobWith(), [0]);
const id = job.spec.body.job;
const able = {
  engines: ['docker'],
  publishers: ['ipfs'],
  sources: ['ipfs'],
  capacity: { cpuMillis: 4_000, memoryBytes: 8e9, diskBytes: 1e12, gpus: 0 },
};

const BROKEN = {
  type: 'failed',
  failure: { code: 'engine-broken', class: 'node', message: 'It does not work here.' },
  output: null,
  usage: null,
} as const;

/** Node 0 leads and cannot run it; 5 has told that it is there, and never answers. */
function waiting(says: Partial<AdvertBody>, connected = true, of = job): Cluster {
  const cluster = new Cluster({ nodes: 1, profile: () => ({ engines: {} }) });
  cluster.advance(60_000);
  const advert = advertOf(5, { ...able, ...says });
  if (connected) cluster.input(0, { type: 'peer-connected', node: idOf(5) });
  if (connected) cluster.message(0, 5, { type: 'advert', advert });
  else cluster.input(0, { type: 'gossip', from: idOf(6), gossip: { type: 'advert', advert } });
  cluster.message(0, 1, { type: 'activate', spec: of.spec, admission: of.admission });
  return cluster;
}

/** Node 5 offers to run one part of it. */
function offer(cluster: Cluster, { spec }: Admitted): void {
  const bid = { type: 'bid', job: spec.body.job, version: 1, round: 0 } as const;
  const free = able.capacity;
  cluster.message(0, 5, { ...bid, free, capacity: free, executions: 1, running: 0, locality: 0 });
}

/** What node 5 was given last. */
const assigned = (cluster: Cluster): Signed<'assign'> =>
  cluster.messages('assign').at(-1)?.message.assigns[0]?.record ?? assert.fail('an assign');

/** As long as the job waits, the other node shows that it lives. */
function after(cluster: Cluster, seconds: number): string {
  for (let second = 0; second < seconds; second += 1) {
    cluster.advance(1_000);
    const { nonce } = cluster.messages('ping').at(-1)?.message ?? { nonce: 0 };
    cluster.message(0, 5, { type: 'pong', nonce });
  }
  const records = cluster.job(0).records.committed.map((value) => value.record);
  const close = records.find((record) => record.type === 'close');
  return close?.body.code ?? cluster.job(0).state;
}

describe('a job with QueueTimeout 0 that nobody who answered can run', () => {
  it('waits for a node that has not answered and could run it by what it says of itself', () => {
    assert.equal(after(waiting({}), 10), 'Queued');
    assert.equal(after(waiting({}, false), 10), 'Queued', 'one known by hearsay, too');
  });

  it('ends at once when what the others say of themselves rules them out', () => {
    const cases: Readonly<Record<string, Partial<AdvertBody>>> = {
      engine: { engines: ['wasm'] },
      size: { capacity: { ...able.capacity, memoryBytes: 1 } },
    };
    for (const [what, says] of Object.entries(cases))
      assert.equal(after(waiting(says), 4), 'not-enough-nodes', what);
  });

  it('ends once everybody has answered', () => {
    const cluster = waiting({});
    const refusals = [{ code: 'owner-not-allowed' }] as const;
    cluster.message(0, 5, { type: 'decline', job: id, version: 1, round: 0, refusals });
    assert.equal(after(cluster, 4), 'not-enough-nodes');
  });

  it('waits while a node runs another part of it: that one could run this, too', () => {
    const two = admitted(jobWith({ Count: 2 }), [0]);
    const cluster = waiting({}, true, two);
    offer(cluster, two);
    cluster.advance(2_000);
    const { execution, job } = assigned(cluster).body;
    const goesOn = (): void => {
      cluster.message(0, 5, { type: 'started', job, executions: [execution] });
    };
    for (let second = 0; second < 90; second += 10) {
      goesOn();
      assert.equal(after(cluster, 10), 'Running', `after ${second} s`);
    }
  });

  it('waits for its leader itself, which failed it twice and offers again in the third round only', () => {
    const two = admitted(jobWith({ Count: 2 }), [0]);
    const cluster = new Cluster({ nodes: 1, program: () => [BROKEN] });
    cluster.advance(60_000);
    cluster.message(0, 1, { type: 'activate', spec: two.spec, admission: two.admission });
    const refusals = [{ code: 'owner-not-allowed' }] as const;
    const about = { job: two.spec.body.job, version: 1 };
    for (let second = 0; second < 20; second += 1) {
      cluster.advance(1_000);
      cluster.message(0, 5, { type: 'decline', ...about, round: 0, refusals });
    }
    assert.equal(after(cluster, 60), 'attempts-exhausted');
  });

  it('waits for one whose offer was taken just now, however long it waits already', () => {
    const three = admitted(jobWith({ Count: 3 }), [0]);
    const cluster = waiting({}, true, three);
    offer(cluster, three);
    cluster.advance(2_000);
    const assign = assigned(cluster);
    for (let second = 0; second < 90; second += 10) {
      const { execution } = assign.body;
      cluster.message(0, 5, { type: 'started', job: assign.body.job, executions: [execution] });
      after(cluster, 10);
    }
    offer(cluster, three);
    cluster.advance(2_000);
    for (const failed of [assign, assigned(cluster)]) {
      const state = stateOf(failed, 5, { phase: 'failed', sequence: 3, failure: BROKEN.failure });
      cluster.message(0, 5, { type: 'states', states: [state] });
    }
    assert.equal(after(cluster, 30), 'Running');
    assert.equal(after(cluster, 60), 'not-enough-nodes', 'it never answers again');
  });

  it('asks a busy one itself when the rounds do not reach it: it may have room for long', () => {
    const refusals = [{ code: 'busy', resource: 'cpu', wanted: 1_000, free: 0 }] as const;
    const cluster = waiting({});
    cluster.message(0, 5, { type: 'decline', job: id, version: 1, round: 0, refusals });
    const mark = cluster.sent.length;
    assert.equal(after(cluster, 120), 'Queued');
    const asked = cluster.sent.slice(mark).filter(({ message }) => message.type === 'invite');
    assert.ok(
      asked.length >= 5 && asked.every(({ to }) => to === idOf(5)),
      `${asked.length} times`,
    );
  });

  it('waits for one that was there a moment ago, and not for ever', () => {
    const cluster = waiting({});
    cluster.input(0, { type: 'peer-disconnected', node: idOf(5) });
    cluster.advance(30_000);
    assert.equal(cluster.job(0).state, 'Queued', 'it may be back');
    cluster.advance(60_000);
    assert.equal(after(cluster, 0), 'not-enough-nodes');
  });

  it('does not wait for ever for one who never answers', () => {
    assert.equal(after(waiting({}), 90), 'not-enough-nodes');
  });

  it('waits for a busy one while it can be reached, and not for ever once it is gone', () => {
    const refusals = [{ code: 'busy', resource: 'cpu', wanted: 1_000, free: 0 }] as const;
    const cluster = waiting({});
    cluster.message(0, 5, { type: 'decline', job: id, version: 1, round: 0, refusals });
    assert.equal(after(cluster, 600), 'Queued', 'it is connected');
    cluster.input(0, { type: 'peer-disconnected', node: idOf(5) });
    cluster.advance(15_000);
    assert.equal(cluster.job(0).state, 'Queued', 'it may be back');
    cluster.advance(105_000);
    assert.equal(after(cluster, 0), 'not-enough-nodes');
  });
});
