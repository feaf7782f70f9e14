/** Jobs for every node that matches: each takes them up by its own decision, once. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';
import type { Changes } from './specs.ts';

const mesh = await createMesh();

const LABEL = ['--label', 'room=kitchen'];
const publish = { Publisher: { Type: 'ipfs', Params: {} } };
const shortNode = (peer: Peer): string => `n-${peer.nodeId.slice(-8)}`;

/** For the peers of one room. */
const ops = (params: Parameters<typeof noop>[0], room = 'kitchen', task: Changes['task'] = {}) =>
  noop(params, {
    job: {
      Type: 'ops',
      Count: 0,
      Constraints: [{ Key: 'room', Operator: '=', Values: [room] }],
    },
    task,
  });

/** How often this peer has taken the job up, in all its processes. */
const takenUp = (peer: Peer, id: string): number =>
  peer.events('execution.received').filter((line) => line['job'] === id).length;

const nodesOf = async (peer: Peer, id: string): Promise<readonly string[]> =>
  (await mesh.executions(peer, id)).map(({ NodeID }) => NodeID).sort();

describe('five peers, of which three have the label that a job asks for', () => {
  let first: Peer;
  let cooks: readonly Peer[];
  /** A job that is over. */
  let ended: string;
  before(async () => {
    first = await mesh.add();
    cooks = await Promise.all([1, 2, 3].map(() => mesh.add({ flags: LABEL })));
    await mesh.add();
    await mesh.joined();
  });

  test('all three run it once, `job run` waits for them, and `job get` fetches what each made', async () => {
    // They take their time together.
    const nobody = await mesh.submit(first, ops({}, 'cellar'));
    const failing = await mesh.submit(first, ops({ Fail: 'no salt is left' }));
    const spec = JSON.stringify(ops({ Milliseconds: 200 }, 'kitchen', publish));
    const { code, stdout, stderr } = await mesh.cli(first, ['job', 'run', '-'], spec);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /is Completed: All 3 nodes completed it\./);
    const id = /j-[0-9a-f-]{36}/.exec(stdout)?.[0] ?? assert.fail(stdout);
    ended = id;
    assert.deepEqual(await nodesOf(first, id), cooks.map(({ nodeId }) => nodeId).sort());
    for (const cook of cooks) {
      assert.equal(takenUp(cook, id), 1, cook.name);
      assert.match(stdout, new RegExp(`  ${shortNode(cook)}: exit code 0`));
    }

    const target = mesh.path('kitchen');
    await mesh.ok(first, ['job', 'get', id, '--output-dir', target]);
    assert.deepEqual((await readdir(target)).sort(), cooks.map(shortNode).sort());
    for (const cook of cooks) {
      const [execution] = (await mesh.executions(first, id)).filter(
        ({ NodeID }) => NodeID === cook.nodeId,
      );
      const printed = await readFile(join(target, shortNode(cook), 'stdout'), 'utf8');
      assert.match(printed, new RegExp(execution?.ID ?? '-'));
    }

    const unmatched = (await mesh.reaches(first, nobody, 'Failed')).Job.State.Message;
    assert.match(
      unmatched,
      /available: 5, suitable: 0\.\n• 5 of 5 nodes: constraint [^]*\nNo node took the job up\./,
    );
    const failed = (await mesh.reaches(first, failing, 'Failed')).Job.State.Message;
    assert.match(failed, /3 of 3 nodes did not complete it: n-.{8}: no salt is left; n-/);
  });

  test('one that joins later does not run it, though it matches', async () => {
    const late = await mesh.add({ flags: LABEL });
    await mesh.joined();
    // A job that comes after shows that the newcomer takes up what it hears.
    const next = await mesh.submit(first, ops({ Milliseconds: 600_000 }));
    await mesh.until('the newcomer runs the next one', () => takenUp(late, next) === 1);
    assert.equal(takenUp(late, ended), 0);

    await mesh.inPhase(first, next, 'running', 4);
    await mesh.ok(first, ['job', 'stop', next]);
    await mesh.reaches(first, next, 'Stopped');
    await mesh.inPhase(first, next, 'cancelled', 4);
    for (const peer of [...cooks, late]) assert.equal(takenUp(peer, next), 1, peer.name);
  });

  test('when the leader is killed meanwhile, the next one counts them all', async () => {
    const id = await mesh.submit(first, ops({ Milliseconds: 5_000 }));
    const runners = [...cooks, ...mesh.peers.slice(5)];
    await mesh.inPhase(first, id, 'running', runners.length);
    const leader = mesh.leaders(id)[0] ?? assert.fail('nobody leads it');
    await leader.kill();
    await leader.start();
    await mesh.joined();
    // What a killed peer ran without Docker ended with it, and is not begun again.
    const state = runners.includes(leader) ? 'Failed' : 'Completed';
    const { Job } = await mesh.reaches(first, id, state, 90_000);
    assert.match(Job.State.Message, state === 'Failed' ? /^1 of 4 nodes/ : /^All 4 nodes/);
    assert.deepEqual(await nodesOf(first, id), runners.map(({ nodeId }) => nodeId).sort());
    for (const peer of runners) assert.equal(takenUp(peer, id), 1, peer.name);
  });
});
