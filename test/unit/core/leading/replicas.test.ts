/** What a leader does next about a replica of a job that does not end, as a table of attempts and observations. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_LIMITS, RESTART_MAX_MS, STEADY_MS } from '../../../../src/core/contract/limits.ts';
import { planJob } from '../../../../src/core/leading/plan.ts';
import type { Plan } from '../../../../src/core/leading/plan.ts';
import type { Observed } from '../../../../src/core/leading/partition-plan.ts';
import type { Watched } from '../../../../src/core/leading/state.ts';
import type { FailureClass, Phase } from '../../../../src/core/record/execution.ts';
import { after, asMillis } from '../../../../src/core/record/ids.ts';
import type { ExecutionId } from '../../../../src/core/record/ids.ts';
import {
  createLedger,
  mergeCommand,
  mergeCommitted,
  mergeState,
} from '../../../../src/core/record/ledger.ts';
import type { Ledger } from '../../../../src/core/record/ledger.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import type { ReplacedFor, Signed, Slot } from '../../../../src/core/record/records.ts';
import {
  admitted,
  assignOf,
  at,
  committed,
  idOf,
  jobWith,
  stateOf,
  stopOf,
  suiteOf,
} from '../fixtures.ts';

const NOW = asMillis(10_000_000);
const { leaseLostMs, leaseRenewMs, maxAttempts, maxMisses } = DEFAULT_LIMITS;
const SERVICE = jobWith({ Type: 'service' });

/** One attempt; it runs on node `number of the attempt + 1` unless it adopts one. */
interface Told {
  readonly adopts?: number;
  readonly phase?: Phase;
  readonly failure?: FailureClass;
  readonly retryMs?: number;
  readonly gone?: 'lost' | 'missed';
  readonly startsInMs?: number;
  readonly fresh?: true;
  readonly stopping?: true;
  readonly replaced?: ReplacedFor;
  /** When it was assigned; a second ago unless it is told. */
  readonly agoMs?: number;
  readonly overAgoMs?: number;
  readonly backAgoMs?: number;
}

const runs: Told = { phase: 'running' };
const lost: Told = { phase: 'running', gone: 'lost', overAgoMs: 60_000 };
const failed = (overAgoMs: number, of: FailureClass = 'node'): Told => ({
  phase: 'failed',
  failure: of,
  overAgoMs,
});
/** Its node leaves, and stopped it in order. */
const MOVED: Told = { phase: 'cancelled', replaced: 'missed', overAgoMs: 60_000 };
const becauseOf = (told: Told | undefined): ReplacedFor =>
  told?.replaced ?? told?.gone ?? (told?.phase === 'failed' ? 'failed' : 'surplus');

interface Built {
  readonly ledger: Ledger;
  readonly observed: Observed;
  readonly assigns: readonly Signed<'assign'>[];
}

function build(attempts: readonly Told[], proposed: readonly Slot[] = [], job = SERVICE): Built {
  const of = admitted(job, [0]);
  const ledger = createLedger(of.spec, of.admission);
  const watch = new Map<ExecutionId, Watched>();
  const cancelled = new Set<ExecutionId>();
  const assigns: Signed<'assign'>[] = [];
  for (const [attempt, told] of attempts.entries()) {
    const { adopts } = told;
    const node = (adopts ?? attempt) + 1;
    const replaces = becauseOf(attempts[attempt - 1]);
    const place = {
      attempt,
      node,
      replaces: adopts === undefined && replaces === 'surplus' ? 'lost' : replaces,
    } as const;
    const { body } = assignOf(of, adopts === undefined ? place : { ...place, adopts });
    const assign = suiteOf(0).seal('assign', body, at(NOW - (told.agoMs ?? 1_000)), 'node');
    assigns.push(assign);
    const certified = committed(of, assign);
    mergeCommitted(ledger, certified);
    const { execution } = body;
    if (told.stopping) cancelled.add(execution);
    if (!told.fresh)
      watch.set(execution, {
        assign: certified,
        firstAt: asMillis(NOW - (told.agoMs ?? 1_000)),
        silentAt: after(NOW, leaseLostMs),
        startBy: told.startsInMs === undefined ? null : after(NOW, told.startsInMs),
        sendAt: NOW,
        gaveUp: told.gone ?? null,
        backAt: told.backAgoMs === undefined ? null : asMillis(NOW - told.backAgoMs),
        failedAt: told.overAgoMs === undefined ? null : asMillis(NOW - told.overAgoMs),
      });
    if (told.phase === undefined) continue;
    const failure =
      told.failure === undefined
        ? null
        : { code: 'it-broke', class: told.failure, message: 'it broke' };
    const state = stateOf(assign, node, {
      phase: told.phase,
      failure,
      retryMs: told.retryMs ?? null,
    });
    mergeState(ledger, state);
  }
  const observed: Observed = {
    now: NOW,
    epoch: of.epoch,
    ageMs: 0,
    watch,
    cancelled,
    replications: new Map(),
    search: null,
    enrolment: null,
    isProposed: (slot) => proposed.includes(slot),
    around: { near: () => true, takers: () => [] },
    limits: DEFAULT_LIMITS,
  };
  return { ledger, observed, assigns };
}

