/** Laws of the streams on which peers send messages, with streams and a clock of our own. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { Stream } from '@libp2p/interface';
import { encodeFrames } from '../../../../p2p/protocols/frames.ts';
import { createInbound, FRAME_MS } from '../../../../p2p/protocols/inbound.ts';
import type { InboundDeps } from '../../../../p2p/protocols/inbound.ts';
import { idOf } from '../../core/fixtures.ts';
import { quiet } from '../../../contract/p2p/nodes.ts';

const peer = idOf(1);
const MEBIBYTE = 1 << 20;

beforeEach(() => mock.timers.enable({ apis: ['setInterval'] }));
afterEach(() => mock.timers.reset());

/** What the inbound side uses of a stream. */
class FakeStream extends EventTarget {
  readStatus = 'readable';
  aborted = false;
  pause(): void {
    this.readStatus = 'paused';
  }
  resume(): void {
    this.readStatus = 'readable';
  }
  abort(): void {
    this.aborted = true;
    this.dispatchEvent(new Event('close'));
  }
  async close(): Promise<void> {}
  bring(bytes: Uint8Array): void {
    this.dispatchEvent(Object.assign(new Event('message'), { data: bytes }));
  }
}

function world(onFrame: InboundDeps['onFrame'] = () => undefined) {
  const state = { now: 0, faults: [] as string[] };
  const inbound = createInbound({
    maxBytes: MEBIBYTE,
    now: () => state.now,
    log: quiet,
    fault: (_, fault) => state.faults.push(fault),
    onFrame,
  });
  const open = (): FakeStream => {
    const stream = new FakeStream();
    inbound.add(stream as unknown as Stream, peer);
    return stream;
  };
  const pass = (ms: number): void => {
    for (let passed = 0; passed < ms; passed += 5_000) {
      state.now += 5_000;
      mock.timers.tick(5_000);
    }
  };
  return { state, inbound, open, pass };
}

const begun = (bytes: number, of = MEBIBYTE): Uint8Array =>
  encodeFrames([Buffer.alloc(of)]).subarray(0, bytes);

test('a frame that begins and does not end resets its stream, however little by little it comes', () => {
  const { open, pass, state } = world();
  const [half, drop, idle] = [open(), open(), open()];
  half.bring(begun(500_000));
  drop.bring(begun(5, 64));
  idle.bring(encodeFrames([Buffer.alloc(10)]));
  for (let waited = 0; waited <= FRAME_MS; waited += 5_000) {
    pass(5_000);
    if (!drop.aborted) drop.bring(Uint8Array.of(1));
  }
  assert.deepEqual([half.aborted, drop.aborted, idle.aborted], [true, true, false]);
  assert.deepEqual(state.faults, ['unfinished-frame', 'unfinished-frame']);
});

test('a stream that brings one frame after the other is left alone', () => {
  const { open, pass } = world();
  const stream = open();
  const bytes = encodeFrames([Buffer.alloc(100), Buffer.alloc(100)]);
  stream.bring(bytes.subarray(0, 50));
  for (let round = 0; round < 20; round += 1) {
    pass(10_000);
    stream.bring(bytes.subarray(50, 104));
    stream.bring(bytes.subarray(0, 50));
  }
  assert.equal(stream.aborted, false);
});

test('what cannot come because the node does not read is no delay of the peer', async () => {
  const room = Promise.withResolvers<void>();
  const { open, pass } = world(() => room.promise);
  const stream = open();
  stream.bring(Buffer.concat([encodeFrames([Buffer.alloc(10)]), begun(1_000)]));
  assert.equal(stream.readStatus, 'paused');
  pass(5 * FRAME_MS);
  assert.equal(stream.aborted, false);
  room.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(stream.readStatus, 'readable');
  pass(FRAME_MS + 5_000);
  assert.equal(stream.aborted, true);
});

test('unfinished frames of one peer are bounded in bytes, and its streams in number', () => {
  const { open, inbound, state } = world();
  const streams = Array.from({ length: 30 }, () => {
    const stream = open();
    if (!stream.aborted) stream.bring(begun(100));
    return stream;
  });
  assert.ok(inbound.stats().unfinishedBytes <= 2 * MEBIBYTE, `${inbound.stats().unfinishedBytes}`);
  assert.equal(streams.filter((stream) => !stream.aborted).length, 2);
  assert.equal(state.faults.length, 28);
  for (let count = 0; count < 30; count += 1) open();
  assert.equal(inbound.stats().streams, 8);
});

test('a frame above the limit costs the stream and counts as a fault', () => {
  const { open, state } = world();
  const stream = open();
  stream.bring(Uint8Array.of(0xff, 0xff, 0xff, 0xff));
  assert.deepEqual([stream.aborted, state.faults], [true, ['frame-too-large']]);
});

test('a window of small frames is cut as the node takes them, in order, and forgotten when the stream is closed', async () => {
  let seen = 0;
  let room = Promise.withResolvers<void>();
  const { open } = world((_, frame) => {
    assert.equal(Buffer.from(frame).readUInt32BE(0), seen);
    seen += 1;
    return seen % 100 === 0 ? room.promise : undefined;
  });
  const total = 10_000;
  const frames = Array.from({ length: total }, (_, at) => {
    const frame = Buffer.alloc(4);
    frame.writeUInt32BE(at, 0);
    return frame;
  });
  const stream = open();
  stream.bring(encodeFrames(frames));
  assert.equal(seen, 100, 'nothing beyond the pause is cut');
  const next = async (): Promise<void> => {
    const gate = room;
    room = Promise.withResolvers();
    gate.resolve();
    await new Promise((resolve) => setImmediate(resolve));
  };
  while (seen < total / 2) await next();
  assert.equal(stream.readStatus, 'paused');
  stream.dispatchEvent(new Event('close'));
  await next();
  assert.equal(seen, total / 2);
});

test('a stream whose connection broke while it was paused costs that stream, and no more', async () => {
  let done = (): void => {};
  const { open, state } = world(() => new Promise<void>((resolve) => (done = resolve)));
  const broken = open();
  broken.resume = () => {
    throw new Error('Cannot write to a stream that is closed');
  };
  const uncaught: unknown[] = [];
  const note = (error: unknown): unknown => uncaught.push(error);
  process.once('unhandledRejection', note);
  try {
    broken.bring(encodeFrames([Buffer.alloc(10)]));
    assert.equal(broken.readStatus, 'paused');
    done();
    // Whoever nobody catches is told of after the promises of this turn.
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(uncaught, []);
    assert.deepEqual(state.faults, [], 'it is not the fault of the peer');
    assert.ok(broken.aborted);
  } finally {
    process.off('unhandledRejection', note);
  }
});
