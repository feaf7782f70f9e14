/** Keepers of a job die or stand still: any peer finds it all the same, says who is silent, and takes its stop. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { JobAnswer } from '../../src/api/types.ts';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();
/** What can be known is answered within this, with room for a busy machine. */
const ANSWER_MS = 3_000;
const STOP_MS = 8_000;

describe('four peers, of which three keep a job', () => {
  let job: string;
  /** The one that does not keep it. */
  let outside: Peer;
  let leader: Peer;
  let others: readonly Peer[];

  before(async () => {
    const peers = await mesh.grow(4);
    const [first] = peers;
    assert.ok(first);
    job = await mesh.submit(first, noop({ Milliseconds: 300_000 }));
    await mesh.inPhase(first, job, 'running');
    const kept = await mesh.until('three keep it', async () => {
      const counts = await Promise.all(peers.map((peer) => peer.metric('shoal_jobs_kept')));
      return counts.filter((count) => count === 1).length === 3 ? counts : null;
    });
    const keepers = peers.filter((_, index) => kept[index] === 1);
    outside = peers.find((peer) => !keepers.includes(peer)) ?? assert.fail();
    leader = mesh.leaders(job).at(-1) ?? assert.fail('somebody leads');
    others = keepers.filter((peer) => peer !== leader);
  });

  /** As `job describe` is told; it must not take long. */
  const ask = async (peer: Peer): Promise<JobAnswer> => {
    const startedAt = performance.now();
    const answer = await mesh.job(peer, job);
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs < ANSWER_MS, `${peer.name} took ${Math.round(tookMs)} ms`);
    return answer;
  };

  test('a peer that keeps nothing knows it before and after its leader was killed', async () => {
    assert.deepEqual((await ask(outside)).Keepers?.Silent, []);
    await leader.kill();
    for (let turn = 0; turn < 8; turn += 1) {
      const { code, stderr } = await mesh.cli(outside, ['job', 'describe', job]);
      assert.equal(code, 0, stderr);
      // An answer is kept for a moment; and once another one leads, nobody waits for the one that is gone.
      await mesh.until('it says who is silent', async () => {
        const { Keepers } = await ask(outside);
        return Keepers?.Leader !== leader.nodeId || Keepers.Silent.join() === leader.nodeId;
      });
    }
    await mesh.until('another keeper leads', () => mesh.leaders(job).at(-1) !== leader);
  });

  test('with a majority of the keepers away every peer says so, and takes a stop that arrives later', async () => {
    const [stays, sleeps] = others;
    assert.ok(stays !== undefined && sleeps !== undefined);
    sleeps.pause();
    try {
      const away = [leader.nodeId, sleeps.nodeId].sort();
      for (const peer of [outside, stays, outside, stays]) {
        // Who leads it himself misses the others after 15 s.
        await mesh.until(`${peer.name} says who is away`, async () => {
          const { Keepers, Job } = await ask(peer);
          const silent = [...(Keepers?.Silent ?? [])].sort();
          return (
            silent.join() === away.join() && /waits for keepers: 1 of 3/.test(Job.State.Message)
          );
        });
      }
      const startedAt = performance.now();
      assert.match(await mesh.ok(outside, ['job', 'stop', job]), /recorded.*1 of the 2 keepers/);
      assert.ok(performance.now() - startedAt < STOP_MS, 'nobody waits for who is away');
    } finally {
      sleeps.resume();
    }
    await mesh.reaches(outside, job, 'Stopped', 60_000);
    await leader.start();
    await mesh.joined();
    await mesh.reaches(leader, job, 'Stopped', 60_000);
  });
});
