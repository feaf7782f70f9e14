/** Laws of the message streams and of tails, with real nodes on loopback. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Stream } from '@libp2p/interface';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { asNodeId } from '../../../src/core/record/ids.ts';
import { MESSAGE_MAX_BYTES } from '../../../p2p/wire/messages.ts';
import type { MessageHandlers } from '../../../p2p/protocols/messages.ts';
import { first, testNodes, until } from './nodes.ts';
import type { TestNode } from './nodes.ts';

const nodes = testNodes();
after(() => nodes.stopAll());

interface Heard {
  readonly frames: Uint8Array[];
  readonly connected: string[];
  readonly disconnected: string[];
  readonly unreachable: string[];
}

function listen(node: TestNode, onFrame: MessageHandlers['onFrame'] = () => {}): Heard {
  const heard: Heard = { frames: [], connected: [], disconnected: [], unreachable: [] };
  node.host.messages.listen({
    onFrame(from, frame) {
      heard.frames.push(frame);
      return onFrame(from, frame);
    },
    onConnected: (peer) => heard.connected.push(peer),
    onDisconnected: (peer) => heard.disconnected.push(peer),
    onUnreachable: (peer) => heard.unreachable.push(peer),
  });
  return heard;
}

async function pair(
  limits = { queueFrames: 4_096, queueBytes: 16 << 20 },
): Promise<[TestNode, TestNode]> {
  const a = await nodes.start({ messages: limits });
  const b = await nodes.start({ messages: limits, bootstrap: [first(a.host)] });
  await until(
    'a pair',
    () => a.host.peers().length === 1 && b.host.peers().length === 1,
    b.host.status,
  );
  return [a, b];
}

const streamsOf = (node: TestNode): Stream[] =>
  node.host.libp2p
    .getConnections()
    .flatMap((connection) => connection.streams)
    .filter((stream) => stream.protocol.includes('/msg/'));

const numbered = (n: number): Buffer => {
  const frame = Buffer.alloc(64);
  frame.writeUInt32BE(n);
  return frame;
};

test('what a peer says before anybody listens is heard then, after that it is there, and in order', async () => {
  const [a, b] = await pair();
  const frames = [1, 2, 3].map(numbered);
  for (const frame of frames) a.host.messages.send(b.host.nodeId, frame);
  await until('the first one is there', () => b.host.messages.stats().received > 0);
  const order: string[] = [];
  b.host.messages.listen({
    onFrame: (_from, frame) => void order.push(String(Buffer.from(frame).readUInt32BE(0))),
    onConnected: () => order.push('connected'),
    onDisconnected: () => {},
    onUnreachable: () => {},
  });
  await until('all are heard', () => order.length === 4);
  assert.deepEqual(order, ['connected', '1', '2', '3']);
});

test('what is sent arrives whole and in order, from one byte to the limit', async () => {
  const [a, b] = await pair();
  const heard = listen(a);
  const sizes = [1, 0, 65_536, 3, MESSAGE_MAX_BYTES, 65_535, 100_000, 7];
  for (const size of sizes)
    assert.ok(b.host.messages.send(a.host.nodeId, Buffer.alloc(size, size % 251)));
  await until(
    'all',
    () => heard.frames.length === sizes.length,
    () => heard.frames.length,
  );
  assert.deepEqual(
    heard.frames.map((frame) => frame.byteLength),
    sizes,
  );
  for (const frame of heard.frames)
    assert.ok(frame.every((byte) => byte === frame.byteLength % 251));
  assert.equal(streamsOf(b).length, 1, 'one stream carries them all');
});

test('after a reset the next message opens a new stream and nobody was disconnected', async () => {
  const [a, b] = await pair();
  const heard = listen(a);
  const sender = listen(b);
  b.host.messages.send(a.host.nodeId, numbered(1));
  await until('the first', () => heard.frames.length === 1);
  for (const [at, side] of [a, b, a].entries()) {
    for (const stream of streamsOf(side)) stream.abort(new Error('reset by the test'));
    await until(
      'the reset is known',
      () => streamsOf(b).length === 0,
      () => streamsOf(b).length,
    );
    b.host.messages.send(a.host.nodeId, numbered(at));
    await until(
      'the next',
      () => heard.frames.length === at + 2,
      () => heard.frames.length,
    );
  }
  assert.deepEqual([sender.unreachable, sender.disconnected, heard.disconnected], [[], [], []]);
});

test('a stream that breaks while much is under way is replaced, and the rest arrives', async () => {
  const [a, b] = await pair();
  const sender = listen(b);
  const heard = listen(a, () => {
    if (heard.frames.length === 10 || heard.frames.length === 60) {
      for (const stream of streamsOf(a)) stream.abort(new Error('reset by the test'));
    }
  });
  const total = 150;
  for (let n = 0; n < total; n += 1) b.host.messages.send(a.host.nodeId, Buffer.alloc(100_000, n));
  await until(
    'the last',
    () => heard.frames.at(-1)?.[0] === total - 1,
    () => [heard.frames.length, b.host.messages.stats()],
  );
  assert.ok(
    heard.frames.length < total,
    'what was inside the broken streams is lost, and not repeated here',
  );
  assert.deepEqual(sender.unreachable, []);
});

test('a slow reader slows the sender down instead of losing anything', async () => {
  const [a, b] = await pair({ queueFrames: 100_000, queueBytes: 64 << 20 });
  const gate = Promise.withResolvers<void>();
  const heard = listen(a, () => gate.promise);
  const total = 400;
  for (let n = 0; n < total; n += 1)
    b.host.messages.send(a.host.nodeId, Buffer.alloc(100_000, n % 251));
  // Far less than the 40 MB goes out: windows and buffers fill, and then the sender waits.
  let sent = -1;
  let still = 0;
  await until('the sender stands still', () => {
    still = sent === b.host.messages.stats().sent ? still + 1 : 0;
    ({ sent } = b.host.messages.stats());
    return still >= 25;
  });
  assert.ok(sent > 0 && sent < total, `sent ${sent}`);
  gate.resolve();
  await until(
    'all',
    () => heard.frames.length === total,
    () => [heard.frames.length, b.host.messages.stats()],
    30_000,
  );
  assert.ok(heard.frames.every((frame, n) => frame[0] === n % 251));
});

test('a full queue drops what comes, says so, and recovers', async () => {
  const [a, b] = await pair({ queueFrames: 10, queueBytes: 1 << 20 });
  const heard = listen(a);
  const sender = listen(b);
  const accepted = Array.from({ length: 50 }, (_, n) =>
    b.host.messages.send(a.host.nodeId, numbered(n)),
  );
  assert.equal(accepted.filter(Boolean).length, 10);
  await until('the report', () => sender.unreachable.includes(a.host.nodeId));
  await until(
    'the ten',
    () => heard.frames.length === 10,
    () => heard.frames.length,
  );
  assert.equal(b.host.messages.stats().droppedOverflow, 40);
  assert.ok(b.host.messages.send(a.host.nodeId, numbered(99)));
  await until('one more', () => heard.frames.length === 11);
});

test('a frame above the limit is refused by the sender, and cut off by the receiver', async () => {
  const [a, b] = await pair();
  const heard = listen(a);
  assert.equal(b.host.messages.send(a.host.nodeId, Buffer.alloc(MESSAGE_MAX_BYTES + 1)), false);
  const [connection] = b.host.libp2p.getConnections();
  assert.ok(connection !== undefined);
  const stream = await connection.newStream('/shoal/test/msg/1');
  const closed = new Promise((resolve) => stream.addEventListener('close', resolve));
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(5 << 20);
  stream.send(prefix);
  stream.send(Buffer.alloc(5 << 20));
  await closed;
  b.host.messages.send(a.host.nodeId, numbered(1));
  await until('honest messages go on', () => heard.frames.length === 1);
  assert.equal(heard.frames[0]?.byteLength, 64);
});

test('a peer that is gone is reported unreachable, and connections come and go in pairs', async () => {
  const [a, b] = await pair();
  const heard = listen(b);
  assert.deepEqual(heard.connected, [a.host.nodeId], 'who was there before is reported');
  await a.host.stop();
  await until('the disconnect', () => heard.disconnected.length === 1);
  b.host.messages.send(a.host.nodeId, numbered(1));
  await until('the report', () => heard.unreachable.length === 1);
  assert.equal(b.host.messages.stats().queuedFrames, 0);
  b.host.messages.send(asNodeId((await nodes.start()).host.nodeId), numbered(1));
  await until('a stranger', () => heard.unreachable.length === 2);
});

test('a tail streams until its end, passes refusals on, and ends when the reader leaves', async () => {
  const [a, b] = await pair();
  let left = false;
  a.host.tail.handleTail(async function* (request, from, signal) {
    const wanted = Buffer.from(request).toString();
    if (wanted === 'refuse') throw new Error('no such execution');
    if (wanted === 'large') yield Buffer.alloc(3 << 20, 9);
    for (let n = 0; wanted === 'forever' && !signal.aborted; n += 1) {
      yield Buffer.from(`${from.slice(0, 4)} ${n}\n`);
      await new Promise((resolve) => setImmediate(resolve));
    }
    left = signal.aborted;
  });
  const open = (
    request: string,
    signal = new AbortController().signal,
  ): AsyncIterable<Uint8Array> => b.host.tail.openTail(a.host.nodeId, Buffer.from(request), signal);

  let bytes = 0;
  for await (const piece of open('large')) bytes += piece.byteLength;
  assert.equal(bytes, 3 << 20);

  await assert.rejects(
    async () => {
      for await (const _ of open('refuse')) void _;
    },
    (error) =>
      error instanceof ShoalError &&
      error.failure.code === 'peer-unreachable' &&
      /no such execution/.test(error.message),
  );

  let pieces = 0;
  for await (const _ of open('forever')) {
    pieces += 1;
    if (pieces === 50) break;
  }
  await until('the server notices', () => left);
});
