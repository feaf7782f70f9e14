/**
 * Announcements: a few fixed topics, validators, a bounded queue into the node, and a watchdog for
 * peers that have gone deaf. Gossip is a hint: what must arrive goes by `protocols/messages.ts` and
 * anti-entropy. This file signs nothing and decodes nothing itself.
 */
import { createHash } from 'node:crypto';
import { StrictNoSign, TopicValidatorResult } from '@libp2p/gossipsub';
import type { GossipSub, GossipsubOpts, Message } from '@libp2p/gossipsub';
import type { Identify, IdentifyPush } from '@libp2p/identify';
import type { Libp2p, PeerId } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { asNodeId } from '../src/core/record/ids.ts';
import type { JobId, NodeId } from '../src/core/record/ids.ts';
import type { Gossip } from '../src/core/contract/messages.ts';
import { createDeafWatch, DEAF_AFTER_MS, WATCH_MS } from './deaf.ts';
import { reasonOf } from './log.ts';
import type { Log } from './log.ts';
import type { Presence } from './peers/presence.ts';
import { createRate } from './rate.ts';
import type { PeerFault } from './peers/standing.ts';
import { GOSSIP_MAX_BYTES } from './wire/messages.ts';

/** Fixed, because a topic per job leaks state in every peer and runs into their topic budgets. */
export const JOB_SHARDS = 4;
/** Messages that may wait for the node. Old announcements are worthless, so the oldest go. */
const QUEUE_MAX = 2_048;
/**
 * What one neighbour may send, bytes with {@link MESSAGE_COST} added to each message: 1,300
 * announcements of 1 KiB a second, or 120 of the largest. Ten busy submitters reach a tenth of it.
 */
const NEIGHBOUR_RATE = { perSecond: 4 << 20, burst: 16 << 20 };
/** Handling one that is short costs about as much as these bytes. */
const MESSAGE_COST = 2_048;
/** Messages handed over per event loop turn, so that a burst does not hold up the streams. */
const TURN_MAX = 64;

export type Decoded =
  | { readonly ok: true; readonly gossip: Gossip }
  /** `sendersFault`: no honest node can have passed this on (bad bytes, bad signature, wrong net). */
  | { readonly ok: false; readonly sendersFault: boolean; readonly why: string };

export interface GossipStats {
  readonly accepted: number;
  readonly rejected: number;
  readonly ignored: number;
  readonly dropped: number;
  /** Not looked at, because their neighbour sent more than it may. */
  readonly limited: number;
  readonly queued: number;
  readonly published: number;
  readonly publishedToNobody: number;
  readonly healed: number;
}

export interface GossipPort {
  /** `job`: the shard of that job; null: the topic of adverts. Never throws; a lone node is fine. */
  publish(bytes: Uint8Array, job: JobId | null): void;
  /** Once: what arrives. `from` is the neighbour that passed it on, not its author. */
  listen(onGossip: (gossip: Gossip, from: NodeId) => void): void;
  /** Peers that would get an advert now. */
  subscribers(): number;
  stats(): GossipStats;
}

export const topicsOf = (network: string): { jobs: readonly string[]; adverts: string } => ({
  jobs: Array.from({ length: JOB_SHARDS }, (_, shard) => `/shoal/${network}/jobs/${shard}`),
  adverts: `/shoal/${network}/adverts`,
});

/** The shard of a job: its id is a hash, so its first digit spreads evenly. */
export const shardOf = (job: JobId): number => Number.parseInt(job[2] ?? '0', 16) % JOB_SHARDS;

