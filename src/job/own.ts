/**
 * Reading maps whose keys are somebody's words. A plain object answers to `constructor` and
 * `__proto__` as well, with values that nobody put there and no encoder takes.
 */

/** What `record` itself has under `key`; `undefined` for what it would only inherit. */
export const own = <T>(record: Readonly<Record<string, T>>, key: string): T | undefined =>
  Object.hasOwn(record, key) ? record[key] : undefined;
