/** What looks at jobs that lost a majority of their keepers sees what it is there for, and nothing else. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Effect } from '../../src/core/contract/effect.ts';
import { DEFAULT_LIMITS } from '../../src/core/contract/limits.ts';
import { firstEpoch } from '../../src/core/record/ballot.ts';
import { reseedId } from '../../src/core/record/chain.ts';
import type { Message } from '../../src/core/contract/messages.ts';
import type { StoreWrite } from '../../src/core/contract/stored.ts';
import type { ConfigBody, Epoch } from '../../src/core/record/records.ts';
import { asRecordId } from '../../src/core/record/ids.ts';
import { configSlot, slotOf } from '../../src/core/record/slot.ts';
import {
  admitted,
  at,
  certify,
  closeOf,
  idOf,
  jobWith,
  storeOf,
  suite,
  suiteOf,
} from '../unit/core/fixtures.ts';
import { createCheckers } from './checkers.ts';
import type { CheckersContext } from './checkers.ts';
import { createFacts } from './facts.ts';
import type { Chosen, JobFacts } from './facts.ts';
import { NO_FAULTS } from './faults.ts';
import { isStuck } from './lines.ts';
import type { NodeView } from './observer.ts';
import { createLines } from './reseeding.ts';
import type { LinesContext } from './reseeding.ts';
import { createSimStore } from './sim-store.ts';

const OF = admitted(jobWith({ Type: 'service', Count: 1 }), [0, 1, 2]);
const { body: SPEC } = OF.spec;
const KEEPERS = [0, 3, 4].map((index) => ({ node: idOf(index), store: storeOf(index) }));
const FIRST = { major: 0, minor: 0 };
/** Node 0 goes on with two others. */
const RESEED: ConfigBody = {
  job: SPEC.job,
  config: reseedId(suite, SPEC.job, FIRST, KEEPERS),
  keepers: KEEPERS,
  former: [],
  reseeds: FIRST,
};
const ID = asRecordId('1'.repeat(64));
const LINE = RESEED.config.major;

interface Mesh {
  readonly up?: readonly number[];
  readonly meta?: Readonly<Record<string, string>>;
  readonly reseeded?: boolean;
  /** The line of each keeper, or the end that it knows of. */
  readonly goBy?: Readonly<Record<number, number | string>>;
  /** How long all links and nodes have been as they are. */
  readonly calmMs?: number;
  readonly signers?: readonly number[];
  /** Nodes that promised something in another line. */
  readonly gone?: readonly number[];
}

/** It knows that the job is admitted, and may have promised something in the other line. */
function storeWith(index: number, hasGone: boolean) {
  const store = createSimStore(storeOf(index));
  const value = { record: OF.admission.record, votes: [] };
  store.apply([{ table: 'records', job: SPEC.job, key: 'admission', value }]);
  const promised = firstEpoch(RESEED);
  if (hasGone) store.apply([{ table: 'promises', job: SPEC.job, key: SPEC.job, value: promised }]);
  return store;
}

