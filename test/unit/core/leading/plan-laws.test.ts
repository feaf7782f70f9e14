/**
 * What holds of every plan, whatever is committed, reported and seen, for each type of job. The records are made
 * once and drawn from, so that 25,000 cases of each type take seconds.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_LIMITS } from '../../../../src/core/contract/limits.ts';
import type { CertifiedValue } from '../../../../src/core/contract/messages.ts';
import type { Observed } from '../../../../src/core/leading/partition-plan.ts';
import { planJob } from '../../../../src/core/leading/plan.ts';
import type { Plan } from '../../../../src/core/leading/plan.ts';
import type { Watched } from '../../../../src/core/leading/state.ts';
import type { FailureClass, Phase } from '../../../../src/core/record/execution.ts';
import { after, asMillis } from '../../../../src/core/record/ids.ts';
import type { ExecutionId } from '../../../../src/core/record/ids.ts';
import {
  attemptsOf,
  createLedger,
  isTerminal,
  mergeCommand,
  mergeCommitted,
  mergeState,
  stateOf as jobStateOf,
} from '../../../../src/core/record/ledger.ts';
import type { Ledger } from '../../../../src/core/record/ledger.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import type { ReplacedFor, Signed } from '../../../../src/core/record/records.ts';
import type { JobType } from '../../../../src/job/model.ts';
import { JOB_TYPES, TYPE_NAMES } from '../../../../src/job/types.ts';
import {
  acceptOf,
  admitted,
  assignOf,
  closeOf,
  committed,
  idOf,
  jobWith,
  stateOf,
  stopOf,
} from '../fixtures.ts';

const CASES = 25_000;
const COUNT = 3;
const ATTEMPTS = 4;
const NODES = 4;
const NOW = asMillis(1_000_000);

const PHASES: readonly Phase[] = [
  'received',
  'preparing',
  'running',
  'publishing',
  'completed',
  'failed',
  'cancelled',
  'lost',
];
const CLASSES: readonly FailureClass[] = ['spec', 'node', 'transient', 'limit'];
const REPLACED: readonly ReplacedFor[] = ['failed', 'lost', 'missed', 'overdue'];
const RESULT = {
  cid: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi',
  bytes: 10,
};

/** One attempt as it is drawn; numbers choose among what there is. */
interface Drawn {
  readonly node: number;
  readonly replaces: number;
  /** What its node said of it, each with a sequence; in which order it is heard is drawn, too. */
  readonly said: readonly (readonly [phase: number, sequence: number])[];
  readonly failure: number;
  readonly accepted: boolean;
  readonly watched: boolean;
  readonly gone: number | null;
  readonly silentInMs: number;
  readonly startsInMs: number | null;
  readonly cancelled: boolean;
}

interface Case {
  readonly partitions: readonly (readonly Drawn[])[];
  readonly stopped: boolean;
  readonly closed: boolean;
  readonly near: boolean;
}

const drawn: fc.Arbitrary<Drawn> = fc.record({
  node: fc.nat(NODES - 1),
  replaces: fc.nat(REPLACED.length - 1),
  said: fc.array(fc.tuple(fc.nat(PHASES.length - 1), fc.nat(3)), { maxLength: 2 }),
  failure: fc.nat(CLASSES.length - 1),
  accepted: fc.boolean(),
  watched: fc.boolean(),
  gone: fc.option(fc.nat(2)),
  silentInMs: fc.constantFrom(-1_000, 1, 20_000),
  startsInMs: fc.option(fc.constantFrom(-1, 500)),
  cancelled: fc.boolean(),
});

const cases: fc.Arbitrary<Case> = fc.record({
  partitions: fc.array(fc.array(drawn, { maxLength: ATTEMPTS }), { maxLength: COUNT }),
  stopped: fc.boolean(),
  closed: fc.boolean(),
  near: fc.boolean(),
});

const GONE = ['lost', 'missed', 'overdue'] as const;

