/** What a leader does next: every branch of `planJob` as a table of ledger and observations. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type {
  ExecutionFailure,
  FailureClass,
  Phase,
  ResultRef,
} from '../../../../src/core/record/execution.ts';
import { after, asMillis } from '../../../../src/core/record/ids.ts';
import type { ExecutionId, Millis, NodeId } from '../../../../src/core/record/ids.ts';
import {
  createLedger,
  mergeCommand,
  mergeCommitted,
  mergeState,
} from '../../../../src/core/record/ledger.ts';
import type { Ledger } from '../../../../src/core/record/ledger.ts';
import { DEFAULT_LIMITS } from '../../../../src/core/contract/limits.ts';
import { hasFailed } from '../../../../src/core/leading/fate.ts';
import { planJob } from '../../../../src/core/leading/plan.ts';
import type { Plan } from '../../../../src/core/leading/plan.ts';
import type { Observed } from '../../../../src/core/leading/partition-plan.ts';
import { createOutlook, replan } from '../../../../src/core/leading/outlook.ts';
import type { Search } from '../../../../src/core/leading/queueing.ts';
import type { Replication, Watched } from '../../../../src/core/leading/state.ts';
import { ENROLLED_MAX, partitionsIn } from '../../../../src/core/record/slot.ts';
import type { ReplacedFor, Slot } from '../../../../src/core/record/records.ts';
import type { Job, JobType } from '../../../../src/job/model.ts';
import {
  acceptOf,
  admitted,
  assignOf,
  committed,
  idOf,
  jobWith,
  stateOf,
  stopOf,
} from '../fixtures.ts';

/** Copies on these nodes, and nobody asked for another. */
const copied = (...nodes: readonly number[]): Partial<Replication> => ({
  asked: null,
  made: new Set(nodes.map(idOf)),
});
const NOW = asMillis(100_000);
const { leaseLostMs, maxAttempts, maxMisses, retryBackoffMs, startTimeoutMs } = DEFAULT_LIMITS;

/** What a table says of one attempt of a partition; it runs on node `number of the attempt + 1`. */
interface Told {
  readonly phase?: Phase;
  readonly failure?: FailureClass;
  readonly result?: ResultRef;
  readonly accepted?: true;
  /** The leader's own observations. */
  readonly gone?: 'lost' | 'missed' | 'overdue';
  readonly startsInMs?: number;
  /** This leader has not looked at it yet. */
  readonly fresh?: true;
  readonly cancelled?: true;
  /** Why the next attempt took its place, when that is not what the leader sees. */
  readonly replaced?: ReplacedFor;
  readonly heardAgoMs?: number;
  readonly failedAgoMs?: number;
  readonly copy?: Partial<Replication>;
}

interface Given {
  readonly job?: Job;
  /** Attempts of each partition. */
  readonly partitions?: readonly (readonly Told[])[];
  readonly stop?: string;
  readonly ageMs?: number;
  /** Since the leader saw the executions assigned. */
  readonly seenAgoMs?: number;
  /** Nodes out of reach. */
  readonly away?: readonly NodeId[];
  /** Nodes that may hold a copy. */
  readonly takers?: readonly NodeId[];
  readonly search?: Partial<Search>;
  /** Slots that something is proposed for. */
  readonly proposed?: readonly Slot[];
}

const RESULT: ResultRef = {
  cid: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi',
  bytes: 10,
};
const failed = (code: FailureClass): ExecutionFailure => ({
  code: `a-${code}-failure`,
  class: code,
  message: `because of ${code}`,
});
const ago = (ms: number): Millis => asMillis(NOW - ms);

/** What its successor says of an attempt. */
function becauseOf(told: Told | undefined): ReplacedFor {
  if (told?.replaced !== undefined) return told.replaced;
  if (told?.phase === 'failed') return 'failed';
  return told?.phase === 'cancelled' ? 'missed' : (told?.gone ?? 'lost');
}

/** Nobody was found for a minute. */
const SEARCH: Search = {
  since: asMillis(NOW - 60_000),
  startedAt: asMillis(0),
  requested: 1,
  available: () => 3,
  bids: 0,
  declines: new Map(),
  someCould: () => false,
  someMayAnswer: () => false,
};

