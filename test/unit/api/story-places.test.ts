/** What the events of a job say of partitions, of copies of results, and of what comes after a failure. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { storyOf } from '../../../src/api/story.ts';
import type { StoryEvent } from '../../../src/api/story-event.ts';
import { parseJobValue } from '../../../src/job/parse.ts';
import { FakeService, NODE_A, NODE_B, type FakeJob } from './fake-service.ts';
import { SPEC } from './api-server.ts';

const RESULT = { cid: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi', bytes: 9 };
const BROKEN = { code: 'node-broken', class: 'node', message: 'it broke' } as const;

async function jobOf(change: object = {}): Promise<FakeJob> {
  const service = new FakeService();
  const parsed = parseJobValue({ ...SPEC, ...change });
  assert.ok(parsed.ok);
  await service.submit(parsed.job, { idempotencyToken: null, minKeepers: 0, force: false });
  return service.jobs.at(-1) ?? assert.fail('a job');
}

const story = (job: FakeJob): readonly StoryEvent[] => {
  const { records, current } = job.view();
  return storyOf([{ records, current }]);
};
const hints = (job: FakeJob): readonly (string | undefined)[] =>
  story(job)
    .filter(({ details }) => details['IsError'] === 'true' && details['Hint'] !== undefined)
    .map(({ details }) => details['Hint']);

describe('the events of a job', () => {
  it('say their partition, of whichever execution they are', async () => {
    const job = await jobOf({ Count: 2 });
    job.complete(0);
    job.complete(1);
    const of = (partition: number): readonly (string | undefined)[] =>
      story(job)
        .filter(({ execution }) => execution === job.executionId(partition, 0))
        .map(({ details }) => details['Partition']);
    assert.deepEqual([...new Set(of(0)), ...new Set(of(1))], ['0', '1']);
    const ofJob = story(job).filter(({ execution }) => execution === null);
    assert.ok(ofJob.every(({ details }) => details['Partition'] === undefined));
  });

  it('say of no partition where each node decides for itself', async () => {
    const job = await jobOf({ Type: 'ops', Count: 0 });
    job.complete(0);
    assert.ok(story(job).every(({ details }) => details['Partition'] === undefined));
  });

  it('tell that a second copy of a result is made, and at last who has it', async () => {
    const job = await jobOf();
    job.assign();
    job.report('completed', { exitCode: 0, result: RESULT });
    const text = (): string =>
      story(job)
        .map(({ message }) => message)
        .join('\n');
    assert.match(
      text(),
      /Result bafybei\S+ \(9 B\) is at n-\S{8}; a copy at a second peer is wanted before it counts$/,
    );
    job.accept(0, 0, { result: RESULT });
    assert.match(text(), /accepted \(exit code 0\); it is at n-\S{8}/);
  });

  it('name the node that was lost and the one that goes on', async () => {
    const job = await jobOf();
    job.assign(0, 0, NODE_A);
    job.assign(0, 1, NODE_B);
    const [a, b] = [NODE_A, NODE_B].map((node) => `n-${node.slice(-8)}`);
    const told = story(job).find(({ details }) => details['Reason'] === 'lost');
    assert.equal(
      told?.message,
      `${a} is lost: nothing was heard of it for a whole lease; attempt 2 on ${b} takes its place`,
    );
  });

  it('promise no further attempt after the last one', async () => {
    const job = await jobOf();
    for (const attempt of [0, 1, 2]) {
      job.assign(0, attempt);
      job.report('failed', { failure: BROKEN }, 0, attempt);
    }
    const last = 'That was the last attempt.';
    assert.deepEqual(hints(job), ['Another node is tried.', 'Another node is tried.', last]);
    const stopped = await jobOf();
    stopped.assign();
    stopped.report('failed', { failure: BROKEN });
    assert.deepEqual(hints(stopped), ['Another node is tried.']);
    stopped.close('stopped');
    assert.deepEqual(hints(stopped), [last]);
    const ops = await jobOf({ Type: 'ops', Count: 0 });
    ops.assign();
    ops.report('failed', { failure: BROKEN });
    assert.deepEqual(hints(ops), [last]);
  });
});