function play({ up = [0, 1, 2, 3, 4], meta = {}, reseeded = false, ...mesh }: Mesh) {
  let now = 1_000_000;
  const seen: string[] = [];
  const chosen: Chosen = new Map();
  const config = { type: 'config', id: ID, body: RESEED } as never;
  const slot = `config/${RESEED.config.major}/${RESEED.config.minor}`;
  const facts: JobFacts = {
    job: SPEC.job,
    spec: { ...SPEC, spec: { ...SPEC.spec, Meta: meta } },
    first: SPEC,
    admissions: new Map(),
    admitted: { body: OF.admission.record.body, at: 0 },
    configs: new Map(reseeded ? [[ID, RESEED]] : []),
    lines: new Map(
      reseeded
        ? [
            [0, new Map()],
            [LINE, new Map([[slot, { record: config, at: 0 }]])],
          ]
        : [],
    ),
    line: 0,
    version: 1,
    chosen,
    epochs: new Map(),
  };
  const recordsOf = (index: number) => {
    const line = mesh.goBy?.[index];
    const end = { record: { ...closeOf(OF), id: line } };
    return {
      spec: OF.spec,
      configs: typeof line === 'number' && line > 0 ? [{ record: { body: RESEED } }] : [],
      committed: typeof line === 'string' ? [end] : [],
    };
  };
  const nodes = [0, 1, 2, 3, 4].map(
    (index) =>
      ({
        id: idOf(index),
        index,
        up: up.includes(index),
        undisturbedSince: now - (mesh.calmMs ?? 0),
        store: storeWith(index, mesh.gone?.includes(index) ?? false),
        inspect: () => ({
          jobs:
            mesh.goBy?.[index] === undefined
              ? []
              : [{ job: SPEC.job, keeper: true, records: recordsOf(index) }],
        }),
      }) as unknown as NodeView,
  );
  const followed: number[] = [];
  const context = {
    now: () => now,
    healedAt: () => 0,
    nodes,
    limits: DEFAULT_LIMITS,
    faults: () => NO_FAULTS,
    linked: () => true,
    linkedSince: () => now - (mesh.calmMs ?? 0),
    isHostile: () => false,
    facts: {
      jobs: new Map([[SPEC.job, facts]]),
      signers: () => new Set((mesh.signers ?? []).map((at) => `${idOf(at)}|${storeOf(at)}`)),
      follow: (_job: string, line: number) => followed.push(line),
    },
    violation: (checker: string) => seen.push(checker),
  } as unknown as LinesContext;
  const lines = createLines(() => context);
  const note = {
    type: 'note',
    event: 'job.reseeded',
    data: { job: SPEC.job },
  } as unknown as Effect;
  return {
    facts,
    nodes,
    followed,
    /** What is seen when it is looked at now and after so long. */
    after: (ms: number): readonly string[] => {
      lines.check();
      now += ms;
      lines.check();
      return seen;
    },
    reseed: (): readonly string[] => {
      lines.observer.onHandled?.(nodes[0] as NodeView, { type: 'wake' }, [note]);
      return seen;
    },
  };
}

describe('a job whose keepers are too few', () => {
  it('is seen when nobody goes on with it in time, and not sooner', () => {
    const dueMs = 1.1 * DEFAULT_LIMITS.reseedAfterMs + 30_000 + 30_000 + 10_000;
    assert.deepEqual(play({ up: [0, 3, 4] }).after(dueMs), []);
    assert.deepEqual(play({ up: [0, 3, 4] }).after(dueMs + 1), ['L2']);
  });

  it('is not when nobody is left who kept it, or nobody else', () => {
    for (const up of [[3, 4], [0]]) {
      const { facts, nodes, after } = play({ up });
      assert.ok(isStuck(facts, nodes));
      assert.deepEqual(after(3_600_000), []);
    }
  });

  it('is not when all are gone that were told who keeps it now, or kept it before', () => {
    const stuck = (up: readonly number[], told: readonly number[]): boolean => {
      const { facts, nodes } = play({ up, reseeded: true });
      const record = { type: 'config', body: RESEED } as never;
      facts.chosen.set(configSlot(RESEED.config), { record, at: 0 });
      for (const index of told) {
        const key = configSlot(RESEED.config);
        const write = { table: 'records', job: SPEC.job, key, value: { record, votes: [] } };
        nodes[index]?.store.apply([write as StoreWrite]);
      }
      return isStuck(facts, nodes);
    };
    assert.ok(stuck([1, 4], []));
    assert.ok(!stuck([1, 4], [4]));
    assert.ok(!stuck([1, 0], []));
  });

  it('is not when its owner wants nothing to run beside what may still run', () => {
    for (const policy of ['wait', 'exclusive']) {
      const { facts, nodes, after } = play({
        up: [0, 3, 4],
        meta: { 'shoal/partition-policy': policy, 'shoal/lost-after': '1m' },
      });
      assert.ok(isStuck(facts, nodes), policy);
      assert.deepEqual(after(3_600_000), [], policy);
    }
  });
});

describe('a job that was re-seeded', () => {
  it('is seen when its keepers go by two lines for more than two minutes', () => {
    const goBy = { 0: LINE, 1: 0, 2: 0, 3: LINE };
    assert.deepEqual(play({ reseeded: true, goBy }).after(120_000), []);
    assert.deepEqual(play({ reseeded: true, goBy }).after(120_001), ['L3']);
  });

  it('is seen when some go on after an end that others know of', () => {
    const goBy = { 0: 'one', 1: LINE };
    assert.deepEqual(play({ reseeded: true, goBy }).after(120_001), ['L3']);
  });

  it('is what it is in the line that all go by', () => {
    const { after, followed } = play({ reseeded: true, goBy: { 0: LINE, 3: LINE } });
    assert.deepEqual(after(3_600_000), []);
    assert.deepEqual(followed, [LINE, LINE]);
  });
});

