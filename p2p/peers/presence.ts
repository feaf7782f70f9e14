/**
 * Who is here: the connected peers that speak this mesh's protocols. A connection alone does not make
 * a member (any IPFS node may connect and fetch blocks); speaking `/shoal/<net>/msg/1` does, and the
 * network id and the version are part of that name, so two meshes never mix.
 */
import type { Libp2p, PeerId } from '@libp2p/interface';
import { asNodeId } from '../../src/core/record/ids.ts';
import type { NodeId } from '../../src/core/record/ids.ts';
import { hostOf } from '../../src/core/keeping/choose-keepers.ts';

export interface PresenceListener {
  onConnected(peer: NodeId): void;
  onDisconnected(peer: NodeId): void;
  /** Connected, but of another mesh: its protocols name another network. */
  onForeign?: ((peer: NodeId) => void) | undefined;
}

export interface Presence {
  /** Members connected now. */
  members(): readonly NodeId[];
  has(peer: NodeId): boolean;
  /** Milliseconds (`performance.now`) since when, or null. */
  since(peer: NodeId): number | null;
  /** The host at the other end of its connection, as this end sees it; '' when it is not known. */
  hostOf(peer: NodeId): string;
  listen(listener: PresenceListener): void;
  /** A peer opened one of our protocols before identify told us that it speaks them. */
  seen(peer: PeerId): void;
  attach(libp2p: Libp2p): void;
}

const MESH_PROTOCOL = /^\/shoal\/([^/]+)\/msg\//;

export function createPresence(messageProtocol: string): Presence {
  const members = new Map<NodeId, number>();
  const listeners: PresenceListener[] = [];
  let node: Libp2p | null = null;

  const connected = (peer: PeerId): boolean => (node?.getConnections(peer).length ?? 0) > 0;

  const judge = (peer: PeerId, protocols: readonly string[]): void => {
    if (!connected(peer)) return;
    if (protocols.includes(messageProtocol)) return join(peer);
    if (protocols.some((name) => MESH_PROTOCOL.test(name))) {
      for (const listener of listeners) listener.onForeign?.(asNodeId(peer.toString()));
    }
  };

  const join = (peer: PeerId): void => {
    const id = asNodeId(peer.toString());
    if (members.has(id)) return;
    members.set(id, performance.now());
    for (const listener of listeners) listener.onConnected(id);
  };

  const leave = (peer: PeerId): void => {
    const id = asNodeId(peer.toString());
    if (connected(peer) || !members.delete(id)) return;
    for (const listener of listeners) listener.onDisconnected(id);
  };

  return {
    members: () => [...members.keys()],
    has: (peer) => members.has(peer),
    since: (peer) => members.get(peer) ?? null,
    hostOf(peer) {
      const [connection] =
        node?.getConnections().filter((c) => c.remotePeer.toString() === peer) ?? [];
      return connection === undefined ? '' : hostOf([connection.remoteAddr.toString()]);
    },
    listen(listener) {
      listeners.push(listener);
      for (const peer of members.keys()) listener.onConnected(peer);
    },
    seen(peer) {
      if (connected(peer)) join(peer);
    },
    attach(libp2p) {
      node = libp2p;
      libp2p.addEventListener('peer:identify', (event) =>
        judge(event.detail.peerId, event.detail.protocols),
      );
      libp2p.addEventListener('peer:update', (event) =>
        judge(event.detail.peer.id, event.detail.peer.protocols),
      );
      libp2p.addEventListener('peer:disconnect', (event) => leave(event.detail));
    },
  };
}
