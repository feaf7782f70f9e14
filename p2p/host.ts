/**
 * Builds the libp2p node and Helia from our config, and joins the parts of this folder to one host.
 * The only file with a libp2p options object: every value that is not a default has its reason here.
 * Helia owns the node's life cycle; the stores are closed by whoever opened them.
 */
import { createHeliaLight } from 'helia';
import { withBitswap } from '@helia/bitswap';
import { withLibp2pLight } from '@helia/libp2p';
import type { HeliaWithLibp2p } from '@helia/libp2p';
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import { gossipsub } from '@libp2p/gossipsub';
import { identify, identifyPush } from '@libp2p/identify';
import type { Connection, Libp2p, PrivateKey, Stream } from '@libp2p/interface';
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht';
import { mdns } from '@libp2p/mdns';
import { noise } from '@libp2p/noise';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import type { Libp2pOptions } from 'libp2p';
import { ShoalError } from '../src/failures/shoal-error.ts';
import { asNodeId } from '../src/core/record/ids.ts';
import { announced, checkPeerAddress } from './peers/address.ts';
import { createBlockFiles } from './content/blockstore.ts';
import type { BlockFiles } from './content/blockstore.ts';
import { createContentStore } from './content/content.ts';
import { createClocks } from './peers/clocks.ts';
import { checkBootstrap, createDiscovery } from './peers/discovery.ts';
import { createProvider, findProviders, swapBlocks } from './content/exchange.ts';
import { createFetcher } from './content/fetch.ts';
import { serveInTurns, UNMET_MAX } from './content/swap-turns.ts';
import { createGates, cutOff, limitConnections } from './peers/gates.ts';
import type { Gates } from './peers/gates.ts';
import { createGossip, gossipsubOptions } from './gossip.ts';
import type { GossipServices } from './gossip.ts';
import type { Host, HostConfig, HostDeps } from './host-types.ts';
import { libp2pLogger } from './log.ts';
import { BEAT_MS, createPulses, withPulse } from './peers/pulse.ts';
import type { Pulses } from './peers/pulse.ts';
import { createPresence } from './peers/presence.ts';
import { blocksProtocol, createBlocks } from './protocols/blocks.ts';
import { createHello, helloProtocol } from './protocols/hello.ts';
import type { HelloService } from './protocols/hello.ts';
import { createMessages, messageProtocol } from './protocols/messages.ts';
import { createTail, tailProtocol } from './protocols/tail.ts';
import { createStanding } from './peers/standing.ts';
import { swarmKeyProtector } from './peers/swarm-cipher.ts';

export type { Host, HostConfig, HostDeps } from './host-types.ts';

type Services = GossipServices;
type StreamHandler = (stream: Stream, connection: Connection) => void | Promise<void>;

/** One row per protocol that this host answers. */
interface ProtocolRow {
  readonly protocol: string;
  readonly handler: StreamHandler;
  /** Streams that one connection may have open towards us. */
  readonly maxInboundStreams: number;
}

/** What the options are made of beside the configuration. */
interface HostParts {
  readonly privateKey: PrivateKey;
  readonly rows: readonly ProtocolRow[];
  readonly gates: Gates;
  readonly pulses: Pulses;
}

/**
 * Starts a node and returns when it listens; joining the mesh goes on in the background.
 * @throws ShoalError `config-invalid`, `port-in-use`, `key-invalid`.
 */
