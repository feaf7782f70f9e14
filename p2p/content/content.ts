/**
 * The content store: UnixFS DAGs in and out of this node, and pins. Where blocks come from is `fetch.ts`;
 * how trees are read and written is `files.ts`; how files become blocks is `import.ts`; what is removed when
 * the quota is reached is `collector.ts`.
 */
import type { Datastore } from 'interface-datastore';
import type { CID } from 'multiformats/cid';
import { ShoalError } from '../../src/failures/shoal-error.ts';
import type {
  ContentEntry,
  ContentRef,
  ContentStore,
  FetchOptions,
} from '../../src/lib/content.ts';
import { readWhileFetched } from './arrivals.ts';
import type { BlockFiles } from './blockstore.ts';
import { collect, createGuard } from './collector.ts';
import type { Collected } from './collector.ts';
import { parseCid, parsePlace } from './dag.ts';
import type { ContentPlace } from './dag.ts';
import { pinKey, pinnedRoots } from './pins.ts';
import type { Fetcher } from './fetch.ts';
import { resolvePath, walkTree, writeTree } from './files.ts';
import type { Loader } from './files.ts';
import { importBytes, importPath } from './import.ts';
import type { Log } from '../log.ts';
import { createMender } from './mender.ts';
import { failpoint } from '../../src/lib/failpoint.ts';

/** Nobody gives up asking whether something is here. */
const NEVER = new AbortController().signal;

export interface ContentDeps {
  readonly blocks: BlockFiles;
  readonly datastore: Datastore;
  readonly fetcher: Fetcher;
  /** Tells the DHT, in the background, that this root is here. */
  readonly provide: (root: CID) => void;
  readonly quotaBytes: number;
  readonly log: Log;
}

export interface HostContent extends ContentStore {
  /**
   * Removes unpinned blocks, oldest first, when the store is above its quota; `everything`: all of them,
   * however little is in it. What is in use stays.
   */
  collect(everything: boolean): Promise<Collected>;
  /** Roots pinned here. */
  pins(): AsyncIterable<string>;
  /** Size of the block files, bytes. */
  usedBytes(): Promise<number>;
  /** Mends no more blocks. */
  stop(): void;
}

export function createContentStore(deps: ContentDeps): HostContent {
  const { blocks, fetcher } = deps;
  const guard = createGuard(blocks);
  const mender = createMender(deps);
  blocks.onDamaged(mender.mend);

  const loaderOf = (root: CID, options: FetchOptions): Loader => ({
    async load(cid) {
      // What is all here is walked without asking anybody, and must end with its reader all the same.
      options.signal.throwIfAborted();
      const here = await blocks.read(cid);
      if (here !== null) return here;
      await fetcher.ensure(root, [cid], false, options);
      const fetched = await blocks.read(cid);
      if (fetched !== null) return fetched;
      throw new ShoalError({
        code: 'content-corrupt',
        cid: cid.toString(),
        why: 'its block vanished',
      });
    },
    prefetch: (cids) => fetcher.ensure(root, cids, false, options),
  });

  /** What of a place is meant: its root, or what lies at the path below that. */
  const meantBy = async ({ root, path }: ContentPlace, options: FetchOptions): Promise<CID> =>
    path === '' ? root : resolvePath(root, path, loaderOf(root, options));

  const pinRoot = async (cid: CID): Promise<void> => {
    failpoint('pin.before');
    await deps.datastore.put(pinKey(cid), Buffer.from(JSON.stringify({ at: Date.now() })));
    failpoint('pin.after');
    guard.changed();
    deps.provide(cid);
  };

  const sizeOf = async (root: CID, options: FetchOptions): Promise<number> => {
    let bytes = 0;
    // All of it is here: what is counted is what there is, not what somebody says.
    const loader = { ...loaderOf(root, options), sizeHere: blocks.size };
    for await (const entry of walkTree(root, loader)) bytes += entry.bytes;
    return bytes;
  };

  return {
    add: (source, signal) =>
      guard.using(null, async () => {
        const { cid, bytes, dropped } = await importPath(source, blocks, signal);
        await pinRoot(cid);
        return { cid: cid.toString(), bytes, dropped };
      }),

    addStream: (source, signal, mode = null) =>
      guard.using(null, async () => {
        let bytes = 0;
        const counted = async function* (): AsyncGenerator<Uint8Array> {
          for await (const chunk of source) {
            signal.throwIfAborted();
            bytes += chunk.byteLength;
            yield chunk;
          }
        };
        const cid = await importBytes(counted(), blocks, mode);
        await pinRoot(cid);
        return { cid: cid.toString(), bytes };
      }),

    writeTo(text, destination, options) {
      const place = parsePlace(text);
      const { root } = place;
      return guard.using(root, async () => {
        const meant = await meantBy(place, options);
        await fetcher.ensure(root, [meant], true, options);
        const loader = loaderOf(root, options);
        const { kind, bytes } = await writeTree(meant, destination, loader, options);
        return { cid: meant.toString(), bytes, kind };
      });
    },

    replicate(text, options): Promise<ContentRef> {
      const root = parseCid(text);
      return guard.using(root, async () => {
        await fetcher.ensure(root, [root], true, options);
        const bytes = await sizeOf(root, options);
        if (bytes > options.maxBytes) {
          const { maxBytes } = options;
          throw new ShoalError({
            code: 'content-too-large',
            cid: root.toString(),
            bytes,
            maxBytes,
          });
        }
        await pinRoot(root);
        return { cid: root.toString(), bytes };
      });
    },

    async *list(text, options): AsyncGenerator<ContentEntry> {
      const place = parsePlace(text);
      const { root } = place;
      const release = guard.hold(root);
      try {
        const meant = await meantBy(place, options);
        for await (const { cid: _, ...entry } of walkTree(meant, loaderOf(root, options)))
          yield entry;
      } finally {
        release();
      }
    },

    async *read(text, at, options): AsyncGenerator<Uint8Array> {
      const { root, path } = parsePlace(text);
      const release = guard.hold(root);
      try {
        const file = await meantBy({ root, path: `${path}/${at}` }, options);
        yield* readWhileFetched(deps, root, file, options);
      } finally {
        release();
      }
    },

    async has(text) {
      const root = parseCid(text);
      return (await fetcher.missing([root], true, NEVER)).length === 0;
    },

    pin: async (text) => pinRoot(parseCid(text)),
    unpin: async (text) => deps.datastore.delete(pinKey(parseCid(text))),

    async *pins() {
      for await (const root of pinnedRoots(deps.datastore)) yield root.toString();
    },

    async usedBytes() {
      let bytes = 0;
      for await (const file of blocks.files()) bytes += file.bytes;
      return bytes;
    },

    collect: (everything) => guard.using(null, () => collect(deps, guard, everything)),
    stop: mender.stop,
  };
}
