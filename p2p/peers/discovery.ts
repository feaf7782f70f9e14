/**
 * Finding peers and keeping them: bootstrap addresses, peers remembered from earlier runs, peers that
 * others told us about, and one loop that keeps enough connections and never gives up. libp2p's own
 * reconnect queue stops after five attempts and forgets the peer, and it has no auto-dialler.
 */
import type { Libp2p, PeerId } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import type { Multiaddr } from '@multiformats/multiaddr';
import { asNodeId } from '../../src/core/record/ids.ts';
import type { NodeId } from '../../src/core/record/ids.ts';
import { ShoalError } from '../../src/failures/shoal-error.ts';
import type { Failure } from '../../src/failures/failure.ts';
import { checkPeerAddress, reachOf } from './address.ts';
import type { PeerAddress } from './address.ts';
import {
  CANDIDATES_MAX,
  dueNow,
  failed,
  firstDelayMs,
  isBack,
  isForeign,
  isGivenUp,
  isMissed,
  isUntried,
  keptOut,
  newCandidate,
  parted,
  reached,
  SETTLE_MS,
  wakeLost,
} from './candidates.ts';
import type { Candidate, Origin } from './candidates.ts';
import { coolingProblem, dialProblem } from './dial-problem.ts';
import type { DialProblem } from './dial-problem.ts';
import { reasonOf } from '../log.ts';
import type { Log } from '../log.ts';
import { createPeerMemory } from './peer-memory.ts';
import type { PeerMemory } from './peer-memory.ts';
import type { Presence } from './presence.ts';
import type { HelloService } from '../protocols/hello.ts';

const TICK_MS = 150;
/** A tick that is later than this says that there is more to do than this node can; for so long after. */
const LATE_MS = 200;
const STRAINED_MS = 2_000;
/** Members are asked whom they know: often while there is news, seldom when there is none. */
const GREET_FIRST_MS = 1_000;
const GREET_MAX_MS = 30_000;
const DIAL_MS = 10_000;

export interface PeerStatus {
  readonly peer: NodeId;
  readonly addresses: readonly string[];
  readonly origin: Origin;
  readonly state: 'connected' | 'dialling' | 'waiting';
  /** Failures in a row. */
  readonly attempts: number;
  readonly problem: DialProblem | null;
  /** Milliseconds until the next attempt; 0 when connected. */
  readonly nextInMs: number;
}

export interface DiscoveryLimits {
  /** Up to so many members everybody is connected to everybody. */
  readonly fullMeshMax: number;
  /** Beyond that, this many connections are kept. */
  readonly degree: number;
}

export interface DiscoveryDeps {
  readonly libp2p: () => Libp2p;
  readonly presence: Presence;
  readonly hello: () => HelloService;
  readonly self: NodeId;
  readonly limits: DiscoveryLimits;
  /** Milliseconds for which a peer is kept out; 0 = it is not. */
  readonly coolingMs: (peer: NodeId) => number;
  readonly log: Log;
}

export interface Discovery {
  /** Loads remembered peers and starts the loop. */
  start(bootstrap: readonly PeerAddress[]): Promise<void>;
  stop(): void;
  /** Dials now. @throws ShoalError `multiaddr-invalid`, `peer-unreachable`. */
  dial(address: string): Promise<NodeId>;
  learn(peers: readonly PeerAddress[], origin: Origin): void;
  /** As soon as possible, whatever the back-off says. */
  redial(peer: NodeId): void;
  /** Members of earlier runs and peers named by the operator that were not met in this run. */
  missed(): readonly NodeId[];
  /** Somebody known has not been tried yet, or was just asked whom else it knows. */
  joining(): boolean;
  /** What is told to other peers. */
  known(): readonly (readonly string[])[];
  status(): readonly PeerStatus[];
}

/**
 * Bad bootstrap addresses are reported and skipped; a list of nothing but bad ones is an error.
 * @throws ShoalError `config-invalid` with one sentence per address.
 */
export function checkBootstrap(
  list: readonly string[],
  self: NodeId,
): { readonly good: readonly PeerAddress[]; readonly bad: readonly Failure[] } {
  const checks = list.map((text) => checkPeerAddress(text, self));
  const good = checks.flatMap((check) => (check.ok ? [check.value] : []));
  const bad = checks.flatMap((check) => (check.ok ? [] : [check.failure]));
  // A node that finds itself in a list shared by all peers is no mistake, even as its only entry.
  const mistakes = bad.filter((failure) => !failure.value.endsWith(`/p2p/${self}`));
  if (good.length === 0 && mistakes.length > 0) {
    const problems = mistakes.map((failure) => new ShoalError(failure).message);
    throw new ShoalError({ code: 'config-invalid', problems });
  }
  return { good, bad };
}

