/** A member that sends more than anybody could want, or nothing but rubbish: honest work goes on. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { topicsOf } from '../../p2p/gossip.ts';
import { createMessageCodec } from '../../p2p/wire/messages.ts';
import { createSuite } from '../../p2p/wire/suite.ts';
import { asHlc, asNodeId, asStoreId } from '../../src/core/record/ids.ts';
import type { Announcement } from '../../src/core/contract/messages.ts';
import type { Signed } from '../../src/core/record/records.ts';
import { jobIdOf } from '../../src/core/record/verify.ts';
import { createCrypto } from '../../src/store/crypto.ts';
import { testNodes } from '../contract/p2p/nodes.ts';
import type { TestNode } from '../contract/p2p/nodes.ts';
import { jobWith } from '../unit/core/fixtures.ts';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const NET = 'shoal';
const mesh = await createMesh();
const strangers = testNodes();
mesh.defer(() => strangers.stopAll());

const crypto = createCrypto();
const codec = createMessageCodec({ net: NET, sha256: crypto.sha256 });
const MEBIBYTE = 1 << 20;

describe('a mesh of three peers with a member', () => {
  let peers: readonly Peer[];
  let victim: Peer;

  before(async () => {
    peers = await mesh.grow(3);
    victim = peers[0] ?? assert.fail('no peer');
  });

  async function stranger(seed = new Uint8Array(randomBytes(32))): Promise<TestNode> {
    const node = await strangers.start(
      {
        network: NET,
        seed,
        bootstrap: peers.map((peer) => peer.address),
        messages: { queueFrames: 50_000, queueBytes: 256 * MEBIBYTE },
      },
      {
        decodeGossip(data) {
          const decoded = codec.decodeGossip(data);
          return decoded.ok ? decoded : { ok: false, sendersFault: false, why: decoded.code };
        },
      },
    );
    await mesh.until(
      'the stranger is connected to all',
      () => node.host.peers().length === peers.length,
    );
    return node;
  }

  const rssBytes = (): number => {
    const status = readFileSync(`/proc/${victim.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1_024;
  };

  /** While something is done over and over, a job runs to its end and memory keeps its bound. */
  async function bears(act: () => void, growthBytes: number): Promise<void> {
    const start = rssBytes();
    let most = 0;
    let queued = 0;
    const flood = setInterval(act, 5);
    const watch = setInterval(() => {
      most = Math.max(most, rssBytes());
      victim.metric('shoal_core_queue').then(
        (length) => (queued = Math.max(queued, length)),
        () => {},
      );
    }, 100);
    try {
      for (let round = 0; round < 3; round += 1) {
        const job = await mesh.submit(victim, noop({ Milliseconds: 500 }));
        await mesh.reaches(victim, job, 'Completed', 30_000);
      }
    } finally {
      clearInterval(flood);
      clearInterval(watch);
    }
    assert.ok(most - start < growthBytes, `grew by ${Math.round((most - start) / MEBIBYTE)} MiB`);
    assert.ok(queued < 5_000, `${queued} inputs waited`);
  }

  test('that sends pings as fast as it can', async () => {
    const node = await stranger();
    const to = asNodeId(victim.nodeId);
    const ping = codec.encodeMessage({ type: 'ping', nonce: 1 });
    await bears(() => {
      for (let count = 0; count < 2_000; count += 1) node.host.messages.send(to, ping);
    }, 300 * MEBIBYTE);
    await node.host.stop();
  });

  test('that sends mebibytes which only cost work', async () => {
    const node = await stranger();
    const to = asNodeId(victim.nodeId);
    const frame = Buffer.alloc(MEBIBYTE, 0xa0);
    frame.set(Uint8Array.of(0x9a, 0, 0x0f, 0xff, 0xfb));
    const before = await victim.metric('shoal_refused_total', 'code="too-many"');
    const started = performance.now();
    await bears(() => node.host.messages.send(to, frame), 200 * MEBIBYTE);
    const seconds = (performance.now() - started) / 1_000;
    const refused = (await victim.metric('shoal_refused_total', 'code="too-many"')) - before;
    assert.ok(refused > 0 && refused <= 2 * seconds + 5, `${refused} refused in ${seconds} s`);
    await node.host.stop();
  });

  test('that gossips announcements nobody signed: it is soon sent away, by everybody', async () => {
    const seed = new Uint8Array(randomBytes(32));
    const node = await stranger(seed);
    const suite = createSuite({ net: NET, nodeSeed: seed, ownerSeed: seed, crypto });
    const { pubsub } = node.host.libp2p.services as unknown as {
      pubsub: { publish(topic: string, data: Uint8Array): Promise<unknown> };
    };
    const announce = (): void => {
      const nonce = randomBytes(16).toString('hex');
      const job = jobIdOf(suite, suite.owner, nonce);
      const hlc = asHlc(Date.now());
      const labels = { padding: 'x'.repeat(4_000) };
      const about = { job, version: 1, sponsor: node.host.nodeId };
      const notAfter = Date.now() + 60_000;
      const body = { ...about, owner: suite.owner, nonce, notAfter };
      const spec = suite.seal('spec', { ...body, spec: jobWith({ Labels: labels }) }, hlc, 'owner');
      const keepers = [{ node: node.host.nodeId, store: asStoreId('a'.repeat(32)) }];
      const admission = suite.seal('admission', { ...about, spec: spec.id, keepers }, hlc, 'node');
      const announcement: Announcement = {
        job,
        version: 1,
        leader: node.host.nodeId,
        admission: { record: admission, votes: [] },
        grant: null,
        round: 0,
        need: 1,
        spec: { ...spec, sig: new Uint8Array(64) } satisfies Signed<'spec'>,
        notAgain: [],
      };
      pubsub
        .publish(topicsOf(NET).adverts, codec.encodeGossip({ type: 'announce', announcement }))
        .catch(() => {});
    };
    await bears(() => {
      for (let count = 0; count < 20; count += 1) announce();
    }, 100 * MEBIBYTE);
    for (const peer of peers)
      await mesh.until(
        `${peer.name} keeps it out`,
        async () => (await peer.metric('shoal_peers_cooling')) >= 1,
      );
    const { PeerProblems } = await victim.get<{
      PeerProblems: readonly { readonly Problem: string }[];
    }>('/shoal/status');
    assert.match(JSON.stringify(PeerProblems), /broke the protocol too often/);
    await mesh.joined();
    await node.host.stop();
  });

  test('that sends rubbish: it is sent away, and the others stay', async () => {
    const node = await stranger();
    const to = asNodeId(victim.nodeId);
    const before = await victim.metric('shoal_peers_cooling');
    await bears(() => node.host.messages.send(to, randomBytes(100)), 100 * MEBIBYTE);
    await mesh.until(
      'it is kept out',
      async () => (await victim.metric('shoal_peers_cooling')) > before,
    );
    await mesh.joined();
    await node.host.stop();
  });
});
