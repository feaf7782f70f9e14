/** What the driver makes of many inputs: a flood of one peer is paused, requests are answered through it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Effect } from '../../../src/core/contract/effect.ts';
import type { Input } from '../../../src/core/contract/input.ts';
import type { Machine } from '../../../src/core/contract/machine.ts';
import type { Reply } from '../../../src/core/contract/reply.ts';
import type { Message } from '../../../src/core/contract/messages.ts';
import { createLog } from '../../../src/lib/log.ts';
import { createDriver } from '../../../src/node/driver.ts';
import { createOwed } from '../../../src/node/owed.ts';
import { idOf, jobWith, specOf } from '../core/fixtures.ts';

const log = createLog('error', { write: () => {} });

/** Answers queries and counts messages. */
function world() {
  const seen: Input[] = [];
  const handle = (input: Input): readonly Effect[] => {
    seen.push(input);
    if (input.type !== 'query') return [];
    const reply = { type: 'listed', jobs: [] } as const;
    return [{ type: 'reply', request: input.request, reply }];
  };
  const machine = { handle, nextWake: () => null } as unknown as Machine;
  const driver = createDriver(machine, {
    persist: () => true,
    owed: createOwed('store.db'),
    onFull: () => {},
    perform: () => {},
    reload: () => assert.fail('nothing is read again'),
    onDefect: (_, error) => assert.ifError(error),
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
  assert.equal(reply.type, 'listed');
  assert.equal(seen[0]?.type, 'query');
  driver.stop();
});

/** A driver over what a test makes of each input; `trace` is what it did, in order. */
function traced(
  handle: (input: Input) => readonly Effect[],
  ports: { readonly perform?: () => void } = {},
) {
  const trace: string[] = [];
  const machine = {
    handle(input: Input) {
      trace.push(input.type === 'message' ? `ping ${(input.message as Ping).nonce}` : input.type);
      return handle(input);
    },
    nextWake: () => null,
  } as unknown as Machine;
  const nothing = {
    records: [],
    promises: [],
    accepted: [],
    executions: [],
    submissions: [],
    entrusted: [],
    shelved: [],
    counts: [],
    forfeits: [],
  };
  const driver = createDriver(machine, {
    persist: (writes) => trace.push(`write ${writes.length}`) > 0,
    owed: createOwed('store.db'),
    onFull: () => {},
    perform: (effect) => {
      trace.push(effect.type);
      ports.perform?.();
    },
    reload: (job) => {
      trace.push(`read ${job}`);
      return nothing;
    },
    onDefect: (where) => trace.push(`defect ${where}`),
    onFatal: (error) => assert.fail(String(error)),
    log,
  });
  return { driver, trace };
}

type Ping = Extract<Message, { type: 'ping' }>;
const nonceOf = (input: Input): number =>
  input.type === 'message' ? (input.message as Ping).nonce : -1;

test('what the core throws costs its input, what an effect throws that effect', () => {
  const send: Effect = { type: 'send', to: idOf(1), message: { type: 'ping', nonce: 0 } };
  const broken = (): never => {
    throw new Error('broken');
  };
  const { driver, trace } = traced((input) => (nonceOf(input) === 1 ? broken() : [send, send]), {
    perform: broken,
  });
  for (const nonce of [1, 2]) void driver.hear(ping(1, nonce), 40);
  driver.stop();
  const failed = ['send', 'defect effect.send'];
  assert.deepEqual(trace, ['ping 1', 'defect core', 'ping 2', ...failed, ...failed]);
});

test('a job is read again when all before it is on disk, and before anything else is handled', () => {
  const { job } = specOf(jobWith()).body;
  const write = { table: 'promises', job, key: job, value: null } as const;
  const persist: Effect = { type: 'persist', writes: [write] };
  const { driver, trace } = traced((input) => {
    if (input.type === 'reload') return [persist];
    return nonceOf(input) === 2 ? [persist, { type: 'reload', job }] : [persist];
  });
  for (const nonce of [1, 2, 3]) void driver.hear(ping(1, nonce), 40);
  driver.stop();
  assert.deepEqual(trace, [
    'ping 1',
    'ping 2',
    'write 2',
    `read ${job}`,
    'reload',
    'ping 3',
    'write 2',
  ]);
});

test('a request that nothing answers is answered in the end', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { driver } = traced(() => []);
  const reply = driver.request((request) => ({
    type: 'query',
    request,
    query: { type: 'jobs', namespace: null, limit: 1 },
  }));
  context.mock.timers.tick(60_000);
  const { type, problem } = (await reply) as Extract<Reply, { type: 'failed' }>;
  assert.deepEqual([type, problem.code], ['failed', 'internal']);
  driver.stop();
});
