/** Daemons on real peers: on each that matches, now and later, and on no other. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();

/** 15 s are promised where a node joins or comes to match; here it is only a bound, on machines that do much else. */
const BEGUN_MS = 60_000;
const LABEL = ['--label', 'room=kitchen'];
const STAYS = { Milliseconds: 3_600_000 };

const daemon = (params: Parameters<typeof noop>[0]) =>
  noop(params, {
    job: {
      Type: 'daemon',
      Constraints: [{ Key: 'room', Operator: '=', Values: ['kitchen'] }],
    },
  });

/** Peers on which it runs, as this one tells it. */
const runsOn = async (peer: Peer, id: string): Promise<readonly string[]> =>
  (await mesh.executions(peer, id))
    .filter(({ Phase, ComputeState }) => Phase === 'running' && ComputeState.Message === '')
    .map(({ NodeID }) => NodeID)
    .sort();

const idsOf = (peers: readonly Peer[]): string =>
  peers
    .map(({ nodeId }) => nodeId)
    .sort()
    .join();

const runsJust = (peer: Peer, id: string, peers: readonly Peer[]): Promise<unknown> =>
  mesh.until(
    `it runs on ${peers.length} peers`,
    async () => (await runsOn(peer, id)).join() === idsOf(peers),
    BEGUN_MS,
  );

const label = (peer: Peer, ...labels: readonly string[]): Promise<string> =>
  mesh.ok(peer, ['node', 'label', ...labels]);

describe('four peers, of which two are in the kitchen', () => {
  let first: Peer;
  let cooks: readonly Peer[];
  let other: Peer;
  let id = '';
  before(async () => {
    first = await mesh.add();
    cooks = await Promise.all([1, 2].map(() => mesh.add({ flags: LABEL })));
    other = await mesh.add();
    await mesh.joined();
  });

  test('both run it, `job run` leaves it running, and it is shown with no number of replicas', async () => {
    const spec = JSON.stringify(daemon(STAYS));
    const printed = await mesh.ok(first, ['job', 'run', '-'], spec);
    assert.match(printed, /is running\. It ends when it is stopped/);
    id = /j-[0-9a-f-]{36}/.exec(printed)?.[0] ?? assert.fail(printed);
    await runsJust(first, id, cooks);
    const { Job } = await mesh.job(first, id);
    assert.deepEqual([Job.State.StateType, Job.Count], ['Running', 0]);
  });

  test('a peer that joins later runs it, too', async () => {
    const late = await mesh.add({ flags: LABEL });
    cooks = [...cooks, late];
    await runsJust(first, id, cooks);
  });

  test('a peer that gets the label begins it, and stops it when it loses that, also over a restart', async () => {
    await label(other, 'room=kitchen');
    await runsJust(first, id, [...cooks, other]);
    await label(other, 'room-');
    await runsJust(first, id, cooks);
    const resting = (await mesh.executions(first, id)).find(
      ({ NodeID }) => NodeID === other.nodeId,
    );
    assert.match(resting?.ComputeState.Message ?? '', /does not match the job any more/);
    await label(other, 'room=kitchen');
    await runsJust(first, id, [...cooks, other]);
    await other.kill();
    await other.start();
    await mesh.joined();
    assert.match(await label(other), /room=kitchen/);
    await runsJust(first, id, [...cooks, other]);
    assert.equal((await mesh.executions(first, id)).length, 4, 'each has one execution');
    await label(other, 'room-');
    await runsJust(first, id, cooks);
  });

  test('a peer that is killed keeps its place, and runs it again when it is back', async () => {
    const [cook = assert.fail()] = cooks;
    const before = (await mesh.executions(first, id)).find(({ NodeID }) => NodeID === cook.nodeId);
    await cook.kill();
    await cook.start();
    await mesh.joined();
    await runsJust(first, id, cooks);
    const after = (await mesh.executions(first, id)).find(({ NodeID }) => NodeID === cook.nodeId);
    assert.equal(after?.ID, before?.ID);
  });

  test('a stop ends it everywhere, and no peer that comes later begins it', async () => {
    await mesh.ok(first, ['job', 'stop', id]);
    await mesh.reaches(first, id, 'Stopped');
    const late = await mesh.add({ flags: LABEL });
    await mesh.joined();
    await mesh.until('nothing runs any more', async () =>
      (await Promise.all(mesh.peers.map((peer) => mesh.job(peer, id)))).every(({ Executions }) =>
        (Executions?.Items ?? []).every(({ DesiredState }) => DesiredState.StateType === 2),
      ),
    );
    // It may have heard of it from a peer that knew no better, and has asked before it began.
    const begun = late.events('execution.begun').filter((line) => line['job'] === id);
    assert.deepEqual(begun, []);
  });

  test('a program that ends is started again on its peer, whatever it lacks, and on the others it goes on', async () => {
    const failing = await mesh.submit(first, daemon({ Fail: 'no salt is left' }));
    const found = await mesh.until('each was started again twice', async () => {
      const all = await mesh.executions(first, failing);
      const again = all.filter(({ Restarts }) => (Restarts ?? 0) >= 2);
      return again.length >= cooks.length ? all : null;
    });
    assert.match(found[0]?.ComputeState.Message ?? '', /no salt is left/);
    assert.equal((await mesh.job(first, failing)).Job.State.StateType, 'Running');
    await mesh.ok(first, ['job', 'stop', failing]);
    await mesh.reaches(first, failing, 'Stopped');
  });
});
