/**
 * Who may be connected and where anybody may be looked for: the connection gater of libp2p, and how
 * connections end that may not stay. Decides nothing about people: `admit` and `standing.ts` do.
 */
import type { ConnectionGater, Libp2p, PeerId } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import type { Multiaddr } from '@multiformats/multiaddr';
import { asNodeId } from '../../src/core/record/ids.ts';
import type { NodeId } from '../../src/core/record/ids.ts';
import { endpointOf, reachOf } from './address.ts';

/** Connections of one peer: two that dial each other at once have two. */
const CONNECTIONS_PER_PEER = 4;

export interface Gates {
  readonly gater: ConnectionGater;
  /** The operator named this address: it may be dialled wherever it leads. */
  allow(address: Multiaddr): void;
}

export function createGates(deps: {
  readonly admit: (peer: NodeId) => boolean;
  /** Addresses of this node as it announces them; none before it listens. */
  readonly own: () => readonly Multiaddr[];
}): Gates {
  const named = new Set<string>();
  const refused = (peer: PeerId): boolean => !deps.admit(asNodeId(peer.toString()));
  // Whoever tells us where a peer is could name a service of this machine. Where this node is itself
  // seen from outside, loopback is dialled only when the operator said so.
  const mayDial = (address: Multiaddr): boolean =>
    reachOf(address) > 0 ||
    named.has(endpointOf(address)) ||
    deps.own().every((own) => reachOf(own) === 0);
  return {
    allow: (address) => void named.add(endpointOf(address)),
    gater: {
      denyDialMultiaddr: (address) => !mayDial(address),
      denyDialPeer: refused,
      denyInboundEncryptedConnection: refused,
      denyOutboundEncryptedConnection: refused,
    },
  };
}

/** Not `hangUp` of libp2p, which first waits for what the peer still has to say. */
export function cutOff(node: Libp2p, peer: NodeId): void {
  for (const connection of node.getConnections(peerIdFromString(peer)))
    connection.abort(new Error('it broke the protocol too often'));
}

/**
 * More than a few connections of one peer are left over from a network that changed, or are somebody's
 * way around the limits per connection. The newest stay: an older one may be dead without anybody
 * knowing.
 */
export function limitConnections(node: Libp2p): void {
  node.addEventListener('connection:open', ({ detail: { remotePeer } }) => {
    const open = node.getConnections(remotePeer);
    const oldest = open.toSorted((a, b) => b.timeline.open - a.timeline.open);
    for (const connection of oldest.slice(CONNECTIONS_PER_PEER))
      connection.abort(new Error('replaced by newer connections'));
  });
}
