/** What looks at a healed mesh excuses what it says that it excuses, and no more. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DEFAULT_LIMITS } from '../../src/core/contract/limits.ts';
import type { StoreWrite } from '../../src/core/contract/stored.ts';
import { configSlot } from '../../src/core/record/slot.ts';
import { admitted, closeOf, configOf, idOf, jobWith, storeOf } from '../unit/core/fixtures.ts';
import { checkDaemons } from './daemons.ts';
import type { JobFacts } from './facts.ts';
import type { LivenessContext } from './liveness.ts';
import { checkCalm, checkReplaced, checkRest, isUntold } from './liveness.ts';
import type { NodeView } from './observer.ts';
import { nodeKey } from './fast-suite.ts';
import { profileOf } from './profile.ts';
import { checkReplicas } from './services.ts';
import { createSimStore } from './sim-store.ts';

const OF = admitted(jobWith({ Type: 'service', Count: 1 }), [0, 1, 2]);
const JOB = OF.spec.body.job;
const HOUR_MS = 3_600_000;
const NOTHING = { cpuMillis: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };

const factsOf = (more: Partial<JobFacts> = {}): JobFacts => ({
  job: JOB,
  spec: OF.spec.body,
  first: OF.spec.body,
  lines: new Map(),
  line: 0,
  admissions: new Map(),
  admitted: { body: OF.admission.record.body, at: 0 },
  configs: new Map(),
  version: 1,
  chosen: new Map(),
  epochs: new Map(),
  ...more,
});

/** Kept by the first node alone, so that those that are there keep it whatever a test leaves out. */
const { keepers, ...rest } = OF.admission.record.body;
const ALONE: Partial<JobFacts> = {
  admitted: { body: { ...rest, keepers: keepers.filter(({ node }) => node === idOf(0)) }, at: 0 },
};

const nodeAt = (index: number, up = true): NodeView =>
  ({ id: idOf(index), up, store: createSimStore(storeOf(index)) }) as unknown as NodeView;

const roomyNode = (): NodeView =>
  ({
    ...nodeAt(0),
    profile: profileOf(0, idOf(0)),
    inspect: () => ({ capacity: profileOf(0, idOf(0)).capacity, reserved: NOTHING, held: NOTHING }),
  }) as unknown as NodeView;

/** @param now since the faults; an hour after them unless told */
function seen(
  check: (context: LivenessContext) => void,
  facts: JobFacts,
  nodes: readonly NodeView[],
  now = HOUR_MS,
): readonly string[] {
  const checkers: string[] = [];
  check({
    now: () => now,
    healedAt: () => 0,
    nodes,
    limits: DEFAULT_LIMITS,
    facts: {
      jobs: new Map([[JOB, facts]]),
      closedAt: () => facts.chosen.get('close/1')?.at ?? null,
    },
    stopAsked: () => false,
    violation: (checker: string) => checkers.push(checker),
  } as unknown as LivenessContext);
  return checkers;
}

describe('a job whose keepers are gone', () => {
  /** The proposed change of keepers, on the disk of those that voted for it. */
  const change = configOf(OF, [0, 1, 3], [0, 1, 2]);
  const slot = configSlot({ major: 0, minor: 1 });
  function replaced(up: readonly number[], voted: readonly number[]): readonly string[] {
    const nodes = [0, 1, 2, 3, 4].map((index) => nodeAt(index, up.includes(index)));
    for (const index of voted) {
      const value = { epoch: OF.epoch, value: change };
      nodes[index]?.store.apply([{ table: 'accepted', job: JOB, key: slot, value }]);
    }
    return seen((context) => checkReplaced(context, 0), factsOf(), nodes);
  }

  it('is seen when nobody proposed another', () => {
    assert.deepEqual(replaced([0, 1, 3, 4], []), ['L10']);
  });

  it('is excused when those that are gone may have decided, and one who is there does not miss who should go', () => {
    assert.deepEqual(replaced([0, 1, 4], [0]), []);
  });

  it('is seen when those that are there need only do what all of them are for', () => {
    assert.deepEqual(replaced([0, 1, 3, 4], [0, 1, 3]), ['L10']);
  });

  it('is seen when so many refused that the others cannot have decided anything', () => {
    const [one, other] = [replaced([0, 1, 2, 3, 4], [0]), replaced([0, 1, 3, 4], [4])];
    assert.deepEqual(one, ['L10']);
    assert.deepEqual(other, ['L10']);
  });
});