function build(given: Given): {
  ledger: Ledger;
  observed: Observed;
  ids: readonly (readonly ExecutionId[])[];
} {
  const job = admitted(given.job ?? jobWith(), [0]);
  const ledger = createLedger(job.spec, job.admission);
  const watch = new Map<ExecutionId, Watched>();
  const cancelled = new Set<ExecutionId>();
  const replications = new Map<ExecutionId, Replication>();
  const ids = (given.partitions ?? []).map((attempts, partition) =>
    attempts.map((told, attempt) => {
      const node = attempt + 1;
      const replaces = becauseOf(attempts[attempt - 1]);
      const assign = assignOf(job, { partition, attempt, node, replaces });
      const { execution } = assign.body;
      const certified = committed(job, assign);
      mergeCommitted(ledger, certified);
      if (told.cancelled) cancelled.add(execution);
      if (!told.fresh) {
        watch.set(execution, {
          assign: certified,
          firstAt: ago(given.seenAgoMs ?? 0),
          silentAt: after(ago(told.heardAgoMs ?? 0), leaseLostMs),
          startBy: told.startsInMs === undefined ? null : after(NOW, told.startsInMs),
          sendAt: NOW,
          gaveUp: told.gone ?? null,
          backAt: null,
          failedAt: told.failedAgoMs === undefined ? null : ago(told.failedAgoMs),
        });
      }
      if (told.copy !== undefined) {
        const copy = {
          cid: RESULT.cid,
          asked: idOf(9),
          deadline: NOW,
          resend: { at: NOW, pauseMs: 1_000 },
          made: new Set<never>(),
          failed: new Set<never>(),
          late: 0,
          missing: [],
        };
        replications.set(execution, { ...copy, ...told.copy });
      }
      if (told.phase !== undefined) {
        const failure = told.failure === undefined ? null : failed(told.failure);
        const state = stateOf(assign, node, {
          phase: told.phase,
          failure,
          result: told.result ?? null,
        });
        mergeState(ledger, state);
        if (told.accepted) mergeCommitted(ledger, committed(job, acceptOf(job, state)));
      }
      return execution;
    }),
  );
  if (given.stop !== undefined) mergeCommand(ledger, stopOf(job, { reason: given.stop }));
  const observed: Observed = {
    now: NOW,
    epoch: job.epoch,
    ageMs: given.ageMs ?? 0,
    watch,
    cancelled,
    replications,
    search: given.search === undefined ? null : { ...SEARCH, ...given.search },
    isProposed: (slot) => (given.proposed ?? []).includes(slot),
    around: {
      near: (node) => !(given.away ?? []).includes(node),
      takers: () => given.takers ?? [idOf(9), idOf(8)],
    },
    enrolment: null,
    limits: DEFAULT_LIMITS,
  };
  return { ledger, observed, ids };
}

/** A plan in the words of the tables: executions as `partition/attempt`. */
function seen(given: Given) {
  const { ledger, observed, ids } = build(given);
  const plan: Plan = planJob(ledger, observed);
  const vacancies = [...plan.vacancies.values()];
  const name = (id: ExecutionId): string => {
    const partition = ids.findIndex((list) => list.includes(id));
    return `${partition}/${ids[partition]?.indexOf(id)}`;
  };
  return {
    close: plan.close === null ? null : `${plan.close.outcome} ${plan.close.code}`,
    accepts: plan.accepts.map(({ body }) => name(body.execution)),
    copies: plan.copies.map(({ body }) => name(body.execution)),
    vacancies: vacancies.map(({ partition, attempt }) => `${partition}/${attempt}`),
    tried: vacancies.map(({ tried }) => [...tried].length),
    replaces: vacancies.map(({ replaces }) => replaces),
    givenUp: plan.givenUp.map(({ execution, why }) => `${name(execution)} ${why}`),
    begun: plan.begun.map(({ assign }) => name(assign.record.body.execution)),
    surplus: plan.surplus.map(({ assign }) => name(assign.record.body.execution)),
    failed: plan.failed.map(name),
    complete: plan.complete,
    wakeInMs: plan.wakeAt === null ? null : plan.wakeAt - NOW,
  };
}

const quiet = {
  close: null,
  accepts: [],
  copies: [],
  vacancies: [],
  tried: [],
  replaces: [],
  givenUp: [],
  begun: [],
  surplus: [],
  failed: [],
  complete: false,
  wakeInMs: null,
};
type Expected = Partial<ReturnType<typeof seen>>;

