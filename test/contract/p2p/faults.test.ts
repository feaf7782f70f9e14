/** Laws of what a faulty peer costs, with real nodes on loopback: itself, and nobody else. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import type { Stream } from '@libp2p/interface';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id';
import { CID } from 'multiformats/cid';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { encodeFrames } from '../../../p2p/protocols/frames.ts';
import { first, quiet, testNodes, until } from './nodes.ts';
import type { TestNode } from './nodes.ts';

const nodes = testNodes();
after(() => nodes.stopAll());

const standing = { faultsMax: 4, coolingMs: 1_500 };
const never = new AbortController().signal;

async function joined(...all: readonly TestNode[]): Promise<void> {
  await until(
    'the mesh',
    () => all.every(({ host }) => host.peers().length === all.length - 1),
    () => all.map(({ host }) => host.status()),
  );
}

const problemOf = (node: TestNode, peer: TestNode): string | null =>
  node.host.status().find((one) => one.peer === peer.host.nodeId)?.problem?.problem ?? null;

const open = (node: TestNode, to: TestNode, protocol: string): Promise<Stream> =>
  node.host.libp2p.dialProtocol(peerIdFromString(to.host.nodeId), `/shoal/test/${protocol}/1`);

/** Announces a frame that no protocol allows. */
async function tooLarge(node: TestNode, to: TestNode): Promise<void> {
  const stream = await open(node, to, 'msg');
  stream.send(Uint8Array.of(0xff, 0xff, 0xff, 0xff));
  await until('the stream is reset', () => stream.status !== 'open');
}

test('a peer that breaks the protocol too often is sent away, kept out, and let in again later', async () => {
  const [strict, friend] = [await nodes.start({ standing }), await nodes.start()];
  const bootstrap = [first(strict.host), first(friend.host)];
  const faulty = await nodes.start({ bootstrap });
  const again = await friend.host.dial(first(strict.host));
  assert.equal(again, strict.host.nodeId);
  await joined(strict, friend, faulty);

  await tooLarge(faulty, strict);
  assert.equal(strict.host.gauges().standing.cooling, 0, 'one fault is borne');
  await tooLarge(faulty, strict);
  await until('it is sent away', () => !strict.host.peers().includes(faulty.host.nodeId));
  assert.equal(strict.host.gauges().standing.cooling, 1);
  assert.equal(problemOf(strict, faulty), 'cooling');
  await assert.rejects(
    strict.host.dial(first(faulty.host)),
    (error) => error instanceof ShoalError && /broke the protocol/.test(error.message),
  );
  assert.ok(strict.host.peers().includes(friend.host.nodeId), 'nobody else is sent away');
  await joined(strict, friend, faulty);
});

test('faults that only the core sees end in the same way, and a node never punishes itself', async () => {
  const strict = await nodes.start({ standing: { ...standing, coolingMs: 60_000 } });
  const faulty = await nodes.start({ bootstrap: [first(strict.host)] });
  await joined(strict, faulty);
  for (let count = 0; count < 10; count += 1)
    strict.host.penalise(strict.host.nodeId, 'bad-record');
  for (let count = 0; count < 4; count += 1) strict.host.penalise(faulty.host.nodeId, 'bad-record');
  await until('it is sent away', () => strict.host.peers().length === 0);
  const attempts = () => faulty.host.status()[0]?.attempts ?? 0;
  await until('it comes less and less often', () => attempts() >= 3, faulty.host.status);
  await until('it knows why', () => problemOf(faulty, strict) === 'handshake-failed');
  assert.deepEqual(strict.host.peers(), []);
  assert.equal(strict.host.gauges().standing.cooling, 1);
  assert.ok(strict.host.isSentAway(faulty.host.nodeId));
  assert.ok(!strict.host.isSentAway(strict.host.nodeId));
});

test('a hello that is none, and gossip that nobody honest passes on, count as faults', async () => {
  const strict = await nodes.start({ standing: { ...standing, faultsMax: 100 } });
  const faulty = await nodes.start({ bootstrap: [first(strict.host)] });
  await joined(strict, faulty);
  const stream = await open(faulty, strict, 'hello');
  stream.send(encodeFrames([Buffer.from('{"agent":1}')]));
  const faults = () => strict.host.gauges().standing.faults;
  await until('the fault', () => faults().garbage === 1, faults);
  const crowd = { agent: 'x', peers: Array(65).fill([]) };
  (await open(faulty, strict, 'hello')).send(encodeFrames([Buffer.from(JSON.stringify(crowd))]));
  await until('the fault', () => faults().garbage === 2, faults);
  await until('the subscription', () => faulty.host.gossip.subscribers() === 1);
  faulty.host.gossip.publish(Buffer.from('not json'), null);
  await until('the fault', () => faults()['bad-gossip'] === 1, faults);
});

