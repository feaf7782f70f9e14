/**
 * What a host is made of and what it offers: types only. `host.ts` builds it.
 */
import type { Libp2p } from '@libp2p/interface';
import type { Datastore } from 'interface-datastore';
import type { Failure } from '../src/failures/failure.ts';
import type { NodeId } from '../src/core/record/ids.ts';
import type { HostContent } from './content/content.ts';
import type { ClockSkew } from './peers/clocks.ts';
import type { DiscoveryLimits, PeerStatus } from './peers/discovery.ts';
import type { Decoded, GossipPort, GossipStats } from './gossip.ts';
import type { Log } from './log.ts';
import type { BlocksStats } from './protocols/blocks.ts';
import type { MessageLimits, Messages, MessageStats } from './protocols/messages.ts';
import type { Tail } from './protocols/tail.ts';
import type { PeerFault, StandingLimits, StandingStats } from './peers/standing.ts';

export interface HostConfig {
  /** The mesh: 1 … 63 of a–z, 0–9 and `-`; part of every protocol name. */
  readonly network: string;
  /** Version of this program, told to other peers. */
  readonly version: string;
  /** Ed25519 seed, 32 bytes: the identity of this node. */
  readonly seed: Uint8Array;
  /** Multiaddrs, e.g. `/ip4/0.0.0.0/tcp/4001`. */
  readonly listen: readonly string[];
  /** Multiaddrs to announce instead of those listened on; empty = those. */
  readonly announce: readonly string[];
  /** Multiaddrs of first peers, each with `/p2p/<id>`. */
  readonly bootstrap: readonly string[];
  /** Bytes of a swarm key file, or null for an open mesh. */
  readonly swarmKey: Uint8Array | null;
  readonly mdns: boolean;
  readonly dht: boolean;
  /** Directory of the blocks. */
  readonly blocksPath: string;
  /** Write libp2p's own lines to the log, at debug. */
  readonly libp2pLines: boolean;
  readonly maxConnections: number;
  readonly discovery: DiscoveryLimits;
  readonly messages: MessageLimits;
  /** Size at which unpinned blocks are collected, bytes. */
  readonly contentQuotaBytes: number;
  /** Block requests of other peers served at the same time; one peer has at most a quarter of them. */
  readonly servesMax: number;
  /** What a peer may do wrong before it is kept out, and for how long. */
  readonly standing: StandingLimits;
}

export interface HostDeps {
  /** Peer store, DHT and pins; stays open after {@link Host.stop}. */
  readonly datastore: Datastore;
  readonly log: Log;
  /**
   * The one decision about who may connect, in either direction, after the handshake proved who it
   * is. Membership certificates will be checked behind it.
   */
  readonly admit: (peer: NodeId) => boolean;
  readonly decodeGossip: (bytes: Uint8Array) => Decoded;
}

export interface Host {
  readonly nodeId: NodeId;
  /** Announced addresses, each with `/p2p/<id>`. */
  addresses(): readonly string[];
  /** Members connected now. */
  peers(): readonly NodeId[];
  /** The host at the other end of a member's connection; '' when it is not known. */
  hostOf(peer: NodeId): string;
  /** Every peer known, with the reason why it is not connected. */
  status(): readonly PeerStatus[];
  /** Members of earlier runs and peers named by the operator that were not met in this run. */
  missed(): readonly NodeId[];
  /** Somebody known has not been tried yet, or was just asked whom else it knows. */
  joining(): boolean;
  /** Members that have told of another process with this node's key; empty as it should be. */
  copyWitnesses(): readonly NodeId[];
  /** This node's wall clock against those of the members; null while none has told the time. */
  clockSkew(): ClockSkew | null;
  /** Bootstrap addresses that were skipped. */
  readonly rejected: readonly Failure[];
  readonly messages: Messages;
  readonly gossip: GossipPort;
  readonly content: HostContent;
  readonly tail: Tail;
  /** @throws ShoalError `multiaddr-invalid`, `peer-unreachable`. */
  dial(address: string): Promise<NodeId>;
  /** Counts a fault that only the core can see; enough of them close the connection for a while. */
  penalise(peer: NodeId, fault: PeerFault): void;
  /** It is kept out for a while, for its faults. */
  isSentAway(peer: NodeId): boolean;
  /** For gauges; costs a few additions. */
  gauges(): HostGauges;
  readonly libp2p: Libp2p;
  stop(): Promise<void>;
}

export interface HostGauges {
  readonly members: number;
  readonly connections: number;
  readonly dialQueue: number;
  readonly knownPeers: number;
  readonly messages: MessageStats;
  readonly gossip: GossipStats;
  readonly blocks: BlocksStats;
  readonly standing: StandingStats;
  /** Connections closed because nothing arrived on them any more. */
  readonly silentConnections: number;
}