const failure = (code: FailureClass, failedAgoMs = 0): Told => ({
  phase: 'failed',
  failure: code,
  failedAgoMs,
});
const timeouts = (TotalTimeout: number): Job =>
  jobWith({}, { Timeouts: { ExecutionTimeout: 0, QueueTimeout: 0, TotalTimeout } });
const queued = (QueueTimeout: number): Job =>
  jobWith({}, { Timeouts: { ExecutionTimeout: 0, QueueTimeout, TotalTimeout: 0 } });
const two = jobWith({ Count: 2 });
/** Ten minutes. */
const waited = jobWith({
  Meta: { 'shoal/partition-policy': 'wait', 'shoal/lost-after': '10m' },
});

const laws: readonly (readonly [law: string, given: Given, expected: Expected])[] = [
  [
    'a fresh job wants a node for every partition',
    { job: two },
    { vacancies: ['0/0', '1/0'], tried: [0, 0], replaces: [null, null] },
  ],
  [
    'an assigned execution that was heard of is waited for until its lease runs out',
    { partitions: [[{ heardAgoMs: 5_000 }]] },
    { wakeInMs: leaseLostMs - 5_000 },
  ],
  [
    'a running execution is waited for until its lease runs out',
    { partitions: [[{ phase: 'running', heardAgoMs: 1 }]] },
    { wakeInMs: leaseLostMs - 1 },
  ],
  [
    'an execution unheard for the whole lease is lost and its partition wants the next attempt at once',
    { partitions: [[{ phase: 'running', heardAgoMs: leaseLostMs }]] },
    { givenUp: ['0/0 lost'], vacancies: ['0/1'], tried: [1], replaces: ['lost'] },
  ],
  [
    'and not while it is being accepted: that may be decided already',
    {
      partitions: [[{ phase: 'completed', result: RESULT, heardAgoMs: leaseLostMs }]],
      away: [idOf(1)],
      proposed: ['accept/1/0'],
    },
    {},
  ],
  [
    'an execution that was given up as lost is replaced without being lost again',
    { partitions: [[{ phase: 'running', gone: 'lost', heardAgoMs: leaseLostMs }]] },
    { vacancies: ['0/1'], tried: [1], replaces: ['lost'] },
  ],
  [
    'one that another leader gave up as lost has the time of a lease to be back before a further attempt',
    { partitions: [[{ phase: 'running', replaced: 'lost', fresh: true }, { gone: 'missed' }]] },
    { begun: ['0/0'], wakeInMs: leaseLostMs },
  ],
  [
    'one that began, as its node said, though another leader missed it, has that time, too',
    { partitions: [[{ phase: 'running', replaced: 'missed', fresh: true }, { gone: 'missed' }]] },
    { begun: ['0/0'], wakeInMs: leaseLostMs },
  ],
  [
    'one that another leader gave up as lost, and is silent here, too, is waited for no longer',
    {
      partitions: [
        [{ phase: 'running', gone: 'lost', heardAgoMs: leaseLostMs }, { gone: 'missed' }],
      ],
    },
    { vacancies: ['0/2'], tried: [2], replaces: ['missed'] },
  ],
  [
    'an assignment that nobody took up is replaced at once',
    { partitions: [[{ gone: 'missed' }]] },
    { vacancies: ['0/1'], tried: [1], replaces: ['missed'] },
  ],
  [
    'an execution that its leaving node cancelled is replaced at once and counts as no failure',
    { partitions: [Array.from({ length: maxAttempts }, (): Told => ({ phase: 'cancelled' }))] },
    { vacancies: [`0/${maxAttempts}`], tried: [maxAttempts], replaces: ['missed'] },
  ],
  [
    'a failure seen for the first time is named, and waits for its back-off',
    { partitions: [[{ phase: 'failed', failure: 'node' }]] },
    { failed: ['0/0'], wakeInMs: retryBackoffMs },
  ],
  [
    'a node failure is tried again after the back-off',
    { partitions: [[failure('node', retryBackoffMs)]] },
    { vacancies: ['0/1'], tried: [1], replaces: ['failed'] },
  ],
  [
    'a transient failure is tried again after the back-off',
    { partitions: [[failure('transient', retryBackoffMs)]] },
    { vacancies: ['0/1'], tried: [1], replaces: ['failed'] },
  ],
  [
    'the back-off doubles with the second failure',
    { partitions: [[failure('node', 60_000), failure('node', 500)]] },
    { wakeInMs: 2 * retryBackoffMs - 500 },
  ],
  [
    'a lost node after a failure counts into the back-off of that failure once it is replaced',
    {
      partitions: [
        [failure('node', 0), { gone: 'lost', heardAgoMs: leaseLostMs }, { gone: 'missed' }],
      ],
    },
    { wakeInMs: 2 * retryBackoffMs },
  ],
  [
    'a failure beside a live attempt wants nothing',
    { partitions: [[failure('node', 60_000), { phase: 'running' }]] },
    { wakeInMs: leaseLostMs },
  ],
  [
    'the last allowed failure ends the job',
    { partitions: [Array.from({ length: maxAttempts }, () => failure('node', 60_000))] },
    { close: 'failed attempts-exhausted' },
  ],
  [
    'lost nodes that were replaced count as failures',
    { partitions: [Array.from({ length: maxAttempts + 1 }, (): Told => ({ gone: 'lost' }))] },
    { close: 'failed attempts-exhausted' },
  ],
  [
    'a lost node that was not replaced is no failure yet',
    {
      partitions: [
        Array.from(
          { length: maxAttempts },
          (): Told => ({ gone: 'lost', heardAgoMs: leaseLostMs }),
        ),
      ],
    },
    { vacancies: [`0/${maxAttempts}`], tried: [maxAttempts], replaces: ['lost'] },
  ],
  [
    'as many misses as are allowed do not end the job',
    { partitions: [Array.from({ length: maxMisses }, (): Told => ({ gone: 'missed' }))] },
    { vacancies: [`0/${maxMisses}`], tried: [maxMisses], replaces: ['missed'] },
  ],
  [
    'one miss more than is allowed ends the job',
    { partitions: [Array.from({ length: maxMisses + 1 }, (): Told => ({ gone: 'missed' }))] },
    { close: 'failed attempts-exhausted' },
  ],
  [
    'a wrong spec is not tried again',
    { partitions: [[failure('spec')]] },
    { close: 'failed a-spec-failure' },
  ],
  [
    'a job that ran into its own limit is not tried again',
    { partitions: [[failure('limit')]] },
    { close: 'failed a-limit-failure' },
  ],
  [
    'one partition with a wrong spec ends the whole job',
    { job: two, partitions: [[{ phase: 'running' }], [failure('spec')]] },
    { close: 'failed a-spec-failure', wakeInMs: leaseLostMs },
  ],
  [
    'a completed execution without a result is accepted and completes the job',
    { partitions: [[{ phase: 'completed' }]] },
    { accepts: ['0/0'], complete: true },
  ],
  [
    'one completed partition of two is accepted but completes nothing',
    { job: two, partitions: [[{ phase: 'completed' }], [{ phase: 'running' }]] },
    { accepts: ['0/0'], wakeInMs: leaseLostMs },
  ],
  [
    'the last result closes the job together with its accept',
    { job: two, partitions: [[{ phase: 'completed', accepted: true }], [{ phase: 'completed' }]] },
    { accepts: ['1/0'], complete: true },
  ],
  [
    'a job whose partitions are all accepted is complete',
    { partitions: [[{ phase: 'completed', accepted: true }]] },
    { complete: true },
  ],
  [
    'of two completed attempts the first is accepted',
    { partitions: [[{ phase: 'completed' }, { phase: 'completed' }]] },
    { accepts: ['0/0'], complete: true },
  ],
  [
    'a completed attempt counts although an earlier one had a wrong spec',
    { partitions: [[failure('spec'), { phase: 'completed' }]] },
    { accepts: ['0/1'], complete: true },
  ],
  [
    'a completed attempt that was given up as lost counts all the same',
    { partitions: [[{ phase: 'completed', gone: 'lost' }, { phase: 'running' }]] },
    { accepts: ['0/0'], complete: true },
  ],
  [
    'a result is copied before it is accepted',
    { partitions: [[{ phase: 'completed', result: RESULT }]] },
    { copies: ['0/0'] },
  ],
  [
    'a result is not accepted while somebody is asked for a copy',
    { partitions: [[{ phase: 'completed', result: RESULT, copy: {} }]] },
    { copies: ['0/0'] },
  ],
  [
    'a copied result is accepted',
    { partitions: [[{ phase: 'completed', result: RESULT, copy: copied(9) }]] },
    { accepts: ['0/0'], complete: true },
  ],
  [
    'a result whose copy lies on a node out of reach is copied once more',
    { partitions: [[{ phase: 'completed', result: RESULT, copy: copied(9) }]], away: [idOf(9)] },
    { copies: ['0/0'] },
  ],
  [
    'a result whose executor is out of reach is copied once more from the node that has a copy',
    { partitions: [[{ phase: 'completed', result: RESULT, copy: copied(9) }]], away: [idOf(1)] },
    { copies: ['0/0'] },
  ],
  [
    'two copies are enough without the executor',
    { partitions: [[{ phase: 'completed', result: RESULT, copy: copied(9, 8) }]], away: [idOf(1)] },
    { accepts: ['0/0'], complete: true },
  ],
  [
    'a result that everybody refused to hold is accepted with its executor alone',
    {
      partitions: [
        [
          {
            phase: 'completed',
            result: RESULT,
            copy: { asked: null, failed: new Set([idOf(8), idOf(9)]) },
          },
        ],
      ],
    },
    { accepts: ['0/0'], complete: true },
  ],
  [
    'a result that two nodes were given all their time to copy is accepted with its executor alone',
    { partitions: [[{ phase: 'completed', result: RESULT, copy: { asked: null, late: 2 } }]] },
    { accepts: ['0/0'], complete: true },
  ],
  [
    'a result is accepted without a copy where there is no second node',
    { partitions: [[{ phase: 'completed', result: RESULT }]], takers: [idOf(1)] },
    { accepts: ['0/0'], complete: true },
  ],
  [
    'a result whose only holder is out of reach is waited for while its lease runs',
    {
      partitions: [[{ phase: 'completed', result: RESULT, heardAgoMs: 1_000 }]],
      away: [idOf(1)],
    },
    { wakeInMs: leaseLostMs - 1_000 },
  ],
  [
    'a result whose only holder stays out of reach is lost, and made anew',
    {
      partitions: [[{ phase: 'completed', result: RESULT, heardAgoMs: leaseLostMs }]],
      away: [idOf(1)],
    },
    { givenUp: ['0/0 lost'], vacancies: ['0/1'], tried: [1], replaces: ['lost'] },
  ],
  [
    'a result that is back counts, though it was given up and another attempt runs',
    { partitions: [[{ phase: 'completed', result: RESULT, gone: 'lost' }, { phase: 'running' }]] },
    { copies: ['0/0'] },
  ],
  [
    'a result that two found nowhere is lost although its node is there',
    {
      partitions: [
        [
          {
            phase: 'completed',
            result: RESULT,
            copy: { asked: null, missing: [idOf(9), idOf(8)] },
          },
        ],
      ],
    },
    { givenUp: ['0/0 lost'], vacancies: ['0/1'], tried: [1], replaces: ['lost'] },
  ],
  [
    'an assignment that is not taken up in time is missed, and its partition wants the next attempt',
    { partitions: [[{ startsInMs: 0 }]] },
    { givenUp: ['0/0 missed'], vacancies: ['0/1'], tried: [1], replaces: ['missed'] },
  ],
  [
    'an assignment that may still be taken up is waited for until then',
    { partitions: [[{ startsInMs: 700 }]] },
    { wakeInMs: 700 },
  ],
  [
    'an attempt that this leader sees for the first time is watched from now on',
    { partitions: [[{ fresh: true }]] },
    { begun: ['0/0'], wakeInMs: startTimeoutMs },
  ],
  [
    'one that runs, as its node told another leader, has the time of a lease',
    { partitions: [[{ fresh: true, phase: 'running' }]] },
    { begun: ['0/0'], wakeInMs: leaseLostMs },
  ],
  [
    'one that its owner wants to be waited for has that time to begin',
    { job: waited, partitions: [[{ fresh: true }]] },
    { begun: ['0/0'], wakeInMs: 600_000 },
  ],
  [
    'one that its owner wants to be waited for has that time with every leader',
    { job: waited, partitions: [[{ fresh: true, phase: 'running' }]] },
    { begun: ['0/0'], wakeInMs: 600_000 },
  ],
  [
    'what nobody took up for another leader is not waited for',
    { partitions: [[{ fresh: true, replaced: 'missed' }, failure('node')]] },
    { begun: ['0/0'], wakeInMs: retryBackoffMs },
  ],
  [
    'what another leader replaced lives again when it is heard',
    { partitions: [[{ replaced: 'lost' }, failure('node', retryBackoffMs)]] },
    { wakeInMs: leaseLostMs },
  ],
  [
    'what was missed for an earlier leader is no failure for a later one',
    {
      partitions: [
        [
          ...Array.from({ length: maxAttempts }, (): Told => ({ fresh: true, replaced: 'missed' })),
          { gone: 'missed' },
        ],
      ],
    },
    {
      begun: Array.from({ length: maxAttempts }, (_, attempt) => `0/${attempt}`),
      vacancies: [`0/${maxAttempts + 1}`],
      tried: [maxAttempts + 1],
      replaces: ['missed'],
    },
  ],
  [
    'what was committed as lost counts, though its program reported a failure later',
    {
      partitions: [
        [
          { ...failure('node', 60_000), replaced: 'missed' },
          { ...failure('node', 60_000), replaced: 'missed' },
          failure('node', 60_000),
        ],
      ],
    },
    { vacancies: ['0/3'], tried: [3], replaces: ['failed'] },
  ],
  [
    'after an accept the other attempts of the partition are surplus, once, unless they ended',
    {
      job: two,
      partitions: [
        [
          { phase: 'completed', accepted: true },
          { phase: 'running' },
          { phase: 'running', cancelled: true },
          failure('node'),
        ],
        [{ phase: 'running' }],
      ],
    },
    { surplus: ['0/1'], wakeInMs: leaseLostMs },
  ],
  [
    'what is proposed is not decided again',
    {
      job: jobWith({ Count: 3 }),
      partitions: [[{ phase: 'completed' }], [{ phase: 'completed', result: RESULT, copy: {} }]],
      proposed: ['accept/1/0', 'accept/1/1', 'assign/1/2/0'],
    },
    {},
  ],
  [
    'nothing is decided once the end is',
    { partitions: [[{ fresh: true }]], proposed: ['close/1'], stop: 'enough' },
    {},
  ],
  [
    'a job that nobody took within its QueueTimeout fails',
    { job: queued(60), search: {} },
    { close: 'failed queue-timeout', vacancies: ['0/0'], tried: [0], replaces: [null] },
  ],
  [
    'a job is looked at again when its QueueTimeout is due',
    { job: queued(61), search: {} },
    { vacancies: ['0/0'], tried: [0], replaces: [null], wakeInMs: 1_000 },
  ],
  [
    'an offer that was not used yet is used before a job fails for its QueueTimeout',
    { job: queued(60), search: { bids: 1 } },
    { vacancies: ['0/0'], tried: [0], replaces: [null] },
  ],
  ['a stop of the owner ends the job', { stop: 'enough' }, { close: 'stopped stopped-by-owner' }],
  [
    'a stop comes before a result',
    { stop: '', partitions: [[{ phase: 'completed' }]] },
    { close: 'stopped stopped-by-owner' },
  ],
  [
    'a stop comes before the TotalTimeout',
    { stop: '', job: timeouts(5), ageMs: 9_000 },
    { close: 'stopped stopped-by-owner', wakeInMs: 0 },
  ],
  [
    'a job is looked at again when its TotalTimeout is due',
    { job: timeouts(5), ageMs: 1_000, partitions: [[{ phase: 'running' }]] },
    { wakeInMs: 4_000 },
  ],
  [
    'the TotalTimeout ends the job at its exact moment',
    { job: timeouts(5), ageMs: 5_000, partitions: [[{ phase: 'running' }]] },
    { close: 'failed total-timeout', wakeInMs: 0 },
  ],
];

