/**
 * Thousands of odd messages and gossip of members that sign whatever they like, against real peers:
 * they live, answer, and run what honest people submit.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { topicsOf } from '../../p2p/gossip.ts';
import type { Decoded } from '../../p2p/gossip.ts';
import { createMessageCodec } from '../../p2p/wire/messages.ts';
import { asNodeId } from '../../src/core/record/ids.ts';
import type { Gossip, Message } from '../../src/core/contract/messages.ts';
import { testNodes } from '../contract/p2p/nodes.ts';
import type { TestNode } from '../contract/p2p/nodes.ts';
import { createRandom } from '../simulation/random.ts';
import { createParty, crypto, oddGossip, oddMessages } from '../unit/core/odd.ts';
import type { Aim } from '../unit/core/odd.ts';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const NET = 'shoal';
const SEED = 1;
/** Of each of some forty types, to each peer. */
const EACH = 25;
/** An honest request is answered within this, milliseconds, in the middle of it. */
const ANSWER_MS = 2_000;

const mesh = await createMesh();
const strangers = testNodes();
mesh.defer(() => strangers.stopAll());
const codec = createMessageCodec({ net: NET, sha256: crypto.sha256 });
const random = createRandom(SEED);

/** Frames of what has an encoding. */
function framesOf<U>(odd: readonly { readonly said: U }[], encode: (said: U) => Uint8Array) {
  return odd.flatMap(({ said }) => {
    try {
      return [encode(said)];
    } catch {
      return [];
    }
  });
}

describe('peers among which a member says anything', () => {
  let peers: readonly Peer[];
  let members: readonly TestNode[];
  let aim: Aim;
  /** Several: each is hung up on after a handful of faults, and says much until then. */
  const numbers = [4, 5, 6, 7];
  const parties = numbers.map((number) => createParty(NET, number));

  before(async () => {
    peers = await mesh.grow(3);
    const decodeGossip = (data: Uint8Array): Decoded => {
      const decoded = codec.decodeGossip(data);
      return decoded.ok ? decoded : { ok: false, sendersFault: false, why: decoded.code };
    };
    const bootstrap = peers.map(({ address }) => address);
    members = await Promise.all(
      numbers.map((number) => {
        const seed = crypto.sha256(`party ${number}`);
        return strangers.start({ network: NET, bootstrap, seed }, { decodeGossip });
      }),
    );
    await mesh.until('they are connected to all', () =>
      members.every(({ host }) => host.peers().length >= 3),
    );
    const first = peers[0] ?? assert.fail();
    const job = await mesh.submit(first, noop({ Milliseconds: 60_000 }));
    const [execution] = await mesh.inPhase(first, job, 'running');
    aim = {
      parties,
      nodes: [...parties.map(({ id }) => id), ...peers.map(({ nodeId }) => asNodeId(nodeId))],
      jobs: [job],
      executions: [execution?.ID ?? ''],
      records: [],
      wall: Date.now(),
    };
  });

  async function answer(): Promise<void> {
    for (const peer of peers) {
      const begun = performance.now();
      await peer.get('/agent/alive');
      const ms = performance.now() - begun;
      assert.ok(ms < ANSWER_MS, `${peer.name} took ${Math.round(ms)} ms`);
    }
  }

  test('answer while they are told thousands of odd messages', async () => {
    for (const peer of peers) {
      const frames = framesOf(oddMessages(aim, random, EACH), (said: Message) =>
        codec.encodeMessage(said),
      );
      assert.ok(frames.length > 700, `${frames.length} frames`);
      for (const [index, frame] of frames.entries())
        members[index % members.length]?.host.messages.send(asNodeId(peer.nodeId), frame);
      await answer();
      await mesh.until(
        `${peer.name} has refused much of it`,
        async () => (await peer.metric('shoal_refused_total')) > 20,
      );
    }
  });

  test('answer while they hear odd gossip', async () => {
    const topics = topicsOf(NET);
    const all = [topics.adverts, ...topics.jobs];
    for (const frame of framesOf(oddGossip(aim, random, EACH), (said: Gossip) =>
      codec.encodeGossip(said),
    )) {
      const { pubsub } = random.pick(members).host.libp2p.services as unknown as {
        pubsub: { publish(topic: string, data: Uint8Array): Promise<unknown> };
      };
      await pubsub.publish(random.pick(all), frame).catch(() => {});
    }
    await answer();
  });

  test('live, had to contain nothing, and run an honest job', async () => {
    const [first] = peers;
    const id = await mesh.submit(first ?? assert.fail(), noop({}));
    await mesh.reaches(first ?? assert.fail(), id, 'Completed', 60_000);
    for (const peer of peers) {
      assert.ok(peer.running, peer.tail());
      assert.deepEqual(peer.events('node.broken'), [], peer.name);
      assert.deepEqual(peer.events('node.defect'), [], peer.name);
    }
    await answer();
  });
});
