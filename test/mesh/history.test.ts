/** The story of a job on real peers: whoever keeps it tells the same, whenever it is asked first, also after a restart. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { HistoryJson } from '../../src/api/types.ts';
import { runElsewhere } from './elsewhere.ts';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();

/** Of a replica whose peer is killed. */
const REPLACED_MS = 30_000;

async function storyAt(peer: Peer, id: string): Promise<readonly HistoryJson[]> {
  const text = await mesh.ok(peer, ['job', 'history', id, '--output', 'json']);
  return JSON.parse(text) as readonly HistoryJson[];
}

describe('five peers', () => {
  let first: Peer;
  before(async () => {
    first = await mesh.add();
    const flags = ['--label', 'zone=work'];
    await Promise.all(Array.from({ length: 4 }, () => mesh.add({ flags })));
    await mesh.joined();
  });

  test('tell the same story of a service that was restarted, lost, begun elsewhere and stopped', async () => {
    const Constraints = [{ Key: 'zone', Operator: '=', Values: ['work'] }];
    const spec = noop(
      { Ends: 1, ExitCode: 3, Milliseconds: 50 },
      { job: { Type: 'service', Constraints } },
    );
    const { id, execution, executor } = await runElsewhere(mesh, spec);
    const restarted = (but: string): Promise<string> =>
      mesh.until(
        'it was started again',
        async () =>
          (await mesh.executions(first, id)).find(
            ({ ID, Restarts, Phase }) => ID !== but && Restarts === 1 && Phase === 'running',
          )?.ID,
        REPLACED_MS,
      );
    assert.equal(await restarted(''), execution);
    await executor.kill();
    const young = await restarted(execution);
    await mesh.ok(first, ['job', 'stop', id, '--reason', 'enough']);
    await mesh.reaches(first, id, 'Stopped');

    const others = mesh.peers.filter((peer) => peer !== first && peer !== executor);
    const untold = others.slice(0, 2);
    const isWhole = (story: readonly HistoryJson[]): boolean =>
      story.some(
        ({ ExecutionID, Event }) => ExecutionID === young && Event.Message.startsWith('Cancelled'),
      );
    const stories = await mesh.until('both have heard of the end', async () => {
      const told = await Promise.all(untold.map((peer) => storyAt(peer, id)));
      return told.every(isWhole) ? told : null;
    });
    const [one, other] = stories;
    assert.deepEqual(one, other);
    const said = (of: string | undefined): readonly string[] =>
      (one ?? []).flatMap(({ ExecutionID, Event }) => (ExecutionID === of ? [Event.Message] : []));
    const run = [
      /^Assigned to n-/,
      /^Received by the node$/,
      /^Preparing the environment$/,
      /^Running$/,
      /^Its program ended with exit code 3; it is started again after 1 s \(restart 1\)$/,
      /^Started again \(restart 1\)$/,
    ];
    const ends = [
      /^n-.* is lost: .*; attempt 2 on n-.* takes its place$/,
      /^Cancelled: job closed$/,
    ];
    for (const [at, of] of [execution, young].entries()) {
      const patterns = [...run, ends[at] ?? assert.fail()];
      const texts = said(of).filter((text) => text !== 'Fetching inputs');
      assert.equal(texts.length, patterns.length, texts.join('\n'));
      for (const [index, pattern] of patterns.entries()) assert.match(texts[index] ?? '', pattern);
    }
    const ofJob = said(undefined).filter((text) => !text.startsWith('Keepers changed'));
    assert.deepEqual(ofJob.slice(0, 1), ['Job submitted']);
    assert.match(
      ofJob.slice(1).join('\n'),
      /^Job admitted: .*\nJob running\nStop requested: enough\nJob stopped: /,
    );
    assert.ok((one ?? []).every(({ SeqNum }, index) => SeqNum === index + 1));

    const [again = assert.fail()] = untold;
    await again.stop();
    await again.start();
    await mesh.joined(mesh.peers.filter((peer) => peer !== executor));
    assert.deepEqual(await storyAt(again, id), one);
  });
});
