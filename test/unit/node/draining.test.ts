/** When a peer that is to leave does so. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createDrain } from '../../../src/node/draining.ts';

function world(left = 0) {
  const state = {
    now: 1_000,
    skew: 0,
    left,
    told: [] as boolean[],
    gone: 0,
    asked: 0,
    look: (): void => {},
  };
  const drain = createDrain({
    drain: (on) => state.told.push(on),
    left: () => state.left,
    onlyHere: () => {
      state.asked += 1;
      return [];
    },
    leave: () => {
      state.gone += 1;
    },
    isLeaving: () => state.gone > 0,
    now: () => state.now,
    wall: () => state.now + state.skew,
    every: (_ms, look) => {
      state.look = look;
      return () => {
        state.look = () => {};
      };
    },
  });
  const pass = (ms: number): void => {
    state.now += ms;
    state.look();
  };
  return { state, drain, pass };
}

describe('a peer that is to leave', () => {
  it('leaves when nothing runs there any more, and not in the moment it is told', () => {
    const { state, drain, pass } = world();
    drain.begin(60_000);
    assert.deepEqual(state.told, [true]);
    assert.equal(state.gone, 0);
    pass(250);
    assert.equal(state.gone, 1);
    pass(250);
    assert.equal(state.gone, 1, 'once');
  });

  it('waits for what runs, until its deadline', () => {
    const { state, drain, pass } = world(2);
    assert.deepEqual(drain.begin(60_000), { leavesBy: 61_000, executions: 2, onlyHere: [] });
    pass(59_999);
    assert.equal(state.gone, 0);
    pass(1);
    assert.equal(state.gone, 1);
  });

  it('looks no more when a signal was quicker, though something is left', () => {
    const { state, drain, pass } = world(1);
    drain.begin(60_000);
    const { look } = state;
    state.gone = 1;
    pass(250);
    assert.notEqual(state.look, look);
    assert.equal(state.gone, 1);
  });

  it('looks for jobs that no other could run no more often than each few seconds, however often it is asked', () => {
    const { state, drain, pass } = world(1);
    for (let time = 0; time < 1_000; time += 1) drain.view();
    assert.equal(state.asked, 1);
    pass(5_000);
    drain.view();
    assert.equal(state.asked, 2);
  });

  it('has its time though the clock is set meanwhile', () => {
    const { state, drain, pass } = world(1);
    drain.begin(60_000);
    state.skew = 3_600_000;
    pass(250);
    assert.equal(state.gone, 0);
    assert.equal(drain.view().leavesBy, 3_661_000);
    pass(59_750);
    assert.equal(state.gone, 1);
  });

  it('is told another deadline', () => {
    const { state, drain, pass } = world(1);
    drain.begin(60_000);
    drain.begin(0);
    assert.deepEqual(state.told, [true], 'it takes nothing new already');
    pass(0);
    assert.equal(state.gone, 1);
  });

  it('stays when that is taken back, and can be told again', () => {
    const { state, drain, pass } = world(1);
    drain.begin(1_000);
    assert.equal(drain.end().leavesBy, null);
    assert.deepEqual(state.told, [true, false]);
    pass(5_000);
    assert.equal(state.gone, 0);
    assert.equal(drain.view().leavesBy, null);
    drain.begin(1_000);
    pass(1_000);
    assert.equal(state.gone, 1);
  });

  it('takes nothing back, and takes up nothing, once it has begun to close, whoever told it to', () => {
    const { state, drain, pass } = world();
    drain.begin(60_000);
    pass(250);
    assert.equal(drain.end().leavesBy, 61_000);
    assert.deepEqual(state.told, [true]);
    drain.begin(120_000);
    assert.equal(drain.view().leavesBy, 61_000);

    // By a signal.
    const other = world(1);
    other.state.gone = 1;
    assert.equal(other.drain.end().leavesBy, 1_000);
    assert.equal(other.drain.begin(60_000).leavesBy, 1_000);
    assert.deepEqual(other.state.told, []);
  });

  it('takes back nothing that was not begun', () => {
    const { state, drain } = world();
    drain.end();
    assert.deepEqual(state.told, []);
  });
});
