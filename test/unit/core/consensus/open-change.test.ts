/** A change of keepers that hangs: it is given up only when those who did not accept it leave too few to have decided it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mayBeDecided } from '../../../../src/core/consensus/open-change.ts';
import { chunkOfValue } from '../../../../src/core/consensus/snapshot.ts';
import type { Candidacy, Promised } from '../../../../src/core/consensus/state.ts';
import type { KeptJob } from '../../../../src/core/keeping/state.ts';
import { createLedger } from '../../../../src/core/record/ledger.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import { admitted, configOf, grantOf, idOf, jobWith } from '../fixtures.ts';

/** Of 0, 1 and 2 the last one is to make room for 3; node 0 asks for promises. */
const job = admitted(jobWith(), [0, 1, 2]);
const value = configOf(job, [0, 1, 3], [0, 1, 2]);
const open = { slot: slotOf(value), epoch: job.epoch, value };
const grant = grantOf(job, { ...job.epoch, number: 1 }, 0);
const chunk = chunkOfValue(job.spec.body, value);

interface Told {
  /** It has something else than node 0 where changes of keepers are. */
  readonly differs: boolean;
  /** All of that is here. */
  readonly isPulled?: boolean;
  readonly accepted?: boolean;
}

const promiseOf = ({ differs, isPulled = true, accepted = false }: Told): Promised => {
  const differing = differs ? [chunk] : [];
  const pull = {
    snapshot: '',
    differing,
    done: isPulled ? differing.length : 0,
    from: 0,
    pages: 0,
  };
  const vote = {} as Promised['vote'];
  const digest = {} as Promised['digest'];
  return { vote, digest, pull, changes: new Set(accepted ? [value.id] : []) };
};

function may(told: Readonly<Record<number, Told>>, own = false): boolean {
  const ledger = createLedger(job.spec, job.admission);
  const kept = { ledger, accepted: new Map(own ? [[open.slot, open]] : []) };
  const promises = new Map(
    Object.entries({ 0: { differs: false }, ...told }).map(([node, one]) => [
      idOf(Number(node)),
      promiseOf(one),
    ]),
  );
  return mayBeDecided(kept as unknown as KeptJob, { grant, promises } as Candidacy, open);
}

describe('a change of keepers that somebody voted for', () => {
  it('was not decided when two of three did not accept it', () => {
    assert.equal(may({ 1: { differs: false } }), false);
    assert.equal(may({ 1: { differs: true } }), false);
  });

  it('may have been as long as one of them has not said so', () => {
    assert.equal(may({}), true);
    assert.equal(may({ 1: { differs: true, isPulled: false } }), true);
  });

  it('may have been when one of them accepted it, by its own word or as it has the same as this node', () => {
    assert.equal(may({ 1: { differs: true, accepted: true } }), true);
    assert.equal(may({ 1: { differs: false } }, true), true);
    assert.equal(may({ 1: { differs: true } }, true), true);
    assert.equal(may({ 1: { differs: true }, 2: { differs: true } }, true), false);
  });
});