/** A plan in words: executions by the attempt that they began as. */
function seen(attempts: readonly Told[], proposed: readonly Slot[] = [], job = SERVICE) {
  const { ledger, observed, assigns } = build(attempts, proposed, job);
  const plan: Plan = planJob(ledger, observed);
  const name = (id: ExecutionId): number =>
    assigns.findIndex(({ body }) => body.execution === id && body.adopts === null);
  return {
    ...(plan.close === null ? {} : { close: plan.close.code }),
    ...(plan.vacancies.size === 0
      ? {}
      : {
          wants: [...plan.vacancies.values()].map(
            ({ attempt, replaces }) => `${attempt} ${replaces}`,
          ),
        }),
    ...(plan.adoptions.length === 0
      ? {}
      : {
          adopts: plan.adoptions.map(
            ({ attempt, replaces, adopted }) =>
              `${name(adopted.body.execution)} as ${attempt}, ${replaces}`,
          ),
        }),
    ...(plan.surplus.length === 0
      ? {}
      : {
          stops: plan.surplus.map(
            ({ assign, because }) =>
              `${name(assign.record.body.execution)} by ${because.record.body.attempt}`,
          ),
        }),
    ...(plan.wakeAt === null ? {} : { wakeInMs: plan.wakeAt - NOW }),
  };
}

const waits = { wakeInMs: leaseLostMs };

