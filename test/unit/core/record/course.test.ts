/** How an execution came to where it is: told by its last state alone, as all of them would have told it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { encodeBody } from '../../../../p2p/wire/envelope.ts';
import { courseAfter, PAUSES_MAX, stepsOf } from '../../../../src/core/record/course.ts';
import type { Step } from '../../../../src/core/record/course.ts';
import { asHlc } from '../../../../src/core/record/ids.ts';
import type { Signed, StateBody } from '../../../../src/core/record/records.ts';
import { bodyArbitraries, hlcs } from '../../p2p/wire/record-arbitraries.ts';

const [base = assert.fail()] = fc.sample(bodyArbitraries.state, { numRuns: 1, seed: 1 });
const { reached: _, pauses: __, ...plain } = base;
const FIRST: StateBody = {
  ...plain,
  phase: 'received',
  restarts: 0,
  retryMs: null,
  exitCode: null,
  failure: null,
  output: null,
};
const stateAt = (body: StateBody, hlc: number): Signed<'state'> =>
  ({ type: 'state', body, hlc: asHlc(hlc) }) as Signed<'state'>;
const next = (before: Signed<'state'>, change: Partial<StateBody>, afterMs: number) =>
  stateAt({ ...before.body, ...change, ...courseAfter(before) }, before.hlc + afterMs);

const START = 1_800_000_000_000.25;
const LATER = 1_000.001;
const failure = { code: 'out-of-memory', class: 'limit', message: 'It used 2 GB.' } as const;

/** All states of an execution that goes this way, first to last. */
function statesOf(changes: readonly Partial<StateBody>[]): readonly Signed<'state'>[] {
  const states = [stateAt(FIRST, START)];
  for (const change of changes) states.push(next(states.at(-1) ?? assert.fail(), change, LATER));
  return states;
}

/** What each of them has of its own, as whoever heard every one of them would tell it. */
const toldAll = (states: readonly Signed<'state'>[]): readonly Step[] =>
  states.map((state) => stepsOf(state).at(-1) ?? assert.fail());

const crash = (restarts: number): readonly Partial<StateBody>[] => [
  { restarts, retryMs: 1_000, failure: restarts % 2 === 0 ? failure : null, exitCode: 3 },
  { retryMs: null },
];

describe('the last state of an execution', () => {
  it('tells when each phase before was reached, as the states did that it follows', () => {
    const ways: readonly (readonly StateBody['phase'][])[] = [
      ['preparing', 'starting', 'running', 'publishing', 'completed'],
      ['starting', 'running', 'completed'],
      ['preparing', 'failed'],
      ['cancelled'],
      [],
    ];
    for (const phases of ways) {
      const states = statesOf(phases.map((phase) => ({ phase })));
      const steps = stepsOf(states.at(-1) ?? assert.fail());
      assert.deepEqual(steps, toldAll(states), phases.join());
      assert.equal(steps.length, phases.length + 1);
    }
  });

  it('tells the last restarts and why they were, as the states did', () => {
    const changes = [{ phase: 'running' as const }, ...[1, 2, 3].flatMap(crash)];
    for (const end of [[], [{ phase: 'cancelled' as const, retryMs: null }]]) {
      const states = statesOf([...changes, ...end]);
      assert.deepEqual(stepsOf(states.at(-1) ?? assert.fail()), toldAll(states));
    }
  });

  it('tells while its program is over that it is, and that a rest ended with a pause', () => {
    const resting = { code: 'not-matching', class: 'node', message: 'It does not match.' } as const;
    const states = statesOf([
      { phase: 'running' },
      { retryMs: 0, failure: resting },
      { retryMs: 1_000, restarts: 1 },
      { retryMs: null },
      { retryMs: 2_000, restarts: 2, failure: null, exitCode: 1 },
    ]);
    for (const [at, state] of states.entries())
      assert.deepEqual(stepsOf(state), toldAll(states.slice(0, at + 1)));
  });

  it('does not grow with the restarts: of a thousand the last 8 are told', () => {
    const long = { ...failure, message: '💥'.repeat(5_000) };
    const few = statesOf([{ phase: 'running' }, ...[1, 2].flatMap(crash)]);
    const states = statesOf([
      { phase: 'running' },
      ...Array.from({ length: 1_000 }, (_, at) => crash(at + 1)).flat(),
      { restarts: 1_001, retryMs: 300_000, failure: long },
      { retryMs: null, failure: null },
    ]);
    const last = states.at(-1) ?? assert.fail();
    assert.equal(last.body.pauses?.length, PAUSES_MAX);
    const ends = stepsOf(last).flatMap((step) => (step.type === 'pause' ? [step.restarts] : []));
    assert.deepEqual(ends, [994, 995, 996, 997, 998, 999, 1_000, 1_001]);
    const sizes = [few.at(-1), last].map((state) => {
      const encoded = encodeBody('state', state?.body ?? assert.fail());
      return encoded.ok ? encoded.bytes.length : assert.fail(encoded.code);
    });
    const [small = 0, large = 0] = sizes;
    assert.ok(large < small + 8 * 200 + 800, `${small} and ${large} bytes`);
  });

  it('is read when it tells nothing of that, as those of before do', () => {
    const running = stateAt({ ...FIRST, phase: 'running' }, START);
    assert.deepEqual(stepsOf(running), [
      { type: 'phase', phase: 'running', at: Math.floor(START) },
    ]);
    const again = stateAt({ ...FIRST, phase: 'running', restarts: 3 }, START);
    assert.deepEqual(stepsOf(again), [{ type: 'resumed', restarts: 3, at: Math.floor(START) }]);
  });
});

it('whatever a node writes there, steps are in order, none is later than the state, and no phase comes twice', () => {
  const ORDER = ['received', 'preparing', 'starting', 'running', 'publishing'];
  const orderOf = (phase: string): number => {
    const place = ORDER.indexOf(phase);
    return place < 0 ? ORDER.length : place;
  };
  const small = fc.nat(20);
  const odd = fc.record({
    reached: fc.array(fc.option(small), { maxLength: 5 }),
    restarts: small,
    pauses: fc.array(
      fc.record({
        ...{ at: small, restarts: small, retryMs: small, resumedMs: fc.option(small) },
        ...{ exitCode: fc.constant(1), failure: fc.constant(null) },
      }),
      { maxLength: 8 },
    ),
  });
  const bodies = fc.tuple(bodyArbitraries.state, odd).map(([body, more]) => ({ ...body, ...more }));
  const any = fc.oneof(
    fc.tuple(bodyArbitraries.state, hlcs),
    fc.tuple(bodies, fc.nat(60).map(asHlc)),
  );
  fc.assert(
    fc.property(any, ([body, hlc]) => {
      const steps = stepsOf(stateAt(body, hlc));
      assert.ok(steps.length > 0 && steps.length <= 6 + 2 * PAUSES_MAX + 1);
      for (const [at, step] of steps.entries()) {
        assert.ok(step.at <= hlc && step.at >= (steps[at - 1]?.at ?? 0));
      }
      const phases = steps.flatMap((step) => (step.type === 'phase' ? [orderOf(step.phase)] : []));
      assert.deepEqual(phases, [...new Set(phases)].sort(), 'each once, in order');
      assert.ok(phases.every((place) => place <= orderOf(body.phase)));
      const restarts = steps.flatMap((step) => (step.type === 'pause' ? [step.restarts] : []));
      assert.ok(
        restarts.every((one, at) => one >= (restarts[at - 1] ?? 0) && one <= body.restarts),
      );
    }),
    { numRuns: 1_000 },
  );
});