test('a peer that says hello again and again, with new names each time, is soon not listened to', async () => {
  const node = await nodes.start();
  const faulty = await nodes.start({ bootstrap: [first(node.host)] });
  await joined(node, faulty);
  const known = node.host.status().length;
  const names = await Promise.all(
    Array.from({ length: 2_400 }, async () => {
      const key = await generateKeyPair('Ed25519');
      return `/ip4/127.0.0.1/tcp/9/p2p/${peerIdFromPrivateKey(key).toString()}`;
    }),
  );
  const begunAt = performance.now();
  let answered = 0;
  for (let at = 0; at < names.length; at += 120) {
    const some = names.slice(at, at + 120);
    const peers = Array.from({ length: 60 }, (_, list) => some.slice(list * 2, list * 2 + 2));
    const stream = await open(faulty, node, 'hello');
    const before = answered;
    stream.addEventListener('message', () => (answered += 1), { once: true });
    if (stream.status === 'open')
      stream.send(encodeFrames([Buffer.from(JSON.stringify({ agent: 'x', peers }))]));
    await until('it is answered or cut off', () => stream.status !== 'open' || answered > before);
    // Or it is the streams left open that are too many.
    await stream.close();
  }
  // A burst, and what time brings on a machine that is busy.
  const most = (burst: number, perSecond: number): number =>
    burst + perSecond * Math.ceil((performance.now() - begunAt) / 1_000);
  assert.ok(answered >= 5 && answered <= most(10, 2), `${answered} hellos were answered`);
  await until('it has learnt some', () => node.host.status().length > known + 100);
  const learnt = node.host.status().length - known;
  assert.ok(learnt <= most(512, 32), `${learnt} were learnt`);
});

test('a peer may have a few connections, and the newest are kept', async () => {
  const node = await nodes.start();
  const peer = await nodes.start();
  const to = node.host.libp2p.getMultiaddrs();
  for (let count = 0; count < 10; count += 1) await peer.host.libp2p.dial(to, { force: true });
  await until(
    'four are left',
    () => peer.host.libp2p.getConnections().length === 4,
    () => peer.host.libp2p.getConnections().length,
  );
  await joined(node, peer);
});

test('frames that begin and do not end cost two mebibytes a peer', async () => {
  const node = await nodes.start();
  const faulty = await nodes.start({ bootstrap: [first(node.host)] });
  await joined(node, faulty);
  const chunk = Buffer.alloc(64 * 1024);
  for (let count = 0; count < 12; count += 1) {
    try {
      const stream = await open(faulty, node, 'msg');
      stream.send(Buffer.concat([Uint8Array.of(0, 0x10, 0, 0), chunk]));
    } catch {
      // Refused: that is one of the two ways to bound it.
    }
  }
  const stats = () => node.host.messages.stats();
  await until('they arrive', () => stats().unfinishedBytes > 0, stats);
  await until(
    'all were met',
    () => node.host.gauges().standing.faults['unfinished-frame'] > 0,
    stats,
  );
  assert.ok(stats().unfinishedBytes <= 2 << 20, JSON.stringify(stats()));
});

test('block streams that nobody reads keep no other peer from being served, and are given up', async () => {
  const log = { ...quiet, error: () => {} };
  const holder = await nodes.start({ standing: { ...standing, faultsMax: 100 } }, { log });
  const [greedy, honest] = [
    await nodes.start({ bootstrap: [first(holder.host)] }, { log }),
    await nodes.start({ bootstrap: [first(holder.host)] }, { log }),
  ];
  await joined(holder, greedy, honest);
  const add = (bytes: number) =>
    holder.host.content.addStream([randomBytes(bytes)] as never, never);
  const [large, small] = [await add(64 << 20), await add(1 << 20)];
  const cid = CID.parse(large.cid).bytes;
  for (let count = 0; count < 16; count += 1) {
    const stream = await open(greedy, holder, 'blocks');
    // Somebody must listen, or the stream keeps what comes for whoever does later.
    stream.addEventListener('message', () => {});
    stream.send(encodeFrames([Buffer.concat([Uint8Array.of(1, cid.byteLength), cid])]));
    stream.pause();
  }
  const serving = () => holder.host.gauges().blocks.serving;
  await until('its share is taken', () => serving() === 4, serving);
  await honest.host.content.replicate(small.cid, {
    holders: [holder.host.nodeId],
    maxBytes: 1 << 30,
    signal: never,
  });
  assert.ok(await honest.host.content.has(small.cid));
  const { faults } = holder.host.gauges().standing;
  assert.equal(faults['stalled-reader'], 0, 'all that was while its streams stood still');
  await until(
    'what stands still is given up',
    () => holder.host.gauges().standing.faults['stalled-reader'] >= 4,
    () => holder.host.gauges(),
    40_000,
  );
});

