/** What the driver makes of many inputs: a flood of one peer is paused, requests are answered through it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Effect, Input, Machine } from '../../../src/core/machine-types.ts';
import { createLog } from '../../../src/lib/log.ts';
import { createDriver } from '../../../src/node/driver.ts';
import { idOf } from '../core/fixtures.ts';

const log = createLog('error', { write: () => {} });

/** Answers queries and counts messages. */
function world() {
  const seen: Input[] = [];
  const handle = (input: Input): readonly Effect[] => {
    seen.push(input);
    if (input.type !== 'query') return [];
    const reply = { type: 'answer', answer: { type: 'none' } } as const;
    return [{ type: 'reply', request: input.request, reply }];
  };
  const machine = { handle, nextWake: () => null } as unknown as Machine;
  const driver = createDriver(machine, {
    persist: () => {},
    perform: () => {},
    onFatal: (error) => assert.fail(String(error)),
    log,
  });
  return { driver, seen };
}

const ping = (from: number, nonce: number) =>
  ({ type: 'message', from: idOf(from), message: { type: 'ping', nonce } }) as const;

test('of one peer no more than its share waits, however much it says: its stream is paused', async () => {
  const { driver, seen } = world();
  let most = 0;
  for (let nonce = 0; nonce < 20_000; nonce += 1) {
    const room = driver.hear(ping(1, nonce), 40);
    most = Math.max(most, driver.gauges().queued);
    if (room !== undefined) await room;
  }
  assert.ok(most <= 512, `${most} waited`);
  while (driver.gauges().queued > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(seen.length, 20_000);
  driver.stop();
});

test('a request is answered in the first batch, whatever others have waiting', async () => {
  const { driver, seen } = world();
  for (let peer = 0; peer < 20; peer += 1)
    for (let nonce = 0; driver.hear(ping(peer, nonce), 40) === undefined; nonce += 1);
  const reply = await driver.request((request) => ({
    type: 'query',
    request,
    query: { type: 'jobs', namespace: null, limit: 1 },
  }));
  assert.equal(reply.type, 'answer');
  assert.equal(seen[0]?.type, 'query');
  driver.stop();
});
