/**
 * The two slower ways to blocks, for peers that do not speak our block protocol and for content whose
 * holders nobody knows: bitswap with named peers, and the DHT. Neither is needed between members.
 */
import type { HeliaWithLibp2p } from '@helia/libp2p';
import type { Libp2p, ServiceMap } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import type { CID } from 'multiformats/cid';
import { asNodeId } from '../../src/core/record/ids.ts';
import type { NodeId } from '../../src/core/record/ids.ts';
import { reasonOf } from '../log.ts';
import type { Log } from '../log.ts';

/** Wants outstanding at one time: servers of stock IPFS drop what goes beyond 1,024 per peer. */
const WANTS_MAX = 64;
/** Bitswap has no timer of its own for a holder that hangs. */
const BLOCK_MS = 10_000;
const PROVIDERS_MAX = 8;
const LOOKUP_MS = 10_000;
const PROVIDE_MS = 60_000;
/** A new root waits this long, milliseconds: whoever waits for it now has heard of a holder already. */
const PROVIDE_AFTER_MS = 1_000;
const PROVIDE_QUEUE_MAX = 1_000;
const PROVIDE_TRIES = 5;
const BITSWAP = /^\/ipfs\/bitswap\//;

/** Connected peers that speak bitswap and are not members: plain IPFS nodes. */
async function guests(node: Libp2p, members: readonly NodeId[]): Promise<NodeId[]> {
  const found = await Promise.all(
    node.getPeers().map(async (peer) => {
      const id = asNodeId(peer.toString());
      if (members.includes(id)) return [];
      const known = await node.peerStore.get(peer).catch(() => null);
      return known?.protocols.some((name) => BITSWAP.test(name)) === true ? [id] : [];
    }),
  );
  return found.flat();
}

/**
 * Wants blocks from the named peers and all guests; they are stored as they come.
 * @returns the CIDs that arrived; those that did not are simply absent.
 */
export async function* swapBlocks<M extends ServiceMap>(
  helia: HeliaWithLibp2p<M>,
  members: readonly NodeId[],
  wants: readonly CID[],
  from: readonly NodeId[],
  signal: AbortSignal,
): AsyncGenerator<CID> {
  const [root] = wants;
  const peers = [...new Set([...from, ...(await guests(helia.libp2p, members))])];
  if (root === undefined || peers.length === 0) return;
  const providers = peers.map((peer) => peerIdFromString(peer).toCID());
  const session = helia.blockstore.createSession(root, {
    providers,
    maxProviders: providers.length,
    signal,
  });
  const open = new Map<CID, Promise<CID | null>>();
  let at = 0;
  const want = async (cid: CID): Promise<CID | null> => {
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(BLOCK_MS)]);
      for await (const _ of session.get(cid, { signal: limit })) void _;
      return cid;
    } catch {
      return null;
    }
  };
  let failures = 0;
  try {
    while (open.size > 0 || (at < wants.length && failures < WANTS_MAX)) {
      for (let cid = wants[at]; cid !== undefined && open.size < WANTS_MAX; cid = wants[at]) {
        at += 1;
        const key = cid;
        open.set(
          key,
          want(key).finally(() => open.delete(key)),
        );
      }
      const arrived = await Promise.race(open.values());
      signal.throwIfAborted();
      if (arrived === null) failures += 1;
      else yield arrived;
    }
  } finally {
    session.close();
  }
}

/** Peers that the DHT names for a root; none on any failure. */
export async function findProviders(
  node: Libp2p,
  root: CID,
  signal: AbortSignal,
  log: Log,
): Promise<NodeId[]> {
  const found: NodeId[] = [];
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(LOOKUP_MS)]);
    for await (const provider of node.contentRouting.findProviders(root, { signal: limit })) {
      if (provider.id.equals(node.peerId)) continue;
      if (provider.multiaddrs.length > 0) {
        await node.peerStore.merge(provider.id, { multiaddrs: provider.multiaddrs });
      }
      found.push(asNodeId(provider.id.toString()));
      if (found.length >= PROVIDERS_MAX) break;
    }
  } catch (error) {
    signal.throwIfAborted();
    log.debug({ cid: root.toString(), why: reasonOf(error) }, 'dht.lookup-ended');
  }
  return found;
}

export interface Provider {
  provide(root: CID): void;
  stop(): void;
}

/**
 * Announces roots, one after the other, in the background. Roots only: each announcement is a query
 * through the whole table and up to twenty sends.
 */
export function createProvider(node: () => Libp2p, log: Log): Provider {
  const queue: { root: CID; tries: number }[] = [];
  const stopped = new AbortController();
  /** Set from when something waits until nothing does. */
  let timer: NodeJS.Timeout | null = null;

  const next = async (): Promise<void> => {
    const item = queue.shift();
    if (item === undefined) return;
    let delay = 0;
    try {
      const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(PROVIDE_MS)]);
      await node().contentRouting.provide(item.root, { signal });
    } catch (error) {
      // Usual on a node that has just started: its table is still empty.
      log.debug({ cid: item.root.toString(), why: reasonOf(error) }, 'dht.not-provided');
      if (item.tries + 1 < PROVIDE_TRIES) queue.push({ root: item.root, tries: item.tries + 1 });
      delay = 5_000 * 2 ** item.tries;
    } finally {
      timer = null;
    }
    if (queue.length > 0) later(delay);
  };
  const later = (delay: number): void => {
    if (stopped.signal.aborted) return;
    timer = setTimeout(() => void next(), delay);
    timer.unref();
  };

  return {
    provide(root) {
      if (queue.length >= PROVIDE_QUEUE_MAX) queue.shift();
      queue.push({ root, tries: 0 });
      if (timer === null) later(PROVIDE_AFTER_MS);
    },
    stop() {
      stopped.abort(new Error('shutting down'));
      if (timer !== null) clearTimeout(timer);
    },
  };
}