test('who takes a little of a block now and then loses its slot to who waits', async () => {
  const holder = await nodes.start({ servesMax: 1 });
  const bootstrap = [first(holder.host)];
  const [slow, honest] = [await nodes.start({ bootstrap }), await nodes.start({ bootstrap })];
  await joined(holder, slow, honest);
  const add = (bytes: number) =>
    holder.host.content.addStream([randomBytes(bytes)] as never, never);
  const [large, small] = [await add(64 << 20), await add(1 << 20)];
  const cid = CID.parse(large.cid).bytes;
  const stream = await open(slow, holder, 'blocks');
  // Somebody must listen, or the stream keeps what comes for whoever does later.
  stream.addEventListener('message', () => {});
  stream.send(encodeFrames([Buffer.concat([Uint8Array.of(1, cid.byteLength), cid])]));
  stream.pause();
  const sip = setInterval(() => {
    if (stream.readStatus !== 'paused') return;
    stream.resume();
    setImmediate(() => stream.readStatus === 'readable' && stream.pause());
  }, 3_000);
  const serving = () => holder.host.gauges().blocks.serving;
  await until('it has the slot', () => serving() === 1, serving);
  const signal = AbortSignal.timeout(25_000);
  const options = { holders: [holder.host.nodeId], maxBytes: 1 << 30, signal };
  await honest.host.content.replicate(small.cid, options).finally(() => clearInterval(sip));
  assert.ok(await honest.host.content.has(small.cid));
});

test('a peer that fetches more at once than its share of the slots gets everything all the same', async () => {
  const log = { ...quiet, error: () => {} };
  const holder = await nodes.start({}, { log });
  const peer = await nodes.start({ bootstrap: [first(holder.host)] }, { log });
  await joined(holder, peer);
  const cids = await Promise.all(
    Array.from({ length: 24 }, async () => {
      const bytes = randomBytes(2 << 20);
      return (await holder.host.content.addStream([bytes] as never, never)).cid;
    }),
  );
  const options = { holders: [holder.host.nodeId], maxBytes: 1 << 30, signal: never };
  await Promise.all(cids.map((cid) => peer.host.content.replicate(cid, options)));
  for (const cid of cids) assert.ok(await peer.host.content.has(cid), cid);
});

test('a connection has so many streams of each protocol, and a block request so many names', async () => {
  const node = await nodes.start();
  const faulty = await nodes.start({ bootstrap: [first(node.host)] });
  await joined(node, faulty);
  const most = { msg: 4, hello: 4, blocks: 16, tail: 64 };
  for (const [protocol, max] of Object.entries(most)) {
    const opened: Stream[] = [];
    for (let count = 0; count < max + 4; count += 1)
      await open(faulty, node, protocol).then(
        (one) => opened.push(one),
        () => {},
      );
    const left = (): number => opened.filter((one) => one.status === 'open').length;
    await until(protocol, () => left() <= max, left);
    assert.ok(left() >= max - 1, `${left()} of ${protocol}`);
    for (const stream of faulty.host.libp2p.getConnections().flatMap((one) => one.streams))
      if (stream.protocol.includes(`/${protocol}/`)) stream.abort(new Error('done'));
  }
  const stream = await open(faulty, node, 'blocks');
  const cid = CID.parse('bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e').bytes;
  const names = Array.from({ length: 513 }, () => [Uint8Array.of(cid.byteLength), cid]).flat();
  stream.send(encodeFrames([Buffer.concat([Uint8Array.of(2), ...names])]));
  await until('the stream is aborted', () => stream.status !== 'open');
});
