/** Which execution is shown to whoever reads the logs of a job, and how long is waited for the first. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ShoalError } from '../../../../src/failures/shoal-error.ts';
import { executionToShow } from '../../../../src/node/logs/following.ts';
import type { JobRecords } from '../../../../src/core/contract/messages.ts';
import { FakeService } from '../../api/fake-service.ts';
import type { FakeJob } from '../../api/fake-service.ts';
import { parseJobValue } from '../../../../src/job/parse.ts';
import { SPEC } from '../../api/api-server.ts';

async function jobAt(service = new FakeService()): Promise<FakeJob> {
  const parsed = parseJobValue(SPEC);
  assert.ok(parsed.ok);
  await service.submit(parsed.job, { idempotencyToken: null, minKeepers: 0, force: false });
  return service.jobs.at(-1) ?? assert.fail('a job');
}

interface Scene {
  readonly follow?: boolean;
  readonly ref?: string | null;
  /** What happens while it is waited for the nth time, from 1; false: nobody waits any more. */
  readonly meanwhile?: (time: number) => boolean;
}

async function shown(job: FakeJob, { follow = true, ref = null, meanwhile }: Scene = {}) {
  const pauses: number[] = [];
  const look = async (): Promise<readonly JobRecords[]> => [job.view().records];
  const pause = async (ms: number): Promise<boolean> => {
    pauses.push(ms);
    return meanwhile?.(pauses.length) ?? false;
  };
  const chosen = await executionToShow({ look, ref, follow, pause });
  return { chosen, pauses };
}

const notFound = (error: unknown): boolean =>
  error instanceof ShoalError && error.failure.code === 'execution-not-found';

describe('who follows a job that has no execution yet', () => {
  it('is shown the first one as soon as there is one', async () => {
    const job = await jobAt();
    const { chosen, pauses } = await shown(job, {
      meanwhile: (time) => {
        if (time === 3) job.assign();
        return true;
      },
    });
    assert.equal(chosen.execution, job.executionId(0, 0));
    assert.equal(pauses.length, 3);
  });

  it('looks seldom when none comes for long', async () => {
    const job = await jobAt();
    const pauses: number[] = [];
    const look = async (): Promise<readonly JobRecords[]> => [job.view().records];
    const pause = async (ms: number): Promise<boolean> => pauses.push(ms) < 12;
    await assert.rejects(executionToShow({ look, ref: null, follow: true, pause }), notFound);
    assert.deepEqual(pauses.slice(0, 5), [150, 300, 600, 1_200, 2_000]);
    assert.ok(pauses.slice(4).every((ms) => ms === 2_000));
  });

  it('is told that there is none once the job is over without one', async () => {
    const job = await jobAt();
    const meanwhile = (): boolean => {
      job.close('failed', 'not-enough-nodes', 'nobody can run it');
      return true;
    };
    await assert.rejects(shown(job, { meanwhile }), notFound);
  });
});

describe('who does not follow, or names an execution that there is not', () => {
  it('is told so at once', async () => {
    const job = await jobAt();
    const meanwhile = (): boolean => assert.fail('nothing is waited for');
    await assert.rejects(shown(job, { follow: false, meanwhile }), notFound);
    await assert.rejects(shown(job, { ref: 'e-00000000', meanwhile }), notFound);
  });
});

describe('of several executions', () => {
  it('the newest that was not discarded is shown, with what it published and who holds that', async () => {
    const job = await jobAt();
    const result = { cid: 'bafyresult', bytes: 3 };
    job.complete(0, { result });
    job.assign(1);
    job.report('failed', {}, 1);
    const { chosen } = await shown(job, { follow: false });
    assert.equal(chosen.execution, job.executionId(0, 0));
    assert.equal(chosen.result?.cid, 'bafyresult');
    assert.equal(chosen.result?.holders.length, 2);
    const { chosen: named } = await shown(job, { ref: job.executionId(1, 0).slice(0, 14) });
    assert.equal(named.execution, job.executionId(1, 0));
  });
});