describe('an epoch that begins in a calm mesh', () => {
  const calm = (...epochs: readonly (readonly [string, number])[]): number =>
    seen(checkCalm, factsOf({ epochs: new Map(epochs) }), []).length;

  it('of another leader is seen, but for the first one after a change of keepers', () => {
    assert.equal(calm(['0.0.1.a', 1_000_000], ['0.0.2.b', 1_100_000]), 2);
    assert.equal(calm(['0.1.1.a', 1_000_000]), 0);
    assert.equal(calm(['0.1.2.a', 1_000_000]), 1);
  });

  it('of the same leader is excused as often as a change that hangs is asked about, and no more often', () => {
    assert.equal(calm(['0.0.1.a', 0], ['0.0.2.a', 1_000_000], ['0.0.3.a', 1_030_000]), 0);
    assert.equal(calm(['0.0.1.a', 0], ['0.0.2.a', 1_000_000], ['0.0.3.a', 1_001_000]), 1);
  });
});

describe('a replica that does not run', () => {
  const roomy = roomyNode();
  const after = (tries: number, node: NodeView): readonly string[] => {
    const slots = Array.from({ length: tries }, (_, at) => `assign/1/0/${at}`);
    const chosen = new Map(slots.map((slot) => [slot, { record: { type: 'assign' } } as never]));
    return seen(checkReplicas, factsOf({ ...ALONE, chosen }), [node]);
  };

  it('is seen where a node has room, and excused where none is there that has', () => {
    assert.deepEqual(after(0, roomy), ['L8']);
    assert.deepEqual(after(0, { ...roomy, up: false }), []);
    assert.deepEqual(after(0, { ...roomy, leaving: true }), []);
  });

  it('is excused while the pause after many tries may last, and not after fewer', () => {
    assert.deepEqual(after(6, roomy), ['L8']);
    assert.deepEqual(after(7, roomy), []);
  });
});

describe('a replica that runs nowhere while its job waits for who is cut off', () => {
  const meta = { 'shoal/partition-policy': 'wait', 'shoal/lost-after': '2m' };
  const waiting = admitted(jobWith({ Type: 'service', Count: 1, Meta: meta }), [0, 1, 2]).spec.body;
  const at = (now: number): readonly string[] =>
    seen(checkReplicas, factsOf({ ...ALONE, spec: { ...waiting, job: JOB } }), [roomyNode()], now);

  it('is excused for as long as its owner said after the faults, and no longer', () => {
    assert.deepEqual(at(90_000 + 120_000 - 1), []);
    assert.deepEqual(at(90_000 + 120_000), ['L8']);
  });
});

describe('a service that goes over to another version', () => {
  const began = 1_000_000;
  const at = (now: number, count: number): readonly string[] => {
    const { body } = admitted(jobWith({ Type: 'service', Count: count }), [0, 1, 2]).spec;
    const chosen = new Map([['version/2', { at: began, record: { type: 'version' } } as never]]);
    const facts = factsOf({ ...ALONE, spec: { ...body, job: JOB }, version: 2, chosen });
    return seen(checkReplicas, facts, [roomyNode()], now);
  };

  it('has a minute for each replica, beside the time in which a loss is replaced, and no more', () => {
    assert.deepEqual(at(began + 90_000 + 60_000 - 1, 1), []);
    assert.deepEqual(at(began + 90_000 + 60_000, 1), ['L8']);
    assert.deepEqual(at(began + 90_000 + 3 * 60_000 - 1, 3), []);
    assert.deepEqual(at(began + 90_000 + 3 * 60_000, 3), ['L8', 'L8', 'L8']);
  });
});

