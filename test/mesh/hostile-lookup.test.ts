/** A member that lies when it is asked about jobs: lists, names and stops of honest owners do not mind. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { before, describe, test } from 'node:test';
import type { Decoded } from '../../p2p/gossip.ts';
import { createMessageCodec } from '../../p2p/wire/messages.ts';
import { createSuite } from '../../p2p/wire/suite.ts';
import { asHlc, asJobId, asNodeId, asRequestId, uuidOf } from '../../src/core/record/ids.ts';
import type { NodeId } from '../../src/core/record/ids.ts';
import type { Answer, Message } from '../../src/core/contract/messages.ts';
import { jobIdOf } from '../../src/core/record/verify.ts';
import { createCrypto } from '../../src/store/crypto.ts';
import { testNodes } from '../contract/p2p/nodes.ts';
import type { TestNode } from '../contract/p2p/nodes.ts';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const NET = 'shoal';
const mesh = await createMesh();
const liars = testNodes();
mesh.defer(() => liars.stopAll());

const crypto = createCrypto();
const { sha256 } = crypto;
const codec = createMessageCodec({ net: NET, sha256 });

interface List {
  readonly Items: readonly { readonly ID: string; readonly Name: string }[];
}
type FoundJob = Extract<Answer, { readonly type: 'job' }>;

describe('a member that lies about jobs', () => {
  let peers: readonly Peer[];
  let liar: TestNode;
  let job: string;
  let truth: FoundJob | null = null;
  const seed = new Uint8Array(randomBytes(32));
  const suite = createSuite({ net: NET, nodeSeed: seed, ownerSeed: seed, crypto });

  const tell = (to: NodeId, message: Message): boolean =>
    liar.host.messages.send(to, codec.encodeMessage(message));

  /** What it says to each question. */
  function lie(from: NodeId, { request, query }: Extract<Message, { type: 'find' }>): void {
    const found = (answer: Answer) => tell(from, { type: 'found', request, answer });
    if (query.type === 'jobs') return void found({ type: 'jobs', jobs: ghosts });
    if (query.type === 'specs') return void found({ type: 'specs', specs: [] });
    if (truth === null) return void found({ type: 'none' });
    found({ ...truth, records: { ...truth.records, commands: [forged()] } });
  }

  const ghosts = Array.from({ length: 999 }, (_, n) => ({
    job: asJobId(`j-${uuidOf(createHash('sha256').update(String(n)).digest('hex'))}`),
    version: 1,
    name: 'ghost',
    namespace: 'default',
    jobType: 'batch',
    engine: 'noop',
    state: 'Running' as const,
    count: 1,
    labels: {},
    createdAt: Date.now(),
    modifiedAt: Date.now(),
  }));

  /** A stop of the highest number that the owner never signed. */
  const forged = () =>
    suite.seal(
      'command',
      {
        job: asJobId(job),
        sequence: 0x7fff_ffff,
        command: 'stop',
        reason: '',
        notAfter: Date.now() + 1e6,
      },
      asHlc(Date.now()),
      'owner',
    );

  before(async () => {
    peers = await mesh.grow(4);
    const bootstrap = peers.map((peer) => peer.address);
    const decodeGossip = (data: Uint8Array): Decoded => {
      const decoded = codec.decodeGossip(data);
      return decoded.ok ? decoded : { ok: false, sendersFault: false, why: decoded.code };
    };
    liar = await liars.start({ network: NET, bootstrap, seed }, { decodeGossip });
    liar.host.messages.listen({
      onFrame(from, frame) {
        const read = codec.decodeMessage(frame);
        if (!read.ok) return;
        const { message } = read;
        if (message.type === 'find') lie(from, message);
        if (message.type === 'found' && message.answer.type === 'job') truth = message.answer;
      },
      onConnected: () => {},
      onDisconnected: () => {},
      onUnreachable: () => {},
    });
    const all = () => liar.host.peers().length === peers.length;
    await mesh.until('the liar is connected to all', all);
    job = await mesh.submit(peers[0] ?? assert.fail(), noop({ Milliseconds: 60_000 }));
    await mesh.inPhase(peers[0] ?? assert.fail(), job, 'running');
    for (const peer of peers) {
      const query = {
        type: 'job',
        ref: job,
        namespace: 'default',
        from: 0,
        owner: suite.owner,
      } as const;
      tell(asNodeId(peer.nodeId), { type: 'find', request: asRequestId('truth'), query });
    }
    await mesh.until('the liar knows the job', () => truth !== null);
  });

  test('adds nothing to the lists of others', async () => {
    for (const peer of peers) {
      const { Items } = await peer.get<List>('/orchestrator/jobs?limit=1000');
      assert.deepEqual(
        Items.map(({ ID }) => ID),
        [job],
        peer.name,
      );
    }
  });

  test('cannot put its own job in the place of one by giving it that name and a late date', async () => {
    const { Job } = await mesh.job(peers[0] ?? assert.fail(), job);
    const spec = truth?.records.spec.body.spec ?? assert.fail();
    const nonce = 'e'.repeat(32);
    const body = {
      job: jobIdOf(suite, suite.owner, nonce),
      owner: suite.owner,
      version: 1,
      nonce,
      sponsor: asNodeId(liar.host.libp2p.peerId.toString()),
      spec,
      notAfter: Date.now() + 1e9,
    };
    const impostor = suite.seal('spec', body, asHlc(Date.UTC(2100, 0)), 'owner');
    const announcement = {
      job: body.job,
      version: 1,
      leader: asNodeId(liar.host.libp2p.peerId.toString()),
      admission: truth?.records.admission ?? assert.fail(),
      grant: null,
      round: 0,
      need: 1,
      spec: impostor,
      notAgain: [],
    };
    const gossip = codec.encodeGossip({ type: 'announce', announcement });
    liar.host.gossip.publish(gossip, body.job);
    for (const peer of peers) {
      await mesh.until(`${peer.name} has heard of the impostor`, async () => {
        const { Items } = await peer.get<List>('/orchestrator/jobs?limit=1000');
        return Items.some(({ ID }) => ID === body.job);
      });
      const named = await mesh.job(peer, Job.Name);
      assert.equal(named.Job.ID, job, peer.name);
    }
  });

  test('cannot keep a stop from being signed and heard, through whichever peer it is given', async () => {
    const keepers = truth?.records.admission.record.body.keepers.map(({ node }) => node as string);
    const outside = peers.find((peer) => !keepers?.includes(peer.nodeId)) ?? assert.fail();
    const { Job } = await mesh.job(outside, job);
    await mesh.ok(outside, ['job', 'stop', Job.Name]);
    await mesh.reaches(outside, job, 'Stopped');
    for (const peer of peers) assert.deepEqual(peer.events('node.broken'), [], peer.name);
  });
});
