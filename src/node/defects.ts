/**
 * Faults of our own that cost one message, one effect or one job instead of the process: counted,
 * and written down so that they are seen and do not fill the log, whoever can bring them about.
 */
import type { Log } from '../lib/log.ts';

export interface Defects {
  /**
   * @param where a constant name of the place, which is also the label of the counter
   * @param data who or what it hit; small
   */
  report(where: string, error: unknown, data?: Readonly<Record<string, string>>): void;
  /** Runs `work`; what it throws is reported. @returns whether it came to its end */
  contain(where: string, work: () => void, data?: Readonly<Record<string, string>>): boolean;
}

/** A fault of one kind is written down again after this, with the number of times it came. */
const REPEAT_MS = 60_000;
/** Kinds told apart: a message of somebody else's must not make a new kind each time. */
const KINDS_MAX = 200;

export function createDefects(deps: {
  readonly log: Log;
  readonly count: (where: string) => void;
  /** Monotonic, milliseconds. */
  readonly now: () => number;
}): Defects {
  const kinds = new Map<string, { loggedAt: number; unlogged: number }>();

  function report(
    where: string,
    error: unknown,
    data: Readonly<Record<string, string>> = {},
  ): void {
    deps.count(where);
    const text = stackOf(error);
    const kind = kindOf(where, text);
    const known = kinds.get(kind);
    if (known !== undefined && deps.now() - known.loggedAt < REPEAT_MS) {
      known.unlogged += 1;
      return;
    }
    if (known === undefined && kinds.size >= KINDS_MAX) return;
    const again = known === undefined ? {} : { again: known.unlogged };
    kinds.set(kind, { loggedAt: deps.now(), unlogged: 0 });
    deps.log.error({ where, ...data, ...again, error: text }, 'node.defect');
  }

  return {
    report,
    contain(where, work, data) {
      try {
        work();
        return true;
      } catch (error) {
        report(where, error, data);
        return false;
      }
    },
  };
}

/** The place it came from tells one kind from another; its words may be somebody else's. */
function kindOf(where: string, stack: string): string {
  const frame = /\n\s+at [^\n]+/.exec(stack)?.[0] ?? stack.slice(0, 80);
  return `${where} ${frame}`;
}

export const stackOf = (error: unknown): string =>
  (error instanceof Error ? (error.stack ?? error.message) : String(error)).slice(0, 4_000);
