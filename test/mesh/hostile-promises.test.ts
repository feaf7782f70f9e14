/** A member that asks for promises it has no right to: honest jobs are admitted and run all the same. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { topicsOf } from '../../p2p/gossip.ts';
import type { Decoded } from '../../p2p/gossip.ts';
import { createMessageCodec } from '../../p2p/wire/messages.ts';
import { createSuite } from '../../p2p/wire/suite.ts';
import { asHlc, asNodeId, asPublicKey, asStoreId } from '../../src/core/record/ids.ts';
import type { NodeId, StoreId } from '../../src/core/record/ids.ts';
import type { Announcement, Message } from '../../src/core/contract/messages.ts';
import type { Certified, Signed } from '../../src/core/record/records.ts';
import type { Suite } from '../../src/core/record/suite.ts';
import { executionIdOf } from '../../src/core/record/execution-id.ts';
import { jobIdOf } from '../../src/core/record/verify.ts';
import { createCrypto } from '../../src/store/crypto.ts';
import { testNodes } from '../contract/p2p/nodes.ts';
import type { TestNode } from '../contract/p2p/nodes.ts';
import { jobWith } from '../unit/core/fixtures.ts';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const NET = 'shoal';
const DAY_MS = 86_400_000;
/** Within this an honest job is over, whatever the hostile member does. */
const HONEST_MS = 20_000;
const mesh = await createMesh();
const strangers = testNodes();
mesh.defer(() => strangers.stopAll());
const crypto = createCrypto();
const codec = createMessageCodec({ net: NET, sha256: crypto.sha256 });
const hex = (bytes: number): string => randomBytes(bytes).toString('hex');
const now = () => asHlc(Date.now());

