/**
 * Whether connections still carry anything. Packets that vanish without a word leave a connection that
 * looks healthy: TCP repeats what was lost after pauses that double, so after a cut it stays silent for
 * about as long again as the cut was. A connection on which nothing arrived for a while is probed, and
 * closed when still nothing arrives, not one byte of anything; `discovery.ts` then dials anew.
 *
 * What may not be cut: a busy connection, on which bytes arrive (a transfer that we send brings window
 * updates); a peer whose loop stands for some seconds; anything, because this node itself stood still.
 */
import type { MessageStream } from '@libp2p/interface';
import type { yamux } from '@libp2p/yamux';
import type { Log } from '../log.ts';

/** Without a byte for so long, a connection is probed: whoever is busy is never asked. */
export const QUIET_MS = 5_000;
/**
 * For so long a probe may bring nothing. Together with the above three times what the core waits before
 * it believes a node dead, so no failure is noticed later or more often by it; and half of the 30 s
 * within which a mesh that was cut agrees again.
 */
export const SILENT_MS = 10_000;
/** How often is looked. */
export const BEAT_MS = 1_000;
/** A look that comes later than this says that this node stood still, and nothing about others. */
const LATE_MS = 1_000;

/** What is watched of a connection. */
export interface Line {
  /** Has the other side answer. Never throws. */
  probe(): void;
  /** Ends the connection without waiting for anybody. */
  cut(why: Error): void;
}

export interface Pulse {
  /** Something arrived. */
  heard(): void;
  /** The connection is gone. */
  forget(): void;
}

export interface Pulses {
  watch(line: Line): Pulse;
  /** Looks at all of them; called every {@link BEAT_MS}. */
  beat(): void;
  /** Connections that were closed because nothing arrived. */
  cuts(): number;
}

interface Watched {
  readonly line: Line;
  heardAt: number;
  probedAt: number | null;
}

/** @param now monotonic, milliseconds */
export function createPulses(now: () => number, log: Log): Pulses {
  const all = new Set<Watched>();
  let lookedAt = now();
  let cuts = 0;

  const look = (one: Watched, at: number): void => {
    if (one.probedAt === null) {
      if (at - one.heardAt < QUIET_MS) return;
      one.probedAt = at;
      one.line.probe();
    } else if (at - one.probedAt >= SILENT_MS) {
      cuts += 1;
      all.delete(one);
      const silentMs = Math.round(at - one.heardAt);
      log.debug({ silentMs }, 'connection.silent');
      one.line.cut(new Error(`nothing arrived for ${silentMs} ms, although it was asked for`));
    }
  };

  return {
    watch(line) {
      const one: Watched = { line, heardAt: now(), probedAt: null };
      all.add(one);
      return {
        heard() {
          one.heardAt = now();
          one.probedAt = null;
        },
        forget: () => void all.delete(one),
      };
    },
    beat() {
      const at = now();
      const late = at - lookedAt > BEAT_MS + LATE_MS;
      lookedAt = at;
      for (const one of all) {
        // What arrived while we stood still has not been read yet.
        if (late && one.probedAt !== null) one.probedAt = at;
        look(one, at);
      }
    },
    cuts: () => cuts,
  };
}

type Factory = ReturnType<ReturnType<typeof yamux>>;
type Muxer = ReturnType<Factory['createStreamMuxer']>;

/** The same muxer, and each connection that it is put on is watched. */
export function withPulse(muxer: () => Factory, pulses: Pulses): () => Factory {
  return () => {
    const factory = muxer();
    const create = factory.createStreamMuxer.bind(factory);
    return Object.assign(factory, {
      createStreamMuxer(connection: MessageStream): Muxer {
        const made = create(connection);
        const pulse = pulses.watch({
          // Answered by the muxer of the other side, whatever its program is busy with.
          probe: () => void made.ping().catch(() => {}),
          cut: (why) => connection.abort(why),
        });
        connection.addEventListener('message', pulse.heard);
        connection.addEventListener('close', pulse.forget);
        return made;
      },
    });
  };
}
