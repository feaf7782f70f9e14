/** A large job that comes in parts is whole in the end, whatever those who tell of it say comes next. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CertifiedResult } from '../../../src/core/contract/messages.ts';
import { wholeOf } from '../../../src/node/whole-job.ts';
import type { Part } from '../../../src/node/whole-job.ts';
import { admitted, assignOf, committed, jobWith } from '../core/fixtures.ts';

const COUNT = 10;
const job = admitted(jobWith({ Count: COUNT }), [0, 1, 2]);
const values: readonly CertifiedResult[] = Array.from({ length: COUNT }, (_, partition) =>
  committed(job, assignOf(job, { node: 4, partition })),
);
const { spec, admission } = job;
const partOf = (from: number, to: number, next: number | null): Part => ({
  records: {
    ...{ spec, admission, grant: null, commands: [], states: [] },
    committed: values.slice(from, to),
  },
  next,
});

describe('a job that comes in parts', () => {
  it('is put together from all of them', async () => {
    const asked: number[] = [];
    const whole = await wholeOf(partOf(0, 3, 3), async (from) => {
      asked.push(from);
      return partOf(from, from + 4, from + 4 < COUNT ? from + 4 : null);
    });
    assert.deepEqual(asked, [3, 7]);
    assert.deepEqual(whole.committed, values);
  });

  it('has each value once, though two parts tell of it', async () => {
    const whole = await wholeOf(partOf(0, 6, 4), async () => partOf(4, COUNT, null));
    assert.deepEqual(whole.committed, values);
  });

  it('is not asked for again when it is told at once', async () => {
    const whole = await wholeOf(partOf(0, COUNT, null), () => assert.fail('it is whole'));
    assert.equal(whole.committed.length, COUNT);
  });

  for (const next of [0, 2, 3])
    it(`is not asked for without end by who says that ${next} comes after 3`, async () => {
      let asked = 0;
      await wholeOf(partOf(0, 3, 3), async () => {
        asked += 1;
        return partOf(3, 4, next);
      });
      assert.equal(asked, 1);
    });
});
