/** The plan that is kept up to date is the plan from scratch, whatever happens, and an event costs little of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ring } from '../../../../src/core/alarms.ts';
import { standForLeader } from '../../../../src/core/consensus/candidacy.ts';
import { jobTimer } from '../../../../src/core/consensus/proposer.ts';
import type { Input } from '../../../../src/core/contract/input.ts';
import { DEFAULT_LIMITS } from '../../../../src/core/contract/limits.ts';
import type { Message } from '../../../../src/core/contract/messages.ts';
import { tickJob } from '../../../../src/core/jobs.ts';
import type { KeptJob } from '../../../../src/core/keeping/state.ts';
import { loseNode } from '../../../../src/core/leading/silence.ts';
import { observedBy } from '../../../../src/core/leading/carry-out.ts';
import { planPartition, timeLimitOf } from '../../../../src/core/leading/partition-plan.ts';
import { replan } from '../../../../src/core/leading/outlook.ts';
import { planJob } from '../../../../src/core/leading/plan.ts';
import { leaderIn } from '../../../../src/core/leading/state.ts';
import type { Candidate, Leader } from '../../../../src/core/leading/state.ts';
import { createCore } from '../../../../src/core/node/create-core.ts';
import type { Core } from '../../../../src/core/node/state.ts';
import { workOff } from '../../../../src/core/node/work-off.ts';
import type { Phase } from '../../../../src/core/record/execution.ts';
import { closeSlot, slotOf } from '../../../../src/core/record/slot.ts';
import { asMillis } from '../../../../src/core/record/ids.ts';
import type { Millis, NodeId } from '../../../../src/core/record/ids.ts';
import type { Signed } from '../../../../src/core/record/records.ts';
import { dispatch, onMessage } from '../../../../src/core/routes.ts';
import {
  admitted,
  advertOf,
  assignOf,
  committed,
  at,
  idOf,
  jobWith,
  stateOf,
  storeOf,
  suiteOf,
  voteOf,
} from '../fixtures.ts';
import type { Admitted } from '../fixtures.ts';

const CAPACITY = { cpuMillis: 64_000, memoryBytes: 2 ** 40, diskBytes: 0, gpus: 0 };
const SMALL = { cpuMillis: 1, memoryBytes: 1, diskBytes: 0, gpus: 0 };
const RESULT = { cid: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi', bytes: 10 };
const FIRST = 4;

/** A node that leads a job with keepers 0, 1 and 2; nodes from 4 on run it, and the test plays them all. */
class Leading {
  readonly core: Core;
  readonly kept: KeptJob;
  readonly #job: Admitted;
  readonly #count: number;
  #now = 1_000;
  #ended = 0;

  constructor(count: number, nodes: number) {
    this.#count = count;
    const config = { node: idOf(0), store: storeOf(0), limits: DEFAULT_LIMITS, countedMs: 0 };
    this.core = createCore(config, suiteOf(0));
    for (let node = 1; node < FIRST + nodes; node += 1) {
      this.take({ type: 'peer-connected', node: idOf(node) });
      const advert = advertOf(node, { engines: ['docker'], capacity: CAPACITY, free: CAPACITY });
      this.message(node, { type: 'advert', advert });
    }
    const job = admitted(jobWith({ Count: count }, { resources: SMALL }), [0, 1, 2]);
    this.#job = job;
    this.message(1, { type: 'activate', spec: job.spec, admission: job.admission });
    this.kept = this.core.keeping.kept.get(job.spec.body.job) ?? assert.fail('it is kept');
  }

  get lead(): Leader | null {
    return this.kept.ledger.close === null ? leaderIn(this.kept.lead) : null;
  }

