/**
 * `/shoal/<net>/msg/1`: one long-lived stream per pair and direction that carries all core messages,
 * as length-prefixed frames whose content belongs to the caller. Delivery is at most once and in
 * order per stream; after a reset the next message opens a new one. Nothing is repeated here: the
 * core repeats what has had no effect.
 */
import { MESSAGE_MAX_BYTES } from '../wire/messages.ts';
import type { Connection, Libp2p, Stream } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { asNodeId } from '../../src/core/record/ids.ts';
import type { NodeId } from '../../src/core/record/ids.ts';
import { reasonOf } from '../log.ts';
import type { Log } from '../log.ts';
import type { Presence } from '../peers/presence.ts';
import type { PeerFault } from '../peers/standing.ts';
import { drained, encodeFrames } from './frames.ts';
import { createInbound } from './inbound.ts';

export const messageProtocol = (network: string): string => `/shoal/${network}/msg/1`;

/** Frames put into one write, bytes: one Noise frame is 64 KiB, more only delays the first. */
const BATCH = 64 * 1024;
/** A peer that does not answer the dial or the negotiation for so long is unreachable for now. */
const OPEN_MS = 5_000;
/** A peer that reads nothing for so long is stuck; its queue would only grow. */
const STALL_MS = 15_000;

export interface MessageHandlers {
  /** A returned promise pauses the stream of that peer until it settles. */
  onFrame(from: NodeId, frame: Uint8Array): void | Promise<void> | undefined;
  onConnected(peer: NodeId): void;
  onDisconnected(peer: NodeId): void;
  /** What was queued for the peer is dropped: it cannot be dialled, reads nothing, or its queue is full. */
  onUnreachable(peer: NodeId): void;
}

export interface MessageStats {
  readonly sent: number;
  readonly received: number;
  readonly droppedOverflow: number;
  readonly droppedUnreachable: number;
  readonly queuedFrames: number;
  readonly queuedBytes: number;
  readonly resets: number;
  /** Inbound streams, over all peers. */
  readonly streams: number;
  /** Bytes set aside for frames that have begun. */
  readonly unfinishedBytes: number;
}

export interface Messages {
  /**
   * Queues a frame; never waits. @returns false when it was dropped because the queue is full or the
   * frame is larger than {@link MESSAGE_MAX_BYTES}.
   */
  send(to: NodeId, frame: Uint8Array): boolean;
  /** Once: whom to tell. Members that are connected already are reported at once. */
  listen(handlers: MessageHandlers): void;
  stats(): MessageStats;
}

export interface MessageLimits {
  /** Frames that may wait for one peer. */
  readonly queueFrames: number;
  /** Bytes that may wait for one peer. */
  readonly queueBytes: number;
}

interface Outbox {
  readonly peer: NodeId;
  frames: Uint8Array[];
  bytes: number;
  stream: Stream | null;
  busy: boolean;
}

export interface MessagesDeps {
  readonly network: () => Libp2p;
  readonly protocol: string;
  readonly presence: Presence;
  readonly limits: MessageLimits;
  readonly log: Log;
  readonly fault: (peer: NodeId, fault: PeerFault) => void;
}

export interface MessageService extends Messages {
  /** For the registrar: an inbound stream. */
  handle(stream: Stream, connection: Connection): void;
  stop(): void;
}

