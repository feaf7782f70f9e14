/**
 * The end of a peer that cannot go on: what is written down of it, what becomes of its work, and the
 * error it ends with. Nothing here may throw, or need what has just broken.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ShoalError } from '../failures/shoal-error.ts';
import type { Log } from '../lib/log.ts';
import { stackOf } from './defects.ts';

export interface BreakingDeps {
  readonly dataDir: string;
  readonly log: Log;
  /** Tells the others that this node takes nothing and leaves. May throw. */
  readonly farewell: () => void;
  /** Ends all programs and removes their containers. */
  readonly stopRuns: () => Promise<void>;
  /** The last word: the error that the process ends with. */
  readonly end: (error: Error) => void;
}

/** @returns what to call with the error, and with the last inputs where a defect left some. */
export function createBreaking(
  deps: BreakingDeps,
): (error: unknown, lastInputs?: readonly string[]) => void {
  const { log } = deps;
  let broken = false;

  const attempt = (what: string, work: () => void): void => {
    try {
      work();
    } catch (error) {
      log.warn({ error: String(error), what }, 'end.incomplete');
    }
  };

  /**
   * The surroundings failed, not the program: nobody may come back here for what runs, so it is
   * stopped and others run it. After a defect the same peer is started again by whoever supervises
   * it, and finds its containers where they are.
   */
  async function giveAway(): Promise<void> {
    attempt('farewell', deps.farewell);
    await deps
      .stopRuns()
      .catch((error: unknown) => log.warn({ error: String(error) }, 'end.incomplete'));
  }

  return (thrown, lastInputs = []) => {
    if (broken) return;
    broken = true;
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    log.fatal({ error: stackOf(error) }, 'node.broken');
    if (error instanceof ShoalError) {
      void giveAway().then(() => deps.end(error));
      return;
    }
    attempt('crash file', () => {
      const file = join(deps.dataDir, `crash-${Date.now()}.jsonl`);
      writeFileSync(file, `${lastInputs.join('\n')}\n`, { mode: 0o600 });
    });
    deps.end(error);
  };
}
