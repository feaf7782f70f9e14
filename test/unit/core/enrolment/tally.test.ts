/** What the leader of a job counts that each node takes up itself: whatever happens in whatever order. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ring } from '../../../../src/core/alarms.ts';
import type { Input } from '../../../../src/core/contract/input.ts';
import { DEFAULT_LIMITS } from '../../../../src/core/contract/limits.ts';
import type { Message } from '../../../../src/core/contract/messages.ts';
import { tickJob } from '../../../../src/core/jobs.ts';
import type { KeptJob } from '../../../../src/core/keeping/state.ts';
import { observedBy } from '../../../../src/core/leading/carry-out.ts';
import { replan } from '../../../../src/core/leading/outlook.ts';
import { planJob } from '../../../../src/core/leading/plan.ts';
import { loseNode } from '../../../../src/core/leading/silence.ts';
import { leaderIn } from '../../../../src/core/leading/state.ts';
import type { Leader } from '../../../../src/core/leading/state.ts';
import { createCore } from '../../../../src/core/node/create-core.ts';
import type { Core } from '../../../../src/core/node/state.ts';
import { workOff } from '../../../../src/core/node/work-off.ts';
import type { Phase } from '../../../../src/core/record/execution.ts';
import { executionIdOf } from '../../../../src/core/record/execution-id.ts';
import { asMillis } from '../../../../src/core/record/ids.ts';
import type { ExecutionId } from '../../../../src/core/record/ids.ts';
import { closeSlot, slotOf } from '../../../../src/core/record/slot.ts';
import type { CloseBody, Signed, StateBody } from '../../../../src/core/record/records.ts';
import { dispatch, onMessage } from '../../../../src/core/routes.ts';
import {
  admitted,
  assignOf,
  at,
  committed,
  idOf,
  jobWith,
  stopOf,
  storeOf,
  suite,
  suiteOf,
  voteOf,
} from '../fixtures.ts';

const job = admitted(jobWith({ Type: 'ops', Count: 0 }), [0, 1, 2]);
const id = job.spec.body.job;
const NODES = [4, 5, 6, 7];
const CALLED_MS = 10_000;

const executionOn = (node: number): ExecutionId =>
  executionIdOf(suite, 'ops', { job: id, version: 1, partition: 0, attempt: 0, node: idOf(node) });

/** Node 0 leads; keepers 1 and 2 and the nodes that enrol are played by the test. */
class Leading {
  readonly core: Core;
  readonly kept: KeptJob;
  readonly #sequences = new Map<number, number>();
  readonly #ends = new Map<number, Signed<'state'>>();
  #now = 1_000;

  constructor() {
    const config = { node: idOf(0), store: storeOf(0), limits: DEFAULT_LIMITS, countedMs: 0 };
    this.core = createCore(config, suiteOf(0));
    for (const node of [1, 2, ...NODES]) this.take({ type: 'peer-connected', node: idOf(node) });
    this.message(1, { type: 'activate', spec: job.spec, admission: job.admission });
    this.kept = this.core.keeping.kept.get(id) ?? assert.fail('it is kept');
  }

  get lead(): Leader | null {
    return this.kept.ledger.close === null ? leaderIn(this.kept.lead) : null;
  }

