/**
 * The content store: UnixFS DAGs in and out of this node, pins, and collecting what no pin holds when
 * the quota is reached. Where blocks come from is `fetch.ts`; how trees are read and written is
 * `files.ts`; how files become blocks is `import.ts`.
 *
 * Pins are one record per root, and collecting marks from the roots. Helia's own pins count
 * references per block: 2,000 small files are 2,000 records, and removing one of two pins that share
 * a block can leave the other one's block unprotected.
 */
import { Key } from 'interface-datastore';
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
import type { BlockFiles, BlockKey, StoredBlock } from './blockstore.ts';
import { factsOf, mayHaveLinks, parseCid } from './dag.ts';
import type { Fetcher } from './fetch.ts';
import { resolvePath, walkTree, writeTree } from './files.ts';
import type { Loader } from './files.ts';
import { importBytes, importPath } from './import.ts';
import type { Log } from '../log.ts';
import { createMender } from './mender.ts';

const PIN_PREFIX = '/shoal/pins';
/** Collecting goes on to this share of the quota, so that it is not needed again at once. */
const COLLECT_TO = 0.9;

export interface ContentDeps {
  readonly blocks: BlockFiles;
  readonly datastore: Datastore;
  readonly fetcher: Fetcher;
  /** Tells the DHT, in the background, that this root is here. */
  readonly provide: (root: CID) => void;
  readonly quotaBytes: number;
  readonly log: Log;
}

export interface Collected {
  readonly removedBlocks: number;
  readonly removedBytes: number;
  readonly keptBytes: number;
}

export interface HostContent extends ContentStore {
  /** Removes unpinned blocks, oldest first, when the store is above its quota. */
  collect(): Promise<Collected>;
  /** Roots pinned here. */
  pins(): AsyncIterable<string>;
  /** Size of the block files, bytes. */
  usedBytes(): Promise<number>;
  /** Mends no more blocks. */
  stop(): void;
}

