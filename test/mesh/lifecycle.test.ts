/** How jobs wait, fail, are tried again and are stopped, as their owner sees it. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop, wasm } from './specs.ts';
import { children } from './processes.ts';

const mesh = await createMesh();

describe('jobs on three peers', () => {
  let peers: readonly Peer[];
  let first: Peer;
  before(async () => {
    peers = await mesh.grow(3);
    first = peers[0] ?? assert.fail('no peer');
  });

  const zone = (value: string): object => ({
    Constraints: [{ Key: 'zone', Operator: '=', Values: [value] }],
  });

  test('a job that nobody can run fails with the reason, and at once when it may not queue', async () => {
    const id = await mesh.submit(first, noop({}, { job: zone('moon') }));
    const { Job, Executions } = await mesh.reaches(first, id, 'Failed');
    assert.match(
      Job.State.Message,
      /suitable: 0\.\n• 3 of 3 nodes: constraint zone = moon does not hold/,
    );
    assert.equal(Executions?.Items.length, 0, 'it was given to nobody');
  });

  test('a job that may queue says in words why it waits, and starts when a node that fits joins', async () => {
    const timeouts = { Timeouts: { QueueTimeout: 120 } };
    const id = await mesh.submit(first, noop({}, { job: zone('mars'), task: timeouts }));
    await mesh.until('its description names the constraint', async () => {
      const text = await mesh.ok(first, ['job', 'describe', id]);
      return /3 of 3 nodes: constraint zone = mars does not hold \(no such label\)/.test(text);
    });
    const martian = await mesh.add({ flags: ['--label', 'zone=mars'] });
    await mesh.reaches(first, id, 'Completed');
    const [execution] = await mesh.executions(first, id);
    assert.equal(execution?.NodeID, martian.nodeId);
  });

  test('a job that waits longer than its QueueTimeout fails and says so', async () => {
    const timeouts = { Timeouts: { QueueTimeout: 2 } };
    const id = await mesh.submit(first, noop({}, { job: zone('venus'), task: timeouts }));
    const { Job } = await mesh.reaches(first, id, 'Failed');
    assert.match(Job.State.Message, /constraint zone = venus.*\n.*QueueTimeout of 2 s/);
  });

  test('a job that takes longer than its TotalTimeout fails, and its program is ended', async () => {
    const timeouts = { Timeouts: { TotalTimeout: 3 } };
    const id = await mesh.submit(first, noop({ Milliseconds: 600_000 }, { task: timeouts }));
    await mesh.inPhase(first, id, 'running');
    const { Job } = await mesh.reaches(first, id, 'Failed');
    assert.match(Job.State.Message, /TotalTimeout of 3 s/);
    const [execution] = await mesh.inPhase(first, id, 'failed');
    assert.match(execution?.ComputeState.Message ?? '', /^Execution timed out after 3s/);
  });

  test('a failure that another node may not have is tried three times, on different nodes, and then named', async () => {
    const id = await mesh.submit(first, noop({ Fail: 'the disk is odd', FailClass: 'node' }));
    const { Job, Executions } = await mesh.reaches(first, id, 'Failed', 60_000);
    const attempts = Executions?.Items ?? [];
    assert.deepEqual(attempts.map((one) => one.Attempt).sort(), [0, 1, 2]);
    assert.equal(new Set(attempts.map((one) => one.NodeID)).size, 3, 'three different nodes');
    assert.match(Job.State.Message, /3 attempts.*the disk is odd/);
  });

  test('a failure of the spec itself is not tried again', async () => {
    const id = await mesh.submit(first, await wasm(first, 'add.wasm', { Entrypoint: 'nowhere' }));
    const { Job, Executions } = await mesh.reaches(first, id, 'Failed');
    assert.equal(Executions?.Items.length, 1);
    assert.match(Job.State.Message, /nowhere/);
    const events = await mesh.history(first, id);
    assert.ok(
      events.some(({ Event }) => Event.Details['ErrorCode'] === 'wasm-entry-missing'),
      JSON.stringify(events),
    );
  });

  test('a program that ends with a code other than 0 is done, and `job run` ends with 5', async () => {
    const spec = JSON.stringify(noop({ ExitCode: 3 }));
    const { code, stdout, stderr } = await mesh.cli(first, ['job', 'run', '-'], spec);
    assert.equal(code, 5, stderr);
    assert.match(stdout, /is Completed/);
    assert.match(stdout, /exit code 3/);
    const id = /j-[0-9a-f-]{36}/.exec(stdout)?.[0] ?? '';
    assert.equal((await mesh.executions(first, id)).length, 1, 'it is not tried again');
  });

  test('`job run` of a job that fails ends with 5 and tells why', async () => {
    const { code, stderr } = await mesh.cli(
      first,
      ['job', 'run', '-'],
      JSON.stringify(noop({ Fail: 'wrong by design' })),
    );
    assert.equal(code, 5);
    assert.match(stderr, /wrong by design/);
  });

  test('only peers that hold the owner key stop a job, and then its program is gone', async () => {
    const stranger = await mesh.add({ owner: 'stranger' });
    const second = peers[1] ?? assert.fail('no peer');
    const job = await wasm(first, 'limits.wasm', { Parameters: ['spin'] });
    const id = await mesh.submit(first, job);
    const [execution] = await mesh.inPhase(first, id, 'running');
    const executor = mesh.peerOf(execution?.NodeID ?? '');
    const runners = async (): Promise<readonly string[]> =>
      (await children(executor.pid)).filter((line) => line.includes(execution?.ID ?? '?'));
    assert.equal((await runners()).length, 1, 'the program runs');

    const refused = await mesh.cli(stranger, ['job', 'stop', id]);
    assert.equal(refused.code, 3, refused.stderr);
    assert.match(refused.stderr, /belongs to the owner key/);
    const still = await mesh.job(first, id);
    assert.equal(still.Job.State.StateType, 'Running');

    await mesh.ok(second, ['job', 'stop', id, '--reason', 'no longer wanted']);
    const { Job } = await mesh.reaches(first, id, 'Stopped');
    assert.match(Job.State.Message, /no longer wanted/);
    await mesh.until('the program is gone', async () => (await runners()).length === 0);
    await mesh.inPhase(second, id, 'cancelled');
  });
});
