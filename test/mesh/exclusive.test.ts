/**
 * What the owner wants of executions that are cut off, on real peers: an exclusive program never runs twice, though
 * its peer stands still while it goes on; and who is to be waited for is.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { docker as dockerCommand, dockerMissing } from '../docker/support.ts';
import { runElsewhere } from './elsewhere.ts';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { docker, noop } from './specs.ts';

const mesh = await createMesh();

const EXCLUSIVE = { 'shoal/partition-policy': 'exclusive' };
/** Longer than any test. */
const STAYS = { Milliseconds: 3_600_000 };
/** Found to be gone within 30 s, by a new leader within 30 s more; the one in its place waits for 28 s. */
const REPLACED_MS = 120_000;

const another = (witness: Peer, id: string, than: string, deadlineMs: number) =>
  mesh.until(
    'another runs in its place',
    async () =>
      (await mesh.executions(witness, id)).find(
        (one) => one.Phase === 'running' && one.ID !== than,
      ),
    deadlineMs,
  );

async function stopped(peer: Peer, id: string): Promise<void> {
  await mesh.ok(peer, ['job', 'stop', id]);
  await mesh.reaches(peer, id, 'Stopped');
}

describe('five peers', () => {
  before(async () => {
    await mesh.grow(5);
  });

  test('an exclusive job runs on while its leader changes, and elsewhere when its peer stands still', async () => {
    const running = await runElsewhere(mesh, noop(STAYS, { job: { Meta: EXCLUSIVE } }));
    const { id, execution, executor, leader, witness } = running;
    assert.match(await mesh.ok(witness, ['job', 'describe', id]), /^Policy +exclusive$/m);
    await leader.kill();
    await mesh.until(
      'another keeper leads',
      () => mesh.leaders(id).findLast((peer) => peer !== leader && peer.running),
      30_000,
    );
    await leader.start();
    await mesh.joined();
    const all = await mesh.executions(witness, id);
    assert.deepEqual(
      all.map(({ ID }) => ID),
      [execution],
    );
    executor.pause();
    try {
      await another(witness, id, execution, REPLACED_MS);
    } finally {
      executor.resume();
    }
    await mesh.joined();
    await mesh.until('the first one has ended itself', async () =>
      (await mesh.executions(witness, id)).find(
        (one) => one.ID === execution && one.Phase === 'cancelled',
      ),
    );
    await stopped(witness, id);
  });

  test('a job that waits is given to no other peer before the time its owner named', async () => {
    const Meta = { 'shoal/partition-policy': 'wait', 'shoal/lost-after': '45s' };
    const { id, execution, executor, leader, witness } = await runElsewhere(
      mesh,
      noop(STAYS, { job: { Meta } }),
    );
    await executor.kill();
    const began = performance.now();
    await another(witness, id, execution, 90_000);
    assert.ok(performance.now() - began >= 40_000, 'a lease had passed since it was heard last');
    assert.ok(leader.running);
    await stopped(witness, id);
    await executor.start();
    await mesh.joined();
  });
});

describe('five peers with Docker', { skip: await dockerMissing() }, () => {
  /** Moments at which the containers of the executions were started and ended, by Docker's own clock. */
  async function lifetime(execution: string): Promise<{ startedAt: number; endedAt: number }> {
    const format = '{{.State.StartedAt}} {{.State.FinishedAt}} {{.State.Running}}';
    const text = await dockerCommand('inspect', '--format', format, `shoal-${execution}`);
    const [from = '', to = '', isRunning] = text.split(' ');
    return {
      startedAt: Date.parse(from),
      endedAt: isRunning === 'true' ? Number.POSITIVE_INFINITY : Date.parse(to),
    };
  }

  test('a container of an exclusive job ends before another begins, though its peer stands still', async () => {
    mesh.watchContainers();
    const job = docker('sleep 3600', { job: { Meta: EXCLUSIVE } });
    const { id, execution, executor, witness } = await runElsewhere(mesh, job);
    assert.equal((await lifetime(execution)).endedAt, Number.POSITIVE_INFINITY);
    executor.pause();
    try {
      const next = await another(witness, id, execution, REPLACED_MS);
      const [first, second] = [await lifetime(execution), await lifetime(next.ID)];
      assert.ok(first.endedAt <= second.startedAt, JSON.stringify({ first, second }));
    } finally {
      executor.resume();
    }
    await mesh.joined();
    await stopped(witness, id);
  });
});
