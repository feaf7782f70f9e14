/** Docker jobs on peers that die, come back and are told to stop: nothing twice, nothing left over. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { docker as dockerCommand, dockerMissing } from '../docker/support.ts';
import { runElsewhere } from './elsewhere.ts';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { docker, input } from './specs.ts';

const mesh = await createMesh();

/** Containers of one execution as `id status`. */
async function containersOfExecution(execution: string): Promise<readonly string[]> {
  const filter = `label=shoal.execution=${execution}`;
  const lines = await dockerCommand(
    'ps',
    '--all',
    '--no-trunc',
    '--filter',
    filter,
    '--format',
    '{{.ID}} {{.State}}',
  );
  return lines === '' ? [] : lines.split('\n');
}

describe('five peers with Docker', { skip: await dockerMissing() }, () => {
  let peers: readonly Peer[];
  let first: Peer;
  before(async () => {
    mesh.watchContainers();
    peers = await mesh.grow(5);
    first = peers[0] ?? assert.fail('no peer');
  });

  test('a job whose leader and one executor are killed while it runs gives one result per partition', async () => {
    const cid = await first.addContent('carried along\n');
    const script =
      'cat /inputs/text > /outputs/copy; echo $SHOAL_PARTITION_INDEX > /outputs/index; sleep 8';
    // One fits on a node, so that the partitions are spread.
    const task = {
      InputSources: [input(cid, '/inputs/text')],
      Resources: { CPU: '100m', Memory: '1200Mb' },
    };
    const job = docker(script, { job: { Count: 3 }, task });
    const id = await mesh.submit(first, job);
    const running = await mesh.inPhase(first, id, 'running', 3);
    const leader = mesh.leaders(id).at(-1) ?? assert.fail('nobody leads');
    const executor = running.map((one) => mesh.peerOf(one.NodeID)).find((peer) => peer !== leader);
    assert.ok(executor !== undefined, 'the partitions are spread over nodes');
    await leader.kill();
    await executor.kill();
    const witness = peers.find((peer) => peer.running) ?? assert.fail('nobody is left');
    await mesh.reaches(witness, id, 'Completed', 120_000);
    await leader.start();
    await executor.start();
    await mesh.joined();

    const target = mesh.path('results');
    await mesh.ok(leader, ['job', 'get', id, '--output-dir', target, '--raw']);
    const names = await readdir(target);
    const read = (name: string, file: string): Promise<string> =>
      readFile(join(target, name, 'outputs', file), 'utf8');
    const indices = await Promise.all(names.map((name) => read(name, 'index')));
    assert.deepEqual(indices.map(Number).sort(), [0, 1, 2], 'one result for each partition');
    for (const name of names) assert.equal(await read(name, 'copy'), 'carried along\n');
    const history = await mesh.history(witness, id);
    const accepts = history.filter(({ Event }) => Event.Message.includes('accepted (exit code'));
    assert.equal(accepts.length, 3, JSON.stringify(history));
    const all = await mesh.executions(witness, id);
    await mesh.until('no container of the job is left', async () => {
      const left = await Promise.all(all.map((one) => containersOfExecution(one.ID)));
      return left.flat().length === 0;
    });
  });

  test('an executor that is killed and started again finds its container again, and does not run it twice', async () => {
    const job = docker('echo begun; sleep 8; echo ended; echo done > /outputs/file');
    const { id, executor, execution: ID, witness } = await runElsewhere(mesh, job);
    const before = await containersOfExecution(ID);
    assert.equal(before.length, 1, 'it runs in one container');
    await executor.kill();
    await executor.start();
    assert.deepEqual(await containersOfExecution(ID), before, 'the same container still runs');
    const { Executions } = await mesh.reaches(witness, id, 'Completed', 60_000);
    assert.deepEqual(
      Executions?.Items.map((one) => one.ID),
      [ID],
      'one attempt',
    );
    assert.equal(
      Executions?.Items[0]?.RunOutput?.Stdout,
      'begun\nended\n',
      'one run, all of its output',
    );
  });

  test('a container is gone once its job is stopped through another peer', async () => {
    const [, second] = peers;
    assert.ok(second !== undefined);
    const id = await mesh.submit(first, docker('sleep 600'));
    const [execution] = await mesh.inPhase(first, id, 'running');
    const { ID } = execution ?? assert.fail('no execution');
    assert.equal((await containersOfExecution(ID)).length, 1);
    await mesh.ok(second, ['job', 'stop', id]);
    await mesh.reaches(first, id, 'Stopped');
    await mesh.until(
      'the container is gone',
      async () => (await containersOfExecution(ID)).length === 0,
    );
  });
});
