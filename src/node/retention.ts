/**
 * How long results stay: each one this node made or copied is pinned, and fetched again when it is
 * found missing at a start, until its retention time is over, then unpinned; what nobody pins is collected when the quota is reached, or the
 * disk is full (`making-room.ts`).
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { HostContent } from '../../p2p/content/content.ts';
import type { Log } from '../lib/log.ts';
import { createResultMender } from './result-mender.ts';
import type { KeyValues } from '../store/key-values.ts';

export interface Retention {
  /**
   * Keeps a result, pinned already, for the retention time from now on. Never throws: what cannot be
   * written down now is with the next round.
   */
  hold(cid: string): void;
  stop(): void;
}

const PREFIX = 'result/';
const ROUND_MS = 15 * 60_000;
/** A full disk takes no new results, so this many come only from what was under way. */
const UNWRITTEN_MAX = 10_000;

export function createRetention(deps: {
  readonly kv: KeyValues;
  /** Counted time, milliseconds. */
  readonly now: () => number;
  readonly content: HostContent;
  readonly retentionMs: number;
  /** More than this is not fetched again. */
  readonly maxBytes: number;
  /** A result is lost here, and nobody who can be reached has it. */
  readonly lost: (cid: string) => void;
  readonly log: Log;
}): Retention {
  const { kv, content, retentionMs, log } = deps;
  const mender = createResultMender({
    ...deps,
    wanted: (cid) => kv.get(`${PREFIX}${cid}`) !== null,
    clock: {
      now: () => performance.now(),
      // Its end by the signal is looked at afterwards.
      pause: (ms, signal) => delay(ms, undefined, { signal, ref: false }).catch(() => {}),
    },
  });

  /** Pinned, but not written down: the disk was full. */
  const unwritten = new Map<string, number>();

  function note(cid: string, until: number): void {
    try {
      kv.put(`${PREFIX}${cid}`, '', until);
      unwritten.delete(cid);
    } catch (error) {
      if (unwritten.size < UNWRITTEN_MAX) unwritten.set(cid, until);
      log.warn({ cid, error: String(error) }, 'result.not-noted');
    }
  }

  /** Pins are where things are that can be learned again; these were written down a second time. */
  async function pinAgain(): Promise<void> {
    const pinned = new Set<string>();
    for await (const cid of content.pins()) pinned.add(cid);
    const held = kv.list(PREFIX).map(({ key }) => key.slice(PREFIX.length));
    for (const cid of held.filter((one) => !pinned.has(one))) await content.pin(cid);
    await mender.check(held);
  }

  async function round(): Promise<void> {
    const now = deps.now();
    for (const [cid, until] of [...unwritten]) note(cid, until);
    for (const { key, until } of kv.list(PREFIX)) {
      // What was counted may be lost: nothing is kept for longer than from now on.
      if (until === null || until > now + retentionMs)
        note(key.slice(PREFIX.length), now + retentionMs);
      if (until === null || until > now) continue;
      await content.unpin(key.slice(PREFIX.length));
      kv.delete(key);
    }
    kv.expire(now);
    const { removedBlocks, removedBytes } = await content.collect(false);
    if (removedBlocks > 0) log.info({ removedBlocks, removedBytes }, 'content.collected');
  }

  const failed = (error: unknown): void =>
    log.warn({ error: String(error) }, 'content.collect-failed');
  void pinAgain().catch(failed);
  const timer = setInterval(() => void round().catch(failed), ROUND_MS);
  timer.unref();
  return {
    hold: (cid) => note(cid, deps.now() + retentionMs),
    stop: () => {
      clearInterval(timer);
      mender.stop();
    },
  };
}
