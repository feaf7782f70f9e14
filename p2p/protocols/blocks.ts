/**
 * `/shoal/<net>/blocks/1`: whole DAGs at the speed of the link. The requester names blocks, the holder
 * streams each with everything below it in depth-first order, back-pressured; the requester checks
 * every hash. Resuming is asking for less: the caller walks what it has and names only what is
 * missing. Serves what is in the block store and nothing else; writes nothing itself.
 */
import type { Connection, Libp2p, Stream } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { CID } from 'multiformats/cid';
import { Uint8ArrayList } from 'uint8arraylist';
import { asNodeId } from '../../src/core/record/ids.ts';
import type { NodeId } from '../../src/core/record/ids.ts';
import { BLOCKS_MAX, factsOf, mayHaveLinks, PENDING_MAX } from '../content/dag.ts';
import { reasonOf } from '../log.ts';
import type { Log } from '../log.ts';
import type { PeerFault } from '../peers/standing.ts';
import { encodeFrames, FrameTooLarge, prefixOf, readFrames, Stalled, write } from './frames.ts';
import type { FrameReader } from './frames.ts';
import { createPermits } from './permits.ts';

export const blocksProtocol = (network: string): string => `/shoal/${network}/blocks/1`;

/** First byte of a frame. Requests: fetch with all below, fetch these only, do you have it? */
const FETCH_DEEP = 1;
const FETCH_FLAT = 2;
const HAS = 3;
/** Answers: a block, a block I lack, end of this request, too many requests now, has or has not. */
const BLOCK = 11;
const MISSING = 12;
const DONE = 13;
const BUSY = 14;
const HAS_ANSWER = 15;

/** Blocks of others may be 2 MiB; ours are 1 MiB and a little. */
export const BLOCK_MAX_BYTES = 4 << 20;
const REQUEST_MAX_BYTES = 64 * 1024;
/** CIDs per request: 36 bytes each stay far below {@link REQUEST_MAX_BYTES}. */
const CIDS_MAX = 512;
/** Blocks read ahead of the one being sent. */
const READ_AHEAD = 6;
/** Unread bytes at which the requester lets the holder wait. */
const HIGH_WATER = 8 << 20;
/** A holder waits so long for the next request. */
const SERVE_IDLE_MS = 30_000;
/** A requester that takes nothing for so long gives its permit to the next. */
const SERVE_STALL_MS = 15_000;
/**
 * While others wait nobody keeps a permit who took less than this, bytes per second, since this was last looked
 * at, 5 s ago at least: whoever takes a little now and then would have it for ever.
 */
const SLOW_BYTES = 256 * 1024;
const SLOW_MS = 5_000;
/** In line for a permit; the requester gives up when nothing comes for 5 s. */
const PERMIT_WAIT_MS = 4_000;
/** Requests in line, over all peers: small, but not for nothing. */
const PERMIT_LINE_MAX = 256;
const OPEN_MS = 5_000;

export interface BlocksDeps {
  readonly network: () => Libp2p;
  readonly protocol: string;
  readonly read: (cid: CID) => Promise<Uint8Array | null>;
  /** Whether a block is here and sound; does not read it again while its file is the same. */
  readonly has: (cid: CID) => Promise<boolean>;
  readonly log: Log;
  /** Monotonic, milliseconds. */
  readonly now: () => number;
  /** Requests served at the same time, over all peers; of these one peer has at most a quarter. */
  readonly servesMax: number;
  readonly fault: (peer: NodeId, fault: PeerFault) => void;
}

/** A request that has a permit, and what was taken since this was last looked at. */
interface Serving {
  readonly stream: Stream;
  lookedAt: number;
  bytes: number;
}

export interface BlocksStats {
  readonly serving: number;
  readonly servedBytes: number;
  readonly refusedBusy: number;
}

export interface BlocksService {
  handle(stream: Stream, connection: Connection): Promise<void>;
  /** Opens a session with one holder. @throws when it cannot be reached or speaks another protocol. */
  open(peer: NodeId, signal: AbortSignal): Promise<BlockSession>;
  stats(): BlocksStats;
}

export interface BlockSession {
  /**
   * Streams the wanted blocks in order.
   * @param stallMs give up when nothing complete arrives for so long.
   * @returns per item the block, or `bytes: null` when the holder lacks it.
   * @throws HolderBusy, or when the stream breaks or stalls.
   */
  fetch(wants: readonly CID[], deep: boolean, stallMs: number): AsyncGenerator<Received>;
  has(cid: CID, ms: number): Promise<boolean>;
  close(): void;
}

