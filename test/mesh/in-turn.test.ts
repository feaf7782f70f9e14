/** Every peer is restarted, one after the other, while a hundred jobs run: each of them ends once, and as it should. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { dockerMissing } from '../docker/support.ts';
import { leftOvers } from './leaks.ts';
import type { Peer } from './peer.ts';
import { createScene, seconds } from './scene.ts';
import { docker, noop } from './specs.ts';
import { endOf } from './workload.ts';
import type { Submitted } from './workload.ts';

const { mesh } = await createScene(5);

const JOBS = 100;
/** The others are there before the first restart: some run at each, however long one takes. */
const JOBS_BEFORE_EACH = 10;
/** So many of them in containers, which outlive a peer that is killed; what the noop engine runs dies with its own. */
const CONTAINERS = (await dockerMissing()) === false ? 10 : 0;
/** They end one after the other, and what is lost begins anew. */
const workMs = (number: number): number => 2_000 + 150 * number;
/** A program may be lost with each peer, one after the other, and no job is to fail of that. */
const FLAGS = ['--max-attempts', '6'];
/** Bounds against hangs: some seconds where nobody else works. */
const RUN_MS = 120_000;
const OVER_MS = 120_000;

describe('five peers that are restarted in turn', () => {
  let peers: readonly Peer[];
  before(async () => {
    if (CONTAINERS > 0) mesh.watchContainers();
    peers = await mesh.grow(5, { flags: FLAGS });
  });

  const submit = async (number: number): Promise<Submitted> => {
    const peer = peers[number % peers.length] ?? assert.fail('no peer');
    const inContainer = number % 10 === 0 && number / 10 < CONTAINERS;
    const milliseconds = workMs(number);
    const publish = { Publisher: { Type: 'ipfs', Params: {} } };
    const [kind, spec] = inContainer
      ? (['docker', docker(`sleep ${milliseconds / 1_000}; echo done > /outputs/file`)] as const)
      : (['noop', noop({ Milliseconds: milliseconds }, { task: publish })] as const);
    return { id: await mesh.submit(peer, spec), kind, count: 1 };
  };

  /** How many of them this peer tells to be in one of these states. */
  const inState = async (
    peer: Peer,
    jobs: readonly Submitted[],
    ...states: readonly string[]
  ): Promise<number> => {
    const all = await Promise.all(jobs.map(({ id }) => mesh.job(peer, id)));
    return all.filter(({ Job }) => states.includes(Job.State.StateType)).length;
  };

  test('a hundred jobs are completed once each, a kill ends no program in a container, and nothing is left over', async (context) => {
    const [first] = peers;
    assert.ok(first !== undefined);
    const jobs: Submitted[] = [];
    const submitMore = async (count: number): Promise<void> => {
      const numbers = Array.from({ length: count }, (_, more) => jobs.length + more);
      const added = await Promise.all(numbers.map(submit));
      jobs.push(...added);
      await mesh.until(
        'all of them run',
        async () => (await inState(first, added, 'Running', 'Completed')) === count,
        RUN_MS,
      );
    };
    await submitMore(JOBS - peers.length * JOBS_BEFORE_EACH);
    const [began, left] = [performance.now(), [] as number[]];
    for (const [index, peer] of peers.entries()) {
      await submitMore(JOBS_BEFORE_EACH);
      const other = peers[(index + 1) % peers.length] ?? first;
      left.push(await inState(other, jobs, 'Running'));
      await (index % 2 === 0 ? peer.kill() : peer.stop());
      await peer.start();
      await mesh.joined();
    }
    context.diagnostic(
      `all restarted after ${seconds(performance.now() - began)}; ${left.join(', ')} jobs ran at each restart`,
    );
    assert.ok((left.at(-1) ?? 0) > 0, 'some run at the last restart');
    for (const job of jobs) assert.equal(await endOf(mesh, peers, job, OVER_MS), 'Completed');
    context.diagnostic(`all completed after ${seconds(performance.now() - began)}`);
    let attempts = 0;
    for (const { id, kind } of jobs) {
      const executions = await mesh.executions(first, id);
      attempts += executions.length;
      if (kind !== 'docker') continue;
      // A peer that is stopped ends what it runs, and says so; one that is killed finds its containers again.
      const ends = executions.map(({ Phase }) => Phase);
      const told = executions.slice(1).map(() => 'cancelled');
      assert.deepEqual(ends, [...told, 'completed'], `${id} is run once but where it was stopped`);
    }
    context.diagnostic(`${attempts} attempts for ${JOBS} jobs`);
    for (const peer of peers) {
      await mesh.until(`nothing is left at ${peer.name}`, async () => {
        const found = await leftOvers(peer);
        return found.length === 0 && (await peer.metric('shoal_executions')) === 0;
      });
    }
  });
});