describe('planJob', () => {
  for (const [law, given, expected] of laws) {
    it(law, () => assert.deepEqual(seen(given), { ...quiet, ...expected }));
  }

  it('gives the reason and the evidence of an ending', () => {
    const exhausted = planJob(
      ...argumentsOf({ partitions: [Array.from({ length: 3 }, () => failure('node', 1))] }),
    );
    assert.match(
      exhausted.close?.message ?? '',
      /^Partition 0 did not succeed in 3 attempts.*because of node$/,
    );
    assert.equal(exhausted.close?.evidence.length, 1);
    const lost = planJob(
      ...argumentsOf({ partitions: [Array.from({ length: 4 }, (): Told => ({ gone: 'lost' }))] }),
    );
    assert.match(lost.close?.message ?? '', /the node was lost or did not take it up$/);
    assert.deepEqual(lost.close?.evidence, []);
    const wrong = planJob(...argumentsOf({ partitions: [[failure('spec')]] }));
    assert.equal(wrong.close?.message, 'Partition 0: because of spec');
    assert.equal(wrong.close?.evidence.length, 1);
    assert.equal(planJob(...argumentsOf({ stop: '' })).close?.message, 'stopped by its owner');
    const stopped = planJob(...argumentsOf({ stop: 'enough' })).close;
    assert.equal(stopped?.message, 'enough');
    assert.equal(stopped?.evidence.length, 1);
    assert.match(
      planJob(...argumentsOf({ job: timeouts(5), ageMs: 5_000 })).close?.message ?? '',
      /of 5 s\.$/,
    );
  });

  it('is a function: the same ledger and observations give the same plan, and neither is changed', () => {
    for (const [law, given] of laws) {
      const { ledger, observed } = build(given);
      const before = structuredClone({ ...observed.watch });
      const first = planJob(ledger, observed);
      assert.deepEqual(planJob(ledger, observed), first, law);
      assert.deepEqual({ ...observed.watch }, before, law);
    }
  });
});

