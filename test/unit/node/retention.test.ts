/** Results are held for their time as the peer counts it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createRetention } from '../../../src/node/retention.ts';
import type { KeyValue } from '../../../src/store/key-values.ts';

const ROUND_MS = 15 * 60_000;
const DAY_MS = 24 * 3_600_000;

function world(context: TestContext, before: readonly KeyValue[] = []) {
  context.mock.timers.enable({ apis: ['setInterval'] });
  const w = { now: 0, unpinned: [] as string[] };
  const rows = new Map(before.map((row) => [row.key, row]));
  const kv = {
    get: (key: string) => rows.get(key) ?? null,
    put: (key: string, value: string, until: number | null) =>
      void rows.set(key, { key, value, until }),
    list: () => [...rows.values()],
    delete: (key: string) => void rows.delete(key),
    expire: () => 0,
  };
  const content = {
    pins: async function* () {},
    pin: async () => {},
    unpin: async (cid: string) => void w.unpinned.push(cid),
    collect: async () => ({ removedBlocks: 0, removedBytes: 0 }),
    has: async () => true,
  };
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const retention = createRetention({
    kv: kv as never,
    now: () => w.now,
    content: content as never,
    retentionMs: DAY_MS,
    maxBytes: 1,
    lost: () => {},
    log: log as never,
  });
  context.after(() => retention.stop());
  /** Time is counted, and what is due is looked at. */
  const pass = async (ms: number): Promise<void> => {
    w.now += ms;
    context.mock.timers.tick(ROUND_MS);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { w, retention, pass };
}

test('a result is given up when its time has been counted, and not before', async (context) => {
  const { w, retention, pass } = world(context);
  retention.hold('one');
  await pass(DAY_MS - 1);
  assert.deepEqual(w.unpinned, []);
  await pass(1);
  assert.deepEqual(w.unpinned, ['one']);
});

test('a result that should stay for longer than any is held as from now, as what was counted was lost', async (context) => {
  const { w, pass } = world(context, [{ key: 'result/one', value: '', until: 1_800_000_000_000 }]);
  await pass(0);
  await pass(DAY_MS - 1);
  assert.deepEqual(w.unpinned, []);
  await pass(1);
  assert.deepEqual(w.unpinned, ['one']);
});
