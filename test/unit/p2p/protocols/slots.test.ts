/** Laws of who is served when more ask than can be served at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSlots } from '../../../../p2p/protocols/slots.ts';
import { idOf } from '../../core/fixtures.ts';

const [greedy, other, third] = [idOf(1), idOf(2), idOf(3)];
const limits = { max: 8, perPeer: 2, waitingMax: 20 };
const LONG_MS = 60_000;

test('one peer takes its share and no more, and the rest is free for others', async () => {
  const slots = createSlots(limits);
  const entered: unknown[] = [];
  const requests = Array.from({ length: 10 }, () =>
    slots.enter(greedy, 50, null).then((leave) => entered.push(leave)),
  );
  assert.ok((await slots.enter(other, LONG_MS, null)) !== null);
  await Promise.all(requests);
  assert.equal(entered.filter((leave) => leave !== null).length, 2);
  assert.equal(slots.taken, 3);
});

test('who is in line enters when its peer gives a slot back, and a slot is given back once', async () => {
  const slots = createSlots(limits);
  const [first] = [
    await slots.enter(greedy, LONG_MS, null),
    await slots.enter(greedy, LONG_MS, null),
  ];
  const next = slots.enter(greedy, LONG_MS, null);
  first?.();
  first?.();
  assert.ok((await next) !== null);
  assert.equal(slots.taken, 2);
});

test('of those in line the peer that holds least goes first', async () => {
  const slots = createSlots({ max: 2, perPeer: 2, waitingMax: 20 });
  const held = [await slots.enter(greedy, LONG_MS, null), await slots.enter(other, LONG_MS, null)];
  const order: string[] = [];
  const wait = (peer: typeof greedy, name: string) =>
    slots.enter(peer, LONG_MS, null).then((leave) => {
      order.push(name);
      return leave;
    });
  const waiting = [wait(greedy, 'greedy'), wait(third, 'third')];
  held[1]?.();
  (await waiting[1])?.();
  await waiting[0];
  assert.deepEqual(order, ['third', 'greedy']);
});

test('the line has an end', async () => {
  const slots = createSlots({ max: 1, perPeer: 1, waitingMax: 1 });
  const leave = await slots.enter(greedy, LONG_MS, null);
  const inLine = slots.enter(other, LONG_MS, null);
  assert.equal(await slots.enter(third, LONG_MS, null), null);
  leave?.();
  assert.ok((await inLine) !== null);
});

test('who does not want to wait any more leaves the line and takes nothing', async () => {
  const slots = createSlots({ max: 1, perPeer: 1, waitingMax: 2 });
  const leave = await slots.enter(greedy, LONG_MS, null);
  const gone = new AbortController();
  const waiting = slots.enter(other, LONG_MS, gone.signal);
  const next = slots.enter(third, LONG_MS, null);
  gone.abort();
  assert.equal(await waiting, null);
  leave?.();
  assert.ok((await next) !== null);
  assert.equal(slots.taken, 1);
  assert.equal(await slots.enter(other, LONG_MS, gone.signal), null);
});