/** All records that a case of this type may be made of, each made when it is drawn for the first time. */
function pool(type: JobType) {
  const { counted } = JOB_TYPES[type];
  const of = admitted(jobWith({ Type: type, Count: counted ? COUNT : 0 }), [0]);
  const made = new Map<string, unknown>();
  const once = <T>(key: string, make: () => T): T => {
    const known = made.get(key) as T | undefined;
    if (known !== undefined) return known;
    const fresh = make();
    made.set(key, fresh);
    return fresh;
  };
  const assign = (partition: number, attempt: number, node: number, replaces: ReplacedFor) =>
    once(`a${partition}/${attempt}/${node}/${replaces}`, () =>
      committed(of, assignOf(of, { partition, attempt, node, replaces })),
    );
  const state = (
    to: Signed<'assign'>,
    node: number,
    { phase, sequence, failure }: { phase: Phase; sequence: number; failure: FailureClass },
  ) =>
    once(`s${to.id}/${phase}/${sequence}/${failure}`, () =>
      stateOf(to, node, {
        phase,
        sequence,
        result: phase === 'completed' && JOB_TYPES[type].ends ? RESULT : null,
        failure:
          phase === 'failed' ? { code: 'it-broke', class: failure, message: 'it broke' } : null,
      }),
    );
  const accept = (from: Signed<'state'>) =>
    once(`r${from.id}`, () => committed(of, acceptOf(of, from)));
  const close = once('close', () => committed(of, closeOf(of)));
  const stop = stopOf(of);
  return { of, assign, state, accept, close, stop };
}
type Pool = ReturnType<typeof pool>;

type Fact = CertifiedValue | Signed<'state'> | Signed<'command'>;

/** What is known of the job, and what its leader has seen beside it. */
function build(from: Pool, type: JobType, given: Case): { facts: readonly Fact[]; seen: Observed } {
  const { counted, ends } = JOB_TYPES[type];
  const facts: Fact[] = [];
  const watch = new Map<ExecutionId, Watched>();
  const cancelled = new Set<ExecutionId>();
  given.partitions.forEach((attempts, partition) => {
    let isAccepted = false;
    // A node that enrolled has the place to itself, and one of what ends runs there once.
    const few = counted ? attempts : attempts.slice(0, 1);
    few.forEach((one, attempt) => {
      const node = (counted ? one.node : partition) + 1;
      const why = REPLACED[one.replaces] ?? 'lost';
      const assigned = from.assign(partition, attempt, node, why);
      facts.push(assigned);
      const { execution } = assigned.record.body;
      if (one.cancelled) cancelled.add(execution);
      if (one.watched)
        watch.set(execution, {
          assign: assigned,
          firstAt: asMillis(NOW - 2_000),
          silentAt: after(NOW, one.silentInMs),
          startBy: one.startsInMs === null ? null : after(NOW, one.startsInMs),
          sendAt: NOW,
          gaveUp: one.gone === null ? null : (GONE[one.gone] ?? null),
          failedAt: null,
          backAt: null,
        });
      for (const [drawnPhase, sequence] of one.said) {
        const phase = PHASES[drawnPhase] ?? 'running';
        const failure = CLASSES[one.failure] ?? 'node';
        const state = from.state(assigned.record, node, { phase, sequence, failure });
        facts.push(state);
        if (!ends || phase !== 'completed' || !one.accepted || isAccepted) continue;
        isAccepted = true;
        facts.push(from.accept(state));
      }
    });
  });
  if (given.stopped) facts.push(from.stop);
  if (given.closed) facts.push(from.close);
  const seen: Observed = {
    now: NOW,
    epoch: from.of.epoch,
    ageMs: 60_000,
    watch,
    cancelled,
    replications: new Map(),
    around: { near: () => given.near, takers: () => [idOf(NODES + 2)] },
    search: null,
    isProposed: () => false,
    enrolment: counted
      ? null
      : {
          until: after(NOW, 5_000),
          calledUntil: null,
          isPlacing: false,
          available: () => 1,
          declines: new Map(),
        },
    limits: DEFAULT_LIMITS,
  };
  return { facts, seen };
}

function merge(ledger: Ledger, fact: Fact): void {
  if ('record' in fact) mergeCommitted(ledger, fact);
  else if (fact.type === 'state') mergeState(ledger, fact);
  else mergeCommand(ledger, fact);
}

function ledgerOf(from: Pool, facts: readonly Fact[]): Ledger {
  const ledger = createLedger(from.of.spec, from.of.admission);
  for (const fact of facts) merge(ledger, fact);
  return ledger;
}

/** What two ledgers must have in common to be the same. */
const contents = (ledger: Ledger): unknown => ({
  committed: [...ledger.committed].map(([slot, { record }]) => `${slot} ${record.id}`).sort(),
  states: [...ledger.states].map(([id, state]) => `${id} ${state.id}`).sort(),
  commands: [...ledger.commands.keys()].sort(),
  assigned: [...ledger.assigned].map(([id, { attempt }]) => `${id} ${attempt}`).sort(),
  attempts: [...ledger.partitions]
    .map(([index, partition]) => {
      const each = attemptsOf(partition).map(
        ({ assign, state }) => `${slotOf(assign.record)} ${state?.id ?? '-'}`,
      );
      return `${index}: ${each.join(', ')}; ${partition.accept?.record.id ?? '-'}`;
    })
    .sort(),
  close: ledger.close?.record.id ?? null,
  state: jobStateOf(ledger, false),
});

