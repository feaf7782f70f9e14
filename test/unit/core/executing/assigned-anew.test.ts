/** An execution that keepers which re-seeded its job give to the node that has it already. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { firstEpoch } from '../../../../src/core/record/ballot.ts';
import { FIRST_CONFIG, reseedId } from '../../../../src/core/record/chain.ts';
import type { Epoch, Signed } from '../../../../src/core/record/records.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import { Cluster } from '../cluster.ts';
import {
  admitted,
  announcementOf,
  assignOf,
  at,
  certify,
  grantOf,
  idOf,
  jobWith,
  setOf,
  suite,
  suiteOf,
} from '../fixtures.ts';

const job = admitted(jobWith({ Type: 'service' }), [1, 2, 3]);
const { job: id } = job.spec.body;

/** Keepers 1 and 2 went on without 3, which re-seeded the job with 4 and 5. */
function theirs() {
  const body = { job: id, config: { major: 0, minor: 1 }, keepers: setOf([1, 2]), former: [] };
  const record: Signed<'config'> = suiteOf(1).seal('config', body, at(5), 'node');
  return leadOf(certify(record, slotOf(record), [1, 2], job.epoch), 1, [1, 2]);
}

function ours() {
  const keepers = setOf([3, 4, 5]);
  const config = reseedId(suite, id, FIRST_CONFIG, keepers);
  const body = { job: id, config, keepers, former: [], reseeds: FIRST_CONFIG };
  const record: Signed<'config'> = suiteOf(3).seal('config', body, at(5), 'node');
  return leadOf(certify(record, slotOf(record), [3, 4], firstEpoch(body)), 3, [3, 4]);
}

/** What the leader of a configuration shows, and its assignment of the first attempt to node 0. */
function leadOf(last: ReturnType<typeof certify<'config'>>, leader: number, voters: number[]) {
  const epoch: Epoch = { config: last.record.body.config, number: 1, leader: idOf(leader) };
  const grant = certify(grantOf(job, epoch, leader), 'grant', voters, epoch);
  const assign = assignOf(job, { node: 0, by: leader }, epoch);
  const assigns = [certify(assign, slotOf(assign), voters, epoch)];
  return { epoch, configs: [last], grant, assigns };
}

describe('an execution that those who re-seeded its job assign to the same node', () => {
  it('runs on: it is theirs from now on', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [{ type: 'phase', phase: 'running' }] });
    const { spec, admission } = job;
    const rest = { type: 'assign', spec, admission, holders: [] } as const;
    const { epoch: _, assigns: first, ...before } = theirs();
    cluster.message(0, 1, { type: 'invite', announcement: announcementOf(job, before) });
    cluster.message(0, 1, { ...rest, ...before, assigns: first });
    assert.equal(cluster.effects('run').length, 1);
    cluster.advance(30_000);
    const { epoch, assigns, ...after } = ours();
    cluster.message(0, 3, { ...rest, ...after, assigns });
    cluster.message(0, 3, { type: 'leads', job: id, epoch, ...after });
    assert.equal(cluster.effects('cancel-run').length, 0);
    assert.equal(cluster.effects('run').length, 1);
  });
});
