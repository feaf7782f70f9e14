/** The leader of a job dies, or stands still: another keeper goes on, and nothing is done twice. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { runElsewhere } from './elsewhere.ts';
import type { Running } from './elsewhere.ts';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();

/** Long enough for another keeper to take over while the program still runs. */
const WORK_MS = 20_000;

const anotherLeads = (id: string, than: Peer, deadlineMs: number): Promise<Peer> =>
  mesh.until(
    `another keeper leads ${id}`,
    () => mesh.leaders(id).findLast((peer) => peer !== than),
    deadlineMs,
  );

/** One execution, one accepted result, the same at every peer. */
async function doneOnce({ id, execution }: Running): Promise<void> {
  for (const peer of mesh.peers.filter((one) => one.running)) {
    const { Executions, History } = await mesh.reaches(peer, id, 'Completed', 60_000);
    assert.deepEqual(
      Executions?.Items.map((one) => one.ID),
      [execution],
      peer.name,
    );
    const accepted = (History?.Items ?? []).filter(({ Event }) =>
      Event.Message.includes('accepted (exit code 0)'),
    );
    assert.equal(accepted.length, 1, `${peer.name}: ${JSON.stringify(History)}`);
  }
}

describe('five peers', () => {
  before(async () => {
    await mesh.grow(5);
  });

  test('when the leader is killed another keeper leads, and the execution goes on', async () => {
    const running = await runElsewhere(mesh, noop({ Milliseconds: WORK_MS }));
    await running.leader.kill();
    await anotherLeads(running.id, running.leader, 15_000);
    await mesh.reaches(running.witness, running.id, 'Completed', 60_000);
    await running.leader.start();
    await mesh.joined();
    await doneOnce(running);
  });

  test('when the leader stands still another keeper leads, and what it does on waking changes nothing', async () => {
    const running = await runElsewhere(mesh, noop({ Milliseconds: WORK_MS }));
    running.leader.pause();
    try {
      await anotherLeads(running.id, running.leader, 30_000);
      await mesh.reaches(running.witness, running.id, 'Completed', 60_000);
    } finally {
      running.leader.resume();
    }
    await mesh.joined();
    await doneOnce(running);
    const id = await mesh.submit(running.leader, noop({}));
    await mesh.reaches(running.leader, id, 'Completed');
  });
});
