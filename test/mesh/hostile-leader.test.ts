/** A member that is to lead jobs and does not: other keepers lead them, and they are done. */
import { firstConfiguration } from '../../src/core/record/chain.ts';
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { before, describe, test } from 'node:test';
import type { Decoded } from '../../p2p/gossip.ts';
import { createMessageCodec } from '../../p2p/wire/messages.ts';
import { createSuite } from '../../p2p/wire/suite.ts';
import { asHlc, asNodeId, asStoreId } from '../../src/core/record/ids.ts';
import type { JobId, NodeId } from '../../src/core/record/ids.ts';
import type { Message } from '../../src/core/contract/messages.ts';
import { firstEpoch } from '../../src/core/record/ballot.ts';
import type { AdmissionBody } from '../../src/core/record/records.ts';
import { createCrypto } from '../../src/store/crypto.ts';
import { testNodes } from '../contract/p2p/nodes.ts';
import type { TestNode } from '../contract/p2p/nodes.ts';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const NET = 'shoal';
/** It must show that it leads for 20 s, and do what is due for some 80 s; a round of elections comes after. */
const SILENT_MS = 60_000;
const IDLE_MS = 150_000;
/** So many that it surely is to lead some of each kind. */
const JOBS = 24;
const mesh = await createMesh();
const strangers = testNodes();
mesh.defer(() => strangers.stopAll());
const crypto = createCrypto();
const codec = createMessageCodec({ net: NET, sha256: crypto.sha256 });

describe('a member that is to lead a job', () => {
  const seed = new Uint8Array(randomBytes(32));
  const suite = createSuite({ net: NET, nodeSeed: seed, ownerSeed: seed, crypto });
  const store = asStoreId(randomBytes(16).toString('hex'));
  /** The jobs it was to lead: of the first it says nothing, of the second that it leads them. */
  const silent = new Set<JobId>();
  const claimed = new Set<JobId>();
  let peers: readonly Peer[];
  let hostile: TestNode;
  let self: NodeId;

  const tell = (to: NodeId, message: Message): boolean =>
    hostile.host.messages.send(to, codec.encodeMessage(message));

  /** It answers as an honest keeper does, but for what only a leader does. */
  function answer(from: NodeId, message: Message): void {
    if (message.type === 'ping') tell(from, { type: 'pong', nonce: message.nonce });
    if (message.type === 'activate') lead(message.admission.record.body);
    if (message.type !== 'status-wanted') return;
    const jobs = message.jobs.filter((job) => claimed.has(job));
    const epoch = { config: { major: 0, minor: 0 }, number: 0, leader: self };
    if (jobs.length > 0) tell(from, { type: 'leading', jobs: jobs.map((job) => ({ job, epoch })) });
  }
  function lead(admission: AdmissionBody): void {
    const { job } = admission;
    if (
      firstEpoch(firstConfiguration(admission)).leader !== self ||
      silent.has(job) ||
      claimed.has(job)
    )
      return;
    (silent.size <= claimed.size ? silent : claimed).add(job);
  }

  before(async () => {
    peers = await mesh.grow(3);
    const bootstrap = peers.map((peer) => peer.address);
    const decodeGossip = (data: Uint8Array): Decoded => {
      const decoded = codec.decodeGossip(data);
      return decoded.ok ? decoded : { ok: false, sendersFault: false, why: decoded.code };
    };
    hostile = await strangers.start({ network: NET, bootstrap, seed }, { decodeGossip });
    self = hostile.host.nodeId;
    hostile.host.messages.listen({
      onFrame(from, frame) {
        const decoded = codec.decodeMessage(frame);
        if (decoded.ok) answer(from, decoded.message);
      },
      onConnected() {},
      onDisconnected() {},
      onUnreachable() {},
    });
    await mesh.until('it is connected to all', () => hostile.host.peers().length === peers.length);
    const nothing = { cpuMillis: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
    const about = { node: self, store, sequence: Date.now(), addresses: [], labels: {} };
    const offers = {
      engines: [],
      publishers: [],
      sources: [],
      software: 'shoal',
      features: [],
      keeps: true,
    };
    const body = { ...about, ...offers, capacity: nothing, free: nothing, running: 0 };
    const advert = suite.seal('advert', body, asHlc(Date.now()), 'node');
    for (const { nodeId } of peers) tell(asNodeId(nodeId), { type: 'advert', advert });
    for (let count = 0; count < JOBS; count += 1)
      await mesh.submit(peers[count % 3] ?? assert.fail(), noop({}));
    await mesh.until('it is to lead jobs', () => silent.size > 0 && claimed.size > 0);
  });

  const done = async (jobs: ReadonlySet<JobId>, withinMs: number): Promise<void> => {
    for (const job of jobs)
      await mesh.reaches(peers[0] ?? assert.fail(), job, 'Completed', withinMs);
  };

  test('and says nothing of it is followed by another keeper', () => done(silent, SILENT_MS));

  test('and says that it leads, but does nothing, is followed by one that could run it', () =>
    done(claimed, IDLE_MS));
});
