/** `shoal node drain`: a peer leaves, and nothing that it did is broken off or done twice. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();

const elsewhere = (zone: string): object => ({
  job: { Constraints: [{ Key: 'zone', Operator: '=', Values: [zone] }] },
});

const ended = (peer: Peer, id: string): boolean =>
  peer.events('job.closed').some(({ job }) => job === id);

/** A job that this peer leads, and that runs elsewhere. */
async function ledBy(peer: Peer): Promise<string> {
  for (;;) {
    const id = await mesh.submit(peer, noop({ Milliseconds: 5_000 }, elsewhere('earth')));
    await mesh.inPhase(peer, id, 'running');
    if (peer.events('job.assigned').some(({ job }) => job === id)) return id;
    await mesh.ok(peer, ['job', 'stop', id]);
  }
}

describe('a peer that is drained', () => {
  let first: Peer;
  let second: Peer;
  let leaving: Peer;
  before(async () => {
    const peers = await mesh.grow(3, { flags: ['--label', 'zone=earth'] });
    [first, second] = [peers[0] ?? assert.fail(), peers[1] ?? assert.fail()];
    leaving = await mesh.add({ flags: ['--label', 'zone=moon'] });
  });

  test('says which jobs will wait without it, and stays when that is taken back', async () => {
    const id = await mesh.submit(first, noop({ Milliseconds: 600_000 }, elsewhere('moon')));
    await mesh.inPhase(first, id, 'running');
    const { code, stdout, stderr } = await mesh.cli(leaving, ['node', 'drain', '--detach']);
    assert.equal(code, 0);
    assert.match(stdout, /takes nothing new. It leaves when 1 execution/);
    assert.match(stderr, new RegExp(`job ${id} can run on no other node`));
    await mesh.ok(leaving, ['node', 'drain', '--off']);
    await mesh.ok(first, ['job', 'stop', id]);
    const again = await mesh.submit(first, noop({}, elsewhere('moon')));
    await mesh.reaches(first, again, 'Completed');
  });

  test('finishes what runs there, hands over what it leads at once, takes nothing new, and leaves', async () => {
    const runs = await mesh.submit(leaving, noop({ Milliseconds: 4_000 }, elsewhere('moon')));
    await mesh.inPhase(first, runs, 'running');
    const led = await ledBy(leaving);
    const { code, stdout } = await mesh.cli(leaving, ['node', 'drain']);
    assert.equal(code, 0);
    assert.match(stdout, /The peer has left\.\n$/);
    await mesh.until('its process is gone', () => !leaving.running);
    for (const id of [runs, led]) {
      await mesh.reaches(second, id, 'Completed');
      assert.equal((await mesh.executions(second, id)).length, 1, 'nothing was run twice');
    }
    assert.ok(!ended(leaving, led), 'another one led it to its end');
  });

  test('moves what has not ended by the deadline', async () => {
    const id = await mesh.submit(first, noop({ Milliseconds: 600_000 }, elsewhere('earth')));
    await mesh.inPhase(first, id, 'running');
    const [before] = await mesh.executions(first, id);
    assert.ok(before);
    const holder = mesh.peerOf(before.NodeID);
    const other = holder === first ? second : first;
    await mesh.ok(holder, ['node', 'drain', '--deadline', '1']);
    await mesh.until('it runs elsewhere', async () =>
      (await mesh.executions(other, id)).some(
        ({ NodeID, Phase }) => NodeID !== before.NodeID && Phase === 'running',
      ),
    );
    const story = await mesh.ok(other, ['job', 'history', id]);
    assert.match(story, /Cancelled: its node is leaving/);
    assert.match(story, /Moved, as its node left; attempt 2 on/);
    assert.doesNotMatch(story, /Lost/);
    await mesh.ok(other, ['job', 'stop', id]);
  });
});