describe('a vote to re-seed a job', () => {
  const calmMs = 1.1 * DEFAULT_LIMITS.reseedAfterMs + 35_000;

  it('is seen when who gives it has heard a majority of the keepers all the time', () => {
    assert.deepEqual(play({ reseeded: true, calmMs, signers: [0] }).reseed(), ['S24']);
    assert.deepEqual(play({ reseeded: true, calmMs, signers: [0, 3] }).reseed(), ['S24', 'S24']);
  });

  it('is not when it has not, or they have been heard for a moment only', () => {
    assert.deepEqual(play({ reseeded: true, calmMs, signers: [0], up: [0, 3, 4] }).reseed(), []);
    assert.deepEqual(play({ reseeded: true, calmMs: calmMs - 1, signers: [0] }).reseed(), []);
    assert.deepEqual(play({ reseeded: true, calmMs, signers: [] }).reseed(), []);
  });

  it('is not when one that is heard has gone by another line, where it votes now', () => {
    const calm = { reseeded: true, calmMs, signers: [0] };
    assert.deepEqual(play({ ...calm, up: [0, 1, 3], gone: [1] }).reseed(), []);
    assert.deepEqual(play({ ...calm, up: [0, 1, 3] }).reseed(), ['S24']);
  });
});

describe('two records of one configuration that re-seeds a job', () => {
  /** Two of its keepers vote for each. */
  const shown = (...bodies: readonly ConfigBody[]): readonly string[] => {
    const seen: string[] = [];
    const violation = (checker: string) => seen.push(checker);
    const { observer } = createFacts({ now: () => 0, violation });
    const values = bodies.map((body, index) => {
      const record = suiteOf(0).seal('config', body, at(index), 'node');
      return certify(record, slotOf(record), [0, 3], firstEpoch(body));
    });
    const node = { id: idOf(0) } as unknown as NodeView;
    observer.onSend?.(node, idOf(3), { type: 'commit', job: SPEC.job, values });
    return seen;
  };

  it('are one when they name the same keepers, and two otherwise', () => {
    assert.deepEqual(shown(RESEED, RESEED), []);
    const others = { ...RESEED, keepers: KEEPERS.slice(0, 2) };
    assert.deepEqual(shown(RESEED, others), ['S2']);
  });
});

describe('an executor of a job that was re-seeded', () => {
  /** It takes orders under these epochs, one after the other, while it runs something under the last. */
  const seen = (runsUnder: Epoch, ...epochs: readonly Epoch[]): readonly string[] => {
    const checkers: string[] = [];
    const violation = (checker: string) => checkers.push(checker);
    const context = { inspectEvery: 0, violation } as unknown as CheckersContext;
    const { observer } = createCheckers(context);
    const executions = [{ job: SPEC.job, epoch: runsUnder }];
    const node = { id: idOf(9), incarnation: 1, inspect: () => ({ executions }) };
    const run = { type: 'run', order: { job: SPEC.job } } as unknown as Effect;
    for (const epoch of epochs) {
      const { spec, admission } = OF;
      const grant = { record: { body: { epoch } }, votes: [] };
      const message = { type: 'assign', spec, admission, grant } as unknown as Message;
      const input = { type: 'message', from: epoch.leader, message } as const;
      observer.onHandled?.(node as unknown as NodeView, input, [run]);
    }
    return checkers;
  };
  const lower = { config: FIRST, number: 5, leader: idOf(1) };
  const higher = { config: RESEED.config, number: 1, leader: idOf(3) };

  it('is seen when it obeys those before while it runs something for these, and not later', () => {
    assert.deepEqual(seen(higher, higher, lower), ['S9']);
    assert.deepEqual(seen(lower, higher, lower), []);
    assert.deepEqual(seen(lower, lower, { ...lower, number: 4 }), ['S9']);
    assert.deepEqual(seen(lower, higher, lower, { ...lower, number: 4 }), ['S9']);
  });
});