describe('a hostile member in a mesh of three', () => {
  const seed = new Uint8Array(randomBytes(32));
  const suite: Suite = createSuite({ net: NET, nodeSeed: seed, ownerSeed: seed, crypto });
  const store = asStoreId(hex(16));
  /** The stores of the peers, as their adverts name them. */
  const stores = new Map<string, StoreId>();
  let peers: readonly Peer[];
  let hostile: TestNode;
  let self: NodeId;
  /** What it does about an announcement, and about a message. */
  let heard: (announcement: Announcement) => void = () => {};
  let told: (from: NodeId, message: Message) => void = () => {};

  before(async () => {
    peers = await mesh.grow(3);
    const decodeGossip = (data: Uint8Array): Decoded => {
      const decoded = codec.decodeGossip(data);
      if (decoded.ok && decoded.gossip.type === 'announce') heard(decoded.gossip.announcement);
      if (decoded.ok && decoded.gossip.type === 'advert') {
        const { node, store: of } = decoded.gossip.advert.body;
        stores.set(node, of);
      }
      return decoded.ok ? decoded : { ok: false, sendersFault: false, why: decoded.code };
    };
    const bootstrap = peers.map((peer) => peer.address);
    hostile = await strangers.start({ network: NET, bootstrap, seed }, { decodeGossip });
    self = hostile.host.nodeId;
    hostile.host.messages.listen({
      onFrame(from, frame) {
        const decoded = codec.decodeMessage(frame);
        if (decoded.ok) told(from, decoded.message);
      },
      onConnected() {},
      onDisconnected() {},
      onUnreachable() {},
    });
    await mesh.until('it is connected to all', () => hostile.host.peers().length === peers.length);
  });

  const tell = (peer: Peer, message: Message): boolean =>
    hostile.host.messages.send(asNodeId(peer.nodeId), codec.encodeMessage(message));
  const gossip = (data: Uint8Array): Promise<unknown> => {
    const { pubsub } = hostile.host.libp2p.services as unknown as {
      pubsub: { publish(topic: string, data: Uint8Array): Promise<unknown> };
    };
    return pubsub.publish(topicsOf(NET).adverts, data);
  };
  const honestJobsRun = async (): Promise<void> => {
    for (const peer of peers) {
      const id = await mesh.submit(peer, noop({}));
      await mesh.reaches(peer, id, 'Completed', HONEST_MS);
    }
  };

  function spec(): Signed<'spec'> {
    const nonce = hex(16);
    const resources = { cpuMillis: 1_000, memoryBytes: 1_000_000, diskBytes: 0, gpus: 0 };
    const job = jobWith({ Count: 16 }, { Engine: { Type: 'noop', Params: {} }, resources });
    const id = jobIdOf(suite, suite.owner, nonce);
    const notAfter = Date.now() + DAY_MS;
    const about = { job: id, owner: suite.owner, version: 1, nonce, sponsor: self };
    return suite.seal('spec', { ...about, spec: job, notAfter }, now(), 'owner');
  }
  /** Admitted by the hostile member alone: nothing about it is false. */
  function announced(): Announcement {
    const signed = spec();
    const { job } = signed.body;
    const keepers = [{ node: self, store }];
    const body = { job, version: 1, spec: signed.id, keepers, sponsor: self };
    const record = suite.seal('admission', body, now(), 'node');
    const epoch = { config: { major: 0, minor: 0 }, number: 0, leader: self };
    const of = { job, of: record.id, slot: 'admission', epoch, store } as const;
    const admission: Certified<'admission'> = {
      record,
      votes: [suite.seal('vote', of, now(), 'node')],
    };
    const about = { job, version: 1, leader: self, grant: null, round: 0, need: 16, notAgain: [] };
    return { ...about, admission, spec: signed };
  }

  test('that invites everybody to jobs it admitted itself keeps no job waiting', async () => {
    for (let index = 0; index < 200; index += 1) {
      const announcement = announced();
      for (const peer of peers) tell(peer, { type: 'invite', announcement });
    }
    await honestJobsRun();
  });

  test('that invites to jobs nobody admitted is refused', async () => {
    const [first] = peers;
    assert.ok(first);
    const label = 'code="bad-certificate"';
    const before = await first.metric('shoal_refused_total', label);
    const announcement = announced();
    const admission = { ...announcement.admission, votes: [] };
    tell(first, { type: 'invite', announcement: { ...announcement, admission } });
    await mesh.until(
      'the refusal is counted',
      async () => (await first.metric('shoal_refused_total', label)) > before,
    );
  });

  test('that makes up hundreds of nodes keeps no job from being admitted', async () => {
    const capacity = { cpuMillis: 4_000, memoryBytes: 1e9, diskBytes: 1e9, gpus: 0 };
    for (let index = 0; index < 300; index += 1) {
      const key = new Uint8Array(randomBytes(32));
      const other = createSuite({ net: NET, nodeSeed: key, ownerSeed: key, crypto });
      const node = other.nodeOf(other.owner);
      const body = {
        node,
        store: asStoreId(hex(16)),
        sequence: Date.now(),
        addresses: [`/ip4/10.${index % 200}.0.1/tcp/4/p2p/${node}`],
        labels: {},
        engines: ['noop'],
        publishers: [],
        sources: [],
        capacity,
        free: capacity,
        running: 0,
        keeps: true,
        software: 'shoal',
        features: [],
      };
      await gossip(
        codec.encodeGossip({ type: 'advert', advert: other.seal('advert', body, now(), 'node') }),
      );
    }
    await honestJobsRun();
  });

  test('that asks for thousands of jobs to be kept fills no books', async () => {
    await mesh.until('it knows their stores', () =>
      peers.every(({ nodeId }) => stores.has(nodeId)),
    );
    for (let index = 0; index < 1_000; index += 1) {
      const signed = spec();
      const { job } = signed.body;
      // One that is there and two that never were: nobody will ever activate it.
      const keeper = peers[index % 3] ?? assert.fail('a peer');
      const real = { node: asNodeId(keeper.nodeId), store: stores.get(keeper.nodeId) ?? store };
      const other = { node: suite.nodeOf(asPublicKey(hex(32))), store };
      const keepers = [real, { node: self, store }, other];
      const body = { job, version: 1, spec: signed.id, keepers, sponsor: self };
      const admission = suite.seal('admission', body, now(), 'node');
      tell(keeper, { type: 'admit', spec: signed, admission });
    }
    await honestJobsRun();
  });

  test('that bids what nobody has, and does nothing, gets few jobs and delays the others little', async () => {
    const most = { cpuMillis: 1e6, memoryBytes: 2 ** 50, diskBytes: 2 ** 50, gpus: 1_000 };
    const one = { cpuMillis: 1, memoryBytes: 1, diskBytes: 1, gpus: 1 };
    for (const peer of peers) {
      const about = { node: self, store, sequence: Date.now(), addresses: [], labels: {} };
      const offers = {
        engines: ['noop'],
        publishers: ['noop'],
        sources: [],
        software: 'shoal',
        features: [],
      };
      const body = { ...about, ...offers, capacity: most, free: most, running: 0, keeps: true };
      tell(peer, { type: 'advert', advert: suite.seal('advert', body, now(), 'node') });
    }
    const given = new Set<string>();
    let bids = 0;
    heard = ({ job, version, leader, round }) => {
      bids += 1;
      const bid = {
        type: 'bid',
        job,
        version,
        round,
        executions: 16,
        running: 0,
        locality: 1,
      } as const;
      const frame = codec.encodeMessage({ ...bid, free: most, capacity: one });
      hostile.host.messages.send(leader, frame);
    };
    told = (_from, message) => {
      if (message.type === 'invite') heard(message.announcement);
      if (message.type === 'assign') given.add(message.spec.body.job);
    };
    for (let round = 0; round < 4; round += 1) await honestJobsRun();
    assert.ok(bids >= 12, `${bids} bids`);
    assert.ok(given.size <= 4, `${given.size} of 12 jobs were given to it`);
    heard = () => {};
    told = () => {};
  });

  test('that wants a copy of what nobody made has nothing copied', async () => {
    const [first] = peers;
    assert.ok(first);
    const { admission, spec: signed } = announced();
    assert.ok(signed);
    const { job } = signed.body;
    const node = asNodeId(first.nodeId);
    const execution = executionIdOf(suite, 'batch', {
      job,
      version: 1,
      partition: 0,
      attempt: 0,
      node,
    });
    const cid = 'bafkreifubjqqem6mi7dk3vmdjh55u4aafofl6zml4enpqwsj7vlv3aeh7e';
    // The end of an execution on another node, which that node never signed.
    const body = {
      ...{ job, version: 1, partition: 0, attempt: 0, execution, node, sequence: 1 },
      ...{
        phase: 'completed' as const,
        restarts: 0,
        retryMs: null,
        exitCode: 0,
        result: { cid, bytes: 1e9 },
      },
      ...{ failure: null, output: null, usage: null },
    };
    const state = suite.seal('state', body, now(), 'node');
    let answers = 0;
    told = (_from, message) => {
      if (message.type === 'replicated') answers += 1;
    };
    const before = await first.metric('shoal_refused_total', '');
    tell(first, { type: 'replicate', spec: signed, admission, grant: null, state, holders: [] });
    await mesh.until(
      'the refusal is counted',
      async () => (await first.metric('shoal_refused_total', '')) > before,
    );
    assert.equal(answers, 0);
    told = () => {};
  });

  test('none of it ended or blocked a peer', () => {
    for (const peer of peers) assert.deepEqual(peer.events('node.broken'), [], peer.name);
  });
});
