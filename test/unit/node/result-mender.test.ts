/** Results whose blocks are gone are fetched again; what nobody has is told to those who can help. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import type { FetchOptions } from '../../../src/lib/content.ts';
import { createResultMender } from '../../../src/node/result-mender.ts';
import { createLog } from '../../../src/lib/log.ts';

function world(here: readonly string[], elsewhere: readonly string[]) {
  const there = new Set(here);
  const reachable = new Set(elsewhere);
  const lost: string[] = [];
  const w = { there, reachable, lost, tries: 0, now: 0, wanted: true, onPause: (): void => {} };
  const mender = createResultMender({
    content: {
      has: async (cid) => there.has(cid),
      replicate: async (cid: string, _options: FetchOptions) => {
        w.tries += 1;
        if (!reachable.has(cid)) throw new ShoalError({ code: 'content-not-found', cid, asked: 1 });
        there.add(cid);
        return { cid, bytes: 1 };
      },
    },
    maxBytes: 10,
    lost: (cid) => void w.lost.push(cid),
    wanted: () => w.wanted,
    log: createLog('silent', { write: () => true }),
    clock: {
      now: () => w.now,
      pause: async (ms) => {
        w.now += ms;
        w.onPause();
      },
    },
  });
  return { w, mender };
}

test('a result that is there is not fetched', async () => {
  const { w, mender } = world(['a', 'b'], ['a']);
  await mender.check(['a', 'b']);
  assert.equal(w.tries, 0);
});

test('a result that is gone is fetched from elsewhere', async () => {
  const { w, mender } = world(['a'], ['b']);
  await mender.check(['a', 'b']);
  assert.deepEqual([...w.there], ['a', 'b']);
  assert.deepEqual(w.lost, []);
});

test('a result that nobody has is told once, after two minutes, and tried until its time is over', async () => {
  const { w, mender } = world([], []);
  w.onPause = () => {
    if (w.now < 100_000) assert.deepEqual(w.lost, []);
    if (w.now > 10_000_000) w.wanted = false;
  };
  await mender.check(['a']);
  assert.deepEqual(w.lost, ['a']);
  assert.ok(w.tries > 10 && w.tries < 40, `${w.tries} tries in three hours`);
});

test('a result that can be had later is fetched then', async () => {
  const { w, mender } = world([], []);
  w.onPause = () => {
    if (w.now > 1_000_000) w.reachable.add('a');
  };
  await mender.check(['a']);
  assert.ok(w.there.has('a'));
});