export async function createHost(config: HostConfig, deps: HostDeps): Promise<Host> {
  const { log } = deps;
  const privateKey = await generateKeyPairFromSeed('Ed25519', config.seed);
  const nodeId = asNodeId(peerIdFromPrivateKey(privateKey).toString());
  const bootstrap = checkBootstrap(config.bootstrap, nodeId);
  for (const failure of bootstrap.bad) {
    log.warn({ why: new ShoalError(failure).message }, 'bootstrap.skipped');
  }

  let helia: HeliaWithLibp2p<Services> | null = null;
  const libp2p = (): Libp2p<Services> => {
    if (helia === null) throw new ShoalError({ code: 'internal', what: 'the node is not started' });
    return helia.libp2p;
  };
  const protocol = messageProtocol(config.network);
  const presence = createPresence(protocol);
  const standing = createStanding({
    limits: config.standing,
    now: () => performance.now(),
    log,
    onCooling: (peer) => cutOff(libp2p(), peer),
  });
  const { fault } = standing;
  const messages = createMessages({
    network: libp2p,
    protocol,
    presence,
    limits: config.messages,
    log,
    fault,
  });
  const clocks = createClocks(
    () => performance.now(),
    () => Date.now(),
  );
  let hello: HelloService | null = null;
  const discovery = createDiscovery({
    libp2p,
    presence,
    hello: () => hello ?? missing('hello'),
    self: nodeId,
    limits: config.discovery,
    coolingMs: standing.coolingMs,
    log,
  });
  hello = createHello({
    network: libp2p,
    protocol: helloProtocol(config.network),
    self: nodeId,
    now: () => performance.now(),
    agent: `shoal/${config.version}`,
    log,
    fault,
    known: discovery.known,
    clocks,
    onPeers: (peers) => discovery.learn(peers, 'exchange'),
  });
  const gossip = createGossip({
    network: config.network,
    libp2p,
    decode: deps.decodeGossip,
    presence,
    log,
    fault,
    redial: discovery.redial,
  });
  const blocks = createBlockFiles(config.blocksPath, log);
  await blocks.open();
  const bulk = createBlocks({
    network: libp2p,
    protocol: blocksProtocol(config.network),
    read: blocks.read,
    has: async (cid) => blocks.has(cid),
    now: () => performance.now(),
    log,
    servesMax: config.servesMax,
    fault,
  });
  const tail = createTail({ network: libp2p, protocol: tailProtocol(config.network), log });
  const rows: ProtocolRow[] = [
    { protocol, handler: messages.handle, maxInboundStreams: 4 },
    { protocol: helloProtocol(config.network), handler: hello.handle, maxInboundStreams: 4 },
    { protocol: blocksProtocol(config.network), handler: bulk.handle, maxInboundStreams: 16 },
    { protocol: tailProtocol(config.network), handler: tail.handle, maxInboundStreams: 64 },
  ];
  const gates = createGates({
    admit: (peer) => deps.admit(peer) && standing.coolingMs(peer) === 0,
    own: () => helia?.libp2p.getMultiaddrs() ?? [],
  });
  for (const { address } of bootstrap.good) gates.allow(address);
  const pulses = createPulses(() => performance.now(), log);
  const started = await startHelia(config, deps, { privateKey, blocks, rows, gates, pulses });
  helia = started;
  const node = started.libp2p;
  const provider = createProvider(() => node, log);
  const fetcher = createFetcher({
    self: nodeId,
    blocks,
    protocol: bulk,
    members: presence.members,
    fault,
    log,
    bitswap: (wants, from, signal) => swapBlocks(started, presence.members(), wants, from, signal),
    providers: (root, signal) =>
      config.dht ? findProviders(node, root, signal, log) : Promise.resolve([]),
  });
  const content = createContentStore({
    blocks,
    datastore: deps.datastore,
    fetcher,
    quotaBytes: config.contentQuotaBytes,
    log,
    provide: (root) => {
      if (config.dht) provider.provide(root);
    },
  });
  const beat = setInterval(pulses.beat, BEAT_MS);
  beat.unref();
  presence.attach(node);
  limitConnections(node);
  gossip.start();
  await discovery.start(bootstrap.good);

  return {
    nodeId,
    addresses: () => node.getMultiaddrs().map(String),
    peers: presence.members,
    hostOf: presence.hostOf,
    status: discovery.status,
    missed: discovery.missed,
    joining: discovery.joining,
    copyWitnesses: hello.witnesses,
    clockSkew: clocks.skew,
    rejected: bootstrap.bad,
    messages,
    gossip,
    content,
    tail,
    dial(address) {
      const check = checkPeerAddress(address, nodeId);
      if (check.ok) gates.allow(check.value.address);
      return discovery.dial(address);
    },
    penalise(peer, kind) {
      if (peer !== nodeId) fault(peer, kind);
    },
    isSentAway: (peer) => standing.coolingMs(peer) > 0,
    gauges: () => ({
      members: presence.members().length,
      connections: node.getConnections().length,
      dialQueue: node.getDialQueue().length,
      knownPeers: discovery.status().length,
      messages: messages.stats(),
      gossip: gossip.stats(),
      blocks: bulk.stats(),
      standing: standing.stats(),
      silentConnections: pulses.cuts(),
    }),
    libp2p: node,
    async stop() {
      clearInterval(beat);
      content.stop();
      discovery.stop();
      gossip.stop();
      messages.stop();
      provider.stop();
      await started.stop();
    },
  };
}

