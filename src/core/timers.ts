/**
 * The core's alarm clock: one pending moment per key, the earliest asked for. What rings is looked at
 * again from scratch (level-triggered), so ringing too early is harmless and nothing is ever cancelled.
 */
import type { Millis } from './ids.ts';

export class Timers {
  readonly #due = new Map<string, Millis>();
  /** Binary heap by time; entries whose time is not the one in `#due` are stale. */
  readonly #heap: { at: Millis; key: string }[] = [];

  /** Rings `key` at `at`, or earlier if that was asked for already. */
  set(key: string, at: Millis): void {
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
    return first.key;
  }

  #dropStale(): void {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || this.#due.get(first.key) === first.at) return;
      this.#pop();
    }
  }

  #push(entry: { at: Millis; key: string }): void {
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
