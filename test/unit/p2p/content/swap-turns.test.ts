/** Laws of how much bitswap serves at a time: a few blocks of each peer, of a few peers, in turn. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import type { PeerId } from '@libp2p/interface';
import { takeTurns, TURNS_MAX, WAITING_MAX } from '../../../../p2p/content/swap-turns.ts';
import type { WantLists } from '../../../../p2p/content/swap-turns.ts';

type SwapMessage = Parameters<WantLists['receiveMessage']>[1];
type Wants = NonNullable<SwapMessage['wantlist']>['entries'];

const peerOf = (name: string): PeerId => ({ toString: () => name }) as unknown as PeerId;
const wants = (count: number): Wants =>
  Array.from({ length: count }, () => ({ cid: randomBytes(36) }));
const listOf = (entries: Wants, full = false): SwapMessage => ({
  wantlist: { full, entries },
  blocks: [],
  blockPresences: [],
});

/** A library that has sent what it got when it is told so. */
function library() {
  const got = new Map<string, string[]>();
  const sending = new Map<string, PromiseWithResolvers<void>>();
  const cancelled: string[] = [];
  const idOf = ({ cid }: Wants[number]): string => Buffer.from(cid).toString('hex');
  const lists: WantLists = {
    receiveMessage(peer, { wantlist }) {
      const name = peer.toString();
      for (const entry of wantlist?.entries ?? [])
        if (entry.cancel === true) cancelled.push(idOf(entry));
        else {
          got.set(name, [...(got.get(name) ?? []), idOf(entry)]);
          sending.set(name, sending.get(name) ?? Promise.withResolvers());
        }
    },
    peerDisconnected: () => {},
    ledgerForPeer: (peer) => ({
      sendQueue: { onIdle: () => sending.get(peer.toString())?.promise ?? Promise.resolve() },
    }),
  };
  takeTurns(lists);
  const sent = async (name: string): Promise<void> => {
    const one = sending.get(name);
    sending.delete(name);
    one?.resolve();
    await new Promise(setImmediate);
  };
  return { lists, got, sending, sent, cancelled, idOf };
}

describe('what is wanted by bitswap', () => {
  it('is served a few blocks at a time, in order, until all of it was', async () => {
    const { lists, got, sending, sent, idOf } = library();
    const list = wants(100);
    lists.receiveMessage(peerOf('a'), listOf(list));
    let before = 0;
    while (sending.has('a')) {
      const now = got.get('a')?.length ?? 0;
      assert.ok(now - before <= 4, `${now - before} at once`);
      before = now;
      await sent('a');
    }
    assert.deepEqual(got.get('a'), list.map(idOf));
  });

  it('is served to few peers at the same time, and to the next when one has its part', async () => {
    const { lists, got, sent } = library();
    for (let index = 0; index < 2 * TURNS_MAX; index += 1)
      lists.receiveMessage(peerOf(`p${index}`), listOf(wants(10)));
    assert.equal(got.size, TURNS_MAX);
    await sent('p0');
    assert.equal(got.size, TURNS_MAX + 1, 'not the same again');
  });

  it('waits in a line that has an end, and leaves it when it is not wanted any more', async () => {
    const { lists, got, sending, sent, cancelled, idOf } = library();
    const a = peerOf('a');
    for (let count = 0; count < 10; count += 1) lists.receiveMessage(a, listOf(wants(1_000)));
    const list = wants(3);
    lists.receiveMessage(a, listOf(list, true));
    const [first, ...others] = list;
    lists.receiveMessage(a, listOf([{ ...(first ?? assert.fail()), cancel: true }]));
    while (sending.has('a')) await sent('a');
    assert.deepEqual(cancelled, [idOf(first ?? assert.fail())]);
    assert.deepEqual(got.get('a')?.slice(4), others.map(idOf));

    for (let count = 0; count < 10; count += 1) lists.receiveMessage(a, listOf(wants(1_000)));
    const before = got.get('a')?.length ?? 0;
    while (sending.has('a')) await sent('a');
    assert.ok((got.get('a')?.length ?? 0) - before <= WAITING_MAX + 4);
    lists.receiveMessage(a, listOf(wants(10)));
    lists.peerDisconnected(a);
    const left = got.get('a')?.length;
    await sent('a');
    assert.equal(got.get('a')?.length, left, 'nothing is sent to who is gone');
  });
});
