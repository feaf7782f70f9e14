/**
 * Makes blocks local: from this disk, else from holders by the blocks protocol, else from other
 * members that say they have them, else by bitswap from the same peers and from plain IPFS nodes,
 * else from providers that the DHT names. Every block is checked against its CID and must have been
 * asked for. Keeps no pins and writes no files.
 */
import type { CID } from 'multiformats/cid';
import { ShoalError } from '../../src/failures/shoal-error.ts';
import { asNodeId } from '../../src/core/record/ids.ts';
import type { NodeId } from '../../src/core/record/ids.ts';
import type { FetchOptions } from '../../src/lib/content.ts';
import { createLimiter } from '../../src/lib/limiter.ts';
import type { BlockFiles } from './blockstore.ts';
import { BLOCKS_MAX, factsOf, mayHaveLinks, PENDING_MAX, tooMuch } from './dag.ts';
import { inlined } from './hashes.ts';
import { count, createJudge } from './wanted.ts';
import type { Tally } from './wanted.ts';
import { reasonOf } from '../log.ts';
import type { Log } from '../log.ts';
import { HolderBusy } from '../protocols/blocks.ts';
import type { BlockSession, BlocksService } from '../protocols/blocks.ts';
import { createPermits } from '../protocols/permits.ts';
import type { PeerFault } from '../peers/standing.ts';

/** Nothing complete from a holder for so long: the next one. */
const STALL_MS = 5_000;
const ASK_MS = 2_000;
/** Blocks being checked and written while the next ones arrive. */
const WRITES_MAX = 8;
/** Passes over all sources as long as each brings something, or somebody had no time. */
const ROUNDS = 8;
const BUSY_PAUSE_MS = 250;
/** Fetches from one holder at the same time: it serves no more of one peer, and the rest would hear `busy`. */
const PER_HOLDER = 4;
/** In line for a holder, over all fetches; a fetch that is not wanted any more leaves the line. */
const LINE_MAX = 10_000;
const LINE_MS = 24 * 3_600_000;
/** Blocks that are asked for in one pass; what else is missing is found by the next one. */
const WANTS_MAX = 100_000;
/**
 * A walk that has followed so many links has become large: so many large ones go on side by side, as each
 * takes memory, and a block of a hundred thousand links keeps everything else waiting while it is read.
 */
const LARGE_LINKS = 50_000;
const LARGE_MAX = 2;

export interface FetchDeps {
  readonly self: NodeId;
  readonly blocks: BlockFiles;
  readonly protocol: BlocksService;
  readonly members: () => readonly NodeId[];
  /** Wants these blocks by bitswap from these peers and any plain IPFS node connected. */
  readonly bitswap: (
    wants: readonly CID[],
    from: readonly NodeId[],
    signal: AbortSignal,
  ) => AsyncIterable<CID>;
  /** Peers that the DHT names; none when there is no DHT. */
  readonly providers: (root: CID, signal: AbortSignal) => Promise<readonly NodeId[]>;
  readonly fault: (peer: NodeId, fault: PeerFault) => void;
  readonly log: Log;
}

export interface EnsureOptions extends FetchOptions {
  /** Lent each block that comes, checked, before it is written: the bytes are used again afterwards. */
  readonly onBlock?: (cid: CID, bytes: Uint8Array) => void;
  /** Told of each of them once it can be read. */
  readonly onStored?: (cid: CID) => void;
}

export interface Fetcher {
  /**
   * @param deep with everything below, else only these blocks.
   * @param root names the content in errors and to the DHT.
   * @throws ShoalError `content-not-found`, `content-too-large`, `content-corrupt`.
   */
  ensure(root: CID, wants: readonly CID[], deep: boolean, options: EnsureOptions): Promise<void>;
  /**
   * What is not here of these DAGs, in depth-first order; of very many the first.
   * @throws ShoalError `content-corrupt` for more blocks than any tree has.
   */
  missing(wants: readonly CID[], deep: boolean, signal: AbortSignal): Promise<CID[]>;
}

/** One call of `ensure`: what is still to come, and what may still come. */
interface Task {
  readonly root: CID;
  readonly deep: boolean;
  readonly options: EnsureOptions;
  readonly asked: Set<NodeId>;
  readonly corrupt: Set<NodeId>;
  /** Speak our protocol: what they do not give by it, bitswap would only wait for. */
  readonly spoke: Set<NodeId>;
  /** Somebody who may have it had no time in this round. */
  busy: boolean;
  wants: readonly CID[];
  readonly tally: Tally;
}

