/** What a full disk can do without goes, as long as it is full. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRoomMaking } from '../../../src/node/making-room.ts';
import { createLog } from '../../../src/lib/log.ts';
import { eventually } from './support.ts';

const nothing = { removedBlocks: 0, removedBytes: 0, keptBytes: 0 };

describe('a full disk', () => {
  it('is rid of all that nobody pins, again and again until it has room', async () => {
    const asked: boolean[] = [];
    const waited: number[] = [];
    const collect = async (everything: boolean) => {
      asked.push(everything);
      if (asked.length === 2) throw new Error('the disk is busy');
      return nothing;
    };
    const making = createRoomMaking({
      content: { collect },
      full: () => waited.length < 10,
      pause: async (ms) => waited.push(ms) > 0,
      log: createLog('silent', { write: () => {} }),
    });
    making.begin();
    making.begin();
    await eventually('it has given up', () => asked.length === 2);
    await new Promise((resolve) => setImmediate(resolve));
    making.begin();
    await eventually('there is room', () => waited.length === 10);
    assert.deepEqual(waited.slice(0, 3), [5_000, 5_000, 10_000], 'ever less often');
    assert.equal(Math.max(...waited), 600_000);
    assert.ok(asked.every((everything) => everything));
  });

  it('that only had no room for something large is rid of it once', async () => {
    let asked = 0;
    const making = createRoomMaking({
      content: { collect: async () => ((asked += 1), nothing) },
      full: () => false,
      pause: async () => true,
      log: createLog('silent', { write: () => {} }),
    });
    making.begin();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(asked, 1);
  });

  it('is left alone by a peer that stops', async () => {
    let asked = 0;
    const making = createRoomMaking({
      content: { collect: async () => ((asked += 1), nothing) },
      full: () => true,
      pause: async (_, signal) => {
        making.stop();
        return !signal.aborted;
      },
      log: createLog('silent', { write: () => {} }),
    });
    making.begin();
    await eventually('it was tried', () => asked === 1);
    await new Promise((resolve) => setImmediate(resolve));
    making.begin();
    assert.equal(asked, 1);
  });
});
