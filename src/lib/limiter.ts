/** Runs one task. @returns what it gives; rejects as it does. */
export type Limiter = <T>(task: () => Promise<T>) => Promise<T>;

/** At most `max` tasks at a time, the others in order of arrival. */
export function createLimiter(max: number): Limiter {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (task) => {
    if (running >= max) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