const missing = (what: string): never => {
  throw new ShoalError({ code: 'internal', what: `${what} is not started` });
};

async function startHelia(
  config: HostConfig,
  deps: HostDeps,
  parts: HostParts & { readonly blocks: BlockFiles },
): Promise<HeliaWithLibp2p<Services>> {
  const logger = libp2pLogger(deps.log, config.libp2pLines);
  const base = createHeliaLight({ blockstore: parts.blocks, datastore: deps.datastore, logger });
  const options = libp2pOptions(config, deps, parts);
  const helia = withBitswap(withLibp2pLight(base, { ...options, logger }), {
    // The documented name, maxWantlistSize, has no effect; this one is read. What waits for its turn is
    // kept in front of it (`swap-turns.ts`).
    ...{ maxWantListSize: UNMET_MAX },
    // 10 by default; further updates of a want list are dropped with a log line only.
    sendBlocksMaxQueueLength: 100,
    // 1,024 by default, of which each may hold an unfinished message of 4 MiB.
    maxInboundStreams: 8,
    messageSendTimeout: 30_000,
    messageReceiveTimeout: 30_000,
    sendBlocksTimeout: 30_000,
  });
  try {
    await helia.start();
    serveInTurns(helia);
  } catch (error) {
    await helia.stop().catch(() => {});
    throw startFailure(error, config);
  }
  return helia;
}

function startFailure(error: unknown, config: HostConfig): Error {
  const text = error instanceof Error ? `${error.message} ${flat(error)}` : String(error);
  if (/EADDRINUSE/.test(text)) {
    return new ShoalError(
      { code: 'port-in-use', address: config.listen.join(', ') },
      { cause: error },
    );
  }
  if (/listen|EADDRNOTAVAIL|EACCES/i.test(text)) {
    const problems = [`The peer cannot listen at ${config.listen.join(', ')}: ${text.trim()}`];
    return new ShoalError({ code: 'config-invalid', problems }, { cause: error });
  }
  return error instanceof Error ? error : new Error(text);
}

const flat = (error: Error): string =>
  error instanceof AggregateError ? error.errors.map(String).join(' ') : String(error.cause ?? '');

