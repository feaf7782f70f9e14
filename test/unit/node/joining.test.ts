/** How long a peer that has just started keeps its first submissions waiting. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createJoining } from '../../../src/node/joining.ts';

function world() {
  let now = 0;
  const state = { joining: true, connected: 0, introduced: 0, at: (_now: number): void => {} };
  const joined = createJoining({
    joining: () => state.joining,
    connected: () => state.connected,
    introduced: () => state.introduced,
    now: () => now,
    pause: async (ms) => {
      now += ms;
      state.at(now);
    },
  });
  const waited = async (): Promise<number> => {
    const before = now;
    await joined();
    return now - before;
  };
  return { state, waited, pass: (ms: number) => (now += ms) };
}

test('a peer that knows nobody waits for nobody', async () => {
  const { state, waited } = world();
  state.joining = false;
  assert.equal(await waited(), 0);
});

test('a peer waits until it has tried those it knows, and those it met are known by their adverts', async () => {
  const { state, waited } = world();
  state.at = (now) => {
    if (now >= 300) Object.assign(state, { joining: false, connected: 2, introduced: 1 });
    if (now >= 600) state.introduced = 2;
  };
  assert.equal(await waited(), 600);
});

test('a peer that has met enough for all keepers of a job waits for no others', async () => {
  const { state, waited } = world();
  state.at = (now) => {
    if (now >= 200) state.introduced = 4;
  };
  assert.equal(await waited(), 200);
});

test('whoever does not answer is waited for until five seconds after the start, and not later', async () => {
  const { waited, pass } = world();
  pass(1_000);
  assert.equal(await waited(), 4_000);
  assert.equal(await waited(), 0);
});