const laws: readonly (readonly [string, readonly Told[], object])[] = [
  ['a replica wants a node', [], { wants: ['0 null'] }],
  ['one that runs is let run', [runs], waits],
  ['one that is about to be started again is let be', [{ ...runs, retryMs: 300_000 }], waits],
  ['a first loss is replaced at once', [{ ...lost, overAgoMs: 0 }], { wants: ['1 lost'] }],
  [
    'a second loss soon after waits for two seconds',
    [lost, { ...lost, overAgoMs: 500 }],
    { wakeInMs: 1_500 },
  ],
  [
    'no loss waits for more than five seconds, however many came before',
    [...Array.from({ length: 30 }, () => lost), { ...lost, overAgoMs: 4_999 }],
    { wakeInMs: 1 },
  ],
  ['a failure of its node waits for a second', [failed(400)], { wakeInMs: 600 }],
  ['then it is tried elsewhere', [failed(1_000)], { wants: ['1 failed'] }],
  ['the pause doubles', [failed(60_000), failed(60_000), failed(3_000)], { wakeInMs: 1_000 }],
  [
    'up to five minutes, and the job never ends for it',
    Array.from({ length: maxAttempts + maxMisses + 20 }, () => failed(RESTART_MAX_MS - 1)),
    { wakeInMs: 1 },
  ],
  [
    'after a time in which a replica ran the pause begins anew',
    [
      ...Array.from({ length: 9 }, () => ({ ...failed(60_000), agoMs: 2 * STEADY_MS })),
      failed(1_000),
    ],
    { wants: ['10 failed'] },
  ],
  [
    'and it does so for who has seen the last one run for so long',
    [failed(60_000), failed(60_000), { ...failed(1_000), agoMs: STEADY_MS + 1_000 }],
    { wants: ['3 failed'] },
  ],
  ['a spec that is wrong ends the job', [failed(0, 'spec')], { close: 'it-broke' }],
  ['a limit does not', [failed(1_000, 'limit')], { wants: ['1 failed'] }],
  [
    'as many misses as there may be of a batch job do not',
    Array.from(
      { length: maxMisses + 2 },
      (): Told => ({ gone: 'missed', overAgoMs: RESTART_MAX_MS }),
    ),
    { wants: ['22 missed'] },
  ],
  [
    'an older replica that is back is taken back, as it is well',
    [{ ...runs, replaced: 'lost' }, runs],
    { adopts: ['0 as 2, surplus'], ...waits },
  ],
  [
    'though the younger one is gone by then',
    [{ ...runs, replaced: 'lost' }, lost],
    { adopts: ['0 as 2, lost'], ...waits },
  ],
  [
    'the younger one is stopped when the older one has taken its place',
    [
      { ...runs, replaced: 'lost' },
      { ...runs, replaced: 'surplus' },
      { ...runs, adopts: 0 },
    ],
    { stops: ['1 by 2'], ...waits },
  ],
  [
    'and not before its node has heard of it',
    [
      { ...runs, replaced: 'lost' },
      { ...runs, replaced: 'surplus' },
      { ...runs, adopts: 0, startsInMs: 900 },
    ],
    { wakeInMs: 900 },
  ],
  [
    'of three the oldest stays',
    [{ ...runs, replaced: 'lost' }, { ...runs, replaced: 'lost' }, runs],
    { adopts: ['0 as 3, surplus'], ...waits },
  ],
  [
    'an older one that does not run is stopped, once the younger one was taken up',
    [{ ...runs, retryMs: 1_000, replaced: 'lost' }, runs],
    { stops: ['0 by 1'], ...waits },
  ],
  [
    'one that is just back, and of which it is not known how far it is, is waited for',
    [{ phase: 'received', replaced: 'lost', backAgoMs: 1_000 }, runs],
    { wakeInMs: 2 * leaseRenewMs - 1_000 },
  ],
  [
    'and stopped when it does not say so',
    [{ phase: 'received', replaced: 'lost', backAgoMs: 2 * leaseRenewMs }, runs],
    { stops: ['0 by 1'], ...waits },
  ],
  [
    'one that was taken back stays while a new leader has yet to hear of it how far it is',
    [
      { replaced: 'lost' },
      { ...runs, replaced: 'surplus' },
      { adopts: 0, startsInMs: leaseLostMs, agoMs: 0 },
    ],
    { wakeInMs: leaseLostMs },
  ],
  [
    'also when it has been heard, and said nothing of that: the younger one is not stopped yet',
    [{ replaced: 'lost' }, { ...runs, replaced: 'surplus' }, { adopts: 0 }],
    { wakeInMs: 2 * leaseRenewMs - 1_000 },
  ],
  [
    'and no longer when it does not say so',
    [
      { replaced: 'lost' },
      { ...runs, replaced: 'surplus' },
      { adopts: 0, agoMs: 2 * leaseRenewMs },
    ],
    { adopts: ['1 as 3, surplus'], ...waits },
  ],
  [
    'one that was taken back, was lost and is back again is taken back again',
    [
      { ...runs, replaced: 'lost', agoMs: 2 * STEADY_MS },
      { ...runs, replaced: 'surplus', stopping: true, agoMs: 2 * STEADY_MS },
      { ...runs, adopts: 0, replaced: 'lost' },
      runs,
    ],
    { adopts: ['0 as 4, surplus'], ...waits },
  ],
  [
    'and no more when its node comes and goes all the time: the younger one stays',
    [
      { ...runs, replaced: 'lost' },
      { phase: 'cancelled', replaced: 'surplus' },
      { ...runs, adopts: 0, replaced: 'lost' },
      runs,
    ],
    { stops: ['0 by 3'], ...waits },
  ],
  [
    'one that was told to stop is told once',
    [{ ...runs, replaced: 'lost', retryMs: 1, stopping: true }, runs],
    waits,
  ],
  [
    'one that was told to stop is not counted on',
    [
      { ...runs, replaced: 'lost', stopping: true },
      { ...lost, overAgoMs: 60_000 },
    ],
    { wants: ['2 lost'], ...waits },
  ],
  [
    'one that its leaving node cancelled is replaced at once',
    [{ phase: 'cancelled', overAgoMs: 0 }],
    { wants: ['1 missed'] },
  ],
  [
    'however many nodes left before, and whatever failed before that',
    [
      { ...failed(60_000), agoMs: 400_000 },
      { ...failed(60_000), agoMs: 390_000 },
      { ...MOVED, agoMs: 380_000 },
      { ...MOVED, agoMs: 300_000 },
      { ...MOVED, agoMs: 200_000, overAgoMs: 0 },
    ],
    { wants: ['5 missed'] },
  ],
  [
    'nor is a loss the second one because it moved before',
    [
      { ...MOVED, agoMs: 300_000 },
      { ...MOVED, agoMs: 200_000 },
      { ...MOVED, agoMs: 100_000 },
      { ...lost, overAgoMs: 0 },
    ],
    { wants: ['4 lost'] },
  ],
  [
    'but two of those are, whatever lies between them',
    [
      { ...lost, agoMs: 200_000 },
      { ...MOVED, agoMs: 100_000 },
      { ...lost, overAgoMs: 500 },
    ],
    { wakeInMs: 1_500 },
  ],
  [
    'nor has it moved when its node gave it back as soon as it had it',
    [
      { ...MOVED, agoMs: 3_000 },
      { ...MOVED, agoMs: 2_000 },
      { ...MOVED, agoMs: 1_000, overAgoMs: 500 },
    ],
    { wakeInMs: 3_500 },
  ],
];

