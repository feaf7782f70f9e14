/** Invariant I12 (S16): a ledger is what you get by merging records, in any order, however often. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Phase } from '../../src/core/record/execution.ts';
import { asExecutionId, asHlc, asJobId, asNodeId, asStoreId } from '../../src/core/record/ids.ts';
import type { Ledger } from '../../src/core/record/ledger.ts';
import {
  createLedger,
  mergeCommand,
  mergeCommitted,
  mergeGrant,
  mergeState,
  recordsOf,
} from '../../src/core/record/ledger.ts';
import type { CertifiedValue } from '../../src/core/contract/messages.ts';
import type { Certified, Signed } from '../../src/core/record/records.ts';
import { createFastSuite, nodeIdOf, nodeKey, ownerKey } from './fast-suite.ts';
import { NO_FAULTS } from './faults.ts';
import { quietOptions } from './options.ts';
import type { Random } from './random.ts';
import { createRandom } from './random.ts';
import { createJobs } from './workload.ts';

type Item =
  | { readonly kind: 'state'; readonly record: Signed<'state'> }
  | { readonly kind: 'command'; readonly record: Signed<'command'> }
  | { readonly kind: 'grant'; readonly record: Certified<'grant'> }
  | { readonly kind: 'committed'; readonly record: CertifiedValue };

const suite = createFastSuite({ node: nodeKey(0), owner: ownerKey(0), freeze: true });
const NODE = nodeIdOf(nodeKey(0));
const JOB = asJobId('j-1');
const PHASES: readonly Phase[] = [
  'received',
  'preparing',
  'running',
  'completed',
  'failed',
  'cancelled',
];

function base(): { spec: Signed<'spec'>; admission: Certified<'admission'> } {
  const workload = { ...quietOptions(1, 1, 1).workload, owners: [ownerKey(0)] };
  const job = createJobs(workload, NO_FAULTS, createRandom(1))[0];
  assert.ok(job);
  const about = { job: JOB, version: 1 };
  const spec = suite.seal(
    'spec',
    {
      ...about,
      owner: suite.owner,
      nonce: job.nonce,
      sponsor: NODE,
      spec: job.spec,
      notAfter: 1e15,
    },
    asHlc(1),
    'owner',
  );
  const keepers = [{ node: NODE, store: asStoreId('s') }];
  const admission = suite.seal(
    'admission',
    { ...about, spec: spec.id, keepers, sponsor: NODE },
    asHlc(1),
    'node',
  );
  return { spec, admission: { record: admission, votes: [] } };
}

/** A random history: some of everything, states of one execution in several versions. */
function history(random: Random): readonly Item[] {
  const items: Item[] = [];
  const at = (): ReturnType<typeof asHlc> => asHlc(random.integer(1, 1_000));
  const vote = (of: string, slot: 'grant', number: number): Signed<'vote'> => {
    const epoch = { config: { major: 0, minor: 0 }, number, leader: NODE };
    const store = asStoreId('s');
    return suite.seal(
      'vote',
      { job: JOB, of: of as Signed<'vote'>['id'], slot, epoch, store },
      at(),
      'node',
    );
  };
  for (let number = 1; number <= random.integer(0, 3); number += 1) {
    const grant = suite.seal(
      'grant',
      { job: JOB, epoch: { config: { major: 0, minor: 0 }, number, leader: NODE } },
      at(),
      'node',
    );
    items.push({
      kind: 'grant',
      record: { record: grant, votes: [vote(grant.id, 'grant', number)] },
    });
  }
  for (let sequence = 1; sequence <= random.integer(0, 3); sequence += 1) {
    const body = {
      job: JOB,
      sequence: random.integer(1, 2),
      command: 'stop',
      reason: 'r',
      notAfter: 1e15,
    } as const;
    items.push({ kind: 'command', record: suite.seal('command', body, at(), 'owner') });
  }
  for (let attempt = 0; attempt < random.integer(1, 3); attempt += 1) {
    const execution = asExecutionId(`e-${attempt}`);
    const about = { job: JOB, version: 1, partition: 0, attempt, execution, node: NODE };
    const replaces = attempt === 0 ? null : 'lost';
    const assign = suite.seal(
      'assign',
      {
        ...about,
        replaces,
        adopts: null,
        epoch: { config: { major: 0, minor: 0 }, number: 0, leader: NODE },
      },
      at(),
      'node',
    );
    items.push({ kind: 'committed', record: { record: assign, votes: [] } });
    for (let step = 0; step < random.integer(0, 4); step += 1) {
      const state = suite.seal(
        'state',
        {
          ...about,
          sequence: random.integer(0, 3),
          phase: random.pick(PHASES),
          restarts: 0,
          retryMs: null,
          exitCode: null,
          result: null,
          failure: null,
          output: null,
          usage: null,
        },
        at(),
        'node',
      );
      items.push({ kind: 'state', record: state });
    }
    // Two leaders may each have given a node that enrolled a place.
    for (const partition of [1, 2].filter(() => random.chance(0.2))) {
      const epoch = { config: { major: 0, minor: 0 }, number: 0, leader: NODE };
      const body = { ...about, partition, replaces, adopts: null, epoch } as const;
      const second = suite.seal('assign', body, at(), 'node');
      items.push({ kind: 'committed', record: { record: second, votes: [] } });
    }
    if (attempt > 0 || random.chance(0.5)) continue;
    const accept = suite.seal(
      'accept',
      { ...about, exitCode: 0, result: null, holders: [asNodeId('x')] },
      at(),
      'node',
    );
    items.push({ kind: 'committed', record: { record: accept, votes: [] } });
  }
  return items;
}