export function createMessages(deps: MessagesDeps): MessageService {
  const outboxes = new Map<NodeId, Outbox>();
  const counts = { sent: 0, received: 0, droppedOverflow: 0, droppedUnreachable: 0, resets: 0 };
  let handlers: MessageHandlers | null = null;
  const listening = Promise.withResolvers<MessageHandlers>();
  let stopped = false;
  const inbound = createInbound({
    maxBytes: MESSAGE_MAX_BYTES,
    now: () => performance.now(),
    log: deps.log,
    fault: deps.fault,
    onFrame(from, frame) {
      counts.received += 1;
      if (handlers !== null) return handlers.onFrame(from, frame);
      // Its stream waits: what a peer says first, of itself, it does not soon say again.
      return listening.promise.then((later) => later.onFrame(from, frame));
    },
  });

  const outboxOf = (peer: NodeId): Outbox => {
    let outbox = outboxes.get(peer);
    if (outbox === undefined) {
      outbox = { peer, frames: [], bytes: 0, stream: null, busy: false };
      outboxes.set(peer, outbox);
    }
    return outbox;
  };

  const giveUp = (outbox: Outbox, error: unknown): void => {
    counts.droppedUnreachable += outbox.frames.length;
    deps.log.debug({ peer: outbox.peer, why: reasonOf(error) }, 'messages.unreachable');
    outbox.frames = [];
    outbox.bytes = 0;
    outboxes.delete(outbox.peer);
    if (!stopped) handlers?.onUnreachable(outbox.peer);
  };

  const open = async (outbox: Outbox): Promise<Stream> => {
    const stream = await deps.network().dialProtocol(peerIdFromString(outbox.peer), deps.protocol, {
      signal: AbortSignal.timeout(OPEN_MS),
    });
    stream.addEventListener('close', (event) => {
      if (outbox.stream === stream) outbox.stream = null;
      if (event.error !== undefined) counts.resets += 1;
    });
    outbox.stream = stream;
    return stream;
  };

  /** Empties one outbox; a stream that breaks under a batch is replaced once for that batch. */
  const flush = async (outbox: Outbox): Promise<void> => {
    let failures = 0;
    while (outbox.frames.length > 0) {
      let stream: Stream | null = null;
      try {
        stream = outbox.stream ?? (await open(outbox));
        if (stream.writeStatus !== 'writable') throw new Error('the stream is closed');
        const batch = takeBatch(outbox);
        counts.sent += batch.length;
        if (!stream.send(encodeFrames(batch))) await drained(stream, STALL_MS);
        failures = 0;
      } catch (error) {
        if (outbox.stream === stream) outbox.stream = null;
        stream?.abort(error instanceof Error ? error : new Error(String(error)));
        failures += 1;
        // Null: it could not even be opened. Else a fresh stream gets one more chance.
        if (stream === null || failures > 1 || stopped) return giveUp(outbox, error);
      }
    }
  };

  const start = (outbox: Outbox): void => {
    if (outbox.busy) return;
    outbox.busy = true;
    // A microtask later, so that everything the core sends in one turn shares one write.
    queueMicrotask(() => {
      flush(outbox)
        .catch((error: unknown) => giveUp(outbox, error))
        .finally(() => {
          outbox.busy = false;
          if (outbox.frames.length > 0 && outboxes.get(outbox.peer) === outbox) start(outbox);
        });
    });
  };

  deps.presence.listen({
    onConnected: (peer) => handlers?.onConnected(peer),
    onDisconnected: (peer) => {
      const outbox = outboxes.get(peer);
      if (outbox !== undefined && outbox.frames.length === 0 && !outbox.busy) outboxes.delete(peer);
      handlers?.onDisconnected(peer);
    },
  });

  return {
    send(to, frame) {
      if (stopped) return false;
      const outbox = outboxOf(to);
      const full =
        outbox.frames.length >= deps.limits.queueFrames ||
        outbox.bytes + frame.byteLength > deps.limits.queueBytes;
      if (full || frame.byteLength > MESSAGE_MAX_BYTES) {
        counts.droppedOverflow += 1;
        if (full) queueMicrotask(() => handlers?.onUnreachable(to));
        else
          deps.log.error(
            { bytes: frame.byteLength, maxBytes: MESSAGE_MAX_BYTES },
            'messages.oversized',
          );
        return false;
      }
      outbox.frames.push(frame);
      outbox.bytes += frame.byteLength;
      start(outbox);
      return true;
    },
    listen(given) {
      handlers = given;
      for (const peer of deps.presence.members()) given.onConnected(peer);
      listening.resolve(given);
    },
    stats() {
      let queuedFrames = 0;
      let queuedBytes = 0;
      for (const outbox of outboxes.values()) {
        queuedFrames += outbox.frames.length;
        queuedBytes += outbox.bytes;
      }
      return { ...counts, ...inbound.stats(), queuedFrames, queuedBytes };
    },
    handle(stream, connection) {
      deps.presence.seen(connection.remotePeer);
      inbound.add(stream, asNodeId(connection.remotePeer.toString()));
    },
    stop() {
      stopped = true;
      inbound.stop();
      for (const outbox of outboxes.values()) outbox.stream?.abort(new Error('shutting down'));
      outboxes.clear();
    },
  };
}

function takeBatch(outbox: Outbox): Uint8Array[] {
  let count = 0;
  let bytes = 0;
  for (const frame of outbox.frames) {
    if (count > 0 && bytes + frame.byteLength > BATCH) break;
    bytes += frame.byteLength;
    count += 1;
  }
  const batch = outbox.frames.slice(0, count);
  outbox.frames = outbox.frames.slice(count);
  outbox.bytes -= bytes;
  return batch;
}