const pinKey = (cid: CID): Key => new Key(`${PIN_PREFIX}/${cid.toString()}`);

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

  const pinRoot = async (cid: CID): Promise<void> => {
    await deps.datastore.put(pinKey(cid), Buffer.from(JSON.stringify({ at: Date.now() })));
    guard.changed();
    deps.provide(cid);
  };

  const sizeOf = async (root: CID, options: FetchOptions): Promise<number> => {
    let bytes = 0;
    for await (const entry of walkTree(root, loaderOf(root, options))) bytes += entry.bytes;
    return bytes;
  };

  return {
    add: (source, signal) =>
      guard.using(null, async () => {
        const { cid, bytes, dropped } = await importPath(source, blocks, signal);
        await pinRoot(cid);
        return { cid: cid.toString(), bytes, dropped };
      }),

    addStream: (source, signal) =>
      guard.using(null, async () => {
        let bytes = 0;
        const counted = async function* (): AsyncGenerator<Uint8Array> {
          for await (const chunk of source) {
            signal.throwIfAborted();
            bytes += chunk.byteLength;
            yield chunk;
          }
        };
        const cid = await importBytes(counted(), blocks);
        await pinRoot(cid);
        return { cid: cid.toString(), bytes };
      }),

    writeTo(text, destination, options) {
      const root = parseCid(text);
      return guard.using(root, async () => {
        await fetcher.ensure(root, [root], true, options);
        const { kind, bytes } = await writeTree(
          root,
          destination,
          loaderOf(root, options),
          options,
        );
        return { cid: root.toString(), bytes, kind };
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
      const root = parseCid(text);
      const release = guard.hold(root);
      try {
        for await (const entry of walkTree(root, loaderOf(root, options))) {
          yield { path: entry.path, kind: entry.kind, bytes: entry.bytes };
        }
      } finally {
        release();
      }
    },

    async *read(text, at, options): AsyncGenerator<Uint8Array> {
      const root = parseCid(text);
      const release = guard.hold(root);
      try {
        const file = await resolvePath(root, at, loaderOf(root, options));
        yield* readWhileFetched(deps, root, file, options);
      } finally {
        release();
      }
    },

    async has(text) {
      const root = parseCid(text);
      return (await fetcher.missing([root], true)).length === 0;
    },

    pin: async (text) => pinRoot(parseCid(text)),
    unpin: async (text) => deps.datastore.delete(pinKey(parseCid(text))),

    async *pins() {
      for await (const key of deps.datastore.queryKeys({ prefix: PIN_PREFIX })) yield key.name();
    },

    async usedBytes() {
      let bytes = 0;
      for await (const file of blocks.files()) bytes += file.bytes;
      return bytes;
    },

    collect: () => guard.using(null, () => collect(deps, guard)),
    stop: mender.stop,
  };
}

async function collect(deps: ContentDeps, guard: Guard): Promise<Collected> {
  const { blocks, quotaBytes } = deps;
  const files: StoredBlock[] = [];
  let used = 0;
  for await (const file of blocks.files()) {
    files.push(file);
    used += file.bytes;
  }
  const result = { removedBlocks: 0, removedBytes: 0, keptBytes: used };
  if (used <= quotaBytes) return result;
  files.sort((a, b) => a.modifiedAt - b.modifiedAt);
  let live = new Set<BlockKey>();
  let marked = -1;
  for (const file of files) {
    if (result.keptBytes <= quotaBytes * COLLECT_TO) break;
    // What was pinned or taken into use since the last marking may hold this very block.
    while (marked !== guard.version()) {
      marked = guard.version();
      live = await mark([...(await pinnedRoots(deps.datastore)), ...guard.held()], blocks);
    }
    if (live.has(file.key) || guard.fresh(file.key)) continue;
    await blocks.remove(file.key);
    result.removedBlocks += 1;
    result.removedBytes += file.bytes;
    result.keptBytes -= file.bytes;
  }
  deps.log.info({ ...result, quotaBytes }, 'content.collected');
  return result;
}

async function pinnedRoots(datastore: Datastore): Promise<CID[]> {
  const roots: CID[] = [];
  for await (const key of datastore.queryKeys({ prefix: PIN_PREFIX }))
    roots.push(parseCid(key.name()));
  return roots;
}

/** All blocks below these roots that are here. */
async function mark(roots: readonly CID[], blocks: BlockFiles): Promise<Set<BlockKey>> {
  const live = new Set<BlockKey>();
  const stack: CID[] = [];
  const found = (cid: CID): void => {
    const key = blocks.keyOf(cid);
    if (live.has(key)) return;
    live.add(key);
    // What may lead on waits, and nothing else: many waiting leaves are much memory.
    if (mayHaveLinks(cid)) stack.push(cid);
  };
  for (const root of roots) found(root);
  for (let cid = stack.pop(); cid !== undefined; cid = stack.pop()) {
    const bytes = await blocks.read(cid);
    if (bytes !== null) for (const link of factsOf(cid, bytes).links) found(link.cid);
  }
  return live;
}

interface Guard {
  /** Protects a root, and everything put meanwhile, while `work` runs. */
  using<T>(root: CID | null, work: () => Promise<T>): Promise<T>;
  hold(root: CID | null): () => void;
  held(): readonly CID[];
  fresh(key: BlockKey): boolean;
  /** Something became worth keeping: a marking made before is void. */
  changed(): void;
  version(): number;
}

/** What is being imported or read has no pin yet: this keeps the collector off it. */
function createGuard(blocks: BlockFiles): Guard {
  const roots = new Map<symbol, CID | null>();
  const fresh = new Set<BlockKey>();
  let version = 0;
  blocks.onPut((key) => {
    if (roots.size > 0) fresh.add(key);
  });
  const hold = (root: CID | null): (() => void) => {
    const token = Symbol('use');
    roots.set(token, root);
    if (root !== null) version += 1;
    return () => {
      roots.delete(token);
      if (roots.size === 0) fresh.clear();
    };
  };
  return {
    hold,
    async using(root, work) {
      const release = hold(root);
      try {
        return await work();
      } finally {
        release();
      }
    },
    held: () => [...roots.values()].filter((root) => root !== null),
    fresh: (key) => fresh.has(key),
    changed: () => {
      version += 1;
    },
    version: () => version,
  };
}
