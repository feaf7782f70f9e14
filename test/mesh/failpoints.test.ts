/**
 * Peers die at every place where they write something down or let something out, one place after the other, in
 * the middle of their work, and are started again: nothing that was promised is lost, nothing is done twice,
 * nothing is left over.
 */
import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { dockerMissing } from '../docker/support.ts';
import { FAILPOINTS } from './failpoint-places.ts';
import { createMesh } from './harness.ts';
import { leftOvers } from './leaks.ts';
import type { Peer } from './peer.ts';
import { docker, noop, wasm } from './specs.ts';
import { endOf } from './workload.ts';
import type { Submitted } from './workload.ts';

const noDocker = (await dockerMissing()) !== false;
const mesh = await createMesh(null, { failpoints: true });

/** From when the peer is up. */
const REACHED_MS = 15_000;
const PAUSE_MS = 400;
/** It waits while its victim is away. */
const PATIENT = { Timeouts: { QueueTimeout: 900 } };
/** Each death may cost what runs an attempt. */
const FLAGS = ['--max-attempts', '50'];

/** A peer that dies, and the jobs that only it can run. */
interface Victim {
  readonly peer: Peer;
  readonly label: string;
  readonly jobs: Submitted[];
}

let count = 0;
const isAtBirth = (place: string): boolean => place.startsWith('key.');
const isAtLeave = (place: string): boolean => place.startsWith('leave.');

async function specFor(place: string, { label }: Victim, through: Peer): Promise<object> {
  count += 1;
  const job = {
    Name: `job-${count}`,
    Constraints: [{ Key: 'victim', Operator: '=', Values: [label] }],
  };
  if (place.startsWith('container.'))
    return docker('echo done > /outputs/file', { job, task: PATIENT });
  if (place.startsWith('wasm.')) return wasm(through, 'empty.wasm', {}, { job, task: PATIENT });
  // What it makes is copied to others; what others make it copies.
  const anywhere = place.includes('replicate') || place.startsWith('pin.');
  const where = anywhere ? { Name: job.Name, Count: 3 } : job;
  const task = { ...PATIENT, Publisher: { Type: 'ipfs', Params: {} } };
  return noop({ Milliseconds: 100 }, { job: where, task });
}

/** One round of work for it; that it dies in the middle is the point. */
async function work(place: string, victim: Victim, stable: Peer): Promise<void> {
  const { peer, jobs } = victim;
  const submit = async (through: Peer, spec: object, kind: Submitted['kind'], results: number) => {
    const body = { Job: spec, IdempotencyToken: `token-${count}` };
    const put = (at: Peer) => at.send<{ JobID: string }>('PUT', '/orchestrator/jobs', body);
    const { JobID: id } = await put(through);
    jobs.push({ id, kind, count: results });
    return id;
  };
  const spec = await specFor(place, victim, stable);
  const results = 'Count' in spec && spec.Count === 3 ? 3 : 1;
  await submit(stable, spec, 'noop', results);
  if (place.includes('cancel-run')) {
    const job = { Type: 'service', Name: `job-${count}-runs` };
    const constraints = { Constraints: [{ Key: 'victim', Operator: '=', Values: [victim.label] }] };
    const endless = noop(
      { Milliseconds: 3_600_000 },
      { job: { ...job, ...constraints }, task: PATIENT },
    );
    const { JobID: id } = await stable.send<{ JobID: string }>('PUT', '/orchestrator/jobs', {
      Job: endless,
    });
    jobs.push({ id, kind: 'service', count: 1 });
    await mesh.inPhase(stable, id, 'running').catch(() => {});
    await mesh.ok(stable, ['job', 'stop', id]);
  }
  if (place.startsWith('upload.')) {
    const directory = mesh.path('tree');
    await mkdir(directory);
    await writeFile(join(directory, 'file'), place);
    await mesh.cli(peer, ['cid', 'add', directory]);
  }
  // Through itself, too: what it answers, notes and leads is its own.
  await submit(peer, await specFor(place, victim, stable), 'noop', results).catch(() => {});
}

/** Works until it dies there. */
async function dieAt(place: string, victim: Victim, stable: Peer): Promise<void> {
  const { peer } = victim;
  const env = { TEST_FAILPOINT: `${place}=kill` };
  await peer.start(env).catch((error: unknown) => {
    if (peer.running) throw error;
  });
  if (peer.running && isAtLeave(place)) process.kill(peer.pid, 'SIGTERM');
  const until = performance.now() + REACHED_MS;
  while (peer.running && performance.now() < until) {
    if (!isAtLeave(place)) await work(place, victim, stable);
    await Promise.race([peer.exit(), delay(PAUSE_MS)]);
  }
  const said = peer.log().includes(`failpoint ${place}: kill`);
  if (peer.running) await peer.kill();
  assert.ok(said, `${peer.name} did not get to ${place}`);
}

describe('five peers, two of which die at every place in turn', () => {
  test('no receipt is lost, each job has one result, and nothing is left over', async (context) => {
    const places = FAILPOINTS.filter(
      (place) => !isAtBirth(place) && !(noDocker && place.startsWith('container.')),
    );
    const stable = await mesh.add({ flags: FLAGS });
    await Promise.all([mesh.add({ flags: FLAGS }), mesh.add({ flags: FLAGS })]);
    if (!noDocker) mesh.watchContainers();
    const victims = await Promise.all(
      ['a', 'b'].map(async (label): Promise<Victim> => {
        const prepare = async (peer: Peer): Promise<void> => {
          for (const place of FAILPOINTS.filter(isAtBirth)) {
            await assert.rejects(peer.start({ TEST_FAILPOINT: `${place}=kill` }), /ended while/);
            assert.ok(peer.log().includes(`failpoint ${place}: kill`));
          }
        };
        const flags = [...FLAGS, '--label', `victim=${label}`];
        return { peer: await mesh.add({ flags, prepare }), label, jobs: [] };
      }),
    );
    await mesh.joined();
    const began = performance.now();
    const never: string[] = [];
    await Promise.all(
      victims.map(async (victim, lane) => {
        await victim.peer.kill();
        for (const place of places.filter((_, index) => index % victims.length === lane))
          await dieAt(place, victim, stable).catch((error: unknown) => never.push(String(error)));
        await victim.peer.start();
      }),
    );
    assert.deepEqual(never, []);
    await mesh.joined();
    const jobs = victims.flatMap((victim) => victim.jobs);
    const took = Math.round((performance.now() - began) / 1_000);
    context.diagnostic(`${places.length} places in ${took} s, ${jobs.length} jobs with a receipt`);
    const failed: string[] = [];
    for (const job of jobs) {
      const end = await endOf(mesh, mesh.peers, job, 60_000);
      if (end !== (job.kind === 'service' ? 'Stopped' : 'Completed'))
        failed.push((await mesh.job(stable, job.id)).Job.State.Message);
    }
    assert.deepEqual(failed, []);
    for (const { peer } of victims) {
      await mesh.until(`nothing is left at ${peer.name}`, async () => {
        const left = await leftOvers(peer);
        if (left.length > 0) throw new Error(left.join('\n'));
        return true;
      });
      const drafts = (await readdir(peer.dataDir)).filter((name) => name.endsWith('.new'));
      assert.deepEqual(drafts, []);
    }
  });
});