export function createFetcher(deps: FetchDeps): Fetcher {
  const { blocks } = deps;
  const turns = createPermits({ max: LINE_MAX, perPeer: PER_HOLDER, waitingMax: LINE_MAX });

  const large = createLimiter(LARGE_MAX);

  const missing: Fetcher['missing'] = async (wants, deep, signal) => {
    const found: CID[] = [];
    const seen = new Set<string>();
    const stack: CID[] = [];
    let links = 0;
    // Remembered when it is named, not when its turn comes: blocks that name the same ones again and
    // again would have millions of them wait.
    const name = (cid: CID): void => {
      links += 1;
      const key = cid.toString();
      // A block that is its own name is here; what it names may not be.
      const isLeaf = inlined(cid) !== null && !mayHaveLinks(cid);
      if (isLeaf || seen.has(key)) return;
      seen.add(key);
      stack.push(cid);
      if (stack.length > PENDING_MAX || links > BLOCKS_MAX)
        throw tooMuch(cid, 'more blocks than a tree may have');
    };
    const walk = async (until: number): Promise<void> => {
      while (stack.length > 0 && links <= until && found.length < WANTS_MAX) {
        signal.throwIfAborted();
        const cid = stack.pop() as CID;
        if (!deep || !mayHaveLinks(cid)) {
          if (!(await blocks.has(cid))) found.push(cid);
          continue;
        }
        const bytes = await blocks.read(cid);
        if (bytes === null) found.push(cid);
        else for (const link of factsOf(cid, bytes).links.toReversed()) name(link.cid);
      }
    };
    for (const cid of wants.toReversed()) name(cid);
    await walk(LARGE_LINKS);
    if (stack.length > 0 && found.length < WANTS_MAX)
      await large(() => walk(Number.POSITIVE_INFINITY));
    return found;
  };

  /** Brings what one holder has. @returns whether it brought anything. */
  const pull = async (task: Task, peer: NodeId): Promise<boolean> => {
    const before = task.tally.received;
    const { signal } = task.options;
    const intake = createIntake(deps, task, peer);
    let session: BlockSession | null = null;
    task.asked.add(peer);
    const leave = await turns.enter(peer, LINE_MS, signal);
    try {
      signal.throwIfAborted();
      session = await deps.protocol.open(peer, signal);
      task.spoke.add(peer);
      for await (const { cid, bytes, release } of session.fetch(task.wants, task.deep, STALL_MS)) {
        // Links of other blocks are views into their bytes; raw ones have none.
        if (bytes !== null) await intake.take(cid, bytes, mayHaveLinks(cid) ? undefined : release);
      }
      await intake.settle();
    } catch (error) {
      // What is on its way to the disk would be missed there, and fetched again from the next holder.
      await intake.written();
      signal.throwIfAborted();
      if (error instanceof ShoalError && error.failure.code === 'content-too-large') throw error;
      if (error instanceof ShoalError) task.corrupt.add(peer);
      if (error instanceof HolderBusy) {
        task.busy = true;
        await pause(BUSY_PAUSE_MS);
      }
      deps.log.debug(
        { peer, cid: task.root.toString(), why: reasonOf(error) },
        'content.holder-failed',
      );
    } finally {
      session?.close();
      leave?.();
    }
    return task.tally.received > before;
  };

  const remaining = async (task: Task): Promise<boolean> => {
    task.wants = await missing(task.wants, task.deep, task.options.signal);
    return task.wants.length > 0;
  };

  /** Members, beside the given holders, that say they have the first missing block. */
  const others = async (task: Task): Promise<NodeId[]> => {
    const [wanted] = task.wants;
    const rest = deps.members().filter((peer) => !task.options.holders.includes(peer));
    const answers = await Promise.all(
      rest.map(async (peer) => {
        if (wanted === undefined || task.corrupt.has(peer)) return [];
        task.asked.add(peer);
        try {
          const session = await deps.protocol.open(peer, AbortSignal.timeout(ASK_MS));
          const has = await session.has(wanted, ASK_MS).finally(() => session.close());
          return has ? [peer] : [];
        } catch {
          return [];
        }
      }),
    );
    return answers.flat();
  };

  const pullAll = async (task: Task, peers: readonly NodeId[]): Promise<boolean> => {
    let progress = false;
    for (const peer of peers) {
      if (peer === deps.self || task.corrupt.has(peer)) continue;
      progress = (await pull(task, peer)) || progress;
      if (!(await remaining(task))) break;
    }
    return progress;
  };

  const swap = async (task: Task, peers: readonly NodeId[]): Promise<boolean> => {
    let progress = false;
    const plain = peers.filter((peer) => peer !== deps.self && !task.spoke.has(peer));
    while (task.wants.length > 0) {
      let got = 0;
      for await (const cid of deps.bitswap(task.wants, plain, task.options.signal)) {
        const bytes = await blocks.read(cid);
        if (bytes === null) continue;
        got += 1;
        account(task, cid, bytes);
        task.options.onStored?.(cid);
      }
      if (got === 0) return progress;
      progress = true;
      await remaining(task);
    }
    return progress;
  };

  return {
    missing,
    async ensure(root, wants, deep, options) {
      const task: Task = {
        root,
        deep,
        options,
        wants,
        asked: new Set(),
        corrupt: new Set(),
        spoke: new Set(),
        busy: false,
        tally: { received: 0, blocks: 0, total: 0 },
      };
      if (!(await remaining(task))) return;
      const holders = options.holders.map(asNodeId);
      for (let round = 0; round < ROUNDS && task.wants.length > 0; round += 1) {
        options.signal.throwIfAborted();
        task.busy = false;
        let progress = await pullAll(task, holders);
        if (task.wants.length > 0) progress = (await pullAll(task, await others(task))) || progress;
        if (task.wants.length > 0) progress = (await swap(task, holders)) || progress;
        if (task.wants.length > 0) {
          const named = await deps.providers(root, options.signal);
          progress = (await pullAll(task, named)) || progress;
          if (task.wants.length > 0) progress = (await swap(task, named)) || progress;
        }
        if (!progress && !task.busy) break;
      }
      if (task.wants.length > 0) throw unavailable(task);
    },
  };
}

