/**
 * How much bitswap serves at a time. The library takes a list of wants as a whole: it reads every block of it
 * into memory before it sends the first, and looks for all that it did not find with each further
 * message. So 25 KB of wants cost a gigabyte, and a hundred thousand made-up ones the disk. Here a list waits, and the
 * library gets a few of its wants in turn, the next when those are sent. Sends nothing itself.
 */
import type { HeliaWithLibp2p } from '@helia/libp2p';
import type { PeerId, ServiceMap } from '@libp2p/interface';

/** Wants that the library gets in one turn: of blocks of the largest size 16 MiB. */
const TURN_WANTS = 4;
/** Peers that have a turn at the same time, over all. */
export const TURNS_MAX = 16;
/** Wants that wait, some 300 bytes each: of one peer, and of all. A stock server keeps 1,024 of one. */
export const WAITING_MAX = 4_096;
const WAITING_ALL_MAX = 32_768;
/** Blocks that are not here and are remembered as wanted by a peer, should they come. */
export const UNMET_MAX = 64;

interface Want {
  readonly cid: Uint8Array;
  readonly cancel?: boolean;
}

interface SwapMessage {
  readonly wantlist?: { readonly full?: boolean; readonly entries: readonly Want[] };
  readonly blocks: readonly unknown[];
  readonly blockPresences: readonly unknown[];
}

/** What other peers want, as the library keeps it. */
export interface WantLists {
  receiveMessage(peer: PeerId, message: SwapMessage): void;
  peerDisconnected(peer: PeerId): void;
  ledgerForPeer(peer: PeerId): { readonly sendQueue: { onIdle(): Promise<unknown> } } | undefined;
}

interface Line {
  readonly peer: PeerId;
  readonly wants: Map<string, Want>;
  busy: boolean;
}

/** From now on the node serves what is wanted by bitswap in turns. @param helia started */
export function serveInTurns<M extends ServiceMap>(helia: HeliaWithLibp2p<M>): void {
  const { blockBrokers } = helia as unknown as {
    readonly blockBrokers: readonly {
      readonly name: string;
      readonly bitswap?: { readonly peerWantLists: WantLists };
    }[];
  };
  const lists = blockBrokers.find(({ name }) => name === 'bitswap')?.bitswap?.peerWantLists;
  if (lists === undefined) throw new Error('bitswap is not there to be served in turns');
  takeTurns(lists);
}

export function takeTurns(lists: WantLists): void {
  const receive = lists.receiveMessage.bind(lists);
  const disconnected = lists.peerDisconnected.bind(lists);
  /** In the order of their turns. */
  const lines = new Map<string, Line>();
  let waiting = 0;
  let turns = 0;

  const lineOf = (peer: PeerId): Line => {
    const key = peer.toString();
    const line = lines.get(key) ?? { peer, wants: new Map<string, Want>(), busy: false };
    lines.set(key, line);
    return line;
  };
  const drop = (line: Line, key: string): void => {
    if (line.wants.delete(key)) waiting -= 1;
  };

  /** Of the order; out of it when there is nothing more to serve. */
  const toTheEnd = (line: Line): void => {
    const key = line.peer.toString();
    if (lines.get(key) !== line) return;
    lines.delete(key);
    if (line.wants.size > 0) lines.set(key, line);
  };

  const turn = async (line: Line): Promise<void> => {
    const entries = [...line.wants].slice(0, TURN_WANTS);
    for (const [key] of entries) drop(line, key);
    line.busy = true;
    turns += 1;
    const wantlist = { full: false, entries: entries.map(([, want]) => want) };
    try {
      receive(line.peer, { wantlist, blocks: [], blockPresences: [] });
      await lists.ledgerForPeer(line.peer)?.sendQueue.onIdle();
    } finally {
      turns -= 1;
      line.busy = false;
      toTheEnd(line);
    }
  };

  const goOn = (): void => {
    for (const line of [...lines.values()]) {
      if (turns >= TURNS_MAX) return;
      if (line.busy) continue;
      if (line.wants.size === 0) toTheEnd(line);
      else
        turn(line)
          .catch(() => {})
          .finally(goOn);
    }
  };

  lists.receiveMessage = (peer, message) => {
    const line = lineOf(peer);
    const { full = false, entries = [] } = message.wantlist ?? {};
    if (full) for (const key of line.wants.keys()) drop(line, key);
    const cancelled: Want[] = [];
    for (const want of entries) {
      const key = Buffer.from(want.cid).toString('base64');
      if (want.cancel === true) {
        drop(line, key);
        cancelled.push(want);
      } else if (line.wants.size < WAITING_MAX && waiting < WAITING_ALL_MAX) {
        if (!line.wants.has(key)) waiting += 1;
        line.wants.set(key, want);
      }
    }
    if (full || cancelled.length > 0 || message.blocks.length > 0)
      receive(peer, { ...message, wantlist: { full, entries: cancelled } });
    goOn();
  };

  lists.peerDisconnected = (peer) => {
    const line = lines.get(peer.toString());
    if (line !== undefined) for (const key of line.wants.keys()) drop(line, key);
    lines.delete(peer.toString());
    disconnected(peer);
  };
}