export interface Received {
  readonly cid: CID;
  /** Not yet checked against the CID. */
  readonly bytes: Uint8Array | null;
  /** Call when nothing refers to `bytes` any more; its memory is used again. */
  readonly release?: () => void;
}

export class HolderBusy extends Error {
  override readonly name = 'HolderBusy';
}

// — the holder's side

export function createBlocks(deps: BlocksDeps): BlocksService {
  const counts = { servedBytes: 0, refusedBusy: 0 };
  const permits = createPermits({
    max: deps.servesMax,
    perPeer: Math.max(1, Math.floor(deps.servesMax / 4)),
    waitingMax: PERMIT_LINE_MAX,
  });

  const servings = new Set<Serving>();
  /** Somebody waits: the slowest of those who take too little goes. */
  const cutSlowest = (): void => {
    let slowest: { readonly one: Serving; readonly pace: number } | null = null;
    for (const one of servings) {
      const ms = deps.now() - one.lookedAt;
      if (ms < SLOW_MS) continue;
      const pace = (one.bytes / ms) * 1_000;
      Object.assign(one, { lookedAt: deps.now(), bytes: 0 });
      if (pace < SLOW_BYTES && pace < (slowest?.pace ?? Infinity)) slowest = { one, pace };
    }
    slowest?.one.stream.abort(new Error('others wait, and it takes too little'));
  };

  const serve = async (stream: Stream, from: NodeId, request: Uint8Array): Promise<void> => {
    const [kind] = request;
    const wants = decodeCids(request.subarray(1));
    if (kind === HAS) {
      const [cid] = wants;
      const has = cid !== undefined && (await deps.has(cid));
      return write(stream, encodeFrames([Uint8Array.of(HAS_ANSWER, has ? 1 : 0)]), SERVE_STALL_MS);
    }
    if (kind !== FETCH_DEEP && kind !== FETCH_FLAT) throw new Error(`unknown request ${kind}`);
    if (permits.taken >= deps.servesMax) cutSlowest();
    const leave = await permits.enter(from, PERMIT_WAIT_MS, null);
    if (leave === null) {
      counts.refusedBusy += 1;
      return write(stream, encodeFrames([Uint8Array.of(BUSY)]), SERVE_STALL_MS);
    }
    const serving = { stream, lookedAt: deps.now(), bytes: 0 };
    servings.add(serving);
    try {
      await send(serving, wants, kind === FETCH_DEEP);
    } finally {
      servings.delete(serving);
      leave();
    }
  };

  const send = async (serving: Serving, wants: readonly CID[], deep: boolean): Promise<void> => {
    const { stream } = serving;
    for await (const { cid, bytes } of walk(wants, deep, deps.read)) {
      const name = cid.bytes;
      if (bytes === null) {
        const frame = Buffer.concat([Uint8Array.of(MISSING), name]);
        await write(stream, encodeFrames([frame]), SERVE_STALL_MS);
        continue;
      }
      const head = Buffer.concat([
        prefixOf(2 + name.byteLength + bytes.byteLength),
        Uint8Array.of(BLOCK, name.byteLength),
        name,
      ]);
      counts.servedBytes += bytes.byteLength;
      // The block itself goes down to the encryption without a copy.
      await write(stream, new Uint8ArrayList(head, bytes), SERVE_STALL_MS);
      serving.bytes += bytes.byteLength;
    }
    await write(stream, encodeFrames([Uint8Array.of(DONE)]), SERVE_STALL_MS);
  };

  return {
    stats: () => ({ ...counts, serving: permits.taken }),
    async handle(stream, connection) {
      const reader = readFrames(stream, {
        maxBytes: REQUEST_MAX_BYTES,
        highWater: REQUEST_MAX_BYTES,
      });
      const peer = asNodeId(connection.remotePeer.toString());
      try {
        for (;;) {
          const request = await reader.next(SERVE_IDLE_MS, null);
          if (request === null) break;
          await serve(stream, peer, request);
        }
        await stream.close({ signal: AbortSignal.timeout(SERVE_IDLE_MS) });
      } catch (error) {
        deps.log.debug({ peer, why: reasonOf(error) }, 'blocks.serve-ended');
        if (error instanceof Stalled) deps.fault(peer, 'stalled-reader');
        if (error instanceof FrameTooLarge) deps.fault(peer, 'frame-too-large');
        stream.abort(error instanceof Error ? error : new Error(String(error)));
      }
    },
    async open(peer, signal) {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(OPEN_MS)]);
      const stream = await deps
        .network()
        .dialProtocol(peerIdFromString(peer), deps.protocol, { signal: limit });
      return session(stream, signal);
    },
  };
}

