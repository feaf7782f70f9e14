/**
 * Reading a file while it is being fetched: each block is given out as soon as it is on this disk, so
 * the first byte does not wait for the last. Fetches nothing itself; `fetch.ts` does.
 */
import type { CID } from 'multiformats/cid';
import { ShoalError } from '../../src/failures/shoal-error.ts';
import type { FetchOptions } from '../../src/lib/content.ts';
import type { BlockFiles, BlockKey } from './blockstore.ts';
import type { Fetcher } from './fetch.ts';
import { readFileBytes } from './files.ts';
import type { Loader } from './files.ts';

/** The bytes of a file from its first block on, while the rest of it is still on its way. */
export async function* readWhileFetched(
  { blocks, fetcher }: { readonly blocks: BlockFiles; readonly fetcher: Fetcher },
  root: CID,
  file: CID,
  options: FetchOptions,
): AsyncGenerator<Uint8Array> {
  const left = new AbortController();
  const signal = AbortSignal.any([options.signal, left.signal]);
  const again = (cid: CID): Promise<void> =>
    fetcher.ensure(root, [cid], false, { ...options, signal });
  const arrivals = createArrivals(blocks, root, again, signal);
  const { onBlock, onStored } = arrivals;
  const fetching = fetcher
    .ensure(root, [file], true, { ...options, signal, onBlock, onStored })
    .then(
      () => arrivals.end(null),
      (error: unknown) => arrivals.end(error),
    );
  try {
    yield* readFileBytes(file, arrivals.loader);
    // A reader that has everything still hears that the whole was refused.
    await fetching;
    arrivals.check();
  } finally {
    left.abort(new ShoalError({ code: 'interrupted', what: 'Nobody reads on.' }));
    await fetching;
  }
}

interface Arrivals {
  /** Waits for a block until it is here or the fetch has ended. */
  readonly loader: Loader;
  readonly onBlock: (cid: CID, bytes: Uint8Array) => void;
  readonly onStored: (cid: CID) => void;
  end(error: unknown): void;
  /** @throws what the fetch failed with. */
  check(): void;
}

function createArrivals(
  blocks: BlockFiles,
  root: CID,
  again: (cid: CID) => Promise<void>,
  signal: AbortSignal,
): Arrivals {
  const waiting = new Map<BlockKey, PromiseWithResolvers<Uint8Array | null>>();
  let ended = false;
  let failure: unknown = null;
  const check = (): void => {
    if (failure !== null) throw failure;
  };
  return {
    check,
    // Who waits for it need not wait for the disk.
    onBlock: (cid, bytes) => waiting.get(blocks.keyOf(cid))?.resolve(Buffer.from(bytes)),
    onStored: (cid) => waiting.get(blocks.keyOf(cid))?.resolve(null),
    end(error) {
      ended = true;
      failure = error;
      for (const { resolve } of waiting.values()) resolve(null);
    },
    loader: {
      async load(cid) {
        // A file may give nothing for long, and then nobody but the signal ends its reader.
        signal.throwIfAborted();
        const key = blocks.keyOf(cid);
        // Before looking: a block that comes while we look must not be missed.
        const arrival = waiting.get(key) ?? Promise.withResolvers<Uint8Array | null>();
        if (!ended) waiting.set(key, arrival);
        const here = (await blocks.read(cid)) ?? (ended ? null : await arrival.promise);
        waiting.delete(key);
        const bytes = here ?? (await blocks.read(cid));
        if (bytes !== null) return bytes;
        check();
        // It was here when the fetch looked, and is not what it was: damaged meanwhile.
        await again(cid);
        const mended = await blocks.read(cid);
        if (mended !== null) return mended;
        throw new ShoalError({ code: 'content-not-found', cid: root.toString(), asked: 0 });
      },
      prefetch: async () => {},
    },
  };
}
