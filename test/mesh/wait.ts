/** Waiting for a condition, with a deadline and a message that says how things stand. */
import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 100;

export interface WaitOptions {
  /** Milliseconds after which it fails. */
  readonly deadlineMs: number;
  /** How things stand; printed when it fails. */
  readonly describe: () => string | Promise<string>;
}

/**
 * Polls until the probe gives something. What the probe throws means "not yet"; the last error is in
 * the message of the failure.
 */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  { deadlineMs, describe }: WaitOptions,
): Promise<Exclude<T, null | undefined | false>> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    let last: unknown = null;
    try {
      const value = await probe();
      if (value !== null && value !== undefined && value !== false) {
        return value as Exclude<T, null | undefined | false>;
      }
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) {
      const why = last === null ? '' : `\nlast error: ${String(last)}`;
      throw new Error(`not within ${deadlineMs} ms: ${what}${why}\n${await describe()}`, {
        cause: last,
      });
    }
    await delay(POLL_MS);
  }
}