describe('the plan of a replica', () => {
  for (const [law, attempts, expected] of laws)
    it(law, () => assert.deepEqual(seen(attempts), expected));

  it('proposes nothing twice', () => {
    assert.deepEqual(seen([], ['assign/1/0/0']), {});
    assert.deepEqual(seen([{ ...runs, replaced: 'lost' }, runs], ['assign/1/0/2']), waits);
  });

  it('knows no limit in time', () => {
    const Timeouts = { ExecutionTimeout: 1, QueueTimeout: 0, TotalTimeout: 2 };
    const job = jobWith({ Type: 'service' }, { Timeouts });
    const { ledger, observed } = build([{ ...runs, agoMs: 9_000_000 }], [], job);
    const plan = planJob(ledger, { ...observed, ageMs: 9_000_000 });
    assert.equal(plan.close, null);
    assert.deepEqual(plan.givenUp, []);
  });

  it('ends the job when its partition has no room for another attempt, and not while one lives', () => {
    const many = Array.from({ length: 1_023 }, () => ({ ...lost, agoMs: STEADY_MS }));
    assert.deepEqual(seen([...many, lost]), { close: 'attempts-exhausted' });
    assert.deepEqual(seen([...many, runs]), waits);
    const back: Told = { ...runs, replaced: 'lost', agoMs: STEADY_MS };
    assert.deepEqual(seen([back, ...many.slice(1), lost]), waits);
  });
});

const told: fc.Arbitrary<Told> = fc
  .record(
    {
      phase: fc.constantFrom<Phase>('received', 'running', 'running', 'failed', 'cancelled'),
      retryMs: fc.constantFrom(0, 1_000),
      gone: fc.constantFrom<'lost' | 'missed'>('lost', 'missed'),
      startsInMs: fc.constantFrom(0, 500),
      fresh: fc.constant(true as const),
      stopping: fc.constant(true as const),
      agoMs: fc.constantFrom(0, 1_000, STEADY_MS),
      overAgoMs: fc.constantFrom(0, 1_000, RESTART_MAX_MS),
      back: fc.boolean(),
    },
    { requiredKeys: [] },
  )
  .map(({ phase, back, ...more }) => ({
    ...more,
    ...(phase === undefined ? {} : { phase }),
    ...(phase === 'failed' ? { failure: 'node' as const } : {}),
    ...(back === true ? { adopts: 0 } : {}),
  }));