export function createDiscovery(deps: DiscoveryDeps): Discovery {
  const candidates = new Map<NodeId, Candidate>();
  const memory = createPeerMemory(deps);
  let timer: NodeJS.Timeout | null = null;
  let greetAt = 0;
  let greetMs = GREET_FIRST_MS;
  let dialling = 0;
  let greeting = 0;
  let tickedAt = performance.now();
  let strainedUntil = 0;
  let stopped = false;

  const learn = (peers: readonly PeerAddress[], origin: Origin): void => {
    for (const { peer, address } of peers) {
      if (peer === deps.self) continue;
      const known = candidates.get(peer);
      if (known === undefined) {
        if (candidates.size >= CANDIDATES_MAX) continue;
        greetMs = GREET_FIRST_MS;
        const nextAt = performance.now() + firstDelayMs(origin, deps.self, peer);
        candidates.set(peer, newCandidate(peer, origin, [address], nextAt));
      } else if (!known.addresses.some((one) => one.equals(address))) {
        known.addresses = [...known.addresses, address].slice(-8);
      }
    }
  };

  const attempt = async (candidate: Candidate): Promise<void> => {
    const coolingMs = deps.coolingMs(candidate.peer);
    if (coolingMs > 0) {
      keptOut(candidate, coolingProblem(coolingMs), coolingMs, performance.now());
      return;
    }
    candidate.dialling = true;
    dialling += 1;
    try {
      await connect(deps, candidate);
      reached(candidate, await settled(deps, candidate), performance.now());
    } catch (error) {
      if (stopped) return;
      failed(candidate, dialProblem(error, candidate.peer), performance.now());
      const data = { peer: candidate.peer, attempts: candidate.attempts, ...candidate.problem };
      const loud = candidate.origin === 'bootstrap' && candidate.attempts === 1;
      deps.log[loud ? 'warn' : 'debug'](data, 'discovery.dial-failed');
      if (isGivenUp(candidate, candidates.size)) candidates.delete(candidate.peer);
    } finally {
      candidate.dialling = false;
      dialling -= 1;
    }
  };

  const greet = async (peer: NodeId): Promise<void> => {
    greeting += 1;
    await deps.hello().greet(peer);
    greeting -= 1;
  };

  const tick = (): void => {
    const now = performance.now();
    if (now - tickedAt > TICK_MS + LATE_MS) strainedUntil = now + STRAINED_MS;
    tickedAt = now;
    const members = deps.presence.members().length;
    const full = members + 1 >= deps.limits.fullMeshMax;
    const room = (full ? deps.limits.degree : deps.limits.fullMeshMax - 1) - members - dialling;
    const away = [...candidates.values()].filter((one) => !deps.presence.has(one.peer));
    const strained = now < strainedUntil;
    for (const candidate of dueNow(away, now, dialling, room, strained)) void attempt(candidate);
    if (now >= greetAt && members > 0) {
      greetAt = now + greetMs * (0.75 + Math.random() / 2);
      greetMs = Math.min(GREET_MAX_MS, greetMs * 2);
      const list = deps.presence.members();
      const peer = list[Math.floor(Math.random() * list.length)];
      if (peer !== undefined) void greet(peer);
    }
  };

  deps.presence.listen({
    onConnected(peer) {
      greetMs = GREET_FIRST_MS;
      const known = candidates.get(peer);
      if (known !== undefined && isBack(known)) wakeLost(candidates.values(), performance.now());
      void remember(deps, peer, candidates, memory);
      // The one that dialled asks; the answer carries both lists.
      const id = peerIdFromString(peer);
      const outbound = deps
        .libp2p()
        .getConnections(id)
        .some((one) => one.direction === 'outbound');
      if (outbound) void greet(peer);
    },
    onDisconnected(peer) {
      const candidate = candidates.get(peer);
      if (candidate !== undefined)
        parted(candidate, dialProblem(hungUp(), peer), performance.now());
    },
    onForeign(peer) {
      const candidate = candidates.get(peer);
      const problem: DialProblem = {
        problem: 'wrong-network',
        why: 'it belongs to a mesh with another network id, or speaks another protocol version',
      };
      deps.log.warn({ peer, ...problem }, 'discovery.wrong-network');
      if (candidate !== undefined) isForeign(candidate, problem, performance.now());
      void deps
        .libp2p()
        .hangUp(peerIdFromString(peer))
        .catch(() => {});
    },
  });

  return {
    learn,
    async start(bootstrap) {
      learn(bootstrap, 'bootstrap');
      learn(await memory.load(), 'remembered');
      deps.libp2p().addEventListener('peer:discovery', (event) => {
        const peer = asNodeId(event.detail.id.toString());
        learn(
          event.detail.multiaddrs.map((address) => ({ peer, address })),
          'mdns',
        );
      });
      timer = setInterval(tick, TICK_MS);
      tick();
    },
    stop() {
      stopped = true;
      if (timer !== null) clearInterval(timer);
    },
    async dial(text) {
      const check = checkPeerAddress(text, deps.self);
      if (!check.ok) throw new ShoalError(check.failure);
      const { peer } = check.value;
      learn([check.value], 'manual');
      const candidate = candidates.get(peer);
      if (candidate !== undefined) await attempt(candidate);
      if (candidate?.problem !== null && candidate !== undefined) {
        throw new ShoalError({ code: 'peer-unreachable', node: peer, why: candidate.problem.why });
      }
      return peer;
    },
    redial(peer) {
      const candidate = candidates.get(peer);
      if (candidate !== undefined) candidate.nextAt = 0;
      tick();
    },
    missed: () => [...candidates.values()].filter(isMissed).map(({ peer }) => peer),
    joining: () =>
      greeting > 0 ||
      [...candidates.values()].some((one) => !deps.presence.has(one.peer) && isUntried(one)),
    known() {
      return deps.presence
        .members()
        .map((peer) => {
          const list = candidates.get(peer)?.addresses ?? [];
          return list.map((address) => withPeer(address, peer));
        })
        .filter((list) => list.length > 0);
    },
    status() {
      const now = performance.now();
      return [...candidates.values()].map((one) => {
        const connected = deps.presence.has(one.peer);
        const coolingMs = deps.coolingMs(one.peer);
        const problem = coolingMs > 0 ? coolingProblem(coolingMs) : one.problem;
        return {
          peer: one.peer,
          origin: one.origin,
          attempts: connected ? 0 : one.attempts,
          addresses: one.addresses.map(String),
          state: connected ? 'connected' : one.dialling ? 'dialling' : 'waiting',
          problem: connected ? null : problem,
          nextInMs: connected ? 0 : Math.max(0, coolingMs, Math.round(one.nextAt - now)),
        };
      });
    },
  };
}

