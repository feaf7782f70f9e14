/**
 * Members remembered across restarts, by a tag in the peer store, which is on disk. Bounded: whoever
 * makes up identities and joins with each pushes out the oldest of those that are away.
 */
import type { Libp2p, Peer } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { asNodeId } from '../../src/core/record/ids.ts';
import type { NodeId } from '../../src/core/record/ids.ts';
import type { PeerAddress } from './address.ts';
import type { Presence } from './presence.ts';

const TAG = 'shoal-member';
const TAGGED_MAX = 1_000;

export interface PeerMemory {
  /** The addresses of the members of earlier runs. */
  load(): Promise<PeerAddress[]>;
  /** A member joined. @returns what the peer store knows of it */
  keep(peer: NodeId): Promise<Peer>;
}

export function createPeerMemory(deps: {
  readonly libp2p: () => Libp2p;
  readonly presence: Pick<Presence, 'has'>;
}): PeerMemory {
  /** The oldest first. */
  const tagged = new Set<NodeId>();
  const store = () => deps.libp2p().peerStore;

  async function forgetOldest(): Promise<void> {
    for (const peer of tagged) {
      if (tagged.size <= TAGGED_MAX) return;
      if (deps.presence.has(peer)) continue;
      tagged.delete(peer);
      await store().merge(peerIdFromString(peer), { tags: { [TAG]: undefined } });
    }
  }

  return {
    async load() {
      const peers = await store().all({ filters: [(peer) => peer.tags.has(TAG)] });
      for (const { id } of peers) tagged.add(asNodeId(id.toString()));
      await forgetOldest();
      return peers.flatMap(({ id, addresses }) =>
        addresses.map(({ multiaddr }) => ({
          peer: asNodeId(id.toString()),
          address: multiaddr,
        })),
      );
    },
    async keep(id) {
      const peer = await store().merge(peerIdFromString(id), { tags: { [TAG]: { value: 100 } } });
      tagged.delete(id);
      tagged.add(id);
      await forgetOldest();
      return peer;
    },
  };
}
