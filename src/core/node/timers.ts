/**
 * The core's alarm clock: one pending moment per key, the earliest asked for. What rings is looked at
 * again from scratch (level-triggered), so ringing too early is harmless and nothing is ever cancelled.
 */
import { asMillis } from '../record/ids.ts';
import type { Millis } from '../record/ids.ts';

/** Stale entries that are not worth a sweep. */
const SWEEP_SLACK = 1_000;
/** Between two rings of one key, however early the second was asked for. */
const AGAIN_MS = 1;

export class Timers {
  readonly #due = new Map<string, Millis>();
  /** Binary heap by time; entries whose time is not the one in `#due` are stale. */
  readonly #heap: { at: Millis; key: string }[] = [];
  /** Keys that rang since `begin`, which was at `#now`. */
  readonly #rung = new Set<string>();
  #now = -Infinity;

  /** An input is handled at `now`: each key rings at most once until the next. */
  begin(now: Millis): void {
    this.#now = now;
    // To clear an empty set makes a new table, with every input.
    if (this.#rung.size > 0) this.#rung.clear();
  }

  /**
   * Rings `key` at `at`, or earlier if that was asked for already. What has just rung does not ring
   * again in the same input, however often it asks: one that always asks for the past must not
   * keep everything else from its turn.
   */
  set(key: string, at: Millis): void {
    const soonest = this.#rung.has(key) ? this.#now + AGAIN_MS : -Infinity;
    // Written so that a moment that is no number becomes the soonest one, too.
    this.#set(key, at > soonest ? at : asMillis(Math.max(soonest, this.#now)));
  }

  #set(key: string, at: Millis): void {
    const known = this.#due.get(key);
    if (known !== undefined && known <= at) return;
    this.#due.set(key, at);
    this.#push({ at, key });
  }

  clear(key: string): void {
    this.#due.delete(key);
  }

  /** The earliest moment anything rings. */
  next(): Millis | null {
    this.#dropStale();
    return this.#heap[0]?.at ?? null;
  }

  /** Removes and returns one key that is due, or null. */
  take(now: Millis): string | null {
    this.#dropStale();
    const first = this.#heap[0];
    if (first === undefined || first.at > now) return null;
    this.#pop();
    this.#due.delete(first.key);
    this.#rung.add(first.key);
    return first.key;
  }

  #dropStale(): void {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || this.#due.get(first.key) === first.at) return;
      this.#pop();
    }
  }

  /** What waits and what was cleared but would have rung later: the memory held. */
  get size(): number {
    return this.#heap.length;
  }

  /** Alarms of a week ahead that were cleared would stay for a week; now and then they are swept out. */
  #sweep(): void {
    if (this.#heap.length < 2 * this.#due.size + SWEEP_SLACK) return;
    const pending = [...this.#due].map(([key, at]) => ({ at, key }));
    // A sorted list is a heap.
    pending.sort((a, b) => (before(a, b) ? -1 : 1));
    this.#heap.length = 0;
    for (const entry of pending) this.#heap.push(entry);
  }

  #push(entry: { at: Millis; key: string }): void {
    this.#sweep();
    const heap = this.#heap;
    heap.push(entry);
    let child = heap.length - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (before(heap[parent], entry)) break;
      heap[child] = heap[parent] as { at: Millis; key: string };
      child = parent;
    }
    heap[child] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child += 1;
      const smaller = heap[child] as { at: Millis; key: string };
      if (before(last, smaller)) break;
      heap[parent] = smaller;
      parent = child;
    }
    heap[parent] = last;
  }
}

/** Ties are broken by key, so a replay rings in the same order. */
function before(
  a: { at: Millis; key: string } | undefined,
  b: { at: Millis; key: string } | undefined,
): boolean {
  if (a === undefined || b === undefined) return a !== undefined;
  return a.at < b.at || (a.at === b.at && a.key < b.key);
}
