/** Laws of who is served when more ask than can be served at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPermits } from '../../../../p2p/protocols/permits.ts';
import { idOf } from '../../core/fixtures.ts';

const [greedy, other, third] = [idOf(1), idOf(2), idOf(3)];
const limits = { max: 8, perPeer: 2, waitingMax: 20 };
const LONG_MS = 60_000;

test('one peer takes its share and no more, and the rest is free for others', async () => {
  const permits = createPermits(limits);
  const entered: unknown[] = [];
  const requests = Array.from({ length: 10 }, () =>
    permits.enter(greedy, 50, null).then((leave) => entered.push(leave)),
  );
  assert.ok((await permits.enter(other, LONG_MS, null)) !== null);
  await Promise.all(requests);
  assert.equal(entered.filter((leave) => leave !== null).length, 2);
  assert.equal(permits.taken, 3);
});

test('who is in line enters when its peer gives a permit back, and a permit is given back once', async () => {
  const permits = createPermits(limits);
  const [first] = [
    await permits.enter(greedy, LONG_MS, null),
    await permits.enter(greedy, LONG_MS, null),
  ];
  const next = permits.enter(greedy, LONG_MS, null);
  first?.();
  first?.();
  assert.ok((await next) !== null);
  assert.equal(permits.taken, 2);
});

test('of those in line the peer that holds least goes first', async () => {
  const permits = createPermits({ max: 2, perPeer: 2, waitingMax: 20 });
  const held = [
    await permits.enter(greedy, LONG_MS, null),
    await permits.enter(other, LONG_MS, null),
  ];
  const order: string[] = [];
  const wait = (peer: typeof greedy, name: string) =>
    permits.enter(peer, LONG_MS, null).then((leave) => {
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
  const permits = createPermits({ max: 1, perPeer: 1, waitingMax: 1 });
  const leave = await permits.enter(greedy, LONG_MS, null);
  const inLine = permits.enter(other, LONG_MS, null);
  assert.equal(await permits.enter(third, LONG_MS, null), null);
  leave?.();
  assert.ok((await inLine) !== null);
});

test('who does not want to wait any more leaves the line and takes nothing', async () => {
  const permits = createPermits({ max: 1, perPeer: 1, waitingMax: 2 });
  const leave = await permits.enter(greedy, LONG_MS, null);
  const gone = new AbortController();
  const waiting = permits.enter(other, LONG_MS, gone.signal);
  const next = permits.enter(third, LONG_MS, null);
  gone.abort();
  assert.equal(await waiting, null);
  leave?.();
  assert.ok((await next) !== null);
  assert.equal(permits.taken, 1);
  assert.equal(await permits.enter(other, LONG_MS, gone.signal), null);
});