/** Every setting of gossipsub that is not its default, with the reason beside it. */
export function gossipsubOptions(network: string): Partial<GossipsubOpts> {
  const topics = topicsOf(network);
  const all = [...topics.jobs, topics.adverts];
  return {
    // What must be trusted is signed inside. A second signature per message would double the
    // verifications, and with content ids a replay is a duplicate instead of a new message.
    globalSignaturePolicy: StrictNoSign,
    msgIdFn: (message) =>
      createHash('sha256')
        .update(`${message.topic}\0`)
        .update(message.data)
        .digest()
        .subarray(0, 20),
    allowedTopics: new Set(all),
    // Floodsub peers bypass scoring and validation of the mesh.
    fallbackToFloodsub: false,
    // Peers are exchanged by our own protocol, which checks addresses.
    doPX: false,
    runOnLimitedConnection: false,
    emitSelf: false,
    // Announcements are small and urgent: straight to every subscriber.
    floodPublish: true,
    // A lone node is a whole mesh; the recipients are counted instead.
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    // 12 is too many for busy nodes: each message would arrive up to 12 times.
    D: 6,
    Dlo: 4,
    Dhi: 9,
    Dscore: 3,
    Dout: 2,
    Dlazy: 6,
    heartbeatInterval: 1_000,
    mcacheLength: 6,
    mcacheGossip: 3,
    seenTTL: 300_000,
    // 512 by default: to say "not that one" of an advert costs as much as getting it twice, and comes too
    // late when its author has sent it to everybody.
    idontwantMinDataSize: 8_192,
    // The default of 3 s punishes a peer whose event loop stalled.
    gossipsubIWantFollowupMs: 12_000,
    // Without these a flood of frames is decoded with no back-pressure at all.
    awaitRpcHandler: true,
    awaitRpcMessageHandler: true,
    messageProcessingConcurrency: 10,
    // A frame holds many messages; one over the limit tears the stream down, so it stays far above
    // the limit per message, which the validator enforces.
    maxInboundDataLength: 1 << 20,
    // Unlimited by default: a peer that reads slowly would cost us memory.
    maxOutboundBufferSize: 8 << 20,
    decodeRpcLimits: {
      maxSubscriptions: 64,
      maxMessages: 512,
      maxControlMessages: 512,
      maxIhaveMessageIDs: 2_000,
      maxIwantMessageIDs: 1_000,
      maxIdontwantMessageIDs: 512,
      maxPeerInfos: 16,
    },
    maxTopicBytesPerPeer: 96 * 1024,
    scoreThresholds: {
      gossipThreshold: -10,
      publishThreshold: -50,
      graylistThreshold: -80,
      acceptPXThreshold: 10,
      opportunisticGraftThreshold: 2,
    },
    scoreParams: {
      // More than 14 peers behind one address (a laptop, an office, a Docker bridge) would all be
      // graylisted by the default weight, and nothing on our side could lift it. Peers are admitted
      // by identity instead.
      IPColocationFactorWeight: 0,
      topicScoreCap: 10,
      topics: Object.fromEntries(all.map((topic) => [topic, TOPIC_SCORE])),
    },
  };
}

/** Only first deliveries and invalid messages count: quiet topics must not punish honest peers. */
const TOPIC_SCORE = {
  topicWeight: 1,
  timeInMeshWeight: 0.01,
  timeInMeshQuantum: 1_000,
  timeInMeshCap: 300,
  firstMessageDeliveriesWeight: 0.1,
  firstMessageDeliveriesDecay: 0.99,
  firstMessageDeliveriesCap: 50,
  // The defaults demand 20 deliveries per mesh peer, which a job topic at rest never has.
  meshMessageDeliveriesWeight: 0,
  meshMessageDeliveriesDecay: 0.5,
  meshMessageDeliveriesCap: 1,
  meshMessageDeliveriesThreshold: 0.5,
  meshMessageDeliveriesWindow: 10,
  meshMessageDeliveriesActivation: 5_000,
  meshFailurePenaltyWeight: 0,
  meshFailurePenaltyDecay: 0.5,
  // About nine invalid messages lead to the graylist.
  invalidMessageDeliveriesWeight: -1,
  invalidMessageDeliveriesDecay: 0.995,
} as const;

export type GossipServices = {
  pubsub: GossipSub;
  identify: Identify;
  identifyPush: IdentifyPush;
};

export interface GossipDeps {
  readonly network: string;
  readonly libp2p: () => Libp2p<GossipServices>;
  readonly decode: (bytes: Uint8Array) => Decoded;
  readonly presence: Presence;
  readonly log: Log;
  readonly fault: (peer: NodeId, fault: PeerFault) => void;
  /** Redials a peer whose connection was closed to heal it. */
  readonly redial: (peer: NodeId) => void;
}

export interface GossipService extends GossipPort {
  start(): void;
  stop(): void;
}

