/** The heap of timers rings exactly like a plain list that is searched from end to end. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { asMillis } from '../../../../src/core/record/ids.ts';
import { Timers } from '../../../../src/core/node/timers.ts';

type Model = Map<string, number>;

const first = (model: Model): readonly [string, number] | null =>
  [...model].sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1))[0] ?? null;

class SetTimer implements fc.Command<Model, Timers> {
  readonly key: string;
  readonly at: number;
  constructor(key: string, at: number) {
    this.key = key;
    this.at = at;
  }
  check(): boolean {
    return true;
  }
  run(model: Model, timers: Timers): void {
    timers.set(this.key, asMillis(this.at));
    model.set(this.key, Math.min(this.at, model.get(this.key) ?? Infinity));
  }
  toString(): string {
    return `set ${this.key} ${this.at}`;
  }
}

class Clear implements fc.Command<Model, Timers> {
  readonly key: string;
  constructor(key: string) {
    this.key = key;
  }
  check(): boolean {
    return true;
  }
  run(model: Model, timers: Timers): void {
    timers.clear(this.key);
    model.delete(this.key);
  }
  toString(): string {
    return `clear ${this.key}`;
  }
}

class Take implements fc.Command<Model, Timers> {
  readonly now: number;
  constructor(now: number) {
    this.now = now;
  }
  check(): boolean {
    return true;
  }
  run(model: Model, timers: Timers): void {
    const expected = first(model);
    assert.equal(timers.next(), expected?.[1] ?? null);
    const due = expected !== null && expected[1] <= this.now ? expected[0] : null;
    assert.equal(timers.take(asMillis(this.now)), due);
    if (due !== null) model.delete(due);
  }
  toString(): string {
    return `take ${this.now}`;
  }
}

const keys = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
const times = fc.nat(20);

describe('timers', () => {
  it('ring what is due, the earliest first and ties by key, whatever was set and cleared before', () => {
    const commands = fc.commands(
      [
        fc.tuple(keys, times).map(([key, time]) => new SetTimer(key, time)),
        keys.map((key) => new Clear(key)),
        times.map((time) => new Take(time)),
      ],
      { maxCommands: 200 },
    );
    fc.assert(
      fc.property(commands, (run) => {
        fc.modelRun(() => ({ model: new Map<string, number>(), real: new Timers() }), run);
      }),
      { numRuns: 300 },
    );
  });

  it('keep the earliest moment asked for a key', () => {
    const timers = new Timers();
    timers.set('a', asMillis(5));
    timers.set('a', asMillis(9));
    assert.equal(timers.next(), 5);
    timers.set('a', asMillis(2));
    assert.equal(timers.next(), 2);
    assert.equal(timers.take(asMillis(1)), null);
    assert.equal(timers.take(asMillis(2)), 'a');
    assert.equal(timers.take(asMillis(99)), null);
    assert.equal(timers.next(), null);
  });
});

describe('within one input', () => {
  const now = asMillis(1_000);

  for (const [what, at] of [
    ['the past', -1],
    ['now', 1_000],
    ['no number', Number.NaN],
  ] as const) {
    it(`a key that has rung does not ring again when it asks for ${what}`, () => {
      const timers = new Timers();
      timers.set('a', now);
      timers.set('b', now);
      timers.begin(now);
      const rung: string[] = [];
      for (let key = timers.take(now); key !== null; key = timers.take(now)) {
        rung.push(key);
        assert.ok(rung.length < 100, 'the loop ends');
        timers.set(key, asMillis(at));
      }
      assert.deepEqual(rung, ['a', 'b']);
      const later = timers.next() ?? assert.fail();
      assert.equal(later, 1_001);
      timers.begin(later);
      assert.equal(timers.take(later), 'a');
    });
  }

  it('a key that is set for the first time still rings at once', () => {
    const timers = new Timers();
    timers.begin(now);
    timers.set('a', asMillis(Number.NaN));
    assert.equal(timers.take(now), 'a');
  });
});