  ended(): CloseBody | null {
    return this.kept.ledger.close?.record.body ?? null;
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
      job: (_core, touched) => {
        core.dirty.delete(touched);
        const kept = core.keeping.kept.get(touched);
        if (kept !== undefined) tickJob(core, kept);
      },
    });
    assert.ok(!core.out.some(({ type }) => type === 'defect'));
  }

  message(from: number, message: Message): void {
    this.take({ type: 'message', from: idOf(from), message });
  }

  pass(ms: number): void {
    this.#now += ms;
    this.take({ type: 'wake' });
  }

  /** What a node tells of its execution; the end once, and that for ever. */
  tell(node: number, phase: Phase): void {
    const state = this.#ends.get(node) ?? this.#stateOf(node, phase);
    if (phase === 'completed' || phase === 'failed') this.#ends.set(node, state);
    this.message(node, { type: 'states', states: [state] });
  }

  #stateOf(node: number, phase: Phase): Signed<'state'> {
    const sequence = (this.#sequences.get(node) ?? -1) + 1;
    this.#sequences.set(node, sequence);
    const failure = { code: 'it-broke', class: 'node', message: 'it broke' } as const;
    const body: StateBody = {
      job: id,
      version: 1,
      partition: 0,
      attempt: 0,
      execution: executionOn(node),
      node: idOf(node),
      sequence,
      phase,
      exitCode: phase === 'completed' ? 0 : null,
      result: null,
      failure: phase === 'failed' ? failure : null,
      output: null,
      usage: null,
      restarts: 0,
      retryMs: null,
    };
    return suiteOf(node).seal('state', body, at(this.#now), 'node');
  }

  /** Keeper 1 votes for what is proposed: with the leader's own vote that is a quorum. */
  vote(): void {
    const { lead } = this;
    const votes = [...(lead?.commits.proposals.values() ?? [])].map(({ slot, value }) =>
      voteOf(1, id, value.id, slot, lead?.epoch ?? assert.fail()),
    );
    if (votes.length > 0) this.message(1, { type: 'voted', job: id, votes });
  }

  /** Another keeper tells of a place that an earlier leader gave away. */
  learn(partition: number, node: number): void {
    const { body } = assignOf(job, { partition, node, by: 1 });
    const assign = suiteOf(1).seal(
      'assign',
      { ...body, execution: executionOn(node) },
      at(2),
      'node',
    );
    const proposals = this.lead?.commits.proposals;
    // A leader that ends the job has heard before of all that was committed.
    if (proposals === undefined || proposals.has(closeSlot(1))) return;
    if (proposals.has(slotOf(assign))) return;
    this.message(1, { type: 'commit', job: id, values: [committed(job, assign)] });
  }

  check(): void {
    const { kept, lead, core } = this;
    if (lead === null || lead.commits.proposals.has(closeSlot(1))) return;
    const observed = observedBy(core, kept, lead);
    const plan = planJob(kept.ledger, observed);
    const own = replan(lead.outlook, kept.ledger, observed);
    assert.deepEqual(own.close, plan.close);
    assert.deepEqual([own.complete, own.calling], [plan.complete, plan.calling]);
    const ids = (states: readonly Signed<'state'>[]) => states.map((state) => state.id).sort();
    assert.deepEqual(ids(own.accepts), ids(plan.accepts));
    assert.equal(plan.vacancies.size, 0, 'nothing is tried again');
    const proposed = [...lead.commits.proposals.values()].flatMap(({ value }) =>
      value.type === 'assign' ? [value.body.execution] : [],
    );
    assert.equal(new Set(proposed).size, proposed.length, 'a node gets one place');
    const wake = core.timers.next();
    if (plan.wakeAt !== null) assert.ok(wake !== null && wake <= plan.wakeAt, 'it wakes in time');
  }
}

type Event = (leading: Leading) => void;

const node = fc.constantFrom(...NODES);
const phase = fc.constantFrom<Phase>('received', 'running', 'completed', 'completed', 'failed');
const events: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.tuple(node, phase).map(
      ([of, to]): Event =>
        (leading) =>
          leading.tell(of, to),
    ),
  },
  { weight: 5, arbitrary: fc.constant<Event>((leading) => leading.vote()) },
  {
    weight: 3,
    arbitrary: fc.nat(8_000).map(
      (ms): Event =>
        (leading) =>
          leading.pass(ms),
    ),
  },
  fc.tuple(fc.nat(5), node).map(
    ([place, of]): Event =>
      (leading) =>
        leading.learn(place, of),
  ),
  node.map(
    (of): Event =>
      (leading) => {
        loseNode(leading.core, leading.kept, idOf(of));
        leading.pass(8_000);
      },
  ),
  node.map(
    (of): Event =>
      (leading) =>
        leading.message(of, {
          type: 'renew',
          executions: [{ job: id, execution: executionOn(of) }],
        }),
  ),
  node.map(
    (of): Event =>
      (leading) =>
        leading.message(of, {
          type: 'decline',
          job: id,
          version: 1,
          round: 0,
          refusals: [{ code: 'owner-not-allowed' }],
        }),
  ),
);

describe('the tally of a job that each node takes up itself', () => {
  it('is the same from scratch, gives each node one place, and ends once, when nothing is open', () => {
    fc.assert(
      fc.property(fc.array(events, { minLength: 5, maxLength: 40 }), (list) => {
        const leading = new Leading();
        for (const event of list) {
          event(leading);
          leading.check();
        }
        const before = leading.ended();
        for (let round = 0; round < 12 && leading.ended() === null; round += 1) {
          leading.pass(8_000);
          leading.check();
          leading.vote();
        }
        const { kept } = leading;
        const close = leading.ended();
        assert.ok(close !== null, 'it ends');
        if (before !== null) assert.equal(close, before);
        const { ledger } = kept;
        const results = new Set(
          [...ledger.partitions.values()].flatMap(({ accept }) =>
            accept === null ? [] : [accept.record.body.execution],
          ),
        );
        const without = [...ledger.assigned.keys()].filter((one) => !results.has(one));
        if (close.outcome === 'completed')
          assert.deepEqual([close.enrolled, without], [results.size, []]);
        else if (close.code === 'nodes-failed') assert.ok(without.length > 0);
        else assert.deepEqual([close.code, ledger.assigned.size], ['not-enough-nodes', 0]);
      }),
      { numRuns: 1_000 },
    );
  });

  it('is not over before its nodes were called for long enough', () => {
    const leading = new Leading();
    for (const of of NODES) leading.tell(of, 'completed');
    leading.vote();
    leading.vote();
    leading.pass(CALLED_MS - 1);
    leading.vote();
    assert.equal(leading.ended(), null);
    leading.pass(1);
    leading.vote();
    assert.equal(leading.ended()?.enrolled, NODES.length);
  });

  it('counts who comes after that, while others are not ready, and nobody once the end is proposed', () => {
    const leading = new Leading();
    leading.tell(4, 'running');
    leading.vote();
    leading.pass(CALLED_MS);
    leading.tell(5, 'completed');
    leading.vote();
    assert.equal(leading.ended(), null);
    leading.tell(4, 'completed');
    leading.tell(6, 'running');
    leading.vote();
    assert.deepEqual([leading.ended()?.outcome, leading.ended()?.enrolled], ['completed', 2]);
    assert.equal(leading.kept.ledger.assigned.size, 2);
  });

  it('takes up nobody once its owner has stopped the job', () => {
    const leading = new Leading();
    leading.message(1, { type: 'command', command: stopOf(job) });
    leading.tell(4, 'running');
    leading.vote();
    assert.equal(leading.ended()?.outcome, 'stopped');
    assert.equal(leading.kept.ledger.assigned.size, 0);
  });

  it('has no place for a node of which somebody else speaks', () => {
    const leading = new Leading();
    leading.tell(4, 'running');
    leading.vote();
    const [state] = [...leading.kept.ledger.states.values()];
    assert.ok(state);
    const other = new Leading();
    other.message(5, { type: 'states', states: [state] });
    other.vote();
    assert.equal(other.kept.ledger.states.size + other.kept.ledger.assigned.size, 0);
  });
});
