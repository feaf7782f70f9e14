/**
 * Results that this node holds must be there. Those whose blocks are gone or damaged after a start (an
 * emptied block store, a disk put back) are fetched again from whoever has them, before anybody else has
 * to make a new copy; what cannot be had is told, and tried again now and then.
 */
import type { HostContent } from '../../p2p/content/content.ts';
import type { Log } from '../lib/log.ts';

export interface ResultMender {
  /** Looks at these results, one after the other; resolves when all are there or it was stopped. Never throws. */
  check(cids: readonly string[]): Promise<void>;
  stop(): void;
}

/** The mesh is not there at once after a start. */
const FIRST_PAUSE_MS = 2_000;
const LONGEST_PAUSE_MS = 15 * 60_000;
/** Then the other holders are told: another node can make a copy. */
const LOST_MS = 120_000;
/** For the blocks of one result. */
const FETCH_MS = 600_000;

export function createResultMender(deps: {
  readonly content: Pick<HostContent, 'has' | 'replicate'>;
  readonly maxBytes: number;
  /** A result is lost here, and nobody who can be reached has it. Told once. */
  readonly lost: (cid: string) => void;
  /** Still to be kept: its time may end meanwhile. */
  readonly wanted: (cid: string) => boolean;
  readonly log: Log;
  readonly clock: {
    /** Milliseconds, monotonic. */
    readonly now: () => number;
    readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
  };
}): ResultMender {
  const { content, log, clock } = deps;
  const stopped = new AbortController();

  async function isThere(cid: string): Promise<boolean> {
    try {
      return await content.has(cid);
    } catch (error) {
      log.warn({ cid, error: String(error) }, 'result.not-checked');
      return true;
    }
  }

  async function mended(cid: string): Promise<boolean> {
    try {
      const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(FETCH_MS)]);
      await content.replicate(cid, { holders: [], maxBytes: deps.maxBytes, signal });
      log.info({ cid }, 'result.mended');
      return true;
    } catch (error) {
      log.debug({ cid, error: String(error) }, 'result.not-mended');
      return false;
    }
  }

  return {
    async check(cids) {
      let missing: string[] = [];
      for (const cid of cids) {
        if (stopped.signal.aborted) return;
        if (!(await isThere(cid))) missing.push(cid);
      }
      if (missing.length > 0) log.warn({ results: missing.length }, 'result.missing');
      const since = clock.now();
      let told = false;
      for (let pauseMs = FIRST_PAUSE_MS; missing.length > 0; pauseMs *= 2) {
        await clock.pause(Math.min(pauseMs, LONGEST_PAUSE_MS), stopped.signal);
        const still: string[] = [];
        for (const cid of missing) {
          if (stopped.signal.aborted) return;
          if (deps.wanted(cid) && !(await mended(cid))) still.push(cid);
        }
        missing = still;
        if (!told && clock.now() - since >= LOST_MS) {
          told = true;
          for (const cid of missing) deps.lost(cid);
        }
      }
    },
    stop: () => stopped.abort(),
  };
}
