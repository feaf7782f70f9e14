/**
 * A first-in first-out queue of limited length. A full queue refuses the newest or drops the oldest,
 * as its owner decided, and counts both; it never grows. One consumer at a time.
 */

export interface QueuePolicy {
  /** ≥ 1 */
  readonly max: number;
  /** What goes when it is full: the newest (refused) or the oldest. */
  readonly drop: 'newest' | 'oldest';
}

export class BoundedQueue<Item> {
  readonly #policy: QueuePolicy;
  #items: Item[] = [];
  #head = 0;
  #dropped = 0;
  #closed = false;
  #wake: (() => void) | null = null;

  constructor(policy: QueuePolicy) {
    this.#policy = policy;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** Items refused or dropped so far. */
  get dropped(): number {
    return this.#dropped;
  }

  /** @returns false when an item was lost for lack of room, this one or the oldest, or the queue is closed. */
  push(item: Item): boolean {
    if (this.#closed) return false;
    const full = this.length >= this.#policy.max;
    if (full) {
      this.#dropped += 1;
      if (this.#policy.drop === 'newest') return false;
      this.shift();
    }
    this.#items.push(item);
    this.#wake?.();
    return !full;
  }

  shift(): Item | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#head += 1;
    // Moving the rest only once half is used keeps shifting cheap however long the queue is.
    if (this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Takes nothing more; a consumer gets what is in it and then ends. */
  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  /** Yields items as they come, until the queue is closed or the signal aborts. */
  async *drain(signal: AbortSignal): AsyncGenerator<Item> {
    const wakeUp = (): void => this.#wake?.();
    signal.addEventListener('abort', wakeUp);
    try {
      while (!signal.aborted) {
        const item = this.shift();
        if (item !== undefined) yield item;
        else if (this.#closed) return;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      signal.removeEventListener('abort', wakeUp);
      this.#wake = null;
    }
  }
}
