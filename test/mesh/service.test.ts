/** Services on real peers: kept running, replaced when their node is gone, once only when it is back. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { docker as dockerCommand, dockerMissing } from '../docker/support.ts';
import { runElsewhere } from './elsewhere.ts';
import type { Running } from './elsewhere.ts';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { docker, noop } from './specs.ts';

const mesh = await createMesh();

/** The promise of the mesh, from the death of a node until its replica runs elsewhere. */
const REPLACED_MS = 30_000;
/** Longer than any test. */
const STAYS = { Milliseconds: 3_600_000 };
const service = { job: { Type: 'service' } };

/** Another execution than this one runs. */
const replaced = ({ id, execution, witness }: Running): Promise<string> =>
  mesh.until(
    'another runs in its place',
    async () =>
      (await mesh.executions(witness, id)).find(
        (one) => one.Phase === 'running' && one.ID !== execution,
      )?.ID,
    REPLACED_MS,
  );

/** Executions that somebody wants to go on, as this peer tells it. */
const wanted = async (peer: Peer, id: string): Promise<readonly string[]> =>
  (await mesh.executions(peer, id))
    .filter(({ DesiredState }) => DesiredState.StateType === 1)
    .map(({ ID }) => ID);

async function stopped(peer: Peer, id: string): Promise<void> {
  await mesh.ok(peer, ['job', 'stop', id]);
  await mesh.reaches(peer, id, 'Stopped');
}

describe('five peers', () => {
  let peers: readonly Peer[];
  let first: Peer;
  before(async () => {
    peers = await mesh.grow(5);
    first = peers[0] ?? assert.fail('no peer');
  });

  test('`job run` of a service leaves it running; it has no results, and runs until it is stopped', async () => {
    const spec = noop(STAYS, { job: { Type: 'service', Count: 2 } });
    const printed = await mesh.ok(first, ['job', 'run', '-'], JSON.stringify(spec));
    assert.match(printed, /is running\. It ends when it is stopped/);
    const id = /j-[0-9a-f-]{36}/.exec(printed)?.[0] ?? assert.fail(printed);
    await mesh.inPhase(first, id, 'running', 2);
    assert.equal((await mesh.job(first, id)).Job.State.StateType, 'Running');
    assert.match(await mesh.ok(first, ['job', 'get', id, '--wait']), /service leaves no results/);
    await assert.rejects(mesh.results(first, id), /others have no results/);
    await stopped(first, id);
    await mesh.inPhase(first, id, 'cancelled', 2);
  });

  test('a program that ends is started again on its node, and the user sees how often and why', async () => {
    const spec = noop({ Ends: 2, ExitCode: 3, Milliseconds: 100 }, service);
    const id = await mesh.submit(first, spec);
    const [execution] = await mesh.until('it was started again twice', async () => {
      const found = await mesh.executions(first, id);
      return found.some((one) => one.Restarts === 2 && one.ComputeState.Message === '')
        ? found
        : null;
    });
    assert.equal((await mesh.executions(first, id)).length, 1, 'it is one execution');
    assert.equal(execution?.Phase, 'running');
    assert.equal(execution?.RunOutput?.ExitCode, 3);
    const text = await mesh.ok(first, ['job', 'describe', id]);
    assert.match(text, /RESTARTS/);
    assert.match(text, /Started again \(restart 2\)/);
    await stopped(first, id);
  });

  test('a replica whose node is killed runs elsewhere within 30 s, and a stop reaches it there', async () => {
    const running = await runElsewhere(mesh, noop(STAYS, service));
    await running.executor.kill();
    const young = await replaced(running);
    const [one] = (await mesh.executions(running.witness, running.id)).filter(
      ({ ID }) => ID === young,
    );
    assert.notEqual(one?.NodeID, running.executor.nodeId);
    await stopped(running.witness, running.id);
    // It comes back to a job that is over, and does not take its program up.
    await running.executor.start();
    await mesh.joined();
    await mesh.until('its node knows of the end', async () => {
      const { Job, Executions } = await mesh.job(running.executor, running.id);
      const over = (Executions?.Items ?? []).every(
        ({ DesiredState }) => DesiredState.StateType === 2,
      );
      return Job.State.StateType === 'Stopped' && over;
    });
  });

  test('a replica that was only out of reach stays, and the one in its place is stopped', async () => {
    const running = await runElsewhere(mesh, noop(STAYS, service));
    const { id, execution, executor, witness } = running;
    let young = '';
    executor.pause();
    try {
      young = await replaced(running);
    } finally {
      executor.resume();
    }
    await mesh.until('the younger one is stopped', async () =>
      (await mesh.executions(witness, id)).some(
        ({ ID, Phase }) => ID === young && Phase === 'cancelled',
      ),
    );
    for (const peer of [witness, executor])
      await mesh.until(
        `${peer.name} tells the same`,
        async () => (await wanted(peer, id)).join() === execution,
      );
    const text = await mesh.ok(witness, ['job', 'history', id]);
    assert.match(text, /it takes its place again/);
    await stopped(witness, id);
  });
});

describe('services in containers', { skip: await dockerMissing() }, () => {
  let first: Peer;
  before(() => {
    mesh.watchContainers();
    first = mesh.peers[0] ?? assert.fail('no peer');
  });

  const containers = async (execution: string): Promise<readonly string[]> => {
    const label = `label=shoal.execution=${execution}`;
    const ids = await dockerCommand('ps', '--all', '--no-trunc', '--quiet', '--filter', label);
    return ids === '' ? [] : ids.split('\n');
  };

  test('each run has a container of its own with nothing of the one before, which outlives its peer', async () => {
    const script =
      'ls / | grep left; touch /left; echo run $SHOAL_RESTARTS; [ $SHOAL_RESTARTS = 1 ] && sleep 3600; exit 3';
    const job = docker(script, { ...service, task: { Publisher: { Type: '' }, ResultPaths: [] } });
    const id = await mesh.submit(first, job);
    const execution = await mesh.until('it was started again', async () =>
      (await mesh.executions(first, id)).find(
        (one) => one.Restarts === 1 && one.ComputeState.Message === '',
      ),
    );
    const log = await mesh.until('its log is that of this run', async () => {
      const text = await mesh.ok(first, ['job', 'logs', id]);
      return text.includes('run 1') ? text : null;
    });
    assert.doesNotMatch(log, /left|run 0/);
    const before = await containers(execution.ID);
    assert.equal(before.length, 1);
    const executor = mesh.peerOf(execution.NodeID);
    await executor.kill();
    await executor.start();
    await mesh.joined();
    assert.deepEqual(await containers(execution.ID), before, 'the same container still runs');
    const witness = mesh.peers.find((peer) => peer !== executor) ?? assert.fail('no peer');
    await mesh.until(
      'it is the one that is wanted',
      async () => (await wanted(witness, id)).join() === execution.ID,
    );
    await stopped(witness, id);
    await mesh.until(
      'no container is left',
      async () => (await containers(execution.ID)).length === 0,
    );
  });
});
