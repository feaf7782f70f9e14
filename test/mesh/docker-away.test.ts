/** The Docker engine of a peer is killed and started again while a batch job and a service run in it. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { ExecutionJson } from '../../src/api/types.ts';
import { createOwnDocker, loadImage, ownEngineMissing } from '../docker/own-docker.ts';
import type { OwnDocker } from '../docker/own-docker.ts';
import { dockerMissing } from '../docker/support.ts';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { seconds } from './scene.ts';
import { docker } from './specs.ts';

const skip = (await dockerMissing()) || (await ownEngineMissing());
const mesh = await createMesh();

const BACK_MS = 60_000;

interface Machine {
  readonly engine: OwnDocker;
  readonly peer: Peer;
  /** Submits a script for this machine alone. */
  submit(script: string, job?: object): Promise<string>;
}

describe('a peer whose Docker is killed and started again', { skip }, () => {
  let witness: Peer;
  before(async () => {
    witness = await mesh.add({ flags: ['--no-docker'] });
  });

  const machine = async (name: string, ...flags: readonly string[]): Promise<Machine> => {
    const engine = await createOwnDocker(...flags);
    mesh.defer(async () => engine[Symbol.asyncDispose]());
    await engine.start();
    await loadImage(engine);
    const peer = await mesh.add({
      flags: ['--docker-socket', engine.socket, '--label', `machine=${name}`],
    });
    await mesh.joined();
    const Constraints = [{ Key: 'machine', Operator: '=', Values: [name] }];
    return {
      engine,
      peer,
      submit: (script, job = {}) =>
        mesh.submit(witness, docker(script, { job: { ...job, Constraints } })),
    };
  };

  /** The one container of this execution, once it runs. */
  const containerOf = ({ engine }: Machine, { ID }: ExecutionJson): Promise<string> =>
    mesh.until(`${ID} has its container`, () =>
      engine.docker('ps', '--no-trunc', '--quiet', '--filter', `label=shoal.execution=${ID}`),
    );

  /** @returns when it was back, by `performance.now()` */
  const killAndStart = async ({ engine }: Machine): Promise<number> => {
    await engine.stop('SIGKILL');
    await engine.start();
    return performance.now();
  };

  const running = async (id: string): Promise<ExecutionJson> =>
    (await mesh.inPhase(witness, id, 'running'))[0] ?? assert.fail(`${id} does not run`);

  const stopped = async ({ engine }: Machine, id: string): Promise<void> => {
    await mesh.ok(witness, ['job', 'stop', id]);
    await mesh.reaches(witness, id, 'Stopped');
    await mesh.until(
      'no container is left',
      async () => (await engine.docker('ps', '--all', '--quiet')) === '',
    );
  };

  test('what it took down with it runs anew: the batch job is completed by its next attempt, the service is back', async (context) => {
    const fragile = await machine('fragile');
    const batch = await fragile.submit(
      'echo attempt $SHOAL_ATTEMPT; [ $SHOAL_ATTEMPT != 0 ] || sleep 600',
    );
    const service = await fragile.submit('sleep 3600', { Type: 'service' });
    await running(batch);
    const old = await containerOf(fragile, await running(service));
    const back = await killAndStart(fragile);
    const { Executions } = await mesh.reaches(witness, batch, 'Completed', BACK_MS);
    context.diagnostic(`batch job completed after ${seconds(performance.now() - back)}`);
    const attempts = Executions?.Items ?? [];
    assert.deepEqual(
      attempts.map(({ Phase }) => Phase),
      ['failed', 'completed'],
    );
    assert.match(attempts[0]?.ComputeState.Message ?? '', /Docker/);
    assert.equal(attempts[1]?.RunOutput?.Stdout, 'attempt 1\n');
    const replica = await mesh.until(
      'the service runs again',
      async () =>
        (await mesh.executions(witness, service)).find(
          ({ Phase, ComputeState }) => Phase === 'running' && ComputeState.Message === '',
        ),
      BACK_MS,
    );
    assert.notEqual(await containerOf(fragile, replica), old);
    context.diagnostic(`service runs again after ${seconds(performance.now() - back)}`);
    await stopped(fragile, service);
  });

  test('what outlives it goes on: the batch job is run once, no output missing, the service in its container', async (context) => {
    const sturdy = await machine('sturdy', '--live-restore');
    const batch = await sturdy.submit('echo begun; sleep 12; echo ended');
    const service = await sturdy.submit('sleep 3600', { Type: 'service' });
    await running(batch);
    const old = await containerOf(sturdy, await running(service));
    const back = await killAndStart(sturdy);
    const { Executions } = await mesh.reaches(witness, batch, 'Completed', BACK_MS);
    context.diagnostic(`batch job completed after ${seconds(performance.now() - back)}`);
    assert.deepEqual(
      Executions?.Items.map(({ Phase, RunOutput }) => [Phase, RunOutput?.Stdout]),
      [['completed', 'begun\nended\n']],
    );
    const replica = await running(service);
    assert.equal(await containerOf(sturdy, replica), old);
    assert.equal(replica.Restarts ?? 0, 0);
    await stopped(sturdy, service);
  });
});