export function createGossip(deps: GossipDeps): GossipService {
  const topics = topicsOf(deps.network);
  const counts = {
    accepted: 0,
    rejected: 0,
    ignored: 0,
    dropped: 0,
    limited: 0,
    published: 0,
    publishedToNobody: 0,
    healed: 0,
  };
  const rate = createRate(NEIGHBOUR_RATE, () => performance.now());
  const queue: { gossip: Gossip; from: NodeId }[] = [];
  let sink: ((gossip: Gossip, from: NodeId) => void) | null = null;
  let draining = false;
  let watch: NodeJS.Timeout | null = null;

  const drain = (): void => {
    draining = false;
    for (const item of queue.splice(0, TURN_MAX)) sink?.(item.gossip, item.from);
    schedule();
  };
  const schedule = (): void => {
    if (draining || sink === null || queue.length === 0) return;
    draining = true;
    setImmediate(drain);
  };

  const validate = (peer: PeerId, message: Message): TopicValidatorResult => {
    const from = asNodeId(peer.toString());
    if (!rate.take(from, message.data.byteLength + MESSAGE_COST)) {
      counts.limited += 1;
      return TopicValidatorResult.Ignore;
    }
    const verdict: Decoded =
      message.data.byteLength > GOSSIP_MAX_BYTES
        ? { ok: false, sendersFault: true, why: `${message.data.byteLength} bytes` }
        : deps.decode(message.data);
    if (!verdict.ok) {
      counts[verdict.sendersFault ? 'rejected' : 'ignored'] += 1;
      deps.log.debug({ from, why: verdict.why }, 'gossip.refused');
      if (!verdict.sendersFault) return TopicValidatorResult.Ignore;
      // Every honest node has this validator in front of what it passes on.
      deps.fault(from, 'bad-gossip');
      return TopicValidatorResult.Reject;
    }
    counts.accepted += 1;
    // The validator sees each message once, so this is where it enters the node: decoded once.
    if (queue.length >= QUEUE_MAX) {
      queue.shift();
      counts.dropped += 1;
    }
    queue.push({ gossip: verdict.gossip, from });
    schedule();
    return TopicValidatorResult.Accept;
  };

  return {
    publish(bytes, job) {
      const topic = job === null ? topics.adverts : (topics.jobs[shardOf(job)] ?? topics.adverts);
      if (bytes.byteLength > GOSSIP_MAX_BYTES) {
        deps.log.error({ bytes: bytes.byteLength, maxBytes: GOSSIP_MAX_BYTES }, 'gossip.oversized');
        return;
      }
      deps
        .libp2p()
        .services.pubsub.publish(topic, bytes)
        .then(
          ({ recipients }) => {
            counts.published += 1;
            if (recipients.length === 0) counts.publishedToNobody += 1;
          },
          (error: unknown) =>
            deps.log.debug({ topic, why: reasonOf(error) }, 'gossip.not-published'),
        );
    },
    listen(onGossip) {
      sink = onGossip;
      schedule();
    },
    subscribers: () => deps.libp2p().services.pubsub.getSubscribers(topics.adverts).length,
    stats: () => ({ ...counts, queued: queue.length }),
    start() {
      const { pubsub } = deps.libp2p().services;
      for (const topic of [...topics.jobs, topics.adverts]) {
        pubsub.topicValidators.set(topic, validate);
        pubsub.subscribe(topic);
      }
      const heal = healer(deps, topics.adverts, (count) => {
        counts.healed += count;
      });
      watch = setInterval(heal, WATCH_MS);
      watch.unref();
    },
    stop() {
      if (watch !== null) clearInterval(watch);
      queue.length = 0;
      sink = null;
    },
  };
}

/** Looks after peers that have gone deaf; to be called every {@link WATCH_MS}. */
function healer(deps: GossipDeps, topic: string, onHealed: (count: number) => void): () => void {
  const look = createDeafWatch(() => performance.now());

  const identify = (peer: NodeId): void => {
    const { services } = deps.libp2p();
    const [connection] = deps.libp2p().getConnections(peerIdFromString(peer));
    if (connection === undefined) return;
    const signal = AbortSignal.timeout(DEAF_AFTER_MS);
    Promise.all([
      services.identify.identify(connection, { signal }),
      services.identifyPush.push(),
    ]).catch((error: unknown) =>
      deps.log.debug({ peer, why: reasonOf(error) }, 'gossip.nudge-failed'),
    );
  };

  const hangUp = (peer: NodeId): void => {
    deps.log.warn({ peer }, 'gossip.deaf');
    deps
      .libp2p()
      .hangUp(peerIdFromString(peer))
      .catch((error: unknown) => deps.log.debug({ why: reasonOf(error) }, 'gossip.hangup-failed'))
      .finally(() => deps.redial(peer));
  };

  return () => {
    const members = deps.presence
      .members()
      .map((peer) => ({ peer, since: deps.presence.since(peer) ?? performance.now() }));
    const hearing = new Set(deps.libp2p().services.pubsub.getSubscribers(topic).map(String));
    const todo = look(members, hearing);
    onHealed(todo.healed);
    todo.identify.forEach(identify);
    todo.hangUp.forEach(hangUp);
  };
}
