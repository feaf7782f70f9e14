/** `job describe` while a service goes over to another version. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JobRecords } from '../../../src/core/contract/messages.ts';
import type { Signed } from '../../../src/core/record/records.ts';
import type { JobView } from '../../../src/api/service.ts';
import { admitted, assignOf, jobWith, nextSpec, stateOf } from '../core/fixtures.ts';
import { createCli } from './cli.ts';

const SERVICE = jobWith({ Type: 'service', Count: 2 });
const first = admitted(SERVICE, [1, 2, 3]);
const second = { ...first, spec: nextSpec(first.spec, SERVICE) };

function viewOf(spec: Signed<'spec'>, running: readonly number[]): JobView {
  const job = { ...first, spec };
  const assigns = running.map((partition) => assignOf(job, { node: partition, partition }));
  const committed = assigns.map(
    (record) => ({ record, votes: [] }) as JobRecords['committed'][number],
  );
  const states = assigns.map((assign) => stateOf(assign, assign.body.partition, {}));
  const { admission } = first;
  return {
    records: { spec, admission, grant: null, commands: [], committed, states },
    ...{ current: 2, waiting: null, state: 'Running', keepers: null, keepersWanted: 3 },
  };
}

/** Version and state of each line of the table. */
async function shown(olds: readonly number[], news: readonly number[]): Promise<readonly string[]> {
  const cli = await createCli();
  const [old, now] = [viewOf(first.spec, olds), viewOf(second.spec, news)];
  cli.api.service.getJob = async () => now;
  cli.api.service.versions = async () => [old, now];
  const { out } = await cli.run(['job', 'describe', first.spec.body.job]);
  const table = /\nExecutions\n([^]*?)(?:\n\n|\n$)/.exec(out)?.[1] ?? assert.fail(out);
  return table
    .split('\n')
    .slice(1)
    .map(
      (line) =>
        /^(?:(\d) {2,})?.*(Running|Cancelled)/.exec(line)?.slice(1, 3).join(' ').trim() ?? line,
    );
}

test('replicas of both versions are shown while it goes over, and of the present one after that', async () => {
  assert.deepEqual(await shown([0, 1], []), ['1 Running', '1 Running']);
  assert.deepEqual(await shown([0, 1], [0]), ['2 Running', '1 Running', '1 Running']);
  assert.deepEqual(await shown([1], [0, 1]), ['Running', 'Running']);
});

test('what cannot be had of the earlier versions keeps nobody from the present one', async () => {
  const cli = await createCli();
  cli.api.service.getJob = async () => viewOf(second.spec, [0]);
  cli.api.service.versions = async () => assert.fail('nobody answers');
  const { code, out } = await cli.run(['job', 'describe', first.spec.body.job]);
  assert.equal(code, 0);
  assert.match(out, /\nExecutions\n/);
});