function libp2pOptions(
  config: HostConfig,
  deps: HostDeps,
  { privateKey, rows, gates, pulses }: HostParts,
): Libp2pOptions<Services> {
  return {
    privateKey,
    datastore: deps.datastore,
    nodeInfo: { name: 'shoal', version: config.version, userAgent: `shoal/${config.version}` },
    addresses: {
      listen: [...config.listen],
      announce: [...config.announce],
      announceFilter: (addresses) =>
        config.announce.length > 0 ? addresses : announced(addresses),
    },
    transports: [tcp({ backlog: 511, dialOpts: SOCKET_DIALLED, listenOpts: SOCKET_ACCEPTED })],
    connectionEncrypters: [noise()],
    streamMuxers: [
      withPulse(
        yamux({
          streamOptions: {
            // A paused stream may still get a whole window: with the defaults (16 MiB window, 4 MiB
            // buffer) a slow reader loses its stream.
            maxStreamWindowSize: 4 << 20,
            maxReadBufferLength: 8 << 20,
            // Unlimited by default: a slow peer would cost us memory.
            maxWriteBufferLength: 32 << 20,
          },
        }),
        pulses,
      ),
    ],
    ...(config.swarmKey === null
      ? {}
      : { connectionProtector: swarmKeyProtector(config.swarmKey) }),
    connectionManager: {
      maxConnections: config.maxConnections,
      // 5 per second and source address by default: of 30 peers behind one address that join one
      // seed at once, 25 were turned away, and nothing tries again for them.
      inboundConnectionThreshold: 1_000,
      // 10 by default: the second gate that a wave of joins runs into.
      maxIncomingPendingConnections: 250,
      maxParallelDials: 50,
      // 25 by default, and each may eat seconds.
      maxPeerAddrsToDial: 8,
      // Reconnecting is ours: this queue gives up after five attempts and forgets the peer.
      reconnectRetries: 0,
    },
    // It opens a stream on every connection every ten seconds, and one late answer would abort the
    // connection with all its streams: a busy event loop or a bulk transfer is enough. See pulse.ts.
    connectionMonitor: { enabled: false },
    peerStore: {
      // One hour and six hours by default: a peer that was off overnight would know nobody.
      maxAddressAge: 30 * 24 * 3_600_000,
      maxPeerAge: 30 * 24 * 3_600_000,
    },
    connectionGater: gates.gater,
    // No bootstrap list, no delegated routing, no UPnP, no automatic TLS: a mesh talks to its members.
    peerDiscovery: config.mdns ? [mdns({ serviceTag: mdnsTag(config.network) })] : [],
    services: services(config, rows),
  };
}

/** Names the mesh, so that two meshes on one LAN do not even dial each other. */
const mdnsTag = (network: string): string => `_shoal-${network}._udp.local`;

/**
 * Node's sockets ask to wait after 64 KiB, which is one Noise frame: bulk transfer would stop for a
 * turn of the event loop per frame. The two ways to say so differ in Node; the transport passes both on.
 */
const SOCKET_BUFFER = 1 << 20;
const SOCKET_DIALLED = { noDelay: true, writableHighWaterMark: SOCKET_BUFFER };
const SOCKET_ACCEPTED = { noDelay: true, highWaterMark: SOCKET_BUFFER };

type ServiceFactories = NonNullable<Libp2pOptions<Services>['services']>;

function services(config: HostConfig, rows: readonly ProtocolRow[]): ServiceFactories {
  const all = {
    identify: identify(),
    identifyPush: identifyPush(),
    ping: ping(),
    pubsub: gossipsub(gossipsubOptions(config.network)),
    // Registered before anything listens, so that the first identify already names them.
    protocols: (components: { registrar: Registrar }) => ({
      async beforeStart() {
        for (const row of rows) {
          await components.registrar.handle(row.protocol, row.handler, {
            maxInboundStreams: row.maxInboundStreams,
            maxOutboundStreams: 64,
          });
        }
      },
      start() {},
      stop() {},
    }),
  };
  const dht = kadDHT({
    protocol: `/shoal/${config.network}/kad/1.0.0`,
    // Without both of these a mesh of private addresses has an empty table: it would stay a client
    // until it sees a public address, and private ones are stripped from every answer.
    clientMode: false,
    peerInfoMapper: passthroughMapper,
  });
  return (config.dht ? { ...all, dht } : all) as ServiceFactories;
}

interface Registrar {
  handle(
    protocol: string,
    handler: StreamHandler,
    options: { maxInboundStreams: number; maxOutboundStreams: number },
  ): Promise<void>;
}