/** The first attempt is a new one. */
function begun(attempts: readonly Told[]): readonly Told[] {
  const [first, ...others] = attempts;
  if (first === undefined) return [];
  const { adopts: _, ...fresh } = first;
  return [fresh, ...others];
}

describe('whatever became of the attempts of a replica', () => {
  const each = (look: (built: Built, plan: Plan) => void): void =>
    fc.assert(
      fc.property(fc.array(told, { maxLength: 8 }), (attempts) => {
        const built = build(begun(attempts));
        look(built, planJob(built.ledger, built.observed));
      }),
      { numRuns: 3_000 },
    );

  it('one thing is done about its place, and it is the next attempt of it', () => {
    each(({ assigns }, plan) => {
      const next = [
        ...[...plan.vacancies.values()].map(({ attempt }) => attempt),
        ...plan.adoptions.map(({ attempt }) => attempt),
      ];
      assert.ok(next.length <= 1);
      if (next.length === 1) assert.equal(next[0], assigns.length);
    });
  });

  it('nothing is stopped that stands, and what is stopped is by what came later', () => {
    each(({ assigns }, plan) => {
      for (const { assign, because } of plan.surplus) {
        assert.equal(because.record.id, assigns.at(-1)?.id);
        assert.notEqual(assign.record.body.execution, because.record.body.execution);
        assert.ok(assign.record.body.attempt < because.record.body.attempt);
      }
    });
  });

  it('another is wanted only when none lives that was not told to stop', () => {
    each(({ ledger, observed }, plan) => {
      if (plan.vacancies.size === 0) return;
      // What is seen for the first time, as it was adopted since, is what counts of its execution.
      const lives = new Map(observed.watch);
      for (const begun of plan.begun) lives.set(begun.assign.record.body.execution, begun);
      for (const [execution, { gaveUp, startBy }] of lives) {
        const phase = ledger.states.get(execution)?.body.phase;
        const over = phase === 'failed' || phase === 'cancelled';
        const missed = startBy !== null && startBy <= NOW;
        assert.ok(over || gaveUp !== null || missed || observed.cancelled.has(execution));
      }
    });
  });

  it('a stopped job places nothing', () => {
    fc.assert(
      fc.property(fc.array(told, { maxLength: 6 }), (attempts) => {
        const { ledger, observed } = build(begun(attempts));
        mergeCommand(ledger, stopOf(admitted(SERVICE, [0])));
        const plan = planJob(ledger, observed);
        assert.equal(plan.close?.code, 'stopped-by-owner');
        assert.equal(plan.vacancies.size + plan.adoptions.length, 0);
      }),
      { numRuns: 2_000 },
    );
  });

  it('its ledger is the same in whatever order its attempts and states come', () => {
    fc.assert(
      fc.property(
        fc.array(told, { minLength: 2, maxLength: 6 }),
        fc.infiniteStream(fc.nat(5)),
        (attempts, order) => {
          const { ledger } = build(begun(attempts));
          const parts = [...ledger.committed.values(), ...ledger.states.values()];
          const other = createLedger(ledger.spec, ledger.admission);
          while (parts.length > 0) {
            const [part] = parts.splice((order.next().value ?? 0) % parts.length, 1);
            if (part === undefined) break;
            if ('record' in part) mergeCommitted(other, part);
            else mergeState(other, part);
          }
          const of = ({ partitions, assigned }: Ledger) => [
            [...(partitions.get(0)?.attempts ?? [])]
              .sort(([a], [b]) => a - b)
              .map(([number, { assign, state }]) => [number, slotOf(assign.record), state?.id]),
            [...assigned]
              .sort(([a], [b]) => (a < b ? -1 : 1))
              .map(([id, { attempt }]) => [id, attempt]),
          ];
          assert.deepEqual(of(other), of(ledger));
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

describe('the nodes that a replica failed on', () => {
  it('are remembered as long as it is in trouble', () => {
    const { ledger, observed } = build([
      { ...failed(1_000), agoMs: STEADY_MS + 5_000 },
      failed(60_000),
      failed(60_000),
    ]);
    const [vacancy] = planJob(ledger, observed).vacancies.values();
    assert.deepEqual([...(vacancy?.tried ?? [])], [idOf(2), idOf(3)]);
  });
});
