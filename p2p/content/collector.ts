/**
 * What is removed when the content store is above its quota: blocks that no pin holds and nobody uses, the
 * oldest first. Collecting marks from the roots.
 */
import type { Datastore } from 'interface-datastore';
import type { CID } from 'multiformats/cid';
import type { Log } from '../log.ts';
import type { BlockFiles, BlockKey, StoredBlock } from './blockstore.ts';
import { factsOf, mayHaveLinks } from './dag.ts';
import { pinnedRoots } from './pins.ts';

/** Collecting goes on to this share of the quota, so that it is not needed again at once. */
const COLLECT_TO = 0.9;

interface CollectorDeps {
  readonly blocks: BlockFiles;
  readonly datastore: Datastore;
  readonly quotaBytes: number;
  readonly log: Log;
}

export interface Collected {
  readonly removedBlocks: number;
  readonly removedBytes: number;
  readonly keptBytes: number;
}

/** @param everything whatever is not in use goes, however little there is */
export async function collect(
  deps: CollectorDeps,
  guard: Guard,
  everything: boolean,
): Promise<Collected> {
  const { blocks, quotaBytes } = deps;
  const files: StoredBlock[] = [];
  let used = 0;
  for await (const file of blocks.files()) {
    files.push(file);
    used += file.bytes;
  }
  const result = { removedBlocks: 0, removedBytes: 0, keptBytes: used };
  if (used <= quotaBytes && !everything) return result;
  const keepBytes = everything ? 0 : quotaBytes * COLLECT_TO;
  files.sort((a, b) => a.modifiedAt - b.modifiedAt);
  let live = new Set<BlockKey>();
  let marked = -1;
  for (const file of files) {
    if (result.keptBytes <= keepBytes) break;
    // What was pinned or taken into use since the last marking may hold this very block.
    while (marked !== guard.version()) {
      marked = guard.version();
      const roots = [...guard.held()];
      for await (const root of pinnedRoots(deps.datastore)) roots.push(root);
      live = await mark(roots, blocks);
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

export interface Guard {
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
export function createGuard(blocks: BlockFiles): Guard {
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
