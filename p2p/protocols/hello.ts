/**
 * `/shoal/<net>/hello/1`: two peers that have just met, or meet again from time to time, tell each
 * other whom else they are connected to, what their version can do, which process they are, and which
 * processes have spoken under the other one's key. Fields of a later version are not looked at. One JSON frame each way. It finds peers; it is no proof of anything, and dials
 * nothing itself.
 */
import { randomBytes } from 'node:crypto';
import type { Connection, Libp2p, Stream } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import * as z from 'zod';
import { FEATURES, FEATURES_MAX, FEATURE_LENGTH_MAX } from '../../src/core/contract/features.ts';
import { asNodeId } from '../../src/core/record/ids.ts';
import type { NodeId } from '../../src/core/record/ids.ts';
import { checkPeerAddress, reachOf } from '../peers/address.ts';
import type { AddressCheck, PeerAddress } from '../peers/address.ts';
import { reasonOf } from '../log.ts';
import type { Log } from '../log.ts';
import type { PeerFault } from '../peers/standing.ts';
import { createRate } from '../rate.ts';
import type { Clocks } from '../peers/clocks.ts';
import { createTwins, VOICES_MAX } from '../peers/twins.ts';
import { createRecent } from '../wire/recent.ts';
import { encodeFrames, readFrames } from './frames.ts';

export const helloProtocol = (network: string): string => `/shoal/${network}/hello/1`;

const HELLO_MAX_BYTES = 64 * 1024;
/** More would not fit the degree that a node keeps anyway. */
const PEERS_MAX = 64;
/** Each is dialled in turn: few, or one dead peer eats the whole dial budget. */
const ADDRESSES_MAX = 4;
const HELLO_MS = 10_000;
/** Hellos of one peer: it has one to say on connecting, and once a second at most while there is news. */
const HELLOS = { perSecond: 2, burst: 10 };
/** Addresses that are new here, of one peer: to look into one costs some 0.4 ms. */
const NEW_ADDRESSES = { perSecond: 32, burst: 512 };
/** The year 10889. */
const WALL_MAX_MS = 2 ** 48;
/** Addresses whose check is remembered, of at most 300 characters each. */
const CHECKED_MAX = 1_024;

const Hello = z.object({
  agent: z.string().max(100),
  peers: z.array(z.array(z.string().max(300)).max(ADDRESSES_MAX)).max(PEERS_MAX),
  features: z.array(z.string().max(FEATURE_LENGTH_MAX)).max(FEATURES_MAX).default([]),
  process: z.string().max(32).default(''),
  /** What its wall clock shows, milliseconds. */
  wall: z.int().min(0).max(WALL_MAX_MS).nullable().default(null),
  voices: z
    .array(z.object({ process: z.string().max(32), agoMs: z.int().min(0) }))
    .max(VOICES_MAX)
    .default([]),
});

export interface HelloDeps {
  readonly network: () => Libp2p;
  readonly protocol: string;
  readonly self: NodeId;
  /** Monotonic, milliseconds. */
  readonly now: () => number;
  readonly agent: string;
  readonly log: Log;
  /** Addresses, each ending in /p2p/<id>, of connected members. */
  readonly known: () => readonly (readonly string[])[];
  readonly fault: (peer: NodeId, fault: PeerFault) => void;
  readonly clocks: Pick<Clocks, 'told'>;
  readonly onPeers: (peers: readonly PeerAddress[], from: NodeId) => void;
}

export interface HelloService {
  handle(stream: Stream, connection: Connection): Promise<void>;
  /** Asks one member. Never throws. @returns false when it did not answer. */
  greet(peer: NodeId): Promise<boolean>;
  /** Members that have told of another process with this node's key. */
  witnesses(): readonly NodeId[];
}

export function createHello(deps: HelloDeps): HelloService {
  const process = randomBytes(8).toString('hex');
  const twins = createTwins(process, deps.log);
  const checks = createRecent<string, AddressCheck>(CHECKED_MAX);
  const hellos = createRate(HELLOS, deps.now);
  const addresses = createRate(NEW_ADDRESSES, deps.now);
  /** Everybody tells the same addresses again and again. @returns null when one tells too many new ones */
  const checked = (text: string, from: NodeId): AddressCheck | null => {
    const known = checks.get(text);
    if (known !== undefined) return known;
    if (!addresses.take(from, 1)) return null;
    const check = checkPeerAddress(text, deps.self);
    checks.set(text, check);
    return check;
  };
  const own = (peer: NodeId): Uint8Array => {
    const peers = deps
      .known()
      .slice(0, PEERS_MAX)
      .map((list) => list.slice(0, ADDRESSES_MAX));
    const hello = {
      agent: deps.agent,
      features: FEATURES,
      peers,
      process,
      wall: Date.now(),
      voices: twins.voicesOf(peer),
    };
    return encodeFrames([Buffer.from(JSON.stringify(hello))]);
  };

  /** One hello out, one hello in; the order does not matter to either side. */
  const exchange = async (stream: Stream, connection: Connection): Promise<void> => {
    const reader = readFrames(stream, { maxBytes: HELLO_MAX_BYTES, highWater: HELLO_MAX_BYTES });
    try {
      const from = asNodeId(connection.remotePeer.toString());
      const sentAt = performance.now();
      stream.send(own(from));
      const frame = await reader.next(HELLO_MS, null);
      const heardAt = performance.now();
      if (frame !== null) {
        const hello = parse(frame, connection);
        if (hello.wall !== null) deps.clocks.told(from, hello.wall, sentAt, heardAt);
        accept(hello, connection);
      }
      await stream.close({ signal: AbortSignal.timeout(HELLO_MS) });
    } catch (error) {
      stream.abort(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  };

  const parse = (frame: Uint8Array, connection: Connection): z.infer<typeof Hello> => {
    try {
      return Hello.parse(JSON.parse(Buffer.from(frame).toString('utf8')));
    } catch (error) {
      deps.fault(asNodeId(connection.remotePeer.toString()), 'garbage');
      throw error;
    }
  };

  const accept = (hello: z.infer<typeof Hello>, connection: Connection): void => {
    // Whom we reach over the internet must not send us to dial inside our own network: addresses
    // that reach less far than the informant's own connection are not taken.
    const reach = reachOf(connection.remoteAddr);
    const from = asNodeId(connection.remotePeer.toString());
    const peers = hello.peers.flat().flatMap((text) => {
      const check = checked(text, from);
      return check?.ok === true && reachOf(check.value.address) >= reach ? [check.value] : [];
    });
    twins.heard(from, hello.process);
    twins.told(from, hello.voices);
    deps.onPeers(peers, from);
  };

  return {
    witnesses: twins.witnesses,
    async handle(stream, connection) {
      const from = asNodeId(connection.remotePeer.toString());
      if (!hellos.take(from, 1)) return stream.abort(new Error('too many hellos'));
      try {
        await exchange(stream, connection);
      } catch (error) {
        deps.log.debug({ why: reasonOf(error) }, 'hello.failed');
      }
    },
    async greet(peer) {
      try {
        const id = peerIdFromString(peer);
        const signal = AbortSignal.timeout(HELLO_MS);
        const stream = await deps.network().dialProtocol(id, deps.protocol, { signal });
        const connection = deps.network().getConnections(id)[0];
        if (connection === undefined) throw new Error('the connection is gone');
        await exchange(stream, connection);
        return true;
      } catch (error) {
        deps.log.debug({ peer, why: reasonOf(error) }, 'hello.failed');
        return false;
      }
    },
  };
}
