/**
 * What waits for a simulated node while it is busy: the driver's own inbox, so that nodes under a backlog
 * lose the same gossip, take the same turns and make the same streams stand still as real ones.
 */
import type { Input } from '../../src/core/contract/input.ts';
import type { NodeId } from '../../src/core/record/ids.ts';
import { BATCH_MAX, createInbox } from '../../src/node/inbox.ts';
import type { Arrived, Inbox, MessageInput } from '../../src/node/inbox.ts';

/** Of a message as it travels: most are smaller. */
const MESSAGE_BYTES = 1_024;

export class Arrivals {
  readonly #inbox: Inbox;
  #batch: Arrived[] = [];
  /** What is still on its way from peers whose streams stand still. */
  readonly #held = new Map<NodeId, MessageInput[]>();

  /** @param clock of the node, milliseconds */
  constructor(clock: () => number) {
    this.#inbox = createInbox(clock);
  }

  /** Nothing waits. Asked for with every input. */
  isEmpty = true;

  add(input: Input): void {
    this.isEmpty = false;
    if (input.type === 'gossip') return this.#inbox.addGossip(input);
    if (input.type !== 'message') return this.#inbox.addLocal(input);
    const held = this.#held.get(input.from);
    if (held !== undefined) held.push(input);
    else if (!this.#hasRoomAfter(input)) this.#held.set(input.from, []);
  }

  /** What is handled next. */
  next(): Arrived | undefined {
    if (this.#batch.length === 0) {
      this.#batch = [...this.#inbox.take(BATCH_MAX)];
      for (const [from, held] of this.#held) this.#goOn(from, held);
    }
    const next = this.#batch.shift();
    this.isEmpty = this.#batch.length === 0 && this.#inbox.length === 0;
    return next;
  }

  #hasRoomAfter(input: MessageInput): boolean {
    return this.#inbox.addMessage(input, MESSAGE_BYTES) === undefined;
  }

  /** The stream goes on until it is told to wait again. */
  #goOn(from: NodeId, held: MessageInput[]): void {
    for (let next = held.shift(); next !== undefined; next = held.shift())
      if (!this.#hasRoomAfter(next)) return;
    this.#held.delete(from);
  }
}
