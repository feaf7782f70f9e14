/** Laws of what is tried with peers that do not hear gossip. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeafWatch, WATCH_MS } from '../../../p2p/deaf.ts';
import { asNodeId } from '../../../src/core/record/ids.ts';

const peer = asNodeId('p');

/** One member that is connected from the beginning, on a clock of its own. */
function world() {
  let now = 0;
  const look = createDeafWatch(() => now);
  const seen = { identified: 0, hungUp: 0, healed: 0 };
  const pass = (ms: number, hears = false): void => {
    now += ms;
    const todo = look([{ peer, since: 0 }], new Set(hears ? [peer] : []));
    seen.identified += todo.identify.length;
    seen.hungUp += todo.hangUp.length;
    seen.healed += todo.healed;
  };
  const looks = (count: number): void => {
    for (let look = 0; look < count; look += 1) pass(WATCH_MS);
  };
  return { seen, pass, looks };
}

test('a deaf peer is identified again, and hung up on when that does not help', () => {
  const { seen, looks } = world();
  looks(1);
  assert.deepEqual(seen, { identified: 0, hungUp: 0, healed: 0 }, 'a fresh one has time');
  looks(1);
  assert.deepEqual(seen, { identified: 1, hungUp: 0, healed: 0 });
  looks(3);
  assert.deepEqual(seen, { identified: 1, hungUp: 1, healed: 0 });
  looks(7);
  assert.equal(seen.hungUp, 1, 'once in a while');
  looks(1);
  assert.equal(seen.hungUp, 2);
});

test('a peer that hears again is left alone', () => {
  const { seen, pass, looks } = world();
  looks(2);
  pass(WATCH_MS, true);
  assert.deepEqual(seen, { identified: 1, hungUp: 0, healed: 1 });
});

test('a node that cannot keep up with itself takes nobody for deaf', () => {
  const { seen, pass, looks } = world();
  for (let late = 0; late < 20; late += 1) pass(3 * WATCH_MS);
  assert.deepEqual(seen, { identified: 0, hungUp: 0, healed: 0 });
  looks(2);
  pass(60_000);
  assert.deepEqual(seen, { identified: 1, hungUp: 0, healed: 0 }, 'what began before counts anew');
  looks(3);
  assert.equal(seen.hungUp, 1);
});