function merge(ledger: Ledger, item: Item): void {
  switch (item.kind) {
    case 'state':
      mergeState(ledger, item.record);
      return;
    case 'command':
      mergeCommand(ledger, item.record);
      return;
    case 'grant':
      mergeGrant(ledger, item.record);
      return;
    case 'committed':
      mergeCommitted(ledger, item.record);
  }
}

/** Everything a ledger says, in an order of its own. */
function content(ledger: Ledger): unknown {
  const records = recordsOf(ledger);
  const ids = (list: readonly { readonly id: string }[]): readonly string[] =>
    list.map(({ id }) => id).sort();
  return {
    grant: records.grant?.record.id ?? null,
    commands: ids(records.commands),
    committed: ids(records.committed.map(({ record }) => record)),
    states: ids(records.states),
    partitions: [...ledger.partitions]
      .sort(([a], [b]) => a - b)
      .map(([partition, { attempts, accept }]) => ({
        partition,
        accept: accept?.record.id ?? null,
        attempts: [...attempts]
          .map(([number, { assign, state }]) => [number, assign.record.id, state?.id ?? null])
          .sort(),
      })),
    assigned: [...ledger.assigned].map(([id, { partition }]) => `${id} ${partition}`).sort(),
    close: ledger.close?.record.id ?? null,
  };
}

function ledgerOf(items: readonly Item[]): Ledger {
  const { spec, admission } = base();
  const ledger = createLedger(spec, admission);
  for (const item of items) merge(ledger, item);
  return ledger;
}

describe('merging records', () => {
  it('gives the same ledger for any order and any repetition', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const random = createRandom(seed);
        const items = history(random);
        const expected = content(ledgerOf(items));
        const again = random.shuffled([...items, ...items.filter(() => random.chance(0.5))]);
        assert.deepEqual(content(ledgerOf(again)), expected, `seed ${seed}`);
      }),
      { numRuns: 500 },
    );
  });

  it('gives the same ledger when lost records come later', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const random = createRandom(seed);
        const items = history(random);
        const kept = items.filter(() => random.chance(0.6));
        const late = items.filter((item) => !kept.includes(item));
        assert.deepEqual(
          content(ledgerOf([...kept, ...late])),
          content(ledgerOf(items)),
          `seed ${seed}`,
        );
      }),
      { numRuns: 500 },
    );
  });
});
