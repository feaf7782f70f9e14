/**
 * The simulator's only source of randomness: one small seeded generator (sfc32), forked by label so
 * that a new draw in one part does not shift the draws of another. Not for anything secret.
 */

export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** An integer in [low, high], both included. */
  integer(low: number, high: number): number;
  /** A number in [low, high). */
  between(low: number, high: number): number;
  chance(probability: number): boolean;
  /** @throws Error when `items` is empty. */
  pick<T>(items: readonly T[]): T;
  shuffled<T>(items: readonly T[]): T[];
  /** `digits` random hex digits. */
  hex(digits: number): string;
  /** An independent generator that depends on this one's seed and the label only. */
  fork(label: string): Random;
}

/** `seed`: any integer in 0 … 2^53 − 1. */
export function createRandom(seed: number): Random {
  return fromWords(mix(seed >>> 0, 0x9e3779b9), mix(Math.floor(seed / 2 ** 32), 0x243f6a88));
}

function fromWords(first: number, second: number): Random {
  let a = first | 0;
  let b = second | 0;
  let c = mix(first, second) | 0;
  let counter = 1;
  const word = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return sum >>> 0;
  };
  for (let warmUp = 0; warmUp < 12; warmUp += 1) word();

  const next = (): number => word() / 2 ** 32;
  const integer = (low: number, high: number): number =>
    low + Math.floor(next() * (high - low + 1));
  return {
    next,
    integer,
    between: (low, high) => low + next() * (high - low),
    chance: (probability) => probability > 0 && next() < probability,
    pick: <T>(items: readonly T[]): T => {
      if (items.length === 0) throw new Error('nothing to pick from');
      return items[integer(0, items.length - 1)] as T;
    },
    shuffled: <T>(items: readonly T[]): T[] => {
      const copy = [...items];
      for (let last = copy.length - 1; last > 0; last -= 1) {
        const other = integer(0, last);
        [copy[last], copy[other]] = [copy[other] as T, copy[last] as T];
      }
      return copy;
    },
    hex: (digits) => {
      let text = '';
      while (text.length < digits) text += word().toString(16).padStart(8, '0');
      return text.slice(0, digits);
    },
    fork: (label) => fromWords(mix(first, textWord(label)), mix(second, textWord(`${label}'`))),
  };
}

/** Scrambles two words into one; every bit of the input reaches every bit of the output. */
function mix(left: number, right: number): number {
  let word = (left ^ Math.imul(right, 0x85ebca6b)) | 0;
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return (word ^ (word >>> 16)) >>> 0;
}

/** FNV-1a of a text, 32 bits. */
export function textWord(text: string): number {
  let word = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    word = Math.imul(word ^ text.charCodeAt(index), 0x01000193);
  }
  return word >>> 0;
}