  take(input: Input): void {
    const { core } = this;
    const now = asMillis(this.#now);
    core.wall = at(this.#now);
    core.now = now;
    core.timers.begin(now);
    dispatch(core, input);
    this.#settle();
    for (let key = core.timers.take(now); key !== null; key = core.timers.take(now)) {
      ring(core, key);
      this.#settle();
    }
    core.out.splice(0);
    core.writes.splice(0);
  }

  #settle(): void {
    const { core } = this;
    workOff(core, {
      message: (_core, message) => onMessage(core, core.self, message),
      job: (_core, job) => {
        core.dirty.delete(job);
        const kept = core.keeping.kept.get(job);
        if (kept !== undefined) tickJob(core, kept);
      },
    });
    assert.equal(
      core.out.find(({ type }) => type === 'defect'),
      undefined,
    );
  }

  /** Its one alarm rings, whatever it was set for. */
  ringEarly(): void {
    const key = jobTimer(this.kept);
    this.core.timers.clear(key);
    this.core.now = asMillis(this.#now);
    ring(this.core, key);
    this.#settle();
  }

  /** When the alarm of the job is set for; infinite when it is not set. */
  alarmAt(): number {
    const { core } = this;
    const pending: [string, Millis][] = [];
    for (let next = core.timers.next(); next !== null; next = core.timers.next())
      pending.push([core.timers.take(next) ?? assert.fail(), next]);
    core.timers.begin(asMillis(this.#now));
    for (const [key, moment] of pending) core.timers.set(key, moment);
    return pending.find(([key]) => key === jobTimer(this.kept))?.[1] ?? Infinity;
  }

  /** What the leader is to look at again, as its parts have it, whatever names the alarm. */
  moments(): readonly number[] {
    const { core, kept, lead } = this;
    if (lead === null) return [];
    if (lead.confirming !== null) return [lead.confirming.resend.at];
    const { commits, seeking, starting, replications, entrusting, outlook } = lead;
    const open = [...commits.unacked.values()].some(({ size }) => size > 0);
    const telling = [
      ...(commits.proposals.size > 0 || open ? [commits.resend.at] : []),
      ...[...entrusting.values()].flatMap(({ resend, until }) => [resend.at, until]),
    ];
    // The end is proposed: nothing else is done any more.
    if (commits.proposals.has(closeSlot(1))) return telling;
    const { copies } = planJob(kept.ledger, observedBy(core, kept, lead));
    const copying = copies.flatMap(({ body }) => replications.get(body.execution) ?? []);
    return [
      ...telling,
      ...(seeking.waitingSince !== null ? [seeking.nextRoundAt] : []),
      ...[...starting].map(({ sendAt }) => sendAt),
      ...copying.flatMap(({ resend, deadline }) => [resend.at, deadline]),
      outlook.wakes.next() ?? Infinity,
    ];
  }

  message(from: number, message: Message): void {
    this.take({ type: 'message', from: idOf(from), message });
  }

  pass(ms: number): void {
    this.#now += ms;
    this.take({ type: 'wake' });
  }

  bid(node: number, executions: number): void {
    const { job } = this.kept.ledger;
    const offer = { executions, running: 0, locality: 0, free: CAPACITY, capacity: CAPACITY };
    this.message(node, { type: 'bid', job, version: 1, round: 0, ...offer });
  }

  /** Keeper 1 votes for what is proposed: with the leader's own vote that is a quorum. */
  vote(): void {
    const { job } = this.kept.ledger;
    const lead = this.lead;
    const votes = [...(lead?.commits.proposals.values() ?? [])].map(({ slot, value }) =>
      voteOf(1, job, value.id, slot, lead?.epoch ?? assert.fail()),
    );
    if (votes.length > 0) this.message(1, { type: 'voted', job, votes });
  }

  /** The node is found dead, and does not come back in time. */
  lose(node: number): void {
    loseNode(this.core, this.kept, idOf(node));
    this.pass(8_000);
  }

  /** Another keeper tells of an assignment that an earlier leader committed. */
  learn(index: number, node: number): void {
    if (index >= this.#count) return;
    const attempt = this.kept.ledger.partitions.get(index)?.attempts.size ?? 0;
    const assign = assignOf(this.#job, { partition: index, attempt, node, by: 1 });
    const { job } = assign.body;
    if (this.lead?.commits.proposals.has(slotOf(assign)) === true) return;
    this.message(1, { type: 'commit', job, values: [committed(this.#job, assign)] });
  }

  /** The assignments that were committed and not replaced, in a fixed order. */
  assigned(): readonly Signed<'assign'>[] {
    return [...this.kept.ledger.partitions.values()].flatMap(({ attempts }) =>
      [...attempts.values()].map(({ assign }) => assign.record),
    );
  }

  report(assign: Signed<'assign'>, phase: Phase, kind: 'node' | 'spec', result: boolean): void {
    const node = nodeOf(assign.body.node);
    this.#ended += 1;
    const failure = { code: 'it-broke', class: kind, message: 'it broke' } as const;
    const state = stateOf(assign, node, {
      phase,
      sequence: this.#ended,
      exitCode: phase === 'completed' ? 0 : null,
      failure: phase === 'failed' ? failure : null,
      result: phase === 'completed' && result ? RESULT : null,
    });
    this.message(node, { type: 'states', states: [state] });
  }

  /** What is kept up to date is what one finds who looks at everything. */
  check(): void {
    const { core, kept, lead } = this;
    if (lead === null) return;
    const { outlook, commits } = lead;
    if (commits.proposals.has(closeSlot(1))) return;
    const observed = observedBy(core, kept, lead);
    const plan = planJob(kept.ledger, observed);
    const own = replan(outlook, kept.ledger, observed);
    assert.deepEqual(own.copies.length, plan.copies.length);
    assert.equal(own.close?.code, plan.close?.code);
    if (plan.close !== null) return;
    // Nobody looks at a job when a node is gone or back whose results are not accepted; what changes with
    // that is in both plans.
    const byText = (list: readonly unknown[]) => list.map((one) => JSON.stringify(one)).sort();
    for (const bucket of ['begun', 'givenUp', 'failed', 'surplus', 'accepts'] as const)
      assert.deepEqual(byText(own[bucket]), byText(plan[bucket]), bucket);
    const inOrder = (map: ReadonlyMap<number, unknown>) => [...map].sort(([a], [b]) => a - b);
    assert.deepEqual(inOrder(outlook.vacancies), inOrder(plan.vacancies));
    assert.equal(outlook.open.size === 0, plan.complete);
    const failures = new Map<NodeId, number>();
    const limitMs = timeLimitOf(kept.ledger.spec.body.spec);
    for (let index = 0; index < this.#count; index += 1)
      for (const node of planPartition(kept.ledger, index, observed, limitMs).failing)
        failures.set(node, (failures.get(node) ?? 0) + 1);
    const byName = (map: ReadonlyMap<NodeId, number>) =>
      [...map].sort(([a], [b]) => (a < b ? -1 : 1));
    assert.deepEqual(byName(outlook.failures), byName(failures));
    const wake = core.timers.next();
    if (plan.wakeAt !== null) assert.ok(wake !== null && wake <= plan.wakeAt, 'it wakes in time');
    assert.ok(outlook.open.size <= this.#count);
  }
}

const nodeOf = (id: NodeId): number =>
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].find((node) => idOf(node) === id) ?? assert.fail(id);

type Event = (leading: Leading) => void;

/** Something happens to one of the executions. */
const toOne = (then: (leading: Leading, assign: Signed<'assign'>) => void) =>
  fc.nat(1_000).map(
    (number): Event =>
      (leading) => {
        const assigned = leading.assigned();
        const assign = assigned[number % Math.max(1, assigned.length)];
        if (assign !== undefined) then(leading, assign);
      },
  );
const executors = fc.integer({ min: FIRST, max: FIRST + 3 });
const phases = fc.constantFrom<Phase>('running', 'completed', 'completed', 'failed', 'cancelled');

const events: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(executors, fc.integer({ min: 1, max: 4 })).map(
      ([node, executions]): Event =>
        (leading) =>
          leading.bid(node, executions),
    ),
  },
  { weight: 6, arbitrary: fc.constant<Event>((leading) => leading.vote()) },
  {
    weight: 6,
    arbitrary: fc.tuple(phases, fc.boolean(), fc.nat(1_000), fc.nat(20)).map(
      ([phase, result, number, luck]): Event =>
        (leading) => {
          const assigned = leading.assigned();
          const assign = assigned[number % Math.max(1, assigned.length)];
          if (assign !== undefined)
            leading.report(assign, phase, luck === 0 ? 'spec' : 'node', result);
        },
    ),
  },
  toOne((leading, { body }) =>
    leading.message(nodeOf(body.node), {
      type: 'started',
      job: body.job,
      executions: [body.execution],
    }),
  ),
  toOne((leading, { body: { job, execution, node } }) =>
    leading.message(nodeOf(node), { type: 'renew', executions: [{ job, execution }] }),
  ),
  toOne((leading, { body: { job, execution, node } }) =>
    leading.message(nodeOf(node), {
      type: 'not-started',
      ...{ job, execution },
      refusals: [{ code: 'draining' }],
    }),
  ),
  fc.tuple(fc.nat(9), fc.constantFrom('made', 'refused', 'missing')).map(
    ([from, outcome]): Event =>
      (leading) => {
        const [execution] = leading.lead?.replications.keys() ?? [];
        const { job } = leading.kept.ledger;
        if (execution !== undefined)
          leading.message(from, { type: 'replicated', job, execution, cid: RESULT.cid, outcome });
      },
  ),
  executors.map(
    (node): Event =>
      (leading) =>
        leading.take({ type: 'peer-disconnected', node: idOf(node) }),
  ),
  executors.map(
    (node): Event =>
      (leading) =>
        leading.take({ type: 'peer-connected', node: idOf(node) }),
  ),
  executors.map(
    (node): Event =>
      (leading) =>
        leading.lose(node),
  ),
  fc.tuple(fc.nat(5), executors).map(
    ([partition, node]): Event =>
      (leading) =>
        leading.learn(partition, node),
  ),
  {
    weight: 3,
    arbitrary: fc.constantFrom(1, 100, 1_000, 5_000, 20_000, 60_000).map(
      (ms): Event =>
        (leading) =>
          leading.pass(ms),
    ),
  },
);

describe('the plan that is kept up to date', () => {
  it('is the plan from scratch after any sequence of events', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.array(events, { minLength: 10, maxLength: 40 }),
        (count, happens) => {
          const leading = new Leading(count, 4);
          leading.check();
          for (const event of happens) {
            event(leading);
            leading.check();
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('costs an event no more in a job of ten thousand partitions than in a small one', () => {
    const looks = (count: number): readonly number[] => {
      const leading = new Leading(count, 4);
      const costs: number[] = [];
      const cost = (of: () => void): void => {
        const before = leading.lead?.outlook.looks ?? 0;
        of();
        costs.push((leading.lead?.outlook.looks ?? 0) - before);
      };
      cost(() => leading.bid(4, 16));
      cost(() => leading.pass(300));
      cost(() => leading.vote());
      const [one] = leading.assigned();
      assert.ok(one !== undefined);
      cost(() => leading.report(one, 'running', 'node', false));
      cost(() => leading.report(one, 'completed', 'node', false));
      cost(() => leading.vote());
      cost(() => leading.bid(5, 16));
      cost(() => leading.take({ type: 'peer-disconnected', node: idOf(4) }));
      cost(() => leading.pass(1_000));
      cost(() => leading.pass(20_000));
      return costs;
    };
    const large = looks(10_000);
    assert.deepEqual(large, looks(100));
    assert.ok(Math.max(...large) <= 64, large.join(' '));
  });
});

const candidateIn = ({ lead }: KeptJob): Candidate | null =>
  lead?.stage === 'candidate' ? lead : null;

describe('the one alarm of a job', () => {
  it('loses nothing that is due, however early it rings for something else', () => {
    const early = fc.constant<Event>((leading) => leading.ringEarly());
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.oneof({ weight: 3, arbitrary: events }, early), {
          minLength: 10,
          maxLength: 40,
        }),
        (count, happens) => {
          const leading = new Leading(count, 4);
          for (const event of happens) {
            event(leading);
            leading.ringEarly();
            const alarmAt = leading.alarmAt();
            for (const moment of leading.moments())
              if (moment > leading.core.now) assert.ok(alarmAt <= moment, `${alarmAt} ${moment}`);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('ends a candidacy in time though it rings to ask for promises before', () => {
    const leading = new Leading(1, 1);
    const { core, kept } = leading;
    kept.lead = null;
    standForLeader(core, kept);
    const { candidacy } = candidateIn(kept) ?? assert.fail('it stands for leader');
    const began = core.now;
    // The last page of a promise comes long after the pauses between questions have become long.
    while (core.now < began + 16_000) {
      leading.pass(500);
      candidacy.heardAt = core.now;
    }
    leading.ringEarly();
    assert.ok(leading.alarmAt() <= candidacy.heardAt + 3_000, `${leading.alarmAt() - began}`);
  });
});
