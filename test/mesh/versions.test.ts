/** Jobs in several versions on real peers: changed while they run, run once more, gone back from, looked at by number. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();

const STAYS = 3_600_000;
/** Replica by replica, with 10 s for each, and the load of the machine. */
const ROLLED_MS = 90_000;

const service = (name: string, params: object, count = 2): string =>
  JSON.stringify(noop(params, { job: { Name: name, Type: 'service', Count: count } }));

const idIn = (printed: string): string =>
  /j-[0-9a-f-]{36}/.exec(printed)?.[0] ?? assert.fail(printed);

/** Versions of the executions that run, as this peer tells it. */
async function running(peer: Peer, id: string): Promise<string> {
  const text = await mesh.ok(peer, [
    ...['job', 'executions', id, '--all-versions', '--output', 'json', '--limit', '100'],
  ]);
  const executions = JSON.parse(text) as readonly { JobVersion: number; Phase: string }[];
  return executions
    .filter(({ Phase }) => Phase === 'running')
    .map(({ JobVersion }) => JobVersion)
    .sort()
    .join();
}

describe('five peers', () => {
  let peers: readonly Peer[];
  let first: Peer;
  let other: Peer;
  before(async () => {
    peers = await mesh.grow(5);
    [first = assert.fail(), other = assert.fail()] = peers;
  });

  test('a job that is completed is run once more from another peer, and its versions are listed', async () => {
    const spec = noop({ Milliseconds: 10 }, { job: { Name: 'again' } });
    const id = idIn(await mesh.ok(first, ['job', 'run', '-'], JSON.stringify(spec)));
    const printed = await mesh.ok(other, ['job', 'rerun', 'again']);
    assert.match(printed, /runs once more, as version 2\.[^]*is Completed/);
    assert.equal(idIn(printed), id);
    const same = await mesh.cli(other, ['job', 'run', '-'], JSON.stringify(spec));
    assert.equal(same.code, 3);
    assert.match(same.stderr, /no changes detected.*--force/);
    const changed = JSON.stringify(noop({ Milliseconds: 20 }, { job: { Name: 'again' } }));
    const diff = await mesh.ok(other, ['job', 'diff', '-'], changed);
    assert.match(diff, /^-.*"Milliseconds": 10/m);
    assert.match(diff, /^\+.*"Milliseconds": 20/m);
    assert.match(await mesh.ok(other, ['job', 'run', '-'], changed), /is submitted as version 3\./);
    const versions = await mesh.ok(first, ['job', 'versions', id, '--output', 'json']);
    assert.deepEqual(
      (JSON.parse(versions) as { Version: number }[]).map(({ Version }) => Version),
      [1, 2, 3],
    );
    const old = await mesh.ok(first, ['job', 'describe', id, '-v', '1']);
    assert.match(old, /^Version +1$/m);
    assert.match(await mesh.ok(first, ['job', 'describe', id]), /^Version +3$/m);
    const all = await mesh.ok(first, ['job', 'history', id, '--all-versions', '--output', 'json']);
    const told = (JSON.parse(all) as { JobVersion: number }[]).map(({ JobVersion }) => JobVersion);
    assert.deepEqual([...new Set(told)].sort(), [1, 2, 3]);
    const of = ['job', 'executions', id, '-v', '1', '--output', 'json'];
    const [earlier] = JSON.parse(await mesh.ok(first, of)) as readonly { ID: string }[];
    const logs = ['job', 'logs', id, '-e', earlier?.ID ?? assert.fail()];
    assert.equal((await mesh.cli(first, logs)).code, 3, 'it is none of the current version');
    const line = await mesh.ok(first, [...logs, '--all-versions']);
    assert.ok(line.startsWith(`noop ${earlier?.ID}`), line);
  });

  test('a service goes over to its next version, also when its leader is killed meanwhile', async () => {
    const id = idIn(
      await mesh.ok(first, ['job', 'run', '-'], service('clock', { Milliseconds: STAYS })),
    );
    await mesh.inPhase(first, id, 'running', 2);
    await mesh.ok(
      other,
      ['job', 'run', '-', '--no-wait'],
      service('clock', { Milliseconds: STAYS - 1 }),
    );
    await mesh.until('both versions are shown side by side', async () => {
      const text = await mesh.ok(other, ['job', 'describe', id]);
      return /^1 .*Running/m.test(text) && /^2 /m.test(text);
    });
    const leader = mesh.leaders(id)[0] ?? assert.fail('nobody leads it');
    const witness = peers.find((peer) => peer !== leader) ?? assert.fail();
    await leader.kill();
    await leader.start();
    await mesh.until(
      'both are of the second',
      async () => (await running(witness, id)) === '2,2',
      ROLLED_MS,
    );
    await mesh.ok(witness, ['job', 'stop', id]);
    await mesh.reaches(witness, id, 'Stopped');
  });

  test('a service whose next version does not come up goes back, and tells why', async () => {
    const id = idIn(
      await mesh.ok(first, ['job', 'run', '-'], service('bad', { Milliseconds: STAYS })),
    );
    await mesh.inPhase(first, id, 'running', 2);
    const broken = service('bad', { Ends: 100, ExitCode: 9, Milliseconds: 50 });
    await mesh.ok(other, ['job', 'run', '-', '--no-wait'], broken);
    await mesh.until('it is back', async () => (await running(first, id)) === '3,3', ROLLED_MS);
    const { Job } = await mesh.job(first, id);
    assert.equal(Job.Version, 3);
    assert.match(Job.State.Message, /Version 2 did not come up, and version 1 came back/);
    await mesh.ok(first, ['job', 'stop', id]);
    await mesh.reaches(first, id, 'Stopped');
  });
});
