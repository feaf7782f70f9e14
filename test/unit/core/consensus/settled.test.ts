/** Keepers change when a quorum knows what was decided before: the next but one shares nobody with those who decided it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isSettled } from '../../../../src/core/consensus/settled.ts';
import { createCommits } from '../../../../src/core/consensus/state.ts';
import type { KeptJob } from '../../../../src/core/keeping/state.ts';
import type { Leader } from '../../../../src/core/leading/state.ts';
import type { Node } from '../../../../src/core/node/state.ts';
import { DEFAULT_LIMITS } from '../../../../src/core/contract/limits.ts';
import { createLedger, mergeCommitted } from '../../../../src/core/record/ledger.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import { admitted, assignOf, committed, idOf, jobWith } from '../fixtures.ts';

const job = admitted(jobWith(), [0, 1, 2]);
const core = { self: idOf(0), now: 0, config: { limits: DEFAULT_LIMITS } } as unknown as Node;

/** Node 0 leads under a later epoch than the one in which an assignment was committed. */
function leading(number = 1) {
  const ledger = createLedger(job.spec, job.admission);
  const value = committed(job, assignOf(job, { node: 7 }));
  mergeCommitted(ledger, value);
  const commits = createCommits(core);
  const lead = { commits, epoch: { ...job.epoch, number } } as Leader;
  const slot = slotOf(value.record);
  return { commits, slot, settled: () => isSettled(core, { ledger } as KeptJob, lead) };
}

describe('what was decided before the epoch of a leader', () => {
  it('is known to a quorum when enough keepers have acknowledged it', () => {
    const { commits, slot, settled } = leading();
    for (const node of [1, 2]) commits.unacked.set(idOf(node), new Map([[slot, true]]));
    assert.equal(settled(), false);
    commits.unacked.get(idOf(2))?.delete(slot);
    assert.equal(settled(), true);
  });

  it('is not when it took a value over that is not committed yet', () => {
    const { commits, settled } = leading();
    const { record } = committed(job, assignOf(job, { node: 8, partition: 1 }));
    const slot = slotOf(record);
    const support = { states: [], commands: [] };
    const proposal = { slot, value: record, ...support, votes: new Map(), since: core.now };
    commits.proposals.set(slot, proposal);
    assert.equal(settled(), true, 'its own may be decided later');
    commits.inherited.add(slot);
    assert.equal(settled(), false);
  });

  it('is nothing that was decided under it: that a quorum has accepted', () => {
    const { commits, slot, settled } = leading(0);
    for (const node of [1, 2]) commits.unacked.set(idOf(node), new Map([[slot, true]]));
    assert.equal(settled(), true);
  });
});