function unavailable(task: Task): ShoalError {
  const cid = task.root.toString();
  if (task.corrupt.size > 0) {
    const why = `what ${[...task.corrupt].join(', ')} sent does not match its hash, and nobody else has it`;
    return new ShoalError({ code: 'content-corrupt', cid, why });
  }
  return new ShoalError({ code: 'content-not-found', cid, asked: task.asked.size });
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** @throws ShoalError `content-too-large`. */
function account(task: Task, cid: CID, bytes: Uint8Array): void {
  const { tally, root, options } = task;
  const tooMany = count(tally, { root, maxBytes: options.maxBytes }, cid, bytes);
  if (tooMany !== null) throw tooLarge(task, tooMany);
  options.onProgress?.(tally.received, tally.total);
}

const tooLarge = (task: Task, bytes: number): ShoalError =>
  new ShoalError({
    code: 'content-too-large',
    cid: task.root.toString(),
    bytes,
    maxBytes: task.options.maxBytes,
  });

/** Checks what arrives and writes it, a few blocks at a time beside the receiving. */
function createIntake(
  deps: FetchDeps,
  task: Task,
  peer: NodeId,
): {
  take(cid: CID, bytes: Uint8Array, release: (() => void) | undefined): Promise<void>;
  /** Waits for all writes. @throws why one of them failed. */
  settle(): Promise<void>;
  /** Waits for all writes, whatever becomes of them. */
  written(): Promise<void>;
} {
  const whyRefused = createJudge(task.wants, task.deep);
  const writing = new Set<Promise<void>>();
  let failure: unknown = null;
  const corrupt = (cid: CID, why: string): ShoalError => {
    deps.log.warn({ peer, cid: cid.toString(), why }, 'content.bad-block');
    deps.fault(peer, 'bad-block');
    return new ShoalError({ code: 'content-corrupt', cid: cid.toString(), why });
  };
  const written = async (): Promise<void> => {
    await Promise.all(writing);
  };
  return {
    written,
    async take(cid, bytes, release) {
      const why = whyRefused(cid, bytes);
      if (why !== null) throw corrupt(cid, why);
      account(task, cid, bytes);
      task.options.onBlock?.(cid, bytes);
      const write: Promise<void> = deps.blocks
        .write(cid, bytes)
        .then(() => task.options.onStored?.(cid))
        .catch((error: unknown) => {
          failure ??= error;
        })
        .finally(() => {
          writing.delete(write);
          release?.();
        });
      writing.add(write);
      if (writing.size >= WRITES_MAX) await Promise.race(writing);
      if (failure !== null) throw failure;
    },
    async settle() {
      await written();
      if (failure !== null) throw failure;
    },
  };
}