function argumentsOf(given: Given): [Ledger, Observed] {
  const { ledger, observed } = build(given);
  return [ledger, observed];
}

describe('partitionsIn', () => {
  const counts = { batch: 3, service: 3, ops: ENROLLED_MAX, daemon: ENROLLED_MAX };
  for (const [Type, count] of Object.entries(counts) as [JobType, number][]) {
    it(`a ${Type} job with Count 3 has ${count}`, () => {
      const { ledger } = build({ job: jobWith({ Type, Count: 3 }) });
      assert.equal(partitionsIn(ledger.spec.body), count);
    });
  }
});

describe('the failures of a job', () => {
  const given: Given = {
    job: jobWith({ Count: 3 }),
    partitions: [
      [failure('node'), { phase: 'running' }],
      [{ gone: 'lost' }],
      [{ gone: 'missed' }, { phase: 'failed' }],
    ],
  };

  it('are counted by node, whether they failed or were given up', () => {
    const { ledger, observed } = build(given);
    const outlook = createOutlook(ledger);
    replan(outlook, ledger, observed);
    assert.deepEqual(
      [...outlook.failures],
      [
        [idOf(1), 3],
        [idOf(2), 1],
      ],
    );
  });

  it('are known to other keepers as far as they were told', () => {
    const { ledger } = build(given);
    assert.deepEqual(
      [1, 2, 3].map((node) => hasFailed(ledger, idOf(node))),
      [true, true, false],
    );
  });
});

