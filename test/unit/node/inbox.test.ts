/** What others say has bounds and takes turns; what happens here always gets in, and first. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createInbox, GOSSIP_MAX, LANE_MAX } from '../../../src/node/inbox.ts';
import type { Arrived, GossipInput, LocalInput, MessageInput } from '../../../src/node/inbox.ts';
import { idOf } from '../core/fixtures.ts';

const [flooder, honest] = [idOf(1), idOf(2)];
const ping = (from: MessageInput['from'], nonce: number): MessageInput => ({
  type: 'message',
  from,
  message: { type: 'ping', nonce },
});
const wake: LocalInput = { type: 'wake' };
const gossip = { type: 'gossip', from: flooder, gossip: { type: 'leaving' } } as unknown;
const mark = ({ input }: Arrived): string => (input.type === 'message' ? input.from : input.type);

/** Adds until it is told to wait. @returns how many that were, and what it waits for. */
function flood(inbox: ReturnType<typeof createInbox>, from: MessageInput['from'], bytes: number) {
  for (let count = 1; count < 1_000_000; count += 1) {
    const room = inbox.addMessage(ping(from, count), bytes);
    if (room !== undefined) return { count, room };
  }
  return assert.fail('it was never told to wait');
}

test('a peer is told to wait when its share is full, by number or by bytes', () => {
  assert.equal(
    flood(
      createInbox(() => 0),
      flooder,
      40,
    ).count,
    LANE_MAX,
  );
  assert.equal(
    flood(
      createInbox(() => 0),
      flooder,
      1 << 20,
    ).count,
    1,
  );
});

test('what all peers together may have waiting is bounded, however many they are', () => {
  const inbox = createInbox(() => 0);
  let bytes = 0;
  for (let peer = 0; peer < 300; peer += 1)
    bytes += flood(inbox, idOf(peer), 32 << 10).count * (32 << 10);
  assert.equal(inbox.pausedPeers, 300);
  assert.ok(bytes <= 150 << 20, `${bytes} bytes`);
});

test('a peer that waits goes on once half of its share was taken', async () => {
  const inbox = createInbox(() => 0);
  const { room } = flood(inbox, flooder, 40);
  let resolved = false;
  void room.then(() => (resolved = true));
  inbox.take(16);
  await Promise.resolve();
  assert.equal(resolved, false);
  inbox.take(100);
  inbox.take(100);
  await room;
  assert.equal(inbox.pausedPeers, 0);
});

test('messages of one peer keep their order', () => {
  const inbox = createInbox(() => 0);
  flood(inbox, flooder, 40);
  void inbox.addMessage(ping(honest, 0), 40);
  const nonces: number[] = [];
  while (inbox.length > 0)
    for (const { input } of inbox.take(100))
      if (input.type === 'message' && input.from === flooder && input.message.type === 'ping')
        nonces.push(input.message.nonce);
  assert.deepEqual(
    nonces,
    nonces.toSorted((a, b) => a - b),
  );
  assert.equal(nonces.length, LANE_MAX);
});

test("a flood keeps nobody else's message waiting for more than a turn, and local inputs not at all", () => {
  const inbox = createInbox(() => 0);
  flood(inbox, flooder, 40);
  for (let count = 0; count < 5_000; count += 1) inbox.addGossip(gossip as GossipInput);
  void inbox.addMessage(ping(honest, 1), 40);
  inbox.addLocal(wake);
  const taken = inbox.take(64).map(mark);
  assert.equal(taken[0], 'wake');
  assert.ok(taken.indexOf(honest) > 0, taken.join());
});

test('of one peer a batch has one turn, so that the process comes to everything else between two', () => {
  const inbox = createInbox(() => 0);
  flood(inbox, flooder, 40);
  assert.equal(inbox.take(512).length, 32);
});

test('local inputs leave a quarter of each batch to what others say', () => {
  const inbox = createInbox(() => 0);
  for (let count = 0; count < 1_000; count += 1) inbox.addLocal(wake);
  flood(inbox, flooder, 40);
  const taken = inbox.take(100).map(mark);
  assert.equal(taken.filter((one) => one === 'wake').length, 75);
  assert.equal(taken.filter((one) => one === flooder).length, 25);
});

test('of gossip the oldest goes when too much waits', () => {
  const inbox = createInbox(() => 0);
  for (let count = 0; count < GOSSIP_MAX + 10; count += 1) inbox.addGossip(gossip as GossipInput);
  assert.deepEqual([inbox.length, inbox.gossipDropped], [GOSSIP_MAX, 10]);
});

test('everything that was added is taken once', () => {
  const inbox = createInbox(() => 0);
  for (let peer = 0; peer < 7; peer += 1) flood(inbox, idOf(peer), 4_000);
  for (let count = 0; count < 100; count += 1) inbox.addLocal(wake);
  const { length } = inbox;
  let taken = 0;
  for (let batch = inbox.take(64); batch.length > 0; batch = inbox.take(64)) taken += batch.length;
  assert.deepEqual([taken, inbox.length], [length, 0]);
});
