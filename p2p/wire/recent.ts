/**
 * A map that forgets what was used longest ago. For results that are cheap to compute again; never
 * for anything that must be remembered.
 */

export interface Recent<K, V> {
  get(key: K): V | undefined;
  set(key: K, value: V): void;
  readonly size: number;
}

/** `max`: entries kept, ≥ 1. */
export function createRecent<K, V>(max: number): Recent<K, V> {
  // A Map iterates in insertion order, so its first key is the one used longest ago.
  const entries = new Map<K, V>();
  return {
    get(key) {
      const value = entries.get(key);
      if (value === undefined) return undefined;
      entries.delete(key);
      entries.set(key, value);
      return value;
    },
    set(key, value) {
      entries.delete(key);
      entries.set(key, value);
      if (entries.size <= max) return;
      const oldest = entries.keys().next();
      if (!oldest.done) entries.delete(oldest.value);
    },
    get size() {
      return entries.size;
    },
  };
}
