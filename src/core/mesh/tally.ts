/**
 * A count per key that fades: what somebody did counts less the longer ago it was. Bounded: the key
 * that was counted longest ago, to within a second, makes room, so whoever invents keys forgets his own first.
 */
import type { Millis } from '../record/ids.ts';

/** Who is counted again and again takes his new place among the others no more often than this. */
const PLACE_MS = 1_000;

interface Count {
  value: number;
  at: Millis;
  /** When it was put behind all others. */
  readonly placedAt: Millis;
}

export class Tally<K> {
  readonly #halfLifeMs: number;
  readonly #keysMax: number;
  readonly #counts = new Map<K, Count>();

  /** @param halfLifeMs a count is worth half after this */
  constructor(halfLifeMs: number, keysMax: number) {
    this.#halfLifeMs = halfLifeMs;
    this.#keysMax = keysMax;
  }

  /** What is left of everything counted for this key; ≥ 0. */
  of(key: K, now: Millis): number {
    const count = this.#counts.get(key);
    if (count === undefined) return 0;
    if (count.at === now) return count.value;
    return count.value * 2 ** (-Math.max(0, now - count.at) / this.#halfLifeMs);
  }

  /** @param amount may be negative; the count does not sink below 0 */
  add(key: K, amount: number, now: Millis): void {
    this.#put(key, Math.max(0, this.of(key, now) + amount), now);
  }

  #put(key: K, value: number, now: Millis): void {
    const known = this.#counts.get(key);
    if (known !== undefined && value > 0 && now - known.placedAt < PLACE_MS) {
      known.value = value;
      known.at = now;
      return;
    }
    if (known !== undefined) this.#counts.delete(key);
    if (value > 0) this.#counts.set(key, { value, at: now, placedAt: now });
    if (this.#counts.size <= this.#keysMax) return;
    const [oldest] = this.#counts.keys();
    if (oldest !== undefined) this.#counts.delete(oldest);
  }

  /** Counts `amount` unless it would then be more than `max`. @returns whether it was counted */
  take(key: K, amount: number, max: number, now: Millis): boolean {
    const value = this.of(key, now) + amount;
    if (value > max) return false;
    this.#put(key, value, now);
    return true;
  }

  get size(): number {
    return this.#counts.size;
  }
}
