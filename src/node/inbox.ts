/**
 * What waits for the core: local inputs, the messages of each peer, and gossip, each in a queue of its
 * own. Local inputs go first; peers and gossip get their turns one after the other, so nobody's flood
 * keeps another's messages or our own requests waiting. Handles nothing; `driver.ts` does.
 */
import type { NodeId } from '../core/record/ids.ts';
import type { Input } from '../core/contract/input.ts';
import { BoundedQueue } from '../lib/bounded-queue.ts';

export type MessageInput = Extract<Input, { type: 'message' }>;
export type GossipInput = Extract<Input, { type: 'gossip' }>;
export type LocalInput = Exclude<Input, MessageInput | GossipInput>;

/** Inputs handled before their writes are committed; bounds the delay of the first of them. */
export const BATCH_MAX = 512;
/** Messages of one peer that wait before its streams are paused: four turns of it. */
export const LANE_MAX = 128;
/** Bytes, as they came, of all messages that wait; in memory they are up to ten times as large. */
const MESSAGES_MAX_BYTES = 32 << 20;
/** Of these, what one peer may have waiting: at most the largest message, at least many small ones. */
const LANE_MOST_BYTES = 1 << 20;
const LANE_LEAST_BYTES = 64 << 10;
/** Announcements are worth nothing when they are old, so the oldest go. */
export const GOSSIP_MAX = 2_048;
/**
 * Messages taken of one peer for one batch, even when nobody else has any: between two batches files,
 * timers and requests get their turns, and a flood must not make those few and far between.
 */
const TURN = 32;
/** Of each batch, what gossip may have. */
const GOSSIP_PART = 1 / 8;
/** Of each batch, this part is kept for what others say, however much there is to do here. */
const OTHERS_PART = 1 / 4;

/** What waits, and since when: monotonic milliseconds. */
export interface Arrived<T extends Input = Input> {
  readonly input: T;
  readonly at: number;
}

interface Lane {
  inputs: Arrived<MessageInput>[];
  sizes: number[];
  bytes: number;
  /** Whoever fills the lane waits for this. */
  room: PromiseWithResolvers<void> | null;
}

export interface Inbox {
  /** Always taken: what this process asks for is bounded where it comes from. */
  addLocal(input: LocalInput): void;
  addGossip(input: GossipInput): void;
  /**
   * @param bytes its size on the wire.
   * @returns a promise when this peer has its share waiting: add no more of it before it resolves.
   */
  addMessage(input: MessageInput, bytes: number): Promise<void> | undefined;
  /** The next inputs: what is local, and a turn of each peer; at most `max` ≥ 8. */
  take(max: number): readonly Arrived[];
  readonly length: number;
  /** Peers that were told to wait. */
  readonly pausedPeers: number;
  readonly gossipDropped: number;
}

/** @param clock monotonic, milliseconds */
export function createInbox(clock: () => number): Inbox {
  let local: Arrived<LocalInput>[] = [];
  // In the order of their turns.
  const lanes = new Map<NodeId, Lane>();
  const gossip = new BoundedQueue<Arrived<GossipInput>>({ max: GOSSIP_MAX, drop: 'oldest' });
  let messages = 0;
  let pausedPeers = 0;

  const share = (): number =>
    Math.max(LANE_LEAST_BYTES, Math.min(LANE_MOST_BYTES, MESSAGES_MAX_BYTES / lanes.size));

  /** A turn of one peer; it goes to the end of the line, or leaves it. */
  function takeTurn(from: NodeId, lane: Lane, most: number, taken: Arrived[]): void {
    const inputs = lane.inputs.splice(0, Math.min(TURN, most));
    for (const size of lane.sizes.splice(0, inputs.length)) lane.bytes -= size;
    taken.push(...inputs);
    messages -= inputs.length;
    lanes.delete(from);
    if (lane.inputs.length > 0) lanes.set(from, lane);
    if (lane.room !== null && lane.inputs.length <= LANE_MAX / 2 && lane.bytes <= share() / 2) {
      lane.room.resolve();
      lane.room = null;
      pausedPeers -= 1;
    }
  }

  function takeGossip(most: number, taken: Arrived[]): void {
    for (let count = 0; count < most; count += 1) {
      const input = gossip.shift();
      if (input === undefined) return;
      taken.push(input);
    }
  }

  return {
    addLocal: (input) => void local.push({ input, at: clock() }),
    addGossip: (input) => void gossip.push({ input, at: clock() }),
    addMessage(input, bytes) {
      let lane = lanes.get(input.from);
      if (lane === undefined) {
        lane = { inputs: [], sizes: [], bytes: 0, room: null };
        lanes.set(input.from, lane);
      }
      lane.inputs.push({ input, at: clock() });
      lane.sizes.push(bytes);
      lane.bytes += bytes;
      messages += 1;
      if (lane.inputs.length < LANE_MAX && lane.bytes < share()) return undefined;
      if (lane.room === null) {
        lane.room = Promise.withResolvers();
        pausedPeers += 1;
      }
      return lane.room.promise;
    },
    take(max) {
      const others = messages + gossip.length;
      const room = max - Math.min(others, Math.floor(max * OTHERS_PART));
      const taken: Arrived[] = local.slice(0, room);
      local = local.slice(room);
      takeGossip(Math.min(Math.floor(max * GOSSIP_PART), max - taken.length), taken);
      for (const [from, lane] of [...lanes]) {
        if (taken.length >= max) break;
        takeTurn(from, lane, max - taken.length, taken);
      }
      return taken;
    },
    get length() {
      return local.length + messages + gossip.length;
    },
    get pausedPeers() {
      return pausedPeers;
    },
    get gossipDropped() {
      return gossip.dropped;
    },
  };
}