/** A job is over, or runs, or has not begun: what was said of it once is not taken back. */
const RANK: Readonly<Record<string, number>> = { Pending: 0, Queued: 0, Running: 1 };
const rankOf = (ledger: Ledger): number => RANK[jobStateOf(ledger, false)] ?? 2;

/** Of one partition: an execution that may still become its result, or stand. */
function lives(ledger: Ledger, seen: Observed, index: number): boolean {
  const latest = attemptsOf(ledger.partitions.get(index)).at(-1);
  if (latest === undefined) return false;
  const { execution } = latest.assign.record.body;
  const watched = seen.watch.get(execution);
  if (watched === undefined) return false;
  const isOver = latest.state !== null && isTerminal(latest.state.body.phase);
  const isGone = watched.gaveUp !== null || watched.silentAt <= seen.now;
  const isLate = watched.startBy !== null && watched.startBy <= seen.now;
  return !isOver && !isGone && !isLate && !seen.cancelled.has(execution);
}

/** Places that the plan would fill, each with the attempt it would begin. */
const begins = (plan: Plan): readonly (readonly [partition: number, attempt: number])[] => [
  ...[...plan.vacancies.values()].map(({ partition, attempt }) => [partition, attempt] as const),
  ...plan.adoptions.map(({ adopted, attempt }) => [adopted.body.partition, attempt] as const),
];

for (const type of TYPE_NAMES) {
  const from = pool(type);
  describe(`whatever became of a ${type} job`, () => {
    it('its plan, its state and its ledger keep the laws', () => {
      fc.assert(
        fc.property(cases, fc.nat(0xffff), (given, turn) => {
          const { facts, seen } = build(from, type, given);
          const ledger = ledgerOf(from, facts);
          const plan = planJob(ledger, seen);
          neverTooMany(ledger, seen, plan);
          if (given.stopped) stoppedPlacesNothing(plan);
          mergesInAnyOrder(ledger, facts, turn);
          neverGoesBack(facts);
        }),
        { numRuns: CASES },
      );
    });

    function neverTooMany(ledger: Ledger, seen: Observed, plan: Plan): void {
      const wanted = begins(plan);
      const places = new Set(wanted.map(([partition]) => partition));
      assert.equal(places.size, wanted.length, 'a place is filled once');
      if (!JOB_TYPES[type].counted) assert.equal(wanted.length, 0, 'nodes decide for themselves');
      for (const [partition, attempt] of wanted) {
        assert.ok(partition < COUNT, `partition ${partition}`);
        assert.equal(ledger.partitions.get(partition)?.accept ?? null, null, 'it has a result');
        assert.equal(attempt, attemptsOf(ledger.partitions.get(partition)).length);
        if (plan.adoptions.length > 0) continue;
        assert.ok(!lives(ledger, seen, partition), `partition ${partition} has one that lives`);
      }
    }

    /** The end that its owner asked for is all that is left to do. */
    function stoppedPlacesNothing(plan: Plan): void {
      assert.equal(begins(plan).length, 0);
      assert.equal(plan.accepts.length, 0);
      assert.equal(plan.close?.code, 'stopped-by-owner');
    }

    function mergesInAnyOrder(ledger: Ledger, facts: readonly Fact[], turn: number): void {
      const at = facts.length === 0 ? 0 : turn % facts.length;
      const other = [...facts.slice(at), ...facts.slice(0, at)];
      if (turn % 2 === 0) other.reverse();
      // What comes twice changes nothing.
      const again = ledgerOf(from, [...other, ...other.slice(0, 2)]);
      assert.deepEqual(contents(again), contents(ledger));
    }

    function neverGoesBack(facts: readonly Fact[]): void {
      const ledger = createLedger(from.of.spec, from.of.admission);
      const over = new Set<ExecutionId>();
      let rank = rankOf(ledger);
      for (const fact of facts) {
        merge(ledger, fact);
        for (const [execution, { body }] of ledger.states) {
          if (isTerminal(body.phase)) over.add(execution);
          else assert.ok(!over.has(execution), `${execution} is ${body.phase} again`);
        }
        const next = rankOf(ledger);
        assert.ok(next >= rank, `from ${rank} to ${next}`);
        rank = next;
      }
    }
  });
}
