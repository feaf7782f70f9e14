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
  /** Of each count, lost in a millisecond. */
  readonly #decay: number;
  readonly #keysMax: number;
  readonly #counts = new Map<K, Count>();

  /** @param halfLifeMs a count is worth half after this */
  constructor(halfLifeMs: number, keysMax: number) {
    this.#decay = Math.LN2 / halfLifeMs;
    this.#keysMax = keysMax;
  }

  /** What is left of everything counted for this key; ≥ 0. */
  of(key: K, now: Millis): number {
    return this.#left(this.#counts.get(key), now);
  }

  #left(count: Count | undefined, now: Millis): number {
    if (count === undefined) return 0;
    const ageMs = now - count.at;
    return ageMs <= 0 ? count.value : count.value * Math.exp(-ageMs * this.#decay);
  }

  /** @param amount may be negative; the count does not sink below 0 */
  add(key: K, amount: number, now: Millis): void {
    const known = this.#counts.get(key);
    this.#put(key, known, Math.max(0, this.#left(known, now) + amount), now);
  }

  #put(key: K, known: Count | undefined, value: number, now: Millis): void {
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
    const known = this.#counts.get(key);
    const value = this.#left(known, now) + amount;
    if (value > max) return false;
    this.#put(key, known, value, now);
    return true;
  }

  get size(): number {
    return this.#counts.size;
  }
}
