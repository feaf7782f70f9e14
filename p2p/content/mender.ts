/**
 * Fetches blocks again that were found damaged on this disk: who met one may have asked for something
 * else, or be another peer that goes to the next holder, and a pin promises that the block is here.
 */
import { BLOCK_MAX_BYTES } from '../protocols/blocks.ts';
import type { CID } from 'multiformats/cid';
import type { Fetcher } from './fetch.ts';
import { reasonOf } from '../log.ts';
import type { Log } from '../log.ts';

export interface Mender {
  /** In the background, one after the other; what cannot be had is left missing. */
  readonly mend: (cid: CID) => void;
  readonly stop: () => void;
}

/** A whole disk may rot: what does not fit is fetched when somebody asks for it. */
const WAITING_MAX = 1_000;
const MEND_MS = 60_000;

export function createMender(deps: { readonly fetcher: Fetcher; readonly log: Log }): Mender {
  const waiting = new Map<string, CID>();
  const stopped = new AbortController();
  let mending = false;

  async function mendAll(): Promise<void> {
    mending = true;
    for (const [key, cid] of waiting) {
      if (stopped.signal.aborted) break;
      try {
        const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(MEND_MS)]);
        await deps.fetcher.ensure(cid, [cid], false, {
          holders: [],
          maxBytes: BLOCK_MAX_BYTES,
          signal,
        });
        deps.log.info({ cid: key }, 'blocks.mended');
      } catch (error) {
        deps.log.warn({ cid: key, why: reasonOf(error) }, 'blocks.not-mended');
      }
      waiting.delete(key);
    }
    mending = false;
  }

  return {
    mend(cid) {
      if (stopped.signal.aborted || waiting.size >= WAITING_MAX) return;
      waiting.set(cid.toString(), cid);
      if (!mending) void mendAll();
    },
    stop: () => stopped.abort(),
  };
}