async function connect(deps: DiscoveryDeps, candidate: Candidate): Promise<void> {
  const node = deps.libp2p();
  const peer = peerIdFromString(candidate.peer);
  if (node.getConnections(peer).length > 0) return;
  const addresses = candidate.addresses.map((one) => multiaddr(withPeer(one, candidate.peer)));
  await node.dial(addresses, { signal: AbortSignal.timeout(DIAL_MS) });
}

/**
 * A connection is not membership: the other side may turn us away after the handshake, belong to
 * another mesh, or be a plain IPFS node, which may stay.
 */
async function settled(deps: DiscoveryDeps, candidate: Candidate): Promise<DialProblem | null> {
  const peer = peerIdFromString(candidate.peer);
  const end = performance.now() + SETTLE_MS;
  while (performance.now() < end && !deps.presence.has(candidate.peer)) {
    if (candidate.problem?.problem === 'wrong-network') return candidate.problem;
    if (deps.libp2p().getConnections(peer).length === 0) throw hungUp();
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  if (deps.presence.has(candidate.peer)) return null;
  if (await isNameless(deps, peer)) {
    // Identify came too late and is not tried again on this connection, which would stay like this.
    for (const one of deps.libp2p().getConnections(peer)) one.abort(lateToSay());
    throw lateToSay();
  }
  return { problem: 'wrong-network', why: 'it does not speak the protocols of this mesh' };
}

/** It has not said what it speaks: any libp2p node does. */
async function isNameless(deps: DiscoveryDeps, peer: PeerId): Promise<boolean> {
  const known = await deps
    .libp2p()
    .peerStore.get(peer)
    .catch(() => null);
  return known === null || known.protocols.length === 0;
}

const lateToSay = (): Error => new Error('TimeoutError: it did not say in time what it speaks');
const hungUp = (): Error => new Error('StreamClosedError: it hung up');

/** Keeps a member in the peer store and learns the addresses that identify brought. */
async function remember(
  deps: DiscoveryDeps,
  id: NodeId,
  candidates: Map<NodeId, Candidate>,
  memory: PeerMemory,
): Promise<void> {
  const joinedAt = performance.now();
  try {
    const peer = await memory.keep(id);
    // What a peer says of itself reaches as far as our connection to it, or it is not taken.
    const [connection] = deps.libp2p().getConnections(peer.id);
    const reach = connection === undefined ? 0 : reachOf(connection.remoteAddr);
    const addresses = peer.addresses
      .map((one) => one.multiaddr)
      .filter((one) => reachOf(one) >= reach)
      .slice(0, 8);
    const candidate = candidates.get(id) ?? newCandidate(id, 'exchange', addresses, 0);
    candidate.problem = null;
    candidate.joinedAt = joinedAt;
    if (addresses.length > 0) candidate.addresses = addresses;
    if (candidates.has(id) || hasRoom(deps, candidates)) candidates.set(id, candidate);
  } catch (error) {
    deps.log.warn({ peer: id, why: reasonOf(error) }, 'discovery.not-remembered');
  }
}

/** Makes room for a member: strangers go first, then members that are away. @returns whether there is room */
function hasRoom(deps: DiscoveryDeps, candidates: Map<NodeId, Candidate>): boolean {
  if (candidates.size < CANDIDATES_MAX) return true;
  const away = [...candidates.values()].filter(
    ({ peer, origin, dialling }) =>
      !dialling && origin !== 'bootstrap' && origin !== 'manual' && !deps.presence.has(peer),
  );
  const [least] = away.sort((a, b) => a.joinedAt - b.joinedAt);
  return least !== undefined && candidates.delete(least.peer);
}

const withPeer = (address: Multiaddr, peer: NodeId): string => {
  const text = address.toString();
  return text.includes('/p2p/') ? text : `${text}/p2p/${peer}`;
};