/** Depth first, each block once, reading ahead of what is taken. */
async function* walk(
  roots: readonly CID[],
  deep: boolean,
  read: (cid: CID) => Promise<Uint8Array | null>,
): AsyncGenerator<Received> {
  const stack: CID[] = [];
  const seen = new Set<string>();
  // Remembered when it is named: of blocks that name the same ones again and again one waits.
  let links = 0;
  const name = (cid: CID): void => {
    links += 1;
    const key = cid.toString();
    if (links > BLOCKS_MAX) throw new Error('more links than one request may follow');
    if (seen.has(key)) return;
    if (stack.length >= PENDING_MAX) throw new Error('more blocks than one request may name');
    seen.add(key);
    stack.push(cid);
  };
  const ahead = new Map<string, Promise<Uint8Array | null>>();
  const fetchAhead = (cid: CID): Promise<Uint8Array | null> => {
    const key = cid.toString();
    let pending = ahead.get(key);
    if (pending === undefined) {
      pending = read(cid);
      // Its error is met when its turn comes; until then it must not count as unhandled.
      pending.catch(() => {});
      ahead.set(key, pending);
    }
    return pending;
  };
  for (const root of roots.toReversed()) name(root);
  for (let cid = stack.pop(); cid !== undefined; cid = stack.pop()) {
    const key = cid.toString();
    const pending = fetchAhead(cid);
    for (let i = stack.length - 1; i >= 0 && ahead.size < READ_AHEAD; i -= 1) {
      const next = stack[i];
      if (next !== undefined) void fetchAhead(next);
    }
    const bytes = await pending;
    ahead.delete(key);
    if (deep && bytes !== null && mayHaveLinks(cid)) {
      for (const link of factsOf(cid, bytes).links.toReversed()) name(link.cid);
    }
    yield { cid, bytes };
  }
}

// — the requester's side

function session(stream: Stream, signal: AbortSignal): BlockSession {
  const reader = readFrames(stream, { maxBytes: BLOCK_MAX_BYTES + 256, highWater: HIGH_WATER });
  return {
    async *fetch(wants, deep, stallMs) {
      for (let at = 0; at < wants.length; at += CIDS_MAX) {
        const part = wants.slice(at, at + CIDS_MAX);
        const request = encodeCids(deep ? FETCH_DEEP : FETCH_FLAT, part);
        await write(stream, encodeFrames([request]), stallMs);
        yield* answers(reader, stallMs, signal);
      }
    },
    async has(cid, ms) {
      await write(stream, encodeFrames([encodeCids(HAS, [cid])]), ms);
      const frame = await reader.next(ms, signal);
      return frame !== null && frame[0] === HAS_ANSWER && frame[1] === 1;
    },
    close() {
      stream.abort(new Error('done'));
    },
  };
}

async function* answers(
  reader: FrameReader,
  stallMs: number,
  signal: AbortSignal,
): AsyncGenerator<Received> {
  for (;;) {
    const frame = await reader.next(stallMs, signal);
    if (frame === null) throw new Error('the holder ended the stream early');
    switch (frame[0]) {
      case BLOCK: {
        const end = 2 + (frame[1] ?? 0);
        // The CID is copied out: it lives longer than the memory of the block.
        const cid = CID.decode(new Uint8Array(frame.subarray(2, end)));
        yield { cid, bytes: frame.subarray(end), release: () => reader.release(frame) };
        break;
      }
      case MISSING:
        yield { cid: CID.decode(frame.subarray(1)), bytes: null };
        break;
      case DONE:
        return;
      case BUSY:
        throw new HolderBusy('the holder serves too many requests now');
      default:
        throw new Error(`unknown answer ${frame[0]}`);
    }
  }
}

function encodeCids(kind: number, cids: readonly CID[]): Uint8Array {
  const parts = cids.flatMap((cid) => [Uint8Array.of(cid.bytes.byteLength), cid.bytes]);
  return Buffer.concat([Uint8Array.of(kind), ...parts]);
}

function decodeCids(bytes: Uint8Array): CID[] {
  const cids: CID[] = [];
  for (let at = 0; at < bytes.byteLength; ) {
    const end = at + 1 + (bytes[at] ?? 0);
    cids.push(CID.decode(bytes.subarray(at + 1, end)));
    at = end;
  }
  if (cids.length > CIDS_MAX) throw new Error(`${cids.length} blocks in one request`);
  return cids;
}
