/** A stranger that speaks the protocols, and says what no honest peer would: it changes nothing. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { peerIdFromString } from '@libp2p/peer-id';
import { topicsOf } from '../../p2p/gossip.ts';
import type { Decoded } from '../../p2p/gossip.ts';
import { messageProtocol } from '../../p2p/protocols/messages.ts';
import { createMessageCodec } from '../../p2p/wire/messages.ts';
import { createSuite } from '../../p2p/wire/suite.ts';
import { asHlc, asJobId, asNodeId } from '../../src/core/record/ids.ts';
import type { Message } from '../../src/core/contract/messages.ts';
import type { CommandBody, Signed } from '../../src/core/record/records.ts';
import { createCrypto } from '../../src/store/crypto.ts';
import { testNodes } from '../contract/p2p/nodes.ts';
import type { TestNode } from '../contract/p2p/nodes.ts';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const NET = 'shoal';
const mesh = await createMesh();
const strangers = testNodes();
mesh.defer(() => strangers.stopAll());

const crypto = createCrypto();
const { sha256 } = crypto;
const codec = createMessageCodec({ net: NET, sha256 });
const DAY_MS = 86_400_000;

const now = () => asHlc(Date.now());
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

/** Frames that are refused before anyone looks at what they say, each with the reason counted. */
const frames: readonly (readonly [string, string, Uint8Array])[] = [
  ['the start of a list that never comes', 'not-cbor', bytes('9bffffffffffffffff')],
  ['ends of lists that never began', 'not-canonical', new Uint8Array(200).fill(0xff)],
  [
    'a ping with its keys in another order',
    'not-canonical',
    bytes('a3647479706564' + '70696e67' + '617601' + '656e6f6e636501'),
  ],
  [
    'a ping with a byte behind it',
    'not-canonical',
    bytes('a3617601' + '64747970656470696e67' + '656e6f6e63650100'),
  ],
  ['lists in lists in lists', 'too-deep', new Uint8Array(40).fill(0x81)],
  ['a type that nobody knows', 'unknown-type', bytes('a26176016474797065636f6464')],
  [
    'a version to come',
    'wrong-version',
    bytes('a3617602' + '64747970656470696e67' + '656e6f6e636501'),
  ],
  ['a ping without its nonce', 'bad-shape', bytes('a261760164747970656470696e67')],
  ['a mebibyte of nothing', 'not-canonical', new Uint8Array(1 << 20)],
];

