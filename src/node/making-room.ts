/**
 * What a full disk can do without: content that nobody pins, which is what jobs fetched and are done with.
 * It goes at once, all of it; the quota of the content may be far above what the disk has room for, and
 * a peer that keeps to it would be full for good. Decides nothing about whether the disk is full.
 */
import type { HostContent } from '../../p2p/content/content.ts';
import type { Log } from '../lib/log.ts';

export interface RoomMaking {
  /** The disk has become full, or had no room for something large. */
  begin(): void;
  stop(): void;
}

/** What is in use stays, so it is tried again, ever less often: each time the whole store is looked at. */
const AGAIN_MS = 5_000;
const AGAIN_MAX_MS = 10 * 60_000;

export function createRoomMaking(deps: {
  readonly content: Pick<HostContent, 'collect'>;
  /** The disk is full now. */
  readonly full: () => boolean;
  /** Waits; false when the signal came first. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<boolean>;
  readonly log: Log;
}): RoomMaking {
  const stopped = new AbortController();
  let working = false;

  async function work(): Promise<void> {
    for (let ms = AGAIN_MS; ; ms = Math.min(2 * ms, AGAIN_MAX_MS)) {
      const { removedBlocks, removedBytes } = await deps.content.collect(true);
      if (removedBlocks > 0) deps.log.info({ removedBlocks, removedBytes }, 'content.made-room');
      if (!deps.full() || !(await deps.pause(ms, stopped.signal))) return;
    }
  }

  return {
    begin() {
      if (working || stopped.signal.aborted) return;
      working = true;
      work()
        .catch((error: unknown) =>
          deps.log.warn({ error: String(error) }, 'content.collect-failed'),
        )
        .finally(() => {
          working = false;
        });
    },
    stop: () => stopped.abort(),
  };
}