describe('a keeper that takes a job for over in the version before', () => {
  const close = (version: number, at: number) =>
    [`close/${version}`, { record: { by: nodeKey(0) }, at }] as const;
  const facts = (...ends: readonly (readonly [string, unknown])[]): JobFacts =>
    factsOf({ version: 2, chosen: new Map(ends) as JobFacts['chosen'] });
  const leader = (since: number) => [{ ...nodeAt(0), undisturbedSince: since }];

  it('is excused when the one who led the next to its end was stopped or started again since, and else not', () => {
    const both = facts(close(1, 10), close(2, 20));
    assert.ok(isUntold(both, 1, leader(30)));
    assert.ok(!isUntold(both, 1, leader(15)));
    assert.ok(!isUntold(both, 2, leader(30)));
  });

  it('is not excused when the one before was never over', () => {
    assert.ok(!isUntold(facts(close(2, 20)), 1, leader(30)));
  });
});

describe('a daemon that rests where it matches', () => {
  const { capacity } = profileOf(0, idOf(0));
  function seenWith(held: typeof NOTHING): readonly string[] {
    const store = createSimStore(storeOf(0));
    const value = { order: { job: JOB }, state: { body: { phase: 'received', retryMs: 0 } } };
    const row = { table: 'executions', job: JOB, key: 'e-1', value };
    store.apply([row as unknown as StoreWrite]);
    const node = {
      ...nodeAt(0),
      store,
      profile: profileOf(0, idOf(0)),
      runs: () => [],
      inspect: () => ({ capacity, reserved: NOTHING, held }),
    } as unknown as NodeView;
    const { body } = admitted(jobWith({ Type: 'daemon', Count: 0 }), [0]).spec;
    return seen(checkDaemons, factsOf({ ...ALONE, spec: { ...body, job: JOB } }), [node]);
  }

  it('is seen while there is room for it, if only just, and excused while others have it', () => {
    const aboutHalf = capacity.cpuMillis / 2 + 1;
    assert.deepEqual(seenWith({ ...NOTHING, cpuMillis: aboutHalf }), ['L9']);
    assert.deepEqual(seenWith({ ...NOTHING, cpuMillis: capacity.cpuMillis }), []);
  });
});

describe('a keeper that knows nothing of a job for which it voted', () => {
  const lost = (
    key: 'pending' | 'admission',
    went: readonly number[] | null,
  ): readonly string[] => {
    const config = { major: 2 ** 24, minor: 1 };
    const of = (went ?? []).map((index) => ({ node: idOf(index), store: storeOf(index) }));
    const body = { job: JOB, config, keepers: of, former: [], reseeds: { major: 0, minor: 0 } };
    const value = { record: { type: 'config', body }, at: 0 } as never;
    const chosen: JobFacts['chosen'] = new Map(went === null ? [] : [[configSlot(config), value]]);
    const lines = new Map(went === null ? [] : [[config.major, chosen]]);
    const node = { ...nodeAt(1), inspect: () => ({ jobs: [] }), runs: () => [] };
    const { record } = OF.admission;
    node.store.apply([{ table: 'records', job: JOB, key, value: { record, votes: [] } }]);
    const all = [0, 2, 3].map((index) => ({ ...nodeAt(index, false), runs: () => [] }));
    const facts = factsOf({ chosen, lines });
    const close = { ...closeOf(OF), type: 'close' } as never;
    chosen.set('close/1', { record: close, at: 0 });
    return seen(checkRest, facts, [node as unknown as NodeView, ...(all as never[])], 1_000);
  };

  it('is seen, but when others went on without it and it was never told that the job began', () => {
    assert.ok(lost('pending', null).includes('S1'));
    assert.ok(lost('admission', [0, 3]).includes('S1'));
    assert.ok(lost('pending', [0, 1]).includes('S1'));
    assert.ok(!lost('pending', [0, 3]).includes('S1'));
  });
});