describe('an execution that goes on for longer than its job allows', () => {
  const noop = { Type: 'noop', Params: {} };
  const of = (seconds: number, change: object = {}): Job =>
    jobWith(
      {},
      {
        Engine: noop,
        Timeouts: { ExecutionTimeout: seconds, QueueTimeout: 0, TotalTimeout: 0 },
        ...change,
      },
    );
  const lostAfter = (job: Job, seenAgoMs: number): number => {
    const { ledger, observed } = build({
      job,
      partitions: [[{ phase: 'running', heardAgoMs: 0 }]],
      seenAgoMs,
    });
    return planJob(ledger, observed).givenUp.filter(({ why }) => why === 'overdue').length;
  };

  it('is lost half a minute later, though its node renews its lease', () => {
    assert.equal(lostAfter(of(5), 34_999), 0);
    assert.equal(lostAfter(of(5), 35_000), 1);
  });

  it('has half an hour more when it fetches or publishes something', () => {
    const publishing = of(5, { Publisher: { Type: 'ipfs', Params: {} } });
    assert.equal(lostAfter(publishing, 1_804_000), 0);
    assert.equal(lostAfter(publishing, 1_805_000), 1);
  });

  it('has all the time there is without a limit', () => {
    assert.equal(lostAfter(of(0), 90_000), 0);
  });
});