describe('a stranger in a mesh of three peers', () => {
  let peers: readonly Peer[];
  let first: Peer;
  let stranger: TestNode;
  let job: string;
  let executor: Peer;
  const seed = new Uint8Array(randomBytes(32));
  const strangerSuite = createSuite({ net: NET, nodeSeed: seed, ownerSeed: seed, crypto });

  before(async () => {
    peers = await mesh.grow(3);
    first = peers[0] ?? assert.fail('no peer');
    const bootstrap = peers.map((peer) => peer.address);
    // It hears what honest peers say, or it would stop talking to them.
    const decodeGossip = (data: Uint8Array): Decoded => {
      const decoded = codec.decodeGossip(data);
      return decoded.ok ? decoded : { ok: false, sendersFault: false, why: decoded.code };
    };
    stranger = await strangers.start({ network: NET, bootstrap, seed }, { decodeGossip });
    await mesh.until(
      'the stranger is connected to all',
      () => stranger.host.peers().length === peers.length,
    );
    job = await mesh.submit(first, noop({ Milliseconds: 20_000 }));
    const [execution] = await mesh.inPhase(first, job, 'running');
    executor = mesh.peerOf(execution?.NodeID ?? '');
  });

  const tell = (peer: Peer, message: Message): boolean =>
    stranger.host.messages.send(asNodeId(peer.nodeId), codec.encodeMessage(message));

  /** Does something to a peer, and waits until the peer has counted a refusal of this kind. */
  async function refused(peer: Peer, code: string, act: () => unknown): Promise<void> {
    const label = `code="${code}"`;
    const before = await peer.metric('shoal_refused_total', label);
    await act();
    await mesh.until(
      `${peer.name} counts a refusal ${code}`,
      async () => (await peer.metric('shoal_refused_total', label)) > before,
    );
  }

  for (const [what, code, frame] of frames) {
    test(`refused as ${code}: ${what}`, () =>
      refused(first, code, () => stranger.host.messages.send(asNodeId(first.nodeId), frame)));
  }

  test('a frame that claims to be larger than any costs the stream, not the peer', async () => {
    const { libp2p } = stranger.host;
    for (const claim of ['ffffffff', '00100001']) {
      const stream = await libp2p.dialProtocol(
        peerIdFromString(first.nodeId),
        messageProtocol(NET),
      );
      stream.send(bytes(claim));
      stream.send(new Uint8Array(1024));
      await mesh.until('the stream is torn down', () => stream.status !== 'open');
    }
    await refused(first, 'not-cbor', () =>
      stranger.host.messages.send(asNodeId(first.nodeId), bytes('81')),
    );
  });

  const command = (notAfter: number): CommandBody => ({
    job: asJobId(job),
    sequence: 1,
    command: 'stop',
    reason: 'says a stranger',
    notAfter,
  });
  /** The peer that keeps the job and hears the command. */
  const stop = (peer: Peer, order: Signed<'command'>): boolean =>
    tell(peer, { type: 'command', command: order });

  test('a stop that another key signed is refused', () =>
    refused(first, 'wrong-signer', () =>
      stop(first, strangerSuite.seal('command', command(Date.now() + DAY_MS), now(), 'owner')),
    ));

  test("a stop under the owner's name without the owner's signature is refused", async () => {
    const { Owner } = await first.get<{ Owner: string }>('/shoal/status');
    const own = strangerSuite.seal('command', command(Date.now() + DAY_MS), now(), 'owner');
    const forged = { ...own, by: Owner } as Signed<'command'>;
    await refused(first, 'bad-signature', () => stop(first, forged));
  });

  test('a record of another mesh is refused', async () => {
    const net = 'elsewhere';
    const other = createSuite({ net, nodeSeed: seed, ownerSeed: seed, crypto });
    const record = other.seal('command', command(Date.now() + DAY_MS), now(), 'owner');
    const frame = createMessageCodec({ net, sha256 }).encodeMessage({
      type: 'command',
      command: record,
    });
    await refused(first, 'wrong-net', () =>
      stranger.host.messages.send(asNodeId(first.nodeId), frame),
    );
  });

  test('an end of the job that no keeper signed cancels nothing', async () => {
    const [execution] = await mesh.executions(first, job);
    const close = strangerSuite.seal(
      'close',
      {
        job: asJobId(job),
        version: 1,
        outcome: 'stopped',
        code: 'stopped-by-owner',
        message: 'no',
        evidence: [],
      },
      now(),
      'node',
    );
    const because = { record: close, votes: [] };
    await refused(executor, 'not-keeper', () =>
      tell(executor, {
        type: 'cancel',
        job: asJobId(job),
        execution: (execution?.ID ?? '') as never,
        because,
      }),
    );
  });

  test('gossip that is malformed, too large or forged is refused, and the peers go on', async () => {
    const { pubsub } = stranger.host.libp2p.services as unknown as {
      pubsub: { publish(topic: string, data: Uint8Array): Promise<unknown> };
    };
    const { adverts } = topicsOf(NET);
    const messages = [...frames.slice(0, 8).map(([, , frame]) => frame), new Uint8Array(40_000)];
    for (const data of messages) await pubsub.publish(adverts, data);
    for (const peer of peers) {
      await mesh.until(
        `${peer.name} counts refused gossip`,
        async () => (await peer.metric('shoal_gossip_refused')) > 0,
      );
    }
    await mesh.joined();
  });

  test('the job that ran meanwhile is completed, once, and new ones run', async () => {
    const { Executions } = await mesh.reaches(first, job, 'Completed', 60_000);
    assert.equal(Executions?.Items.length, 1);
    for (const peer of peers) {
      const id = await mesh.submit(peer, noop({}));
      await mesh.reaches(peer, id, 'Completed');
      assert.deepEqual(peer.events('node.broken'), [], peer.name);
    }
  });
});
